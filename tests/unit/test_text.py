"""Rows for people: every form makes the attacker's text harmless."""

import csv
import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.log import JsonLines, PlainText, plain
from shoal.report.text import FORMS, cell, number, render

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "<script>alert(1)</script>",
    "a|b\nc",
    "\u202egnp.exe",
    "[bold]rich[/bold]",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_form_lets_control_characters_through(form: str, text: str) -> None:
    shown = render([{"name": text}], ["name"], form, width=200)  # type: ignore[arg-type]
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.strip()


@pytest.mark.parametrize("form", [PlainText("%(message)s"), JsonLines()])
@pytest.mark.parametrize("text", [*HOSTILE, "%s%n{0}", "\x9b31m", "a\r2024-01-01 forged"])
def test_no_text_of_a_log_gets_out_of_its_line_of_shoals_own(
    form: logging.Formatter, text: str
) -> None:
    record = logging.LogRecord("shoal", logging.INFO, "", 0, "read %s of %s", (text, "x"), None)
    shown = form.format(record)
    said = json.loads(shown)["message"] if isinstance(form, JsonLines) else shown
    assert said.startswith("read ")
    assert said.endswith(" of x")
    assert shown.isprintable()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "  =1+1", "\uff1d1+1"])
def test_csv_cells_never_start_a_formula(text: str) -> None:
    shown = render([{"name": text}], ["name"], "csv")
    value = list(csv.reader(io.StringIO(shown)))[1][0]
    wide = ("\uff1d", "\uff0b", "\uff0d", "\uff20")
    assert not value.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", *wide))


@pytest.mark.parametrize("sign", ["\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_full_width_signs_are_quoted_too(sign: str) -> None:
    assert render([{"name": f"{sign}x"}], ["name"], "csv").endswith(f"'{sign}x")


def test_csv_keeps_numbers_as_numbers() -> None:
    assert render([{"x": -1.5, "y": None}], ["x", "y"], "csv") == "x,y\n-1.5,"


def test_markdown_has_no_raw_html_or_extra_columns() -> None:
    shown = render([{"name": "<script>|x"}], ["name"], "md").splitlines()[-1]
    assert "<script>" not in shown.replace("\\<", "")
    assert shown.count("|") - shown.count("\\|") == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("&lt;script&gt;", "\\&lt;script\\&gt;"),
        ("http://evil", "http\\://evil"),
        ("a@b.c", "a\\@b.c"),
        ("WWW.evil.com", "WWW\\.evil.com"),
    ],
)
def test_markdown_makes_no_entities_and_no_links(text: str, shown: str) -> None:
    assert render([{"name": text}], ["name"], "md").splitlines()[-1] == f"| {shown} |"


def test_json_has_null_for_numbers_that_it_does_not_know() -> None:
    row = {"a": float("nan"), "b": [{"c": float("inf")}, 1.5]}

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    shown = json.loads(render([row], [], "json"), parse_constant=refuse)
    assert shown == [{"a": None, "b": [{"c": None}, 1.5]}]


def test_rich_markup_in_a_log_stays_text() -> None:
    assert "[bold]rich[/bold]" in render([{"name": "[bold]rich[/bold]"}], ["name"], "table")


@given(st.text())
def test_plain_text_is_printable_and_json_reads_back(text: str) -> None:
    assert all(ch.isprintable() for ch in plain(text) if not ch.isspace())
    assert json.loads(render([{"name": text}], ["name"], "json")) == [{"name": text}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (212.0, "212"),
        (1234567.0, "1,234,567"),
        (0.31, "0.31"),
        (12345.6, "12,346"),
        (float("nan"), "unknown"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


def test_cells_of_nothing_and_truth() -> None:
    assert (cell(None), cell(True), cell(False)) == ("", "yes", "no")
