"""What every step works with."""

import logging
import platform
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from pyspark.sql import SparkSession

from shoal import __version__
from shoal.config import Settings, config_hash, resolved_json, runtime_hash
from shoal.spark.runs import RunLog
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
    def step(self, name: str, subject: str = "") -> Iterator[dict[str, int]]:
        """Time a step, describe its Spark jobs, and keep a row about it.

        Yields a dictionary that the step fills with rows written by table.
        """
        rows: dict[str, int] = {}
        label = f"{name} {subject}".strip()
        started = time.monotonic()
        with described(self.spark, f"shoal {label}"):
            yield rows
        seconds = time.monotonic() - started
        counts = ", ".join(f"{table} {count:,}" for table, count in rows.items())
        log.info("%-9s %s  %.1f s  %s", name, subject, seconds, counts)


def open_context(spark: SparkSession, settings: Settings, arguments: Sequence[str] = ()) -> Context:
    """Return the context of one invocation."""
    warehouse = open_warehouse(spark, settings)
    facts = {
        "arguments": shlex.join(arguments),
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
