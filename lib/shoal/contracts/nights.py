"""Which nights readers may see, and what was run."""

from pyspark.sql import types as T

from shoal.contracts.entities import EVENT_DATE, RUN_ID
from shoal.contracts.table import (
    COUNT_MAP,
    DATE,
    DOUBLE,
    LONG,
    STRING,
    STRING_MAP,
    TIMESTAMP,
    Column,
    Table,
)

NIGHTS = Table(
    name="nights",
    doc="The last commit of a night. Every reader joins on (event_date, run_id) of the "
    "published nights; a night in state publishing is hidden.",
    grain="night",
    key=("event_date",),
    columns=(
        EVENT_DATE,
        RUN_ID,
        Column("state", STRING, "publishing (hidden) or published"),
        Column("table_versions", COUNT_MAP, "Delta version of every table", is_volatile=True),
        Column("model_versions", STRING_MAP, "model that served each entity type"),
        Column("config_hash", STRING, "hash of the configuration's meaning"),
        Column(
            "input_hash",
            STRING,
            "hash of the raw files, earlier nights, labels, verdicts and rules it stands on",
        ),
        Column(
            "row_counts",
            COUNT_MAP,
            "rows by night table; silent: those of unscored without features of the day",
        ),
        Column("published_ts", TIMESTAMP, "when it was published (UTC)", is_volatile=True),
    ),
    partition=("event_date",),
)

RUNS = Table(
    name="runs",
    doc="Attempts: what ran, with which arguments, what came of it, and who holds the lease. "
    "Append-only; the newest row of an attempt and step holds.",
    grain="step × attempt × state",
    key=("attempt_id", "step", "state", "written_ts"),
    columns=(
        Column("run_date", DATE, "UTC day on which the row was written", is_nullable=False),
        Column("attempt_id", STRING, "one invocation of a command"),
        Column("step", STRING, "step; lease for a lease; command NAME for the whole command"),
        Column("event_date", DATE, "night it was for; null for ingest and tables"),
        Column("run_id", STRING, "identity of the night, where the step has one"),
        Column("state", STRING, "held, released, done or failed"),
        Column("lease_key", STRING, "what the lease guards: ingest or night/<date>"),
        Column("lease_sequence", LONG, "number of the lease, over all keys; the largest holds"),
        Column("lease_until_ts", TIMESTAMP, "the lease is stale after this (UTC)"),
        Column("holder", STRING, "machine and process that holds it"),
        Column("arguments", STRING, "arguments of the command"),
        Column("config_hash", STRING, "hash of the configuration's meaning"),
        Column("runtime_hash", STRING, "hash of storage, engine and logging settings"),
        Column("configuration", STRING, "resolved configuration as JSON, secrets left out"),
        Column("library_versions", STRING_MAP, "versions of Shoal and its libraries"),
        Column("row_counts", COUNT_MAP, "rows written by table"),
        Column("faults", T.ArrayType(STRING), "faults recorded, in words"),
        Column("exit_code", LONG, "exit code of the command"),
        Column("message", STRING, "the last line"),
        Column("seconds", DOUBLE, "time it took"),
        Column("written_ts", TIMESTAMP, "when the row was written (UTC)"),
    ),
    partition=("run_date",),
    is_log=True,
    retention_days=400,
)
