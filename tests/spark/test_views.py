"""The views of analysts: the same by Spark and by DuckDB, and what they say they are."""

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from tests.support.nights import settings_for

from shoal.contracts import OUTLIERS, VERDICTS
from shoal.contracts.views import VIEWS, View
from shoal.hunt.feedback import Finding, record_verdicts
from shoal.hunt.lists import list_outliers
from shoal.lake import FolderLake, fetch_published, published_nights, rows_of
from shoal.pipelines.context import Context
from shoal.spark.tables import Warehouse, open_warehouse
from shoal.spark.views import create_views


@pytest.fixture(scope="module")
def tables(windows_nights: Context, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published nights, two lines of which are judged, one of them twice."""
    path = tmp_path_factory.mktemp("views") / "tables"
    shutil.copytree(str(windows_nights.warehouse.path), path)
    lake = FolderLake(str(path))
    first, second = list_outliers(lake, None).lines[:2]
    said = [(first, "malicious"), (second, "malicious"), (second, "benign")]
    for line, verdict in said:
        finding = Finding(
            line["entity_id"], verdict, "seen", line["event_date"], line["entity_type"]
        )
        record_verdicts(FolderLake(str(path)), [finding], owner="ann")
    return path


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, tables: Path) -> Warehouse:
    found = open_warehouse(spark, settings_for(tables))
    create_views(found)
    return found


def told(rows: Any) -> list[str]:
    """Rows that compare whatever their order, and whoever has summed up their numbers."""
    return sorted(str([_rounded(value) for value in row]) for row in rows)


def _rounded(value: Any) -> Any:
    # One engine's sum of decimals is another's of floats.
    return f"{float(value):.9g}" if isinstance(value, float | Decimal) else value


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_spark_and_duckdb_say_the_same(warehouse: Warehouse, tables: Path, view: View) -> None:
    flat = [
        name
        for name, kind in warehouse.spark.table(view.name).dtypes
        if not kind.startswith(("array", "map", "timestamp"))
    ]
    rows = [tuple(row) for row in warehouse.spark.table(view.name).select(*flat).collect()]
    assert rows
    connection = duckdb.connect()
    for name in view.tables:
        connection.register(name, DeltaTable(str(tables / name)).to_pyarrow_table())
    connection.execute(f"CREATE VIEW {view.name} AS {view.query}")
    other = connection.sql(f"SELECT {', '.join(flat)} FROM {view.name}").fetchall()
    assert told(rows) == told(other)


def test_open_lines_are_those_that_nobody_has_judged(warehouse: Warehouse, tables: Path) -> None:
    lake = FolderLake(str(tables))
    every = rows_of(fetch_published(lake, OUTLIERS, published_nights(lake)))
    judged = {
        (row["event_date"], row["entity_type"], row["entity_id"])
        for row in rows_of(lake.fetch(VERDICTS))
    }
    expected = {
        (line["event_date"], line["entity_type"], line["entity_id"]) for line in every
    } - judged
    found = warehouse.spark.table("v_outliers_open")
    keys = found.select("event_date", "entity_type", "entity_id").collect()
    assert len(judged) == 2
    assert sorted(tuple(row) for row in keys) == sorted(expected)
    # Of two verdicts on one night the newest holds.
    rows = warehouse.spark.table("v_outliers_judged").collect()
    assert sorted(row["verdict"] for row in rows) == ["benign", "malicious"]
    precision = warehouse.spark.table("v_list_precision").collect()
    assert sum(row["judged"] for row in precision) == 2
    assert sum(row["bad"] for row in precision) == sum(row["benign"] for row in precision) == 1
