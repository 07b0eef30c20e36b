"""What appeared on a night: values that nobody had before, and few have now."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.contracts import ENTITY_ACTIVITY
from shoal.contracts.activity import CONFIGURATION_DIMENSIONS, DIMENSION_NAMES
from shoal.errors import DataError, did_you_mean
from shoal.lake import Night, Reader, fetch_published, find_night, published_nights, rows_of

_VALUE = ["dimension", "value"]
_TOLD = ["event_count", "first_ts", "last_ts", "sample_event_ids"]


def rare_values(
    reader: Reader,
    event_date: date | None,
    *,
    entity_type: str = "host",
    dimensions: Sequence[str] = (),
    most: int = 3,
    past_days: int = 28,
) -> tuple[Night, list[dict[str, Any]]]:
    """Values of a night that at most so many entities show, and none did in the days before.

    Parameters
    ----------
    dimensions : of ``entity_activity``, what is installed and started by default
    most : entities of the type
    past_days : days before the night; of nights that are not published nothing is known

    Returns
    -------
    The night, and a row a value, those of the fewest entities first: ``dimension``, ``value``,
    ``entities``, their names, and of all their events ``event_count``, ``first_ts``, ``last_ts``
    and ``sample_event_ids``

    Raises
    ------
    DataError
        If the night is not published, or there is no such dimension.
    """
    for name in dimensions:
        if name not in DIMENSION_NAMES:
            raise DataError(
                f"no dimension {name!r}{did_you_mean(name, DIMENSION_NAMES)}; there are: "
                f"{', '.join(DIMENSION_NAMES)}"
            )
    night = find_night(reader, event_date)
    wanted = {
        "entity_type": [entity_type],
        "dimension": list(dimensions or CONFIGURATION_DIMENSIONS),
    }
    columns = ["entity_id", *_VALUE]
    tonight = fetch_published(reader, ENTITY_ACTIVITY, [night], columns, **wanted)
    counted = tonight.group_by(_VALUE).aggregate([("entity_id", "count")])
    few = counted.filter(pc.less_equal(counted["entity_id_count"], most))
    past = published_nights(
        reader,
        start=night.event_date - timedelta(days=past_days),
        end=night.event_date - timedelta(days=1),
    )
    if past and len(few):
        seen = _with_values(reader, past, few, entity_type, _VALUE)
        few = few.join(seen.group_by(_VALUE).aggregate([]), _VALUE, join_type="left anti")
    if not len(few):
        return night, []
    return night, _told(reader, night, few, entity_type)


def _with_values(
    reader: Reader,
    nights: Sequence[Night],
    values: pa.Table,
    entity_type: str,
    columns: Sequence[str],
) -> pa.Table:
    """Rows of some nights that have the values: those, and other pairs of their parts."""
    return fetch_published(
        reader,
        ENTITY_ACTIVITY,
        nights,
        columns,
        entity_type=[entity_type],
        dimension=set(values["dimension"].to_pylist()),
        value=set(values["value"].to_pylist()),
    )


def _told(reader: Reader, night: Night, values: pa.Table, entity_type: str) -> list[dict[str, Any]]:
    columns = ["entity_id", *_VALUE, *_TOLD]
    rows = _with_values(reader, [night], values, entity_type, columns)
    wanted = {(row["dimension"], row["value"]) for row in values.to_pylist()}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows_of(rows):
        if (key := (row["dimension"], row["value"])) in wanted:
            found.setdefault(key, []).append(row)
    told = [
        {
            "dimension": dimension,
            "value": value,
            "entities": len(own),
            "entity_ids": sorted(row["entity_id"] for row in own),
            "event_count": sum(row["event_count"] for row in own),
            "first_ts": min(row["first_ts"] for row in own),
            "last_ts": max(row["last_ts"] for row in own),
            "sample_event_ids": [name for row in own for name in row["sample_event_ids"] or []][:5],
        }
        for (dimension, value), own in found.items()
    ]
    return sorted(told, key=lambda row: (row["entities"], row["dimension"], row["value"]))
