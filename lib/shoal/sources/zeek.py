"""Zeek's connection log, as tab-separated text with its own header or as JSON lines.

Other logs (dns, http, …) are told by their path and ignored by type. A header belongs to its file:
fields differ by file, and their order is read from ``#fields``.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c

FIELDS = (
    "ts",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "local_orig",
    "local_resp",
    "orig_pkts",
    "resp_pkts",
)
NEEDED = {"event_ts": "ts", "source_ip": "id.orig_h", "destination_ip": "id.resp_h"}
COUNTS = {
    "bytes_out": "orig_bytes",
    "bytes_in": "resp_bytes",
    "packets_out": "orig_pkts",
    "packets_in": "resp_pkts",
}
FAILED_STATES = ("S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR")
"""conn_state of connections that never came about: no answer (S0), refused (REJ), reset by the
originator with no answer (RSTOS0) or by the responder with no opening seen (RSTRH), a SYN and then
a FIN from the originator with no answer (SH), a SYN-ACK and a FIN from the responder with no
opening seen (SHR). Zeek manual, base/protocols/conn."""
_HEADER = r"^#(separator|set_separator|empty_field|unset_field|path|open|close|fields|types)\b"
_SETTINGS = ("separator", "fields", "path", "unset_field", "empty_field")
HEADER_LENGTH = 64 * 1024
_JSON_FIELDS = (*FIELDS, "_path")


def parse_zeek(lines: DataFrame) -> DataFrame:
    """Normalise Zeek connections; line → record, in the shape of PARSED_COLUMNS.

    Header lines are no records. The lines are read twice: once for the headers, which are
    grouped by file and broadcast.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    is_header = F.startswith("value", F.lit("#")) & F.col("value").rlike(_HEADER)
    headers = lines.where(is_header).transform(_aggregate_headers)
    return (
        lines.where(~is_header)
        .join(F.broadcast(headers), on="file_id", how="left")
        .transform(_add_fields)
        .transform(_add_numbers)
        .transform(_add_outcome)
        .transform(c.project, event_fields=_event_fields())
    )


def _aggregate_headers(header_lines: DataFrame) -> DataFrame:
    """Read each file's header; header line → file.

    The smallest and the largest line of a kind bound the work whatever a file holds; if they
    differ the file has two headers, and which holds for a line cannot be told, for Spark keeps no
    order of lines.
    """
    text = F.substring("value", 1, HEADER_LENGTH)
    kind = F.regexp_extract(text, _HEADER, 1)
    bounds = {
        f"{bound}_{name}": function(F.when(kind == name, text))
        for name in _SETTINGS
        for bound, function in (("first", F.min), ("last", F.max))
    }
    differs = F.lit(False)
    for name in _SETTINGS:
        differs |= F.coalesce(F.col(f"first_{name}") != F.col(f"last_{name}"), F.lit(False))
    return (
        header_lines.groupBy("file_id")
        .agg(*(column.alias(name) for name, column in bounds.items()))
        .withColumn("separator", _separator(F.col("first_separator")))
        .withColumn("names", _split(F.col("first_fields")))
        .select(
            "file_id",
            "separator",
            differs.alias("has_two_headers"),
            F.get(_split(F.col("first_path")), 1).alias("header_path"),
            F.get(_split(F.col("first_unset_field")), 1).alias("unset_field"),
            F.get(_split(F.col("first_empty_field")), 1).alias("empty_field"),
            (F.size("names") - 1).alias("field_count"),
            # Minus one for the word #fields before the names, one for counting from 1.
            F.struct(
                *(
                    (F.array_position("names", name) - 2).cast("int").alias(c.field_name(name))
                    for name in FIELDS
                )
            ).alias("positions"),
        )
    )


def _separator(line: Column) -> Column:
    r"""Separator of ``#separator \x09``, one character; a tab if none is given."""
    code = F.regexp_extract(line, r"^#separator\s+\\x([0-9a-fA-F]{2})\s*$", 1)
    literal = F.regexp_extract(line, r"^#separator\s(.)$", 1)
    decoded = F.when(code != "", F.char(F.conv(code, 16, 10).try_cast("bigint")))
    return F.coalesce(decoded, F.when(literal != "", literal), F.lit("\t"))


def _split(text: Column) -> Column:
    """Cells of a line; the usual tab has a path of its own, which Spark runs without a regex."""
    separator = F.col("separator")
    quoted = F.concat(F.lit("\\Q"), separator, F.lit("\\E"))
    return F.when(separator == "\t", F.split(text, "\t")).otherwise(F.split(text, quoted))


def _add_fields(records: DataFrame) -> DataFrame:
    """Add cells or JSON fields, then each of FIELDS by its field name, unset ones null."""
    is_json = F.col("field_count").isNull() & F.startswith(F.col("value"), F.lit("{"))
    file_name = F.substring_index("source_file", "/", -1)
    named_path = F.coalesce(F.col("header_path"), _json("_path"), _path_of_name(file_name))
    return (
        records.withColumn("is_json", is_json)
        .withColumn(
            "cells",
            F.when(F.col("is_json") | F.col("has_two_headers"), None).otherwise(
                F.when(F.col("field_count").isNotNull(), _split(F.col("value")))
            ),
        )
        .withColumn("json", c.json_objects(F.when(F.col("is_json"), F.col("value")), _JSON_FIELDS))
        .withColumn("json", c.only(F.col("json")))
        .withColumn("log_path", named_path)
        .withColumns({c.field_name(name): _field_value(name) for name in FIELDS})
    )


def _path_of_name(file_name: Column) -> Column:
    """Type of log that a file's name starts with: conn of ``conn.00:00:00-01:00:00.log.gz``."""
    return F.regexp_extract(file_name, r"^([A-Za-z0-9_]+)", 1)


def _json(name: str) -> Column:
    return F.col("json")[c.field_name(name)]


def _field_value(name: str) -> Column:
    cell = F.get(F.col("cells"), F.col("positions")[c.field_name(name)])
    unset = F.coalesce(F.col("unset_field"), F.lit("-"))
    empty = F.coalesce(F.col("empty_field"), F.lit("(empty)"))
    return F.coalesce(F.when((cell != unset) & (cell != empty), cell), _json(name))


def _add_numbers(records: DataFrame) -> DataFrame:
    """Add event_ts, from an epoch (TSV, JSON) or an ISO time (JSON), addresses and numbers."""
    ts = _field("ts")
    return records.withColumns(
        {
            "event_ts": F.coalesce(c.epoch_timestamp(ts), c.utc_timestamp(ts)),
            "source_ip": c.ip_address(_field("id.orig_h")),
            "destination_ip": c.ip_address(_field("id.resp_h")),
            **{name: c.count(_field(field)) for name, field in COUNTS.items()},
            "duration_us": c.micros(_field("duration")),
            "transport": c.clean_lower(_field("proto"), 16),
        }
    )


def _add_outcome(records: DataFrame) -> DataFrame:
    """Add outcome, event_table, ignored_type and reason.

    What cannot be told apart from a connection (no header, two headers, no JSON) goes to
    quarantine; of the other logs only the type is read.
    """
    header_count = F.col("field_count")
    reason = (
        F.when(
            F.col("has_two_headers"),
            "the file has two different headers, so its fields cannot be told; split it",
        )
        .when(
            header_count.isNull() & ~F.col("is_json"),
            F.coalesce(c.why_no_text(F.col("value")), F.lit("the file has no #fields header")),
        )
        .when(F.col("is_json") & F.col("json").isNull(), c.why_no_object(F.col("value")))
        .when(F.col("log_path") != "conn", F.lit(None))
        .when(
            F.size("cells") != header_count,
            F.format_string("%s cells where the header has %s", F.size("cells"), header_count),
        )
    )
    for name, field in NEEDED.items():
        reason = reason.when(F.col(name).isNull(), f"no usable {field}")
    return records.withColumns(
        {
            "reason": reason,
            "event_table": F.lit("network"),
            "ignored_type": F.concat(F.lit("zeek-"), c.slug(F.col("log_path"))),
        }
    ).withColumn(
        "outcome",
        F.when(F.col("reason").isNotNull(), "quarantined")
        .when(F.col("log_path") != "conn", "ignored")
        .otherwise("event"),
    )


def _event_fields() -> dict[str, Column]:
    """Event columns by name: the originator is the source, the responder the destination."""
    state = c.clean(_field("conn_state"), 16)
    # In a record of ICMP the two ports are its type and code.
    has_ports = ~F.coalesce(F.col("transport") == "icmp", F.lit(False))
    return {
        **{name: F.col(name) for name in ("event_ts", "source_ip", "destination_ip")},
        **{name: c.clipped(F.col(name), c.MAX_COUNT) for name in COUNTS},
        "event_code": F.lit("zeek-conn"),
        "source_port": F.when(has_ports, c.port(_field("id.orig_p"))),
        "destination_port": F.when(has_ports, c.port(_field("id.resp_p"))),
        "network_transport": F.col("transport"),
        "network_protocol": c.clean_lower(_field("service"), 64),
        "network_direction": _direction(),
        "network_state": state,
        "is_failed": state.isin(*FAILED_STATES),
        "duration_us": c.clipped(F.col("duration_us"), c.MAX_DURATION_US),
    }


def _direction() -> Column:
    """Seen from the monitored network; null between two of its hosts, or two outside it."""
    is_local, is_peer_local = (_flag(name) for name in ("local_orig", "local_resp"))
    return F.when(is_local & ~is_peer_local, "outbound").when(~is_local & is_peer_local, "inbound")


def _flag(name: str) -> Column:
    """Boolean of T, F (TSV) or true, false (JSON)."""
    text = F.lower(_field(name))
    return F.when(text.isin("t", "true"), True).when(text.isin("f", "false"), False)


def _field(name: str) -> Column:
    return F.col(c.field_name(name))
