"""Cluster drift: a night's clusters matched with an earlier night's on the entities of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.kernels.centroids import assign, continue_kmeans
from shoal.kernels.matching import cluster_jaccard, contingency_scores, match_centers
from shoal.kernels.preparation import Preparation
from shoal.models.peer_models import PeerModel
from shoal.models.vectors import feature_matrix, teaching_rows
from shoal.spark.sampling import bound_groups

Array = NDArray[np.float64]
OVERALL = -1
_NIGHT = ["model_version", "event_date"]
_CENTERS = "model_version string, event_date date, centers array<array<double>>"
_LABELLED = "model_version string, event_date date, entity_id string, cluster int"


@dataclass(frozen=True)
class DriftSettings:
    """Below ``min_entities`` common entities there is no verdict."""

    min_entities: int
    winsorize_sd: float
    sample_rows: int


@dataclass(frozen=True)
class Comparison:
    """A night and the one before it, in the clusters of one entity type's model.

    Attributes
    ----------
    number : tells comparisons apart
    """

    number: int
    reference_date: date
    analysis_date: date
    model: PeerModel

    @property
    def nights(self) -> dict[str, date]:
        """Both nights by their part."""
        return {"reference": self.reference_date, "analysis": self.analysis_date}


@dataclass(frozen=True, eq=False)
class _Clustering:
    """A night's centres, and the preparation in whose space they lie."""

    preparation: Preparation
    centers: Array


_Night = tuple[str, date]
"""Model version and night: what is clustered once, however many comparisons it is in."""


def compared_rows(
    features: DataFrame, comparisons: Sequence[Comparison], *, min_events: int
) -> DataFrame:
    """Rows of ``entity_features`` that take part in comparisons, once for every model.

    A night at the change of a model is compared in both: with the one before it, and with the one
    after it.

    Returns
    -------
    Entity × day × model with ``model_version`` and ``features`` in that model's order.
    """
    models = {comparison.model.model_version: comparison.model for comparison in comparisons}
    versions = []
    for version, model in sorted(models.items()):
        own = [c for c in comparisons if c.model.model_version == version]
        nights = sorted({night for c in own for night in c.nights.values()})
        is_own = (F.col("entity_type") == model.entity_type) & F.col("event_date").isin(nights)
        versions.append(F.when(is_own, F.lit(version)))
    known = F.filter(F.array(*versions), lambda version: version.isNotNull())
    rules = [
        model.vector_rule(F.col("model_version") == version)
        for version, model in sorted(models.items())
    ]
    tagged = features.withColumn("model_version", F.explode(known))
    return teaching_rows(tagged, rules, min_events=min_events)


def compare_nights(
    entity_days: DataFrame, comparisons: Sequence[Comparison], settings: DriftSettings
) -> dict[int, list[dict[str, Any]]]:
    """Cluster both nights in one preparation, match the centres, compare the members.

    Nights are clustered by k-means on a hash sample with the model's centres as the start, so that
    a difference is the nights' and not a random start's; then all rows are assigned.

    Parameters
    ----------
    entity_days : rows of all nights that may teach, with ``model_version`` and ``features`` in that
        model's order; a night that is compared in two models is in it twice

    Returns
    -------
    Rows of ``drift_clusters`` by number of the comparison: one overall (cluster −1), and one a
    reference cluster.
    """
    clusterings = _fit_centers(entity_days, comparisons, settings)
    found: dict[int, list[dict[str, Any]]] = {}
    known = []
    for comparison in comparisons:
        missing = [
            part
            for part, night in comparison.nights.items()
            if (comparison.model.model_version, night) not in clusterings
        ]
        if missing:
            row = insufficient(f"no entity of this type on the {missing[0]} night")
            found[comparison.number] = [{**_facts(comparison), **row}]
        else:
            known.append(comparison)
    counts = _count_pairs(entity_days, known, clusterings, settings.winsorize_sd) if known else []
    for comparison in known:
        own = [row[1:] for row in counts if row[0] == comparison.number]
        found[comparison.number] = _compared(comparison, own, clusterings, settings)
    return found


def _facts(comparison: Comparison) -> dict[str, Any]:
    model = comparison.model
    return {"entity_type": model.entity_type, "model_version": model.model_version}


def _compared(
    comparison: Comparison,
    counts: Sequence[Any],
    clusterings: Mapping[_Night, _Clustering],
    settings: DriftSettings,
) -> list[dict[str, Any]]:
    """Rows of a comparison from its entities by (reference cluster, analysis cluster)."""
    version = comparison.model.model_version
    reference, analysis = (
        clusterings[version, night].centers for night in comparison.nights.values()
    )
    table, only_reference, only_analysis = _contingency(counts, len(reference), len(analysis))
    facts = _facts(comparison) | {
        "entities_both": int(table.sum()),
        "entities_reference_only": only_reference,
        "entities_analysis_only": only_analysis,
    }
    if table.sum() < settings.min_entities:
        detail = f"{int(table.sum())} entities on both nights, {settings.min_entities} needed"
        return [{**facts, **insufficient(detail)}]
    return [{**facts, **row} for row in _rows(table, reference, analysis)]


def insufficient(detail: str) -> dict[str, Any]:
    """The overall row where there is no verdict, and why."""
    return {
        "reference_cluster_id": OVERALL,
        "status": "insufficient_data",
        "detail": detail,
    }


def _fit_centers(
    entity_days: DataFrame, comparisons: Sequence[Comparison], settings: DriftSettings
) -> dict[_Night, _Clustering]:
    """Centres of each night's sample, a task each; a night without rows has none."""
    models = {comparison.model.model_version: comparison.model for comparison in comparisons}
    starts = {
        version: _Clustering(model.geometry.preparation, model.geometry.centers)
        for version, model in models.items()
    }
    winsorize_sd = settings.winsorize_sd

    def fit(group: pd.DataFrame) -> pd.DataFrame:
        return fit_group(group, starts, winsorize_sd)

    wanted = entity_days.select(*_NIGHT, "entity_id", "features")
    bounded = bound_groups(wanted, _NIGHT, max_rows=settings.sample_rows)
    fitted = bounded.groupBy(*_NIGHT).applyInPandas(fit, _CENTERS).collect()
    return {
        (version, night): _Clustering(starts[version].preparation, np.asarray(centers, dtype=float))
        for version, night, centers in fitted
    }


def fit_group(
    group: pd.DataFrame, starts: Mapping[str, _Clustering], winsorize_sd: float
) -> pd.DataFrame:
    """Group function of the centres: the sample of one night in, from the model's centres on."""
    sample = group.sort_values("entity_id")
    version, night = sample["model_version"].iloc[0], sample["event_date"].iloc[0]
    start = starts[version]
    values = feature_matrix(sample["features"])
    rows = start.preparation.project_winsorized(values, winsorize_sd)
    centers = continue_kmeans(rows, start.centers)
    return pd.DataFrame(
        {"model_version": [version], "event_date": [night], "centers": [centers.tolist()]}
    )


def _count_pairs(
    entity_days: DataFrame,
    comparisons: Sequence[Comparison],
    clusterings: Mapping[_Night, _Clustering],
    winsorize_sd: float,
) -> list[Any]:
    """Entities by comparison, reference cluster and analysis cluster, null where they lack one."""

    def label(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield label_batch(batch, clusterings, winsorize_sd)

    labelled = entity_days.select(*_NIGHT, "entity_id", "features").mapInPandas(label, _LABELLED)
    return (
        labelled.withColumn("part", F.explode(_parts(comparisons)))
        .groupBy("part.number", "entity_id")
        .agg(
            F.max(F.when(F.col("part.is_reference"), F.col("cluster"))).alias("reference_cluster"),
            F.max(F.when(~F.col("part.is_reference"), F.col("cluster"))).alias("analysis_cluster"),
        )
        .groupBy("number", "reference_cluster", "analysis_cluster")
        .count()
        .collect()
    )


def _parts(comparisons: Sequence[Comparison]) -> Column:
    """The parts that a row's night has in comparisons: up to two, before and after it."""
    parts = [
        F.when(
            (F.col("model_version") == comparison.model.model_version)
            & (F.col("event_date") == F.lit(night)),
            F.struct(
                F.lit(comparison.number).alias("number"),
                F.lit(name == "reference").alias("is_reference"),
            ),
        )
        for comparison in comparisons
        for name, night in comparison.nights.items()
    ]
    return F.filter(F.array(*parts), lambda part: part.isNotNull())


def label_batch(
    batch: pd.DataFrame, clusterings: Mapping[_Night, _Clustering], winsorize_sd: float
) -> pd.DataFrame:
    """Group function of the assignment, without Spark: the cluster of each entity on its night."""
    labelled = batch[[*_NIGHT, "entity_id"]].assign(cluster=-1)
    for night, group in batch.groupby(_NIGHT):
        clustering = clusterings[cast(_Night, night)]
        values = feature_matrix(group["features"])
        rows = clustering.preparation.project_winsorized(values, winsorize_sd)
        labelled.loc[group.index, "cluster"] = assign(rows, clustering.centers)[0]
    return labelled


def _contingency(
    counts: Sequence[Any], n_reference: int, n_analysis: int
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
