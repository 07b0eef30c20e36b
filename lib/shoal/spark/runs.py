"""Attempts and leases: who runs what, and who must wait.

A lease is a row of ``runs``. Taking one is a compare-and-swap: every lease row is appended under
one Delta transaction id with a growing version, so that of two runs that looked at the same
moment only one can commit; the other looks again and finds the lease held.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import RUNS
from shoal.errors import LeaseHeldError, TryAgainError
from shoal.spark.tables import CONFLICTS, Warehouse

log = logging.getLogger(__name__)

_TRANSACTION = "shoal-lease"
_LOOK_BACK = timedelta(days=2)
_POLL_S = 2.0


@dataclass(frozen=True)
class LeaseRow:
    """One row of a lease, as read back."""

    key: str
    sequence: int
    attempt_id: str
    state: str
    until: datetime
    holder: str

    def is_live(self, now: datetime) -> bool:
        """Whether the holder may still be at work."""
        return self.state == "held" and self.until > now and not _is_dead_here(self.holder)


@dataclass
class RunLog:
    """Rows about one invocation; written in few commits.

    Attributes
    ----------
    attempt_id : identity of the invocation
    facts : columns that every row of the invocation carries
    """

    warehouse: Warehouse
    facts: Mapping[str, Any]
    attempt_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, step: str, state: str, **columns: Any) -> None:
        """Keep a row for the next :meth:`flush`."""
        now = utc_now()
        row: dict[str, Any] = dict.fromkeys(RUNS.column_names) | dict(self.facts) | columns
        row |= {"attempt_id": self.attempt_id, "step": step, "state": state}
        row |= {"run_date": now.date(), "written_ts": now}
        self._rows.append(row)

    def flush(self) -> None:
        """Write the rows kept so far in one commit."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        self.warehouse.append(self._frame(rows), RUNS)

    def flush_exclusive(self, transaction: str, sequence: int) -> None:
        """Write the rows kept so far, unless another run has committed under ``transaction``."""
        rows, self._rows = self._rows, []
        self.warehouse.append_exclusive(self._frame(rows), RUNS, transaction, sequence)

    def _frame(self, rows: Sequence[dict[str, Any]]) -> Any:
        ordered = [tuple(row[name] for name in RUNS.column_names) for row in rows]
        return self.warehouse.spark.createDataFrame(ordered, RUNS.schema).coalesce(1)


class Lease:
    """Leases on some keys, kept alive by a thread until released."""

    def __init__(self, run_log: RunLog, keys: Sequence[str], ttl_s: int) -> None:
        self._run_log = run_log
        self._keys = list(keys)
        self._ttl = timedelta(seconds=ttl_s)
        self._lost: str | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def acquire(self, *, wait_s: float = 0.0) -> None:
        """Take all keys, waiting up to ``wait_s`` seconds for others to let go.

        Raises
        ------
        LeaseHeldError
            If somebody else holds one of them.
        """
        deadline = time.monotonic() + wait_s
        told = False
        while True:
            held = self._try_once()
            if held is None:
                break
            if time.monotonic() >= deadline:
                raise LeaseHeldError(
                    f"{held.key} is held by {held.holder} until {held.until:%H:%M:%S} UTC or its "
                    "end: run the same command again later"
                )
            if not told:
                log.info("waiting for %s, held by %s", held.key, held.holder)
                told = True
            time.sleep(_POLL_S)
        interval = self._ttl.total_seconds() / 3
        threading.Thread(target=self._keep_alive, args=(interval,), daemon=True).start()

    def check(self) -> None:
        """Raise :class:`TryAgainError` if the lease was lost meanwhile."""
        if self._lost:
            raise TryAgainError(f"lost the lease of {self._lost}: run the same command again")

    def release(self) -> None:
        """Let go; the rows go out with the next commit of the run log."""
        self._stop.set()
        with self._lock:
            now = utc_now()
            for key in self._keys:
                self._run_log.add(
                    "lease", "released", lease_key=key, lease_sequence=_next(0, now),
                    lease_until_ts=now, holder=holder_name(),
                )  # fmt: skip

    def _try_once(self) -> LeaseRow | None:
        """Take the keys; return the row that stands in the way, if any."""
        rows = read_leases(self._run_log.warehouse)
        blocking = self._blocking(rows)
        if blocking is not None:
            return blocking
        try:
            self._append(max((row.sequence for row in rows), default=0))
        except CONFLICTS:
            log.debug("another run took a lease at the same moment; looking again")
        return self._blocking(read_leases(self._run_log.warehouse), must_hold=True)

    def _blocking(self, rows: Sequence[LeaseRow], *, must_hold: bool = False) -> LeaseRow | None:
        now = utc_now()
        newest: dict[str, LeaseRow] = {}
        for row in sorted(rows, key=lambda row: row.sequence):
            newest[row.key] = row
        for key in self._keys:
            found = newest.get(key)
            is_mine = found is not None and found.attempt_id == self._run_log.attempt_id
            if found is not None and not is_mine and found.is_live(now):
                return found
            if must_hold and not is_mine:
                return LeaseRow(key, 0, "", "held", now, "another run that came first")
        return None

    def _append(self, last_sequence: int) -> None:
        now = utc_now()
        sequence = _next(last_sequence, now)
        for key in self._keys:
            self._run_log.add(
                "lease", "held", lease_key=key, lease_sequence=sequence,
                lease_until_ts=now + self._ttl, holder=holder_name(),
            )  # fmt: skip
        self._run_log.flush_exclusive(_TRANSACTION, sequence)

    def _keep_alive(self, interval: float) -> None:
        while not self._stop.wait(interval):
            with self._lock:
                if self._stop.is_set():
                    return
                try:
                    blocking = self._try_once()
                except Exception as error:  # the thread must report, not die unseen
                    log.warning("lease of %s not renewed: %s", self._keys[0], error)
                    continue
                if blocking is not None:
                    self._lost = blocking.key
                    return


@contextmanager
def leased(
    run_log: RunLog, keys: Sequence[str], *, ttl_s: int, wait_s: float = 0.0
) -> Iterator[Lease]:
    """Hold leases on ``keys`` for a block."""
    lease = Lease(run_log, keys, ttl_s)
    lease.acquire(wait_s=wait_s)
    try:
        yield lease
    finally:
        lease.release()


def read_leases(warehouse: Warehouse) -> list[LeaseRow]:
    """Lease rows of the last days; a lease older than that is stale by any setting."""
    since = (utc_now() - _LOOK_BACK).date()
    rows = (
        warehouse.read(RUNS)
        .where(F.col("run_date") >= F.lit(since))
        .where(F.col("lease_key").isNotNull())
        .select("lease_key", "lease_sequence", "attempt_id", "state", "lease_until_ts", "holder")
        .collect()
    )
    return [LeaseRow(r[0], int(r[1]), r[2], r[3], r[4].replace(tzinfo=UTC), r[5]) for r in rows]


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def holder_name() -> str:
    """``machine/pid/start`` of this process."""
    return f"{socket.gethostname()}/{os.getpid()}/{_start_ticks(os.getpid())}"


def _next(last_sequence: int, now: datetime) -> int:
    return max(last_sequence + 1, int(now.timestamp() * 1000))


def _is_dead_here(holder: str) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    machine, _, rest = holder.partition("/")
    pid, _, start = rest.partition("/")
    if machine != socket.gethostname() or not pid.isdigit():
        return False
    return _start_ticks(int(pid)) != start


def _start_ticks(pid: int) -> str:
    """Start time of a process in clock ticks since boot, so that a reused pid is told apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "gone" if Path("/proc/self/stat").exists() else "unknown"
    return stat.rpartition(")")[2].split()[19]
