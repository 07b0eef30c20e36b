"""Leases and the run log without a JVM: who counts as dead, when a lease is lost, no row lost."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from shoal.errors import TryAgainError
from shoal.spark import runs
from shoal.spark.runs import Lease, LeaseRow, RunLog, holder_name, utc_now
from shoal.spark.tables import Warehouse

ANOTHER_START = holder_name().rpartition("/")[0] + "/1"


class Rows:
    """Stands for a warehouse: keeps what is appended."""

    def __init__(self, before_append: Callable[[], None] = lambda: None) -> None:
        self.written: list[str] = []
        self.before_append = before_append

    def frame(self, _: Any, rows: Any) -> list[str]:
        return [row["step"] for row in rows]

    def append(self, frame: list[str], _: Any) -> None:
        self.before_append()
        self.written += frame


def log_of(rows: Rows) -> RunLog:
    return RunLog(cast(Warehouse, rows), {})


def is_live(holder: str, *, state: str = "held", age_s: int = 0) -> bool:
    now = utc_now()
    until = now + timedelta(seconds=600 - age_s)
    return LeaseRow("k", 1, "a", state, until, holder).is_live(now)


@pytest.mark.parametrize(
    ("state", "age_s", "holder", "expected"),
    [
        ("held", 0, "elsewhere/1/1", True),
        ("released", 0, "elsewhere/1/1", False),
        ("held", 700, "elsewhere/1/1", False),
        ("held", 0, holder_name(), True),
        ("held", 0, ANOTHER_START, False),
    ],
    ids=["held", "released", "expired", "held here", "its pid reused"],
)
def test_a_lease_lives_while_its_holder_may(
    state: str, age_s: int, holder: str, expected: bool
) -> None:
    assert is_live(holder, state=state, age_s=age_s) is expected


@pytest.fixture
def gone() -> str:
    """Holder of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    place = holder_name().split("/")[0]
    return f"{place}/{process.pid}/1"


def test_a_process_that_ended_here_is_dead(gone: str) -> None:
    assert not is_live(gone)


@pytest.mark.parametrize("changed", ["/proc/self/ns/pid", "/proc/self", "boot_id"])
def test_a_pid_of_another_boot_or_container_says_nothing(
    gone: str, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All containers of one host name: their pids are not ours to judge."""
    readlink, read_text = Path.readlink, Path.read_text

    def other_link(path: Path) -> Path:
        return Path("other") if str(path) == changed else readlink(path)

    def other_text(path: Path, **options: Any) -> str:
        return "other" if path.name == changed else read_text(path, **options)

    monkeypatch.setattr(Path, "readlink", other_link)
    monkeypatch.setattr(Path, "read_text", other_text)
    assert is_live(gone)


def test_without_proc_nobody_is_dead(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path, **_: Any) -> Any:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "readlink", missing)
    monkeypatch.setattr(Path, "read_text", missing)
    assert is_live(gone)
    assert is_live(holder_name())
    assert is_live(f"{holder_name().split('/')[0]}/{gone.split('/')[1]}/1")


@pytest.mark.parametrize("error", [PermissionError, ProcessLookupError, FileNotFoundError])
def test_a_process_that_proc_hides_is_alive(
    error: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with hidepid, or when it ends while it is looked at."""
    read_text = Path.read_text

    def hidden(path: Path, **options: Any) -> str:
        if path.name == "stat":
            raise error(path)
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert is_live(ANOTHER_START)


def test_a_process_of_another_user_is_alive(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_live(gone)


def held_lease(*, seconds_left: float) -> Lease:
    lease = Lease(log_of(Rows()), ["night/2024-01-01"], 600)
    lease._until = utc_now() + timedelta(seconds=seconds_left)
    return lease


def test_a_lease_past_its_end_is_lost_before_any_renewal() -> None:
    held_lease(seconds_left=60).check()
    with pytest.raises(TryAgainError, match="lost the lease of night/2024-01-01"):
        held_lease(seconds_left=-1).check()


def test_renewals_that_fail_lose_the_lease_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = held_lease(seconds_left=60)
    tries = []

    def fail(_: Any) -> None:
        tries.append(lease._lost)
        if len(tries) == 3:
            lease._until = utc_now() - timedelta(seconds=1)
        raise OSError("storage is away")

    monkeypatch.setattr(runs, "read_leases", fail)
    lease._keep_alive(0)
    assert tries == [None, None, None]
    lease._until = utc_now() + timedelta(seconds=60)
    with pytest.raises(TryAgainError, match="lost the lease of night/2024-01-01"):
        lease.check()


def test_a_flush_that_fails_keeps_the_rows() -> None:
    def fail() -> None:
        raise OSError("storage is away")

    rows = Rows(fail)
    run_log = log_of(rows)
    run_log.add("fit", "done")
    with pytest.raises(OSError, match="storage is away"):
        run_log.flush()
    rows.before_append = lambda: None
    run_log.flush()
    run_log.flush()
    assert rows.written == ["fit"]


def test_rows_of_two_threads_are_each_written_once() -> None:
    """A row that comes, and a flush that starts, while another flush is writing."""

    def other_thread() -> None:
        run_log.add("score", "done")
        run_log.flush()

    other = threading.Thread(target=other_thread)

    def interfere() -> None:
        if other.ident is None:
            other.start()
            other.join(timeout=0.2)  # ends within it only if nothing makes it wait

    rows = Rows(interfere)
    run_log = log_of(rows)
    run_log.add("fit", "done")
    run_log.flush()
    other.join()
    assert rows.written == ["fit", "score"]
