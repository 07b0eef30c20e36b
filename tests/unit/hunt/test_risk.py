"""Risk over days."""

from datetime import date, timedelta
from typing import Any

import pytest
from tests.support.made_up import MadeUp

from shoal.hunt.risk import risk_over_days

TODAY = date(2026, 9, 28)


def nights(*backs: int) -> list[dict[str, Any]]:
    return [
        {"event_date": TODAY - timedelta(days=back), "run_id": "r", "state": "published"}
        for back in backs
    ]


def score(name: str, back: int, value: float, kind: str = "host") -> dict[str, Any]:
    severity = (
        "low" if value < 2 else "medium" if value < 3 else "high" if value < 4 else "critical"
    )
    return {
        "event_date": TODAY - timedelta(days=back), "run_id": "r", "entity_type": kind,
        "entity_id": name, "slice": "all", "anomaly_score": value, "severity": severity,
    }  # fmt: skip


def test_scores_of_days_are_summed_and_old_ones_count_less() -> None:
    scores = [
        score("often", 0, 2.0), score("often", 1, 2.5), score("often", 7, 4.0),
        score("once", 0, 5.0), score("usual", 0, 1.9), score("long ago", 28, 9.0),
        score("lena", 14, 3.0, kind="user"),
    ]  # fmt: skip
    reader = MadeUp({"nights": nights(28, 14, 7, 1, 0), "entity_scores": scores})
    night, found = risk_over_days(reader, None)
    assert night.event_date == TODAY
    risks = {row["entity_id"]: row["risk"] for row in found}
    assert risks == pytest.approx(
        {"once": 5.0, "often": 2.0 + 2.5 * 0.5 ** (1 / 7) + 4.0 * 0.5, "lena": 3.0 * 0.25}
    )
    assert [row["entity_id"] for row in found] == ["often", "once", "lena"]
    first = found[0]
    assert (first["strange_nights"], first["highest_score"]) == (3, 4.0)
    assert first["last_strange"] == TODAY
    _, of_users = risk_over_days(reader, None, entity_type="user")
    assert [row["entity_id"] for row in of_users] == ["lena"]
    _, slower = risk_over_days(reader, None, half_life=14.0)
    assert slower[-1]["risk"] == pytest.approx(1.5)
    # Seen from a week ago: 9 × 0.5³ + …, and nothing of what came later.
    _, before = risk_over_days(reader, TODAY - timedelta(days=7))
    assert {row["entity_id"]: row["risk"] for row in before} == pytest.approx(
        {"often": 4.0, "long ago": 9.0 * 0.125, "lena": 1.5}
    )


def test_what_was_benign_and_what_stands_adds_nothing() -> None:
    scores = [score("a", 0, 4.0), score("a", 1, 3.0), score("b", 0, 4.0)]
    benign = score("a", 0, 4.0) | {"verdict": "benign"}
    bad = score("a", 1, 3.0) | {"verdict": "malicious"}
    standing = score("b", 0, 4.0) | {"lane": "standing"}
    reader = MadeUp(
        {
            "nights": nights(1, 0), "entity_scores": scores, "verdicts": [benign, bad],
            "outliers": [standing],
        }
    )  # fmt: skip
    _, found = risk_over_days(reader, None)
    assert [(row["entity_id"], row["strange_nights"]) for row in found] == [("a", 1)]
