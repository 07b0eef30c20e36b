"""Candidates of a selection: tried side by side over Spark, and told in ``model_candidates``."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from shoal.kernels.clusters import elbow
from shoal.kernels.form import Selection
from shoal.kernels.selection import Candidate, Trial

MIXTURE, KMEANS = "mixture", "kmeans"
MAX_TASKS = 16
"""Tasks that candidates are dealt out to: more than cores, so that a slow one holds up few."""

ROWS_A_TASK = 50_000
"""Rows to fit, times candidates, that are worth a task: with less, starting it is the work."""

_TRIED = T.StructType(
    [
        T.StructField("number", T.IntegerType()),
        T.StructField("bic", T.DoubleType()),
        T.StructField("aic", T.DoubleType()),
        T.StructField("held_out", T.ArrayType(T.DoubleType())),
        T.StructField("labels", T.ArrayType(T.IntegerType())),
        T.StructField("outside_share", T.DoubleType()),
        T.StructField("smallest_weight", T.DoubleType()),
        T.StructField("responsibility_entropy", T.DoubleType()),
        T.StructField("near_duplicates", T.IntegerType()),
        T.StructField("is_converged", T.BooleanType()),
        T.StructField("seconds", T.DoubleType()),
        T.StructField("fault", T.StringType()),
    ]
)


def try_side_by_side(
    spark: SparkSession,
    n_rows: int,
    attempt: Callable[[Candidate], Trial],
    candidates: Sequence[Candidate],
) -> list[Trial]:
    """Try candidates in Spark's tasks; the rows ride along with the function.

    The costly ones come first and are dealt out in turn, so that no task gets all of them.

    Parameters
    ----------
    n_rows : rows that a candidate is about to be fitted on
    """
    order = sorted(range(len(candidates)), key=lambda n: candidates[n], reverse=True)
    worth = n_rows * len(candidates) // ROWS_A_TASK
    n_tasks = max(1, min(worth, MAX_TASKS, len(candidates)))

    def work(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for task in batch["id"]:
                mine = order[int(task) :: n_tasks]
                yield pd.DataFrame([_row(number, attempt(candidates[number])) for number in mine])

    tasks = spark.range(0, n_tasks, 1, n_tasks)
    found = {row["number"]: row for row in tasks.mapInPandas(work, _TRIED).collect()}
    return [_trial(candidate, found[n].asDict()) for n, candidate in enumerate(candidates)]


def _row(number: int, trial: Trial) -> dict[str, Any]:
    names = [name for name in _TRIED.fieldNames() if name != "number"]
    return {"number": number, **{name: getattr(trial, name) for name in names}}


def _trial(candidate: Candidate, row: dict[str, Any]) -> Trial:
    del row["number"]
    row["held_out"] = np.asarray(row["held_out"], dtype=np.float64)
    row["labels"] = np.asarray(row["labels"], dtype=np.intp)
    return Trial(candidate=candidate, **row)


def candidate_rows(selection: Selection, random_state: int) -> list[dict[str, Any]]:
    """Rows of ``model_candidates``: mixtures in the order they were judged, then k-means."""
    mixtures = [
        {
            "kind": MIXTURE,
            "n_components": verdict.n_components,
            "covariance_type": verdict.covariance_type,
            "random_state": random_state,
            "bic": _known(verdict.bic),
            "aic": _known(verdict.aic),
            "held_out_log_likelihood": _known(verdict.held_out),
            "held_out_loss": _known(verdict.loss),
            "held_out_loss_error": _known(verdict.loss_error),
            "stability": _known(verdict.stability),
            "jaccard": _known(verdict.jaccard),
            "outside_share": _known(verdict.outside_share),
            "smallest_weight": _known(verdict.smallest_weight),
            "responsibility_entropy": _known(verdict.responsibility_entropy),
            "near_duplicates": verdict.near_duplicates,
            "is_converged": verdict.is_converged,
            "is_chosen": verdict.is_chosen,
            "reason": verdict.reason,
            "seconds": verdict.seconds,
        }
        for verdict in selection.mixtures
    ]
    chosen = elbow(selection.clusters) if selection.clusters else None
    clusters = [
        {
            "kind": KMEANS,
            "n_components": trial.n_clusters,
            "random_state": random_state,
            "inertia": trial.inertia,
            "silhouette": trial.silhouette,
            "is_chosen": trial.n_clusters == chosen,
            "reason": "elbow of the inertia" if trial.n_clusters == chosen else "not the elbow",
        }
        for trial in selection.clusters
    ]
    return mixtures + clusters


def _known(value: float) -> float | None:
    """A figure, or none where there was no fit."""
    return value if np.isfinite(value) else None
