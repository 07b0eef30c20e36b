"""A policy for lists tried on past nights, before it goes live."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_SCORES, OUTLIERS, VERDICTS
from shoal.contracts.scores import BAD, BENIGN, BESIDE_LANES, MICROCLUSTER, STRAY
from shoal.lake import Night, fetch_published, require_published, rows_of
from shoal.models.listing import NightEntity, choose_lines, earlier_lines, night_entity, pool_of
from shoal.models.scoring import MOVED_WITHIN, add_past
from shoal.models.thresholds import ListPolicy
from shoal.pipelines.context import Context
from shoal.spark.nights import read_published

_LINE = ("event_date", "entity_type", "entity_id")


def rehearse(
    context: Context, *, last: int, capacity: int | None = None
) -> dict[str, pd.DataFrame]:
    """Replay the configured policy on the scores of the last published nights.

    Lists are chosen as a night chooses them, from the scores that are stored; groups are those that
    were told, for they depend on no policy but its capacity. What is beside the capacity, the lanes
    ``standing`` and ``moved``, is counted by itself.

    Parameters
    ----------
    last : nights, counted back
    capacity : another one than the configuration's

    Returns
    -------
    ``In short``, of both lists: lines a night, the overlap, and of what verdicts say of these
    nights how much is on them; then by night: lines, those in common with the published list, news

    Raises
    ------
    DataError
        If no night is published.
    """
    policy = ListPolicy.of(context.settings.outliers)
    if capacity is not None:
        policy = replace(policy, capacity=capacity)
    every = require_published(context.warehouse)
    nights = every[-last:]
    lines = rows_of(fetch_published(context.warehouse, OUTLIERS, nights))
    chosen = _choose(context, every, nights, policy, lines)
    told = [row for row in lines if row["suppressed_by"] is None]
    published = {night_entity(row) for row in told if row["lane"] not in BESIDE_LANES}
    tables = {
        f"{len(nights)} nights by capacity {policy.capacity}": _by_night(
            nights, chosen, published, told
        )
    }
    rehearsed = {line for line, lane in chosen.items() if lane not in BESIDE_LANES}
    return {"In short": _in_short(context, nights, rehearsed, published), **tables}


def _choose(
    context: Context,
    every: Sequence[Night],
    nights: Sequence[Night],
    policy: ListPolicy,
    told: Sequence[Mapping[str, Any]],
) -> dict[NightEntity, str]:
    """The lines of each night and their lanes; ``told`` are those published, hidden ones too."""
    warehouse, settings = context.warehouse, context.settings
    first = nights[0].event_date
    days = max(settings.score.self_days, MOVED_WITHIN)
    reach = first - timedelta(days=days)
    before = [night for night in every if reach <= night.event_date < first]
    scores = read_published(warehouse, ENTITY_SCORES, nights).transform(
        add_past,
        read_published(warehouse, ENTITY_SCORES, before),
        past_days=settings.score.self_days,
        max_p_value=settings.outliers.max_p_value,
    )
    groups = {
        night_entity(row): row["rank"]
        for row in told
        if row["lane"] == MICROCLUSTER and row["suppressed_by"] is None
    }
    hidden = [night_entity(row) for row in told if row["suppressed_by"] is not None]
    left_out = warehouse.spark.createDataFrame(
        [*groups, *hidden], "event_date date, entity_type string, entity_id string"
    )
    alone = scores.join(F.broadcast(left_out), list(_LINE), how="left_anti")
    earlier = rows_of(fetch_published(warehouse, OUTLIERS, before[-1:]))
    counts = {night.event_date: night.row_counts.get(ENTITY_SCORES.name, 0) for night in nights}
    found: dict[NightEntity, str] = dict.fromkeys(groups, MICROCLUSTER)
    taken = {day: len({rank for key, rank in groups.items() if key[0] == day}) for day in counts}
    # What verdicts moved is known of lines alone: the others are as their scores have them.
    pool = pool_of(alone, policy, [])
    for row in choose_lines(pool, policy, earlier_lines(earlier), counts):
        day = row["event_date"]
        if row["lane"] == STRAY:
            taken[day] += 1
            if taken[day] > policy.capacity:
                continue
        found[night_entity(row)] = row["lane"]
    return found


def _by_night(
    nights: Sequence[Night],
    chosen: Mapping[NightEntity, str],
    published: Collection[NightEntity],
    told: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    rows = []
    last: set[tuple[str, str]] = set()
    for night in nights:
        day = night.event_date
        own = {line for line, lane in chosen.items() if line[0] == day}
        lines = {line for line in own if chosen[line] not in BESIDE_LANES}
        was = {line for line in published if line[0] == day}
        names = {line[1:] for line in lines}
        rows.append(
            {
                "night": day,
                "lines": len(lines),
                "published": len(was),
                "in_both": len(lines & was),
                "news": len(names - last),
                "beside": len(own) - len(lines),
                "beside_published": sum(row["event_date"] == day for row in told) - len(was),
            }
        )
        last = names
    return pd.DataFrame(rows)


def _in_short(
    context: Context,
    nights: Sequence[Night],
    lines: Collection[NightEntity],
    published: Collection[NightEntity],
) -> pd.DataFrame:
    days = {night.event_date for night in nights}
    verdicts = rows_of(context.warehouse.fetch(VERDICTS, [*_LINE, "verdict"]))
    known = {
        what: {
            night_entity(row)
            for row in verdicts
            if row["event_date"] in days and row["verdict"] in of
        }
        for what, of in (("bad", BAD), ("benign", (BENIGN,)))
    }
    rows = []
    for name, own in (("rehearsed", set(lines)), ("published", set(published))):
        both, either = own & set(published), own | set(published)
        rows.append(
            {
                "list": name,
                "lines_a_night": len(own) / len(nights),
                "in_common": len(both) / len(either) if either else None,
                **{
                    f"{what}_listed": f"{len(found & own)} of {len(found)}"
                    for what, found in known.items()
                },
            }
        )
    return pd.DataFrame(rows)
