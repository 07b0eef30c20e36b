"""What becomes of parsed records: judged by their day, freed of duplicates, counted by file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts import INGEST_FILES, QUARANTINE, Table
from shoal.contracts.events import PARSED_COLUMNS
from shoal.sources.columns import content_id
from shoal.sources.files import RawFile
from shoal.spark.hashing import hash_sum

LISTED = ("file_id", "batch_id", "source_name", "source_file", "size_bytes", "modified_ts")
"""Columns of the ledger that are known before a file is read."""


@dataclass(frozen=True)
class DayWindow:
    """Days that events may fall on, both included; others go to quarantine."""

    start: date
    end: date

    @classmethod
    def around(cls, night: date, late_days: int) -> "DayWindow":
        """``[night − late_days, night + 1]``."""
        return cls(night - timedelta(days=late_days), night + timedelta(days=1))

    def admits_any(self, days: Sequence[date]) -> bool:
        """Whether one of the days lies inside."""
        return any(self.start <= day <= self.end for day in days)


def cut_records(spark: SparkSession, cuts: Sequence[tuple[str, RawFile, str]]) -> DataFrame:
    """File that ends too early (source name, file, reason) → record that stands for its rest.

    In quarantine, so that the ledger counts one record more than could be read.
    """
    known = "source_name string, source_file string, file_id string, reason string"
    values = [(name, file.source_file, file.file_id, reason) for name, file, reason in cuts]
    columns = {
        "outcome": F.lit("quarantined"),
        "reason": F.concat(F.lit("the file cannot be read to its end: "), F.col("reason")),
        # The same in every file: a touched file's content stays the same.
        "event_id": content_id(F.lit("cut")),
    }
    columns |= {name: F.col(name) for name in ("source_name", "source_file", "file_id")}
    return spark.createDataFrame(values, known).select(
        *(
            columns.get(column.name, F.lit(None)).cast(column.type).alias(column.name)
            for column in PARSED_COLUMNS
        )
    )


def add_event_date(
    records: DataFrame, *, window: DayWindow | None, admitted: Sequence[tuple[str, date]] = ()
) -> DataFrame:
    """Add ``event_date`` and ``is_outside``; events outside the window become quarantined.

    Record → record. ``window`` ``None`` takes all days; ``admitted`` (file_id, day) names days
    that a file was read for before, which stay taken.
    """
    dated = records.withColumn("event_date", F.to_date("event_ts"))
    if window is None:
        return dated.withColumn("is_outside", F.lit(False))
    day = F.col("event_date")
    is_inside = F.coalesce(day.between(F.lit(window.start), F.lit(window.end)), F.lit(False))
    if admitted:
        pairs = dated.sparkSession.createDataFrame(
            sorted(set(admitted)), "file_id string, event_date date"
        )
        known = F.broadcast(pairs.withColumn("is_admitted", F.lit(True)))
        dated = dated.join(known, ["file_id", "event_date"], how="left")
        is_inside |= F.coalesce(F.col("is_admitted"), F.lit(False))
    reason = F.concat(
        F.lit("event day "),
        day.cast("string"),
        F.lit(f" is outside {window.start} to {window.end}; read when that day's night is run"),
    )
    return (
        dated.withColumn("is_outside", (F.col("outcome") == "event") & ~is_inside)
        .drop("is_admitted")
        .withColumn("reason", F.when(F.col("is_outside"), reason).otherwise(F.col("reason")))
        .withColumn(
            "outcome", F.when(F.col("is_outside"), "quarantined").otherwise(F.col("outcome"))
        )
    )


def repeated_ids(events: DataFrame, existing: DataFrame) -> DataFrame:
    """Ids (event_id) that several of the events share, or that ``existing`` (event_id) holds.

    They are few but for a file that is read again; all other events are new without a doubt.
    """
    known = existing.distinct().withColumn("is_known", F.lit(True))
    return (
        events.groupBy("event_id")
        .agg(F.count(F.lit(1)).alias("count"))
        .join(known, ["event_id"], how="left")
        .where((F.col("count") > 1) | F.col("is_known"))
        .select("event_id")
    )


def keep_new_events(events: DataFrame, existing: DataFrame) -> DataFrame:
    """Keep one event of each id, and none whose id ``existing`` (event_id) holds.

    Event → event. Equal records of one file are events of their own (a log may write two within
    one tick of its clock), told apart by their number; of equal records in several files the one
    in the file that sorts first is kept. So neither the order of reading nor the partitioning, nor
    which file came when, has a say.
    """
    in_file = Window.partitionBy("event_id", "file_id").orderBy("event_ts")
    in_batch = Window.partitionBy("event_id", "number").orderBy("source_file", "file_id")
    numbered = F.concat_ws("/", F.col("event_id"), F.col("number").cast("string"))
    return (
        # By the id alone, which serves both windows: one shuffle, not two.
        events.repartition("event_id")
        .withColumn("number", F.row_number().over(in_file))
        .withColumn("place", F.row_number().over(in_batch))
        .where(F.col("place") == 1)
        .withColumn(
            "event_id",
            F.when(F.col("number") > 1, content_id(numbered)).otherwise(F.col("event_id")),
        )
        .drop("number", "place")
        .join(existing, ["event_id"], how="left_anti")
    )


def conform_events(events: DataFrame, kind: str, table: Table) -> DataFrame:
    """Events of one kind in their table's shape."""
    own = events.where(F.col("event_table") == kind)
    return own.withColumn("ingest_ts", F.current_timestamp()).select(*table.column_names)


def aggregate_quarantine(records: DataFrame) -> DataFrame:
    """Record → row of ``quarantine``: the same record of a file once, with its number."""
    return (
        records.where(F.col("outcome") == "quarantined")
        .groupBy("source_name", "source_file", "file_id", "event_id")
        .agg(
            F.count(F.lit(1)).alias("record_count"),
            F.min("reason").alias("reason"),
            F.min("raw_text").alias("raw_text"),
        )
        .withColumn("ingest_ts", F.current_timestamp())
        .withColumn("ingest_date", F.to_date("ingest_ts"))
        .select(*QUARANTINE.column_names)
    )


def aggregate_ledger(listing: DataFrame, records: DataFrame, events: DataFrame) -> DataFrame:
    """One row of ``ingest_files`` a listed file with what came of its records.

    Parameters
    ----------
    listing : the files, columns LISTED
    records : all their records, as :func:`add_event_date` leaves them
    events : those of them that are new
    """
    zero = F.lit(0).cast("long")
    ignored = records.where(F.col("outcome") == "ignored")
    joined = (
        listing.select(*LISTED)
        .join(_outcomes_by_file(records), ["file_id"], how="left")
        .join(_counts_by(ignored, "ignored_type", "ignored_by_type"), ["file_id"], how="left")
        .join(_counts_by(events, "event_table", "events_by_table"), ["file_id"], how="left")
    )
    counts = F.map_values("events_by_table")
    event_count = F.coalesce(F.aggregate(counts, zero, lambda total, n: total + n), zero)
    return joined.select(
        *LISTED,
        F.coalesce("content_hash", content_id(F.lit(""))).alias("content_hash"),
        *(F.coalesce(name, _no_days()).alias(name) for name in ("event_days", "outside_days")),
        F.coalesce("read_count", zero).alias("read_count"),
        event_count.alias("event_count"),
        (F.coalesce("parsed_count", zero) - event_count).alias("duplicate_count"),
        F.coalesce("ignored_count", zero).alias("ignored_count"),
        F.coalesce("quarantined_count", zero).alias("quarantined_count"),
        F.coalesce("ignored_by_type", _no_counts()).alias("ignored_by_type"),
        F.coalesce("events_by_table", _no_counts()).alias("events_by_table"),
        F.lit("read").alias("status"),
        F.current_timestamp().alias("ingest_ts"),
    ).select(*INGEST_FILES.column_names)


def _outcomes_by_file(records: DataFrame) -> DataFrame:
    outcome = F.col("outcome")
    day = F.col("event_date")
    return records.groupBy("file_id").agg(
        F.count(F.lit(1)).alias("read_count"),
        F.count_if(outcome == "event").alias("parsed_count"),
        F.count_if(outcome == "ignored").alias("ignored_count"),
        F.count_if(outcome == "quarantined").alias("quarantined_count"),
        F.sort_array(F.collect_set(F.when(outcome == "event", day))).alias("event_days"),
        F.sort_array(F.collect_set(F.when(F.col("is_outside"), day))).alias("outside_days"),
        _content_hash().alias("content_hash"),
    )


def _content_hash() -> Column:
    """Hash of a file's records in any order: the exact sum of their hashes, and their number."""
    total = hash_sum("event_id")
    text = F.concat_ws("/", total.cast("string"), F.count(F.lit(1)).cast("string"))
    return content_id(text)


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


def _no_days() -> Column:
    return F.array().cast("array<date>")
