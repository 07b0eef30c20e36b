"""Paths as Spark takes them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.sources.files import _is_in, escape_path


@given(st.text())
def test_an_escaped_path_keeps_its_text_and_has_no_bare_glob_character(path: str) -> None:
    escaped = escape_path(path)
    assert re.sub(r"\\(.)", r"\1", escaped, flags=re.DOTALL) == path
    assert not re.search(r"[{}\[\]*?]", re.sub(r"\\.", "", escaped, flags=re.DOTALL))


def test_an_ordinary_path_stays_as_it_is() -> None:
    assert escape_path("s3a://bucket/a b/conn.00:00.log.gz") == "s3a://bucket/a b/conn.00:00.log.gz"


@pytest.mark.parametrize(
    ("source_file", "folder", "expected"),
    [
        ("file:/data/zeek/conn.00:00.log", "/data/zeek", True),
        ("file:/data/zeek/conn.00:00.log", "file:///data/zeek/", True),
        ("file:/data/zeek/day=1/conn.00:00.log", "/data/zeek", False),
        ("file:/data/zeek/day=1/conn.00:00.log", "/data/*/day=?", True),
        ("file:/data/other/conn.00:00.log", "/data/zeek", False),
        ("file:/home/me/data/zeek/conn.00:00.log", "../data/zeek", True),
        ("s3a://bucket/zeek/conn.00:00.log", "s3a://bucket/zeek", True),
        ("s3a://bucket/zeek/deep/conn.00:00.log", "s3a://bucket/zeek", False),
    ],
)
def test_a_file_lies_in_its_folder_only(source_file: str, folder: str, expected: bool) -> None:
    assert _is_in(source_file, folder) is expected
