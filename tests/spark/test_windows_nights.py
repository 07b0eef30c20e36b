"""Whole nights over the real Windows sample."""

import csv
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F
from tests.spark.conftest import WINDOWS_NIGHTS, WINDOWS_SECTIONS
from tests.support.equality import differences
from tests.support.nights import run_nights, settings_for

from shoal.contracts import (
    ENTITY_ACTIVITY,
    ENTITY_SCORES,
    INGEST_FILES,
    OUTLIERS,
    TABLES,
    UNSCORED,
)
from shoal.contracts.events import EVENT_TABLES
from shoal.errors import DataError
from shoal.hunt.explain import explain_entity
from shoal.hunt.lists import list_outliers
from shoal.lake import published_nights
from shoal.pipelines.context import Context

COUNTED = {"process": "process", "network": "network", "file": "file", "auth": "logon"}


def warehouse_path(context: Context) -> Path:
    assert context.warehouse.path is not None
    return Path(context.warehouse.path)


def test_events_by_host_and_day_equal_the_independent_count(
    windows_nights: Context, windows_sample: Path
) -> None:
    with (windows_sample / "host_day_counts.tsv").open(encoding="utf-8") as lines:
        expected = {
            (row["host"], row["day_utc"], kind): int(row[kind])
            for row in csv.DictReader(lines, delimiter="\t")
            for kind in ("process", "network", "file", "logon", "logon_failed")
            if int(row[kind])
        }
    found: dict[tuple[str, str, str], int] = {}
    for name, kind in COUNTED.items():
        events = windows_nights.warehouse.read(EVENT_TABLES[name]).where("event_action IS NULL")
        failed = F.col("is_failed") if name == "auth" else F.lit(False)
        rows = events.groupBy("host_name", "event_date", failed.alias("failed")).count().collect()
        for host, day, is_failed, count in rows:
            found[host, str(day), "logon_failed" if is_failed else kind] = count
    assert len({key[:2] for key in expected}) > 100
    assert found == expected


def test_every_record_read_is_accounted_for(windows_nights: Context) -> None:
    row = windows_nights.warehouse.read(INGEST_FILES).collect()[0]
    parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
    assert row.read_count == sum(parts) == 56_979
    assert sum(row.ignored_by_type.values()) == row.ignored_count
    assert sum(row.events_by_table.values()) == row.event_count
    assert row.ignored_by_type["sysmon-23"] > 0


def test_nights_without_data_are_skipped_and_the_rest_published(windows_nights: Context) -> None:
    nights = published_nights(windows_nights.warehouse)
    assert [str(night.event_date) for night in nights] == [
        "2020-09-14", "2020-09-17", "2020-09-18",
    ]  # fmt: skip
    assert all(night.table_versions for night in nights)


def test_activity_counts_every_event_of_a_host_once(windows_nights: Context) -> None:
    warehouse, (_, day) = windows_nights.warehouse, WINDOWS_NIGHTS
    totals = (
        warehouse.read_days(ENTITY_ACTIVITY, day, day)
        .where("entity_type = 'host' AND dimension = 'total'")
        .select("entity_id", "event_count")
        .collect()
    )
    events: dict[str, int] = {}
    for kind in (*COUNTED, "dns"):
        rows = warehouse.read_days(EVENT_TABLES[kind], day, day).groupBy("host_name").count()
        for host, count in rows.collect():
            events[host] = events.get(host, 0) + count
    assert events
    assert {row[0]: row[1] for row in totals} == events


def test_each_entity_is_scored_or_says_why_not(windows_nights: Context) -> None:
    warehouse = windows_nights.warehouse
    start, end = WINDOWS_NIGHTS
    entities = (
        warehouse.read_days(ENTITY_ACTIVITY, start, end)
        .where("dimension = 'total'")
        .select("event_date", "entity_type", "entity_id")
    )
    judged = [
        warehouse.read_days(table, start, end).select("event_date", "entity_type", "entity_id")
        for table in (ENTITY_SCORES, UNSCORED)
    ]
    both = judged[0].unionAll(judged[1])
    assert both.count() == both.distinct().count() == entities.count() > 0
    assert warehouse.read_days(ENTITY_SCORES, end, end).count() > 0
    first = {
        row[0] for row in warehouse.read_days(UNSCORED, start, start).select("reason").collect()
    }
    assert "no_model" in first


def test_the_list_is_ordered_explained_and_evidenced(windows_nights: Context) -> None:
    found = list_outliers(windows_nights.warehouse, None)
    night, lines = found.night, found.lines
    assert night.event_date == WINDOWS_NIGHTS[1]
    assert lines
    scores = [round(line["anomaly_score"], 6) for line in lines if line["lane"] == "stray"]
    assert scores == sorted(scores, reverse=True)
    for line in lines:
        assert line["reasons"], line["entity_id"]
        assert line["evidence"], line["entity_id"]
        for reason in line["reasons"]:
            assert 0 <= reason["peers_sharing"] <= reason["peers"]


def test_an_entity_is_explained_again_from_stored_rows(windows_nights: Context) -> None:
    lines = list_outliers(windows_nights.warehouse, None).lines
    line = lines[0]
    _, found = explain_entity(
        windows_nights.warehouse,
        line["entity_id"],
        line["event_date"],
        entity_type=line["entity_type"],
        top=windows_nights.settings.outliers.reasons,
    )
    assert [reason["feature"] for reason in found["reasons"]] == [
        reason["feature"] for reason in line["reasons"]
    ]
    for again, listed in zip(found["reasons"], line["reasons"], strict=True):
        assert again["contribution"] == pytest.approx(listed["contribution"], rel=1e-9)


def test_an_unknown_entity_gets_a_near_miss(windows_nights: Context) -> None:
    lines = list_outliers(windows_nights.warehouse, None).lines
    with pytest.raises(DataError, match="did you mean"):
        explain_entity(windows_nights.warehouse, lines[0]["entity_id"] + "x", None, top=5)


def test_the_same_nights_again_leave_every_table_equal(
    windows_nights: Context, empty_tables: Path, tmp_path: Path
) -> None:
    before = warehouse_path(windows_nights)
    again = tmp_path / "warehouse"
    shutil.copytree(before, again)
    sources = [source.model_dump() for source in windows_nights.settings.sources]
    settings = settings_for(again, sources=sources, **WINDOWS_SECTIONS)
    _, last = WINDOWS_NIGHTS
    run_nights(windows_nights.spark, empty_tables, settings, last, last)
    assert differences(before, again) == []


def test_other_engines_read_tables_and_comments(windows_nights: Context) -> None:
    path = warehouse_path(windows_nights) / OUTLIERS.name
    expected = windows_nights.warehouse.read(OUTLIERS).count()
    table = DeltaTable(str(path))
    fields = {field.name: field.metadata for field in table.schema().fields}
    assert table.metadata().description.startswith(OUTLIERS.doc)
    for column in OUTLIERS.columns:
        assert fields[column.name]["comment"] == column.doc
    assert pl.scan_delta(str(path)).collect().height == expected > 0
    arrow = table.to_pyarrow_dataset()
    counted = duckdb.sql("SELECT count(*) FROM arrow").fetchall()
    assert counted == [(expected,)]
    assert arrow.schema.names == OUTLIERS.column_names


@pytest.mark.parametrize("contract", TABLES, ids=lambda table: table.name)
def test_every_table_carries_its_comment(windows_nights: Context, contract: object) -> None:
    table = DeltaTable(str(warehouse_path(windows_nights) / contract.name))  # type: ignore[attr-defined]
    assert table.metadata().description.startswith(contract.doc)  # type: ignore[attr-defined]
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
