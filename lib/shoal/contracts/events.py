"""Normalised events, and the shape that every source parses into."""

from pyspark.sql import types as T

from shoal.contracts.table import (
    BOOLEAN,
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
    Column(
        "event_action",
        STRING,
        "what was done, where a table holds more than one thing; null for the usual one",
    ),
    Column("user_id", STRING, "the account's own id, lower-cased: SID or uid"),
    Column("container_name", STRING, "name of the container"),
    Column("orchestrator_namespace", STRING, "Kubernetes namespace of the pod"),
    Column("orchestrator_pod", STRING, "Kubernetes pod"),
)

PROCESS = (
    Column("process_command_line", STRING, "command line as written, at most 32 KiB"),
    Column("process_parent_pid", LONG, "process id of the parent"),
    Column("process_parent_name", STRING, "file name of the parent program, lower-cased"),
    Column("process_parent_path", STRING, "full path of the parent program"),
    Column(
        "process_original_name",
        STRING,
        "file name of the program when it was built, lower-cased: another one is a renamed program",
    ),
    Column("is_signed", BOOLEAN, "the program bears a valid signature"),
    Column("task_name", STRING, "task that starts it, for one that was scheduled"),
)

ENDPOINTS = (
    Column("source_ip", STRING, "address that opened the connection, asked or logged on"),
    Column("source_port", INT, "port on the side that opened it"),
)

SERVICE = (
    Column("destination_ip", STRING, "address of the service side"),
    Column("destination_port", INT, "port of the service side"),
)

BYTES = (
    Column("bytes_out", LONG, "payload bytes from source to destination"),
    Column("bytes_in", LONG, "payload bytes from destination to source"),
)

NETWORK = (
    *ENDPOINTS,
    *SERVICE,
    Column("network_transport", STRING, "tcp, udp, icmp, …"),
    Column("network_protocol", STRING, "service the log recognised: http, ssl, dns, …"),
    Column("network_direction", STRING, "outbound or inbound as the reporting host sees it"),
    Column("network_state", STRING, "Zeek's conn_state"),
    Column("is_failed", BOOLEAN, "the connection was refused, reset or not answered"),
    *BYTES,
    Column("packets_out", LONG, "packets from source to destination"),
    Column("packets_in", LONG, "packets from destination to source"),
    Column("duration_us", LONG, "how long it lasted, in microseconds"),
)

AUTH = (
    *ENDPOINTS,
    Column("source_host_name", STRING, "machine the logon came from, lower-cased"),
    Column("logon_type", INT, "Windows logon type: 2 interactive, 3 network, 10 remote, …"),
    Column("auth_package", STRING, "authentication package, lower-cased: kerberos, ntlm, ssh, …"),
    Column("is_failed", BOOLEAN, "the logon was refused"),
    *SERVICE,
    Column("user_agent_original", STRING, "client program, as it calls itself"),
    Column("target_host_name", STRING, "machine logged on to, where another one reports it"),
)

FILE = (
    Column("file_path", STRING, "full path of the file, or name of the share"),
    Column("file_name", STRING, "its name, lower-cased"),
    Column("file_size", LONG, "its size in bytes"),
    Column("file_hash", STRING, "its hash, the longest that the log has, lower-cased"),
    Column("file_mime_type", STRING, "type of its content, as the log found it"),
    Column("is_signed", BOOLEAN, "it bears a valid signature"),
    *ENDPOINTS,
    *SERVICE,
)

DNS = (
    *ENDPOINTS,
    *SERVICE,
    Column("dns_question_name", STRING, "name asked for, lower-cased, without a dot at its end"),
    Column("dns_question_type", STRING, "a, aaaa, ptr, txt, …"),
    Column("dns_response_code", STRING, "noerror, nxdomain, servfail, …"),
    Column("dns_answer_count", INT, "answers"),
    Column("is_failed", BOOLEAN, "the name was not resolved"),
)

WEB = (
    *ENDPOINTS,
    *SERVICE,
    Column("http_request_method", STRING, "get, post, …"),
    Column("http_response_status_code", INT, "200, 404, …"),
    Column("url_domain", STRING, "host of the address, lower-cased"),
    Column("url_path", STRING, "path and query of the address, at most 4 KiB"),
    Column("user_agent_original", STRING, "client program, as it calls itself"),
    Column("is_failed", BOOLEAN, "answered by a status of 400 and more"),
    *BYTES,
)

TLS = (
    *ENDPOINTS,
    *SERVICE,
    Column("tls_server_name", STRING, "name asked for (SNI), lower-cased"),
    Column("tls_version", STRING, "version agreed on, lower-cased"),
    Column("tls_client_ja3", STRING, "JA3 fingerprint of the client"),
    Column("tls_client_ja4", STRING, "JA4 fingerprint of the client"),
    Column("tls_issuer", STRING, "issuer of the server's certificate"),
    Column("tls_subject", STRING, "subject of the server's certificate"),
    Column("is_failed", BOOLEAN, "the session was not established"),
)

EMAIL = (
    Column("email_sender", STRING, "address of the sender, lower-cased"),
    Column("email_reply_to", STRING, "address that answers go to, lower-cased"),
    Column("email_recipient", STRING, "address of the recipient, lower-cased"),
    Column("email_subject", STRING, "subject, as written"),
    Column("email_link_count", INT, "links in the mail"),
    Column("url_domain", STRING, "host of its first link, lower-cased"),
    Column("url_path", STRING, "path and query of its first link, at most 4 KiB"),
    Column("is_failed", BOOLEAN, "the mail was not accepted"),
)

PACKAGE = (
    Column("package_name", STRING, "package, lower-cased"),
    Column("package_version", STRING, "its version"),
    Column("package_type", STRING, "deb, rpm, …"),
)

LEASE = (
    Column("source_ip", STRING, "address given; host_name is who holds it from now on"),
    Column("source_mac", STRING, "hardware address of who holds it, lower-cased"),
    Column("duration_us", LONG, "for how long it was given, in microseconds"),
)

SYSCALL = (
    Column("syscall_name", STRING, "system call"),
    Column("is_failed", BOOLEAN, "it returned an error"),
)


def _events(kind: str, doc: str, own: tuple[Column, ...], version: int = 1) -> Table:
    return Table(
        name=f"events_{kind}",
        doc=doc,
        grain="one event",
        key=("event_date", "event_id"),
        columns=(*COMMON, *own),
        partition=("event_date",),
        version=version,
        retention_days=90,
    )


EVENTS_PROCESS = _events(
    "process", "Programs started; action scheduled: set to start.", PROCESS, version=2
)
EVENTS_NETWORK = _events(
    "network",
    "Connections opened or accepted; action listening: ports held open.",
    NETWORK,
    version=2,
)
EVENTS_AUTH = _events(
    "auth",
    "Logons, successful and refused; actions: logged_off, explicit (other credentials than one's "
    "own), privileged (special privileges given).",
    AUTH,
    version=2,
)
EVENTS_FILE = _events(
    "file",
    "Files created; actions: loaded (a library into a program), shared (a share opened by its "
    "name), transferred (seen on the network).",
    FILE,
    version=2,
)
EVENTS_DNS = _events("dns", "Names asked for.", DNS)
EVENTS_WEB = _events("web", "Web requests.", WEB)
EVENTS_TLS = _events("tls", "TLS sessions.", TLS)
EVENTS_EMAIL = _events("email", "Mails.", EMAIL)
EVENTS_PACKAGE = _events(
    "package",
    "Packages found installed; actions: installed, removed (told as a change).",
    PACKAGE,
)
EVENTS_SYSCALL = _events(
    "syscall", "System calls other than those that start programs or connect.", SYSCALL
)

EVENTS_LEASE = _events(
    "lease",
    "Addresses given to hosts: they say whose an address is, and are no feature of it.",
    LEASE,
)

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
    "dns": EVENTS_DNS,
    "web": EVENTS_WEB,
    "tls": EVENTS_TLS,
    "email": EVENTS_EMAIL,
    "package": EVENTS_PACKAGE,
    "syscall": EVENTS_SYSCALL,
    "lease": EVENTS_LEASE,
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
