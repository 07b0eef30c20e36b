"""Which lines a rule hides."""

from datetime import date, timedelta
from typing import Any

import pytest

from shoal.models.suppressions import Suppression, hiding_rule

DAY = date(2026, 9, 28)
LINE: dict[str, Any] = {
    "event_date": DAY,
    "entity_type": "host",
    "entity_id": "nyc-CI-002",
    "slice": "role=build_runner",
    "reasons": [{"feature": "rare_program_count"}, {"feature": "event_count"}],
    "evidence": [{"dimension": "program", "value": "Nmap"}],
    "shared": None,
}


def rule(scope: str, pattern: str, **others: Any) -> Suppression:
    facts = {
        "suppression_id": f"{scope} {pattern}", "entity_type": "host", "scope": scope,
        "pattern": pattern, "reason": "known", "owner": "me", "effective_date": DAY,
        "expiry_date": DAY + timedelta(days=1), **others,
    }  # fmt: skip
    return Suppression(**facts)


@pytest.mark.parametrize(
    ("scope", "pattern", "hides"),
    [
        ("entity", "nyc-ci-002", True),
        ("entity", "NYC-*", True),
        ("entity", "nyc-ci-00", False),
        ("entity", "nyc.ci.002", False),
        ("slice", "role=build_*", True),
        ("slice", "build_runner", False),
        ("feature", "rare_program_count", True),
        ("feature", "event_count", False),
        ("reason", "rare_program_count,event_count", True),
        ("reason", "*,event_count", True),
        ("reason", "event_count,*", False),
        ("value", "program=nmap", True),
        ("value", "nmap", False),
        ("value", "program=*", True),
    ],
)
def test_a_pattern_is_held_against_its_scope(scope: str, pattern: str, hides: bool) -> None:
    assert rule(scope, pattern).matches(LINE) is hides


def test_what_a_group_shares_is_a_value_of_its_lines() -> None:
    line = {**LINE, "evidence": [], "shared": [{"dimension": "port", "value": "tcp/4444"}]}
    assert rule("value", "port=tcp/4444").matches(line)


def test_a_rule_hides_its_type_and_its_time_alone() -> None:
    assert not rule("entity", "nyc-*", entity_type="user").matches(LINE)
    assert not rule("entity", "nyc-*", expiry_date=DAY).matches(LINE)
    assert rule("entity", "nyc-*", effective_date=DAY + timedelta(days=9)).matches(LINE)


def test_the_first_rule_that_hides_a_line_is_named() -> None:
    rules = [rule("entity", "ber-*"), rule("slice", "role=*"), rule("entity", "nyc-*")]
    assert hiding_rule(LINE, rules) == "slice role=*"
    assert hiding_rule(LINE, rules[:1]) is None


def test_a_line_without_reasons_is_matched_by_none_of_them() -> None:
    line = {**LINE, "reasons": None, "evidence": None}
    assert not any(rule(scope, "*x*").matches(line) for scope in ("feature", "reason", "value"))


def test_a_pattern_is_no_regular_expression() -> None:
    assert not rule("entity", "(nyc|ber)-.*").matches(LINE)
    # One that would keep a backtracking matcher busy for years.
    assert not rule("entity", "*a" * 15 + "b").matches({**LINE, "entity_id": "a" * 60})
