"""Why an entity's score is not that of the night before: itself, the model, or late data."""

from datetime import timedelta
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_FEATURES, ENTITY_SCORES, RUNS
from shoal.models.registry import load_versions, version_served
from shoal.models.scoring import judge_entities
from shoal.models.vectors import add_vector
from shoal.pipelines.context import Context
from shoal.pipelines.score import vector_rules
from shoal.spark.nights import Night, published_nights, read_published


def attribute_change(
    context: Context, night: Night, is_own: Column, found: dict[str, Any]
) -> dict[str, Any]:
    """Take the change of a score since the night before apart, in this order.

    By behaviour: tonight's features by last night's model, less last night's score. By model:
    tonight's score less that. By late data: last night's score as it is now, less the one that was
    told first, where the night has been computed anew since. They add up to tonight's score less
    that first one.

    Parameters
    ----------
    is_own : which rows are the entity's
    found : its row of ``entity_scores``

    Returns
    -------
    ``change_since``, ``score_change``, ``change_by_behaviour``, ``change_by_model`` and
    ``change_by_late_data``; nothing if it had no score on the night published before
    """
    earlier = published_nights(context.warehouse, end=night.event_date - timedelta(days=1))[-1:]
    if not earlier:
        return {}
    [before] = earlier
    last = read_published(context.warehouse, ENTITY_SCORES, earlier).where(is_own).first()
    if last is None:
        return {}
    now, then = float(found["anomaly_score"]), float(last["anomaly_score"])
    by_last_model = now
    if last["model_version"] != found["model_version"]:
        by_last_model = _score_by(
            context, night, is_own, str(found["entity_type"]), str(last["model_version"])
        )
    told = _told_first(context, before, is_own)
    return {
        "change_since": before.event_date,
        "score_change": now - (then if told is None else told),
        "change_by_behaviour": by_last_model - then,
        "change_by_model": now - by_last_model,
        "change_by_late_data": 0.0 if told is None else then - told,
    }


def _score_by(
    context: Context, night: Night, is_own: Column, entity_type: str, version: str
) -> float:
    """Tonight's score by another model."""
    loaded = load_versions(context.warehouse, [version_served(entity_type, version)])
    models = {night.event_date: loaded}
    features = read_published(context.warehouse, ENTITY_FEATURES, [night]).where(is_own)
    rows = add_vector(features, vector_rules(models))
    [judged] = judge_entities(rows, models, min_events=0).select("anomaly_score").collect()
    return float(judged[0])


def _told_first(context: Context, night: Night, is_own: Column) -> float | None:
    """The score of a night as it was published first; ``None`` if it is the same publication.

    ``None`` as well where the tables no longer hold what was told.
    """
    is_published = (F.col("step") == "publish") & (F.col("state") == "done")
    first = (
        context.warehouse.read(RUNS)
        .where(is_published & (F.col("event_date") == F.lit(night.event_date)))
        .orderBy("written_ts")
        .select("run_id", "written_ts")
        .first()
    )
    if first is None or first["run_id"] == night.run_id:
        return None
    is_first = (F.col("event_date") == F.lit(night.event_date)) & (
        F.col("run_id") == F.lit(first["run_id"])
    )
    try:
        scores = context.warehouse.read_as_of(ENTITY_SCORES, first["written_ts"])
        row = scores.where(is_own & is_first).first()
    except PySparkException:
        # Old files go after a while; what they held is then not told.
        return None
    return None if row is None else float(row["anomaly_score"])
