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
from shoal.models.peer_models import PeerModel
from shoal.models.vectors import feature_matrix
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
    facts: dict[str, Any] = {
        "entity_type": model.entity_type,
        "model_version": model.model_version,
    }
    nights = {"reference": reference, "analysis": analysis}
    samples = {
        name: hash_sample(
            night.select("entity_id", "event_date", "features"), max_rows=settings.sample_rows
        )
        for name, night in nights.items()
    }
    for name, sample in samples.items():
        if sample.empty:
            return [{**facts, **insufficient(f"no entity of this type on the {name} night")}]
    reference_centers, analysis_centers = (
        _fit_centers(sample, model, settings) for sample in samples.values()
    )
    counts = _count_pairs(
        _assigned(reference, model, reference_centers, settings.winsorize_sd),
        _assigned(analysis, model, analysis_centers, settings.winsorize_sd),
    )
    table, only_reference, only_analysis = _contingency(
        counts, len(reference_centers), len(analysis_centers)
    )
    facts |= {
        "entities_both": int(table.sum()),
        "entities_reference_only": only_reference,
        "entities_analysis_only": only_analysis,
    }
    if table.sum() < settings.min_entities:
        detail = f"{int(table.sum())} entities on both nights, {settings.min_entities} needed"
        return [{**facts, **insufficient(detail)}]
    return [{**facts, **row} for row in _rows(table, reference_centers, analysis_centers)]


def insufficient(detail: str) -> dict[str, Any]:
    """The overall row where there is no verdict, and why."""
    return {
        "reference_cluster_id": OVERALL,
        "status": "insufficient_data",
        "detail": detail,
    }


def _fit_centers(sample: pd.DataFrame, model: PeerModel, settings: DriftSettings) -> Array:
    """Centres of one night's sample, from the model's centres on."""
    rows = model.geometry.preparation.project_winsorized(
        feature_matrix(sample["features"]), settings.winsorize_sd
    )
    return continue_kmeans(rows, model.geometry.centers)


def _assigned(
    entity_days: DataFrame, model: PeerModel, centers: Array, winsorize_sd: float
) -> DataFrame:
    """The cluster of each entity: (entity_id, cluster)."""
    preparation = model.geometry.preparation

    def label(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                values = feature_matrix(batch["features"])
                labels, _, _ = assign(preparation.project_winsorized(values, winsorize_sd), centers)
                yield pd.DataFrame({"entity_id": batch["entity_id"], "cluster": labels})

    return entity_days.select("entity_id", "features").mapInPandas(
        label, "entity_id string, cluster int"
    )


def _count_pairs(reference: DataFrame, analysis: DataFrame) -> list[Any]:
    """Entities by (reference cluster, analysis cluster), null where a night lacks them."""
    first = reference.withColumnRenamed("cluster", "reference_cluster")
    second = analysis.withColumnRenamed("cluster", "analysis_cluster")
    both = first.join(second, ["entity_id"], how="full")
    return both.groupBy("reference_cluster", "analysis_cluster").count().collect()


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
