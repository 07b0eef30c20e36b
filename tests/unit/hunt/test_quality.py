"""How good the lists were, of tables that are made up."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.support.made_up import MadeUp

from shoal.hunt.quality import list_quality

DAY = date(2026, 9, 28)
NIGHT = {"event_date": DAY, "run_id": "r", "state": "published"}


def test_precision_at_capacity_and_by_slice() -> None:
    key: dict[str, Any] = {"event_date": DAY, "run_id": "r", "entity_type": "host"}
    said = {"a": "malicious", "b": "benign", "c": "suspicious", "d": "malicious", "e": "benign"}
    scores = [
        {**key, "entity_id": name, "slice": "x" if name < "d" else "y", "anomaly_score": score}
        for name, score in zip("abcdef", (5.0, 4.0, 3.0, 0.5, 2.0, 1.0), strict=True)
    ]
    lines = [{**key, "entity_id": name, "rank": rank} for rank, name in enumerate("abcef", start=1)]
    noon = datetime(2026, 9, 29, tzinfo=UTC)
    verdicts = [
        {**key, "entity_id": name, "verdict": verdict, "verdict_id": name, "created_ts": noon}
        for name, verdict in said.items()
    ]
    # The last word on a day holds; a day without a score is left out.
    early = {"created_ts": noon - timedelta(hours=1), "verdict": "benign", "verdict_id": "z"}
    verdicts += [verdicts[0] | early, verdicts[0] | {"entity_id": "unscored"}]
    reader = MadeUp(
        {"nights": [NIGHT], "entity_scores": scores, "outliers": lines, "verdicts": verdicts}
    )
    found = list_quality(reader)
    by_capacity = found["By capacity"].set_index("rank")
    assert by_capacity["judged"].to_dict() == {1: 1, 3: 3, 5: 4, 10: 4, 20: 4, 50: 4}
    assert by_capacity["precision"].to_dict() == pytest.approx(
        {1: 1.0, 3: 2 / 3, 5: 0.5, 10: 0.5, 20: 0.5, 50: 0.5}
    )
    of_x, of_y = found["By slice"].to_dict("records")
    assert (of_x["slice"], of_x["judged"], of_x["bad"], of_x["bad_listed"]) == ("x", 3, 2, 2)
    assert (of_x["precision"], of_x["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert of_x["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # Of slice y the bad one was on no list, and found by a sample.
    assert (of_y["bad"], of_y["bad_listed"], of_y["recall"]) == (1, 0, 0.0)
    assert of_y["average_precision"] == pytest.approx(0.5)


def test_without_a_verdict_there_is_nothing_to_say() -> None:
    found = list_quality(MadeUp({"nights": [NIGHT]}))
    assert all(rows.empty for rows in found.values())
