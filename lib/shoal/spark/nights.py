"""Nights published and hidden, and Spark's reads of what is published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import NIGHTS, Table
from shoal.lake import Night
from shoal.spark.runs import utc_now
from shoal.spark.tables import Warehouse


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
