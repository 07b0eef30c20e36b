"""Rows of drift_components: weeks, versions, verdicts."""

from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from shoal.kernels.gaussians import Mixture
from shoal.kernels.moments import Moments
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import Preparation
from shoal.models.component_drift import (
    NONE,
    judge_components,
    moments_group,
    night_moments,
    version_rows,
    week_rows,
)

DAY = date(2026, 5, 15)
NAMES = ("a", "b")
PLAIN = Preparation(
    NAMES, np.zeros(2, bool), np.zeros(2), np.ones(2), np.zeros(2), np.eye(2), np.ones(2), 0
)
MEANS = np.array([[0.0, 0.0], [8.0, 0.0]])
MIXTURE = Mixture(np.array([0.5, 0.5]), MEANS, np.array([np.eye(2)] * 2), "full")


def model(version="host-1", mixture=MIXTURE, profile=None):
    geometry = PeerGeometry(PLAIN, mixture, mixture.means, np.ones(2))
    return SimpleNamespace(
        model_version=version, entity_type="host", geometry=geometry, profile=profile
    )


def night(rng, shift=0.0):
    places = np.repeat(MEANS + shift, 30, axis=0)
    return Moments.of(MIXTURE, places + rng.normal(0, 1, places.shape))


def moments(days, shift_of=lambda _: 0.0, version="host-1"):
    rng = np.random.default_rng(4)
    return {
        (DAY - timedelta(days=n), version): night(rng, shift_of(n)) for n in reversed(range(days))
    }


def test_moments_go_into_rows_and_back_whatever_the_order():
    rng = np.random.default_rng(0)
    values = rng.normal(4, 4, (50, 2))
    frame = pd.DataFrame(
        {
            "event_date": DAY,
            "model_version": "host-1",
            "entity_id": [f"e{n:02d}" for n in range(50)],
            "features": values.tolist(),
        }
    )
    rows = moments_group(frame, {"host-1": model()}, 1000.0)
    assert rows.equals(moments_group(frame.iloc[::-1], {"host-1": model()}, 1000.0))
    assert rows["component_id"].tolist() == [0, 1]
    assert set(rows["entity_type"]) == {"host"}
    [back] = night_moments(rows.iloc[::-1].to_dict("records")).values()
    for one, other in zip(
        vars(back).values(), vars(Moments.of(MIXTURE, values)).values(), strict=True
    ):
        np.testing.assert_allclose(one, other)


def test_a_week_is_held_against_the_week_before_it():
    known = moments(14, lambda n: [0.0, 2.0] if n < 7 else [0.0, 0.0])
    overall, *rows = week_rows(DAY, model(), known)
    assert (overall["reference_component_id"], overall["analysis_component_id"]) == (NONE, NONE)
    assert [row["reference_component_id"] for row in rows] == [0, 1]
    for row in rows:
        assert row["mean_shift"] == pytest.approx(2.0, abs=0.3)
        [first, *_] = row["features"]
        assert (first[0], round(first[1])) == ("b", 2)
    assert overall["mean_shift"] == pytest.approx(np.mean([r["mean_shift"] for r in rows]), rel=0.1)
    assert overall["weight_change"] < 0.1


def test_too_few_nights_or_rows_are_a_status():
    [row] = week_rows(DAY, model(), moments(10))
    assert row["detail"] == "3 and 7 nights of both weeks, 4 needed"
    [row] = week_rows(DAY, model(), moments(14, version="host-2"))
    assert row["detail"] == "0 and 0 nights of both weeks, 4 needed"
    few = {key: Moments(m.rows / 50, m.sums / 50, m.squares / 50) for key, m in moments(14).items()}
    [row] = week_rows(DAY, model(), few)
    assert row["detail"] == "no component has 10 entity-nights in both weeks"
    assert row["status"] == "insufficient_data"


def test_versions_are_compared_though_they_have_not_as_many_components():
    three = Mixture(
        np.array([0.4, 0.4, 0.2]), np.vstack([MEANS, [[90.0, 90.0]]]),
        np.array([np.eye(2)] * 3), "full",
    )  # fmt: skip
    overall, first, second, born = version_rows(model(), model("host-2", three))
    assert (overall["reference_model_version"], overall["analysis_model_version"]) == (
        "host-1",
        "host-2",
    )
    assert overall["weight_change"] == pytest.approx(0.2)
    assert first["mean_shift"] == second["mean_shift"] == pytest.approx(0.0, abs=1e-9)
    assert (born["reference_component_id"], born["detail"]) == (NONE, "born")
    assert born["mean_shift"] is None
    own = SimpleNamespace(names=NAMES)
    [row] = version_rows(model(profile=own), model("host-2"))
    assert row["detail"] == "the two models have no feature in common"


def of_all(day, mean_shift, weight_change=0.02):
    return {
        "event_date": day,
        "entity_type": "host",
        "comparison": "week",
        "mean_shift": mean_shift,
        "weight_change": weight_change,
    }


def component(day, mean_shift, weights=(0.5, 0.5)):
    return of_all(day, mean_shift, None) | {
        "reference_weight": weights[0],
        "analysis_weight": weights[1],
    }


EARLIER = [
    of_all(DAY - timedelta(days=n), shift, shift / 10) | {"status": "ok"}
    for n, shift in enumerate((0.3, 0.4, 0.35, 0.3, 0.45, 0.4), start=1)
]


@pytest.mark.parametrize(
    ("row", "status"),
    [(of_all(DAY, 0.5), "ok"), (of_all(DAY, 5.0), "drift"), (of_all(DAY, 0.3, 0.6), "drift")],
    ids=["as usual", "means", "weights"],
)
def test_a_shift_is_judged_by_the_weeks_before(row, status):
    [judged] = judge_components([row], EARLIER)
    assert judged["status"] == status
    assert judged["quiet_pairs"] == 6
    assert "none by more than 0.45 and 0.045" in judged["detail"]


def test_the_components_that_moved_most_have_drifted():
    rows = [of_all(DAY, 5.0), component(DAY, 9.0), component(DAY, 1.0), component(DAY, None)]
    assert [row["status"] for row in judge_components(rows, EARLIER)] == [
        "drift", "drift", "ok", "ok",
    ]  # fmt: skip


def test_few_earlier_comparisons_are_no_verdict_and_other_kinds_are_none():
    other = [row | {"comparison": "golden"} for row in EARLIER]
    judged = judge_components([of_all(DAY, 5.0), component(DAY, 9.0)], [*EARLIER[:3], *other])
    assert [row["status"] for row in judged] == ["insufficient_data"] * 2
    assert judged[0]["detail"] == "3 earlier comparisons, 4 needed"


def test_what_has_drifted_is_no_measure_for_what_is_next():
    rows = [of_all(DAY + timedelta(days=n), 5.0) for n in range(2)]
    assert [row["status"] for row in judge_components(rows, EARLIER)] == ["drift", "drift"]
    long_ago = of_all(DAY - timedelta(days=15), 5.0) | {"status": "drift"}
    assert judge_components(rows[:1], [*EARLIER, long_ago])[0]["status"] == "ok"
