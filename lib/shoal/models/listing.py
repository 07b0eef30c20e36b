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
from types import MappingProxyType
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.scores import MICROCLUSTER, MOVED, STANDING, STRAY
from shoal.models.cases import joined_cases
from shoal.models.groups import MAX_NEW_P_VALUE, NightGroup
from shoal.models.scoring import MOVED_WITHIN, RAISED_BY, SCORE_DECIMALS, is_moved
from shoal.models.suppressions import Suppression, hiding_rule
from shoal.models.thresholds import ListPolicy, place
from shoal.models.verdicts import MOST_SHIFT, Verdict, judge

Entity = tuple[str, str]
NightEntity = tuple[date, str, str]


def night_entity(row: Mapping[str, Any] | Row) -> NightEntity:
    """Key of a row that is of an entity and a night."""
    return row["event_date"], row["entity_type"], row["entity_id"]


STANDING_NIGHTS = 5
"""Strange past nights after which an entity that is usual for itself is standing."""
STANDING_SELF_P = 0.2
MOST_SHARED = 12
"""Values that a group's line names."""
_ENTITY = ["entity_type", "entity_id"]


@dataclass(frozen=True)
class Said:
    """What analysts have said, and a night heeds."""

    verdicts: Sequence[Verdict] = ()
    rules: Sequence[Suppression] = ()


@dataclass(frozen=True)
class EarlierLine:
    """An entity's line on the previous published list."""

    days_in_row: int
    anomaly_score: float
    case_id: str


def pool_of(
    scores: DataFrame,
    policy: ListPolicy,
    groups: Sequence[NightGroup],
    *,
    is_heeding: bool = False,
) -> list[dict[str, Any]]:
    """Who may come on the lists of some nights: rows of ``scores``, strangest first in a night.

    Members of groups, and of the others as many a night and lane as a list may hold. ``lane`` is
    that of an entity if it is strange alone. Who has moved against the frozen model has a row of
    lane moved besides.

    Parameters
    ----------
    scores : scored rows of ``entity_scores`` of successive nights, with what `add_past` adds
    groups : those that stray together
    is_heeding : a night heeds verdicts or rules: who they may move on the list is among them, and
        who takes the places of those that they hide
    """
    key = ["event_date", *_ENTITY]
    keys = [member for group in groups for member in group.members]
    members = scores.sparkSession.createDataFrame(
        keys, "event_date date, entity_type string, entity_id string"
    )
    # Members may be told as a group, and leave their places to others.
    largest = max(Counter(day for day, _, _ in keys).values(), default=0)
    # A place moves by a factor of the p-value, and so of the places of all.
    most = policy.capacity * (round(10**MOST_SHIFT) if is_heeding else 1) + largest
    reach = policy.max_p_value * (10**MOST_SHIFT if is_heeding else 0.0)
    is_near = F.col("is_strange") | (F.col("p_value") <= reach)
    is_member = F.col("is_member").isNotNull()
    # Of a slice with a limit no more than it may have take places: the others are too many.
    limit = F.create_map(*(F.lit(part) for item in policy.slice_capacity.items() for part in item))
    allowed = limit[F.col("slice")] + (most - policy.capacity)
    of_slice = Window.partitionBy("event_date", "lane", "is_near", "slice")
    fits = F.col("is_near") & (F.coalesce(place(of_slice) <= allowed, F.lit(True)))
    of_lane = Window.partitionBy("event_date", "lane", "is_near")
    of_moved = Window.partitionBy("event_date", "has_moved")
    is_of_moved = F.col("has_moved") & (place(of_moved, "golden_score") <= most)
    is_of_lane = is_member | (F.col("is_near") & (place(of_lane) <= most))
    found = (
        scores.join(F.broadcast(members.withColumn("is_member", F.lit(True))), key, how="left")
        .withColumns({"is_strange": policy.is_strange(), "lane": _lane()})
        .withColumn("is_near", is_near)
        .withColumn("is_near", fits if policy.slice_capacity else F.col("is_near"))
        .withColumn("has_moved", is_moved() & (F.col("moved_nights") >= policy.moved_nights))
        .withColumns({"is_of_lane": is_of_lane, "is_of_moved": is_of_moved})
        .where("is_of_lane OR is_of_moved")
        .orderBy("event_date", F.round("anomaly_score", SCORE_DECIMALS).desc(), *_ENTITY)
        .drop("is_member", "is_near", "has_moved")
        .drop("past_nights", "as_strange_nights", "strange_nights", "moved_nights", "last_score")
        .collect()
    )
    rows = []
    for row in (row.asDict() for row in found):
        is_in, has_moved = row.pop("is_of_lane"), row.pop("is_of_moved")
        rows += [row] if is_in else []
        rows += [{**row, "lane": MOVED}] if has_moved else []
    return rows


def choose_lines(
    pool: Sequence[Mapping[str, Any]],
    policy: ListPolicy,
    earlier: Mapping[Entity, EarlierLine],
    scored: Mapping[date, int],
    groups: Sequence[NightGroup] = (),
    said: Mapping[date, Said] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The lines of the list of each night.

    Groups come first, each told as one line whose members share rank and case, then strays to the
    capacity, then the standing, then those that have moved against the frozen model. Ties of the
    rounded score are broken by key, so that the order never depends on chance. What a rule or an
    earlier verdict hides is on the list, after all else, and takes nobody's place. Lines of one
    intrusion are of one case: see `joined_cases`.

    Parameters
    ----------
    pool : what `pool_of` has found, with reasons and evidence
    earlier : lines of the published night before the first of them
    scored : number of entities scored by night, for ``expected_by_chance``
    groups : those that stray together, strangest first within a night
    said : what each night heeds
    """
    lines: list[dict[str, Any]] = []
    for day in sorted(scored):
        own = [row for row in pool if row["event_date"] == day]
        tonight = [group for group in groups if group.event_date == day]
        listed = _Night(own, earlier, policy, scored[day], said.get(day, Said())).lines(tonight)
        earlier = earlier_lines(listed)
        lines += listed
    return lines


@dataclass(frozen=True)
class _Night:
    """What a night's lines are made of; ``rows`` are its pool, by score."""

    rows: Sequence[Mapping[str, Any]]
    earlier: Mapping[Entity, EarlierLine]
    policy: ListPolicy
    scored: int
    said: Said

    def lines(self, groups: Sequence[NightGroup]) -> list[dict[str, Any]]:
        """Its list, groups first, what is hidden last."""
        capacity = self.policy.capacity
        known = [(group, _case_of(group, self.earlier)) for group in groups]
        told = [
            self._group(group, case)
            for group, case in known
            if case or group.group.log_p <= math.log(MAX_NEW_P_VALUE)
        ]
        shown, hidden = _up_to(capacity, told)
        together = {night_entity(line) for lines in [*shown, *hidden] for line in lines}
        rest = [self._line(row) for row in self.rows if night_entity(row) not in together]
        # Sorted already where nothing is moved: ties stay as they are.
        alone = sorted(
            (line for line in rest if line["lane"] == MOVED or self._is_admitted(line)),
            key=lambda line: -round(line["anomaly_score"] + _shift(line), SCORE_DECIMALS),
        )
        for lane in (STRAY, STANDING, MOVED):
            of_lane = [[line] for line in alone if line["lane"] == lane]
            room = capacity
            if lane == STRAY:
                room -= len(shown)
            if lane == MOVED:
                # Who has moved is told even where stranger ones leave it no room in those lanes.
                listed = {night_entity(line) for lines in [*shown, *hidden] for line in lines}
                of_lane = [lines for lines in of_lane if night_entity(lines[0]) not in listed]
                of_lane.sort(key=lambda lines: -round(lines[0]["golden_score"], SCORE_DECIMALS))
            more, less = _up_to(room, of_lane, self.policy.slice_capacity)
            shown, hidden = [*shown, *more], [*hidden, *less]
        return joined_cases(
            [
                {**line, "rank": rank}
                for rank, lines in enumerate([*shown, *hidden], start=1)
                for line in lines
            ]
        )

    def _is_admitted(self, line: Mapping[str, Any]) -> bool:
        """Whether it is on the list; what is hidden is as if nothing had moved it."""
        shift = _shift(line) if line["suppressed_by"] is None else 0.0
        return self.policy.admits(line, shift)

    def _group(self, group: NightGroup, known: str | None) -> list[dict[str, Any]]:
        """Rows of a group's one line, which goes on a case that is ``known``."""
        rows = {night_entity(row): row for row in self.rows if row["lane"] != MOVED}
        of_all = (group.entity_type, "\0".join(group.group.members))
        p_value = math.exp(group.group.log_p)
        of_group = {
            "lane": MICROCLUSTER,
            "change": "unchanged" if known else "new",
            "expected_by_chance": p_value,
            "case_id": known or case_id(of_all, group.event_date),
            "shared": [{"dimension": d, "value": v} for d, v in group.group.shared[:MOST_SHARED]],
            "group_p_value": p_value,
        }
        before = self.earlier if known else {}
        return [self._line(rows[key], of_group, before) for key in group.members]

    def _line(
        self,
        row: Mapping[str, Any],
        of_group: Mapping[str, Any] = MappingProxyType({}),
        earlier: Mapping[Entity, EarlierLine] | None = None,
    ) -> dict[str, Any]:
        """A line but for its rank."""
        entity = (row["entity_type"], row["entity_id"])
        before = (self.earlier if earlier is None else earlier).get(entity)
        has_moved = row["lane"] == MOVED
        is_raised = (
            before is not None
            and not has_moved
            and row["anomaly_score"] >= before.anomaly_score + RAISED_BY
        )
        by_chance = not has_moved and self.policy.is_by_p_value(row["slice"])
        line = {
            **row,
            "policy": f"moved on {self.policy.moved_nights} of {MOVED_WITHIN} nights"
            if has_moved
            else self.policy.told(row["slice"]),
            "days_in_row": before.days_in_row + 1 if before else 1,
            "change": "new" if before is None else "raised" if is_raised else "unchanged",
            "expected_by_chance": self.scored * row["p_value"] if by_chance else None,
            "case_id": before.case_id if before else case_id(entity, row["event_date"]),
            **of_group,
        }
        judged = judge(line, self.said.verdicts)
        return line | {
            "verdict_shift": judged.shift if judged.verdict_ids else None,
            "verdict_ids": list(judged.verdict_ids) or None,
            "suppressed_by": judged.answered_by or hiding_rule(line, self.said.rules),
        }


def _shift(line: Mapping[str, Any]) -> float:
    return line["verdict_shift"] or 0.0


def _up_to(
    room: int,
    told: Sequence[list[dict[str, Any]]],
    limits: Mapping[str, int] = MappingProxyType({}),
) -> tuple[list[list[dict[str, Any]]], list[list[dict[str, Any]]]]:
    """The first of what is told as one line each that have room, and what is hidden among them.

    A group is hidden when all of its members are.

    Parameters
    ----------
    limits : most that is shown of a slice
    """
    shown: list[list[dict[str, Any]]] = []
    hidden: list[list[dict[str, Any]]] = []
    for lines in told:
        if len(shown) >= room:
            break
        name = lines[0]["slice"]
        of_slice = sum(others[0]["slice"] == name for others in shown)
        if all(line["suppressed_by"] is not None for line in lines):
            hidden.append(lines)
        elif name not in limits or of_slice < limits[name]:
            shown.append(lines)
    return shown, hidden


def _case_of(group: NightGroup, earlier: Mapping[Entity, EarlierLine]) -> str | None:
    """The case that half of a group's members had together on the last list."""
    cases = Counter(
        earlier[group.entity_type, name].case_id
        for name in group.group.members
        if (group.entity_type, name) in earlier
    )
    case, count = cases.most_common(1)[0] if cases else (None, 0)
    return case if count >= max(2, len(group.group.members) / 2) else None


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


def case_id(entity: Entity, first_day: date) -> str:
    """Identity of a case: its entity and the first night in a row on the list."""
    text = "\0".join((*entity, first_day.isoformat()))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
