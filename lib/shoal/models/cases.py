"""Which lines of a night are one case: what one intrusion leaves on a host, a user, an address."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from shoal.contracts.scores import STANDING

MOST_SHARING = 3
"""Entities of a type that show a value which joins lines: what more show joins nothing."""
NAMED_BY = {
    "host": ("host", "target_host"),
    "user": ("user",),
    "source_address": ("logon_source", "peer_address"),
}
"""Dimensions whose values are names of entities of a type."""

Line = Mapping[str, Any]


def rare_values(line: Line) -> set[tuple[str, str]]:
    """Values in a line's evidence that hardly anybody shows, as (dimension, value)."""
    return {
        (item["dimension"], item["value"])
        for item in line.get("evidence") or []
        if item["entities_sharing"] <= MOST_SHARING
    }


def joined_cases(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a night, those of one case with one ``case_id``.

    Two lines are of one case if their evidence has an event in common, or shows the same value at
    the same time, or if that of one names the other; of values that hardly anybody shows. It is the
    case that is longest on the list, of those as long the first by rank. Who stands is in nobody's
    case: it is strange every night.

    Parameters
    ----------
    lines : in order of rank, with ``evidence``
    """
    alone = [line for line in lines if line["lane"] != STANDING]
    parents = {line["case_id"]: line["case_id"] for line in alone}

    def case_of(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    longest: dict[str, tuple[int, int]] = {}
    for place, line in enumerate(alone):
        longest.setdefault(line["case_id"], (-line["days_in_row"], place))
    for first, second in _joined(alone):
        cases = {case_of(first["case_id"]), case_of(second["case_id"])}
        kept = min(cases, key=lambda name: longest[name])
        for other in cases - {kept}:
            parents[other] = kept
    return [
        {**line, "case_id": case_of(line["case_id"])} if line["case_id"] in parents else line
        for line in lines
    ]


def _joined(lines: Iterable[Line]) -> Iterable[tuple[Line, Line]]:
    """Pairs of lines that have something in common; each line is looked at by what is rare."""
    by_event: dict[str, list[Line]] = {}
    by_value: dict[tuple[str, str], list[tuple[Line, Mapping[str, Any]]]] = {}
    for line in lines:
        for item in line.get("evidence") or []:
            if item["entities_sharing"] > MOST_SHARING:
                continue
            by_value.setdefault((item["dimension"], item["value"]), []).append((line, item))
            for event_id in item["sample_event_ids"] or []:
                by_event.setdefault(event_id, []).append(line)
        for dimension in NAMED_BY.get(line["entity_type"], ()):
            by_value.setdefault((dimension, line["entity_id"]), []).append((line, {}))
    for sharing in by_event.values():
        yield from pairwise(sharing)
    for shown in by_value.values():
        for (first, own), (second, other) in combinations(shown, 2):
            if not own or not other or _overlap(own, other):
                yield first, second


def _overlap(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows of activity were at the same time, at least in part."""
    return bool(own["first_ts"] <= other["last_ts"] and other["first_ts"] <= own["last_ts"])
