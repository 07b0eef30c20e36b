"""The raw rows behind a line of the list: its activity that fewest entities share."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.activity import DIMENSION_NAMES
from shoal.models.listing import NightEntity, night_entity

_ENTITY = ["entity_type", "entity_id"]
_KEY = ["event_date", *_ENTITY]
_EVIDENCE_FIELDS = (
    "dimension",
    "value",
    "event_count",
    "entities_sharing",
    "is_new",
    "first_ts",
    "last_ts",
    "sample_event_ids",
)


def add_evidence(
    lines: Sequence[dict[str, Any]], activity: DataFrame, *, novelty_days: int, top: int
) -> list[dict[str, Any]]:
    """Add ``evidence``: the activity of each line that fewest entities share.

    Parameters
    ----------
    activity : ``entity_activity`` of the lines' nights and of the nights that may be looked back on
    novelty_days : a night looks back on those of the ``novelty_days`` before it
    top : most rows a line
    """
    if not lines or not top:
        return [{**line, "evidence": []} for line in lines]
    evidence: dict[NightEntity, list[dict[str, Any]]] = {}
    for row in _rarest_rows(lines, activity, novelty_days, top):
        found = {name: row[name] for name in _EVIDENCE_FIELDS}
        evidence.setdefault(night_entity(row), []).append(found)
    return [{**line, "evidence": evidence.get(night_entity(line), [])} for line in lines]


def _rarest_rows(
    lines: Sequence[dict[str, Any]], activity: DataFrame, novelty_days: int, top: int
) -> list[Row]:
    keys = activity.sparkSession.createDataFrame(
        [night_entity(line) for line in lines],
        "event_date date, entity_type string, entity_id string",
    )
    days = sorted({line["event_date"] for line in lines})
    kept = activity.where(F.col("dimension").isin(*DIMENSION_NAMES))
    tonight = kept.where(F.col("event_date").isin(days))
    own = tonight.join(F.broadcast(keys), _KEY, how="left_semi")
    of_lines = activity.join(F.broadcast(keys.select(*_ENTITY)), _ENTITY, how="left_semi")
    order = Window.partitionBy(*_KEY).orderBy(
        "entities_sharing", F.col("event_count").desc(), "dimension", "value"
    )
    return (
        own.transform(_add_sharing, tonight)
        .transform(_add_is_new, of_lines, novelty_days)
        .withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= top)
        .orderBy(*_KEY, "place")
        .select(*_KEY, *_EVIDENCE_FIELDS)
        .collect()
    )


def _add_sharing(own: DataFrame, activity: DataFrame) -> DataFrame:
    """Add ``entities_sharing``: entities of the type that show the value on the day."""
    pair = ["event_date", "entity_type", "dimension", "value"]
    sharing = (
        activity.join(own.select(*pair).distinct(), pair, how="left_semi")
        .groupBy(*pair)
        .agg(F.count(F.lit(1)).alias("entities_sharing"))
    )
    return own.join(sharing, pair, how="inner")


def _add_is_new(own: DataFrame, of_lines: DataFrame, novelty_days: int) -> DataFrame:
    """Add ``is_new``: not in the entity's past; null without one.

    Parameters
    ----------
    of_lines : all activity of the entities, with ``total``, by which they have a past
    """
    value = [*_ENTITY, "dimension", "value"]
    days = F.collect_set("event_date")
    seen = of_lines.groupBy(*value).agg(days.alias("seen_days"))
    known = of_lines.where(F.col("dimension") == "total").groupBy(*_ENTITY).agg(days.alias("days"))

    def in_past(column: str) -> Column:
        return F.exists(column, lambda day: _is_back(day, novelty_days))

    is_new = F.when(in_past("days"), ~in_past("seen_days"))
    return (
        own.join(seen, value, how="left")
        .join(known, _ENTITY, how="left")
        .withColumn("is_new", is_new)
    )


def _is_back(day: Column, novelty_days: int) -> Column:
    return F.datediff(F.col("event_date"), day).between(1, novelty_days)
