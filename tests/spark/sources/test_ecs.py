"""ECS documents: every type, nested and dotted, hits, and hostile or foreign lines."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession
from tests.support.records import assert_golden, filled, parse_folder, parse_lines

SAMPLE = Path(__file__).parents[2] / "data" / "ecs"
TIME = "2024-05-06T08:00:00Z"


def document(category: Any, kind: Any = None, **fields: Any) -> str:
    """A document as a line; ``__`` in a field's name is a dot."""
    dotted = {name.replace("__", "."): value for name, value in fields.items()}
    event = {"category": category, "type": kind}
    return json.dumps({"@timestamp": TIME, "host": {"name": "h"}, "event": event, **dotted})


def names(row: Row) -> str | None:
    """What a record became: its reason, its ignored type or its event's type."""
    text: str | None = row.reason or row.ignored_type or row.event_code
    return text


def test_the_sample_of_every_type_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "ecs", SAMPLE)
    assert len(rows) == sum(len(file.read_text().splitlines()) for file in SAMPLE.iterdir())
    assert_golden(rows, SAMPLE.parent / "ecs.golden.jsonl")


def test_lines_that_are_no_events_and_those_of_odd_shapes(
    spark: SparkSession, tmp_path: Path
) -> None:
    start, login = ["start"], "authentication"
    not_json = "the line is not one JSON object"
    no_program = "no usable process.name or process.executable"
    lines = [
        # What is no document.
        ("not json", not_json),
        (document("process")[:-20], not_json),
        ("[1, 2]", not_json),
        ("{} {}", not_json),
        ("a\0b", "NUL characters: the file is binary, or UTF-16, to be written anew as UTF-8"),
        ('{"_index": "x", "_source": "text"}', not_json),
        ('{"_index": "x", "_source": [{"@timestamp": "2024-05-06T08:00:00Z"}]}', not_json),
        # What has no category that can be read, and what hides one.
        ("{}", "ecs-uncategorised"),
        ('{"event": "text", "host": 7, "@timestamp": null}', "ecs-uncategorised"),
        ('{"_index": "x", "_source": null}', "ecs-uncategorised"),
        ('{"create": {"_index": "x"}}', "ecs-uncategorised"),
        ('{"message": "a \\"_source\\" of it"}', "ecs-uncategorised"),
        (document(None), "ecs-uncategorised"),
        (document([]), "ecs-uncategorised"),
        (document([None, {"a": 1}, "process"], start, process__name="p"), "ecs-process-start"),
        (document(["registry", "process"], start, process__name="p"), "ecs-process-start"),
        (document("PROCESS ", "Start", process__name="p1"), "ecs-process-start"),
        (document("process"), "ecs-process"),
        (document(["process"], {"a": 1}), "ecs-process-a-1-"),
        (document(7), "ecs-7"),
        (document("x'; DROP " + "y" * 500), "ecs-x-drop-" + "y" * 55),
        (document("network", "info", host__ip="10.0.0.1"), "ecs-network-info"),
        (document("package", "access"), "ecs-package-access"),
        (document("process", start, event__kind="signal"), "ecs-signal"),
        # What lacks what it needs.
        (document("process", start), no_program),
        (document("process", start, process__name={"a": 1}), no_program),
        (document("file", "creation", file=[{"path": "/x"}]), "no usable file.path or dll.path"),
        (document("network", "start", destination__ip="x' OR 1"), "no usable destination.ip"),
        (document("network", "start", destination={"ip": []}), "ecs-network-start"),
        (document("email", "info", email__to__address=[None]), "no usable email.to.address"),
        (document("package", "info", package="zstd"), "no usable package.name"),
        (json.dumps({"event.category": login, "host.name": "h", "@timestamp": "soon"}),
         "no usable @timestamp or event.created"),
        (json.dumps({"event.category": login, "@timestamp": TIME, "host": {"name": {"a": 1}}}),
         "nobody's: no usable host.name, user.name, source.ip, container.id, "
         "container.image.name, email.to.address"),
    ]  # fmt: skip
    rows = parse_lines(spark, "ecs", tmp_path, {"x.ndjson": [line for line, _ in lines]})
    assert Counter(names(row) for row in rows) == Counter(name for _, name in lines)
    assert {row.outcome for row in rows if row.reason} == {"quarantined"}
    assert all((row.raw_text is None) == (row.reason is None) for row in rows)


def test_values_of_odd_types_and_of_both_ways_to_write_a_field(
    spark: SparkSession, tmp_path: Path
) -> None:
    login = {"category": "authentication"}
    documents: list[tuple[dict[str, Any], dict[str, Any]]] = [
        # Nested before dotted, and a null for nothing.
        ({"user": {"name": "near"}, "user.name": "far"}, {"user_name": "near"}),
        ({"user": {"name": None}, "user.name": "far"}, {"user_name": "far"}),
        ({"user": "text", "user.name": "far"}, {"user_name": "far"}),
        ({"user": [{"name": "in an array"}], "user.name": 1000}, {"user_name": "1000"}),
        ({"user": {"name": ["first", "second"]}}, {"user_name": "first"}),
        ({"user": {"name": [None, "x"]}}, {}),
        ({"user": {"name": "[not] an array]"}}, {"user_name": "[not] an array]"}),
        ({"user": {"name": {"a": 1}}, "source.ip": {}}, {}),
        ({"user": {"name": "CORP\\Ann"}}, {"user_name": "ann", "user_domain": "corp"}),
        ({"user": {"name": "ann@b.example", "domain": "C"}},
         {"user_name": "ann", "user_domain": "c"}),
        ({"user": {"name": True, "id": 1.5}}, {"user_name": "true", "user_id": "1.5"}),
        # Numbers that are none.
        ({"source": {"ip": ["::ffff:198.51.100.1", "x"], "port": "70000"}},
         {"source_ip": "198.51.100.1"}),
        ({"source": {"ip": 7, "port": -1}, "process": {"pid": "1e3"}}, {}),
        ({"winlog": {"event_data": {"LogonType": [3]}, "logon": {"type": "Batch"}}},
         {"logon_type": 3}),
        ({"winlog": {"event_data": {"LogonType": "x"}, "logon": {"type": "Batch"}}},
         {"logon_type": 4}),
        ({"event": {**login, "outcome": ["failure"]}}, {"is_failed": True}),
        ({"event": {**login, "outcome": {"a": 1}}}, {}),
        ({"event": {**login, "outcome": "unknown", "type": ["start", "denied"]}},
         {"is_failed": True}),
        # Times: a number since 1970, the other field.
        ({"@timestamp": 1714982400123}, {"event_ts": datetime(2024, 5, 6, 8, 0, 0, 123000)}),
        ({"@timestamp": None, "event": {**login, "created": "2024-05-06T09:00:00+01:00"}}, {}),
    ]  # fmt: skip
    base = {"@timestamp": TIME, "host": {"name": "h"}, "event": login}
    lines = [
        json.dumps({**base, "agent": {"name": f"a{place}"}, **own, "container.name": str(place)})
        for place, (own, _) in enumerate(documents)
    ]
    rows = parse_lines(spark, "ecs", tmp_path, {"x.ndjson": lines})
    found = {int(row.container_name): filled(row) for row in rows}
    common = {
        "outcome": "event", "event_table": "auth", "event_code": "ecs-authentication",
        "event_ts": datetime(2024, 5, 6, 8), "host_name": "h",
    }  # fmt: skip
    expected = {
        place: {**common, "container_name": str(place), **own}
        for place, (_, own) in enumerate(documents)
    }
    assert found == expected
