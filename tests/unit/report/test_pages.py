"""Pages that fit a terminal."""

from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from shoal.report.pages import list_page, nights_page, tables_page
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
