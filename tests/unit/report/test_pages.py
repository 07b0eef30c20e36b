"""Pages that fit a terminal."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from shoal.report.pages import (
    bar,
    list_page,
    nights_page,
    peers_page,
    rare_page,
    suppressions_page,
    tables_page,
    timeline_page,
    verdicts_page,
)
from shoal.report.text import wrapped

LINE = {
    "rank": 1,
    "entity_type": "host",
    "entity_id": "\u4f60\u597d" * 60,
    "slice": "all",
    "lane": "stray",
    "anomaly_score": 3.2,
    "severity": "high",
    "change": "new",
    "days_in_row": 1,
    "calibration": "own",
    "expected_by_chance": 0.1,
}


@pytest.mark.parametrize("text", ["\u4f60\u597d" * 60, "  - " + "\u4f60\u597d " * 60, "a" * 200])
def test_lines_fit_the_columns_of_a_terminal(text: str) -> None:
    folded = wrapped(text).splitlines()
    assert len(folded) > 1
    assert max(cell_len(line) for line in folded) <= 80
    assert "".join(folded).replace(" ", "") == text.replace(" ", "")


def test_what_follows_is_indented() -> None:
    assert wrapped("  - one two three", 12) == "  - one\n    two\n    three"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=200))
def test_folding_loses_no_character(text: str) -> None:
    assert "".join(wrapped(text, 20).split()) == "".join(text.split())


def test_a_list_fits_eighty_columns() -> None:
    page = list_page(date(2024, 1, 1), [LINE], 41, "table", total=1)
    assert LINE["entity_id"][:20] in page
    assert max(cell_len(line) for line in page.splitlines()) <= 80


def test_a_filtered_list_says_how_much_of_it_is_shown() -> None:
    assert "1 of 7 lines shown" in list_page(date(2024, 1, 1), [LINE], 41, "table", total=7)
    assert "0 of 7 lines shown" in list_page(date(2024, 1, 1), [], 41, "table", total=7)


NIGHT = {
    "event_date": date(2026, 9, 28),
    "scored": 1_234_567,
    "unscored": 55,
    "lines": 20,
    "news": 18,
    "by_chance": 26.71,
    "new_models": 2,
    "host_rand": 0.2155,
    "source_address_rand": None,
    "user_rand": 0.5,
    "moved": None,
}


def test_nights_are_a_row_each_and_fit_a_terminal() -> None:
    moved = {"event_date": date(2026, 9, 29), "moved": "host: population, user: data, " + "x" * 60}
    page = nights_page([NIGHT, {**NIGHT, **moved}], "table")
    assert "Tue 2026-09-29 moved: host: population, user: data" in page
    assert "Mon 2026-09-28 moved" not in page
    assert max(cell_len(line) for line in page.splitlines()) <= 80
    [monday] = [line for line in page.splitlines() if "Mon 2026-09-28" in line]
    assert monday.split()[2:] == ["1234567", "55", "20", "18", "26.7", "2", "0.22", "0.5"]
    assert "Tue 2026-09-29" in page


def test_titled_tables_fit_a_terminal_and_harm_none() -> None:
    long = {
        "story": "build_runner_compromised-00", "strength": "middle", "host_nights": 4,
        "listed": 3, "told_after": None, "best_rank": 1, "lowest_p": 0.000123,
    }  # fmt: skip
    hostile = {"slice": "host, role=\x1b[31m" + "x" * 60, "entities": 3, "chance": 1e-15}
    tables = {"Stories": pd.DataFrame([long]), "Slices": pd.DataFrame([hostile])}
    page = tables_page({**tables, "Nothing": pd.DataFrame()}, "table")
    assert max(cell_len(line) for line in page.splitlines()) <= 80
    # A short column is never folded, whatever its neighbours need.
    assert "build_runner_compromised-00" in page
    assert "\x1b" not in page
    assert page.endswith("Nothing: none")


HOSTILE = "=cmd|\x1b[31m<script>\u202e" + "x" * 90
TOLD = {
    "event_date": date(2026, 9, 28), "entity_type": "host", "entity_id": HOSTILE,
    "anomaly_score": 2.0, "severity": "medium", "slice": "role=web", "cluster_id": 3,
    "model_version": "host-1", "rank": None, "lane": None, "change": None, "case_id": None,
    "reasons": None, "suppressed_by": None, "reason": None, "detail": None, "is_missing": False,
}  # fmt: skip


def test_a_timeline_is_a_line_a_night() -> None:
    reason = {
        "feature": "event_count", "value": 250.0, "expected": 121.0, "unit": "events",
        "peers_sharing": 0, "peers": 4, "direction": "high", "term": None,
    }  # fmt: skip
    nights = [
        {**TOLD, "anomaly_score": None, "cluster_id": None, "is_missing": True},
        {**TOLD, "anomaly_score": None, "cluster_id": None, "reason": "too_few_events"},
        TOLD,
        {**TOLD, "anomaly_score": 8.0, "rank": 1, "lane": "stray", "reasons": [reason]},
    ]
    page = timeline_page(nights, "table")
    lines = page.splitlines()
    assert max(cell_len(line) for line in lines) <= 80
    assert not {"\x1b", "\u202e"} & set(page)
    assert [line[14:].split()[0] for line in lines[-4:]] == ["-", "-", "2.00", "8.00"]
    assert "not there" in lines[-4]
    assert "no score: too_few_events" in lines[-3]
    assert lines[-1].count("█") == 4 * lines[-2].count("█") == 24
    assert "#1 event count" in lines[-1]


def test_a_bar_is_filled_in_eighths() -> None:
    assert [bar(share, 2) for share in (-1.0, 0.0, 0.5, 1.0, 9.0)] == ["  ", "  ", "█ ", "██", "██"]
    assert bar(1 / 16, 2) == "▏ "
    assert bar(15 / 16, 2) == "█▉"
    assert {len(bar(share / 100, 7)) for share in range(101)} == {7}


def test_pages_of_feedback_fit_a_terminal_and_harm_none() -> None:
    verdict = {
        **TOLD, "verdict": "benign", "scope": "pattern", "owner": HOSTILE, "reason": HOSTILE,
    }  # fmt: skip
    rule = {
        "suppression_id": "0a1b", "entity_type": "host", "scope": "value", "pattern": HOSTILE,
        "state": "broad", "hidden": 1200, "lines": 3400, "confirmed_bad": 1, "owner": HOSTILE,
        "expiry_date": date(2027, 1, 1), "reason": HOSTILE,
    }  # fmt: skip
    value = {
        "dimension": "parent_child", "value": HOSTILE, "entities": 1, "entity_ids": [HOSTILE],
        "event_count": 1, "first_ts": datetime(2026, 9, 28, 4, 5, tzinfo=UTC),
    }  # fmt: skip
    pages = [
        verdicts_page([verdict], "table"),
        suppressions_page([rule], "table"),
        rare_page(date(2026, 9, 28), [value], "table"),
        peers_page(date(2026, 9, 28), TOLD, [{**TOLD, "distance": 1.0}], HOSTILE, "table"),
    ]
    for page in pages:
        assert max(cell_len(line) for line in page.splitlines()) <= 80
        assert not {"\x1b", "\u202e"} & set(page)
    assert "hides 1,200 of 3,400 lines, 1 of them" in pages[1]
    assert "1 event from 04:05:00" in pages[2]
    for page in (verdicts_page([verdict], "csv"), suppressions_page([rule], "csv")):
        assert "'=cmd" in page
    assert "0 values appeared" in rare_page(date(2026, 9, 28), [], "table")
    assert "1 shown" in rare_page(date(2026, 9, 28), [value, value], "table", top=1)
    assert "shoal verdict" in verdicts_page([], "table")
    assert "shoal suppress" in suppressions_page([], "table")
