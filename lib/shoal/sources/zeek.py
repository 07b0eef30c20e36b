"""Zeek's logs, as tab-separated text with its own header or as JSON lines.

====  =========  ==============================================================
log   table      of it
====  =========  ==============================================================
conn  network    the originator is the source, the responder the destination
dns   dns        the question, the answer's code and how many answers it has
http  web        the request and the answer's status
ssl   tls        the session's name, version, fingerprint and certificate
ssh   auth       the logon, and whether it succeeded as far as its size tells
files file       a file seen on the network, of the one that asked for it
dhcp  lease      the address that a client was given, and its name
====  =========  ==============================================================

Other logs (weird, notice, …) are told by their path and ignored by type, leases without an address
or a client's name as ``zeek-dhcp-unnamed``. A header belongs to its
file: fields differ by file, and their order is read from ``#fields``.
"""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import add_object, field_name, why_no_object
from shoal.sources.mapping import EventRule, parse_events

FIELDS = (
    "ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto",
    # conn
    "service", "duration", "orig_bytes", "resp_bytes", "conn_state", "local_orig", "local_resp",
    "orig_pkts", "resp_pkts",
    # dns
    "query", "qtype_name", "rcode_name", "TTLs",
    # http
    "method", "host", "uri", "user_agent", "status_code", "request_body_len", "response_body_len",
    # ssl
    "server_name", "version", "established", "issuer", "subject", "ja3", "ja4",
    # ssh
    "auth_success", "client",
    # files
    "tx_hosts", "rx_hosts", "filename", "mime_type", "total_bytes", "seen_bytes", "sha256", "sha1",
    "md5",
    # dhcp
    "mac", "host_name", "client_fqdn", "assigned_addr", "lease_time",
)  # fmt: skip
_WORDS = {"event_ts": "ts", "source_ip": "id.orig_h", "destination_ip": "id.resp_h"}
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
    """Normalise Zeek's logs; line → record, in the shape of PARSED_COLUMNS.

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
        .transform(_add_cells)
        .transform(parse_events, _rules(), fault=_fault(), words=_WORDS)
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
            _setting("unset_field", "-"),
            _setting("empty_field", "(empty)"),
            (F.size("names") - 1).alias("field_count"),
            # Minus one for the word #fields before the names, one for counting from 1.
            F.struct(
                *(
                    (F.array_position("names", name) - 2).cast("int").alias(field_name(name))
                    for name in FIELDS
                )
            ).alias("positions"),
        )
    )


def _setting(name: str, default: str) -> Column:
    return F.coalesce(F.get(_split(F.col(f"first_{name}")), 1), F.lit(default)).alias(name)


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


def _add_cells(records: DataFrame) -> DataFrame:
    """Add the cells or the JSON object of a line, and ``record_type`` by the log it is of."""
    value = F.col("value")
    file_name = F.substring_index("source_file", "/", -1)
    log_path = F.coalesce(F.col("header_path"), _json("_path"), _path_of_name(file_name))
    has_cells = ~F.col("has_two_headers") & F.col("field_count").isNotNull()
    return (
        records.withColumn(
            "is_json", F.col("field_count").isNull() & F.startswith(value, F.lit("{"))
        )
        .withColumn("cells", F.when(~F.col("is_json") & has_cells, _split(value)))
        .transform(add_object, "json", F.when(F.col("is_json"), value), _JSON_FIELDS)
        .withColumn("record_type", F.concat(F.lit("zeek-"), c.slug(log_path)))
        .transform(_set_apart_offers)
    )


def _set_apart_offers(records: DataFrame) -> DataFrame:
    """An exchange that gave no address, or to a client without a name, tells nothing of a host."""
    tells_nothing = _field("assigned_addr").isNull() | _client_name().isNull()
    is_offer = (F.col("record_type") == "zeek-dhcp") & tells_nothing
    record_type = F.when(is_offer, "zeek-dhcp-unnamed").otherwise(F.col("record_type"))
    return records.withColumn("record_type", record_type)


def _path_of_name(file_name: Column) -> Column:
    """Type of log that a file's name starts with: conn of ``conn.00:00:00-01:00:00.log.gz``."""
    return F.regexp_extract(file_name, r"^([A-Za-z0-9_]+)", 1)


def _json(name: str) -> Column:
    return F.col("json")[field_name(name)]


def _field(name: str) -> Column:
    """Text of a field, null if it is unset or empty."""
    cell = F.get(F.col("cells"), F.col("positions")[field_name(name)])
    set_cell = F.nullif(F.nullif(cell, F.col("unset_field")), F.col("empty_field"))
    return F.coalesce(set_cell, _json(name))


def _fault() -> Column:
    """Why a line cannot be read: no header, two headers, no JSON, or too few or many cells.

    Of the logs that no table takes only the type is read, so their cells are not counted.
    """
    header_count = F.col("field_count")
    is_known = F.col("record_type").isin(list(_LOGS))
    return (
        F.when(
            F.col("has_two_headers"),
            "the file has two different headers, so its fields cannot be told; split it",
        )
        .when(
            header_count.isNull() & ~F.col("is_json"),
            F.coalesce(c.why_no_text(F.col("value")), F.lit("the file has no #fields header")),
        )
        .when(F.col("is_json") & F.col("json").isNull(), why_no_object(F.col("value")))
        .when(
            is_known & (F.size("cells") != header_count),
            F.format_string("%s cells where the header has %s", F.size("cells"), header_count),
        )
    )


def _rules() -> dict[str, EventRule]:
    return {record_type: rule() for record_type, rule in _LOGS.items()}


def _ends(*, has_ports: Column | None = None) -> dict[str, Column]:
    """When, and both ends: the originator is the source, the responder the destination."""
    ports = {"source_port": _field("id.orig_p"), "destination_port": _field("id.resp_p")}
    if has_ports is not None:
        ports = {name: F.when(has_ports, text) for name, text in ports.items()}
    return {
        "event_ts": _field("ts"),
        "source_ip": _field("id.orig_h"),
        "destination_ip": _field("id.resp_h"),
        **ports,
    }


def _conn() -> EventRule:
    # In a record of ICMP the two ports are its type and code.
    has_ports = ~F.coalesce(F.lower(_field("proto")) == "icmp", F.lit(False))
    texts = {
        **_ends(has_ports=has_ports),
        "bytes_out": _field("orig_bytes"),
        "bytes_in": _field("resp_bytes"),
        "packets_out": _field("orig_pkts"),
        "packets_in": _field("resp_pkts"),
        "network_transport": _field("proto"),
        "network_protocol": _field("service"),
        "network_direction": _direction(),
        "network_state": _field("conn_state"),
        "is_failed": _truth(_field("conn_state").isin(*FAILED_STATES)),
        "duration_s": _field("duration"),
    }
    return EventRule("network", texts, needs=("source_ip", "destination_ip"))


def _dns() -> EventRule:
    texts = {
        **_ends(),
        "dns_question_name": _field("query"),
        "dns_question_type": _field("qtype_name"),
        "dns_response_code": _field("rcode_name"),
        # Answers may hold commas, their times to live do not.
        "dns_answer_count": F.size(F.split(_field("TTLs"), ",")).cast("string"),
        "is_failed": _truth(F.upper(_field("rcode_name")) != "NOERROR"),
    }
    return EventRule("dns", texts, needs=("source_ip",))


def _http() -> EventRule:
    texts = {
        **_ends(),
        "http_request_method": _field("method"),
        "http_response_status_code": _field("status_code"),
        "url_domain": c.url_domain(_field("host")),
        "url_path": _field("uri"),
        "user_agent_original": _field("user_agent"),
        "is_failed": _truth(c.is_error_status(_field("status_code"))),
        "bytes_out": _field("request_body_len"),
        "bytes_in": _field("response_body_len"),
    }
    return EventRule("web", texts, needs=("source_ip",))


def _ssl() -> EventRule:
    texts = {
        **_ends(),
        "tls_server_name": _field("server_name"),
        "tls_version": _field("version"),
        "tls_client_ja3": _field("ja3"),
        "tls_client_ja4": _field("ja4"),
        "tls_issuer": _field("issuer"),
        "tls_subject": _field("subject"),
        "is_failed": _truth(~c.flag(_field("established"))),
    }
    return EventRule("tls", texts, needs=("source_ip",))


def _ssh() -> EventRule:
    texts = {
        **_ends(),
        "auth_package": F.lit("ssh"),
        "user_agent_original": _field("client"),
        "is_failed": _truth(~c.flag(_field("auth_success"))),
    }
    return EventRule("auth", texts, needs=("source_ip",))


def _files() -> EventRule:
    """Of a file that was seen; before Zeek 5.1 the log has no ends, only who sent and received."""
    ends = _ends()
    texts = {
        **ends,
        "source_ip": F.coalesce(ends["source_ip"], _first_address(_field("rx_hosts"))),
        "destination_ip": F.coalesce(ends["destination_ip"], _first_address(_field("tx_hosts"))),
        "file_path": _field("filename"),
        "file_size": F.coalesce(_field("total_bytes"), _field("seen_bytes")),
        "file_mime_type": _field("mime_type"),
        "file_hash": F.coalesce(*(_field(name) for name in ("sha256", "sha1", "md5"))),
    }
    return EventRule("file", texts, action="transferred", needs=("source_ip",))


def _dhcp() -> EventRule:
    texts = {
        "event_ts": _field("ts"),
        "source_ip": _field("assigned_addr"),
        "host_name": _client_name(),
        "source_mac": _field("mac"),
        "duration_s": _field("lease_time"),
    }
    return EventRule("lease", texts, needs=("source_ip", "host_name"))


_LOGS: Mapping[str, Callable[[], EventRule]] = {
    "zeek-conn": _conn,
    "zeek-dns": _dns,
    "zeek-http": _http,
    "zeek-ssl": _ssl,
    "zeek-ssh": _ssh,
    "zeek-files": _files,
    "zeek-dhcp": _dhcp,
}


def _client_name() -> Column:
    return F.coalesce(_field("client_fqdn"), _field("host_name"))


def _first_address(addresses: Column) -> Column:
    return F.regexp_extract(addresses, "([0-9A-Fa-f.:]+)", 1)


def _truth(condition: Column) -> Column:
    return condition.cast("string")


def _direction() -> Column:
    """Seen from the monitored network; null between two of its hosts, or two outside it."""
    is_local, is_peer_local = (c.flag(_field(name)) for name in ("local_orig", "local_resp"))
    return F.when(is_local & ~is_peer_local, "outbound").when(~is_local & is_peer_local, "inbound")
