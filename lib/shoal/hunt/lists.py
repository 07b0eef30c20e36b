"""A night's list."""

from datetime import date
from typing import Any

from shoal.contracts import OUTLIERS
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of


def list_outliers(
    reader: Reader,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    slice_name: str | None = None,
    lane: str | None = None,
    limit: int | None = None,
) -> tuple[Night, list[dict[str, Any]]]:
    """The lines of a published night in order of rank, with filters."""
    night = find_night(reader, event_date)
    asked = {"entity_type": entity_type, "slice": slice_name, "lane": lane}
    wanted = {name: [value] for name, value in asked.items() if value is not None}
    lines = rows_of(fetch_published(reader, OUTLIERS, [night], **wanted))
    lines.sort(key=lambda line: (line["rank"], line["entity_id"]))
    ranks = sorted({line["rank"] for line in lines})[:limit]
    return night, [line for line in lines if line["rank"] in ranks]
