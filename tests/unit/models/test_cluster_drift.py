"""Cluster drift without Spark: a night's clusters, the labels of a batch, the verdicts."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from shoal.models.cluster_drift import Labels, Start, fit_group, half_agreement
from shoal.models.cluster_rows import (
    NONE,
    OVERALL,
    NightClusters,
    PairCounts,
    comparison_rows,
    judge_clusters,
)

BEFORE, NOW = date(2026, 1, 1), date(2026, 1, 2)
RNG = np.random.default_rng(5)
BLOBS = np.repeat([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]], 40, axis=0) + RNG.normal(0, 1, (120, 2))


class Preparation:
    """Native rows are prepared rows."""

    def project_winsorized(self, values, winsorize_sd):
        return values


def batch(rows, *, version="host-1", night=NOW):
    return pd.DataFrame(
        {
            "model_version": version,
            "event_date": night,
            "entity_id": [f"e{number:03d}" for number in range(len(rows))],
            "features": [list(row) for row in rows],
            "half": [number % 2 for number in range(len(rows))],
        }
    )


def clusters(ids, centers, *, radius=1.0):
    null = np.full(len(ids), 0.9)
    return NightClusters(np.asarray(ids), np.asarray(centers, dtype=float), radius, null, 0.9)


def start(centers):
    return {"host-1": Start(Preparation(), np.asarray(centers, dtype=float))}


def test_a_nights_centres_start_from_the_models_whatever_the_order_of_its_rows():
    group = batch([[0.0], [2.0], [8.0], [12.0]])
    for rows in (group, group.iloc[::-1]):
        [fitted] = fit_group(rows, start([[1.0], [9.0]]), 8.0).to_dict("records")
        assert fitted["centers"] == [[1.0], [10.0]]
        assert (fitted["model_version"], fitted["event_date"]) == ("host-1", NOW)
        assert np.isclose(fitted["radius"], np.sqrt((1 + 1 + 4 + 4) / 4))


def test_clusters_without_entities_are_none_and_keep_the_others_numbers():
    group = batch([[9.0], [9.0], [1.0], [1.0]])
    [fitted] = fit_group(group, start([[50.0], [1.0], [9.0]]), 8.0).to_dict("records")
    assert [fitted["centers"][fitted["cluster_ids"].index(i)] for i in (1, 2)] == [[1.0], [9.0]]
    assert len(fitted["cluster_ids"]) == 2


def test_the_null_is_what_two_halves_agree_on():
    [fitted] = fit_group(batch(BLOBS), start(BLOBS[[0, 40, 80]]), 8.0).to_dict("records")
    assert fitted["null_adjusted_rand"] == 1.0
    assert fitted["null_jaccard"] == [1.0] * 3

    first, second = BLOBS[[0, 1, 40, 80]], BLOBS[[0, 40, 41, 80]]
    labels = [KMeans(4, init=own, n_init=1, max_iter=1).fit(own).predict(BLOBS) for own in
              (first, second)]  # fmt: skip
    jaccard, agreement = half_agreement(BLOBS, BLOBS[[40]], first, second)
    assert np.isclose(agreement, adjusted_rand_score(*labels))
    one, other = labels[0] == 2, labels[1] == 1
    assert np.isclose(jaccard[0], (one & other).sum() / (one | other).sum())


def test_each_night_of_a_batch_is_labelled_by_its_own_centres():
    known = {
        ("host-1", BEFORE): clusters([0, 1], [[0.0], [10.0]]),
        ("host-1", NOW): clusters([0, 2], [[10.0], [0.0]]),
        ("host-2", NOW): clusters([0, 1], [[0.0, 0.0], [3.0, 3.0]]),
    }
    preparations = {"host-1": Preparation(), "host-2": Preparation()}
    warm = {night: [] for night in known} | {("host-1", NOW): [np.array([[1.0], [9.0]])]}
    rows = pd.concat(
        [
            batch([[1.0]]),
            batch([[1.0], [9.0]], night=BEFORE),
            batch([[2.0, 4.0]], version="host-2"),
        ],
        ignore_index=True,
    ).iloc[[0, 3, 2, 1]]
    labelled = Labels(preparations, known, warm, 8.0).of_batch(rows)
    assert labelled["own"].tolist() == [2, 1, 1, 0]
    assert labelled["warm"].tolist() == [[0], [], [], []]
    assert labelled["entity_id"].tolist() == rows["entity_id"].tolist()
    assert Labels(preparations, known, warm, 8.0).of_batch(rows[:0]).empty


def counted(*cells):
    counts = PairCounts()
    for reference, analysis, warm, n in cells:
        counts.add(reference, analysis, warm, n)
    return counts


def test_rows_say_where_entities_came_from_and_went_to():
    counts = counted(
        (0, 0, 0, 30), (0, 2, 1, 6), (1, 2, 1, 20), (2, 2, 1, 4), (0, None, None, 5),
        (None, 2, 1, 7), (1, None, None, 2),
    )  # fmt: skip
    centers = [[0.0], [5.0], [9.0]]
    rows = comparison_rows(
        counts,
        clusters([0, 1, 2], centers),
        clusters([0, 1, 2], [[0.0], [9.0], [5.5]]),
        np.asarray(centers),
        min_entities=10,
    )
    overall, first, second, third = rows
    assert (overall["shape"], overall["entities_both"]) == (OVERALL, 60)
    assert (overall["entities_reference_only"], overall["entities_analysis_only"]) == (7, 7)
    assert (first["went_to"], first["came_from"], first["vanished"]) == ([(2, 6)], [], 5)
    assert (second["analysis_cluster_id"], second["jaccard"]) == (2, 20 / 30)
    assert (second["came_from"], second["appeared"]) == ([(0, 6), (2, 4)], 7)
    assert second["warm_jaccard"] == 20 / 30
    assert second["center_distance"] == 0.5
    assert (third["analysis_size"], third["jaccard"], third["went_to"]) == (0, 0.0, [(2, 4)])


def test_the_gate_holds_only_where_the_nights_have_not_as_many_clusters():
    far = [[0.0], [50.0]]
    counts = counted((0, 0, 0, 30), (1, 1, 1, 30))
    same = comparison_rows(
        counts, clusters([0, 1], [[0.0], [9.0]]), clusters([0, 1], far), np.array(far),
        min_entities=10,
    )  # fmt: skip
    assert [row["shape"] for row in same] == [OVERALL, "matched", "matched"]
    assert same[0]["adjusted_rand"] == 1.0
    counts = counted((0, 0, 0, 30), (0, 1, 0, 2))
    fewer = comparison_rows(
        counts, clusters([0], [[0.0]]), clusters([0, 1], far), np.array([[0.0]]), min_entities=10
    )
    assert [row["shape"] for row in fewer] == [OVERALL, "matched", "born"]
    born = fewer[-1]
    assert (born["reference_cluster_id"], born["analysis_cluster_id"]) == (NONE, 1)
    assert (born["came_from"], born["analysis_size"]) == ([(0, 2)], 2)


def test_too_few_entities_are_no_comparison():
    one = clusters([0], [[0.0]])
    [row] = comparison_rows(counted((0, 0, 0, 3)), one, one, one.centers, min_entities=10)
    assert (row["status"], row["detail"]) == (
        "insufficient_data",
        "3 entities on both nights, 10 needed",
    )


def overall_row(day, agreement, *, null=0.95):
    return {
        "event_date": day,
        "reference_date": day - timedelta(days=7),
        "entity_type": "host",
        "comparison": "same_weekday",
        "shape": OVERALL,
        "entities_both": 300,
        "adjusted_rand": agreement,
        "warm_adjusted_rand": agreement,
        "null_adjusted_rand": null,
    }


def cluster_row(day, jaccard, null=0.9):
    return overall_row(day, None) | {
        "shape": "matched",
        "reference_size": 50,
        "analysis_size": 50,
        "jaccard": jaccard,
        "warm_jaccard": jaccard,
        "null_jaccard": null,
    }


MONDAY = date(2026, 3, 2)
QUIET = [0.80, 0.84, 0.78, 0.81, 0.82, 0.79, 0.83, 0.80]


@pytest.fixture(name="earlier")
def fixture_earlier():
    before = [MONDAY - timedelta(days=n) for n in range(3, 28)]
    weekdays = [day for day in before if day.weekday() < 5]
    return [
        overall_row(day, agreement) | {"status": "ok"}
        for day, agreement in zip(weekdays, QUIET, strict=False)
    ]


def test_agreement_far_below_the_quiet_pairs_is_a_drift_of_the_clusters_that_lost_theirs(earlier):
    rows = [overall_row(MONDAY, 0.2), cluster_row(MONDAY, 0.3), cluster_row(MONDAY, 0.88)]
    overall, moved, stayed = judge_clusters(rows, earlier)
    assert (overall["status"], moved["status"], stayed["status"]) == ("drift", "drift", "ok")
    assert overall["p_value"] < 0.001
    assert "of 8 quiet pairs of nights none below 0.78" in overall["detail"]


@pytest.mark.parametrize(
    ("agreement", "null"),
    [(0.75, 0.95), (0.2, 0.15)],
    ids=["as usual", "its own halves agree as little"],
)
def test_agreement_as_usual_is_ok(earlier, agreement, null):
    rows = [overall_row(MONDAY, agreement, null=null), cluster_row(MONDAY, 0.3)]
    assert [row["status"] for row in judge_clusters(rows, earlier)] == ["ok", "ok"]


def test_what_is_usual_is_learnt_from_pairs_of_the_same_kinds_of_day(earlier):
    saturday = MONDAY + timedelta(days=5)
    rows = [overall_row(saturday, 0.2), cluster_row(saturday, 0.3)]
    judged = judge_clusters(rows, earlier)
    assert [row["status"] for row in judged] == ["insufficient_data"] * 2
    assert judged[0]["detail"] == "0 quiet pairs of nights, 4 needed"


def test_nights_of_one_span_are_judged_by_those_before_them(earlier):
    days = [MONDAY + timedelta(days=n) for n in range(3)]
    rows = [
        overall_row(day, agreement) for day, agreement in zip(days, (0.1, 0.8, 0.1), strict=True)
    ]
    # What has drifted is no measure for what is next.
    assert [row["status"] for row in judge_clusters(rows, earlier)] == ["drift", "ok", "drift"]
    long_ago = overall_row(MONDAY - timedelta(days=20), 0.1) | {"status": "drift"}
    assert judge_clusters(rows[2:], [*earlier, long_ago])[0]["status"] == "ok"
