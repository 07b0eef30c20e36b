"""Raw events behind what an entity showed on a night."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_ACTIVITY, OUTLIERS
from shoal.contracts.events import COMMON, EVENT_TABLES
from shoal.errors import DataError, did_you_mean
from shoal.hunt.entities import KnownEntities
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of

_HOUSEKEEPING = {"event_date", "file_id", "ingest_ts"}


def events_behind(
    reader: Reader,
    entity_id: str,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    dimension: str | None = None,
    value: str | None = None,
) -> list[dict[str, Any]]:
    """Events that are samples of an entity's activity, in the order in which they happened.

    By default those of the evidence of its line; of an activity that is named, whether it is
    evidence or not. The tables keep a few a value, not all.

    Parameters
    ----------
    dimension, value : of ``entity_activity``

    Returns
    -------
    Of each event its ``kind``, the ``dimension`` and ``value`` that it is behind, and its columns
    that are not null; at least one

    Raises
    ------
    DataError
        If there is no such entity or activity on the night, it has no line and nothing is named,
        or the events are gone.
    """
    night = find_night(reader, event_date)
    kind, name = KnownEntities.of(reader, [night], [entity_id]).resolve(entity_id, entity_type)
    own = {"entity_type": [kind], "entity_id": [name]}
    if dimension is None and value is None:
        lines = rows_of(fetch_published(reader, OUTLIERS, [night], ["evidence"], **own))
        if not lines:
            raise DataError(
                f"{kind} {name!r} has no line on {night.event_date}: name an activity by "
                "--dimension or --value, `shoal explain` tells of some"
            )
        rows = lines[0]["evidence"] or []
    else:
        rows = _activity(reader, night, own, dimension, value)
    found = _fetch(reader, night, rows)
    if not found:
        raise DataError(
            f"the events of {night.event_date} are gone: tables of events are kept for "
            f"{EVENT_TABLES['process'].retention_days} days"
        )
    return found


def _activity(
    reader: Reader,
    night: Night,
    own: dict[str, list[str]],
    dimension: str | None,
    value: str | None,
) -> list[dict[str, Any]]:
    names = ["dimension", "value", "sample_event_ids"]
    every = rows_of(fetch_published(reader, ENTITY_ACTIVITY, [night], names, **own))
    rows = [
        row
        for row in every
        if dimension in (None, row["dimension"]) and value in (None, row["value"])
    ]
    if not rows:
        what, wanted = ("dimension", dimension) if value is None else ("value", value)
        near = did_you_mean(str(wanted), {row[what] for row in every})
        raise DataError(f"it showed no {what} {wanted!r} on {night.event_date}{near}")
    return rows


def _fetch(reader: Reader, night: Night, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of activity rows, each once, by time; told with the first row that it is behind."""
    behind: dict[str, dict[str, Any]] = {}
    for row in rows:
        for event_id in row["sample_event_ids"] or []:
            behind.setdefault(event_id, {name: row[name] for name in ("dimension", "value")})
    if not behind:
        return []
    common = [column.name for column in COMMON]
    found = []
    for kind, table in EVENT_TABLES.items():
        events = reader.fetch(table, event_date=[night.event_date], event_id=list(behind))
        for event in rows_of(events):
            names = sorted(event, key=lambda name: name not in common)
            told = {
                name: event[name]
                for name in names
                if event[name] is not None and name not in _HOUSEKEEPING
            }
            found.append({"kind": kind, **behind[event["event_id"]], **told})
    return sorted(found, key=lambda event: (event["event_ts"], event["event_id"]))
