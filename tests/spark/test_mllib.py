"""What fitting asks of Spark: MLlib on all rows, bounded slices, feature vectors."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from pyspark.mllib.linalg import DenseVector
from pyspark.sql import functions as F
from sklearn.mixture import GaussianMixture

from shoal.kernels.mixture import fit_mixture
from shoal.models.mllib import fit_kmeans_on_all, fit_mixture_on_all
from shoal.models.vectors import VALUES, VectorRule, add_vector, teaching_rows
from shoal.spark.sampling import bound_groups, cap_groups, hash_sample


def three_shoals(n_dimensions, n_rows=3000, seed=0):
    """Rows ``(n_rows, n_dimensions)`` around three centres, each with a covariance of its own."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n_rows, p=(0.5, 0.3, 0.2))
    centers = rng.normal(size=(3, n_dimensions)) * 8.0 / np.sqrt(2.0 * n_dimensions)
    spread = np.eye(n_dimensions) + 0.15 * rng.normal(size=(3, n_dimensions, n_dimensions))
    noise = rng.normal(size=(n_rows, n_dimensions))
    return centers[labels] + np.einsum("ij,ijk->ik", noise, spread[labels])


def vectors(spark, rows, n_partitions=2):
    return spark.sparkContext.parallelize([DenseVector(row) for row in rows], n_partitions).cache()


def start_of(rows):
    return fit_mixture(rows, n_components=3, n_init=3).mixture


@pytest.mark.parametrize("n_dimensions", [10, 20, 40])
def test_likelihood_equals_scikit_learns_best_of_five(spark, n_dimensions):
    rows = three_shoals(n_dimensions)
    start = start_of(rows[:600])
    mixture, fitted_by = fit_mixture_on_all(
        vectors(spark, rows), start, rows[:600], max_iter=15, reg_covar=1e-6
    )
    theirs = GaussianMixture(3, n_init=5, random_state=0, reg_covar=1e-6).fit(rows).score(rows)
    ours = float(mixture.log_density(rows).mean())
    print(f"\n{n_dimensions} features: ours {ours:.6f}, scikit-learn {theirs:.6f}")
    assert fitted_by == "mllib on all rows"
    assert ours == pytest.approx(theirs, rel=0.005)
    assert start.log_density(rows).mean() < ours  # the rest of the rows taught it something


def test_log_densities_do_not_depend_on_partitioning_and_row_order(spark):
    rows = three_shoals(20)
    start = start_of(rows[:600])
    found = []
    for n_partitions in (1, 2, 8):
        shuffled = rows[np.random.default_rng(n_partitions).permutation(len(rows))]
        mixture, fitted_by = fit_mixture_on_all(
            vectors(spark, shuffled, n_partitions), start, rows[:600], max_iter=15, reg_covar=1e-6
        )
        assert fitted_by == "mllib on all rows"
        found.append(mixture.log_density(rows))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-6)


def test_a_result_worse_than_its_start_is_refused(spark):
    """Rows all alike collapse the component that holds them, and MLlib's EM goes astray."""
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(1000, 6)), np.full((1000, 6), 5.0)])
    start = fit_mixture(rows, n_components=2).mixture
    mixture, fitted_by = fit_mixture_on_all(
        vectors(spark, rows), start, rows, max_iter=15, reg_covar=1e-4
    )
    print("\n", fitted_by)
    assert fitted_by.startswith("scikit-learn on the sample: MLlib")
    assert mixture is start


def test_centres_on_all_rows_follow_those_of_the_start(spark):
    rows = three_shoals(4)
    start = start_of(rows[:600]).means
    centers = fit_kmeans_on_all(vectors(spark, rows), start, max_iter=15)
    assert centers.shape == start.shape
    nearest = np.linalg.norm(rows[:, None] - centers[None], axis=2).argmin(axis=1)
    means = np.stack([rows[nearest == cluster].mean(axis=0) for cluster in range(3)])
    np.testing.assert_allclose(centers, means, atol=0.05)


def entity_rows(spark):
    """Two slices: 300 entities of 4 rows, and 5 of 4."""
    pairs = [("big", f"host-{i:03}") for i in range(300)] + [("few", f"pc-{i}") for i in range(5)]
    rows = [(s, e, date(2026, 1, d), float(d)) for s, e in pairs for d in range(1, 5)]
    return spark.createDataFrame(rows, "slice string, entity_id string, event_date date, v double")


def test_slices_are_bounded_by_whole_entities_of_any_name(spark):
    rows = entity_rows(spark)
    bounded = bound_groups(rows, ["slice"], max_rows=400)
    assert bounded.columns == rows.columns
    kept = bounded.toPandas()
    assert (kept.groupby("entity_id").size() == 4).all()
    assert (kept["slice"] == "few").sum() == 20  # a slice below the bound stays whole
    big = kept.loc[kept["slice"] == "big", "entity_id"]
    assert 280 <= len(big) <= 520
    assert big.max() > "host-250"  # not the first by name
    assert bound_groups(rows, ["slice"], max_rows=20_000).count() == 1220
    again = bound_groups(rows.repartition(7), ["slice"], max_rows=400).toPandas()
    assert set(again["entity_id"]) == set(kept["entity_id"])


def test_no_network_is_more_than_its_share_of_what_teaches(spark):
    # One network makes up 900 of 1,200 addresses; a third has too few to matter, 100 have none.
    names = [f"a-{i}" for i in range(900)] + [f"b-{i}" for i in range(20)]
    names += [f"c-{i}" for i in range(280)]
    rows = spark.createDataFrame(
        [(name, day) for name in names for day in (1, 2)], "entity_id string, d int"
    )
    group = F.when(~F.col("entity_id").startswith("c"), F.substring("entity_id", 1, 1))
    capped = cap_groups(rows, group, max_share=0.1)
    assert capped.columns == rows.columns
    kept = capped.toPandas()
    assert (kept.groupby("entity_id").size() == 2).all()
    by_network = kept["entity_id"].str[0].value_counts()
    assert (by_network["b"], by_network["c"]) == (40, 560)
    assert 20 <= by_network["a"] <= 120  # a ninth of the 600 rows of others
    again = cap_groups(rows.repartition(5), group, max_share=0.1).toPandas()
    assert set(again["entity_id"]) == set(kept["entity_id"])
    # A sample of what is left takes no more of the network than of the others.
    drawn = hash_sample(capped.withColumn("event_date", F.col("d")), max_rows=300).rows
    assert (drawn["entity_id"].str[0] == "a").mean() < 0.3


def test_a_bounded_slice_holds_what_a_hash_sample_of_it_would(spark):
    big = entity_rows(spark).where(F.col("slice") == "big")
    drawn = hash_sample(big, max_rows=400)
    assert not drawn.is_whole
    assert hash_sample(big, max_rows=1200).is_whole
    kept = bound_groups(big, ["slice"], max_rows=400).toPandas()
    pd.testing.assert_frame_equal(
        kept.sort_values(["entity_id", "event_date"], ignore_index=True), drawn.rows
    )


READY = (
    "entity_type string, entity_id string, event_date date, slice string, event_count long, "
    "values array<struct<name:string,value:double>>"
)


def ready_rows(spark):
    day = date(2026, 1, 1)
    rows = [
        ("asset", "a", day, "s", None, [("x", 1.0), ("y", 2.0)]),
        ("asset", "b", day, "s", None, [("y", float("nan")), ("x", 3.0)]),
        ("asset", "c", day, "s", None, [("x", 4.0)]),
        ("asset", "d", day, "s", None, None),
        ("other", "e", day, "s", None, [("x", 5.0)]),
    ]
    return spark.createDataFrame(rows, READY)


def test_vectors_of_a_ready_table_build_its_map_once_a_row(spark):
    wanted = [VectorRule(F.col("entity_type") == "asset", VALUES, ["y", "x", "absent"])]
    vectors_of = add_vector(ready_rows(spark), wanted)
    found = {row["entity_id"]: row for row in vectors_of.collect()}
    assert found["a"]["features"] == [2.0, 1.0, None]
    assert found["c"]["features"] == [None, 4.0, None]
    assert found["e"]["features"] == []
    assert found["b"]["bad_feature"] == "y"
    assert found["a"]["bad_feature"] is found["d"]["bad_feature"] is None
    plan = vectors_of.select("features")._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("map_from_entries") == 1


def test_rows_that_may_teach_are_finite_and_of_one_type(spark):
    is_asset = F.col("entity_type") == "asset"
    rule = VectorRule(is_asset, VALUES, ["x", "y"])
    kept = teaching_rows(ready_rows(spark), [rule], min_events=5).collect()
    assert sorted(row["entity_id"] for row in kept) == ["a", "c", "d"]
    builtin = (
        ready_rows(spark)
        .where(F.col("entity_type") == "asset")
        .withColumn("x", F.lit(1.0))
        .withColumn("event_count", F.when(F.col("entity_id") == "a", 4).otherwise(5))
    )
    rule = VectorRule(is_asset, "builtin", ["x"])
    kept = teaching_rows(builtin, [rule], min_events=5).collect()
    assert sorted(row["entity_id"] for row in kept) == ["b", "c", "d"]
    assert all(row["features"] == [1.0] for row in kept)
