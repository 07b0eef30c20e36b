"""Suricata's eve.json: each type and version of its records, wrong types, hostile lines."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from tests.support.records import assert_golden, assert_values, parse_folder, parse_lines

from shoal.sources import columns as c

SAMPLE = Path(__file__).parents[2] / "data" / "suricata"
MINUTE = "2024-05-01T10:00:00"
ENDS = {"src_ip": "10.0.0.1", "src_port": 40000, "dest_ip": "203.0.113.7", "dest_port": 443}
FROM_SERVER = {
    "src_ip": "10.0.0.2",
    "src_port": 5300,
    "dest_ip": "10.0.0.1",
    "dest_port": 40000,
}
FLOW = {"pkts_toserver": 1, "pkts_toclient": 0, "state": "new"}
ANSWER = {"version": 2, "type": "answer", "rrname": "example.com", "rrtype": "A"}


def record(event_type: object, **fields: object) -> dict[str, Any]:
    return {"timestamp": f"{MINUTE}.5+0000", "event_type": event_type, **ENDS, **fields}


def without(name: str, event_type: str = "flow") -> str:
    return json.dumps({k: v for k, v in record(event_type).items() if k != name})


def flow(**fields: object) -> dict[str, Any]:
    return record("flow", flow={**FLOW, **fields})


def dns(**fields: object) -> dict[str, Any]:
    return record("dns", dns={**ANSWER, **fields})


def tcp_flags(client: object, server: object) -> dict[str, Any]:
    flags = {"tcp_flags_ts": client, "tcp_flags_tc": server}
    return record("flow", flow={**FLOW, "pkts_toclient": 1, "state": "closed"}, tcp=flags)


NOTHING_OF_IT = {"bytes_out": None, "packets_in": None, "is_failed": None, "duration_us": None}
VALUES: list[tuple[dict[str, Any], dict[str, object]]] = [
    # Wrong types leave nothing of what they stand for, and the rest as it is.
    *((record("flow", flow=wrong), NOTHING_OF_IT) for wrong in ("text", 5, [1], None, [FLOW], {})),
    (record("flow", flow=FLOW, tcp="text"), {"packets_out": 1, "is_failed": True}),
    (flow(bytes_toserver="12", bytes_toclient=2**63), {"bytes_out": 12, "bytes_in": c.MAX_COUNT}),
    (flow(bytes_toserver=-5, bytes_toclient={"a": 1}), {"bytes_out": None, "bytes_in": None}),
    (flow(bytes_toserver=1.5, bytes_toclient=[7]), {"bytes_out": None, "bytes_in": None}),
    (
        record("flow", src_port=70000, dest_port="443"),
        {"source_port": None, "destination_port": 443},
    ),
    (record("flow", src_port={"a": 1}, proto=["TCP"]), {"source_port": None}),
    (record("flow", proto="006", app_proto=None), {"network_transport": "tcp"}),
    (record("flow", proto="TCP", app_proto="failed"), {"network_protocol": None}),
    # Each end as one address, however it is spelt.
    (
        record("flow", src_ip="2001:0DB8:0000:0000:0000:0000:0000:0010", dest_ip="::1"),
        {"source_ip": "2001:db8::10", "destination_ip": "::1"},
    ),
    # How it went: not answered, refused, reset in the midst of it, not known.
    (flow(), {"is_failed": True}),
    (flow(state="closed"), {"is_failed": True}),
    (flow(state="established"), {"is_failed": False}),
    (flow(pkts_toclient=1), {"is_failed": False}),
    (flow(state=None), {"is_failed": None}),
    (tcp_flags("02", "14"), {"is_failed": True}),
    (tcp_flags("1a", "1a"), {"is_failed": False}),
    (tcp_flags("10", "14"), {"is_failed": False}),
    (tcp_flags("zz", {"a": 1}), {"is_failed": False}),
    # When, and how long.
    (flow(start="soon", end=f"{MINUTE}.9+0000"), {"duration_us": None}),
    (flow(end=f"{MINUTE}.9+0000"), {"duration_us": None}),
    (flow(start="1969-12-31T23:59:59.000000+0000"), {"duration_us": None}),
    # Both versions 2 of a count of answers, and none.
    (dns(answers=[{"rrname": "example.com"}, {}]), {"dns_answer_count": 2}),
    (dns(grouped={"A": ["1", "2"], "TXT": ["3"]}), {"dns_answer_count": 3}),
    (dns(rcode="NXDOMAIN"), {"dns_answer_count": 0, "is_failed": True}),
    (dns(grouped="text"), {"dns_question_name": "example.com"}),
    (dns(grouped={"A": "text", "B": {"c": 1}}), {"dns_question_name": "example.com"}),
    (dns(grouped=[1]), {"dns_question_name": "example.com"}),
    *((dns(answers=wrong), {"dns_answer_count": 0}) for wrong in ("text", 5, {"a": 1}, [])),
    (dns(answers=[1, None, "x", {"rrname": {"a": 1}}]), {"dns_question_name": "example.com"}),
    (dns(queries="text"), {"dns_question_name": "example.com", "dns_question_type": "a"}),
    (dns(queries=[None]), {"dns_question_name": "example.com"}),
    (dns(queries=[{"rrname": "B.example."}]), {"dns_question_name": "b.example"}),
    (
        dns(rrname=None, rrtype=None, answers=[{"rrname": "a.example", "rrtype": "CNAME"}]),
        {"dns_question_name": "a.example", "dns_question_type": None},
    ),
    (dns(rcode=3, rrname=5), {"dns_response_code": "3", "dns_question_name": "5"}),
    (dns(rcode=None), {"is_failed": None, "dns_response_code": None}),
    (dns(type="ANSWER"), {"dns_question_name": "example.com"}),
    # The client is the source, whichever end the version calls so.
    (record("dns", **FROM_SERVER, dns={**ANSWER, "version": 3}), {"source_ip": "10.0.0.1"}),
    (record("dns", **FROM_SERVER, dns={**ANSWER, "version": None}), {"source_ip": "10.0.0.1"}),
    (record("dns", **FROM_SERVER, dns=ANSWER), {"source_ip": "10.0.0.2", "source_port": 5300}),
    (
        record("dns", **{**FROM_SERVER, "src_port": 53}, dns=ANSWER),
        {"source_ip": "10.0.0.1", "source_port": 40000, "destination_port": 53},
    ),
    (
        record("dns", dest_port=53, dns={**ANSWER, "version": 3}),
        {"source_ip": "10.0.0.1", "destination_port": 53},
    ),
    (
        record("dns", src_port=53, dest_port=53, dns={**ANSWER, "version": 3}),
        {"source_ip": "203.0.113.7"},
    ),
    (record("http", http={"status": "abc", "length": -1}), {"is_failed": None, "bytes_in": None}),
    (record("http", http={"status": 399}), {"is_failed": False}),
    (record("http", http={"status": "400"}), {"is_failed": True}),
    (record("http", http="text"), {"url_domain": None, "url_path": None}),
    (
        record("http", http={"url": "HTTPS://user@www.example.com:8080/a?b"}),
        {"url_domain": "www.example.com", "url_path": "/a?b"},
    ),
    (
        record("http", http={"url": "/go?to=http://example.org/", "hostname": "example.com:80"}),
        {"url_domain": "example.com", "url_path": "/go?to=http://example.org/"},
    ),
    (record("tls", tls=None), {"tls_server_name": None}),
    (record("tls", tls={"ja3": "text", "sni": "a.example."}), {"tls_server_name": "a.example"}),
    (record("tls", tls={"ja3": {"hash": None}, "version": 1.2}), {"tls_version": "1.2"}),
    (record("tls", tls={"ja4": {"a": [1]}, "version": "UNDETERMINED"}), {"tls_version": None}),
]

NO_JSON = "the line is not one JSON object"
GOOD = json.dumps(record("flow"))
BAD: Mapping[str, str] = {
    "no JSON": NO_JSON,
    GOOD[:-5]: NO_JSON,
    GOOD + GOOD: NO_JSON,
    f"[{GOOD}]": NO_JSON,
    GOOD.replace('"', "'"): NO_JSON,
    f"@cee: {GOOD}": NO_JSON,
    "\x00\x01\x02 \x00": c.NO_TEXT,
    '{"a":' * 2000 + "1" + "}" * 2000: "the line is no JSON object, or one nested more than 1,000",
    "{}": "no usable event_type",
    without("event_type"): "no usable event_type",
    json.dumps(record(None)): "no usable event_type",
    json.dumps(record(" ")): "no usable event_type",
    without("dns", "dns"): "no usable dns/type",
    json.dumps(record("dns", dns="text")): "no usable dns/type",
    json.dumps(record("dns", dns={"type": None})): "no usable dns/type",
    without("timestamp"): "no usable timestamp",
    json.dumps(record("flow", timestamp="soon")): "no usable timestamp",
    json.dumps(record("flow", timestamp={"a": 1})): "no usable timestamp",
    json.dumps(record("flow", timestamp="2024-13-41T10:00:00.0+0000")): "no usable timestamp",
    json.dumps(record("http", timestamp=None)): "no usable timestamp",
    without("src_ip"): "no usable src_ip",
    without("src_ip", "tls"): "no usable src_ip",
    json.dumps(record("http", src_ip=["10.0.0.1"])): "no usable src_ip",
    json.dumps(record("flow", src_ip={"a": None})): "no usable src_ip",
    json.dumps(record("flow", src_ip="x' OR 1")): "no usable src_ip",
    without("dest_ip"): "no usable dest_ip",
    json.dumps(record("flow", dest_ip="0000:zz")): "no usable dest_ip",
}
IGNORED: Mapping[str, str] = {
    json.dumps(record("alert", timestamp="soon")): "suricata-alert",
    json.dumps(record("My Type; DROP")): "suricata-my-type-drop",
    json.dumps(record(5)): "suricata-5",
    json.dumps(record({"a": 1})): "suricata--a-1-",
    json.dumps(dns(type="query")): "suricata-dns-query",
    json.dumps(dns(type="REQUEST")): "suricata-dns-request",
    json.dumps(dns(type=["answer"])): "suricata-dns--answer-",
    json.dumps(dns(version=None, ttl=899, rcode="NXDOMAIN")): "suricata-dns-record",
}


def test_the_sample_of_every_version_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "suricata", SAMPLE)
    assert_golden(rows, SAMPLE.parent / "suricata.golden.jsonl")


def test_values(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        json.dumps({**line, "timestamp": f"{MINUTE}.{number:06}+0000"})
        for number, (line, _) in enumerate(VALUES)
    ]
    rows = parse_lines(spark, "suricata", tmp_path, {"eve.json": lines})
    assert_values(rows, VALUES)


def test_every_line_has_an_outcome(spark: SparkSession, tmp_path: Path) -> None:
    begun = json.dumps(flow(start=f"{MINUTE}.000000+0200", end=f"{MINUTE}.25+0200"))
    lines = [*BAD, *IGNORED, begun]
    rows = parse_lines(spark, "suricata", tmp_path, {"eve.json": lines})
    assert len(rows) == len(lines)
    reasons = {row.raw_text: row.reason for row in rows if row.outcome == "quarantined"}
    expected = {line[: c.RAW_TEXT_LENGTH]: reason for line, reason in BAD.items()}
    assert reasons.keys() == expected.keys()
    assert [
        (line, reason, expected[line])
        for line, reason in reasons.items()
        if not reason.startswith(expected[line])
    ] == []
    ignored = [row.ignored_type for row in rows if row.outcome == "ignored"]
    assert sorted(ignored) == sorted(IGNORED.values())
    (event,) = (row for row in rows if row.outcome == "event")
    assert (event.event_ts, event.duration_us) == (datetime(2024, 5, 1, 8), 250_000)
