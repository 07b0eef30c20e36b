"""Raw files → ``events_*``, ``feature_rows``, ``quarantine`` and the ledger ``ingest_files``.

The unit is the file. Files that the ledger doesn't know are announced in it (``reading``), their
events and quarantine written, and the announcement replaced by the counts in one last commit. A
run that dies in between leaves the announcement; the next one clears what it left and reads the
files again, so that no record is lost or doubled.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Source
from shoal.contracts import INGEST_FILES, QUARANTINE
from shoal.contracts.events import EVENT_TABLES
from shoal.errors import DataError, UnreadableFileError
from shoal.pipelines.context import Context
from shoal.pipelines.labels import load_labels
from shoal.pipelines.sources import SourceFile, check_sources, parse_files
from shoal.sources.files import (
    RawFile,
    find_all_unreadable,
    find_unreadable,
    list_files,
)
from shoal.sources.records import (
    LISTED,
    DayWindow,
    add_event_date,
    aggregate_ledger,
    aggregate_quarantine,
    conform_events,
    keep_new_events,
    repeated_ids,
)
from shoal.spark.runs import utc_now
from shoal.spark.session import persisted, settled
from shoal.spark.tables import Warehouse, quote_literal

log = logging.getLogger(__name__)

_COUNTED = ("read_count", "event_count", "duplicate_count", "ignored_count", "quarantined_count")
_BROADCAST_IDS = 1_000_000


def ingest(context: Context, window: DayWindow | None = None) -> int:
    """Read every raw file that the ledger doesn't know; return how many.

    A file whose events lay outside an earlier window is read again once the window admits them.
    A file that cannot be read is recorded as such and stops no other; of a compressed log that
    ends too early the records before that are read.

    Parameters
    ----------
    window : days that events may fall on; ``None`` (backfill) takes all

    Raises
    ------
    ConfigError
        If a mapped source names columns that its events don't have.
    DataError
        If no configured path can be listed.
    LeaseHeldError
        If another run is still reading after ``lease.ingest_wait_s``.
    """
    wait_s = context.settings.lease.ingest_wait_s
    check_sources(context.settings.sources)
    with context.leased(["ingest"], wait_s=wait_s), context.step("ingest") as rows:
        load_labels(context)
        listed = _list_sources(context)
        admitted = _reopen(context.warehouse, listed, window)
        _clear_leftovers(context.warehouse)
        unknown = _unknown_files(context, listed, admitted)
        rows.update(dict.fromkeys((_plain(name) for name in _COUNTED), 0))
        _read_files(context, unknown, window, rows)
    return len(unknown)


def _plain(counted: str) -> str:
    return counted.removesuffix("_count")


def _list_sources(context: Context) -> list[tuple[Source, list[RawFile]]]:
    """Files of every source; a source that cannot be listed is a fault, unless none can."""
    listed = []
    faults: list[str] = []

    def note(error: DataError) -> None:
        log.warning("%s", error)
        faults.append(str(error))

    for source in context.settings.sources:
        try:
            files = list_files(
                context.spark,
                source.paths,
                source_name=source.name,
                pattern=source.pattern,
                on_denied=note,
            )
        except DataError as error:
            note(error)
        else:
            listed.append((source, files))
    if faults and not listed:
        raise DataError("; ".join(faults))
    context.faults.extend(faults)
    return listed


def _reopen(
    warehouse: Warehouse, listed: Sequence[tuple[Source, list[RawFile]]], window: DayWindow | None
) -> dict[str, tuple[date, ...]]:
    """Announce anew the files whose events outside an earlier window are admitted now.

    Only those that are still there. Returns the days that each was read for before.
    """
    there = {file.file_id for _, files in listed for file in files}
    ledger = warehouse.read(INGEST_FILES)
    waiting = ledger.where(F.size("outside_days") > 0).select(
        "file_id", "outside_days", "event_days"
    )
    found = {
        row["file_id"]: tuple(row["event_days"])
        for row in waiting.collect()
        if row["file_id"] in there and (window is None or window.admits_any(row["outside_days"]))
    }
    if found:
        log.info("%d files hold events of days that are asked for now", len(found))
        own = _is_among(found)
        again = ledger.where(own).withColumn("status", F.lit("reading"))
        warehouse.replace_where(again, INGEST_FILES, own)
    return found


def _clear_leftovers(warehouse: Warehouse) -> None:
    """Delete what a run that died in the middle has written of its files."""
    is_announced = F.col("status") == "reading"
    rows = warehouse.read(INGEST_FILES).where(is_announced).select("file_id").collect()
    if not rows:
        return
    condition = _is_among([row[0] for row in rows])
    # The ledger last: until its rows are gone the next run finds what this one left.
    for table in (*EVENT_TABLES.values(), QUARANTINE, INGEST_FILES):
        warehouse.delete_where(table, condition)


def _is_among(file_ids: Sequence[str] | dict[str, tuple[date, ...]]) -> str:
    """SQL condition on file ids, which are hashes of Shoal's own."""
    return f"file_id IN ({', '.join(quote_literal(file_id) for file_id in sorted(file_ids))})"


def _unknown_files(
    context: Context,
    listed: Sequence[tuple[Source, list[RawFile]]],
    admitted: dict[str, tuple[date, ...]],
) -> list[SourceFile]:
    """The listed files that the ledger doesn't hold, sorted by path within their source."""
    unknown = []
    ledger = context.warehouse.read(INGEST_FILES).select("file_id")
    for source, files in listed:
        ids = context.spark.createDataFrame([(f.file_id,) for f in files], "file_id string")
        new = {row[0] for row in ids.join(ledger, ["file_id"], how="left_anti").collect()}
        log.info("source %s: %d files, %d to read", source.name, len(files), len(new))
        unknown += [
            SourceFile(source, file, admitted.get(file.file_id, ()))
            for file in files
            if file.file_id in new
        ]
    return unknown


def _read_files(
    context: Context, files: Sequence[SourceFile], window: DayWindow | None, rows: dict[str, int]
) -> None:
    """Read files together; those that cannot be read are put aside and the rest read without."""
    while files:
        try:
            _read_batch(context, files, window, rows)
        except Exception as error:
            bad = find_unreadable(error)
            if bad is None or all(f.file.source_file != bad.source_file for f in files):
                raise
            _clear_leftovers(context.warehouse)
            files = _without_unreadable(context, files, bad, rows)
        else:
            break
    context.faults.extend(f"{f.file.source_file}: {f.cut}" for f in files if f.cut)


def _without_unreadable(
    context: Context, files: Sequence[SourceFile], bad: UnreadableFileError, rows: dict[str, int]
) -> list[SourceFile]:
    """The files that can be read, wholly or up to where they are cut; record the others."""
    # One that failed although it was known to be cut is given up.
    whole = [item.file for item in files if not item.cut]
    faults = {bad.source_file: bad} | find_all_unreadable(context.spark, whole)
    readable, unreadable = [], []
    for item in files:
        fault = faults.get(item.file.source_file)
        # Half a feature table is half a population, no basis for a comparison.
        is_usable = fault is not None and fault.is_cut and item.source.kind != "features"
        if fault is None:
            readable.append(item)
        elif is_usable and not item.cut:
            log.warning("%s; the records before that are read", fault)
            readable.append(replace(item, cut=f"{fault.reason}; the records before that are read"))
        else:
            log.warning("%s", fault)
            unreadable.append((item, fault.reason))
    if unreadable:
        _record_unreadable(context, unreadable, rows)
    return readable


def _read_batch(
    context: Context, files: Sequence[SourceFile], window: DayWindow | None, rows: dict[str, int]
) -> None:
    warehouse, batch_id = context.warehouse, _batch_id(files)
    transaction = f"shoal-ingest-{batch_id}-{context.run_log.attempt_id}"
    listing = _announce(context, files, batch_id, transaction)
    admitted = [(f.file.file_id, day) for f in files for day in f.admitted]
    parsed = parse_files(context.spark, files)
    with persisted(add_event_date(parsed, window=window, admitted=admitted)) as found:
        records = found.join(F.broadcast(listing.select("file_id")), ["file_id"], how="left_semi")
        days = _event_days(records)
        existing = _existing_events(warehouse, days, listing)
        events = _new_events(records, existing)
        warehouse.append_once(aggregate_quarantine(records), QUARANTINE, transaction, 1)
        for kind in days:
            table = EVENT_TABLES[kind]
            rows_of_kind = conform_events(events, kind, table)
            warehouse.append_once(rows_of_kind, table, transaction, 1)
        ledger = aggregate_ledger(listing, records, events)
        ledger = _mark_changed(ledger, found, listing)
        own = f"batch_id = {quote_literal(batch_id)}"
        warehouse.replace_where(ledger, INGEST_FILES, own)
    _report(context, batch_id, rows)


def _event_days(records: DataFrame) -> dict[str, list[date]]:
    """Days with events by table kind."""
    is_event = F.col("outcome") == "event"
    pairs = records.where(is_event).select("event_table", "event_date").distinct().collect()
    days: dict[str, list[date]] = {}
    for kind, day in sorted(pairs):
        days.setdefault(kind, []).append(day)
    return days


def _new_events(records: DataFrame, existing: DataFrame) -> DataFrame:
    """The events among the records that neither the tables nor an equal record already stand for.

    Only those that may not be new are shuffled whole, and only if there are any.
    """
    events = records.where(F.col("outcome") == "event")
    repeated = settled(repeated_ids(events, existing))
    count = repeated.count()
    if not count:
        return events
    if count <= _BROADCAST_IDS:
        repeated = F.broadcast(repeated)
    doubtful = events.join(repeated, ["event_id"], how="left_semi")
    certain = events.join(repeated, ["event_id"], how="left_anti")
    return certain.unionByName(settled(keep_new_events(doubtful, existing)))


def _existing_events(
    warehouse: Warehouse, days: dict[str, list[date]], listing: DataFrame
) -> DataFrame:
    """Ids of the events that the tables hold on those days, this batch's own left out.

    Left out, because what an attempt before wrote is no reason to leave an event out now.
    """
    known = [
        warehouse.read(EVENT_TABLES[kind])
        .where(F.col("event_date").isin(own))
        .select("event_id", "file_id")
        for kind, own in days.items()
    ]
    empty = warehouse.spark.createDataFrame([], "event_id string, file_id string")
    all_known = reduce(DataFrame.unionByName, known, empty)
    own_files = F.broadcast(listing.select("file_id"))
    return all_known.join(own_files, ["file_id"], how="left_anti").select("event_id")


def _mark_changed(ledger: DataFrame, found: DataFrame, listing: DataFrame) -> DataFrame:
    """Mark files that changed between being listed and being read; the next ingest reads them.

    Their lines carry the id of the file as it was when they were read (``found``), which is none
    of the listed ones.
    """
    foreign = found.join(F.broadcast(listing.select("file_id")), ["file_id"], how="left_anti")
    paths = foreign.select("source_file").distinct().withColumn("is_changed", F.lit(True))
    status = F.when(F.col("is_changed"), "changed").otherwise(F.col("status"))
    return (
        ledger.join(F.broadcast(paths), ["source_file"], how="left")
        .withColumn("status", status)
        .select(*INGEST_FILES.column_names)
    )


def _batch_id(files: Sequence[SourceFile]) -> str:
    ids = sorted(item.file.file_id for item in files)
    return hashlib.sha256("/".join(ids).encode()).hexdigest()[:16]


def _announce(
    context: Context, files: Sequence[SourceFile], batch_id: str, transaction: str
) -> DataFrame:
    """Put the files into the ledger as ``reading``; return those rows."""
    values = [
        (i.file.file_id, batch_id, i.source.name, i.file.source_file, i.file.size_bytes,
         i.file.modified_ts)
        for i in files
    ]  # fmt: skip
    listed = context.spark.createDataFrame(values, INGEST_FILES.subset(LISTED))
    absent = [c for c in INGEST_FILES.columns if c.name not in {*LISTED, "status"}]
    listing = listed.select(
        *LISTED,
        F.lit("reading").alias("status"),
        *(F.lit(None).cast(c.type).alias(c.name) for c in absent),
    ).select(*INGEST_FILES.column_names)
    context.warehouse.append_once(listing, INGEST_FILES, transaction, 1)
    return listing


def _record_unreadable(
    context: Context, unreadable: Sequence[tuple[SourceFile, str]], rows: dict[str, int]
) -> None:
    """Put files that no reader can read into quarantine, each as one record of itself."""
    now, batch_id = utc_now(), _batch_id([item for item, _ in unreadable])
    transaction = f"shoal-unreadable-{batch_id}-{context.run_log.attempt_id}"
    facts: list[dict[str, Any]] = []
    for item, reason in unreadable:
        file = item.file
        facts.append(
            {
                "file_id": file.file_id,
                "batch_id": batch_id,
                "source_name": item.source.name,
                "source_file": file.source_file,
                "size_bytes": file.size_bytes,
                "modified_ts": file.modified_ts,
                "ingest_ts": now,
                "ingest_date": now.date(),
                "event_id": file.file_id,
                "record_count": 1,
                "reason": f"the file cannot be read: {reason}",
                "content_hash": file.file_id,
                **dict.fromkeys(_COUNTED, 0),
                **{name: [] for name in ("event_days", "outside_days")},
                **{name: {} for name in ("ignored_by_type", "events_by_table")},
                "read_count": 1,
                "quarantined_count": 1,
                "status": "unreadable",
            }
        )
        context.faults.append(f"{file.source_file} cannot be read: {reason}")
    for table in (QUARANTINE, INGEST_FILES):
        frame = context.warehouse.frame(table, facts)
        context.warehouse.append_once(frame, table, transaction, 1)
    _report(context, batch_id, rows)


def _report(context: Context, batch_id: str, rows: dict[str, int]) -> None:
    """Add what came of a batch to ``rows``, and its faults to the context's."""
    own = context.warehouse.read(INGEST_FILES).where(F.col("batch_id") == batch_id)
    is_unreadable = F.col("status") == "unreadable"
    sums = (
        own.groupBy("source_name")
        .agg(
            *(F.sum(name).alias(name) for name in _COUNTED),
            F.sum(F.when(~is_unreadable, F.col("quarantined_count"))).alias("in_quarantine"),
        )
        .orderBy("source_name")
        .collect()
    )
    for row in sums:
        counts = {_plain(name): int(row[name] or 0) for name in _COUNTED}
        for name, value in counts.items():
            rows[name] += value
        told = ", ".join(f"{name} {value:,}" for name, value in counts.items())
        log.info("source %s: %s", row["source_name"], told)
    in_quarantine = sum(int(row["in_quarantine"] or 0) for row in sums)
    for row in own.where(F.col("status") == "changed").select("source_file").collect():
        context.faults.append(f"{row['source_file']} changed while it was read; read next time")
    if in_quarantine:
        noun = "record" if in_quarantine == 1 else "records"
        context.faults.append(f"{in_quarantine:,} {noun} in quarantine: see its reasons")
