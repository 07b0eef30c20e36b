"""Which nights readers may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from shoal.contracts import NIGHTS
from shoal.errors import DataError

if TYPE_CHECKING:
    from shoal.lake.reader import Reader


@dataclass(frozen=True)
class Night:
    """One row of ``nights``."""

    event_date: date
    run_id: str
    state: str
    config_hash: str = ""
    input_hash: str = ""
    table_versions: Mapping[str, int] = field(default_factory=dict)
    model_versions: Mapping[str, str] = field(default_factory=dict)
    row_counts: Mapping[str, int] = field(default_factory=dict)
    published_ts: datetime | None = None


def read_nights(reader: Reader, start: date | None = None, end: date | None = None) -> list[Night]:
    """Nights from ``start`` to ``end`` (both included, ``None`` is open), by date."""
    # One small row a night: all of them are read.
    rows = reader.fetch(NIGHTS).to_pylist(maps_as_pydicts="strict")
    found = [Night(**row) for row in rows]
    return sorted(
        (
            night
            for night in found
            if (start is None or night.event_date >= start)
            and (end is None or night.event_date <= end)
        ),
        key=lambda night: night.event_date,
    )


def published_nights(
    reader: Reader, start: date | None = None, end: date | None = None
) -> list[Night]:
    """The nights that readers may see, by date."""
    return [night for night in read_nights(reader, start, end) if night.state == "published"]


def require_published(reader: Reader) -> list[Night]:
    """All nights that readers may see, by date; at least one.

    Raises
    ------
    DataError
        If no night is published yet.
    """
    nights = published_nights(reader)
    if not nights:
        raise DataError("no night is published yet: run `shoal nightly`")
    return nights


def find_night(reader: Reader, event_date: date | None) -> Night:
    """The published night of a date, the last one by default.

    Raises
    ------
    DataError
        If it is not published; it names the nearest that are.
    """
    nights = require_published(reader)
    if event_date is None:
        return nights[-1]
    for night in nights:
        if night.event_date == event_date:
            return night
    nearest = sorted(nights, key=lambda night: abs((night.event_date - event_date).days))[:3]
    named = ", ".join(
        str(night.event_date) for night in sorted(nearest, key=lambda n: n.event_date)
    )
    raise DataError(f"the night {event_date} is not published; nearest: {named}")
