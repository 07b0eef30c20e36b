"""Commands in confinement: without the right to read some files, and on a disk that is full.

As a script it is the part that runs beside a small disk of its own: ``confined.py DISK FRESH AFTER
CONF DAY`` runs a night there twice, first without room, then with it.
"""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import yaml
from tests.support.commands import ROOT, environment
from tests.support.nights import QUICK

_DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP of linux/prctl.h
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2  # of linux/capability.h
_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
_DISK_BYTES = 16 * 2**20
_ROOM_BYTES = 64 * 2**10
_LARGEST_FILE = 8 * 2**10
_DAY = "2024-03-04"

Ended = tuple[int, str]
"""Exit code and standard error of a command."""


def _has_own_mounts() -> bool:
    """Whether this machine lets a user mount a disk that only their own processes see."""
    if shutil.which("unshare") is None:
        return False
    command = [*_OWN_MOUNTS, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


_IS_REAL = _has_own_mounts()
FULL_DISK = "a small tmpfs" if _IS_REAL else "a limit on the size of files"
"""What stands for the full disk: where users may not mount, no file may grow."""


def without_rights(folder: Path, warehouse: Path, event: Callable[..., str]) -> Ended:
    """Ingest folders and files that may not be read, beside some that may.

    Root reads everything, so as root the command runs without the capabilities that allow it.
    """
    closed = [folder / "closed", folder / "above" / "inner", folder / "files" / "no.json"]
    for path in (*closed[:2], folder / "files", folder / "open"):
        path.mkdir(parents=True)
    for path in (
        folder / "closed" / "no.json", folder / "above" / "inner" / "no.json",
        folder / "above" / "above.json", folder / "files" / "no.json",
        folder / "files" / "beside.json", folder / "open" / "open.json",
    ):  # fmt: skip
        path.write_text(event(f"{path.stem}.exe") + "\n", encoding="utf-8")
    sources = [
        {"name": name, "kind": "windows_json", "paths": [str(folder / name)]}
        for name in ("closed", "above", "files", "open")
    ]
    conf = folder / "rights.yaml"
    sections = {"storage": {"path": str(warehouse)}, "spark": QUICK, "sources": sources}
    conf.write_text(yaml.safe_dump(sections), encoding="utf-8")
    for path in closed:
        path.chmod(0)
    try:
        return _shoal(["ingest", "--conf", str(conf), "--date", _DAY], _drop_read_rights)
    finally:
        for path in closed:
            path.chmod(0o700)


_libc = ctypes.CDLL(None, use_errno=True)


def _drop_read_rights() -> None:
    if os.geteuid() != 0:
        return
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        if _libc.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "root cannot give up its right to read everything")


def full_disk(conf: Path, fresh: Path, after: Path, day: date) -> tuple[Ended, Ended]:
    """Run a night where there is no room, and again where there is; leave the tables in ``after``.

    A disk of its own, all but filled, where the system allows one: a tmpfs in a name space of the
    command. Elsewhere the command may write no file of more than a few KiB.
    """
    if not _IS_REAL:
        shutil.copytree(fresh, after)
        arguments = _nightly(conf, after, day)
        return _shoal(arguments, _limit_files), _shoal(arguments)
    disk = after.with_name("disk")
    disk.mkdir()
    command = [sys.executable, str(Path(__file__)), str(disk), str(fresh), str(after), str(conf)]
    done = subprocess.run(
        [*_OWN_MOUNTS, *command, str(day)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    return (first[0], first[1]), (second[0], second[1])


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, resource.RLIM_INFINITY))


def _nightly(conf: Path, warehouse: Path, day: date) -> list[str]:
    where = f"storage.path={warehouse}"
    return ["nightly", "--conf", str(conf), "--set", where, "--date", str(day)]


def _shoal(arguments: list[str], before: Callable[[], None] | None = None) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *arguments],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300,
        preexec_fn=before,
    )  # fmt: skip
    return done.returncode, done.stderr


def _on_own_disk(disk: Path, fresh: Path, after: Path, conf: Path, day: date) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(disk)]
    subprocess.run(mount, check=True)
    tables = Path(shutil.copytree(fresh, disk / "tables"))
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - _ROOM_BYTES))
    first = _shoal(_nightly(conf, tables, day))
    ballast.unlink()
    second = _shoal(_nightly(conf, tables, day))
    shutil.copytree(tables, after)
    print(json.dumps([first, second]))


if __name__ == "__main__":
    _on_own_disk(*map(Path, sys.argv[1:5]), date.fromisoformat(sys.argv[5]))
