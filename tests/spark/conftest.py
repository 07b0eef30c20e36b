"""Warehouses for the tests to work in, and nights that several of them look at."""

import shutil
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.support.nights import run_nights, settings_for

from shoal.pipelines.context import Context
from shoal.spark.tables import Warehouse, open_warehouse


@pytest.fixture
def warehouse(spark: SparkSession, empty_tables: Path, tmp_path: Path) -> Warehouse:
    """An empty warehouse with all tables."""
    path = tmp_path / "warehouse"
    shutil.copytree(empty_tables, path)
    return open_warehouse(spark, settings_for(path))


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The driver's own time zone, hours behind UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


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
    source = {
        "name": "windows",
        "kind": "windows_json",
        "paths": [str(windows_sample)],
        "pattern": "*.jsonl.gz",
    }
    settings = settings_for(path, sources=[source], **WINDOWS_SECTIONS)
    return run_nights(spark, empty_tables, settings, *WINDOWS_NIGHTS)
