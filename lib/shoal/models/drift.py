"""Cluster drift: a night's clusters matched with an earlier night's on the entities of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from shoal.kernels.centroids import assign, continue_kmeans
from shoal.kernels.matching import cluster_jaccard, contingency_scores, match_centers
from shoal.kernels.preparation import Preparation, winsorize
from shoal.models.peer_models import PeerModel
from shoal.spark.sampling import hash_sample

Array = NDArray[np.float64]
OVERALL = -1


@dataclass(frozen=True)
class DriftSettings:
    """Below ``min_entities`` common entities there is no verdict."""

    min_entities: int
    winsorize_sd: float
    sample_rows: int


def compare_nights(
    reference: DataFrame, analysis: DataFrame, model: PeerModel, settings: DriftSettings
) -> list[dict[str, Any]]:
    """Cluster both nights in one preparation, match the centres, compare the members.

    Both nights are clustered by k-means on a hash sample with the model's centres as the start,
    so that a difference is the nights' and not a random start's; then all rows are assigned.

    Parameters
    ----------
    reference, analysis : entity × day of one entity type with ``features`` in the model's order

    Returns
    -------
    Rows of ``drift_clusters``: one overall (cluster −1), and one a reference cluster.
    """
    first, reference_centers = _cluster(reference, model, settings)
    second, analysis_centers = _cluster(analysis, model, settings)
    both = first.withColumnRenamed("cluster", "reference_cluster").join(
        second.withColumnRenamed("cluster", "analysis_cluster"), ["entity_id"], how="full"
    )
    counts = both.groupBy("reference_cluster", "analysis_cluster").count().collect()
    table, only_reference, only_analysis = _contingency(
        counts, len(reference_centers), len(analysis_centers)
    )
    facts = {
        "entities_both": int(table.sum()),
        "entities_reference_only": only_reference,
        "entities_analysis_only": only_analysis,
        "model_version": model.model_version,
        "entity_type": model.entity_type,
    }
    if table.sum() < settings.min_entities:
        detail = f"{int(table.sum())} entities on both nights, {settings.min_entities} needed"
        overall = {"reference_cluster_id": OVERALL, "status": "insufficient_data", "detail": detail}
        return [{**facts, **overall}]
    return [{**facts, **row} for row in _rows(table, reference_centers, analysis_centers)]


def _cluster(
    entity_days: DataFrame, model: PeerModel, settings: DriftSettings
) -> tuple[DataFrame, Array]:
    """Cluster one night; return (entity_id, cluster) and the centres."""
    preparation, start = model.geometry.preparation, model.geometry.centers
    sample = hash_sample(
        entity_days.select("entity_id", "event_date", "features"), max_rows=settings.sample_rows
    )
    values = np.stack([np.asarray(row, dtype=float) for row in sample["features"]])
    rows = preparation.project(winsorize(preparation.standardize(values), settings.winsorize_sd))
    centers = continue_kmeans(rows, start)
    return _assigned(entity_days, preparation, centers, settings.winsorize_sd), centers


def _assigned(
    entity_days: DataFrame, preparation: Preparation, centers: Array, winsorize_sd: float
) -> DataFrame:
    def label(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                values = np.stack([np.asarray(row, dtype=float) for row in batch["features"]])
                rows = preparation.project(winsorize(preparation.standardize(values), winsorize_sd))
                labels, _, _ = assign(rows, centers)
                yield pd.DataFrame({"entity_id": batch["entity_id"], "cluster": labels})

    return entity_days.select("entity_id", "features").mapInPandas(
        label, "entity_id string, cluster int"
    )


def _contingency(
    counts: list[Any], n_reference: int, n_analysis: int
) -> tuple[NDArray[np.int64], int, int]:
    table = np.zeros((n_reference, n_analysis), dtype=np.int64)
    only_reference = only_analysis = 0
    for before, now, count in counts:
        if now is None:
            only_reference += count
        elif before is None:
            only_analysis += count
        else:
            table[before, now] = count
    return table, int(only_reference), int(only_analysis)


def _rows(
    table: NDArray[np.int64], reference_centers: Array, analysis_centers: Array
) -> list[dict[str, Any]]:
    matching = match_centers(reference_centers, analysis_centers)
    overall = contingency_scores(table)
    jaccard = cluster_jaccard(table, matching)
    shared = {
        "adjusted_rand": float(overall.adjusted_rand),
        "adjusted_mutual_information": float(overall.adjusted_mutual_information),
        # Without a learnt baseline there is no verdict of drift yet, only its measures.
        "status": "ok",
    }
    rows = [
        {
            **shared,
            "reference_cluster_id": OVERALL,
            "reference_size": int(table.sum()),
            "analysis_size": int(table.sum()),
            "common_size": int(sum(table[i, j] for i, j in enumerate(matching) if j >= 0)),
            "detail": "agreement of both nights' clusterings of the common entities",
        }
    ]
    for cluster, matched in enumerate(matching):
        rows.append({**shared, **_pair_row(table, cluster, int(matched), float(jaccard[cluster]))})
        if matched >= 0:
            shift = np.linalg.norm(reference_centers[cluster] - analysis_centers[matched])
            rows[-1]["center_distance"] = float(shift)
    return rows


def _pair_row(
    table: NDArray[np.int64], cluster: int, matched: int, jaccard: float
) -> dict[str, Any]:
    is_matched = matched >= 0
    return {
        "reference_cluster_id": cluster,
        "analysis_cluster_id": matched if is_matched else None,
        "reference_size": int(table[cluster].sum()),
        "analysis_size": int(table[:, matched].sum()) if is_matched else None,
        "common_size": int(table[cluster, matched]) if is_matched else 0,
        "jaccard": jaccard if np.isfinite(jaccard) else None,
        "detail": None if np.isfinite(jaccard) else "no entity of both nights in either cluster",
    }
