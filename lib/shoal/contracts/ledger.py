"""The ledger of raw files, and the quarantine of records that could not be read."""

from pyspark.sql import types as T

from shoal.contracts.table import (
    COUNT_MAP,
    DATE,
    LONG,
    STRING,
    TIMESTAMP,
    Column,
    Table,
)

INGEST_FILES = Table(
    name="ingest_files",
    doc="The ledger of raw files: what was read from each, and where every record went.",
    grain="one version of one raw file (path, size, time of change)",
    key=("file_id",),
    columns=(
        Column("file_id", STRING, "hash of source name, path, size and time of change"),
        Column("batch_id", STRING, "hash of the files that one ingest read together"),
        Column("source_name", STRING, "name of the configured source"),
        Column("source_file", STRING, "path of the file"),
        Column("size_bytes", LONG, "size on disk"),
        Column("modified_ts", TIMESTAMP, "time of last change on disk; null for an empty file"),
        Column("content_hash", STRING, "hash of the file's records, whatever their order"),
        Column(
            "event_days",
            T.ArrayType(DATE),
            "UTC days that its events fall on, those that are duplicates included; sorted",
        ),
        Column(
            "outside_days",
            T.ArrayType(DATE),
            "UTC days of events in quarantine for lying outside the days asked for; the file is "
            "read again when they are asked for; sorted",
        ),
        Column("read_count", LONG, "records read = events + duplicates + ignored + quarantined"),
        Column("event_count", LONG, "records that became events"),
        Column("duplicate_count", LONG, "records that were events already"),
        Column("ignored_count", LONG, "records of types that no table takes"),
        Column("quarantined_count", LONG, "records in quarantine"),
        Column("ignored_by_type", COUNT_MAP, "ignored_count by the record's own type"),
        Column("events_by_table", COUNT_MAP, "event_count by table"),
        Column(
            "status",
            STRING,
            "read (a compressed log that ends too early: up to there); reading while its ingest "
            "has not finished; changed if it changed meanwhile (its new version is another file); "
            "unreadable",
        ),
        Column("ingest_ts", TIMESTAMP, "when it was read (UTC)", is_volatile=True),
    ),
)

QUARANTINE = Table(
    name="quarantine",
    doc="Raw records that could not be read, with the reason.",
    grain="one raw record",
    key=("file_id", "event_id"),
    columns=(
        Column(
            "ingest_date",
            DATE,
            "UTC day on which it was first read",
            is_nullable=False,
            is_volatile=True,
        ),
        Column("source_name", STRING, "name of the configured source"),
        Column("source_file", STRING, "path of the raw file"),
        Column("file_id", STRING, "the version of that file in ingest_files"),
        Column("event_id", STRING, "hash of the source record"),
        Column("record_count", LONG, "how often the same record stands in the file"),
        Column("reason", STRING, "what was wrong"),
        Column("raw_text", STRING, "the record, cut at 8 KiB"),
        Column("ingest_ts", TIMESTAMP, "when it was read (UTC)", is_volatile=True),
    ),
    partition=("ingest_date",),
    retention_days=90,
)
