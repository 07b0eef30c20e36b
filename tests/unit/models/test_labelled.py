"""Figures of labelled tables: as scikit-learn has them, ties by their mean, no label seen."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from shoal.errors import DataError, UsageError
from shoal.models.labelled import (
    Protocol,
    Scored,
    confusion_table,
    curve_table,
    metric_table,
    metrics_of,
    score_table,
    slice_table,
)
from shoal.models.scorers import SCORERS, check_scorers, fit_and_score, known_scorers


def scored(strangeness, is_anomaly, threshold=0.5, scorer="shoal", slices=None):
    strangeness = np.asarray(strangeness, dtype=float)
    return Scored(
        scorer, 0, strangeness, np.asarray(is_anomaly, dtype=bool),
        np.asarray(slices if slices is not None else ["all"] * len(strangeness)), threshold,
    )  # fmt: skip


def test_areas_are_scikit_learns_and_precision_is_of_the_rows_looked_at():
    rng = np.random.default_rng(0)
    strangeness, is_anomaly = rng.normal(size=200), rng.random(200) < 0.2
    found = metrics_of(scored(strangeness, is_anomaly), capacity=10)
    assert found["auroc"] == roc_auc_score(is_anomaly, strangeness)
    assert found["average_precision"] == average_precision_score(is_anomaly, strangeness)
    top = np.argsort(-strangeness)[:10]
    assert found["precision_at_capacity"] == pytest.approx(is_anomaly[top].mean())


def test_ties_at_capacity_count_by_their_mean():
    all_alike = scored(np.ones(10), np.arange(10) < 2)
    assert metrics_of(all_alike)["precision_at_capacity"] == pytest.approx(0.2)
    first_sure = scored([2.0, 1.0, 1.0, 1.0, 0.0], [1, 1, 0, 0, 0])
    assert metrics_of(first_sure)["precision_at_capacity"] == pytest.approx((1 + 1 / 3) / 2)


def test_recall_at_few_false_positives():
    strangeness = np.concatenate([np.arange(100.0), [99.5, 97.5, 10.5]])
    found = metrics_of(scored(strangeness, np.arange(103) >= 100))
    assert found["recall_at_1pct"] == pytest.approx(1 / 3)
    assert found["recall_at_5pct"] == pytest.approx(2 / 3)


def test_the_confusion_is_that_of_the_threshold():
    (row,) = confusion_table([scored([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0])]).to_dict("records")
    assert list(row.values()) == ["shoal", 1, 1, 1, 1]


def test_curves_reach_every_recall_at_the_least_cost():
    rows = curve_table([scored([4.0, 3.0, 2.0, 1.0], [1, 0, 1, 0])], 2).to_dict("records")
    assert [(r["recall"], r["false_positive_rate"], r["precision"]) for r in rows] == [
        (0.5, 0.0, 1.0),
        (1.0, 0.5, pytest.approx(2 / 3)),
    ]


def test_slices_of_one_kind_have_no_figures():
    found = slice_table([scored([3.0, 2.0, 1.0, 0.0], [1, 0, 0, 0], slices=["a", "a", "b", "b"])])
    assert found[["slice", "rows", "anomalies", "auroc"]].to_numpy().tolist() == [["a", 2, 1, 1.0]]
    assert slice_table([scored([1.0], [True])]).empty


def table(seed=0):
    rng = np.random.default_rng(seed)
    far = 9.0 * rng.choice([-1.0, 1.0], size=(10, 3)) * rng.uniform(0.7, 1.3, size=(10, 3))
    values = np.vstack([rng.normal(size=(190, 3)), far])
    is_anomaly = np.arange(200) >= 190
    return values, is_anomaly, np.repeat("all", 200)


@pytest.mark.parametrize("scorer", known_scorers())
def test_every_scorer_finds_what_is_far_and_sees_no_label(scorer):
    values, is_anomaly, slices = table()
    protocol = Protocol(seeds=(0, 1))
    found = score_table(values, is_anomaly, slices, scorer, protocol)
    assert [own.seed for own in found] == [0, 1]
    figures = metric_table(found).iloc[0]
    assert figures["auroc"] > (0.6 if scorer == "kmeans" else 0.9)  # it gives them centres
    labels_turned = score_table(values, ~is_anomaly, slices, scorer, protocol)
    np.testing.assert_array_equal(found[0].strangeness, labels_turned[0].strangeness)


def test_one_class_fits_on_normal_rows_alone_and_scores_the_others():
    values, is_anomaly, slices = table()
    (found,) = score_table(
        values, is_anomaly, slices, "gaussian", Protocol(is_one_class=True, seeds=(3,))
    )
    assert len(found.strangeness) == 200 - 152
    assert found.is_anomaly.sum() == 10
    (row,) = confusion_table([found]).to_dict("records")
    assert row["anomalies_rejected"] == 10
    assert row["normal_rejected"] < 8


def test_both_kinds_are_needed_and_unknown_scorers_are_named():
    values, _, slices = table()
    with pytest.raises(DataError, match="0 of 200 rows are anomalies"):
        score_table(values, np.zeros(200, dtype=bool), slices, "shoal", Protocol())
    with pytest.raises(UsageError, match=r"'isolationforest' is not one of .*isolation_forest"):
        check_scorers(["isolationforest"])


def test_large_tables_are_sampled_where_the_cost_is_square(monkeypatch):
    monkeypatch.setattr("shoal.models.scorers.MAX_FIT_ROWS", 50)
    seen = []

    class Spy:
        def fit(self, X):
            seen.append(len(X))
            return self

        def score_samples(self, X):
            return np.zeros(len(X))

    monkeypatch.setattr("shoal.models.scorers.SCORERS", {n: lambda seed: Spy() for n in SCORERS})
    values, _, _ = table()
    for name in ("lof", "isolation_forest"):
        fit_and_score(name, 0, values, values)
    assert seen == [50, 200]
