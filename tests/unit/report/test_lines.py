"""Lines of the list in words."""

from typing import Any

import pytest

from shoal.report.lines import evidence_text, list_heading, reason_text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"peers_sharing": 0, "peers": 41}, "; 0 of 41 peers as high"),
        ({"peers_sharing": 0, "peers": 0}, "; no peers tonight"),
        ({}, ""),
    ],
)
def test_a_reason_says_value_expectation_and_the_peers_it_knows(
    counts: dict[str, int], said: str
) -> None:
    reason = {
        "feature": "port_distinct",
        "value": 212.0,
        "expected": 3.14,
        "unit": "service ports",
        "direction": "high",
        **counts,
    }
    assert reason_text(reason) == f"port distinct 212 service ports (expected 3.14{said})"


def test_evidence_says_who_shares_it() -> None:
    item = {
        "dimension": "program_port",
        "value": "java>tcp/4444",
        "event_count": 12,
        "entities_sharing": 1,
        "is_new": True,
    }
    assert evidence_text(item) == "program port java>tcp/4444: 12 events, new for it, nobody else"


def line(expected_by_chance: float, lane: str = "stray") -> dict[str, Any]:
    return {"expected_by_chance": expected_by_chance, "lane": lane}


def test_the_heading_counts_what_chance_would_list() -> None:
    heading = list_heading("2024-01-01", [line(0.4), line(1.26)], 41, total=2)
    assert heading == "2024-01-01: 41 entity-days scored, 2 listed, 1.3 expected by chance"


def test_the_standing_are_no_work_of_chance() -> None:
    lines = [line(0.4), line(3.0, "standing"), line(2.0, "standing")]
    heading = list_heading("2024-01-01", lines, 41, total=3)
    assert heading.endswith("3 listed (2 standing), 0.4 expected by chance")
    assert list_heading("2024-01-01", lines[1:], 41, total=2).endswith("2 listed (2 standing)")


@pytest.mark.parametrize("shown", [0, 1, 3])
def test_a_part_of_the_list_says_so_and_nothing_about_chance(shown: int) -> None:
    heading = list_heading("2024-01-01", [line(0.4)] * shown, 41, total=20)
    assert heading == f"2024-01-01: 41 entity-days scored, {shown} of 20 lines shown"


def test_an_empty_list_says_that_nothing_was_strange_enough() -> None:
    assert list_heading("2024-01-01", [], 41, total=0).endswith("none strange enough for the list")
