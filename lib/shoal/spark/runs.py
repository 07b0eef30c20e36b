"""Attempts and leases: who runs what, and who must wait.

A lease is rows of ``runs``: one held row a key, all under one sequence number. Taking and renewing
are compare-and-swaps: held rows are committed as version *last + 1* of one Delta application, where
*last* is the largest sequence in the whole table. Delta commits a version of an application at most
once, and none below a committed one; so of all runs that saw the same leases one gets its rows in,
and the others look again.
"""

import hashlib
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import RUNS
from shoal.errors import DataError, LeaseHeldError, TryAgainError
from shoal.spark.tables import CONFLICTS, Warehouse

log = logging.getLogger(__name__)

_TRANSACTION = "shoal-lease"
_LOOK_BACK = timedelta(days=2)
_POLL_S = 2.0
_ATTEMPTS = 20
_JITTER_S = 0.5


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


@dataclass(frozen=True)
class Leases:
    """All leases at one moment.

    Attributes
    ----------
    last : largest sequence ever committed, 0 if none
    newest : newest row of each key that had one in the last days
    """

    last: int
    newest: Mapping[str, LeaseRow]


@dataclass
class RunLog:
    """Rows about one invocation; written in few commits. Threads may share it.

    Attributes
    ----------
    attempt_id : identity of the invocation
    facts : columns that every row of the invocation carries
    """

    warehouse: Warehouse
    facts: Mapping[str, Any]
    attempt_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, step: str, state: str, **columns: Any) -> None:
        """Keep a row for the next :meth:`flush`."""
        with self._lock:
            self._rows.append(self._row(step, state, columns))

    def flush(self) -> None:
        """Write the rows kept so far in one commit; they are kept on if that fails."""
        with self._lock:
            if self._rows:
                self.warehouse.append(self.warehouse.frame(RUNS, self._rows), RUNS)
                self._rows.clear()

    def append_lease(self, keys: Sequence[str], sequence: int, until: datetime) -> bool:
        """Commit held rows as lease number ``sequence``; return whether they went in.

        Releases kept so far go along, lest others wait for a key that is free until the next
        flush. All other rows stay: a commit that may be skipped is no place for them.
        """
        columns = {"lease_sequence": sequence, "lease_until_ts": until, "holder": holder_name()}
        held = [self._row("lease", "held", {"lease_key": key, **columns}) for key in keys]
        with self._lock:
            releases = [row for row in self._rows if row["step"] == "lease"]
            frame = self.warehouse.frame(RUNS, [*releases, *held])
            try:
                self.warehouse.append_exclusive(frame, RUNS, _TRANSACTION, sequence)
            except CONFLICTS:
                log.debug("lease %d met the commit of another run", sequence)
            # Delta skips a late commit silently, and one reported as failed may have gone in.
            is_in = self._has_lease(keys[0], sequence)
            if is_in:
                self._rows = [row for row in self._rows if row["step"] != "lease"]
        return is_in

    def _has_lease(self, key: str, sequence: int) -> bool:
        mine = (
            (F.col("lease_sequence") == sequence)
            & (F.col("lease_key") == key)
            & (F.col("attempt_id") == self.attempt_id)
            & (F.col("state") == "held")
        )
        return bool(self.warehouse.read(RUNS).where(mine).select("lease_key").head(1))

    def _row(self, step: str, state: str, columns: Mapping[str, Any]) -> dict[str, Any]:
        now = utc_now()
        row: dict[str, Any] = dict.fromkeys(RUNS.column_names) | dict(self.facts) | dict(columns)
        row |= {"attempt_id": self.attempt_id, "step": step, "state": state}
        return row | {"run_date": now.date(), "written_ts": now}


class Lease:
    """Leases on some keys, kept alive by a thread until released."""

    def __init__(self, run_log: RunLog, keys: Sequence[str], ttl_s: int) -> None:
        self._run_log = run_log
        self._keys = list(keys)
        self._ttl = timedelta(seconds=ttl_s)
        self._sequence = 0
        self._until = datetime.min.replace(tzinfo=UTC)
        self._lost: str | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def acquire(self, *, wait_s: float = 0.0) -> None:
        """Take all keys, waiting up to ``wait_s`` seconds for others to let go.

        Raises
        ------
        LeaseHeldError
            If somebody else holds one of them.
        TryAgainError
            If runs that want other keys keep coming first.
        DataError
            If ``runs`` has lost the latest leases.
        """
        deadline = time.monotonic() + wait_s
        told = False
        while (held := self._compete(self._held_by_others)) is not None:
            if time.monotonic() >= deadline:
                raise LeaseHeldError(f"{held}: run the same command again later")
            if not told:
                log.info("waiting: %s", held)
                told = True
            time.sleep(_POLL_S)
        interval = self._ttl.total_seconds() / 3
        threading.Thread(target=self._keep_alive, args=(interval,), daemon=True).start()

    def check(self) -> None:
        """Raise :class:`TryAgainError` if the lease was lost meanwhile."""
        lost = self._lost or self._expired()
        if lost:
            raise TryAgainError(f"lost the lease of {lost}: run the same command again")

    def release(self) -> None:
        """Let go; the rows go out with the next commit of the run log."""
        self._stop.set()
        with self._lock:
            for key in self._keys:
                # The number of the held row frees that row and, whatever the clocks say, no other.
                self._run_log.add(
                    "lease", "released", lease_key=key, lease_sequence=self._sequence,
                    lease_until_ts=utc_now(), holder=holder_name(),
                )  # fmt: skip

    def _compete(self, objection: Callable[[Mapping[str, LeaseRow]], str | None]) -> str | None:
        """Commit held rows, unless ``objection`` finds in the newest leases why not: return that.

        Losing to a lease of other keys is no reason: look again.
        """
        seen = set()
        for _ in range(_ATTEMPTS):
            leases = read_leases(self._run_log.warehouse)
            reason = objection(leases.newest)
            if reason is not None:
                return reason
            sequence, until = leases.last + 1, utc_now() + self._ttl
            if self._run_log.append_lease(self._keys, sequence, until):
                self._sequence, self._until = sequence, until
                return None
            seen.add(leases.last)
            time.sleep(_JITTER_S * random.random())
        if len(seen) == 1:
            raise DataError(
                f"table {RUNS.name} ends with lease {min(seen)}, yet Delta has committed later "
                "ones: restore its latest version, or move it away and run `shoal tables apply`"
            )
        raise TryAgainError(
            f"{self._keys[0]}: {_ATTEMPTS} attempts met leases of other runs; "
            "run the same command again"
        )

    def _held_by_others(self, newest: Mapping[str, LeaseRow]) -> str | None:
        now = utc_now()
        for key in self._keys:
            row = newest.get(key)
            if row and row.attempt_id != self._run_log.attempt_id and row.is_live(now):
                return f"{key} is held by {row.holder} until {row.until:%H:%M:%S} UTC or its end"
        return None

    def _lost_key(self, newest: Mapping[str, LeaseRow]) -> str | None:
        for key in self._keys:
            row = newest.get(key)
            if row is None or row.attempt_id != self._run_log.attempt_id or row.state != "held":
                return key
        return self._expired()

    def _expired(self) -> str | None:
        return self._keys[0] if utc_now() > self._until else None

    def _keep_alive(self, interval: float) -> None:
        while self._lost is None and not self._stop.wait(interval):
            with self._lock:
                if self._stop.is_set():
                    return
                try:
                    self._lost = self._compete(self._lost_key)
                except Exception as error:  # the thread must report, not die unseen
                    log.warning("lease of %s not renewed: %s", self._keys[0], error)
                    self._lost = self._expired()
        if self._lost is not None:
            log.warning("lease of %s lost", self._lost)


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


def read_leases(warehouse: Warehouse) -> Leases:
    """Read the leases; one without a row in the last days is stale by any sensible setting."""
    since = (utc_now() - _LOOK_BACK).date()
    until = F.unix_micros("lease_until_ts").alias("until")
    lease = F.struct("lease_key", "lease_sequence", "attempt_id", "state", until, "holder")
    is_recent = F.col("run_date") >= F.lit(since)
    # One query, so that the number and the rows are of one version of the table.
    last, recent = (
        warehouse.read(RUNS)
        .where(F.col("lease_key").isNotNull())
        .agg(F.max("lease_sequence"), F.collect_list(F.when(is_recent, lease)))
        .collect()[0]
    )
    found = [
        LeaseRow(r["lease_key"], r["lease_sequence"], r["attempt_id"], r["state"],
                 _from_micros(r["until"]), r["holder"])
        for r in recent
    ]  # fmt: skip
    found.sort(key=lambda row: (row.sequence, row.state == "released"))
    return Leases(last or 0, {row.key: row for row in found})


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def holder_name() -> str:
    """``place/pid/start`` of this process."""
    return f"{_place()}/{os.getpid()}/{_start_ticks(os.getpid()) or 'unknown'}"


def _from_micros(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def _place() -> str:
    """Host, and the only processes among which this one's pid means anything."""
    return f"{socket.gethostname()}~{_pid_space()}"


def _pid_space() -> str:
    """Identity of this boot and pid namespace; empty if ``/proc`` doesn't tell.

    Containers may share a host's name, and a restarted one its name and pids.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        namespace = Path("/proc/self/ns/pid").readlink()
        is_own = str(Path("/proc/self").readlink()) == str(os.getpid())
    except OSError:
        return ""
    # A /proc mounted from an outer namespace counts its pids, not ours.
    return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:12] if is_own else ""


def _is_dead_here(holder: str) -> bool:
    """Whether the holder was a process of this pid namespace that is certainly gone."""
    place, _, process = holder.partition("/")
    pid, _, start = process.partition("/")
    if not _pid_space() or place != _place() or not (pid.isdigit() and start.isdigit()):
        return False
    try:
        os.kill(int(pid), 0)  # only asks; unlike /proc it sees processes that hidepid hides
    except ProcessLookupError:
        return True
    except PermissionError:
        log.debug("process %s belongs to another user", pid)
    # A reused pid has another start.
    return (_start_ticks(int(pid)) or start) != start


def _start_ticks(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; ``None`` if it can't be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]
