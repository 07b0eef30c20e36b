"""What is worth a verdict though no list asks for one."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_SCORES, OUTLIERS, VERDICTS
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of

UNLIKELY, GRAY, CONTROL = "unlikely", "gray zone", "control"
"""Why an entity is in a sample: its density is low, it is just under the list, or by chance."""
_TOLD = ("slice", "anomaly_score", "p_value", "log_density", "severity")
_ENTITY = ("entity_type", "entity_id")


def sample_night(
    reader: Reader, event_date: date | None, *, size: int = 5, entity_type: str | None = None
) -> tuple[Night, list[dict[str, Any]]]:
    """Entities of a night to look at, so that verdicts tell of more than the list.

    What only lists are judged by says how many of their lines are wrong, and nothing of what they
    miss.

    Parameters
    ----------
    size : entities of each kind: least likely, just under the list, and drawn by chance, which is
        the same each time

    Returns
    -------
    The night, and rows with ``entity_type``, ``entity_id``, ``sampled_as`` and what their scores
    say; none that is on the list or has a verdict for the day
    """
    night = find_night(reader, event_date)
    judged = {
        (row["entity_type"], row["entity_id"])
        for row in rows_of(reader.fetch(VERDICTS, _ENTITY, event_date=[night.event_date]))
    }
    rows = [row for row in gray_zone(reader, night, entity_type) if _key(row) not in judged]
    found: list[dict[str, Any]] = []
    for kind, ordered in (
        (GRAY, rows),
        (UNLIKELY, sorted(rows, key=lambda row: (row["log_density"], *_key(row)))),
        (CONTROL, sorted(rows, key=lambda row: (_chance(night, row), *_key(row)))),
    ):
        taken = {_key(row) for row in found}
        others = [row for row in ordered if _key(row) not in taken]
        found += [{**row, "sampled_as": kind} for row in others[:size]]
    return night, found


def gray_zone(reader: Reader, night: Night, entity_type: str | None) -> list[dict[str, Any]]:
    """Scored entities that are not on the list, the strangest first."""
    wanted = {} if entity_type is None else {"entity_type": [entity_type]}
    listed = {
        _key(row) for row in rows_of(fetch_published(reader, OUTLIERS, [night], _ENTITY, **wanted))
    }
    columns = [*_ENTITY, *_TOLD]
    rows = rows_of(fetch_published(reader, ENTITY_SCORES, [night], columns, **wanted))
    unlisted = [row for row in rows if _key(row) not in listed]
    return sorted(unlisted, key=lambda row: (-round(row["anomaly_score"], 6), *_key(row)))


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["entity_type"], row["entity_id"]


def _chance(night: Night, row: Mapping[str, Any]) -> str:
    text = "\0".join((night.event_date.isoformat(), *_key(row)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
