"""Records of sources: files in, rows of PARSED_COLUMNS out, and their golden form."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession

from shoal.contracts.events import PARSED_COLUMNS
from shoal.sources import SOURCES
from shoal.sources.files import list_files, read_lines

_PLUMBING = {"source_name", "source_file", "file_id", "event_id"}


def parse_folder(spark: SparkSession, kind: str, folder: Path) -> list[Row]:
    """Records of all files below a folder, by file, then event id."""
    files = list_files(spark, [str(folder)], source_name="test")
    parsed = SOURCES[kind](read_lines(spark, files, source_name="test"))
    assert [(f.name, f.dataType) for f in parsed.schema] == [
        (column.name, column.type) for column in PARSED_COLUMNS
    ]
    return sorted(parsed.collect(), key=lambda row: (row.source_file, row.event_id))


def parse_lines(
    spark: SparkSession, kind: str, folder: Path, files: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Records of some files, given by name; ``.gz`` is packed."""
    for name, lines in files.items():
        path = folder / name
        text = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return parse_folder(spark, kind, folder)


def filled(row: Row) -> dict[str, Any]:
    """Values of a record, those that are null and what tells where it stood left out."""
    return {k: v for k, v in row.asDict().items() if v is not None and k not in _PLUMBING}


def golden(rows: Sequence[Row]) -> list[str]:
    """Records as JSON lines, in an order that depends on nothing but what they say."""
    return sorted(json.dumps(filled(row), default=str, sort_keys=True) for row in rows)


def assert_golden(rows: Sequence[Row], path: Path) -> None:
    """Hold records against a golden file; what they are now is left beside it if they differ."""
    found = golden(rows)
    if not path.exists() or found != path.read_text().splitlines():
        beside = path.with_suffix(".found")
        beside.write_text("\n".join(found) + "\n")
        raise AssertionError(f"records differ from {path}; as they are now: {beside}")


def assert_values(
    rows: Sequence[Row], expected: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Hold events against (line, values expected); event ``n`` is told by its microsecond ``n``."""
    assert [row.reason for row in rows if row.outcome != "event"] == []
    by_number = {row.event_ts.microsecond: row for row in rows}
    found = [
        {name: by_number[number][name] for name in values}
        for number, (_, values) in enumerate(expected)
    ]
    assert found == [dict(values) for _, values in expected]
