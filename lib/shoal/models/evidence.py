"""The raw rows behind a line of the list: its activity that fewest entities share."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.features import NOVEL_DIMENSIONS
from shoal.models.listing import Entity

_ENTITY = ["entity_type", "entity_id"]
_EVIDENCE_DIMENSIONS = (*NOVEL_DIMENSIONS, "user", "host", "logon_source")
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
    lines: Sequence[dict[str, Any]], activity: DataFrame, past: DataFrame, *, top: int
) -> list[dict[str, Any]]:
    """Add ``evidence``: the activity of each line that fewest entities share.

    Parameters
    ----------
    activity, past : ``entity_activity`` of the night and of the novelty window before it
    top : most rows a line
    """
    if not lines:
        return []
    evidence: dict[Entity, list[dict[str, Any]]] = {}
    for row in _rarest_rows(lines, activity, past, top):
        found = {name: row[name] for name in _EVIDENCE_FIELDS}
        evidence.setdefault((row["entity_type"], row["entity_id"]), []).append(found)
    return [
        {**line, "evidence": evidence.get((line["entity_type"], line["entity_id"]), [])}
        for line in lines
    ]


def _rarest_rows(
    lines: Sequence[dict[str, Any]], activity: DataFrame, past: DataFrame, top: int
) -> list[Row]:
    keys = activity.sparkSession.createDataFrame(
        [(line["entity_type"], line["entity_id"]) for line in lines],
        "entity_type string, entity_id string",
    )
    kept = activity.where(F.col("dimension").isin(*_EVIDENCE_DIMENSIONS))
    own = kept.join(F.broadcast(keys), _ENTITY, how="left_semi")
    own_past = past.join(F.broadcast(keys), _ENTITY, how="left_semi")
    order = Window.partitionBy(*_ENTITY).orderBy(
        "entities_sharing", F.col("event_count").desc(), "dimension", "value"
    )
    return (
        own.transform(_add_sharing, kept)
        .transform(_add_is_new, own_past)
        .withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= top)
        .orderBy(*_ENTITY, "place")
        .select(*_ENTITY, *_EVIDENCE_FIELDS)
        .collect()
    )


def _add_sharing(own: DataFrame, activity: DataFrame) -> DataFrame:
    """Add ``entities_sharing``: entities of the type that show the value on the day."""
    pair = ["entity_type", "dimension", "value"]
    sharing = (
        activity.join(own.select(*pair).distinct(), pair, how="left_semi")
        .groupBy(*pair)
        .agg(F.count(F.lit(1)).alias("entities_sharing"))
    )
    return own.join(sharing, pair, how="inner")


def _add_is_new(own: DataFrame, own_past: DataFrame) -> DataFrame:
    """Add ``is_new``: not in the entity's past; null without one."""
    value = [*_ENTITY, "dimension", "value"]
    seen = own_past.select(*value).distinct().withColumn("is_seen", F.lit(True))
    known = own_past.select(*_ENTITY).distinct().withColumn("has_past", F.lit(True))
    is_new = F.when(F.col("has_past"), F.col("is_seen").isNull())
    return (
        own.join(seen, value, how="left")
        .join(known, _ENTITY, how="left")
        .withColumn("is_new", is_new)
    )
