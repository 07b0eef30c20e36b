"""Commands in confinement: without the right to read some files, and on a disk that is full.

As a script it is the part that runs in a name space of its own, beside a small disk that only it
sees: ``confined.py DISK FRESH AFTER RIGHTS CONF DAY``.
"""

import contextlib
import ctypes
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import yaml
from tests.support.commands import ROOT, environment
from tests.support.nights import QUICK

from shoal.cli import main

_DROP_FROM_BOUNDING_SET = 24  # PR_CAPBSET_DROP of linux/prctl.h
_IN_BOUNDING_SET = 23  # PR_CAPBSET_READ
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2  # of linux/capability.h
_OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = ("mount", "-t", "tmpfs", "-o", f"size={16 * 2**20}", "none")
_ROOM_BYTES = 64 * 2**10
_LARGEST_FILE = 8 * 2**10

Ended = tuple[int, str]
"""Exit code of a command and what it said."""


@dataclass(frozen=True)
class Confined:
    """How two commands ended.

    Attributes
    ----------
    rights : ingest of folders and files that may not be read, beside some that may
    full : a night on a disk without room
    """

    rights: Ended
    full: Ended


@cache
def has_own_mounts() -> bool:
    """Whether this system lets a user mount a disk that only their own processes see."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_OWN_MOUNTS, *_MOUNT, "/mnt"], capture_output=True).returncode == 0


def confined(
    folder: Path, *, rights: Path, conf: Path, fresh: Path, after: Path, day: date
) -> Confined:
    """Run the two commands.

    The full disk is a small tmpfs, all but filled, in a name space of the commands; where the
    system allows none, no file of the command may grow beyond a few KiB. Root reads everything, so
    as root, too, the commands run without the capabilities that allow it.

    Parameters
    ----------
    folder : to work in
    rights : configuration of what may not be read; of the night
    conf : configuration of the night
    fresh : warehouse before the night
    after : where its tables are left, as they were on the full disk
    """
    if not has_own_mounts():
        shutil.copytree(fresh, after)
        return Confined(
            _shoal(_ingest(rights, day), _drop_read_rights),
            _shoal(_night(conf, after, day), _limit_files),
        )
    disk = folder / "small-disk"
    disk.mkdir()
    inside = [str(path) for path in (Path(__file__), disk, fresh, after, rights, conf)]
    # The shell mounts, then gives way to the commands.
    script = f'{" ".join(_MOUNT)} "$1" && shift && exec "$@"'
    done = subprocess.run(
        [*_OWN_MOUNTS, "sh", "-c", script, "sh", str(disk), sys.executable, *inside, str(day)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Confined(*(tuple(ended) for ended in json.loads(done.stdout.splitlines()[-1])))


def write_closed(folder: Path, warehouse: Path, event: Callable[..., str]) -> tuple[Path, ...]:
    """Folders and files to close, beside open ones, and ``rights.yaml`` that reads them all."""
    files = (
        "closed/no", "above/inner/no", "above/above", "files/no", "files/beside", "open/open"
    )  # fmt: skip
    for name in files:
        path = folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(event(f"{path.stem}.exe") + "\n", encoding="utf-8")
    sources = [
        {"name": name, "kind": "windows_json", "paths": [str(folder / name)]}
        for name in ("closed", "above", "files", "open")
    ]
    sections = {"storage": {"path": str(warehouse)}, "spark": QUICK, "sources": sources}
    (folder / "rights.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
    return folder / "closed", folder / "above" / "inner", folder / "files" / "no.json"


_libc = ctypes.CDLL(None, use_errno=True)


def _drop_read_rights() -> None:
    """Give up root's right to read everything; it holds from the next program on."""
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        if _libc.prctl(_IN_BOUNDING_SET, capability, 0, 0, 0) != 1 or os.geteuid() != 0:
            continue
        if _libc.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "root cannot give up its right to read everything")


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, resource.RLIM_INFINITY))


def _night(conf: Path, warehouse: Path, day: date) -> list[str]:
    where = f"storage.path={warehouse}"
    return ["nightly", "--conf", str(conf), "--set", where, "--date", str(day)]


def _ingest(conf: Path, day: date) -> list[str]:
    return ["ingest", "--conf", str(conf), "--date", str(day)]


def _shoal(arguments: list[str], before: Callable[[], None] | None = None) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *arguments],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300,
        preexec_fn=before,
    )  # fmt: skip
    return done.returncode, done.stderr


def _said(arguments: list[str]) -> Ended:
    """Run a command in this process, sessions and all: a second one needs no second JVM."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(arguments)
    return code, said.getvalue()


def _inside(disk: Path, fresh: Path, after: Path, rights: Path, conf: Path, day: date) -> None:
    tables = Path(shutil.copytree(fresh, disk / "tables"))
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - _ROOM_BYTES))
    closed = _said(_ingest(rights, day))
    # The last of this process: its lease, which it cannot give back on a full disk, ends with it.
    full = _said(_night(conf, tables, day))
    shutil.copytree(tables, after)
    print(json.dumps([closed, full]))


if __name__ == "__main__":
    if _libc.prctl(_IN_BOUNDING_SET, _DAC_OVERRIDE, 0, 0, 0) == 1:
        _drop_read_rights()
        os.execv(sys.executable, [sys.executable, *sys.argv])
    _inside(*map(Path, sys.argv[1:6]), date.fromisoformat(sys.argv[6]))
