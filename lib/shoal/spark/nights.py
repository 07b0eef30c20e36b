"""Which nights readers may see: publishing, hiding, and reads that join on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import NIGHTS, Table
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


def write_night(warehouse: Warehouse, night: Night) -> None:
    """Write the one row of a night, in one commit."""
    values = tuple(
        dict(value) if isinstance(value, Mapping) else value
        for value in (getattr(night, name) for name in NIGHTS.column_names)
    )
    frame = warehouse.spark.createDataFrame([values], NIGHTS.schema).coalesce(1)
    warehouse.replace_day(frame, NIGHTS, night.event_date)


def publish_night(warehouse: Warehouse, night: Night) -> None:
    """Make a night visible: its last commit."""
    row = {**vars(night), "state": "published", "published_ts": utc_now()}
    write_night(warehouse, Night(**row))


def hide_night(warehouse: Warehouse, event_date: date, run_id: str) -> None:
    """Hide a night that is about to be rewritten with other inputs."""
    write_night(warehouse, Night(event_date, run_id, "publishing"))


def read_published(warehouse: Warehouse, table: Table, nights: Sequence[Night]) -> DataFrame:
    """Rows of a night table that belong to the given published nights.

    The nights are literals on the partition column, so that only their files are read.
    """
    frame = warehouse.read(table)
    if not nights:
        return frame.where(F.lit(False))
    days = [night.event_date for night in nights]
    keys = warehouse.spark.createDataFrame(
        [(night.event_date, night.run_id) for night in nights], "event_date date, run_id string"
    )
    in_range = F.col("event_date").between(F.lit(min(days)), F.lit(max(days)))
    return frame.where(in_range).join(F.broadcast(keys), ["event_date", "run_id"], "left_semi")
