"""Which nights readers may see."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from shoal.contracts import NIGHTS, Table
from shoal.errors import DataError
from shoal.lake.reader import Reader, rows_of


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
    found = [Night(**row) for row in rows_of(reader.fetch(NIGHTS))]
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


def fetch_published(
    reader: Reader,
    table: Table,
    nights: Sequence[Night],
    columns: Sequence[str] | None = None,
    /,
    **wanted: Collection[Any],
) -> pa.Table:
    """Rows of a night table that belong to the given nights."""
    return reader.fetch(
        table,
        columns,
        event_date=[night.event_date for night in nights],
        run_id=[night.run_id for night in nights],
        **wanted,
    )
