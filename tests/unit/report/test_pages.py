"""Pages that fit a terminal."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from shoal.report.pages import list_page
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
