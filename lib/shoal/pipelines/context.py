"""What every step works with."""

import logging
import platform
import shlex
import time
from collections.abc import Iterator, Sequence
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
    def step(
        self,
        name: str,
        *,
        event_date: date | None = None,
        run_id: str | None = None,
        detail: str = "",
    ) -> Iterator[dict[str, int]]:
        """Time a step, describe its Spark jobs, and keep a row of ``runs`` about it.

        Yields a dictionary that the step fills with rows written by table.
        """
        rows: dict[str, int] = {}
        subject = " ".join(filter(None, (str(event_date or ""), detail)))
        started = time.monotonic()
        state = "failed"
        try:
            with described(self.spark, f"shoal {name} {subject}".strip()):
                yield rows
            state = "done"
        finally:
            seconds = time.monotonic() - started
            self.run_log.add(
                name,
                state,
                event_date=event_date,
                run_id=run_id,
                row_counts=dict(rows),
                message=detail or None,
                seconds=seconds,
            )
        counts = ", ".join(f"{table} {count:,}" for table, count in rows.items())
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
