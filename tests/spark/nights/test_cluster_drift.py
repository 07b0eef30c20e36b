"""Clusters of two nights compared in Spark, against labels by scikit-learn."""

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    mutual_info_score,
)

from shoal.kernels.preparation import Preparation
from shoal.models.cluster_drift import Comparison, DriftSettings, compare_nights

BEFORE, NOW = date(2026, 1, 1), date(2026, 1, 2)
SETTINGS = DriftSettings(min_entities=20, winsorize_sd=1000.0)
PLAIN = Preparation(
    ("a", "b"), np.zeros(2, bool), np.zeros(2), np.ones(2), np.zeros(2), np.eye(2), np.ones(2), 0
)
PLACES = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
RNG = np.random.default_rng(11)
ROWS = np.repeat(PLACES, 40, axis=0) + RNG.normal(0.0, 2.0, (120, 2))
Night = dict[str, np.ndarray]


def entities(rows: np.ndarray) -> Night:
    return {f"e{number:03d}": row for number, row in enumerate(rows)}


def frame(spark: SparkSession, before: Night, now: Night) -> DataFrame:
    rows = [
        ("host-1", night, name, values.tolist())
        for night, own in ((BEFORE, before), (NOW, now))
        for name, values in own.items()
    ]
    # What is there for others: a model that nothing is compared in, and a night.
    rows += [("host-2", NOW, "e000", [1.0]), ("host-1", date(2025, 1, 1), "e000", [1.0, 1.0])]
    schema = "model_version string, event_date date, entity_id string, features array<double>"
    return spark.createDataFrame(rows, schema).repartition(3)


def compared(
    spark: SparkSession, before: Night, now: Night, centers: np.ndarray = PLACES
) -> list[dict[str, Any]]:
    geometry = SimpleNamespace(preparation=PLAIN, centers=centers)
    model = SimpleNamespace(entity_type="host", model_version="host-1", geometry=geometry)
    comparison: Any = Comparison(7, "previous_night", BEFORE, NOW, model)  # type: ignore[arg-type]
    return compare_nights(frame(spark, before, now), [comparison], SETTINGS)


def labels(rows: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fitted = KMeans(len(start), init=start, n_init=1).fit(rows)
    return fitted.labels_, fitted.cluster_centers_


def by_cluster(rows: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {row["reference_cluster_id"]: row for row in rows[1:]}


def test_a_night_is_itself(spark: SparkSession) -> None:
    overall, *rows = compared(spark, entities(ROWS), entities(ROWS))
    assert overall["adjusted_rand"] == overall["warm_adjusted_rand"] == 1.0
    assert overall["adjusted_mutual_information"] == 1.0
    assert overall["variation_of_information"] == 0.0
    assert [row["shape"] for row in rows] == ["matched"] * 3
    assert [row["jaccard"] for row in rows] == [1.0] * 3
    assert [row["center_distance"] for row in rows] == [0.0] * 3
    assert not any(row["came_from"] or row["went_to"] for row in rows)


def test_what_moved_is_what_scikit_learn_says(spark: SparkSession) -> None:
    moved = ROWS + RNG.normal(0.0, 6.0, ROWS.shape)
    overall, *rows = compared(spark, entities(ROWS), entities(moved))
    first, old = labels(ROWS, PLACES)
    second, new = labels(moved, PLACES)
    warm, _ = labels(moved, old)
    assert overall["adjusted_rand"] == pytest.approx(adjusted_rand_score(first, second))
    assert overall["warm_adjusted_rand"] == pytest.approx(adjusted_rand_score(first, warm))
    assert overall["adjusted_mutual_information"] == pytest.approx(
        adjusted_mutual_info_score(first, second)
    )
    entropies = mutual_info_score(first, first) + mutual_info_score(second, second)
    lost = entropies - 2.0 * mutual_info_score(first, second)
    assert overall["variation_of_information"] == pytest.approx(lost)
    assert 0.2 < overall["adjusted_rand"] < 0.95
    for row in rows:
        old_id, new_id = row["reference_cluster_id"], row["analysis_cluster_id"]
        one, other = first == old_id, second == new_id
        assert row["jaccard"] == pytest.approx((one & other).sum() / (one | other).sum())
        assert row["center_distance"] == pytest.approx(np.linalg.norm(old[old_id] - new[new_id]))
        came = dict(row["came_from"])
        went = dict(row["went_to"])
        assert sum(came.values()) == (other & ~one).sum()
        assert sum(went.values()) == (one & ~other).sum()
        assert all((second[one] == cluster).sum() == n for cluster, n in went.items())


def test_permuted_centres_change_only_the_numbers_of_the_clusters(spark: SparkSession) -> None:
    moved = ROWS + np.random.default_rng(3).normal(0.0, 4.0, ROWS.shape)
    order = [2, 0, 1]
    plain = compared(spark, entities(ROWS), entities(moved))
    permuted = compared(spark, entities(ROWS), entities(moved), PLACES[order])
    assert {k: v for k, v in plain[0].items() if k != "detail"} == pytest.approx(
        {k: v for k, v in permuted[0].items() if k != "detail"}
    )
    own, theirs = by_cluster(plain), by_cluster(permuted)
    for place, cluster in enumerate(order):
        for name in ("jaccard", "warm_jaccard", "null_jaccard", "center_distance"):
            assert theirs[place][name] == pytest.approx(own[cluster][name])


def test_a_split_and_a_merge_are_named(spark: SparkSession) -> None:
    now = ROWS.copy()
    now[:20] += [0.0, 40.0]
    now[80:] += [20.0, -20.0]
    found = by_cluster(compared(spark, entities(ROWS), entities(now)))
    assert [(found[i]["shape"], found[i]["detail"]) for i in range(3)] == [
        ("split", "split into 0 and 2"),
        ("merged", "merged with 2 into 1"),
        ("merged", "merged with 1 into 1"),
    ]


def test_who_is_on_one_night_only_is_counted_and_a_new_group_is_born(spark: SparkSession) -> None:
    before = entities(ROWS)
    now = {name: row for name, row in before.items() if name >= "e010"}
    now |= {f"new{number}": np.array([60.0, 60.0 + number % 3]) for number in range(15)}
    now |= {"e050": np.array([61.0, 61.0])}
    centers = np.vstack([PLACES, [[60.0, 60.0]]])
    overall, *rows = compared(spark, before, now, centers)
    assert (overall["entities_both"], overall["entities_reference_only"]) == (110, 10)
    assert overall["entities_analysis_only"] == 15
    assert by_cluster([overall, *rows])[0]["vanished"] == 10
    [born] = [row for row in rows if row["shape"] == "born"]
    assert (born["appeared"], born["came_from"], born["analysis_size"]) == (15, [(1, 1)], 1)


def test_a_night_without_the_type_is_a_status(spark: SparkSession) -> None:
    for before, now, missing in (
        ({}, entities(ROWS), "reference"),
        (entities(ROWS), {}, "analysis"),
    ):
        [row] = compared(spark, before, now)
        assert row["status"] == "insufficient_data"
        assert row["detail"] == f"no entity of this type on the {missing} night"
    new = {f"n{number}": row for number, row in enumerate(ROWS)}
    [row] = compared(spark, entities(ROWS), new)
    assert row["detail"] == "0 entities on both nights, 20 needed"
    assert (row["entities_reference_only"], row["entities_analysis_only"]) == (120, 120)
