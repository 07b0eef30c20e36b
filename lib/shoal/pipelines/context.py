"""What every step works with."""

import logging
import platform
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from pyspark.sql import SparkSession

from shoal import __version__
from shoal.config import Settings, config_hash, mask_arguments, resolved_json, runtime_hash
from shoal.spark.runs import RunLog, leased
from shoal.spark.session import described
from shoal.spark.tables import Warehouse, open_warehouse

log = logging.getLogger(__name__)

_LIBRARIES = ("pyspark", "delta-spark", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow")


NightCounts = dict[date, dict[str, int]]
"""Rows written by night and table."""


@dataclass(frozen=True)
class _RunRow:
    """What a step says about a night in ``runs``."""

    event_date: date | None
    run_id: str | None
    counts: dict[str, int]


@dataclass
class Context:
    """One invocation: its settings, tables and run log.

    Attributes
    ----------
    faults : what went wrong without stopping the night, in words
    """

    settings: Settings
    warehouse: Warehouse
    run_log: RunLog
    faults: list[str] = field(default_factory=list)

    @property
    def spark(self) -> SparkSession:
        """The session."""
        return self.warehouse.spark

    @contextmanager
    def leased(self, keys: Sequence[str], *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold leases on ``keys`` for a block: no data is committed in it without them.

        Raises
        ------
        LeaseHeldError
            If somebody else still holds one of them after ``wait_s`` seconds.
        """
        ttl_s = self.settings.lease.ttl_s
        with leased(self.run_log, keys, ttl_s=ttl_s, wait_s=wait_s) as lease:
            self.warehouse.guard = lease.check
            try:
                yield
            finally:
                self.warehouse.guard = None

    @contextmanager
    def step(self, name: str, *, subject: str = "") -> Iterator[dict[str, int]]:
        """Time a step that is of no night, describe its Spark jobs, and keep a row of ``runs``.

        Yields a dictionary that the step fills with rows written by table.
        """
        with self._timed(name, subject) as ended:
            rows: dict[str, int] = {}
            try:
                yield rows
            finally:
                ended.append(_RunRow(None, None, rows))

    @contextmanager
    def night_step(
        self, name: str, run_ids: Mapping[date, str], *, subject: str
    ) -> Iterator[NightCounts]:
        """Time a step of some nights, describe its Spark jobs, and keep a row of ``runs`` a night.

        Yields, by night, a dictionary that the step fills with rows written by table.
        """
        with self._timed(name, subject) as ended:
            rows: NightCounts = {day: {} for day in run_ids}
            try:
                yield rows
            finally:
                ended += [_RunRow(day, run_ids[day], rows[day]) for day in run_ids]

    @contextmanager
    def _timed(self, name: str, subject: str) -> Iterator[list[_RunRow]]:
        """Run a block; the rows it leaves go to ``runs``, its time shared among them."""
        ended: list[_RunRow] = []
        started = time.monotonic()
        state = "failed"
        try:
            with described(self.spark, f"shoal {name} {subject}".strip()):
                yield ended
            state = "done"
        finally:
            seconds = time.monotonic() - started
            for row in ended:
                self.run_log.add(
                    name,
                    state,
                    event_date=row.event_date,
                    run_id=row.run_id,
                    row_counts=dict(row.counts),
                    seconds=seconds / len(ended),
                )
        total = sum((Counter(row.counts) for row in ended), start=Counter[str]())
        names = dict.fromkeys(table for row in ended for table in row.counts)
        counts = ", ".join(f"{table} {total[table]:,}" for table in names)
        log.info("%-9s%s  %.1f s  %s", name, f" {subject}" if subject else "", seconds, counts)


def open_context(spark: SparkSession, settings: Settings, arguments: Sequence[str] = ()) -> Context:
    """Return the context of one invocation."""
    warehouse = open_warehouse(spark, settings)
    facts = {
        "arguments": shlex.join(mask_arguments(arguments)),
        "config_hash": config_hash(settings),
        "runtime_hash": runtime_hash(settings),
        "configuration": resolved_json(settings),
        "library_versions": library_versions(),
    }
    return Context(settings, warehouse, RunLog(warehouse, facts))


def library_versions() -> dict[str, str]:
    """Versions of Shoal, Python and the libraries that numbers depend on."""
    found = {"shoal": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            log.debug("no metadata of %s: its version is not recorded", name)
    return found
