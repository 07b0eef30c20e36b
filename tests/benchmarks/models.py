"""`make bench`: what models and skew cost, as ratios within one run: to scikit-learn and numpy, and
of a skewed day to a balanced one.

Nothing is asserted: a busy machine would fail what a quiet one passes. Each line is the median of
some runs of both sides, one after the other.
"""

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial

# As in Spark's workers: one thread a task, the tasks are the parallelism.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.mixture import GaussianMixture
from tests.benchmarks.skew import skewed_and_balanced
from tests.support.fits import FIT_SETTINGS, fit_request

from shoal.config import load_settings
from shoal.kernels.centroids import cluster_spread
from shoal.kernels.gaussians import COVARIANCE_TYPES
from shoal.kernels.peer_fit import build_references, cross_fit_scores, fit_sample
from shoal.kernels.peer_model import Standard, WeekReferences
from shoal.kernels.preparation import fit_preparation
from shoal.kernels.selection import SelectionSettings, select, selection_data
from shoal.models.candidates import try_side_by_side
from shoal.models.fit import fit_models
from shoal.models.peer_models import PeerModel, PeerModels
from shoal.models.scoring import judge_entities
from shoal.spark.session import start_session

NIGHT = date(2026, 3, 5)
RUNS = 3


def main() -> int:
    """Run the benchmarks asked for and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=BENCHMARKS)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows")
    asked = parser.parse_args()
    settings = load_settings("conf/local.yaml", ["storage.path=warehouse/bench"])
    spark = start_session(settings, name="shoal bench")
    spark.sparkContext.setLogLevel("ERROR")
    try:
        for name, bench in BENCHMARKS.items():
            if asked.only in (None, name):
                print(bench(spark, asked.scale), flush=True)
    finally:
        spark.stop()
    return 0


def scoring(spark: SparkSession, scale: float) -> str:
    """Density, distance and calibration in Spark, beside scikit-learn's bare density."""
    n_rows, n_features, k = int(400_000 * scale), 40, 8
    rng = np.random.default_rng(0)
    taught = _shoals(rng, 20_000, n_features, k)
    model, theirs = _fitted(taught, k)
    rows = _shoals(rng, n_rows, n_features, k)
    frame = spark.createDataFrame(
        [(f"host-{number}", row.tolist()) for number, row in enumerate(rows)],
        "entity_id string, features array<double>",
    ).select(
        F.lit(NIGHT).alias("event_date"), F.lit("host").alias("entity_type"), "entity_id",
        F.lit("*").alias("slice"), F.lit(9).cast("bigint").alias("event_count"), "features",
        F.lit(None).cast("string").alias("bad_feature"),
    ).repartition(4).cache()  # fmt: skip
    frame.count()
    judged = judge_entities(frame, {NIGHT: PeerModels.of([model])}, min_events=1)
    ours, bare = _paired(
        lambda: judged.write.format("noop").mode("overwrite").save(),
        lambda: theirs.score_samples(rows),
    )
    frame.unpersist()
    return (
        f"scoring {n_rows:,} × {n_features}, K = {k}: Spark {ours:.2f} s "
        f"({n_rows / ours:,.0f} rows/s), scikit-learn {bare:.2f} s, ratio {ours / bare:.2f}"
    )


def selection(spark: SparkSession, scale: float) -> str:
    """12 K × 4 covariances × 3 seeds over Spark, beside scikit-learn on two processes."""
    n_rows, n_features = int(50_000 * scale), 20
    rows = _shoals(np.random.default_rng(1), n_rows, n_features, 6)
    groups = np.asarray([f"host-{number}" for number in range(n_rows)])
    settings = SelectionSettings(n_components=range(1, 13), reg_covar=1e-4, max_iter=100)
    wanted = [
        (k, kind, seed) for k in range(12, 0, -1) for kind in COVARIANCE_TYPES for seed in range(3)
    ]

    def ours(taught: int = n_rows) -> None:
        data = selection_data(rows[:taught], groups[:taught], settings)
        select(data, settings, try_all=partial(try_side_by_side, spark, n_rows))

    def theirs() -> None:
        with ProcessPoolExecutor(2, initializer=_keep, initargs=(rows,)) as pool:
            list(pool.map(_fit_one, wanted))

    ours(1000)  # a session starts its workers once, however many types it selects for
    own, other = _paired(ours, theirs, runs=2)
    return (
        f"selection of {len(wanted)} candidates on {n_rows:,} × {n_features}: Spark {own:.0f} s, "
        f"scikit-learn on two processes {other:.0f} s, ratio {own / other:.2f}"
    )


def preparation(spark: SparkSession, scale: float) -> str:
    """Transform, scale and PCA, beside numpy's quantiles, covariance and eigenvectors."""
    del spark
    n_rows, n_features = int(1_000_000 * scale), 100
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(n_rows, 20)) @ rng.normal(size=(20, n_features))
    rows += 0.3 * rng.normal(size=rows.shape)
    names = [f"f{number}" for number in range(n_features)]

    def theirs() -> None:
        np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
        np.linalg.eigh(np.cov(rows.T))

    own, other = _paired(
        lambda: fit_preparation(rows, feature_names=names, is_count=[False] * n_features), theirs
    )
    return (
        f"preparation and PCA of {n_rows:,} × {n_features}: {own:.1f} s, numpy {other:.1f} s, "
        f"ratio {own / other:.2f}"
    )


def memory(spark: SparkSession, scale: float) -> str:
    """What a fit costs the driver's Python, and the same of ten times as many rows."""
    request = fit_request([f"f{number}" for number in range(20)], feature_set="values")
    sizes = [int(n_rows * scale) for n_rows in (100_000, 1_000_000)]
    peaks = []
    for n_rows in sizes:
        normals = (F.randn(seed) + 4.0 * (F.col("id") % 3) for seed in range(20))
        rows = spark.range(n_rows).select(
            F.concat(F.lit("host-"), F.floor(F.col("id") / 10)).alias("entity_id"),
            F.date_add(F.lit(NIGHT), (F.col("id") % 10).cast("int")).alias("event_date"),
            F.concat(F.lit("slice-"), F.floor(F.col("id") / 10) % 10).alias("slice"),
            F.array(*normals).alias("features"),
            F.lit(None).cast("array<struct<term:string,count:bigint>>").alias("profile"),
        )
        fit_models(rows, request)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    few, many = (f"{n_rows:,}" for n_rows in sizes)
    return (
        f"driver's Python at most, MiB: {peaks[0]:.0f} to fit {few} × 20, {peaks[1]:.0f} to fit "
        f"{many}, ratio {peaks[1] / peaks[0]:.2f}"
    )


def skew(spark: SparkSession, scale: float) -> str:
    """A day's activity and features where one entity has most rows, beside a balanced day."""
    n_rows = int(1_500_000 * scale)
    told = []
    for words, days in (
        ("one address with 95 % of connections",
         skewed_and_balanced(spark, kind="network", n_rows=n_rows, share=0.95)),
        ("the same, all to one peer",
         skewed_and_balanced(spark, kind="network", n_rows=n_rows, share=0.95, is_one_value=True)),
        ("one host with half of the launches",
         skewed_and_balanced(spark, kind="process", n_rows=n_rows, share=0.5)),
    ):  # fmt: skip
        with days as (skewed, balanced):
            balanced()  # a session compiles a step once
            skewed()
            own, other = _paired(skewed, balanced)
        told.append(
            f"features of {n_rows:,} events, {words}: {own:.1f} s, balanced {other:.1f} s, "
            f"ratio {own / other:.2f}"
        )
        print(told[-1], file=sys.stderr, flush=True)
    return "\n".join(told)


BENCHMARKS = {
    "scoring": scoring,
    "selection": selection,
    "preparation": preparation,
    "memory": memory,
    "skew": skew,
}


def _fitted(taught: np.ndarray, k: int) -> tuple[PeerModel, GaussianMixture]:
    n_rows, n_features = taught.shape
    groups = np.asarray([f"host-{number}" for number in range(n_rows)])
    settings = replace(
        FIT_SETTINGS, n_components=k, n_clusters=k, n_init=1, n_folds=2, explained_variance=1.0,
        max_pca_components=50,
    )  # fmt: skip
    names = tuple(f"f{number}" for number in range(n_features))
    fitted = fit_sample(
        taught, groups, feature_names=names, is_count=np.zeros(n_features, dtype=bool),
        settings=settings,
    )  # fmt: skip
    of_all = build_references(cross_fit_scores(taught, groups, fitted.cross_fit))
    measures = fitted.geometry.measure(taught)
    model = PeerModel(
        "host-1", "host", "*", "values", names, fitted.geometry, WeekReferences(of_all, of_all),
        Standard(), cluster_spread(measures.centroid_ids, measures.centroid_distance, k), "own",
        n_rows, 1,
    )  # fmt: skip
    return model, GaussianMixture(k, random_state=0, max_iter=20).fit(taught)


def _shoals(rng: np.random.Generator, n_rows: int, n_features: int, k: int) -> np.ndarray:
    centers = np.random.default_rng(99).normal(0.0, 2.0, size=(k, n_features))
    return centers[rng.integers(0, k, n_rows)] + rng.normal(size=(n_rows, n_features))


_ROWS: list[np.ndarray] = []


def _keep(rows: np.ndarray) -> None:
    _ROWS[:] = [rows]


def _fit_one(wanted: tuple[int, str, int]) -> float:
    k, kind, seed = wanted
    estimator = GaussianMixture(k, covariance_type=kind, random_state=seed, reg_covar=1e-4)
    return float(estimator.fit(_ROWS[0]).lower_bound_)


def _paired(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int = RUNS
) -> Sequence[float]:
    """Median seconds of both, taken in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for work, seconds in zip((ours, theirs), taken, strict=True):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
    return [statistics.median(seconds) for seconds in taken]


if __name__ == "__main__":
    sys.exit(main())
