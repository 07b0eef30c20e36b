"""Column expressions: text of the log in, clean values out."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import PureWindowsPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import json_objects, only

CASES: dict[str, tuple[Callable[[Column], Column], dict[str | None, object]]] = {
    "clean": (c.clean, {" a b ": "a b", "-": None, "": None, " - ": None, None: None, "--": "--"}),
    "last_component": (
        c.last_component,
        {
            r"C:\Windows\System32\CMD.exe": "cmd.exe",
            "/usr/bin/Bash": "bash",
            r"\device\harddiskvolume4\a/b.EXE": "b.exe",
            "System": "system",
            "C:\\Temp\\": "temp",
            "\\": None,
            "-": None,
            "C:\\ÄÖ😀\\ß.exe": "ß.exe",
        },
    ),
    "account_name": (
        c.account_name,
        {r"NT AUTHORITY\SYSTEM": "system", "wardog": "wardog", "-\\-": None, r"A\B\C": "c"},
    ),
    "account_domain": (
        c.account_domain,
        {r"NT AUTHORITY\SYSTEM": "nt authority", "wardog": None, "-\\-": None, r"A\B\C": "a"},
    ),
    "whole_number": (
        c.whole_number,
        {
            "0x15a8": 5544,
            "5544": 5544,
            " 7 ": 7,
            "0x": None,
            "-1": None,
            "1.5": None,
            "0xfffffffffffffff": 2**60 - 1,
            "0xffffffffffffffff": None,
            "9" * 18: 10**18 - 1,
            "9" * 19: None,
            "1e3": None,
            "٣": None,
        },
    ),
    "port": (c.port, {"53": 53, "65535": 65535, "65536": None, "0x50": 80, "http": None}),
    "count": (c.count, {"5": 5, str(2**64 - 1): c.MAX_COUNT, "-": None, "1e9": None}),
    "ip_address": (
        c.ip_address,
        {
            "10.0.0.1": "10.0.0.1",
            "::ffff:10.0.0.1": "10.0.0.1",
            "::FFFF:10.0.0.1": "10.0.0.1",
            "0:0:0:0:0:ffff:10.0.0.1": "10.0.0.1",
            "fe80:0:0:0:3b31:a8fa:5adc:7b9e": "fe80::3b31:a8fa:5adc:7b9e",
            "FE80::1%12": "fe80::1",
            "0:0:0:0:0:0:0:1": "::1",
            "0:0:0:0:0:0:0:0": "::",
            "2001:500:2:0:0:0:0:c": "2001:500:2::c",
            "2001:db8:0:0:1:0:0:0": "2001:db8:0:0:1::",
            "1:2:3:4:5:6:7:8": "1:2:3:4:5:6:7:8",
            "LOCAL": None,
            "-": None,
            "": None,
            "10.0.0": None,
            "<script>": None,
        },
    ),
    "utc_timestamp": (
        c.utc_timestamp,
        {
            "2020-06-10 02:50:55.662": datetime(2020, 6, 10, 2, 50, 55, 662000),
            "2022-05-13T08:54:05.1230000Z": datetime(2022, 5, 13, 8, 54, 5, 123000),
            "2022-05-13T08:54:05+04:00": datetime(2022, 5, 13, 4, 54, 5),
            "2022-05-13T08:54:05-0400": datetime(2022, 5, 13, 12, 54, 5),
            "2022-02-30 00:00:00": None,
            "2022-01-01 25:00:00": None,
            "2022": None,
            "12:00:00": None,
            "now": None,
            "1969-12-31 23:59:59": None,
            "0001-01-01 00:00:00": None,
        },
    ),
    "micros": (
        c.micros,
        {
            "1713484795.943239": 1713484795943239,
            "1.713484795943239E9": 1713484795943239,
            "0.0000005": 1,
            "0": 0,
            "-1": None,
            "1e999999999": None,
            "nan": None,
            "999999999999.999999": 999999999999999999,
        },
    ),
    "slug": (
        c.slug,
        {"Microsoft-Windows-PowerShell": "microsoft-windows-powershell", "a; b": "a-b"},
    ),
}


def evaluate(
    spark: SparkSession, function: Callable[[Column], Column], texts: Sequence[str | None]
) -> list[object]:
    """Values of an expression for each text, in order."""
    rows = spark.createDataFrame(list(enumerate(texts)), "position int, text string")
    found = rows.select("position", function(F.col("text")).alias("value")).collect()
    return [row.value for row in sorted(found, key=lambda row: row.position)]


@pytest.mark.parametrize("name", CASES)
def test_values(spark: SparkSession, name: str) -> None:
    function, expected = CASES[name]
    assert dict(zip(expected, evaluate(spark, function, list(expected)), strict=True)) == expected


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=20, max_size=60))
def test_no_text_makes_an_expression_throw(spark: SparkSession, texts: list[str]) -> None:
    rows = spark.createDataFrame(list(enumerate(texts)), "position int, text string")
    columns = [function(F.col("text")).alias(name) for name, (function, _) in CASES.items()]
    assert len(rows.select(*columns).collect()) == len(texts)


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(
        st.lists(
            st.from_regex(r"[A-Za-z0-9_.$]*[A-Za-z0-9]", fullmatch=True), min_size=1, max_size=5
        ),
        min_size=20,
        max_size=40,
    )
)
def test_file_names_are_those_of_windows(spark: SparkSession, parts: list[list[str]]) -> None:
    paths = ["C:\\" + "\\".join(part) for part in parts]
    expected = [PureWindowsPath(path).name.lower() for path in paths]
    assert evaluate(spark, c.last_component, paths) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1,"b":{"c":[1,2]}}', ("1", '{"c":[1,2]}')),
        ('{"a":"x","A":"y","a":"z"}', ("z", None)),
        ('  {"a":"t\tab"}\r', ("t\tab", None)),
        ('{"a":"\\u0000😀"}', ("\x00😀", None)),
        ("{}", (None, None)),
        ('{"a":1}{"a":2}', None),
        ('{"a":1},{"a":2}', None),
        ('{"a":1} junk', None),
        ('{"a":1', None),
        ("{'a':1}", None),
        ('[{"a":1}]', None),
        ("null", None),
        ("", None),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}", None),
        ('{"a":' + "9" * 5000 + "}", None),
    ],
)
def test_json_is_one_object_or_nothing(
    spark: SparkSession, text: str, expected: tuple[str | None, str | None] | None
) -> None:
    rows = spark.createDataFrame([(text,)], "text string")
    found = rows.select(json_objects(F.col("text"), ["a", "b"]).alias("o")).select(
        only(F.col("o")).alias("o")
    )
    value = found.collect()[0].o
    assert (None if value is None else tuple(value)) == expected
