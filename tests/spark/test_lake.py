"""Tables read without a session are what Spark reads."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_FEATURES, TABLES, VERDICTS
from shoal.errors import ContractError, HistoryGoneError
from shoal.kernels.profiles import ProfileAxes
from shoal.lake import FolderLake, Reader, published_nights, rows_of
from shoal.models.registry import load_versions, version_served
from shoal.models.vectors import VectorRule, add_vector, table_values
from shoal.pipelines.context import Context
from shoal.spark.tables import Warehouse


def folder_lake(context: Context) -> FolderLake:
    assert context.warehouse.path is not None
    return FolderLake(context.warehouse.path)


def as_text(table: pa.Table) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in rows_of(table))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_delta_rs_reads_what_spark_reads(windows_nights: Context, table: "object") -> None:
    by_spark = windows_nights.warehouse.fetch(table)  # type: ignore[arg-type]
    by_rust = folder_lake(windows_nights).fetch(table)  # type: ignore[arg-type]
    assert by_rust.column_names == by_spark.column_names
    assert as_text(by_rust) == as_text(by_spark)


def test_only_what_is_wanted_is_read(windows_nights: Context) -> None:
    [night, *_] = published_nights(windows_nights.warehouse)
    wanted = {"event_date": [night.event_date], "entity_type": ["host"]}
    columns = ["entity_id", "event_count"]
    found = [
        as_text(reader.fetch(ENTITY_FEATURES, columns, **wanted))
        for reader in (windows_nights.warehouse, folder_lake(windows_nights))
    ]
    assert found[0] == found[1]
    own = windows_nights.warehouse.read(ENTITY_FEATURES).where(
        (F.col("event_date") == F.lit(night.event_date)) & (F.col("entity_type") == "host")
    )
    assert len(found[0]) == own.count() > 0


def test_what_is_no_table_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"verdicts does not exist.*shoal tables apply"):
        FolderLake(str(tmp_path)).fetch(VERDICTS)


def test_a_table_of_another_version_is_not_read(warehouse: Warehouse) -> None:
    warehouse.spark.sql(
        f"ALTER TABLE {warehouse.identifier(VERDICTS)} SET TBLPROPERTIES "
        "('shoal.contractVersion' = '99')"
    )
    with pytest.raises(ContractError, match="has contract version 99"):
        FolderLake(str(warehouse.path)).fetch(VERDICTS)


def test_rows_are_appended_as_spark_reads_them(warehouse: Warehouse) -> None:
    row = {
        "verdict_id": "a", "event_date": date(2026, 9, 1), "entity_type": "host",
        "entity_id": "h=\u202e", "verdict": "benign",
        "created_ts": datetime(2026, 9, 2, 3, tzinfo=UTC),
    }  # fmt: skip
    FolderLake(str(warehouse.path)).append_rows(VERDICTS, [row])
    [found] = rows_of(warehouse.fetch(VERDICTS))
    assert {name: value for name, value in found.items() if value is not None} == row


def test_the_past_is_read_while_it_is_there(warehouse: Warehouse) -> None:
    lake = FolderLake(str(warehouse.path))
    lake.append_rows(VERDICTS, [{"verdict_id": "a", "event_date": date(2026, 9, 1)}])
    between = datetime.now(UTC)
    later = FolderLake(str(warehouse.path))
    later.append_rows(VERDICTS, [{"verdict_id": "b", "event_date": date(2026, 9, 1)}])
    readers: list[Reader] = [later, warehouse]
    for reader in readers:
        assert len(reader.fetch(VERDICTS)) == 2
        past = reader.as_of(between)
        assert past.fetch(VERDICTS, ["verdict_id"]).to_pylist() == [{"verdict_id": "a"}]
    for file in Path(str(warehouse.path), "verdicts").rglob("*.parquet"):
        file.unlink()
    for reader in readers:
        with pytest.raises(HistoryGoneError):
            reader.as_of(between).fetch(VERDICTS, ["verdict_id"])


def test_vectors_at_hand_are_those_that_spark_makes(windows_nights: Context) -> None:
    warehouse = windows_nights.warehouse
    night = published_nights(warehouse)[-1]
    [(kind, version), *_] = night.model_versions.items()
    [model] = load_versions(warehouse, [version_served(kind, version)]).of_types()
    rows = warehouse.read(ENTITY_FEATURES).where(
        (F.col("event_date") == F.lit(night.event_date)) & (F.col("entity_type") == kind)
    )
    terms = {row["term"] for row in rows.select(F.explode("profile.term").alias("term")).collect()}
    programs = sorted(term for term in terms if term.startswith("program="))[:2]
    axes = ProfileAxes(tuple(programs), ("program",), np.eye(3)[:2])
    model = replace(model, feature_names=(*model.columns, *axes.names), profile=axes)
    by_spark = add_vector(rows, [model.vector_rule(F.lit(True))]).orderBy("entity_id")
    expected = np.asarray([row["features"] for row in by_spark.collect()], dtype=float)
    values, _ = model.vectors(rows.orderBy("entity_id").toArrow())
    assert len(expected) > 3
    np.testing.assert_array_equal(values, expected)


def test_values_of_ready_tables_are_found_by_their_names(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [
            ("a", [("x", 1.0), ("y", 2.0)]),
            ("b", [("z", 5.0), ("y", None)]),
            ("c", []),
            ("d", [("y", float("nan")), ("x", -1.0)]),
        ],
        "entity_id string, values array<struct<name: string, value: double>>",
    )
    rule = VectorRule(F.lit(True), "values", ["y", "x", "w"])
    by_spark = add_vector(rows, [rule]).orderBy("entity_id").collect()
    expected = np.asarray([row["features"] for row in by_spark], dtype=float)
    found = table_values(rows.orderBy("entity_id").toArrow(), "values", ["y", "x", "w"])
    np.testing.assert_array_equal(found, expected)
    nan = np.nan
    np.testing.assert_array_equal(
        found, [[2.0, 1.0, nan], [nan, nan, nan], [nan, nan, nan], [nan, -1.0, nan]]
    )
