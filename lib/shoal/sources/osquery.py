"""osquery's results log: the rows of scheduled queries, as JSON lines.

=========================  =======  ========================================================
query                      table    of a row
=========================  =======  ========================================================
process_events             process  a program started
socket_events              network  connect, accept; bind as listening
listening_ports            network  a port held open, as listening
deb_packages, rpm_, npm_,  package  found installed; installed or removed where the log tells
python_, homebrew_,                 a change
chocolatey_; programs
=========================  =======  ========================================================

A line tells the name of its query, not the table that was asked: of a known table is a query whose
name holds the table's name (``pack_incident-response_process_events``). Other queries are ignored
by name. Lines come in four forms: one row with what became of it (``columns``, ``action``), the
same of a snapshot, all rows of a snapshot (``snapshot``), all changes (``diffResults``); the last
two become one record a row.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import add_json, add_object, is_json, json_field, why_no_object
from shoal.sources.mapping import parse_events
from shoal.sources.osquery_rules import NOT_FAILED, ROW_FIELDS, WORDS, osquery_rules, row_field

_ARRAYS = ("snapshot", "diffResults/added", "diffResults/removed")
_LINE_FIELDS = (
    "name", "hostIdentifier", "hostname", "decorations/hostname", "unixTime", "counter", "severity",
    "action", "columns", *_ARRAYS,
)  # fmt: skip
_TABLE = (
    r".*("
    r"process[^a-z0-9]events|socket[^a-z0-9]events|listening[^a-z0-9]ports|"
    r"(?:deb|rpm|npm|python|homebrew|chocolatey)[^a-z0-9]packages|"
    r"(?<![a-z0-9])programs$"
    r")"
)
"""Table in the name of a query; the last one, for the name of its pack stands before."""
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_INET_FAMILIES = ("2", "10", "11", "23", "30")
"""AF_INET everywhere; AF_INET6 of Linux, of osquery before 3 (which wrote 11), Windows, macOS."""
_CHANGES = ("added", "removed", "snapshot")
_EXECS = ("exec", "execve", "execveat")


def parse_osquery(lines: DataFrame) -> DataFrame:
    """Normalise osquery's results; line → record, in the shape of PARSED_COLUMNS.

    A row of ``snapshot`` or ``diffResults`` has an event_id of its own, of its line and its place
    there. host_name is hostIdentifier, or the decoration ``hostname`` where that is a UUID.
    Time is that of the event where the row has one, else when the query ran.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    return (
        lines.transform(add_json, _LINE_FIELDS)
        .transform(_add_rows)
        .transform(_explode_rows)
        .transform(_add_row)
        .withColumn("record_type", _record_type())
        .transform(parse_events, osquery_rules(), fault=_fault(), words=WORDS)
    )


def _add_rows(records: DataFrame) -> DataFrame:
    """Add what holds for all rows of a line, and ``rows`` for a line that may have several."""
    name = F.lower(F.substring(json_field("name"), 1, c.NAME_LENGTH))
    table = F.regexp_extract(name, _TABLE, 1)
    snapshot = _changes("snapshot", json_field("snapshot"))
    added = _changes("added", json_field("diffResults/added"))
    removed = _changes("removed", json_field("diffResults/removed"))
    arrays = [json_field(path) for path in _ARRAYS]
    has_rows = json_field("columns").isNull() & F.coalesce(*arrays).isNotNull()
    return records.withColumns(
        {
            "query": name,
            "table": F.when(table != "", c.slug(table)),
            "host": _host(),
            "run_time": json_field("unixTime"),
            "counter": json_field("counter"),
            "is_status": name.isNull() & json_field("severity").isNotNull(),
            "is_object": is_json(),
            "columns": json_field("columns"),
            "change": F.lower(json_field("action")),
            # Rows of a query that no table takes are not parted: only its type is wanted.
            "rows": F.when((table != "") & has_rows, F.concat(snapshot, added, removed)),
        }
    ).withColumn("row_count", F.size("rows"))


def _host() -> Column:
    identifier = F.coalesce(json_field("hostIdentifier"), json_field("hostname"))
    decoration = c.clean(json_field("decorations/hostname"))
    return F.coalesce(F.when(identifier.isNull() | identifier.rlike(_UUID), decoration), identifier)


def _changes(change: str, array: Column) -> Column:
    """Rows of a JSON array as text, each with what became of it; null if it is no array.

    Where nothing was added osquery writes an empty text for the array.
    """
    none = F.array().cast("array<struct<change: string, row: string>>")
    texts = F.from_json(array, "array<string>")
    rows = F.transform(texts, lambda row: F.struct(F.lit(change).alias("change"), row.alias("row")))
    return F.when(F.coalesce(array, F.lit("")) == "", none).otherwise(rows)


def _explode_rows(records: DataFrame) -> DataFrame:
    """One record a row; line → record. A line without an array of rows stays one record.

    Of a line with such an array only the row goes on: its text would hold all of them, once a row.
    """
    has_rows = F.col("row_count") > 0
    place = F.concat_ws(":", "event_id", "place")
    own = {
        "event_id": F.when(has_rows, c.content_id(place)).otherwise(F.col("event_id")),
        "value": F.coalesce("own.row", "value", F.lit("null")),
        "row_text": F.coalesce("own.row", "columns"),
        "change": F.when(has_rows, F.col("own.change")).otherwise(F.col("change")),
        "is_empty": F.col("row_count") == 0,
    }
    kept = [name for name in records.columns if name not in {*own, "json", "rows", "columns"}]
    return (
        records.withColumn("value", F.when(~F.coalesce(has_rows, F.lit(False)), F.col("value")))
        .select("*", F.posexplode_outer("rows").alias("place", "own"))
        .select(*kept, *(column.alias(name) for name, column in own.items()))
    )


def _add_row(records: DataFrame) -> DataFrame:
    """Add the fields of the row."""
    return add_object(records, "row", F.col("row_text"), ROW_FIELDS)


def _fault() -> Column:
    """Why a record cannot be read; of a query that no table takes only the name is read."""
    return (
        F.when(~F.col("is_object"), why_no_object(F.col("value")))
        .when(F.col("query").isNull() & ~F.col("is_status"), "no usable name")
        .when(F.col("table").isNull() | F.col("is_empty"), None)
        .when(
            F.col("row_text").isNull() & F.col("row_count").isNull(),
            "no columns, and no array of snapshot or diffResults",
        )
        .when(F.col("row").isNull(), "the row is not a JSON object")
        .when(~F.coalesce(F.col("change").isin(*_CHANGES), F.lit(False)), "no usable action")
    )


def _record_type() -> Column:
    """The table a row is of and what is special about it, else the name of the query."""
    table = F.col("table")
    special = (
        F.when(F.col("is_empty"), "empty")
        .when(F.endswith(table, F.lit("process-events")), _special_process())
        .when(F.endswith(table, F.lit("socket-events")), _special_socket())
        .when(F.endswith(table, F.lit("listening-ports")), _special_port())
        .otherwise(_special_package())
    )
    of_table = F.concat_ws("-", F.lit("osquery"), table, special)
    of_query = F.concat(F.lit("osquery-"), c.slug(F.col("query")))
    return F.when(F.col("is_status"), "osquery-status").otherwise(
        F.when(table.isNotNull(), of_table).otherwise(of_query)
    )


def _special_process() -> Column:
    """Null for a program started: not what forked, ended or failed to start."""
    how = F.coalesce(row_field("syscall"), row_field("event_type"))
    return (
        _special_change()
        .when(~how.isin(*_EXECS), c.slug(how))
        .when(~row_field("exit_code").isin(*NOT_FAILED), "failed")
    )


def _special_socket() -> Column:
    action = c.slug(F.coalesce(row_field("action"), row_field("syscall")))
    action = F.when(action == "accept4", "accept").otherwise(action)
    return (
        _special_change()
        .when(_special_family().isNotNull(), _special_family())
        .when(row_field("status") == "no_client", "no-client")
        .when((action == "bind") & (row_field("local_port") == "0"), "no-port")
        .otherwise(F.coalesce(action, F.lit("no-action")))
    )


def _special_port() -> Column:
    return (
        _special_change()
        .when(_special_family().isNotNull(), _special_family())
        .when(row_field("port") == "0", "no-port")
    )


def _special_change() -> Column:
    return F.when(F.col("change") == "removed", "removed")


def _special_family() -> Column:
    """Null for addresses of IP, and where the query does not ask for the family."""
    family = row_field("family")
    return F.when(family == "1", "unix").when(~family.isin(*_INET_FAMILIES), "other-family")


def _special_package() -> Column:
    """What was told as a change; the first run of a query tells all packages as added.

    dpkg keeps the name of a removed package while its configuration is there.
    """
    is_gone = ~F.endswith(row_field("status"), F.lit(" installed"))
    is_first_run = F.coalesce(F.col("counter") == "0", F.lit(False))
    return (
        F.when(is_gone & F.endswith("table", F.lit("deb-packages")), "not-installed")
        .when((F.col("change") == "added") & is_first_run, None)
        .when(F.col("change").isin("added", "removed"), F.col("change"))
    )
