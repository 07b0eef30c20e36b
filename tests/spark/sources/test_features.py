"""Ready feature tables."""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from shoal.contracts.events import PARSED_COLUMNS
from shoal.errors import DataError, UsageError
from shoal.sources.features import parse_features
from shoal.sources.files import list_files


def read(spark: SparkSession, folder: Path, **options: str | Sequence[str]) -> DataFrame:
    files = list_files(spark, [str(folder)], source_name="f")
    arguments: dict[str, object] = {"id_column": "host", "date_column": "day", **options}
    return parse_features(spark, files, source_name="f", entity_type="charger", **arguments)  # type: ignore[arg-type]


def parse(spark: SparkSession, folder: Path, **options: str | Sequence[str]) -> list[Row]:
    parsed = read(spark, folder, **options)
    assert [(f.name, f.dataType) for f in parsed.schema] == [
        (column.name, column.type) for column in PARSED_COLUMNS
    ]
    return sorted(
        parsed.collect(),
        key=lambda row: (row.source_file, str(row.raw_text or ""), str(row.entity_id)),
    )


def values(row: Row) -> dict[str, float]:
    assert [v.name for v in row.feature_values] == sorted(v.name for v in row.feature_values)
    return {v.name: v.value for v in row.feature_values}


def test_files_are_read_by_their_own_headers(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("host,day,b,a\nH1,2024-04-19,1,2.5\nh2,2024-04-20,,-1e-3\n")
    (tmp_path / "b.csv").write_bytes(
        b'\xef\xbb\xbfa,"b, quoted",day,host\r\n 7 ,8,2024-04-19T23:30:00-02:00,"x ""y"""\r\n'
    )
    (tmp_path / "c.csv").write_text("host,day,a\n")
    (tmp_path / "d.csv").write_text("")
    (tmp_path / "e.csv").write_text("\n \n")
    rows = parse(spark, tmp_path)
    assert [(row.outcome, row.event_table, row.entity_type, row.entity_id) for row in rows] == [
        ("event", "feature", "charger", "h1"),
        ("event", "feature", "charger", "h2"),
        ("event", "feature", "charger", 'x "y"'),
    ]
    assert [values(row) for row in rows] == [
        {"a": 2.5, "b": 1.0},
        {"a": -0.001},
        {"a": 7.0, "b, quoted": 8.0},
    ]
    assert [row.event_ts for row in rows] == [
        datetime(2024, 4, 19),
        datetime(2024, 4, 20),
        datetime(2024, 4, 20),
    ]
    listed = {file.file_id for file in list_files(spark, [str(tmp_path)], source_name="f")}
    assert {row.file_id for row in rows} < listed


def test_rows_that_cannot_be_read_say_why(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "host,day,a,b\n"
        "1,2024-04-19,x,0x1p3\n2,2024-04-19,1d,1\n3,2024-02-30,1,1\n4,today,1,1\n"
        "5,2024-04-19,1\n6,2024-04-19,1,1,1\n,2024-04-19,1,1\n8,2024-04-19,inf,NaN\n"
        + "9,2024-04-19"
        + ",1" * 30_000
        + "\n"
    )
    (tmp_path / "b.csv").write_text("name,day,a\nh,2024-04-19,1\n")
    (tmp_path / "c.csv").write_text("host,day,a,a\nh,2024-04-19,1,2\n")
    rows = parse(spark, tmp_path)
    length = "the row has another number of cells than the header"
    bad = [row for row in rows if row.outcome == "quarantined"]
    assert [(Path(row.source_file).name, row.raw_text[:12], row.reason) for row in bad] == [
        ("a.csv", ",2024-04-19,", "no id in column 'host'"),
        ("a.csv", "1,2024-04-19", "not a number in column a, b"),
        ("a.csv", "2,2024-04-19", "not a number in column a"),
        ("a.csv", "3,2024-02-30", "no usable date in column 'day'"),
        ("a.csv", "4,today,1,1", "no usable date in column 'day'"),
        ("a.csv", "5,2024-04-19", length),
        ("a.csv", "6,2024-04-19", length),
        ("a.csv", "9,2024-04-19", length),
        ("b.csv", "h,2024-04-19", "the file has no column 'host'; it has 'name', 'day', 'a'"),
        ("c.csv", "h,2024-04-19", "the header repeats 'a'"),
    ]
    (kept,) = [row for row in rows if row.outcome == "event"]
    assert math.isinf(values(kept)["a"])
    assert math.isnan(values(kept)["b"])


def test_a_fault_is_told_whichever_columns_are_asked_for(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("host,day,a,note\nh,2024-04-19,1,x\nh,2024-04-19,1\n")
    rows = read(spark, tmp_path, feature_columns=["a"])
    found = rows.groupBy("outcome").count().collect()
    assert {row.outcome: row["count"] for row in found} == {"event": 1, "quarantined": 1}


def test_columns_may_be_chosen_and_a_slice_given(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("host,day,role,note,a\nh,2024-04-19,Pump,text,1\n")
    (row,) = parse(spark, tmp_path, slice_column="role", feature_columns=["a"])
    assert (row.slice, values(row)) == ("Pump", {"a": 1.0})
    (row,) = parse(spark, tmp_path, feature_columns=["a", "z"])
    assert row.reason.startswith("the file has no column 'z'")


def test_the_same_row_is_one_event_whatever_the_order_of_columns(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("host,day,a,b\nh,2024-04-19,1,2\ng,2024-04-19,1,2\n")
    (tmp_path / "b.csv").write_text("b,a,day,host\n2,1,2024-04-19,h\n1,2,2024-04-19,h\n")
    ids = [row.event_id for row in parse(spark, tmp_path)]
    assert len(ids) == 4
    assert len(set(ids)) == 3


def test_parquet_keeps_types_and_names(spark: SparkSession, tmp_path: Path) -> None:
    stamp = pd.Timestamp("2024-04-19 13:00")
    one = {"host": ["H"], "day": [stamp], "x.y": [1.5], "on": [True], "n": [3], "s": ["7"]}
    pd.DataFrame(one).astype({"day": "datetime64[us]"}).to_parquet(tmp_path / "a.parquet")
    two = {"host": ["g"], "day": ["2024-04-20"], "bad": ["x"], "none": [None]}
    pd.DataFrame(two).to_parquet(tmp_path / "b.parquet")
    first, second = parse(spark, tmp_path, file_format="parquet")
    assert values(first) == {"n": 3.0, "on": 1.0, "s": 7.0, "x.y": 1.5}
    assert (first.entity_id, first.event_ts) == ("h", datetime(2024, 4, 19))
    assert second.reason == "not a number in column bad"


def test_a_type_that_spark_does_not_know_is_named(spark: SparkSession, tmp_path: Path) -> None:
    stamp = pd.Timestamp("2024-04-19 13:00").as_unit("ns")
    pd.DataFrame({"host": ["h"], "day": [stamp]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet' cannot be read: PARQUET_TYPE"):
        read(spark, tmp_path, file_format="parquet")


def test_no_files_give_no_rows_and_an_unknown_format_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert parse(spark, tmp_path) == []
    with pytest.raises(UsageError, match="'csv' or 'parquet', got 'orc'"):
        read(spark, tmp_path, file_format="orc")
