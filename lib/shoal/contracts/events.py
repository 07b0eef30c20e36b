"""Normalised events, and the ledger and quarantine of the files they came from."""

from pyspark.sql import types as T

from shoal.contracts.table import (
    BOOLEAN,
    COUNT_MAP,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    TIMESTAMP,
    Column,
    Table,
    struct,
)

COMMON = (
    Column("event_date", DATE, "UTC day of event_ts", is_nullable=False),
    Column("event_ts", TIMESTAMP, "when it happened (UTC)", is_nullable=False),
    Column(
        "event_id",
        STRING,
        "hash of the source record, and of its number where a file holds equal ones: the same "
        "record in two files is one event",
    ),
    Column("event_code", STRING, "the source's own type of record, e.g. sysmon-1, zeek-conn"),
    Column("source_name", STRING, "name of the configured source that read it"),
    Column("source_file", STRING, "path of the raw file"),
    Column("file_id", STRING, "the version of that file in ingest_files"),
    Column("ingest_ts", TIMESTAMP, "when Shoal wrote the row (UTC)", is_volatile=True),
    Column("host_name", STRING, "machine, lower-cased, as the log writes it"),
    Column("user_name", STRING, "account, lower-cased, without its domain"),
    Column("user_domain", STRING, "domain or machine of the account, lower-cased"),
    Column("container_id", STRING, "container, where the log has it"),
    Column("container_image", STRING, "image of the container, where the log has it"),
    Column("process_pid", LONG, "process id"),
    Column("process_name", STRING, "file name of the program, lower-cased"),
    Column("process_path", STRING, "full path of the program, as the log writes it"),
)

PROCESS = (
    Column("process_command_line", STRING, "command line as written, at most 32 KiB"),
    Column("process_parent_pid", LONG, "process id of the parent"),
    Column("process_parent_name", STRING, "file name of the parent program, lower-cased"),
    Column("process_parent_path", STRING, "full path of the parent program"),
)

ENDPOINTS = (
    Column("source_ip", STRING, "address that opened the connection or logged on"),
    Column("source_port", INT, "port on the side that opened it"),
)

NETWORK = (
    *ENDPOINTS,
    Column("destination_ip", STRING, "address of the service side"),
    Column("destination_port", INT, "port of the service side"),
    Column("network_transport", STRING, "tcp, udp, icmp, …"),
    Column("network_protocol", STRING, "service the log recognised: http, ssl, dns, …"),
    Column("network_direction", STRING, "outbound or inbound as the reporting host sees it"),
    Column("network_state", STRING, "Zeek's conn_state"),
    Column("is_failed", BOOLEAN, "the connection was refused, reset or not answered"),
    Column("bytes_out", LONG, "payload bytes from source to destination"),
    Column("bytes_in", LONG, "payload bytes from destination to source"),
    Column("packets_out", LONG, "packets from source to destination"),
    Column("packets_in", LONG, "packets from destination to source"),
    Column("duration_us", LONG, "how long it lasted, in microseconds"),
)

AUTH = (
    *ENDPOINTS,
    Column("source_host_name", STRING, "machine the logon came from, lower-cased"),
    Column("logon_type", INT, "Windows logon type: 2 interactive, 3 network, 10 remote, …"),
    Column("auth_package", STRING, "authentication package, lower-cased: kerberos, ntlm, …"),
    Column("is_failed", BOOLEAN, "the logon was refused"),
)

FILE = (
    Column("file_path", STRING, "full path of the file created"),
    Column("file_name", STRING, "its name, lower-cased"),
)


def _events(kind: str, doc: str, own: tuple[Column, ...]) -> Table:
    return Table(
        name=f"events_{kind}",
        doc=doc,
        grain="one event",
        key=("event_date", "event_id"),
        columns=(*COMMON, *own),
        partition=("event_date",),
        retention_days=90,
    )


EVENTS_PROCESS = _events("process", "Programs started.", PROCESS)
EVENTS_NETWORK = _events("network", "Connections opened or accepted.", NETWORK)
EVENTS_AUTH = _events("auth", "Logons, successful and refused.", AUTH)
EVENTS_FILE = _events("file", "Files created.", FILE)

FEATURE_VALUES = T.ArrayType(
    struct(
        name=(STRING, "name of the feature, as the user's table has it"),
        value=(DOUBLE, "its value"),
    )
)

FEATURE_ROWS = Table(
    name="feature_rows",
    doc="Ready feature rows from sources of kind `features`, as they were read.",
    grain="one row of a user's feature table",
    key=("event_date", "event_id"),
    columns=(
        *COMMON[:8],
        Column("entity_type", STRING, "type the source is configured to describe"),
        Column("entity_id", STRING, "value of the id column"),
        Column("slice", STRING, "value of the slice column, where one is configured"),
        Column("feature_values", FEATURE_VALUES, "the numeric columns, in order of name"),
    ),
    partition=("event_date",),
    retention_days=400,
)

EVENT_TABLES = {
    "process": EVENTS_PROCESS,
    "network": EVENTS_NETWORK,
    "auth": EVENTS_AUTH,
    "file": EVENTS_FILE,
    "feature": FEATURE_ROWS,
}


def _normalised_columns() -> tuple[Column, ...]:
    columns: dict[str, Column] = {}
    for table in EVENT_TABLES.values():
        for column in table.columns:
            columns.setdefault(column.name, column)
    return tuple(columns.values())


NORMALISED_COLUMNS = _normalised_columns()
"""The union of all event columns: the shape every source parses into."""

PARSED_COLUMNS = (
    Column("source_name", STRING, "name of the configured source"),
    Column("source_file", STRING, "path of the raw file"),
    Column("file_id", STRING, "the version of that file"),
    Column("event_id", STRING, "hash of the source record"),
    Column("outcome", STRING, "event, ignored or quarantined"),
    Column("event_table", STRING, "key of EVENT_TABLES, for an event"),
    Column("ignored_type", STRING, "the record's own type, for one that no table takes"),
    Column("reason", STRING, "what was wrong, for a record in quarantine"),
    Column("raw_text", STRING, "the record cut at 8 KiB, for one in quarantine"),
    *(
        column
        for column in NORMALISED_COLUMNS
        if column.name
        not in {"source_name", "source_file", "file_id", "event_id", "ingest_ts", "event_date"}
    ),
)
"""What a source's ``parse`` yields: one row a raw record; event fields are null unless an event."""

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
