"""Zeek's connection log: own headers, JSON, other logs, real counts, hostile records."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from tests.support.records import assert_golden, filled, parse_folder, parse_lines

from shoal.sources import SOURCES
from shoal.sources import columns as c
from shoal.sources.files import list_files, read_lines

SAMPLE = Path(__file__).parents[2] / "data" / "zeek"
FIELDS = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
]
FIELDS += ["resp_bytes", "conn_state", "local_orig", "local_resp", "orig_pkts", "resp_pkts"]
ROW = [
    "1713484800.415117",
    "C1",
    "10.0.0.1",
    "43250",
    "10.0.0.2",
    "53",
    "udp",
    "dns",
    "0.141910",
    "99",
    "217",
    "SF",
    "T",
    "F",
    "2",
    "3",
]
EVENT = {
    "outcome": "event",
    "event_table": "network",
    "event_ts": datetime(2024, 4, 19, 0, 0, 0, 415117),
    "event_code": "zeek-conn",
    "source_ip": "10.0.0.1",
    "source_port": 43250,
    "destination_ip": "10.0.0.2",
    "destination_port": 53,
    "network_transport": "udp",
    "network_protocol": "dns",
    "network_direction": "outbound",
    "network_state": "SF",
    "is_failed": False,
    "bytes_out": 99,
    "bytes_in": 217,
    "packets_out": 2,
    "packets_in": 3,
    "duration_us": 141910,
}


def header(
    fields: list[str],
    *,
    path: str = "conn",
    sep: str = "\t",
    unset: str = "-",
    empty: str = "(empty)",
) -> list[str]:
    return [
        f"#separator \\x{ord(sep):02x}",
        f"#set_separator{sep};",
        f"#empty_field{sep}{empty}",
        f"#unset_field{sep}{unset}",
        f"#path{sep}{path}",
        f"#open{sep}2024-04-19-00-00-01",
        sep.join(["#fields", *fields]),
        sep.join(["#types", *["string"] * len(fields)]),
    ]


def parse(spark: SparkSession, folder: Path, **files: list[str]) -> list[Row]:
    """Records of some files (``__`` in a name for a dot), sorted by file, then event id."""
    named = {name.replace("__", "."): lines for name, lines in files.items()}
    return parse_lines(spark, "zeek", folder, named)


def with_values(**values: str) -> str:
    """ROW as a line, with other values of some fields (``id_`` for ``id.``)."""
    cells = dict(zip(FIELDS, ROW, strict=True))
    cells.update({k.replace("id_", "id."): v for k, v in values.items()})
    return "\t".join(cells.values())


def test_each_file_is_read_by_its_own_header(spark: SparkSession, tmp_path: Path) -> None:
    turned = FIELDS[::-1]
    close = ["#close\t2024-04-19-01-00-00"]
    rows = parse(
        spark,
        tmp_path,
        a__log=[*header(FIELDS), "\t".join(ROW), *close],
        b__log__gz=[*header(["_node_name", *turned]), "\t".join(["w1", *ROW[::-1]])],
        c__log=[*header(FIELDS, sep="|"), "|".join(ROW)],
    )
    assert [filled(row) for row in rows] == [EVENT, EVENT, EVENT]


def test_unset_and_empty_values_are_null(spark: SparkSession, tmp_path: Path) -> None:
    cells = dict(zip(FIELDS, ROW, strict=True))
    unset = {"service", "duration", "orig_bytes", "resp_pkts", "local_orig", "proto"}
    line = "\t".join("NIL" if name in unset else text for name, text in cells.items())
    (row,) = parse(spark, tmp_path, a__log=[*header(FIELDS, unset="NIL", empty="-"), line])
    assert row.outcome == "event"
    gone = {"network_protocol", "duration_us", "bytes_out", "packets_in", "network_direction"}
    gone.add("network_transport")
    assert filled(row) == {name: value for name, value in EVENT.items() if name not in gone}


def test_json_lines_with_epoch_or_iso_time(spark: SparkSession, tmp_path: Path) -> None:
    text = {"uid", "id.orig_h", "id.resp_h", "proto", "service", "conn_state"}
    record: dict[str, object] = {}
    for name, value in zip(FIELDS, ROW, strict=True):
        record[name] = (
            value if name in text else json.loads({"T": "true", "F": "false"}.get(value, value))
        )
    iso = {**record, "ts": "2024-04-19T00:00:00.415117Z", "_path": "conn"}
    other = {**record, "_path": "weird"}
    rows = parse(
        spark,
        tmp_path,
        **{
            "conn__00:00:00-01:00:00__log": [json.dumps(record)],
            "json_streaming__log": [json.dumps(iso), json.dumps(other)],
        },
    )
    assert [filled(row) for row in rows if row.outcome == "event"] == [EVENT, EVENT]
    assert [row.ignored_type for row in rows if row.outcome == "ignored"] == ["zeek-weird"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"conn_state": "S0"}, {"is_failed": True, "network_state": "S0"}),
        ({"conn_state": "RSTR"}, {"is_failed": False, "network_state": "RSTR"}),
        ({"local_orig": "F", "local_resp": "T"}, {"network_direction": "inbound"}),
        ({"local_orig": "T", "local_resp": "T"}, {"network_direction": None}),
        ({"proto": "icmp"}, {"source_port": None, "destination_port": None}),
        ({"ts": "1713484795.943239"}, {"event_ts": datetime(2024, 4, 18, 23, 59, 55, 943239)}),
        ({"orig_bytes": str(2**63)}, {"bytes_out": c.MAX_COUNT}),
        ({"orig_bytes": str(2**50 + 1)}, {"bytes_out": c.MAX_COUNT}),
        ({"orig_bytes": "-5", "resp_bytes": "1e9"}, {"bytes_out": None, "bytes_in": None}),
        ({"duration": "99999999999.5"}, {"duration_us": c.MAX_DURATION_US}),
        ({"id_orig_h": "FE80:0:0:0:0:0:0:1"}, {"source_ip": "fe80::1"}),
    ],
)
def test_values(
    spark: SparkSession, tmp_path: Path, values: dict[str, str], expected: dict[str, object]
) -> None:
    (row,) = parse(spark, tmp_path, a__log=[*header(FIELDS), with_values(**values)])
    assert row.outcome == "event"
    assert {name: row[name] for name in expected} == expected


def test_what_cannot_be_read_is_quarantined_with_a_reason(
    spark: SparkSession, tmp_path: Path
) -> None:
    line = "\t".join(ROW)
    rows = parse(
        spark,
        tmp_path,
        a_two__log=[*header(FIELDS), line, *header(FIELDS[::-1]), "x\t" + line],
        b_same__log=[*header(FIELDS), line, "#close\t2024-04-19-02-00-00", *header(FIELDS)],
        c_none__log=[line],
        d_cells__log=[*header(FIELDS), "\t".join(ROW[:-1]), "# a comment", "a\x00b" * 10],
        e_json__log=['{"ts":1', '{"ts":1}{"ts":2}'],
        f_ts__log=[*header(FIELDS), with_values(ts="soon"), with_values(ts="9" * 40)],
        g_ip__log=[*header(FIELDS), with_values(id_resp_h="x' OR 1")],
        i_separator__log=["#separator \\E(", *header(FIELDS)[1:], line],
        h_paths__log=[*header(FIELDS), line, *header(FIELDS, path="dns")],
        conn__json__log=[json.dumps({"ts": 1e300, "id.orig_h": "10.0.0.1"})],
    )
    reasons: dict[str, list[str | None]] = {}
    for row in rows:
        reasons.setdefault(Path(row.source_file).name.split(".")[0], []).append(row.reason)
        assert (row.outcome == "quarantined") == (row.reason is not None)
        assert (row.raw_text is not None) == (row.reason is not None)
    two = "the file has two different headers, so its fields cannot be told; split it"
    assert {name: sorted(map(str, found)) for name, found in reasons.items()} == {
        "a_two": [two, two],
        "b_same": ["None"],
        "c_none": ["the file has no #fields header"],
        "d_cells": [
            "1 cells where the header has 16",
            "1 cells where the header has 16",
            "15 cells where the header has 16",
        ],
        "e_json": ["the line is not one JSON object"] * 2,
        "f_ts": ["no usable ts"] * 2,
        "g_ip": ["no usable id.resp_h"],
        "h_paths": [two],
        "i_separator": ["None"],
        "conn": ["no usable ts"],
    }


def test_other_logs_are_ignored_by_type(spark: SparkSession, tmp_path: Path) -> None:
    rows = parse(
        spark,
        tmp_path,
        conn__log=[*header(["ts", "x"], path="sip"), "1\t2", "1\t2\t3"],
        ntp__log=[*header(["ts"], path="ntp")],
        odd__log=[*header(["ts"], path="my; log"), "1"],
    )
    assert [row.ignored_type for row in rows] == ["zeek-sip", "zeek-sip", "zeek-my-log"]


def test_the_sample_of_every_log_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "zeek", SAMPLE)
    assert_golden(rows, SAMPLE.parent / "zeek.golden.jsonl")


def test_the_real_logs_give_every_record(spark: SparkSession, shared_data: Path) -> None:
    files = list_files(spark, [str(shared_data / "zeek_rita")], source_name="z")
    assert len(files) == 360
    records = SOURCES["zeek"](read_lines(spark, files, source_name="z"))
    rows = records.groupBy("outcome", "event_code").agg(
        F.count("*").alias("n"),
        F.count_distinct("source_ip").alias("sources"),
        F.sum("bytes_out").alias("bytes_out"),
        F.sum("bytes_in").alias("bytes_in"),
        F.sum("duration_us").alias("duration_us"),
        F.count_if("is_failed").alias("failed"),
        F.min("event_ts").alias("first_ts"),
        F.max("event_ts").alias("last_ts"),
    )
    by_type = {row.event_code or row.outcome: row for row in rows.collect()}
    assert {name: row.n for name, row in by_type.items()} == {
        "zeek-conn": 105_918,
        "zeek-dns": 5_432,
        "zeek-http": 18_829,
        "zeek-ssh": 17_299,
        "zeek-ssl": 139,
    }
    # Counted by a plain loop over the lines, with Python's Decimal.
    events = by_type["zeek-conn"]
    assert (events.sources, events.failed) == (14_991, 57_177)
    assert (events.bytes_out, events.bytes_in) == (30_949_268, 7_253_350_186)
    assert events.duration_us == 640_988_607_762
    assert events.first_ts == datetime(2024, 4, 18, 23, 59, 44, 962686)
    assert events.last_ts == datetime(2024, 4, 21, 23, 59, 51, 45779)
