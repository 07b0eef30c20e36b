"""The frozen model: which it is, and what it sees that a model taught step by step does not."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
from tests.support.fits import FIT_SETTINGS, stored_model

from shoal.kernels.peer_fit import build_week_references, cross_fit_scores, fit_sample
from shoal.models.peer_models import PeerModels, peer_model
from shoal.models.registry import ServingModel, StatusChange, golden_models
from shoal.models.scoring import MOVED_P, judge_batch

DAY = date(2026, 3, 2)
NAMES = ("a", "b", "c", "d")


def change(version, days, status="promoted", nights=28):
    return StatusChange("host", version, days, status, DAY + timedelta(days=days), nights)


def golden_on(changes, days):
    found = golden_models(changes, DAY + timedelta(days=days), 14)
    return found["host"].model_version if found else None


def test_the_first_of_enough_nights_is_golden_until_another_is_pinned():
    changes = [change("few", 0, nights=4), change("full", 7), change("later", 14)]
    assert golden_on(changes, 7) is None  # promoted on the night itself
    assert golden_on(changes, 8) == "full"
    assert golden_on(changes, 90) == "full"
    pinned = [*changes, change("few", 20, "golden", None)]
    assert golden_on(pinned, 20) == "full"
    found = golden_models(pinned, DAY + timedelta(days=21), 14)
    # Its rows are where it was promoted, not where it was pinned.
    assert found == {"host": ServingModel("host", "few", DAY)}


def test_a_golden_model_that_is_rolled_back_is_none():
    changes = [change("full", 7), change("later", 14), change("full", 20, "rolled_back", None)]
    assert golden_on(changes, 30) == "later"


def fitted(values, groups):
    days = np.arange(len(values)) % 7 >= 5
    found = fit_sample(
        values, groups, feature_names=NAMES, is_count=np.zeros(4, dtype=bool),
        settings=FIT_SETTINGS,
    )  # fmt: skip
    scores = cross_fit_scores(values, groups, found.cross_fit)
    return stored_model(found.geometry, build_week_references(scores, days))


def test_those_who_move_step_by_step_are_usual_for_what_learns_and_far_for_what_is_frozen():
    entities = np.asarray([f"host-{number:02d}" for number in range(60)])
    moves = np.where(np.arange(60) < 9, 0.05, 0.0)

    def days(first, last):
        """Rows of all entities: nine of them move by 0.05 sd a day."""
        rows = [
            np.random.default_rng(day).normal(size=(60, 4)) + np.outer(moves, np.ones(4)) * day
            for day in range(first, last)
        ]
        return np.vstack(rows), np.tile(entities, last - first)

    golden = fitted(*days(0, 28))
    serving = fitted(*days(40, 68))
    tonight, _ = days(68, 69)
    batch = pd.DataFrame(
        {
            "event_date": DAY, "entity_type": "host", "entity_id": entities, "slice": "*",
            "event_count": 9, "features": list(tonight), "bad_feature": None,
        }
    )  # fmt: skip
    frozen = golden | {"model_version": "golden"}
    models = PeerModels(
        PeerModels.of([peer_model(serving)]).by_slice, PeerModels.of([peer_model(frozen)])
    )
    judged = judge_batch(batch, {DAY: models}, min_events=1)
    shift = judged["golden_score"].astype(float) - judged["anomaly_score"].astype(float)
    assert (judged["golden_version"] == "golden").all()
    assert (judged["p_value"][:9] > MOVED_P).all()
    assert (judged["golden_score"][:9] > 3.0).all()
    assert shift[:9].min() > 2.0 > shift[9:].max()


def test_a_frozen_model_of_other_features_takes_those_it_knows():
    values = np.random.default_rng(0).normal(size=(200, 4))
    groups = np.asarray([f"host-{number}" for number in range(200)])
    model = peer_model(fitted(values, groups))
    shuffled = model.reorder(values[:, [2, 0, 3]], ["c", "a", "d"], None)
    np.testing.assert_array_equal(shuffled[:, [0, 2, 3]], values[:, [0, 2, 3]])
    assert np.isnan(shuffled[:, 1]).all()
