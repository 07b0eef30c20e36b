"""The night's list: who is on it and in which lane.

What is collected here is bounded: at most the list's capacity a night and lane.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

Entity = tuple[str, str]
NightEntity = tuple[date, str, str]


def night_entity(row: Mapping[str, Any] | Row) -> NightEntity:
    """Key of a row that is of an entity and a night."""
    return row["event_date"], row["entity_type"], row["entity_id"]


STANDING_NIGHTS = 5
"""Strange past nights after which an entity that is usual for itself is standing."""
STANDING_SELF_P = 0.2
RAISED_BY = 1.0
"""Rise of anomaly_score that counts as news: ten times rarer among its peers."""
_ENTITY = ["entity_type", "entity_id"]
_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class ListPolicy:
    """How many lines a lane of the list may have and how rare a line must be."""

    capacity: int
    max_p_value: float

    def __str__(self) -> str:
        return f"capacity {self.capacity}, p <= {self.max_p_value:g}"


@dataclass(frozen=True)
class EarlierLine:
    """An entity's line on the previous published list."""

    days_in_row: int
    anomaly_score: float
    case_id: str


def choose_lines(
    scores: DataFrame,
    policy: ListPolicy,
    earlier: Mapping[Entity, EarlierLine],
    scored: Mapping[date, int],
) -> list[dict[str, Any]]:
    """The lines of the list of each night, strays before standing, without reasons and evidence.

    Ties of the rounded score are broken by key, so that the order never depends on chance.

    Parameters
    ----------
    scores : scored rows of ``entity_scores`` of successive nights, with what `add_past` adds
    earlier : lines of the published night before the first of them
    scored : number of entities scored by night, for ``expected_by_chance``
    """
    order = Window.partitionBy("event_date", "lane").orderBy(
        F.round("anomaly_score", _SCORE_DECIMALS).desc(), *_ENTITY
    )
    chosen = (
        scores.where(F.col("p_value") <= policy.max_p_value)
        .withColumn("lane", _lane())
        .withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= policy.capacity)
        .orderBy("event_date", F.col("lane") != "stray", "place")
        .drop("place", "past_nights", "as_strange_nights", "strange_nights", "last_score")
        .collect()
    )
    rows: dict[date, list[dict[str, Any]]] = {day: [] for day in sorted(scored)}
    for row in chosen:
        rows[row["event_date"]].append(row.asDict())
    lines: list[dict[str, Any]] = []
    for day, listed in rows.items():
        tonight = [
            _line(row, rank, earlier, policy, scored[day])
            for rank, row in enumerate(listed, start=1)
        ]
        earlier = earlier_lines(tonight)
        lines += tonight
    return lines


def earlier_lines(lines: Iterable[Mapping[str, Any]]) -> dict[Entity, EarlierLine]:
    """What the next night needs to know of a night's lines."""
    return {
        (line["entity_type"], line["entity_id"]): EarlierLine(
            int(line["days_in_row"]), float(line["anomaly_score"]), str(line["case_id"])
        )
        for line in lines
    }


def _lane() -> Column:
    """The lane of an entity, by its past scores.

    Past scores tell who stands, not past lists: on those the standing would take the place of
    the strays, or an entity that was crowded out would count as new.
    """
    is_standing = (
        (F.col("strange_nights") >= STANDING_NIGHTS)
        & (F.col("self_p_value") > STANDING_SELF_P)
        & (F.col("anomaly_score") < F.col("last_score") + RAISED_BY)
    )
    return F.when(is_standing, F.lit("standing")).otherwise(F.lit("stray"))


def _line(
    row: dict[str, Any],
    rank: int,
    earlier: Mapping[Entity, EarlierLine],
    policy: ListPolicy,
    scored: int,
) -> dict[str, Any]:
    entity = (row["entity_type"], row["entity_id"])
    before = earlier.get(entity)
    is_raised = before is not None and row["anomaly_score"] >= before.anomaly_score + RAISED_BY
    return {
        **row,
        "rank": rank,
        "policy": str(policy),
        "days_in_row": before.days_in_row + 1 if before else 1,
        "change": "new" if before is None else "raised" if is_raised else "unchanged",
        "expected_by_chance": scored * row["p_value"],
        "case_id": before.case_id if before else case_id(entity, row["event_date"]),
    }


def case_id(entity: Entity, first_day: date) -> str:
    """Identity of a case: its entity and the first night in a row on the list."""
    text = "\0".join((*entity, first_day.isoformat()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
