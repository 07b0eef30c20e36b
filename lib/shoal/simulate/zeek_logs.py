"""Zeek's logs of a machine's day: conn, and what it makes of names, web requests and TLS."""

from collections.abc import Callable, Iterator, Mapping

from shoal.simulate.behaviour import HostDay
from shoal.simulate.fleet import number_of
from shoal.simulate.formats import (
    ZEEK_HEADER,
    ends_of,
    uid_of,
    zeek_header,
    zeek_lines,
    zeek_time,
)
from shoal.simulate.records import Query, TlsSession, WebRequest

Lines = Iterator[tuple[float, str]]
_ENDS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"),
    ("id.resp_h", "addr"), ("id.resp_p", "port"),
)  # fmt: skip
_DNS = (
    *_ENDS, ("proto", "enum"), ("trans_id", "count"), ("rtt", "interval"), ("query", "string"),
    ("qclass", "count"), ("qclass_name", "string"), ("qtype", "count"), ("qtype_name", "string"),
    ("rcode", "count"), ("rcode_name", "string"), ("AA", "bool"), ("TC", "bool"), ("RD", "bool"),
    ("RA", "bool"), ("Z", "count"), ("answers", "vector[string]"), ("TTLs", "vector[interval]"),
    ("rejected", "bool"),
)  # fmt: skip
_HTTP = (
    *_ENDS, ("trans_depth", "count"), ("method", "string"), ("host", "string"), ("uri", "string"),
    ("referrer", "string"), ("version", "string"), ("user_agent", "string"), ("origin", "string"),
    ("request_body_len", "count"), ("response_body_len", "count"), ("status_code", "count"),
    ("status_msg", "string"), ("tags", "set[enum]"),
)  # fmt: skip
_SSL = (
    *_ENDS, ("version", "string"), ("cipher", "string"), ("curve", "string"),
    ("server_name", "string"), ("resumed", "bool"), ("last_alert", "string"),
    ("next_protocol", "string"), ("established", "bool"), ("ja3", "string"), ("ja3s", "string"),
)  # fmt: skip
_TYPES = {"A": 1, "TXT": 16}
_CODES = {"NOERROR": 0, "NXDOMAIN": 3}
_REASONS = {200: "OK", 302: "Found", 304: "Not Modified", 403: "Forbidden", 404: "Not Found"}
_CIPHERS = {
    "TLSv12": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLSv13": "TLS_AES_128_GCM_SHA256",
}


def dns_lines(log: HostDay) -> Lines:
    """(second of the day, line of ``dns.log``) of the machine."""
    for query in log.traces.queries if log.traces else ():
        yield query.second, _dns_line(log, query)


def http_lines(log: HostDay) -> Lines:
    """(second of the day, line of ``http.log``) of the machine."""
    for request in log.traces.requests if log.traces else ():
        yield request.second, _http_line(log, request)


def ssl_lines(log: HostDay) -> Lines:
    """(second of the day, line of ``ssl.log``) of the machine."""
    for session in log.traces.sessions if log.traces else ():
        yield session.second, _ssl_line(log, session)


LOGS: Mapping[str, tuple[str, Callable[[HostDay], Lines]]] = {
    "conn": (ZEEK_HEADER, zeek_lines),
    "dns": (zeek_header("dns", _DNS), dns_lines),
    "http": (zeek_header("http", _HTTP), http_lines),
    "ssl": (zeek_header("ssl", _SSL), ssl_lines),
}
"""Header and lines of each log."""


def _dns_line(log: HostDay, query: Query) -> str:
    cells = (
        *_ends(log, query), "udp", number_of("query", query.name) % 65_536, "0.012000", query.name,
        1, "C_INTERNET", _TYPES[query.kind], query.kind, _CODES[query.code], query.code,
        "F", "F", "T", "T", 0, ",".join(query.answers) or "-",
        ",".join(f"{query.ttl_s}.000000" for _ in query.answers) or "-", "F",
    )  # fmt: skip
    return _line(cells)


def _http_line(log: HostDay, request: WebRequest) -> str:
    connection = log.connections[request.number]
    sent = connection.bytes_out if request.method == "POST" else 0
    got = 0 if request.status == 304 else connection.bytes_in
    cells = (
        *_ends(log, request), 1, request.method, request.host, request.uri, "-", "1.1",
        request.agent, "-", sent, got, request.status,
        _REASONS.get(request.status, "Internal Server Error"), "(empty)",
    )  # fmt: skip
    return _line(cells)


def _ssl_line(log: HostDay, session: TlsSession) -> str:
    is_done = session.is_established
    cells = (
        *_ends(log, session), session.version, _CIPHERS[session.version], "x25519",
        session.server, "F", "-" if is_done else "handshake_failure", "-", "T" if is_done else "F",
        session.ja3, f"{number_of('ja3s', session.server, session.ja3):016x}" * 2,
    )  # fmt: skip
    return _line(cells)


def _ends(log: HostDay, record: Query | WebRequest | TlsSession) -> tuple[object, ...]:
    """Time, name and both ends, as the connection has them."""
    number = record.number
    ends = ends_of(log, log.connections[number], number)
    return zeek_time(log, record.second), uid_of(log, number), *ends


def _line(cells: tuple[object, ...]) -> str:
    return "\t".join(str(cell) for cell in cells)
