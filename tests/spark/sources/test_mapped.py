"""Sources read by a map of columns: CSV, JSON and Parquet, what fits no type, what is broken."""

import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from tests.support.records import filled

from shoal.config.load import load_settings
from shoal.config.schema import MappedSource
from shoal.errors import ConfigError
from shoal.pipelines.sources import SourceFile, check_sources, parse_files
from shoal.sources.files import list_files

EXAMPLE = Path(__file__).parents[3] / "conf" / "kc7.yaml"
LOGONS = {
    "table": "auth",
    "when": {"kind": ["Logon", "logon failed"]},
    "columns": {
        "event_ts": "at",
        "user": "who",
        "source_ip": "from",
        "is_failed": {"column": "kind", "any_of": ["LOGON FAILED"]},
        "auth_package": {"value": "vpn"},
    },
}
FLOWS = {
    "table": "network",
    "code": "flows",
    "when": {"kind": ["flow"]},
    "columns": {
        "event_ts": "at", "source_ip": "from", "destination_ip": "to", "destination_port": "port",
        "duration_s": "took", "bytes_out": "sent",
    },
}  # fmt: skip
HEADER = ["at", "kind", "who", "from", "to", "port", "took", "sent"]
LOGON = ["2024-05-01T10:00:00+0200", "Logon", "Ann@Example.com", "10.0.0.1", "", "", "", ""]
FAILED = ["1714557600123", "logon failed", r"CORP\bob", "10.0.0.2", "", "", "", ""]
FLOW = ["1714557600.5", "flow", "", "10.0.0.3", "203.0.113.7", "443", "1.5", "1e3"]
OTHER = ["2024-05-01 10:00:00", "heartbeat", "", "", "", "", "", ""]
LATE = ["yesterday", "flow", "", "10.0.0.3", "203.0.113.7", "443", "", ""]
NOBODY = ["2024-05-01 10:00:00", "Logon", "", "not an address", "", "", "", ""]
EXPECTED = [
    {"ignored_type": "logs-other", "outcome": "ignored"},
    {"outcome": "quarantined", "reason": "no usable 'at'"},
    {"outcome": "quarantined", "reason": "nobody's: no usable user_name, 'from'"},
    {
        "outcome": "event", "event_table": "auth", "event_code": "logs-auth",
        "event_ts": datetime(2024, 5, 1, 8), "user_name": "ann", "user_domain": "example.com",
        "source_ip": "10.0.0.1", "is_failed": False, "auth_package": "vpn",
    },
    {
        "outcome": "event", "event_table": "auth", "event_code": "logs-auth",
        "event_ts": datetime(2024, 5, 1, 10, 0, 0, 123000), "user_name": "bob",
        "user_domain": "corp", "source_ip": "10.0.0.2", "is_failed": True, "auth_package": "vpn",
    },
    {
        "outcome": "event", "event_table": "network", "event_code": "flows",
        "event_ts": datetime(2024, 5, 1, 10, 0, 0, 500000), "source_ip": "10.0.0.3",
        "destination_ip": "203.0.113.7", "destination_port": 443, "duration_us": 1_500_000,
    },
]  # fmt: skip
"""Bytes of 1e3 are no count, so there are none."""


def source(file_format: str, *events: dict[str, object]) -> MappedSource:
    return MappedSource.model_validate(
        {
            "name": "logs",
            "kind": "mapped",
            "paths": ["x"],
            "format": file_format,
            "events": list(events),
        }
    )


def parse(spark: SparkSession, mapped: MappedSource, folder: Path) -> list[Row]:
    files = list_files(spark, [str(folder)], source_name=mapped.name)
    return parse_files(spark, [SourceFile(mapped, file) for file in files]).collect()


def told(rows: list[Row]) -> list[dict[str, object]]:
    """What rows say, without their raw text, in the order of ``EXPECTED``."""
    values = [{k: v for k, v in filled(row).items() if k != "raw_text"} for row in rows]
    return sorted(values, key=lambda row: EXPECTED.index(row) if row in EXPECTED else -1)


def write(folder: Path, file_format: str) -> None:
    rows = [LOGON, FAILED, FLOW, OTHER, LATE, NOBODY]
    if file_format == "csv":
        lines = "\n".join(",".join(row) for row in [HEADER, *rows])
        (folder / "a.csv").write_text(lines + "\n")
    elif file_format == "json":
        records = [dict(zip(HEADER, row, strict=True)) for row in rows]
        (folder / "a.json").write_text("\n".join(map(json.dumps, records)) + "\n")
    else:
        columns = dict(zip(HEADER, zip(*rows, strict=True), strict=True))
        pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), folder / "a.parquet")


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
def test_a_map_reads_the_same_from_any_format(
    spark: SparkSession, tmp_path: Path, file_format: str
) -> None:
    write(tmp_path, file_format)
    rows = parse(spark, source(file_format, LOGONS, FLOWS), tmp_path)
    assert told(rows) == EXPECTED
    assert len({row.event_id for row in rows}) == len(rows)


def test_nested_fields_are_paths(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        '{"t":"2024-05-01T10:00:00Z","host":{"name":"Web1."},"p":[{"exe":"C:\\\\a\\\\B.EXE"}]}',
        '{"t":"2024-05-01T10:00:01Z","host":"web1","p":{"exe":"x"}}',
        '{"t":"2024-05-01T10:00:02Z","host":null,"p":null}',
        "not json",
    ]
    (tmp_path / "a.json").write_text("\n".join(lines))
    columns = {"event_ts": "t", "host_name": "host/name", "process_path": "p/0/exe"}
    rows = parse(spark, source("json", {"table": "process", "columns": columns}), tmp_path)
    [event] = [filled(row) for row in rows if row.outcome == "event"]
    assert (event["host_name"], event["process_name"]) == ("web1", "b.exe")
    assert sorted(row.reason for row in rows if row.reason) == [
        "nobody's: no usable 'host/name'",
        "nobody's: no usable 'host/name'",
        "the line is not one JSON object",
    ]


def test_a_file_without_a_mapped_column_is_quarantined_whole(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("at,kind\n2024-05-01 10:00:00,Logon\n")
    (tmp_path / "b.csv").write_text(",".join(HEADER) + "\n" + ",".join(LOGON) + ",extra\n")
    rows = parse(spark, source("csv", LOGONS), tmp_path)
    assert sorted(row.reason for row in rows) == [
        "the file has no column 'from', 'who'; it has 'at', 'kind'",
        "the row has another number of cells than the header",
    ]


def test_faults_of_a_map_are_told_all_at_once() -> None:
    bad = [
        {"table": "proces", "columns": {"event_ts": "t"}},
        {"table": "auth", "code": "b", "columns": {"user_nam": "u", "event_ts": "t"}},
        {"table": "dns", "columns": {"host_name": "h"}},
    ]
    with pytest.raises(ConfigError) as error:
        check_sources([source("csv", *bad)])
    told_of = str(error.value)
    assert "did you mean 'process'?" in told_of
    assert "did you mean 'user_name'?" in told_of
    assert "events_auth needs one of" in told_of
    assert "events_dns needs event_ts" in told_of


def test_the_example_reads_a_company_by_yaml_alone(spark: SparkSession, shared_data: Path) -> None:
    settings = load_settings(EXAMPLE)
    check_sources(settings.sources)
    sources = [s for s in settings.sources if isinstance(s, MappedSource)]
    assert len(sources) == len(settings.sources)
    files = [
        SourceFile(mapped, file)
        for mapped in sources
        for file in list_files(
            spark,
            [str(shared_data / "kc7_envolvelabs")],
            source_name=mapped.name,
            pattern=mapped.pattern,
        )
    ]
    counts = (
        parse_files(spark, files)
        .groupBy("event_code")
        .agg(F.count("*").alias("n"), F.count_if("is_failed").alias("failed"))
    )
    # Rows of the files, counted with Python's csv module.
    assert {row.event_code: (row.n, row.failed) for row in counts.collect()} == {
        "kc7_process-process": (9_326, 0),
        "kc7_logon-auth": (11_874, 5_988),
        "kc7_file-file": (18_026, 0),
        "kc7_email-email": (40_429, 2_567),
        "kc7_web-web": (29_710, 0),
    }
