"""osquery's results: each form of a line, each table, hostile records."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from tests.support.records import assert_golden, filled, parse_folder, parse_lines

from shoal.sources.columns import NO_TEXT

SAMPLE = Path(__file__).parents[2] / "data" / "osquery"
NO_OBJECT = "the line is not one JSON object"
NO_ROWS = "no columns, and no array of snapshot or diffResults"
NO_ROW = "the row is not a JSON object"
ROW = {"path": "/bin/id", "pid": "7", "uid": "0"}


def result(name: object = "process_events", **fields: Any) -> str:
    line = {"name": name, "hostIdentifier": "h1", "unixTime": 1714557600, "action": "added"}
    return json.dumps({**line, **fields})


def test_the_sample_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "osquery", SAMPLE)
    assert len({row.event_id for row in rows}) == len(rows)
    assert_golden(rows, SAMPLE.parent / "osquery.golden.jsonl")


def test_whatever_the_text_each_record_has_an_outcome(spark: SparkSession, tmp_path: Path) -> None:
    packages = [None, 5, "x", [ROW], {"name": None}, {"name": "ok", "version": 1, "source": {}}]
    lines = {
        '{"name":"process_events","columns":{': {NO_OBJECT: 1},
        "[1]": {NO_OBJECT: 1},
        "\x00\x01\x02": {NO_TEXT: 1},
        '{"columns":{},"action":"added"}': {"no usable name": 1},
        result(name=5, columns=ROW): {"osquery-5": 1},
        result("my-deb-users", columns="x"): {"osquery-my-deb-users": 1},
        result("process-events", columns="x"): {NO_ROW: 1},
        result(columns=[ROW]): {NO_ROW: 1},
        result(columns=None): {NO_ROWS: 1},
        result(): {NO_ROWS: 1},
        result(snapshot=ROW): {NO_ROWS: 1},
        result(snapshot="x"): {NO_ROWS: 1},
        result(diffResults="x"): {NO_ROWS: 1},
        result(diffResults={"added": 5, "removed": [ROW]}): {NO_ROWS: 1},
        result(diffResults={"removed": [ROW, ROW]}): {"osquery-process-events-removed": 2},
        result(columns=ROW, action=None): {"no usable action": 1},
        result(columns=ROW, action={"a": 1}): {"no usable action": 1},
        result(columns=ROW, unixTime="soon"): {"no usable unixTime": 1},
        result(columns={**ROW, "time": "soon"}, unixTime=None): {"no usable unixTime": 1},
        result(columns={**ROW, "path": ""}): {"no usable path": 1},
        result(columns={}): {"no usable path": 1},
        result("listening_ports", columns={"port": 99999}): {"no usable port": 1},
        result("socket_events", columns={"action": "bind"}): {"no usable port": 1},
        result("socket_events", columns={"action": "connect", "remote_address": "unknown"}): {
            "no usable remote_address": 1
        },
        result("socket_events", columns=ROW): {"osquery-socket-events-no-action": 1},
        result("deb_packages", columns={"name": "x"}, hostIdentifier=None): {
            "nobody's: no usable hostIdentifier, username, remote_address": 1
        },
        result("deb_packages", snapshot=packages): {NO_ROW: 4, "no usable name": 1, "event": 1},
        result(columns={**ROW, "pid": {"a": 1}, "uid": [0], "time": -1, "parent": "x"}): {
            "event": 1
        },
    }
    rows = parse_lines(spark, "osquery", tmp_path, {"a.log": list(lines)})
    expected: Counter[str] = Counter()
    for counts in lines.values():
        expected.update(counts)
    outcomes = Counter(row.reason or row.ignored_type or row.outcome for row in rows)
    assert outcomes == expected
    assert all((row.raw_text is None) == (row.outcome != "quarantined") for row in rows)
    events = [filled(row) for row in rows if row.outcome == "event"]
    package, process = sorted(events, key=lambda event: str(event["event_table"]))
    assert (package["package_name"], package["package_version"]) == ("ok", "1")
    assert "process_pid" not in process
    assert process["process_name"] == "id"
    assert "process_parent_pid" not in process
