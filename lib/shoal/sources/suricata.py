"""Suricata's event log, eve.json: JSON lines of its versions 4 to 8.

======  =========  ==============================================================
record  table      of it
======  =========  ==============================================================
flow    network    who opened it is the source; its time is the flow's start
dns     dns        an answer: the question, its code and how many records it has
http    web        the request and the answer's status
tls     tls        the session's name, version, fingerprints and certificate
======  =========  ==============================================================

Other records (alert, stats, fileinfo, …) are ignored by their ``event_type``. ``host`` names the
sensor, not a machine of the event, and is not read.

Of a question and its answer only the answer is an event, for it holds all the question does and
how it went; the question is ignored as ``suricata-dns-query`` or ``suricata-dns-request``. A
sensor that logs no answers thus yields no names asked for. Version 1 of the dns record (before
Suricata 7) has a line for each record of an answer, each an event here: of a chain of aliases each
link is one. Beside a failed answer it tells the zone that refused it, ignored as
``suricata-dns-record``.
"""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import add_json, is_json, json_field, why_no_object
from shoal.sources.mapping import EventRule, parse_events

_PATHS = (
    "timestamp", "event_type", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "app_proto",
    "flow/start", "flow/end", "flow/state", "flow/pkts_toserver", "flow/pkts_toclient",
    "flow/bytes_toserver", "flow/bytes_toclient", "tcp/tcp_flags_ts", "tcp/tcp_flags_tc",
    "dns/version", "dns/type", "dns/rcode", "dns/rrname", "dns/rrtype", "dns/ttl", "dns/grouped",
    "dns/queries/0/rrname", "dns/queries/0/rrtype", "dns/answers/0/rrname",
    "http/hostname", "http/url", "http/http_method", "http/status", "http/http_user_agent",
    "http/length",
    "tls/sni", "tls/version", "tls/ja3/hash", "tls/ja4", "tls/issuerdn", "tls/subject",
)  # fmt: skip
_WORDS = {"event_ts": "timestamp", "source_ip": "src_ip", "destination_ip": "dest_ip"}
_ANSWERS = ("answer", "response")
"""What ``dns/type`` calls an answer: up to version 2, and from version 3 on."""
_DNS_PORT = "53"
_NOT_RECOGNISED = ("failed", "unknown")
_TRANSPORTS = {
    "001": "icmp", "006": "tcp", "017": "udp", "058": "icmp", "ipv6-icmp": "icmp",
}  # fmt: skip
"""Of a sensor without /etc/protocols ``proto`` is a number of three digits."""
_NO_VERSION = "UNDETERMINED"
_SYN = 0x02
_RST = 0x04


def parse_suricata(lines: DataFrame) -> DataFrame:
    """Normalise eve.json; line → record, in the shape of PARSED_COLUMNS.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    rules = {record_type: rule() for record_type, rule in _RECORDS.items()}
    return (
        lines.transform(add_json, _PATHS)
        .withColumn("record_type", _record_type())
        .withColumns(
            {
                "flow_start": c.utc_timestamp(json_field("flow/start")),
                "flow_end": c.utc_timestamp(json_field("flow/end")),
                "is_turned": _is_turned(),
            }
        )
        .transform(parse_events, rules, fault=_fault(), words=_WORDS)
    )


def _record_type() -> Column:
    """``suricata-`` and the event's type; a dns record that is no event by what it is."""
    event_type = c.slug(c.clean(json_field("event_type")))
    dns_type = F.lower(json_field("dns/type"))
    code = json_field("dns/rcode")
    # Version 1 tells a failed answer in a line without ttl, and then its zone in one with it.
    is_zone = json_field("dns/ttl").isNotNull() & (F.upper(code) != "NOERROR")
    kind = (
        F.when(~dns_type.isin(*_ANSWERS), F.concat(F.lit("dns-"), c.slug(dns_type)))
        .when(is_zone, "dns-record")
        .otherwise(event_type)
    )
    return F.concat(F.lit("suricata-"), F.when(event_type == "dns", kind).otherwise(event_type))


def _fault() -> Column:
    """Why a line cannot be read: no JSON, no type, or a dns record neither question nor answer."""
    record_type = F.col("record_type")
    return (
        F.when(~is_json(), why_no_object(F.col("value")))
        .when(record_type.isNull(), "no usable event_type")
        .when(
            (record_type == "suricata-dns") & json_field("dns/type").isNull(),
            "no usable dns/type",
        )
    )


def _ends() -> dict[str, Column]:
    """When, and both ends: the client is the source."""
    return {
        "event_ts": json_field("timestamp"),
        "source_ip": json_field("src_ip"),
        "source_port": json_field("src_port"),
        "destination_ip": json_field("dest_ip"),
        "destination_port": json_field("dest_port"),
    }


def _flow() -> EventRule:
    """Of a flow that ended; its timestamp is when it was written, up to an hour later."""
    start, end = F.col("flow_start"), F.col("flow_end")
    begun = F.when(start.isNotNull(), json_field("flow/start"))
    texts = {
        **_ends(),
        "event_ts": F.coalesce(begun, json_field("timestamp")),
        "network_transport": _transport(),
        "network_protocol": _unless(json_field("app_proto"), *_NOT_RECOGNISED),
        "bytes_out": json_field("flow/bytes_toserver"),
        "bytes_in": json_field("flow/bytes_toclient"),
        "packets_out": json_field("flow/pkts_toserver"),
        "packets_in": json_field("flow/pkts_toclient"),
        # Of a flow cut off the end may be before the start: a negative text, which is no duration.
        "duration_us": (F.unix_micros(end) - F.unix_micros(start)).cast("string"),
        "is_failed": (_is_unanswered() | _is_refused()).cast("string"),
    }
    return EventRule("network", texts, needs=("source_ip", "destination_ip"))


def _transport() -> Column:
    proto = F.lower(json_field("proto"))
    return F.coalesce(c.named(proto, _TRANSPORTS), proto)


def _is_unanswered() -> Column:
    """No packet came back, to a flow that never got beyond new or was given up."""
    state = F.lower(json_field("flow/state"))
    return state.isin("new", "closed") & (c.count(json_field("flow/pkts_toclient")) == 0)


def _is_refused() -> Column:
    """The server answered a SYN by a RST without a SYN of its own; false if no flags are known."""
    client, server = (
        c.whole_number(F.concat(F.lit("0x"), json_field(f"tcp/tcp_flags_{side}")))
        for side in ("ts", "tc")
    )
    refused = (
        (client.bitwiseAND(_SYN) != 0)
        & (server.bitwiseAND(_RST) != 0)
        & (server.bitwiseAND(_SYN) == 0)
    )
    return F.coalesce(refused, F.lit(False))


def _dns() -> EventRule:
    code = json_field("dns/rcode")
    ends = _ends()
    turned = {
        "source_ip": ends["destination_ip"],
        "source_port": ends["destination_port"],
        "destination_ip": ends["source_ip"],
        "destination_port": ends["source_port"],
    }
    texts = {
        **ends,
        **{
            name: F.when(F.col("is_turned"), text).otherwise(ends[name])
            for name, text in turned.items()
        },
        # The first version 2 had the question in none but the answers; the first answers it.
        "dns_question_name": F.coalesce(
            json_field("dns/queries/0/rrname"),
            json_field("dns/rrname"),
            json_field("dns/answers/0/rrname"),
        ),
        "dns_question_type": F.coalesce(
            json_field("dns/queries/0/rrtype"), json_field("dns/rrtype")
        ),
        "dns_response_code": code,
        "dns_answer_count": _answer_count().cast("string"),
        "is_failed": (F.upper(code) != "NOERROR").cast("string"),
    }
    return EventRule("dns", texts, needs=("source_ip",))


def _is_turned() -> Column:
    """Whether an answer's source is the server.

    It is in versions 1 and 3, which tell the answer's own packet, but not in 2; and version 3
    may mistake the ends over TCP. So the port tells first.
    """
    from_server = json_field("src_port") == _DNS_PORT
    to_server = json_field("dest_port") == _DNS_PORT
    by_version = F.coalesce(json_field("dns/version") != "2", F.lit(True))
    return (
        F.when(from_server & ~to_server, True)
        .when(to_server & ~from_server, False)
        .otherwise(by_version)
    )


def _answer_count() -> Column:
    """Records of an answer, listed each or grouped by their type; of version 1 the line's own."""
    by_type = F.from_json(json_field("dns/grouped"), "map<string, array<string>>")
    grouped = F.aggregate(
        F.map_values(by_type), F.lit(0), lambda n, texts: n + F.coalesce(F.size(texts), F.lit(0))
    )
    own = F.when(json_field("dns/ttl").isNotNull(), 1).otherwise(0)
    return F.coalesce(F.size(json_field("dns/answers")), grouped, own)


def _http() -> EventRule:
    url = json_field("http/url")
    # A client of a proxy asks for the whole address.
    is_whole = F.substring(url, 1, 8).rlike("^(?i)https?://")
    texts = {
        **_ends(),
        "http_request_method": json_field("http/http_method"),
        "http_response_status_code": json_field("http/status"),
        "url_domain": F.coalesce(
            c.url_domain(json_field("http/hostname")), F.when(is_whole, c.url_domain(url))
        ),
        "url_path": F.when(is_whole, c.url_path(url)).otherwise(url),
        "user_agent_original": json_field("http/http_user_agent"),
        "is_failed": c.is_error_status(json_field("http/status")).cast("string"),
        "bytes_in": json_field("http/length"),
    }
    return EventRule("web", texts, needs=("source_ip",))


def _tls() -> EventRule:
    """Of a session; whether it was established is not told."""
    texts = {
        **_ends(),
        "tls_server_name": json_field("tls/sni"),
        "tls_version": _unless(json_field("tls/version"), _NO_VERSION),
        "tls_client_ja3": json_field("tls/ja3/hash"),
        "tls_client_ja4": json_field("tls/ja4"),
        "tls_issuer": json_field("tls/issuerdn"),
        "tls_subject": json_field("tls/subject"),
    }
    return EventRule("tls", texts, needs=("source_ip",))


_RECORDS: Mapping[str, Callable[[], EventRule]] = {
    "suricata-flow": _flow,
    "suricata-dns": _dns,
    "suricata-http": _http,
    "suricata-tls": _tls,
}


def _unless(text: Column, *words: str) -> Column:
    """Return ``text``, null if it is one of the words that stand for nothing."""
    return F.when(~text.isin(*words), text)
