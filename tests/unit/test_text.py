"""Rows for people: every form makes the attacker's text harmless."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.report.lines import evidence_text, list_heading, reason_text
from shoal.report.text import FORMS, cell, number, plain, render

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


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_csv_cells_never_start_a_formula(text: str) -> None:
    shown = render([{"name": text}], ["name"], "csv")
    value = list(csv.reader(io.StringIO(shown)))[1][0]
    assert not value.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_csv_keeps_numbers_as_numbers() -> None:
    assert render([{"x": -1.5, "y": None}], ["x", "y"], "csv") == "x,y\n-1.5,"


def test_markdown_has_no_raw_html_or_extra_columns() -> None:
    shown = render([{"name": "<script>|x"}], ["name"], "md").splitlines()[-1]
    assert "<script>" not in shown.replace("\\<", "")
    assert shown.count("|") - shown.count("\\|") == 2


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


def test_a_reason_says_value_expectation_and_peers() -> None:
    reason = {
        "feature": "port_distinct",
        "value": 212.0,
        "expected": 3.14,
        "unit": "service ports",
        "peers_sharing": 0,
        "peers": 41,
        "direction": "high",
    }
    text = reason_text(reason)
    assert text == "port distinct 212 service ports (expected 3.14; 0 of 41 peers as high)"


def test_evidence_says_who_shares_it() -> None:
    item = {
        "dimension": "program_port",
        "value": "java>tcp/4444",
        "event_count": 12,
        "entities_sharing": 1,
        "is_new": True,
    }
    assert evidence_text(item) == "program port java>tcp/4444: 12 events, new for it, nobody else"


def test_the_heading_counts_what_chance_would_list() -> None:
    lines = [{"expected_by_chance": 0.4}, {"expected_by_chance": 1.26}]
    assert list_heading("2024-01-01", lines, 41).endswith("2 listed, 1.3 expected by chance")
    assert "none strange enough" in list_heading("2024-01-01", [], 41)
