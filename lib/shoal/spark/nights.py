"""Which nights readers may see: publishing, hiding, and reads that join on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import NIGHTS, Table
from shoal.errors import DataError
from shoal.spark.runs import utc_now
from shoal.spark.tables import Warehouse


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


def read_nights(
    warehouse: Warehouse, start: date | None = None, end: date | None = None
) -> list[Night]:
    """Nights from ``start`` to ``end`` (both included, ``None`` is open), by date."""
    nights = warehouse.read(NIGHTS)
    if start is not None:
        nights = nights.where(F.col("event_date") >= F.lit(start))
    if end is not None:
        nights = nights.where(F.col("event_date") <= F.lit(end))
    found = [Night(**row.asDict()) for row in nights.collect()]
    return sorted(found, key=lambda night: night.event_date)


def published_nights(
    warehouse: Warehouse, start: date | None = None, end: date | None = None
) -> list[Night]:
    """The nights that readers may see, by date."""
    return [night for night in read_nights(warehouse, start, end) if night.state == "published"]


def require_published(warehouse: Warehouse) -> list[Night]:
    """All nights that readers may see, by date; at least one.

    Raises
    ------
    DataError
        If no night is published yet.
    """
    nights = published_nights(warehouse)
    if not nights:
        raise DataError("no night is published yet: run `shoal nightly`")
    return nights


def write_nights(warehouse: Warehouse, nights: Sequence[Night]) -> None:
    """Write the rows of some nights, in one commit."""
    rows = [
        {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in vars(night).items()
        }
        for night in nights
    ]
    days = [night.event_date for night in nights]
    warehouse.replace_days(warehouse.frame(NIGHTS, rows), NIGHTS, days)


def publish_nights(warehouse: Warehouse, nights: Sequence[Night]) -> None:
    """Make nights visible, all at once: their last commit."""
    now = utc_now()
    write_nights(
        warehouse, [replace(night, state="published", published_ts=now) for night in nights]
    )


def hide_nights(warehouse: Warehouse, run_ids: Mapping[date, str]) -> None:
    """Hide nights that are about to be rewritten with other inputs: night to its new run_id."""
    write_nights(
        warehouse, [Night(day, run_id, "publishing") for day, run_id in sorted(run_ids.items())]
    )


def read_published(warehouse: Warehouse, table: Table, nights: Sequence[Night]) -> DataFrame:
    """Rows of a night table that belong to the given nights.

    The nights are literals on the partition column, so that only their files are read; a
    ``run_id`` is a hash of its night, so that none belongs to another one.
    """
    frame = warehouse.read(table)
    if not nights:
        return frame.where(F.lit(False))
    is_day = F.col("event_date").isin([night.event_date for night in nights])
    return frame.where(is_day & F.col("run_id").isin([night.run_id for night in nights]))
