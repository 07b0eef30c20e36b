"""What analysts ask of the nights themselves: lists, models and drift, night by night."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import DRIFT_ALERT_RATE, DRIFT_CLUSTERS, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.contracts.scores import BESIDE_LANES
from shoal.models.alert_rate import CALM
from shoal.models.cluster_rows import OVERALL
from shoal.models.histograms import ALL
from shoal.pipelines.cluster_drift import PREVIOUS
from shoal.pipelines.context import Context
from shoal.spark.nights import Night, read_published, require_published


def list_nights(context: Context, *, last: int) -> list[dict[str, Any]]:
    """The last published nights: what became of their entities, their lists, and drift.

    Returns
    -------
    By night ``scored``, ``unscored``, ``lines`` (but for lanes beside the capacity), ``news``
    among them, ``by_chance`` (entities that chance alone puts on such a list), ``new_models``, and
    for every entity type ``<type>_rand``: how well its clusters agree with those of the night
    before, as the adjusted Rand index; ``moved``, the verdict of every type that moved.

    Raises
    ------
    DataError
        If no night is published.
    """
    every = require_published(context.warehouse)
    nights = every[-last:]
    lists = {row["event_date"]: row for row in _list_sizes(context, nights).collect()}
    drift: dict[date, dict[str, float | None]] = {}
    for day, kind, agreement in _agreement(context, nights).collect():
        drift.setdefault(day, {})[kind] = agreement
    moved = {row["event_date"]: row["moved"] for row in _verdicts(context, nights).collect()}
    rows = []
    known = {version for night in every[:-last] for version in night.model_versions.values()}
    for night in nights:
        versions = set(night.model_versions.values())
        listed = lists.get(night.event_date)
        rows.append(
            {
                "event_date": night.event_date,
                "scored": night.row_counts.get(ENTITY_SCORES.name, 0),
                "unscored": night.row_counts.get(UNSCORED.name, 0),
                "lines": listed["lines"] if listed else 0,
                "news": listed["news"] if listed else 0,
                "by_chance": listed["by_chance"] if listed else 0.0,
                "new_models": len(versions - known),
                **{
                    f"{kind}_rand": drift.get(night.event_date, {}).get(kind)
                    for kind in context.settings.entity_types
                },
                "moved": moved.get(night.event_date),
            }
        )
        known |= versions
    return rows


def _list_sizes(context: Context, nights: Sequence[Night]) -> DataFrame:
    rows = read_published(context.warehouse, OUTLIERS, nights)
    is_news = F.col("change").isin("new", "raised")
    return (
        rows.where(~F.col("lane").isin(*BESIDE_LANES))
        .groupBy("event_date")
        .agg(
            F.count_distinct("rank").alias("lines"),
            F.count_distinct(F.when(is_news, F.col("rank"))).alias("news"),
            F.max("expected_by_chance").alias("by_chance"),
        )
    )


def _verdicts(context: Context, nights: Sequence[Night]) -> DataFrame:
    rows = read_published(context.warehouse, DRIFT_ALERT_RATE, nights)
    told = F.concat_ws(": ", "entity_type", "verdict")
    return (
        rows.where((F.col("slice") == ALL) & ~F.col("verdict").isin(*CALM))
        .groupBy("event_date")
        .agg(F.array_join(F.sort_array(F.collect_list(told)), ", ").alias("moved"))
    )


def _agreement(context: Context, nights: Sequence[Night]) -> DataFrame:
    rows = read_published(context.warehouse, DRIFT_CLUSTERS, nights)
    is_wanted = (F.col("shape") == OVERALL) & (F.col("comparison") == PREVIOUS)
    return rows.where(is_wanted).select("event_date", "entity_type", "adjusted_rand")
