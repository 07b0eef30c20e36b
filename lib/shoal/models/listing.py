"""The night's list: who is on it and in which lane.

What is collected here is bounded: at most the list's capacity a night and lane, and the members of
groups, which are few by what a group is.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.scores import MICROCLUSTER, MOVED, STANDING, STRAY
from shoal.models.groups import MAX_NEW_P_VALUE, NightGroup
from shoal.models.scoring import MOVED_WITHIN, SCORE_DECIMALS, is_moved
from shoal.models.thresholds import ListPolicy, place

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
MOST_SHARED = 12
"""Values that a group's line names."""
_ENTITY = ["entity_type", "entity_id"]


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
    groups: Sequence[NightGroup] = (),
) -> list[dict[str, Any]]:
    """The lines of the list of each night, without reasons and evidence.

    Groups come first, each told as one line whose members share rank and case, then strays to the
    capacity, then the standing, then those that have moved against the frozen model. Ties of the
    rounded score are broken by key, so that the order never depends on chance.

    Parameters
    ----------
    scores : scored rows of ``entity_scores`` of successive nights, with what `add_past` adds
    earlier : lines of the published night before the first of them
    scored : number of entities scored by night, for ``expected_by_chance``
    groups : those that stray together, strangest first within a night
    """
    rows: dict[date, dict[Entity, dict[str, Any]]] = {day: {} for day in sorted(scored)}
    for row in _candidates(scores, policy, groups).collect():
        rows[row["event_date"]][row["entity_type"], row["entity_id"]] = row.asDict()
    lines: list[dict[str, Any]] = []
    for day, own in rows.items():
        tonight = [group for group in groups if group.event_date == day]
        listed = _lines(own, tonight, earlier, policy, scored[day])
        earlier = earlier_lines(listed)
        lines += listed
    return lines


def _candidates(scores: DataFrame, policy: ListPolicy, groups: Sequence[NightGroup]) -> DataFrame:
    """Members of groups, and of the others as many a night and lane as a list may hold.

    ``lane`` is that of an entity by itself, null for one that is not strange alone: a member, or
    one that has moved.
    """
    key = ["event_date", *_ENTITY]
    keys = [member for group in groups for member in group.members]
    members = scores.sparkSession.createDataFrame(
        keys, "event_date date, entity_type string, entity_id string"
    )
    # Members may be told as a group, and leave their places to others.
    most = policy.capacity + max(Counter(day for day, _, _ in keys).values(), default=0)
    is_member = F.col("is_member").isNotNull()
    of_lane = Window.partitionBy("event_date", "lane")
    of_moved = Window.partitionBy("event_date", "has_moved")
    is_among = (F.col("lane").isNotNull() & (place(of_lane) <= most)) | (
        F.col("has_moved") & (place(of_moved, "golden_score") <= most)
    )
    return (
        scores.join(F.broadcast(members.withColumn("is_member", F.lit(True))), key, how="left")
        .withColumn("is_strange", policy.is_strange())
        .withColumn("lane", F.when(F.col("is_strange"), _lane()))
        .withColumn("has_moved", is_moved() & (F.col("moved_nights") >= policy.moved_nights))
        .withColumn("is_among", is_member | is_among)
        .where("is_among")
        .orderBy("event_date", F.round("anomaly_score", SCORE_DECIMALS).desc(), *_ENTITY)
        .drop("is_member", "is_strange", "is_among")
        .drop("past_nights", "as_strange_nights", "strange_nights", "moved_nights", "last_score")
    )


def _lines(
    rows: Mapping[Entity, dict[str, Any]],
    groups: Sequence[NightGroup],
    earlier: Mapping[Entity, EarlierLine],
    policy: ListPolicy,
    scored: int,
) -> list[dict[str, Any]]:
    """Lines of one night; ``rows`` by score."""
    cases = [(group, _case_of(group, earlier)) for group in groups]
    told = [
        (group, case)
        for group, case in cases
        if case or group.group.log_p <= math.log(MAX_NEW_P_VALUE)
    ][: policy.capacity]
    lines = []
    for rank, (group, case) in enumerate(told, start=1):
        lines += _group_lines(rows, group, case, rank, earlier, policy, scored)
    together = {night_entity(line) for line in lines}
    alone = [row for row in rows.values() if night_entity(row) not in together]
    strays = [row for row in alone if row["lane"] == STRAY][: policy.capacity - len(told)]
    standing = [row for row in alone if row["lane"] == STANDING][: policy.capacity]
    # Who has moved is told even where stranger ones leave it no room in those lanes.
    listed = {night_entity(row) for row in [*strays, *standing]}
    moved = [
        {**row, "lane": MOVED}
        for row in sorted(alone, key=lambda row: -round(row["golden_score"] or 0.0, SCORE_DECIMALS))
        if row["has_moved"] and night_entity(row) not in listed
    ][: policy.capacity]
    for rank, row in enumerate([*strays, *standing, *moved], start=len(told) + 1):
        lines.append(_line(row, rank, earlier, policy, scored))
    return [{name: line[name] for name in line if name != "has_moved"} for line in lines]


def _case_of(group: NightGroup, earlier: Mapping[Entity, EarlierLine]) -> str | None:
    """The case that half of a group's members had together on the last list."""
    cases = Counter(
        earlier[group.entity_type, name].case_id
        for name in group.group.members
        if (group.entity_type, name) in earlier
    )
    case, count = cases.most_common(1)[0] if cases else (None, 0)
    return case if count >= max(2, len(group.group.members) / 2) else None


def _group_lines(
    rows: Mapping[Entity, dict[str, Any]],
    group: NightGroup,
    known: str | None,
    rank: int,
    earlier: Mapping[Entity, EarlierLine],
    policy: ListPolicy,
    scored: int,
) -> list[dict[str, Any]]:
    """Rows of a group's one line, which goes on a case that is ``known``."""
    members = [{**rows[kind, name], "lane": MICROCLUSTER} for _, kind, name in group.members]
    of_all = (group.entity_type, "\0".join(group.group.members))
    p_value = math.exp(group.group.log_p)
    of_group = {
        "change": "unchanged" if known else "new",
        "expected_by_chance": p_value,
        "case_id": known or case_id(of_all, group.event_date),
        "shared": [{"dimension": d, "value": v} for d, v in group.group.shared[:MOST_SHARED]],
        "group_p_value": p_value,
    }
    before = earlier if known else {}
    return [_line(row, rank, before, policy, scored) | of_group for row in members]


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
    return F.when(is_standing, F.lit(STANDING)).otherwise(F.lit(STRAY))


def _line(
    row: dict[str, Any],
    rank: int,
    earlier: Mapping[Entity, EarlierLine],
    policy: ListPolicy,
    scored: int,
) -> dict[str, Any]:
    entity = (row["entity_type"], row["entity_id"])
    before = earlier.get(entity)
    is_raised = (
        before is not None
        and row["lane"] != MOVED
        and row["anomaly_score"] >= before.anomaly_score + RAISED_BY
    )
    by_chance = row["lane"] != MOVED and policy.is_by_p_value(row["slice"])
    return {
        **row,
        "rank": rank,
        "policy": f"moved on {policy.moved_nights} of {MOVED_WITHIN} nights"
        if row["lane"] == MOVED
        else policy.told(row["slice"]),
        "days_in_row": before.days_in_row + 1 if before else 1,
        "change": "new" if before is None else "raised" if is_raised else "unchanged",
        "expected_by_chance": scored * row["p_value"] if by_chance else None,
        "case_id": before.case_id if before else case_id(entity, row["event_date"]),
    }


def case_id(entity: Entity, first_day: date) -> str:
    """Identity of a case: its entity and the first night in a row on the list."""
    text = "\0".join((*entity, first_day.isoformat()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
