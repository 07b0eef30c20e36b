"""Entities that stray together on a night: one line for a break-in, none for a role."""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from shoal.kernels.groups import Group
from shoal.models.groups import NightGroup, groups_of
from shoal.models.listing import EarlierLine, choose_lines, pool_of
from shoal.models.scoring import add_past
from shoal.models.thresholds import ListPolicy
from shoal.spark.days import Windows

NIGHT = date(2026, 3, 12)
PAST = [NIGHT - timedelta(days=back) for back in range(1, 15)]
HOSTS = [f"host-{number:02d}" for number in range(60)]
CONTROLLERS = ["dc-1", "dc-2", "dc-3"]
TAKEN = HOSTS[3:60:10]
"""Six hosts of two roles."""
SCORES = (
    "event_date date, entity_type string, entity_id string, slice string, p_value double, "
    "anomaly_score double, self_p_value double, golden_score double, golden_shift double"
)
POLICY = ListPolicy(capacity=20, max_p_value=0.05)


def slice_of(name: str) -> str:
    return "role=dc" if name.startswith("dc") else f"role={'web' if name < 'host-30' else 'office'}"


def activity(role_shows: str, first_shown: date) -> list[tuple[Any, ...]]:
    """Days of everybody; the controllers show a program of their own since some day."""
    rows = []
    for day in [*PAST, NIGHT]:
        rows += [(day, "host", name, "program", "svchost.exe") for name in [*HOSTS, *CONTROLLERS]]
        if day >= first_shown:
            rows += [(day, "host", name, "program", role_shows) for name in CONTROLLERS]
    for name in TAKEN:
        rows += [(NIGHT, "host", name, "program", "implant.exe")]
        rows += [(NIGHT, "host", name, "program_port", "implant.exe>tcp/8088")]
    return rows


def scores() -> list[tuple[Any, ...]]:
    """The six somewhat strange, the controllers very, as a small role is to others."""
    found = []
    for name in [*HOSTS, *CONTROLLERS]:
        score = 1.5 if name in TAKEN else 3.0 if name in CONTROLLERS else 0.3
        found.append((NIGHT, "host", name, slice_of(name), 10**-score, score, None, None, None))
    return found


@pytest.mark.parametrize("first_shown", [PAST[-1], NIGHT], ids=["old", "a roll-out of tonight"])
def test_six_hosts_are_one_line_and_a_role_is_none(spark: SparkSession, first_shown: date) -> None:
    frame = spark.createDataFrame(
        activity("ntds.exe", first_shown),
        "event_date date, entity_type string, entity_id string, dimension string, value string",
    )
    scored = spark.createDataFrame(scores(), SCORES)
    groups = groups_of(frame, scored, Windows.of([NIGHT], PAST, 14))
    assert [group.group.members for group in groups] == [tuple(TAKEN)]

    with_past = add_past(scored, scored.where("false"), past_days=28, max_p_value=0.05)
    pool = pool_of(with_past, POLICY, groups)
    lines = choose_lines(pool, POLICY, {}, {NIGHT: len(scores())}, groups)
    told = [line for line in lines if line["lane"] == "microcluster"]
    assert [line["entity_id"] for line in told] == TAKEN
    assert {line["rank"] for line in told} == {1}
    assert len({line["case_id"] for line in told}) == 1
    assert [pair["value"] for pair in told[0]["shared"]] == ["implant.exe", "implant.exe>tcp/8088"]
    assert {line["entity_id"] for line in lines if line["lane"] == "stray"} == set(CONTROLLERS)


def test_a_group_that_was_told_needs_less_to_be_told_again(spark: SparkSession) -> None:
    """A weak group by itself is none; its members are told alone where they are strange."""
    names = tuple(TAKEN[:3])
    weak = NightGroup(NIGHT, "host", Group(names, (("program", "implant.exe"),), math.log(0.03)))
    rows = [
        (NIGHT, "host", name, "role=web", 10**-score, score, None, None, None)
        for name, score in zip(names, (2.0, 0.4, 0.4), strict=True)
    ]
    scored = spark.createDataFrame(rows, SCORES)
    with_past = add_past(scored, scored.where("false"), past_days=28, max_p_value=0.05)

    def lines(earlier: Mapping[tuple[str, str], EarlierLine]) -> list[tuple[str, str, str]]:
        pool = pool_of(with_past, POLICY, [weak])
        found = choose_lines(pool, POLICY, earlier, {NIGHT: 60}, [weak])
        return [(line["entity_id"], line["lane"], line["change"]) for line in found]

    assert lines({}) == [(names[0], "stray", "new")]
    known = {("host", name): EarlierLine(1, 2.0, "case") for name in names[:2]}
    assert lines(known) == [(name, "microcluster", "unchanged") for name in names]
