"""A batch of entities judged without Spark: each is scored, or told why not."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from tests.unit.models.test_peer_models import VALUES, references, row

from shoal.errors import DataError
from shoal.models.peer_models import PeerModels, peer_model
from shoal.models.scoring import judge_batch

WEEKDAY, WEEKEND = date(2026, 3, 6), date(2026, 3, 7)


def batch():
    return pd.DataFrame(
        {
            "event_date": [WEEKDAY, WEEKEND, WEEKDAY, WEEKDAY, WEEKDAY],
            "entity_type": ["host", "host", "host", "host", "user"],
            "entity_id": ["web-1", "web-1", "few", "bad", "unknown"],
            "slice": ["role=web"] * 5,
            "event_count": [9, 9, 2, 9, 9],
            "features": list(VALUES[[0, 0, 1, 2, 3]]),
            "bad_feature": [None, None, None, "bytes is infinite", None],
        }
    )


def models():
    found = PeerModels.of([peer_model(row("*", "own", references()))])
    return {WEEKDAY: found, WEEKEND: found}


def test_each_row_has_a_score_or_a_reason():
    judged = judge_batch(batch(), models(), min_events=5)
    assert judged["entity_id"].tolist() == batch()["entity_id"].tolist()
    assert judged["reason"].tolist() == [
        None, None, "too_few_events", "non_finite_feature", "no_model",
    ]  # fmt: skip
    assert judged["detail"].tolist()[2:4] == ["2 events, 5 needed", "bytes is infinite"]
    is_scored = judged["reason"].isna()
    assert judged.loc[is_scored, "p_value"].between(0, 1).all()
    assert judged.loc[~is_scored, "p_value"].isna().all()
    first, second = judged["anomaly_score"][:2]
    assert judged["log_density"][0] == judged["log_density"][1]
    assert first != second  # the same row on a weekend, by references of weekends


def test_a_night_with_a_score_that_is_not_finite_is_not_written():
    rows = batch()[:1]
    rows.at[0, "features"] = np.full(7, 1e308)
    broken = peer_model(row("*", "own", references()) | {"scale": np.full(7, 1e-320).tolist()})
    with np.errstate(over="ignore"), pytest.raises(DataError):
        judge_batch(rows, {WEEKDAY: PeerModels.of([broken])}, min_events=5)
