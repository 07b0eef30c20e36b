"""Whose packages are unlike those of its peers."""

import math
from datetime import date
from typing import Any

import pytest
from tests.support.made_up import MadeUp

from shoal.errors import DataError
from shoal.hunt.packages import MIN_PEERS, package_outliers

DAY = date(2026, 9, 28)
OF_NIGHT = {"event_date": DAY, "run_id": "r", "entity_type": "host"}


def reader_of(sets: dict[str, set[str]], slices: dict[str, str] | None = None) -> MadeUp:
    activity: list[dict[str, Any]] = [
        {**OF_NIGHT, "entity_id": name, "dimension": "package", "value": package}
        for name, own in sets.items()
        for package in sorted(own)
    ]
    features = [
        {**OF_NIGHT, "entity_id": name, "slice": (slices or {}).get(name, "all")} for name in sets
    ]
    night = {"event_date": DAY, "run_id": "r", "state": "published"}
    return MadeUp({"nights": [night], "entity_activity": activity, "entity_features": features})


USUAL = {"openssl", "curl", "auditd"}


def test_what_nobody_else_has_and_what_all_others_have_is_told() -> None:
    sets = {f"h{n}": set(USUAL) for n in range(8)}
    sets["odd"] = {"openssl", "curl", "xmrig"}
    _, found = package_outliers(reader_of(sets), None)
    assert len(found) == 9
    first = found[0]
    assert first["entity_id"] == "odd"
    assert first["unusual"] == [{"value": "xmrig", "share": 0.0}]
    assert first["missing"] == [{"value": "auditd", "share": 1.0}]
    assert first["peers"] == 8
    assert found[1]["unusual"] == found[1]["missing"] == []
    # By hand: nine in the slice; what eight others agree on, and what none does.
    agree, alone = -math.log(8.5 / 9), -math.log(0.5 / 9)
    of_odd = 2 * agree + 2 * alone
    of_usual = 2 * agree + 2 * -math.log(7.5 / 9)
    mean = (of_odd + 8 * of_usual) / 9
    assert first["surprise"] == pytest.approx(of_odd - mean)
    assert found[1]["surprise"] == pytest.approx(of_usual - mean)


def test_peers_are_those_of_the_slice_and_few_say_nothing() -> None:
    web = {f"w{n}": {"nginx"} for n in range(MIN_PEERS + 1)}
    few = {f"d{n}": {"postgres"} for n in range(MIN_PEERS)}
    slices = dict.fromkeys(web, "role=web") | dict.fromkeys(few, "role=db")
    _, found = package_outliers(reader_of(web | few, slices), None)
    assert {row["entity_id"] for row in found} == set(web)
    assert all(not row["unusual"] and not row["missing"] for row in found)
    assert all(row["surprise"] == pytest.approx(0.0) for row in found)


def test_without_packages_it_says_what_it_takes() -> None:
    with pytest.raises(DataError, match="no host has a package on 2026-09-28: it takes a source"):
        package_outliers(reader_of({}), None)
