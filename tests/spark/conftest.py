"""One shared Spark session, and warehouses for the tests to work in."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from shoal.config import Settings, validate
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.dates import Dates
from shoal.pipelines.nightly import nightly
from shoal.spark.session import start_session
from shoal.spark.tables import Warehouse, apply_contracts, open_warehouse

QUICK = {
    "master": "local[2]",
    "shuffle_partitions": 1,
    "conf": {
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        # Interpreted: for rows this few, compiling a query costs more than running it.
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    },
}


def settings_for(path: Path, **sections: Any) -> Settings:
    """Settings of a warehouse in ``path``."""
    raw = {"storage": {"path": str(path)}, "spark": QUICK, **sections}
    return validate(raw, origin="test")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of all Spark tests."""
    session = start_session(settings_for(tmp_path_factory.mktemp("unused")), name="tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def empty_tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with all tables and no row, to copy from: making one takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "warehouse"
    apply_contracts(open_warehouse(spark, settings_for(path)))
    return path


@pytest.fixture
def warehouse(spark: SparkSession, empty_tables: Path, tmp_path: Path) -> Warehouse:
    """An empty warehouse with all tables."""
    path = tmp_path / "warehouse"
    shutil.copytree(empty_tables, path)
    return open_warehouse(spark, settings_for(path))


def run_nights(spark: SparkSession, settings: Settings, start: date, end: date) -> Context:
    """Run the nights of a range as the command does, in the shared session."""
    context = open_context(spark, settings, ["nightly"])
    nightly(context, Dates(start, end, is_range=True))
    context.run_log.flush()
    return context


WINDOWS_SECTIONS: dict[str, Any] = {
    "entities": ["host", "user"],
    "features": {"novelty_days": 60},
    "fit": {"window_days": 60, "min_entities": 3, "min_rows": 10},
    "outliers": {"capacity": 10, "max_p_value": 1.0},
}
WINDOWS_NIGHTS = (date(2020, 9, 14), date(2020, 9, 18))


@pytest.fixture(scope="session")
def windows_nights(
    spark: SparkSession,
    empty_tables: Path,
    windows_sample: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Context:
    """The real Windows sample ingested, and three nights of it published."""
    path = tmp_path_factory.mktemp("windows") / "warehouse"
    shutil.copytree(empty_tables, path)
    source = {
        "name": "windows",
        "kind": "windows_json",
        "paths": [str(windows_sample)],
        "pattern": "*.jsonl.gz",
    }
    settings = settings_for(path, sources=[source], **WINDOWS_SECTIONS)
    return run_nights(spark, settings, *WINDOWS_NIGHTS)
