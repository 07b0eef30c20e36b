"""Clusters of the last nights held against what the entities are labelled as."""

from datetime import date

import pandas as pd
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_SCORES
from shoal.errors import DataError, did_you_mean
from shoal.features.slices import add_label
from shoal.kernels.labels import LabelAgreement, compare_with_labels
from shoal.lake import find_night, require_published
from shoal.pipelines.context import Context
from shoal.pipelines.labels import labels_in_force
from shoal.spark.nights import read_published

Tables = dict[str, pd.DataFrame]


def compare_clusters(
    context: Context, event_date: date | None, *, entity_type: str, label: str, last: int
) -> Tables:
    """How well each entity's commonest cluster of some nights tells its label.

    Of the nights up to ``event_date`` those count, at most ``last``, that one model served: the
    clusters of two models are other clusters.

    Raises
    ------
    DataError
        If no entity of the type has both a cluster and the label; it says which labels there are.
    """
    night = find_night(context.warehouse, event_date)
    nights = [n for n in require_published(context.warehouse) if n.event_date <= night.event_date]
    scores = read_published(context.warehouse, ENTITY_SCORES, nights[-last:]).where(
        (F.col("entity_type") == F.lit(entity_type)) & F.col("cluster_id").isNotNull()
    )
    newest = scores.agg(F.max_by("model_version", "event_date")).collect()[0][0]
    commonest = (
        scores.where(F.col("model_version") == F.lit(newest))
        .groupBy("entity_id", "cluster_id")
        .count()
        .groupBy("entity_id")
        .agg(F.max_by("cluster_id", F.struct("count", -F.col("cluster_id"))).alias("cluster_id"))
    )
    labels = labels_in_force(context.warehouse, night.event_date).where(
        F.col("entity_type") == F.lit(entity_type)
    )
    named = commonest.withColumn("entity_type", F.lit(entity_type)).transform(
        add_label,
        labels.where(F.col("label") == F.lit(label)),
        F.col("entity_type"),
        F.col("entity_id"),
        "value",
    )
    rows = named.where(F.col("value").isNotNull()).orderBy("entity_id").collect()
    if not rows:
        known = sorted(row[0] for row in labels.select("label").distinct().collect())
        raise DataError(
            f"no {entity_type} that was scored has a label {label!r}{did_you_mean(label, known)}; "
            f"labels of the type: {', '.join(known) or 'none'}"
        )
    found = compare_with_labels(
        [row["entity_id"] for row in rows],
        [row["cluster_id"] for row in rows],
        [row["value"] for row in rows],
    )
    return _tables(found, newest)


def _tables(found: LabelAgreement, model_version: str) -> Tables:
    agreement = {
        "model_version": model_version,
        "entities": found.n_entities,
        "labels": found.n_labels,
        "clusters": found.n_clusters,
        "adjusted_rand": found.adjusted_rand,
        "adjusted_mutual_info": found.adjusted_mutual_info,
        "homogeneity": found.homogeneity,
        "completeness": found.completeness,
    }
    return {
        "Clusters against labels": pd.DataFrame([agreement]),
        "Labels": pd.DataFrame(found.labels),
        "Labelled so, and behave otherwise": pd.DataFrame(found.misfits),
    }
