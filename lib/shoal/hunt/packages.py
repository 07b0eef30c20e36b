"""Whose set of packages is unlike that of its peers: what nobody else has, what all others have."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES
from shoal.errors import DataError
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of

MIN_PEERS = 5
"""Entities of a slice with packages below which nothing is said of one of them."""
TOLD = 5
"""Packages of each kind that a row names."""


def package_outliers(
    reader: Reader,
    event_date: date | None,
    *,
    entity_type: str = "host",
    dimension: str = "package",
) -> tuple[Night, list[dict[str, Any]]]:
    """Entities of a night by how unlikely their set of packages is among their peers.

    Each package is there or not, with the share of peers that have it: the surprise of a set is the
    sum over packages of −ln of the share of those who agree, less its mean over the slice, so that
    both what is unusual and what is missing count. Shares are drawn in by half an entity on both
    sides (Jeffreys).

    Parameters
    ----------
    dimension : of ``entity_activity``, package by default; any set of values will do

    Returns
    -------
    The night, and rows with ``entity_id``, ``slice``, ``surprise`` in nats, ``unusual`` (packages
    that few peers have), ``missing`` (that most have), each with the share of peers that have them,
    and ``peers``; the most surprising first

    Raises
    ------
    DataError
        If no entity of the type has a value of the dimension on the night.
    """
    night = find_night(reader, event_date)
    wanted = {"entity_type": [entity_type]}
    rows = rows_of(
        fetch_published(
            reader, ENTITY_ACTIVITY, [night], ["entity_id", "value"],
            dimension=[dimension], **wanted,
        )
    )  # fmt: skip
    if not rows:
        raise DataError(
            f"no {entity_type} has a {dimension} on {night.event_date}: it takes a source that "
            "tells what is installed, such as osquery"
        )
    sets: dict[str, set[str]] = {}
    for row in rows:
        sets.setdefault(row["entity_id"], set()).add(row["value"])
    slices = fetch_published(reader, ENTITY_FEATURES, [night], ["entity_id", "slice"], **wanted)
    by_slice: dict[str, list[str]] = {}
    for row in rows_of(slices):
        if row["entity_id"] in sets:
            by_slice.setdefault(row["slice"], []).append(row["entity_id"])
    found: list[dict[str, Any]] = []
    for name, members in by_slice.items():
        if len(members) > MIN_PEERS:
            found += _of_slice(name, members, sets)
    return night, sorted(found, key=lambda row: (-round(row["surprise"], 6), row["entity_id"]))


def _of_slice(
    name: str, members: Sequence[str], sets: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    counts = Counter(package for member in members for package in sets[member])
    surprises = {member: _surprise(sets[member], counts, len(members)) for member in members}
    mean = sum(surprises.values()) / len(members)
    peers = len(members) - 1
    rows = []
    for member in members:
        own = sets[member]
        unusual = sorted((counts[package] - 1, package) for package in own)
        missing = sorted((-counts[package], package) for package in counts if package not in own)
        rows.append(
            {
                "entity_id": member,
                "slice": name,
                "surprise": surprises[member] - mean,
                "unusual": [
                    {"value": package, "share": count / peers}
                    for count, package in unusual[:TOLD]
                    if count < peers / 2
                ],
                "missing": [
                    {"value": package, "share": -count / peers}
                    for count, package in missing[:TOLD]
                    if -count > peers / 2
                ],
                "peers": peers,
            }
        )
    return rows


def _surprise(own: Collection[str], counts: Mapping[str, int], members: int) -> float:
    """Of a set, by the others of its slice."""
    total = 0.0
    for package, count in counts.items():
        has_it = package in own
        agreeing = count - 1 if has_it else members - 1 - count
        total -= math.log((agreeing + 0.5) / members)
    return total
