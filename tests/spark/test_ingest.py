"""Ingest: every record of every file accounted for, whatever arrives broken, late or twice."""

import gzip
import json
import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from tests.support.nights import settings_for

from shoal.contracts import INGEST_FILES, QUARANTINE
from shoal.contracts.events import EVENT_TABLES
from shoal.errors import DataError
from shoal.pipelines import ingest as ingest_module
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.plan import faults_of_inputs, plan_night
from shoal.sources.records import DayWindow
from shoal.spark.tables import Warehouse

DAY = date(2024, 3, 4)


def line(number: int, day: date = DAY) -> str:
    """A Sysmon process event, different for each number."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(seconds=number)
    return json.dumps(
        {
            "EventID": 1,
            "SourceName": "Microsoft-Windows-Sysmon",
            "Hostname": "ws1",
            "UtcTime": at.strftime("%Y-%m-%d %H:%M:%S.000"),
            "Image": f"C:\\p{number}.exe",
        }
    )


def write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{text}\n" for text in lines).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def context_for(warehouse: Warehouse, logs: Path, **source: Any) -> Context:
    sources = [{"name": "windows", "kind": "windows_json", "paths": [str(logs)], **source}]
    assert warehouse.path is not None
    settings = settings_for(Path(warehouse.path), sources=sources)
    return open_context(warehouse.spark, settings)


def ingest(context: Context, window: DayWindow | None = None) -> int:
    """Ingest as the command does: it writes the release of its lease at the end."""
    try:
        return ingest_module.ingest(context, window)
    finally:
        context.run_log.flush()


def ledger(warehouse: Warehouse) -> dict[str, Any]:
    rows = warehouse.read(INGEST_FILES).collect()
    for row in rows:
        parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
        assert row.read_count == sum(parts), row.source_file
    return {Path(row.source_file).name: row for row in rows}


def programs(warehouse: Warehouse) -> Counter[str]:
    rows = warehouse.read(EVENT_TABLES["process"]).select("process_name").collect()
    return Counter(row[0] for row in rows)


def test_a_file_that_cannot_be_read_stops_no_other(warehouse: Warehouse, logs: Path) -> None:
    write(logs / "a.json", [line(1)])
    (logs / "b.json.gz").write_bytes(b"nor is this\n")
    (logs / "c d%41.json.gz").write_bytes(b"this is no gzip\n")
    write(logs / "e.json", [line(1000)])
    context = context_for(warehouse, logs)
    assert ingest(context) == 4
    assert programs(warehouse) == Counter(["p1.exe", "p1000.exe"])
    status = {name: row.status for name, row in ledger(warehouse).items()}
    bad = dict.fromkeys(["b.json.gz", "c d%41.json.gz"], "unreadable")
    assert status == {"a.json": "read", "e.json": "read", **bad}
    reasons = [row.reason for row in warehouse.read(QUARANTINE).collect()]
    assert len(reasons) == 2
    assert all(reason.startswith("the file cannot be read: ") for reason in reasons)
    assert ["cannot be read" in fault for fault in context.faults] == [True, True]
    # Nothing of it is read again until it changes; whole, it is.
    assert ingest(context_for(warehouse, logs)) == 0
    write(logs / "b.json.gz", [line(2)])
    assert ingest(context_for(warehouse, logs)) == 1
    assert sum(programs(warehouse).values()) == 3


def test_a_log_that_is_cut_short_is_read_up_to_there_and_the_rest_once_it_is_whole(
    warehouse: Warehouse, logs: Path
) -> None:
    write(logs / "a.json", [line(1)])
    write(logs / "b.json.gz", [line(n) for n in range(2, 900)])
    whole = (logs / "b.json.gz").read_bytes()
    (logs / "b.json.gz").write_bytes(whole[: len(whole) // 2])
    context = context_for(warehouse, logs)
    assert ingest(context) == 2
    row = ledger(warehouse)["b.json.gz"]
    assert (row.status, row.quarantined_count, row.event_days) == ("read", 1, [DAY])
    assert 100 < row.event_count < 800
    assert programs(warehouse).keys() == {f"p{n}.exe" for n in range(1, row.event_count + 2)}
    (found,) = warehouse.read(QUARANTINE).collect()
    assert found.reason.startswith("the file cannot be read to its end: it ends too early")
    assert any("b.json.gz: it ends too early" in fault for fault in context.faults)
    # The night that takes these events says so, too.
    assert faults_of_inputs(plan_night(context, DAY))
    assert ingest(context_for(warehouse, logs)) == 0
    (logs / "b.json.gz").write_bytes(whole)
    assert ingest(context_for(warehouse, logs)) == 1
    assert programs(warehouse) == Counter(f"p{n}.exe" for n in range(1, 900))


def test_all_unreadable_files_are_found_by_one_more_reading(
    warehouse: Warehouse, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (logs / f"{number}.json.gz").write_bytes(b"this is no gzip\n")
    write(logs / "good.json", [line(1)])
    batches = []
    read_batch = ingest_module._read_batch

    def counted(context: Context, files: Any, *rest: Any) -> None:
        batches.append(len(files))
        read_batch(context, files, *rest)

    monkeypatch.setattr(ingest_module, "_read_batch", counted)
    assert ingest(context_for(warehouse, logs)) == 6
    assert batches == [6, 1]
    assert programs(warehouse) == Counter(["p1.exe"])


def test_a_missing_source_is_a_fault_unless_it_is_the_only_one(
    warehouse: Warehouse, logs: Path
) -> None:
    write(logs / "a.json", [line(1)])
    context = context_for(warehouse, logs)
    gone = {"name": "zeek", "kind": "zeek", "paths": [str(logs / "gone")]}
    both = [source.model_dump() for source in context.settings.sources] + [gone]
    assert warehouse.path is not None
    context = open_context(warehouse.spark, settings_for(Path(warehouse.path), sources=both))
    assert ingest(context) == 1
    assert ["gone" in fault for fault in context.faults] == [True]
    alone = open_context(warehouse.spark, settings_for(Path(warehouse.path), sources=[gone]))
    with pytest.raises(DataError, match="gone' does not exist"):
        ingest(alone)


def test_the_same_record_in_two_files_is_one_event(warehouse: Warehouse, logs: Path) -> None:
    write(logs / "b.json", [line(1), line(1), line(2)])
    write(logs / "a.json", [line(2), line(3)])
    ingest(context_for(warehouse, logs))
    write(logs / "c.json", [line(1), line(1), line(1), line(3), line(4)])
    ingest(context_for(warehouse, logs))
    # Equal records of one file are events of their own, and the same ones in every file.
    assert programs(warehouse) == {"p1.exe": 3, "p2.exe": 1, "p3.exe": 1, "p4.exe": 1}
    counts = {n: (r.event_count, r.duplicate_count) for n, r in ledger(warehouse).items()}
    assert counts == {"a.json": (2, 0), "b.json": (2, 1), "c.json": (2, 3)}


def test_days_outside_the_window_wait_until_they_are_asked_for(
    warehouse: Warehouse, logs: Path
) -> None:
    later, mad = DAY + timedelta(days=20), date(2099, 1, 1)
    write(logs / "a.json", [line(1), line(2, later), line(3, mad)])
    write(logs / "b.json", [line(4)])
    assert ingest(context_for(warehouse, logs), DayWindow.around(DAY, 7)) == 2
    assert programs(warehouse) == Counter(["p1.exe", "p4.exe"])
    assert ledger(warehouse)["a.json"].outside_days == [later, mad]
    assert ingest(context_for(warehouse, logs), DayWindow.around(DAY, 7)) == 0
    assert ingest(context_for(warehouse, logs), DayWindow.around(later, 7)) == 1
    assert programs(warehouse) == Counter(["p1.exe", "p2.exe", "p4.exe"])
    row = ledger(warehouse)["a.json"]
    assert (row.event_days, row.outside_days) == ([DAY, later], [mad])
    assert warehouse.read(QUARANTINE).count() == 1
    assert ingest(context_for(warehouse, logs)) == 1
    assert warehouse.read(QUARANTINE).count() == 0
    assert sum(programs(warehouse).values()) == 4


def test_a_file_that_changes_while_it_is_read_is_read_again(
    warehouse: Warehouse, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(logs / "a.json", [line(1)])
    write(logs / "b.json", [line(2)])
    announce = ingest_module._announce

    def announce_and_grow(*arguments: Any) -> Any:
        write(logs / "a.json", [line(1), line(3)])
        return announce(*arguments)

    monkeypatch.setattr(ingest_module, "_announce", announce_and_grow)
    context = context_for(warehouse, logs)
    ingest(context)
    monkeypatch.undo()
    assert programs(warehouse) == Counter(["p2.exe"])
    assert ledger(warehouse)["a.json"].status == "changed"
    assert any("changed while it was read" in fault for fault in context.faults)
    ingest(context_for(warehouse, logs))
    assert programs(warehouse) == Counter(f"p{n}.exe" for n in (1, 2, 3))


def test_a_touched_file_does_not_change_a_nights_identity(warehouse: Warehouse, logs: Path) -> None:
    write(logs / "a.json", [line(1), line(2)])
    ingest(context_for(warehouse, logs))
    before = plan_night(context_for(warehouse, logs), DAY)
    os.utime(logs / "a.json", (1, 1))
    (logs / "a.json").rename(logs / "b.json")
    assert ingest(context_for(warehouse, logs)) == 1
    after = plan_night(context_for(warehouse, logs), DAY)
    assert after.run_id == before.run_id
    assert len(after.files) == 2
    assert sum(programs(warehouse).values()) == 2
    write(logs / "b.json", [line(1), line(2), line(3)])
    ingest(context_for(warehouse, logs))
    assert plan_night(context_for(warehouse, logs), DAY).run_id != before.run_id


def test_one_table_may_describe_two_types_of_entities(warehouse: Warehouse, logs: Path) -> None:
    (logs / "flows.csv").write_text("source,target,day,bytes\na,b,2024-03-04,5\n")
    sources = [
        {
            "name": f"flows_{column}", "kind": "features", "paths": [str(logs / "flows.csv")],
            "entity_type": f"flow_{column}", "id_column": column, "date_column": "day",
            "feature_columns": ["bytes"],
        }
        for column in ("source", "target")
    ]  # fmt: skip
    assert warehouse.path is not None
    settings = settings_for(Path(warehouse.path), sources=sources, entities=[])
    ingest(open_context(warehouse.spark, settings))
    rows = warehouse.read(EVENT_TABLES["feature"]).orderBy("entity_type")
    found = rows.select("entity_type", "entity_id", F.col("feature_values")[0]["value"]).collect()
    assert [tuple(row) for row in found] == [("flow_source", "a", 5.0), ("flow_target", "b", 5.0)]


def test_a_night_says_how_much_of_its_files_is_in_quarantine(
    warehouse: Warehouse, logs: Path
) -> None:
    write(logs / "a.json", [line(1), "{no json", "{nor this"])
    write(logs / "b.json", [line(2), "{neither"])
    write(logs / "c.json", [line(3, DAY + timedelta(days=1)), "{of another day"])
    context = context_for(warehouse, logs)
    ingest(context)
    faults = faults_of_inputs(plan_night(context, DAY))
    assert faults == [f"{DAY}: 3 records of its 2 files in quarantine"]
