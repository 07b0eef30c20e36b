"""Windows events: three shapes, every type, real counts, hostile records."""

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from tests.support.records import assert_golden, filled, parse_folder

from shoal.contracts.events import PARSED_COLUMNS
from shoal.sources import SOURCES
from shoal.sources.files import list_files, read_lines

DATA = Path(__file__).parents[2] / "data"
SYSMON = {"SourceName": "Microsoft-Windows-Sysmon", "Hostname": "WS5.Theshire.local"}
SECURITY = {"SourceName": "Microsoft-Windows-Security-Auditing", "Hostname": "WS5"}
UTC_TIME = {"UtcTime": "2020-06-10 02:50:55.662", "@timestamp": "2020-06-09T02:50:55.000Z"}
TIME = {"@timestamp": "2020-06-10T02:50:55.662Z"}
PROCESS = {**SYSMON, **UTC_TIME, "EventID": 1, "Image": "C:\\a\\B.exe"}
CONNECTION = {
    **SYSMON,
    **UTC_TIME,
    "EventID": 3,
    "SourceIp": "10.0.0.1",
    "SourcePort": "53",
    "DestinationIp": "10.0.0.2",
    "DestinationPort": "50000",
    "Protocol": "udp",
}
TIMES = datetime(2020, 6, 10, 2, 50, 55, 662000)


def parse(spark: SparkSession, folder: Path, records: Sequence[object]) -> list[Row]:
    """Records parsed, in the order given; text goes as it is, all else as JSON."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (folder / "events.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = list_files(spark, [str(folder / "events.jsonl")], source_name="win")
    read = read_lines(spark, files, source_name="win").select("*", F.col("value").alias("line"))
    parsed = SOURCES["windows_json"](read.drop("line"))
    assert [(f.name, f.dataType) for f in parsed.schema] == [
        (column.name, column.type) for column in PARSED_COLUMNS
    ]
    by_id = {row.event_id: row for row in parsed.collect()}
    ids = {row.line: row.event_id for row in read.collect()}
    return [by_id[ids[line]] for line in lines]


def test_every_shape_and_type(spark: SparkSession, tmp_path: Path) -> None:
    cases = json.loads((DATA / "windows_shapes.json").read_text())
    rows = parse(spark, tmp_path, [case["record"] for case in cases])
    for case, row in zip(cases, rows, strict=True):
        expected = {**case["event"], "event_ts": datetime.fromisoformat(case["event"]["event_ts"])}
        assert filled(row) == {"outcome": "event", **expected}, case["name"]


def test_the_sample_of_every_type_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "windows_json", DATA / "windows")
    assert_golden(rows, DATA / "windows.golden.jsonl")


def test_the_real_sample_gives_the_independent_counts(
    spark: SparkSession, windows_sample: Path
) -> None:
    files = list_files(spark, [str(windows_sample)], source_name="win", pattern="*.jsonl.gz")
    lines = read_lines(spark, files, source_name="win")
    assert lines.count() == 56_979
    records = SOURCES["windows_json"](lines)
    counted = _count(records)
    outcomes: dict[str, int] = {}
    for row in counted:
        outcomes[row.outcome] = outcomes.get(row.outcome, 0) + row.n
    assert outcomes == {"event": 40_700, "ignored": 16_279}
    ignored = {row.ignored_type: row.n for row in counted if row.outcome == "ignored"}
    assert ignored["security-5158"] == 9_073
    assert ignored["sysmon-23"] == 2_418
    found: dict[tuple[str, str, str], int] = {}
    for row in counted:
        if row.outcome == "event" and row.event_action is None and row.event_table != "dns":
            kind = {"auth": "logon_failed" if row.is_failed else "logon"}.get(
                row.event_table, row.event_table
            )
            found[row.host_name, str(row.event_date), kind] = row.n
    with (windows_sample / "host_day_counts.tsv").open() as file:
        host_days = list(csv.DictReader(file, delimiter="\t"))
    expected = {
        (day["host"], day["day_utc"], kind): int(day[kind])
        for day in host_days
        for kind in ("process", "network", "file", "logon", "logon_failed")
        if int(day[kind])
    }
    assert len(host_days) == 115
    assert found == expected
    others: dict[str, int] = {}
    for row in counted:
        if row.outcome == "event" and (row.event_action or row.event_table == "dns"):
            name = row.event_action or row.event_table
            others[name] = others.get(name, 0) + row.n
    assert others == {
        "dns": 2_048, "explicit": 54, "logged_off": 801, "privileged": 954, "shared": 142,
    }  # fmt: skip


def _count(records: DataFrame) -> list[Row]:
    is_failed = F.when(F.col("event_table") == "auth", F.col("is_failed")).alias("is_failed")
    day = F.to_date("event_ts").alias("event_date")
    keys = ("outcome", "event_table", "event_action", "ignored_type", "host_name")
    return records.groupBy(*keys, day, is_failed).agg(F.count("*").alias("n")).collect()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SourceName": "MICROSOFT-windows-SYSMON"}, "event"),
        ({"SourceName": None, "Channel": "Microsoft-Windows-Sysmon/Operational"}, "event"),
        ({"SourceName": "Application Error"}, "application-error-1"),
        (
            {"SourceName": "Other", "Channel": "Microsoft-Windows-Sysmon/Operational"},
            "other-1",
        ),
        ({"EventID": 23}, "sysmon-23"),
        ({"EventID": 4688}, "sysmon-4688"),
        ({"EventID": "1"}, "event"),
        ({"EventID": 23, "Hostname": None}, "sysmon-23"),
        ({"EventID": None}, "no event id"),
        ({"EventID": 10**12}, "no event id"),
        ({"SourceName": None}, "neither provider nor channel"),
        ({"Hostname": "-"}, "no host name"),
        ({"UtcTime": "yesterday", "@timestamp": "2020-02-30T00:00:00Z"}, "no usable time"),
    ],
)
def test_what_becomes_of_a_record(
    spark: SparkSession, tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    (row,) = parse(spark, tmp_path, [{**PROCESS, **change}])
    got = {"event": "event", "ignored": row.ignored_type, "quarantined": row.reason}[row.outcome]
    assert got.startswith(expected)
    assert (row.raw_text is None) == (row.outcome != "quarantined")


def test_no_record_throws_and_none_is_lost(spark: SparkSession, tmp_path: Path) -> None:
    whole = json.dumps(PROCESS)
    broken = [
        "not json",
        "[" * 100_000,
        whole[:-1],
        whole + whole,
        f"[{whole}]",
        '"text"',
        "\x00\x01",
        '{"EventID":' + "9" * 10_000 + "}",
        "{" * 2_000 + "}" * 2_000,
        "\U0001f600" * 10_000,
    ]
    rows = parse(spark, tmp_path, broken)
    assert [row.outcome for row in rows] == ["quarantined"] * len(broken)
    assert max(len(row.raw_text) for row in rows) == 8192
    assert all(row.reason and row.host_name is None for row in rows)


def test_hostile_values_give_bounded_events(spark: SparkSession, tmp_path: Path) -> None:
    deep = json.loads('{"a":' * 200 + "1" + "}" * 200)
    records = [
        {**PROCESS, "CommandLine": "x" * 1_000_000},
        {**PROCESS, "CommandLine": "a\x00\U0001f600\n'; DROP TABLE", "Image": deep},
        {**PROCESS, "ProcessId": "0x" + "f" * 400, "ParentProcessId": -1},
        {**PROCESS, "ProcessId": 1e300, "User": "\\" * 1000},
        json.dumps(PROCESS)[:-1] + ',"Image":"C:\\\\last.exe"}',
        {**PROCESS, "EventData": "<EventData>" + "<a>" * 5000},
        {**PROCESS, "event_data": {"CommandLine": ["a", {"b": None}]}},
        {**PROCESS, "UtcTime": "2020-06-10 02:50:55.662" + "0" * 5000},
    ]
    rows = parse(spark, tmp_path, records)
    assert [row.outcome for row in rows] == ["event"] * len(records)
    assert len(rows[0].process_command_line) == 32_768
    assert rows[1].process_command_line == "a\x00\U0001f600\n'; DROP TABLE"
    assert (rows[2].process_pid, rows[2].process_parent_pid) == (None, None)
    assert (rows[3].process_pid, rows[3].user_name) == (None, None)
    assert rows[4].process_name == "last.exe"  # the same key twice: the last counts
    assert rows[6].process_command_line == '["a",{"b":null}]'


def test_process_id_by_case_and_shape(spark: SparkSession, tmp_path: Path) -> None:
    base = {**SECURITY, **TIME, "EventID": 5156}
    nxlog = {"SourceModuleType": "im_msvistalog"}
    rows = parse(
        spark,
        tmp_path,
        [
            {**base, "ProcessID": "336"},
            {**base, "ProcessId": "3548", "ProcessID": 4},
            {**base, **nxlog, "ProcessId": "3548", "ExecutionProcessID": 4},
            {**base, **nxlog, "ProcessID": 4},
            {**PROCESS, "ProcessID": 2644},
            {**PROCESS, "ProcessID": 2644, "ProcessId": "77"},
        ],
    )
    assert [row.process_pid for row in rows] == [336, 3548, 3548, None, None, 77]


@pytest.mark.parametrize(
    ("change", "source_port", "destination_port", "direction"),
    [
        ({"Initiated": "false"}, 50000, 53, "inbound"),
        ({"Initiated": "true"}, 53, 50000, "outbound"),
        ({"Initiated": "false", "SourcePort": "49152"}, 49152, 50000, "inbound"),
        ({"Initiated": "false", "DestinationPort": "49151"}, 53, 49151, "inbound"),
        ({}, 53, 50000, None),
    ],
)
def test_the_service_side_is_the_destination(
    spark: SparkSession,
    tmp_path: Path,
    change: dict[str, object],
    source_port: int,
    destination_port: int,
    direction: str | None,
) -> None:
    (row,) = parse(spark, tmp_path, [{**CONNECTION, **change}])
    assert (row.source_port, row.destination_port) == (source_port, destination_port)
    assert row.network_direction == direction
    assert (row.source_ip == "10.0.0.2") == (source_port == 50000)


def test_time_is_sysmons_own_then_the_others_in_order(spark: SparkSession, tmp_path: Path) -> None:
    times = {"@timestamp": "2020-01-02T00:00:00Z", "TimeGenerated": "2020-01-03T00:00:00Z"}
    times["TimeCreated"] = "2020-01-04 00:00:00.5"
    sysmon = {**SYSMON, "EventID": 1}
    order = ["@timestamp", "TimeGenerated", "TimeCreated"]
    records: list[object] = [{**sysmon, **times, "UtcTime": "2020-01-01 00:00:00"}]
    records += [{**sysmon, **{k: times[k] for k in order[i:]}} for i in range(3)]
    records += [{**SECURITY, "EventID": 4688, **times, "UtcTime": "2020-01-01 00:00:00"}]
    days = [row.event_ts.day for row in parse(spark, tmp_path, records)]
    assert days == [1, 2, 3, 4, 2]


def test_odd_values_of_every_type_give_events_or_a_reason(
    spark: SparkSession, tmp_path: Path
) -> None:
    sysmon, security = {**SYSMON, **UTC_TIME}, {**SECURITY, **TIME}
    library = {**sysmon, "EventID": 7, "ImageLoaded": "C:\\a.dll"}
    question = {**sysmon, "EventID": 22, "QueryName": "a.example.com"}
    task = {**security, "EventID": 4698, "TaskName": "\\t"}
    exec_ = "<Task><Actions><Exec><Command>{}</Command></Exec></Actions></Task>"
    entity = '<!DOCTYPE t [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + exec_.format("&e;")
    cases: list[tuple[dict[str, object], dict[str, object]]] = [
        ({**library, "ImageLoaded": None}, {"reason": "no usable file (ImageLoaded, ShareName)"}),
        ({**library, "ImageLoaded": {"a": 1}}, {"file_path": '{"a":1}'}),
        ({**library, "Hashes": ["SHA256=" + "a" * 64]}, {"file_hash": None}),
        (
            {**library, "Hashes": "SHA256=" + "a" * 63 + ",SHA1=" + "B" * 40},
            {"file_hash": "b" * 40},
        ),
        ({**library, "Hashes": 7, "Signed": True}, {"file_hash": None, "is_signed": None}),
        ({**library, "Signed": "true", "SignatureStatus": "valid "}, {"is_signed": True}),
        ({**library, "Signed": None, "SignatureStatus": "Valid"}, {"is_signed": None}),
        ({**library, "Signed": None, "SignatureStatus": "Revoked"}, {"is_signed": False}),
        ({**question, "QueryName": "-"}, {"reason": "no usable QueryName"}),
        ({**question, "QueryName": 7}, {"dns_question_name": "7", "is_failed": None}),
        ({**question, "QueryStatus": "x' OR 1"}, {"dns_response_code": None, "is_failed": None}),
        ({**question, "QueryStatus": 9002}, {"dns_response_code": "servfail", "is_failed": True}),
        ({**question, "QueryStatus": "9" * 400}, {"dns_response_code": None, "is_failed": None}),
        ({**question, "QueryResults": ""}, {"dns_answer_count": 0}),
        ({**question, "QueryResults": ";" * 100_000}, {"dns_answer_count": 0}),
        ({**question, "QueryResults": " ; ;10.0.0.1"}, {"dns_answer_count": 1}),
        ({**task, "TaskName": None}, {"reason": "no usable TaskName"}),
        ({**task, "TaskContent": ""}, {"task_name": "\\t", "process_path": None}),
        ({**task, "TaskContent": "<Task><Actions>"}, {"process_path": None}),
        ({**task, "TaskContent": "<a>" * 5_000}, {"process_path": None}),
        ({**task, "TaskContent": {"Exec": []}}, {"process_path": None}),
        ({**task, "TaskContent": entity}, {"process_path": None}),
        ({**task, "TaskContent": exec_.format("a<b/>c")}, {"event_action": "scheduled"}),
        ({**task, "TaskContent": exec_.format(" a.exe ")}, {"process_name": "a.exe"}),
        ({**security, "EventID": 4634}, {"user_name": None, "user_id": None}),
        ({**security, "EventID": 4634, "LogonType": "3.5"}, {"logon_type": None}),
        (
            {**security, "EventID": 4625, "TargetUserName": "a\nb", "TargetUserSid": "s-1-0-0 "},
            {"user_name": "a\nb", "user_id": None, "is_failed": True},
        ),
        (
            {**security, "EventID": 4648, "IpAddress": "::1", "IpPort": 0, "TargetServerName": []},
            {"source_ip": "::1", "source_port": None, "is_failed": None},
        ),
        ({**security, "EventID": 4672, "SubjectUserSid": {"S": 1}}, {"user_name": None}),
        ({**security, "EventID": 5140, "ShareName": "-"}, {"outcome": "quarantined"}),
        (
            {**security, "EventID": 5140, "ShareName": "\\\\*\\C$", "IpPort": 70_000},
            {"file_name": "c$", "source_port": None},
        ),
    ]
    rows = parse(spark, tmp_path, [record for record, _ in cases])
    for (record, expected), row in zip(cases, rows, strict=True):
        outcome = "quarantined" if {"reason", "outcome"} & set(expected) else "event"
        found = {name: row[name] for name in expected}
        assert (row.outcome, found) == (outcome, expected), record
