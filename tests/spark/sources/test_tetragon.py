"""Tetragon's export: each type of its records, wrong types, hostile lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from tests.support.records import assert_golden, assert_values, parse_folder, parse_lines

from shoal.sources import columns as c

SAMPLE = Path(__file__).parents[2] / "data" / "tetragon"
MINUTE = "2024-05-01T10:00:00"
PROCESS = {"pid": 7, "uid": 1000, "binary": "/usr/bin/curl", "arguments": "-s", "flags": "execve"}
PARENT = {"pid": 6, "binary": "/bin/sh"}
SOCK = {"family": "AF_INET", "protocol": "IPPROTO_TCP", "daddr": "203.0.113.7", "dport": 443}
SOCKADDR = {"family": "AF_INET", "addr": "198.51.100.9", "port": 22}


def event(key: str, holds: object, **fields: object) -> dict[str, Any]:
    return {key: holds, "node_name": "node-1", "time": f"{MINUTE}.5Z", **fields}


def started(*, parent: object = None, **fields: object) -> dict[str, Any]:
    return event("process_exec", {"process": {**PROCESS, **fields}, "parent": parent or PARENT})


def contained(pod: object, **fields: object) -> dict[str, Any]:
    return started(pod=pod, **fields)


def called(function: object, *args: object, **fields: object) -> dict[str, Any]:
    return event(
        "process_kprobe",
        {"process": PROCESS, "function_name": function, "args": list(args), **fields},
    )


def returning(value: object, function: str = "__x64_sys_ptrace") -> dict[str, Any]:
    return called(function, {"sockaddr_arg": SOCKADDR}, **{"return": value})


def line_of(record: Mapping[str, Any], *, without: str | None = None) -> str:
    return json.dumps({k: v for k, v in record.items() if k != without})


NO_POD = {"orchestrator_pod": None, "container_name": None, "container_id": None}
NETWORK = {"event_table": "network", "network_direction": "outbound"}
SYSCALL = {"event_table": "syscall"}
VALUES: list[tuple[dict[str, Any], dict[str, object]]] = [
    (started(arguments=None), {"process_command_line": "/usr/bin/curl"}),
    (started(arguments=5), {"process_command_line": "/usr/bin/curl 5"}),
    (started(uid=0), {"user_id": "0", "user_name": None}),
    (started(uid=None, pid="x"), {"user_id": None, "process_pid": None}),
    (started(user={"name": "Alex"}), {"user_name": "alex"}),
    (started(user="alex"), {"user_name": None}),
    *((started(parent=wrong), {"process_parent_path": None}) for wrong in ("x", 5, [PARENT])),
    (started(parent={"pid": 6, "binary": None}), {"process_parent_pid": 6}),
    (started(flags=5, binary="/x"), {"process_path": "/x"}),
    # Pod and container, whole, in part and of another shape.
    *((contained(wrong), NO_POD) for wrong in ("text", 5, [1], None, {}, {"container": "x"})),
    (contained({"name": "p", "container": None}), {"orchestrator_pod": "p", "container_id": None}),
    (contained({"container": {"id": "cri-o://ab"}}, docker="a"), {"container_id": "ab"}),
    (contained({"container": {"id": "docker://ab"}}), {"container_id": "ab"}),
    (contained({"container": {"id": "ab"}}), {"container_id": "ab"}),
    (contained({"container": {"id": "containerd://"}}), {"container_id": None}),
    (contained({"container": {"name": "c"}}, docker="ab12"), {"container_id": "ab12"}),
    (
        contained({"container": {"image": {"id": "r/i@sha256:0"}}}),
        {"container_image": "r/i@sha256:0"},
    ),
    (contained({"container": {"image": "r/i:1"}}), {"container_image": None}),
    # What is a connection, and to where.
    (called("tcp_connect", {"sock_arg": SOCK}), {**NETWORK, "destination_ip": "203.0.113.7"}),
    (called("tcp_connect", {"int_arg": 1}, {"sock_arg": SOCK}), NETWORK),
    (
        called("tcp_connect", {"sock_arg": {"daddr": "::1"}}),
        {**NETWORK, "network_transport": "tcp"},
    ),
    (
        called("security_socket_connect", {"sock_arg": SOCK}, {"sockaddr_arg": SOCKADDR}),
        {**NETWORK, "destination_ip": "198.51.100.9", "destination_port": 22},
    ),
    (called("__sys_connect", {"sockaddr_arg": SOCKADDR}), NETWORK),
    (called("tcp_connect", {"sock_arg": {**SOCK, "dport": "x", "saddr": 5}}), {"source_ip": None}),
    (called("tcp_connect", {"sock_arg": {**SOCK, "saddr": "0.0.0.0"}}), {"source_ip": None}),
    (called("tcp_connect"), {**SYSCALL, "syscall_name": "tcp_connect"}),
    *((called("tcp_connect", wrong), SYSCALL) for wrong in ("text", 5, None, [], {"sock_arg": 5})),
    (called("tcp_connect", {"sock_arg": {}}), SYSCALL),
    (called("tcp_connect", {"sock_arg": {**SOCK, "family": "AF_UNIX"}}), SYSCALL),
    (called("tcp_connect", args="text"), SYSCALL),
    (called("tcp_connect", args={"sock_arg": SOCK}), SYSCALL),
    (called("tcp_close", {"sock_arg": SOCK}), {**SYSCALL, "syscall_name": "tcp_close"}),
    # Names of system calls.
    (called("__x64_sys_openat"), {"syscall_name": "openat"}),
    (called("__arm64_compat_sys_openat"), {"syscall_name": "openat"}),
    (called("sys_mount"), {"syscall_name": "mount"}),
    (called("__x64_sys_sys_"), {"syscall_name": "sys_"}),
    (called("security_file_permission"), {"syscall_name": "security_file_permission"}),
    (called("proc_sys_open"), {"syscall_name": "proc_sys_open"}),
    # How it went.
    (returning({"int_arg": 0}), {"is_failed": False}),
    (returning({"int_arg": -1}), {"is_failed": True}),
    (returning({"long_arg": "-9223372036854775808"}), {"is_failed": True}),
    (returning({"int_arg": "x"}), {"is_failed": None}),
    *((returning(wrong), {"is_failed": None}) for wrong in ("-1", None, [1], {"size_arg": "1"})),
    (returning({"int_arg": -13}, "tcp_connect"), {**NETWORK, "is_failed": True}),
    (returning({"int_arg": -115}, "tcp_connect"), {**NETWORK, "is_failed": None}),
    (returning({"int_arg": 0}, "tcp_connect"), {**NETWORK, "is_failed": None}),
]

NO_JSON = "the line is not one JSON object"
NO_EVENT = "the line holds no event: no key process_…"
GOOD = json.dumps(started())
BAD: Mapping[str, str] = {
    "no JSON": NO_JSON,
    GOOD[:-5]: NO_JSON,
    GOOD + GOOD: NO_JSON,
    f"2024-05-01T10:00:00.5Z stdout F {GOOD}": NO_JSON,
    "\x00\x01 \x00": c.NO_TEXT,
    '{"a":' * 2000 + "1" + "}" * 2000: "the line is no JSON object, or one nested more than 1,000",
    "{}": NO_EVENT,
    json.dumps(event("process", {"process": PROCESS})): NO_EVENT,
    json.dumps(event("x", 'hidden in text: {"process_exec":{}}')): NO_EVENT,
    **{
        json.dumps(event("process_exec", wrong)): "no usable process/binary"
        for wrong in ("text", 5, None, [1], {}, {"process": "x"}, {"process": {"binary": ""}})
    },
    line_of(started(), without="time"): "no usable time",
    line_of({**started(), "time": "soon"}): "no usable time",
    line_of({**started(), "time": {"seconds": 1}}): "no usable time",
    json.dumps(event("process_kprobe", "text")): "no usable function_name",
    json.dumps(called(None)): "no usable function_name",
    json.dumps(called("sys_")): "no usable function_name",
    json.dumps(called("tcp_connect", {"sock_arg": {**SOCK, "daddr": "x' OR 1"}})): (
        "no usable args/…/daddr"
    ),
    line_of(started(), without="node_name"): "nobody's: no usable node_name",
    line_of({**started(), "node_name": ""}): "nobody's: no usable node_name",
}
IGNORED: Mapping[str, str] = {
    json.dumps(event("process_exit", {"process": PROCESS}, time=None)): "tetragon-process-exit",
    json.dumps(event("process_new_kind", {"process": {**PROCESS, "process_credentials": {}}})): (
        "tetragon-process-new-kind"
    ),
    json.dumps(event("rate_limit_info", None)): "tetragon-rate-limit-info",
    json.dumps(started(flags="procFS auid rootcwd")): "tetragon-process-exec-procfs",
}


def test_the_sample_of_every_type_is_read_as_recorded(spark: SparkSession) -> None:
    rows = parse_folder(spark, "tetragon", SAMPLE)
    assert_golden(rows, SAMPLE.parent / "tetragon.golden.jsonl")


def test_values(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        json.dumps({**line, "time": f"{MINUTE}.{number:06}789Z"})
        for number, (line, _) in enumerate(VALUES)
    ]
    rows = parse_lines(spark, "tetragon", tmp_path, {"tetragon.log": lines})
    assert_values(rows, VALUES)


def test_every_line_has_an_outcome(spark: SparkSession, tmp_path: Path) -> None:
    somebody = line_of(started(user={"name": "alex"}), without="node_name")
    lines = [*BAD, *IGNORED, somebody]
    rows = parse_lines(spark, "tetragon", tmp_path, {"tetragon.log": lines})
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
    assert [row.user_name for row in rows if row.outcome == "event"] == ["alex"]
