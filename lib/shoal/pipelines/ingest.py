"""Raw files → ``events_*``, ``feature_rows``, ``quarantine`` and the ledger ``ingest_files``.

The unit is the file. Files that the ledger doesn't know are announced in it (``reading``), their
events and quarantine written, and the announcement replaced by the counts in one last commit. A
run that dies in between leaves the announcement; the next one clears what it left and reads the
files again, so that no record is lost or doubled.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.config import FeaturesSource, Source
from shoal.contracts import INGEST_FILES, QUARANTINE, Table
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import Context
from shoal.sources import SOURCES
from shoal.sources.features import parse_features
from shoal.sources.files import RawFile, list_files, read_lines
from shoal.spark.runs import leased
from shoal.spark.session import persisted
from shoal.spark.tables import Warehouse, quote_literal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DayWindow:
    """Days that events may fall on; others go to quarantine."""

    start: date
    end: date

    @classmethod
    def around(cls, night: date, late_days: int) -> "DayWindow":
        """``[night − late_days, night + 1]``."""
        return cls(night - timedelta(days=late_days), night + timedelta(days=1))


def ingest(context: Context, window: DayWindow | None = None) -> int:
    """Read every raw file that the ledger doesn't know; return how many.

    Parameters
    ----------
    window : days that events may fall on; ``None`` (backfill) takes all

    Raises
    ------
    DataError
        If a configured path is missing.
    LeaseHeldError
        If another run is still reading after ``lease.ingest_wait_s``.
    """
    lease = context.settings.lease
    held = leased(context.run_log, ["ingest"], ttl_s=lease.ttl_s, wait_s=lease.ingest_wait_s)
    with held, context.step("ingest") as rows:
        _clear_leftovers(context.warehouse)
        batch = _unknown_files(context)
        if batch:
            _read_batch(context, batch, window, rows)
    return sum(len(files) for _, files in batch)


def _unknown_files(context: Context) -> list[tuple[Source, list[RawFile]]]:
    ledger = context.warehouse.read(INGEST_FILES)
    batch = []
    for source in context.settings.sources:
        files = list_files(
            context.spark, source.paths, source_name=source.name, pattern=source.pattern
        )
        rows = ledger.where(F.col("source_name") == source.name).select("file_id").collect()
        known = {row[0] for row in rows}
        unknown = [file for file in files if file.file_id not in known]
        if unknown:
            batch.append((source, unknown))
        log.info("source %s: %d files, %d new", source.name, len(files), len(unknown))
    return batch


def _clear_leftovers(warehouse: Warehouse) -> None:
    """Delete what a run that died in the middle has written of its files."""
    announced = [
        row[0]
        for row in warehouse.read(INGEST_FILES)
        .where(F.col("status") == "reading")
        .select("file_id")
        .collect()
    ]
    if not announced:
        return
    log.info("an earlier ingest of %d files did not finish: starting it over", len(announced))
    ids = ", ".join(quote_literal(file_id) for file_id in announced)  # hashes of Shoal's own
    for table in (*EVENT_TABLES.values(), QUARANTINE, INGEST_FILES):
        warehouse.delete_where(table, f"file_id IN ({ids})")


def _read_batch(
    context: Context,
    batch: Sequence[tuple[Source, list[RawFile]]],
    window: DayWindow | None,
    rows: dict[str, int],
) -> None:
    warehouse = context.warehouse
    batch_id = _batch_id(batch)
    listing = _listing_frame(context, batch, batch_id)
    warehouse.append(listing, INGEST_FILES)
    parsed = reduce(DataFrame.unionByName, [_parse(context, *entry) for entry in batch])
    with persisted(_judge_days(parsed, window)) as records:
        touched = _touched_days(records)
        with persisted(_accept(warehouse, records, touched, listing)) as accepted:
            _write_quarantine(warehouse, records)
            for kind in touched:
                table = EVENT_TABLES[kind]
                warehouse.append(_event_rows(accepted, kind, table), table)
            own = f"batch_id = {quote_literal(batch_id)}"
            ledger = _ledger(listing, records, accepted)
            warehouse.replace_where(ledger, INGEST_FILES, own)
    _report(context, [file for _, files in batch for file in files], rows)


def _parse(context: Context, source: Source, files: Sequence[RawFile]) -> DataFrame:
    if isinstance(source, FeaturesSource):
        return parse_features(
            context.spark,
            files,
            source_name=source.name,
            entity_type=source.entity_type,
            id_column=source.id_column,
            date_column=source.date_column,
            slice_column=source.slice_column,
            feature_columns=source.feature_columns,
            file_format=source.format,
        )
    lines = read_lines(context.spark, files, source_name=source.name)
    return SOURCES[source.kind](lines)


def _judge_days(parsed: DataFrame, window: DayWindow | None) -> DataFrame:
    """Add ``event_date``; with a window, send events outside it to quarantine."""
    day = F.to_date("event_ts")
    if window is None:
        return parsed.withColumn("event_date", day)
    is_outside = (F.col("outcome") == "event") & ~day.between(
        F.lit(window.start), F.lit(window.end)
    )
    reason = F.concat(
        F.lit("event day "),
        day.cast("string"),
        F.lit(f" is outside {window.start} to {window.end}: read it with --start and --end"),
    )
    return (
        parsed.withColumn("event_date", day)
        .withColumn("reason", F.when(is_outside, reason).otherwise(F.col("reason")))
        .withColumn("event_table", F.when(~is_outside, F.col("event_table")))
        .withColumn("outcome", F.when(is_outside, "quarantined").otherwise(F.col("outcome")))
    )


def _touched_days(records: DataFrame) -> dict[str, list[date]]:
    """Days with events by table kind."""
    pairs = (
        records.where(F.col("outcome") == "event")
        .groupBy("event_table", "event_date")
        .agg(F.count(F.lit(1)))
        .collect()
    )
    days: dict[str, list[date]] = {}
    for kind, day, _ in sorted(pairs):
        days.setdefault(kind, []).append(day)
    return days


def _accept(
    warehouse: Warehouse,
    records: DataFrame,
    touched: dict[str, list[date]],
    listing: DataFrame,
) -> DataFrame:
    """The events that are new: one of each event id, and none that a table already holds.

    Of records in several files the one in the file that sorts first is kept, so that the choice
    depends on neither the order of reading nor the partitioning.
    """
    events = _number_repeats(records.where(F.col("outcome") == "event"))
    own = F.struct("source_file", "file_id")
    repeated = (
        events.groupBy("event_id")
        .agg(F.count(F.lit(1)).alias("record_count"), F.min(own).alias("first_file"))
        .where(F.col("record_count") > 1)
    )
    marked = events.join(repeated, ["event_id"], how="left")
    is_first = F.col("record_count").isNull() | (own == F.col("first_file"))
    unique = marked.where(is_first).drop("record_count", "first_file")
    # Not those of this batch: this is evaluated again after its first tables are written.
    own_files = F.broadcast(listing.select("file_id"))
    existing = _existing_events(warehouse, touched).join(own_files, ["file_id"], how="left_anti")
    return unique.join(existing.select("event_id"), ["event_id"], how="left_anti")


def _number_repeats(events: DataFrame) -> DataFrame:
    """Give the second and later of equal records within one file ids of their own.

    A source may log two equal events in the same millisecond; both happened. The n-th equal
    record of a file has the same id whenever and wherever that file is read again.
    """
    same = ["file_id", "event_id"]
    repeated = events.groupBy(*same).count().where(F.col("count") > 1).drop("count")
    number = F.row_number().over(Window.partitionBy(*same).orderBy("event_ts"))
    numbered = F.concat_ws("/", F.col("event_id"), F.col("number").cast("string"))
    again = events.join(repeated, same, how="left_semi").withColumn("number", number)
    renamed = again.withColumn(
        "event_id",
        F.when(F.col("number") > 1, F.sha2(numbered, 256).substr(1, 32)).otherwise(
            F.col("event_id")
        ),
    ).drop("number")
    return events.join(repeated, same, how="left_anti").unionByName(renamed)


def _existing_events(warehouse: Warehouse, touched: dict[str, list[date]]) -> DataFrame:
    """Ids and files of the events that the touched days hold."""
    known = [
        warehouse.read(EVENT_TABLES[kind])
        .where(F.col("event_date").isin(days))
        .select("event_id", "file_id")
        for kind, days in touched.items()
    ]
    empty = warehouse.spark.createDataFrame([], "event_id string, file_id string")
    return reduce(DataFrame.unionByName, known, empty)


def _event_rows(accepted: DataFrame, kind: str, table: Table) -> DataFrame:
    now = F.current_timestamp()
    return (
        accepted.where(F.col("event_table") == kind)
        .withColumn("ingest_ts", now)
        .select(*table.column_names)
    )


def _write_quarantine(warehouse: Warehouse, records: DataFrame) -> None:
    bad = (
        records.where(F.col("outcome") == "quarantined")
        .groupBy("source_name", "source_file", "file_id", "event_id")
        .agg(
            F.count(F.lit(1)).alias("record_count"),
            F.min("reason").alias("reason"),
            F.min("raw_text").alias("raw_text"),
        )
        .withColumn("ingest_ts", F.current_timestamp())
        .withColumn("ingest_date", F.to_date("ingest_ts"))
    )
    warehouse.append(bad.select(*QUARANTINE.column_names), QUARANTINE)


def _batch_id(batch: Sequence[tuple[Source, list[RawFile]]]) -> str:
    ids = sorted(file.file_id for _, files in batch for file in files)
    return hashlib.sha256("/".join(ids).encode()).hexdigest()[:16]


def _listing_frame(
    context: Context, batch: Sequence[tuple[Source, list[RawFile]]], batch_id: str
) -> DataFrame:
    """Ledger rows that announce the files of a batch."""
    values = [
        (file.file_id, batch_id, source.name, file.source_file, file.size_bytes, file.modified_ts)
        for source, files in batch
        for file in files
    ]
    names = list(_LISTED)
    announced = context.spark.createDataFrame(values, INGEST_FILES.subset(names))
    absent = [c for c in INGEST_FILES.columns if c.name not in {*names, "status"}]
    return announced.select(
        *names,
        F.lit("reading").alias("status"),
        *(F.lit(None).cast(c.type).alias(c.name) for c in absent),
    ).select(*INGEST_FILES.column_names)


def _ledger(listing: DataFrame, records: DataFrame, accepted: DataFrame) -> DataFrame:
    """One row a file with what came of its records; files without records included."""
    outcome = F.col("outcome")
    by_file = records.groupBy("file_id").agg(
        F.count(F.lit(1)).alias("read_count"),
        F.count_if(outcome == "event").alias("parsed_count"),
        F.count_if(outcome == "ignored").alias("ignored_count"),
        F.count_if(outcome == "quarantined").alias("quarantined_count"),
        F.sort_array(F.collect_set(F.when(outcome == "event", F.col("event_date")))).alias(
            "event_days"
        ),
        _content_hash().alias("content_hash"),
    )
    ignored = _counts_by(records.where(outcome == "ignored"), "ignored_type", "ignored_by_type")
    events = _counts_by(accepted, "event_table", "events_by_table")
    zero = F.lit(0).cast("long")
    joined = (
        listing.select(*_LISTED)
        .join(by_file, ["file_id"], how="left")
        .join(ignored, ["file_id"], how="left")
        .join(events, ["file_id"], how="left")
    )
    counts = F.map_values("events_by_table")
    event_count = F.coalesce(F.aggregate(counts, zero, lambda total, n: total + n), zero)
    return joined.select(
        *_LISTED,
        F.coalesce("content_hash", F.sha2(F.lit(""), 256).substr(1, 32)).alias("content_hash"),
        F.coalesce("event_days", F.array().cast("array<date>")).alias("event_days"),
        F.coalesce("read_count", zero).alias("read_count"),
        event_count.alias("event_count"),
        (F.coalesce("parsed_count", zero) - event_count).alias("duplicate_count"),
        F.coalesce("ignored_count", zero).alias("ignored_count"),
        F.coalesce("quarantined_count", zero).alias("quarantined_count"),
        F.coalesce("ignored_by_type", _no_counts()).alias("ignored_by_type"),
        F.coalesce("events_by_table", _no_counts()).alias("events_by_table"),
        F.lit("read").alias("status"),
        F.current_timestamp().alias("ingest_ts"),
    )


def _content_hash() -> Column:
    """Hash of a file's records in any order: the exact sum of their hashes, and their number."""
    total = F.sum(F.xxhash64("event_id").cast("decimal(38,0)"))
    text = F.concat_ws("/", total.cast("string"), F.count(F.lit(1)).cast("string"))
    return F.sha2(text, 256).substr(1, 32)


def _counts_by(rows: DataFrame, column: str, name: str) -> DataFrame:
    entry = F.struct(F.col(column), F.col("count"))
    return (
        rows.groupBy("file_id", column)
        .count()
        .groupBy("file_id")
        .agg(F.map_from_entries(F.sort_array(F.collect_list(entry))).alias(name))
    )


def _no_counts() -> Column:
    return F.create_map().cast("map<string,bigint>")


def _report(context: Context, files: Sequence[RawFile], rows: dict[str, int]) -> None:
    """Say what came of the batch."""
    ids = context.spark.createDataFrame([(file.file_id,) for file in files], "file_id string")
    totals = (
        context.warehouse.read(INGEST_FILES)
        .join(F.broadcast(ids), ["file_id"], how="left_semi")
        .agg(*(F.sum(name) for name in _COUNTED))
        .first()
    )
    counted = zip(_COUNTED, totals or (), strict=True)
    rows.update({name.removesuffix("_count"): int(value or 0) for name, value in counted})
    if rows.get("quarantined"):
        context.faults.append(f"{rows['quarantined']:,} records in quarantine: see its reasons")


_LISTED = ("file_id", "batch_id", "source_name", "source_file", "size_bytes", "modified_ts")
_COUNTED = ("read_count", "event_count", "duplicate_count", "ignored_count", "quarantined_count")
