"""The night's list: who is on it, in which lane, for which reasons, on what evidence.

What is collected here is bounded: at most the list's capacity and as many standing lines again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.features import FEATURE_BY_NAME, NOVEL_DIMENSIONS
from shoal.kernels.peer_model import explain_row
from shoal.models.peer_models import PeerModels
from shoal.models.vectors import feature_column

Entity = tuple[str, str]

STANDING_NIGHTS = 5
"""Nights in a row on the list after which an entity that is usual for itself is standing."""
STANDING_SELF_P = 0.2
RAISED_BY = 1.0
"""Rise of anomaly_score that counts as news: ten times rarer among its peers."""
_SCORE_DECIMALS = 6
_EVIDENCE_DIMENSIONS = (*NOVEL_DIMENSIONS, "user", "host", "logon_source")


@dataclass(frozen=True)
class ListPolicy:
    """How many lines the list may have and how rare a line must be."""

    capacity: int
    max_p_value: float
    reasons: int
    evidence: int

    def __str__(self) -> str:
        return f"capacity {self.capacity}, p <= {self.max_p_value:g}"


@dataclass(frozen=True)
class EarlierLine:
    """An entity's line on the previous published list."""

    days_in_row: int
    anomaly_score: float
    case_id: str


def choose_lines(
    scores: DataFrame, policy: ListPolicy, earlier: Mapping[Entity, EarlierLine], scored: int
) -> list[dict[str, Any]]:
    """The lines of the list in order, without reasons and evidence.

    Ties of the rounded score are broken by key, so that the order never depends on chance.

    Parameters
    ----------
    scores : rows of ``entity_scores`` of the night
    earlier : lines of the previous published night
    scored : number of entities scored, for ``expected_by_chance``
    """
    rounded = F.round("anomaly_score", _SCORE_DECIMALS)
    candidates = (
        scores.where(F.col("p_value") <= policy.max_p_value)
        .orderBy(rounded.desc(), "entity_type", "entity_id")
        .limit(2 * policy.capacity)
        .collect()
    )
    lines = [_line(row.asDict(), earlier, policy, scored) for row in candidates]
    strays = [line for line in lines if line["lane"] == "stray"][: policy.capacity]
    standing = [line for line in lines if line["lane"] == "standing"]
    return [{**line, "rank": rank} for rank, line in enumerate([*strays, *standing], start=1)]


def _line(
    row: dict[str, Any], earlier: Mapping[Entity, EarlierLine], policy: ListPolicy, scored: int
) -> dict[str, Any]:
    entity = (row["entity_type"], row["entity_id"])
    before = earlier.get(entity)
    days_in_row = before.days_in_row + 1 if before else 1
    self_p = row["self_p_value"]
    is_usual = self_p is not None and self_p > STANDING_SELF_P
    is_raised = before is not None and row["anomaly_score"] >= before.anomaly_score + RAISED_BY
    is_standing = days_in_row > STANDING_NIGHTS and is_usual and not is_raised
    change = "new" if before is None else "raised" if is_raised else "unchanged"
    return {
        **row,
        "policy": str(policy),
        "lane": "standing" if is_standing else "stray",
        "days_in_row": days_in_row,
        "change": change,
        "expected_by_chance": scored * row["p_value"],
        "case_id": before.case_id if before else case_id(entity, row["event_date"]),
    }


def case_id(entity: Entity, first_day: date) -> str:
    """Identity of a case: its entity and the first night in a row on the list."""
    text = "\0".join((*entity, first_day.isoformat()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def add_reasons(
    lines: Sequence[dict[str, Any]],
    entity_days: DataFrame,
    models: PeerModels,
    policy: ListPolicy,
) -> list[dict[str, Any]]:
    """Add ``reasons`` and ``novelty`` to the lines of a list.

    Parameters
    ----------
    entity_days : the night's features with ``features`` in the model's order
    """
    if not lines:
        return []
    vectors = _vectors_of(lines, entity_days)
    explained = []
    for line in lines:
        vector, novelty = vectors[line["entity_type"], line["entity_id"]]
        explained.append(
            {**line, "novelty": novelty, "reasons": _reasons(line, vector, models, policy)}
        )
    counts = _peers_sharing(explained, entity_days, models)
    return [
        {**line, "reasons": [{**r, **counts[index, r["feature"]]} for r in line["reasons"]]}
        for index, line in enumerate(explained)
    ]


def _vectors_of(
    lines: Sequence[Mapping[str, Any]], entity_days: DataFrame
) -> dict[Entity, tuple[np.ndarray[Any, Any], int]]:
    spark = entity_days.sparkSession
    keys = spark.createDataFrame(
        [(line["entity_type"], line["entity_id"]) for line in lines],
        "entity_type string, entity_id string",
    )
    counted = [F.coalesce(F.col(f"new_{name}_count"), F.lit(0)) for name in NOVEL_DIMENSIONS]
    rows = (
        entity_days.join(F.broadcast(keys), ["entity_type", "entity_id"], how="left_semi")
        .select("entity_type", "entity_id", "features", sum(counted, F.lit(0)).alias("novelty"))
        .collect()
    )
    return {(r[0], r[1]): (np.asarray(r[2], dtype=float), int(r[3])) for r in rows}


def _reasons(
    line: Mapping[str, Any],
    vector: np.ndarray[Any, Any],
    models: PeerModels,
    policy: ListPolicy,
) -> list[dict[str, Any]]:
    model = models.find(line["entity_type"], line["slice"])
    if model is None:
        return []
    reasons, expected = explain_row(model.geometry, vector, top=policy.reasons)
    found = []
    for reason in reasons:
        name = model.feature_names[reason.index]
        feature = FEATURE_BY_NAME.get(name)
        found.append(
            {
                "feature": name,
                "value": float(vector[reason.index]),
                "expected": float(expected[reason.index]),
                "unit": feature.unit if feature else "",
                "contribution": float(reason.contribution),
                "direction": reason.direction,
            }
        )
    return found


def _peers_sharing(
    lines: Sequence[Mapping[str, Any]], entity_days: DataFrame, models: PeerModels
) -> dict[tuple[int, str], dict[str, int]]:
    """How many peers of the night are at least as far out, for each line's reasons."""
    aggregates = []
    asked: list[tuple[int, str]] = []
    for index, line in enumerate(lines):
        model = models.find(line["entity_type"], line["slice"])
        if model is None:
            continue
        is_peer = (
            (F.col("entity_type") == F.lit(line["entity_type"]))
            & (F.col("slice") == F.lit(line["slice"]))
            & (F.col("entity_id") != F.lit(line["entity_id"]))
        )
        for reason in line["reasons"]:
            value = feature_column(model.feature_set, reason["feature"])
            bound = F.lit(reason["value"])
            shares = value >= bound if reason["direction"] == "high" else value <= bound
            aggregates.append(F.count_if(is_peer & shares))
            aggregates.append(F.count_if(is_peer & value.isNotNull()))
            asked.append((index, reason["feature"]))
    if not aggregates:
        return {}
    counts = entity_days.agg(*(a.alias(f"c{i}") for i, a in enumerate(aggregates))).collect()[0]
    return {
        key: {"peers_sharing": int(counts[2 * i]), "peers": int(counts[2 * i + 1])}
        for i, key in enumerate(asked)
    }


def add_evidence(
    lines: Sequence[dict[str, Any]], activity: DataFrame, past: DataFrame, policy: ListPolicy
) -> list[dict[str, Any]]:
    """Add ``evidence``: the activity of each line that fewest entities share.

    Parameters
    ----------
    activity, past : ``entity_activity`` of the night and of the novelty window before it
    """
    if not lines:
        return []
    spark = activity.sparkSession
    keys = F.broadcast(
        spark.createDataFrame(
            [(line["entity_type"], line["entity_id"]) for line in lines],
            "entity_type string, entity_id string",
        )
    )
    entity, pair = ["entity_type", "entity_id"], ["entity_type", "dimension", "value"]
    kept = activity.where(F.col("dimension").isin(*_EVIDENCE_DIMENSIONS))
    own = kept.join(keys, entity, how="left_semi")
    sharing = (
        kept.join(own.select(*pair).distinct(), pair, how="left_semi")
        .groupBy(*pair)
        .agg(F.count(F.lit(1)).alias("entities_sharing"))
    )
    own_past = past.join(keys, entity, how="left_semi")
    seen = own_past.select(*entity, "dimension", "value").distinct()
    known = own_past.select(*entity).distinct()
    order = Window.partitionBy(*entity).orderBy(
        "entities_sharing", F.col("event_count").desc(), "dimension", "value"
    )
    rows = (
        own.join(sharing, pair, how="inner")
        .join(seen.withColumn("is_seen", F.lit(True)), [*entity, "dimension", "value"], how="left")
        .join(known.withColumn("has_past", F.lit(True)), entity, how="left")
        .withColumn("is_new", F.when(F.col("has_past"), F.col("is_seen").isNull()))
        .withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= policy.evidence)
        .orderBy(*entity, "place")
        .select(*entity, *_EVIDENCE_FIELDS)
        .collect()
    )
    evidence: dict[Entity, list[dict[str, Any]]] = {}
    for row in rows:
        found = {name: row[name] for name in _EVIDENCE_FIELDS}
        evidence.setdefault((row["entity_type"], row["entity_id"]), []).append(found)
    return [
        {**line, "evidence": evidence.get((line["entity_type"], line["entity_id"]), [])}
        for line in lines
    ]


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
