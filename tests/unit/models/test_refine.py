"""The group function that refines one slice, and what small slices store."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.support.fits import FIT_SETTINGS

from shoal.kernels.peer_fit import cross_fit_scores, fit_sample, refine_slice
from shoal.kernels.peer_model import Standard
from shoal.models.refine import SLICE_COLUMNS, adopt_parent, refine_group, slice_cross_fits

SETTINGS = replace(FIT_SETTINGS, n_components=2, n_clusters=2, n_init=1, max_iter=50, n_folds=3)
N_ENTITIES, N_DAYS = 60, 3


@pytest.fixture(scope="module")
def fitted():
    values = np.random.default_rng(0).normal(size=(N_ENTITIES * N_DAYS, 3))
    return fit_sample(
        values,
        group()["entity_id"].to_numpy(dtype=str),
        feature_names=["a", "b", "c"],
        is_count=np.zeros(3, dtype=bool),
        settings=SETTINGS,
    )


def group():
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "slice": "role=web",
            "entity_id": np.repeat([f"host-{i:02}" for i in range(N_ENTITIES)], N_DAYS),
            "event_date": np.tile(pd.date_range("2026-03-05", periods=N_DAYS).date, N_ENTITIES),
            "features": list(rng.normal(size=(N_ENTITIES * N_DAYS, 3))),
        }
    )


WHOLE = {
    "reference_entities": 999, "reference_days": 9, "score_standard": [0.0, 9.0, 0.0, 9.0],
    "distance_mean": [1.0], "distance_sd": [0.5], "distance_p95": [2.0],
}  # fmt: skip


def refine(rows, fitted, min_entities=50):
    refined = refine_group(
        rows, fitted.geometry, fitted.cross_fit, settings=SETTINGS, min_entities=min_entities
    )
    assert list(refined.columns) == [*SLICE_COLUMNS, "folds"]
    return refined.iloc[0].to_dict()


def test_a_slice_of_enough_entities_has_references_of_its_own(fitted):
    row = refine(group(), fitted)
    assert (row["calibration"], row["status"]) == ("own", "kept_global")
    assert len(row["reference_density"]) == len(row["reference_combined"]) == row["row_count"]
    assert (row["reference_entities"], row["reference_days"]) == (N_ENTITIES, N_DAYS)
    (adopted,) = adopt_parent([row], WHOLE, {"a": Standard(1.0, 2.0, 3.0, 4.0)})
    assert adopted == {name: row[name] for name in SLICE_COLUMNS}
    assert row["score_standard"] == Standard().to_list()


def test_a_small_slice_stores_no_references_and_says_what_stands_behind_its_parents(fitted):
    row = refine(group(), fitted, min_entities=61)
    assert row["calibration"] == "parent"
    assert row["reference_density"] == row["reference_departure"] == row["reference_combined"] == []
    own = Standard(1.0, 2.0, 3.0, 4.0)
    (adopted,) = adopt_parent([row], WHOLE, {row["slice"]: own})
    assert adopted["score_standard"] == own.to_list()
    (unseen,) = adopt_parent([row], WHOLE, {})
    assert unseen["score_standard"] == WHOLE["score_standard"]
    assert (adopted["reference_entities"], adopted["reference_days"]) == (999, 9)
    assert adopted["row_count"] == N_ENTITIES * N_DAYS


def test_a_small_slice_of_its_own_kind_brings_what_calibrates_it(fitted):
    own = group()[: 15 * N_DAYS].assign(slice="role=dc")
    own["features"] = [3.0 + 0.2 * row for row in own["features"]]
    row = refine(own, fitted)
    assert (row["calibration"], row["status"]) == ("parent", "refined")
    ((name, slice_fit),) = slice_cross_fits([row], fitted.cross_fit).items()
    assert name == "role=dc"
    values = np.stack(own["features"])
    groups = own["entity_id"].to_numpy(dtype=str)
    before = cross_fit_scores(values, groups, fitted.cross_fit)
    after = cross_fit_scores(values, groups, slice_fit)
    again = refine_slice(
        values, groups, geometry=fitted.geometry, cross_fit=fitted.cross_fit, settings=SETTINGS
    )
    np.testing.assert_allclose(after.log_density, again.scores.log_density)
    assert (after.log_density - before.log_density).mean() > 0.5
    # Nothing of it where it needs none: its own references, or the parent's mixture.
    assert slice_cross_fits([refine(own, fitted, min_entities=10)], fitted.cross_fit) == {}
    assert slice_cross_fits([refine(group(), fitted, min_entities=61)], fitted.cross_fit) == {}


def test_row_order_does_not_matter(fitted):
    rows = group()
    shuffled = rows.sample(frac=1.0, random_state=0)
    one, other = refine(rows, fitted), refine(shuffled, fitted)
    for name in ("weights", "reference_combined", "feature_median"):
        np.testing.assert_array_equal(one[name], other[name])


def test_unknown_features_are_no_fault(fitted):
    rows = group()
    rows["features"] = [np.array([None, 0.5, 1.0], dtype=object)] * len(rows)
    row = refine(rows, fitted)
    assert np.isnan(row["feature_median"][0])
    assert row["feature_median"][1:] == [0.5, 1.0]
    assert np.isfinite(row["log_likelihood"])
