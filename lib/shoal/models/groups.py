"""Groups of entities that stray together on a night: read from activity and scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.activity import DIMENSION_NAMES
from shoal.kernels.groups import MIN_MEMBERS, Group, find_groups
from shoal.spark.days import Windows

YOUNG_DAYS = 7
"""A value is young while nobody of the entity type showed it so many days ago or earlier."""
LARGEST_SHARE = 0.05
"""What a larger share of all entities shows is a roll-out, not a group."""
LARGEST_AT_LEAST = 10
MAX_P_VALUE = 0.05
"""Chance, a night and entity type, of a group where there is none."""
MAX_NEW_P_VALUE = 0.01
"""The same of one that the last list did not tell.

At 0.05 a clean fleet of 1,500 told four in two weeks (measured): who shows what is new is stranger
than others to begin with, more so than the members' own p-values say. What strayed together last
night need not be as strange to do so still.
"""
_VALUE = ["event_date", "entity_type", "dimension", "value"]


@dataclass(frozen=True)
class NightGroup:
    """A group of a night."""

    event_date: date
    entity_type: str
    group: Group

    @property
    def members(self) -> list[tuple[date, str, str]]:
        """Its entities, as keys of a night."""
        return [(self.event_date, self.entity_type, name) for name in self.group.members]


def groups_of(activity: DataFrame, scores: DataFrame, windows: Windows) -> list[NightGroup]:
    """Find the groups of some nights, strangest first within a night.

    A group shares a value that is young: a program, a pair of programs, a port, a network that
    hardly anybody showed a week ago. It is no group if its members are a whole slice: what all
    machines of a role do tonight a label explains.

    Parameters
    ----------
    activity : the nights and those they look back on, grain entity × day × dimension × value
    scores : scored entities of the nights, with ``slice`` and ``anomaly_score``
    windows : the nights, and which of them and those before each looks back on
    """
    old_enough = [day for day, _ in windows.days if windows.reach(day) >= YOUNG_DAYS]
    if not old_enough:
        return []
    members = _members(activity, scores, windows, old_enough).toPandas()
    found = []
    for night, own in members.groupby(["event_date", "entity_type"]):
        sharing = own.groupby(["dimension", "value"])["entity_id"].agg(list).to_dict()
        groups = find_groups(
            cast(dict[tuple[str, str], list[str]], sharing),
            dict(zip(own["entity_id"], own["log_p"], strict=True)),
            max_p_value=MAX_P_VALUE,
        )
        found += [NightGroup(*cast(tuple[date, str], night), group) for group in groups]
    return found


def _members(
    activity: DataFrame, scores: DataFrame, windows: Windows, days: Sequence[date]
) -> DataFrame:
    """Entities of each young value that a group may share; bounded by what a group may be."""
    shared = activity.where(F.col("dimension").isin(list(DIMENSION_NAMES)))
    seen = shared.groupBy("entity_type", "dimension", "value").agg(*windows.seen())
    young = seen.select(
        "entity_type",
        "dimension",
        "value",
        F.explode(_young_days(windows, days)).alias("event_date"),
    )
    slices = Window.partitionBy("event_date", "entity_type", "slice")
    types = Window.partitionBy("event_date", "entity_type")
    scored = scores.select(
        "event_date",
        "entity_type",
        "entity_id",
        "slice",
        # Not the log of p_value, which is 0 where the score is still a number.
        (F.col("anomaly_score") * -math.log(10)).alias("log_p"),
        F.count(F.lit(1)).over(slices).alias("slice_size"),
        F.count(F.lit(1)).over(types).alias("type_size"),
    )
    value = Window.partitionBy(*_VALUE)
    size = F.count(F.lit(1)).over(value)
    n_slices = F.size(F.collect_set("slice").over(value))
    largest = F.greatest(F.lit(LARGEST_AT_LEAST), F.lit(LARGEST_SHARE) * F.col("type_size"))
    return (
        shared.where(F.col("event_date").isin(list(days)))
        .select(*_VALUE, "entity_id")
        .join(young, _VALUE, how="left_semi")
        .join(scored, ["event_date", "entity_type", "entity_id"], how="inner")
        .withColumns({"size": size, "n_slices": n_slices})
        .where((F.col("size") >= MIN_MEMBERS) & (F.col("size") <= largest))
        .where((F.col("n_slices") > 1) | (F.col("size") < F.col("slice_size")))
        .select(*_VALUE, "entity_id", "log_p")
    )


def _young_days(windows: Windows, days: Sequence[date]) -> Column:
    """Of some days those on which a value was seen that was not seen long before."""
    young = [
        F.when(windows.in_day(day) & ~windows.seen_before(day, YOUNG_DAYS), F.lit(day))
        for day in days
    ]
    return F.array_compact(F.array(*young))
