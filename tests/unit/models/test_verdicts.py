"""What verdicts say of days that look like theirs."""

import math
from datetime import date, timedelta
from typing import Any

import pytest

from shoal.models.verdicts import (
    MOST_SHIFT,
    PRIOR_VERDICTS,
    Judgement,
    Verdict,
    cosine,
    heeded_on,
    judge,
    malicious_before,
)

DAY = date(2026, 9, 28)
NEXT = DAY + timedelta(days=1)


def reasons(**contributions: float) -> list[dict[str, Any]]:
    return [
        {"feature": name, "term": None, "direction": "high", "contribution": size}
        for name, size in contributions.items()
    ]


BEACON = reasons(beacon_regularity_max=64.0, new_peer_address_count=36.0)


def judged(
    entity_id: str, score: float, carried: list[dict[str, Any]], verdicts: list[Verdict]
) -> Judgement:
    line = {
        "entity_type": "host", "entity_id": entity_id, "anomaly_score": score, "reasons": carried,
    }  # fmt: skip
    return judge(line, verdicts)


def verdict(said: str = "benign", **others: Any) -> Verdict:
    facts = {
        "verdict_id": f"{said} {others}", "event_date": DAY, "entity_type": "host",
        "entity_id": "a", "verdict": said, "scope": "pattern", "anomaly_score": 3.0,
        "reasons": BEACON, "evidence": None, "effective_date": NEXT, "expiry_date": None, **others,
    }  # fmt: skip
    return Verdict(**facts)


def test_days_look_alike_by_what_carries_them() -> None:
    assert cosine(BEACON, BEACON) == pytest.approx(1.0)
    # By standard deviations: twice as far in all is the same kind of day.
    twice = reasons(beacon_regularity_max=256.0, new_peer_address_count=144.0)
    assert cosine(BEACON, twice) == pytest.approx(1.0)
    one = reasons(beacon_regularity_max=9.0)
    assert cosine(BEACON, one) == pytest.approx(8.0 / 10.0)
    assert cosine(one, BEACON) == pytest.approx(8.0 / 10.0)
    assert cosine(BEACON, reasons(logon_failed_count=9.0)) == 0.0
    assert cosine(BEACON, []) == 0.0
    low = [{**reason, "direction": "low"} for reason in BEACON]
    assert cosine(BEACON, low) == 0.0
    ports = [{**reason, "term": "port=443"} for reason in one]
    assert cosine(one, ports) == 0.0


def test_days_look_alike_by_the_rare_values_behind_them() -> None:
    """A tool is new on its first day only: the reasons of the second are others."""
    tool = {"dimension": "program", "value": "mimikatz.exe"}
    seen = verdict(evidence=[tool, {"dimension": "port", "value": "tcp/4444"}])

    def likeness(*values: str, sharing: int = 1) -> float:
        evidence = [
            {"dimension": "program", "value": value, "entities_sharing": sharing}
            for value in values
        ]
        return seen.likeness({"reasons": reasons(event_count=9.0), "evidence": evidence})

    assert likeness("mimikatz.exe") == 1.0
    assert likeness("mimikatz.exe", "psexec.exe") == 0.5
    assert likeness("tcp/4444") == 0.0
    assert likeness("mimikatz.exe", sharing=40) == 0.0
    assert likeness() == 0.0


@pytest.mark.parametrize(
    ("said", "shift"),
    [
        (["benign"], math.log10(PRIOR_VERDICTS / (1 + PRIOR_VERDICTS))),
        (["malicious"], math.log10((1 + PRIOR_VERDICTS) / PRIOR_VERDICTS)),
        (["suspicious", "benign"], 0.0),
        (["benign"] * 50, -MOST_SHIFT),
        (["malicious"] * 50, MOST_SHIFT),
    ],
)
def test_what_was_said_of_others_moves_a_place_so_far(said: list[str], shift: float) -> None:
    given = [verdict(one, verdict_id=str(n)) for n, one in enumerate(said)]
    found = judged("b", 3.0, BEACON, given)
    assert found == Judgement(pytest.approx(shift), tuple(v.verdict_id for v in given), None)
    assert judged("b", 3.0, reasons(logon_failed_count=9.0), given) == Judgement()


def test_its_own_day_that_was_called_benign_is_not_told_again_unless_it_is_stranger() -> None:
    benign = verdict(verdict_id="v")
    assert judged("a", 3.9, BEACON, [benign]).answered_by == "v"
    assert judged("a", 4.0, BEACON, [benign]).answered_by is None
    assert judged("b", 3.0, BEACON, [benign]).answered_by is None
    assert judged("a", 3.0, reasons(logon_failed_count=9.0), [benign]).answered_by is None
    later = verdict("malicious", event_date=NEXT)
    assert judged("a", 3.0, BEACON, [benign, later]).answered_by is None


def test_a_verdict_covers_what_it_says() -> None:
    own = verdict(scope="entity")
    assert judged("a", 3.0, BEACON, [own]).shift < 0.0
    assert judged("b", 3.0, BEACON, [own]) == Judgement()


def test_a_night_heeds_what_was_said_before_it_and_of_a_day_the_last_word() -> None:
    first = verdict()
    over = verdict(entity_id="over", expiry_date=NEXT)
    later = verdict("malicious", effective_date=NEXT + timedelta(days=1))
    of_day = verdict(entity_id="c", scope="day")
    without = verdict(entity_id="d", reasons=[])
    given = [first, over, later, of_day, without]
    assert heeded_on(given, DAY) == ()
    assert heeded_on(given, NEXT) == (first,)
    # What was changed later holds from then on: a night that is run again is the same.
    assert heeded_on(given, NEXT + timedelta(days=1)) == (later,)
    taken_back = verdict("benign", scope="day", effective_date=NEXT + timedelta(days=2))
    assert heeded_on([*given, taken_back], NEXT + timedelta(days=2)) == ()


def test_no_model_learns_from_a_day_that_was_found_malicious_before_it() -> None:
    bad = verdict("malicious", scope="day", reasons=None)
    odd = verdict("suspicious", entity_id="b")
    taken_back = verdict("benign", effective_date=NEXT + timedelta(days=1))
    given = [bad, odd, taken_back]
    assert malicious_before(given, DAY) == ()
    assert malicious_before(given, NEXT) == (bad,)
    assert malicious_before(given, NEXT + timedelta(days=1)) == ()
