"""Tetragon's export: JSON lines of what it saw processes do, told by the node.

==========================  =========  ===================================================
record                      table      of it
==========================  =========  ===================================================
process_exec                process    the program, its parent, its container and pod
process_kprobe of a connect  network   what the process connected to
process_kprobe              syscall    the function it called
==========================  =========  ===================================================

Other records (process_exit, process_lsm, …) are ignored by their key. A connect is tcp_connect,
security_socket_connect or the system call connect, if its arguments hold an address of IP; without
one it is a function like any other. Its type names the function, as
``tetragon-process-kprobe-tcp-connect``.

Programs that ran before the agent did (flag ``procFS``) are ignored as
``tetragon-process-exec-procfs``: at each of its starts the agent tells all of them anew.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import add_json, field_name, is_json, json_field, why_no_object
from shoal.sources.mapping import EventRule, parse_events

_EXEC = "process_exec"
_KPROBE = "process_kprobe"
_OF_PROCESS = (
    "process/pid", "process/uid", "process/user/name", "process/binary", "process/docker",
    "process/pod/namespace", "process/pod/name", "process/pod/container/id",
    "process/pod/container/name", "process/pod/container/image/id",
    "process/pod/container/image/name",
)  # fmt: skip
_PATHS = (
    "time", "node_name",
    *(f"{_EXEC}/{path}" for path in _OF_PROCESS),
    f"{_EXEC}/process/arguments", f"{_EXEC}/process/flags",
    f"{_EXEC}/parent/pid", f"{_EXEC}/parent/binary",
    *(f"{_KPROBE}/{path}" for path in _OF_PROCESS),
    f"{_KPROBE}/function_name", f"{_KPROBE}/return/int_arg", f"{_KPROBE}/return/long_arg",
    *(
        f"{_KPROBE}/args/0/sock_arg/{name}"
        for name in ("family", "protocol", "saddr", "daddr", "sport", "dport")
    ),
    *(f"{_KPROBE}/args/0/sockaddr_arg/{name}" for name in ("family", "addr", "port")),
)  # fmt: skip
_WORDS = {
    "event_ts": "time",
    "host_name": "node_name",
    "process_path": "process/binary",
    "destination_ip": "args/…/daddr",
    "syscall_name": "function_name",
    "user_name": "process/user/name",
    "source_ip": "args/…/saddr",
    "container_id": "container/id",
    "container_image": "container/image/name",
}
_CONNECTS = ("tcp_connect", "security_socket_connect", "connect")
"""Functions that connect, the last the system call."""
_KEY = r'"(process_[a-z_]{1,40}|rate_limit_info)"\s*:'
"""Key of an event; no text within the line can look like it, for there the quotes are escaped."""
_SYSCALL_PREFIX = "^(?:__(?:[a-z0-9]+_){0,2}?)?sys_"
r"""Of the function that is a system call: ``__x64_sys_``, ``__arm64_compat_sys_``, ``sys_``."""
_IN_PROGRESS = "-115"
"""EINPROGRESS: the connection of a socket that does not wait is on its way."""


def parse_tetragon(lines: DataFrame) -> DataFrame:
    """Normalise Tetragon's JSON export; line → record, in the shape of PARSED_COLUMNS.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    syscall = F.regexp_replace(json_field(f"{_KPROBE}/function_name"), _SYSCALL_PREFIX, "")
    returned = F.coalesce(
        json_field(f"{_KPROBE}/return/int_arg"), json_field(f"{_KPROBE}/return/long_arg")
    )
    return (
        lines.transform(add_json, _PATHS)
        .withColumns(
            {
                "key": _key(),
                "syscall": syscall,
                "returned": returned,
                "sock": _argument("sock_arg"),
                "sockaddr": _argument("sockaddr_arg"),
            }
        )
        .withColumn("record_type", _record_type())
        .transform(parse_events, _rules(), fault=_fault(), words=_WORDS)
    )


def _key() -> Column:
    """What kind of event the line holds; null if none."""
    found = F.regexp_extract("value", _KEY, 1)
    return (
        F.when(json_field(_EXEC).isNotNull(), _EXEC)
        .when(json_field(_KPROBE).isNotNull(), _KPROBE)
        .otherwise(F.when(found != "", found))
    )


def _argument(kind: str) -> Column:
    """Return the first of a function's arguments that is of a kind, as a struct."""
    arguments = json_field(f"{_KPROBE}/args")
    named = field_name(kind)
    return F.get(F.filter(arguments, lambda argument: argument[named].isNotNull()), 0)[named]


def _part(argument: str, name: str) -> Column:
    return F.col(argument)[field_name(name)]


def _destination() -> Column:
    """Address connected to; of a socket that is not yet connected only the sockaddr knows it."""
    return F.coalesce(_part("sockaddr", "addr"), _part("sock", "daddr"))


def _record_type() -> Column:
    family = F.coalesce(_part("sockaddr", "family"), _part("sock", "family"), F.lit("AF_INET"))
    connects = (
        F.col("syscall").isin(*_CONNECTS)
        & _destination().isNotNull()
        & family.isin("AF_INET", "AF_INET6")
    )
    was_running = F.contains(json_field(f"{_EXEC}/process/flags"), F.lit("procFS"))
    key = F.col("key")
    kind = (
        F.when((key == _EXEC) & was_running, F.concat(key, F.lit("-procfs")))
        .when((key == _KPROBE) & connects, F.concat(key, F.lit("-"), F.col("syscall")))
        .otherwise(key)
    )
    return F.concat(F.lit("tetragon-"), c.slug(kind))


def _fault() -> Column:
    return F.when(~is_json(), why_no_object(F.col("value"))).when(
        F.col("key").isNull(), "the line holds no event: no key process_…"
    )


def _rules() -> Mapping[str, EventRule]:
    connects = dict.fromkeys(map(_connect_type, _CONNECTS), _connect())
    return {"tetragon-process-exec": _exec(), "tetragon-process-kprobe": _call(), **connects}


def _connect_type(function: str) -> str:
    return f"tetragon-process-kprobe-{function.replace('_', '-')}"


def _process(event: str) -> dict[str, Column]:
    """When, and which process of which container on which node."""

    def field(path: str) -> Column:
        return json_field(f"{event}/process/{path}")

    container = "pod/container"
    # Without Kubernetes there is only the short id, the first 31 digits or fewer.
    container_id = F.coalesce(field(f"{container}/id"), field("docker"))
    return {
        "event_ts": json_field("time"),
        "host_name": json_field("node_name"),
        "user_id": field("uid"),
        "user_name": field("user/name"),
        "process_pid": field("pid"),
        "process_path": field("binary"),
        "container_id": F.regexp_replace(container_id, "^[A-Za-z][A-Za-z0-9+.-]*://", ""),
        "container_name": field(f"{container}/name"),
        "container_image": F.coalesce(
            field(f"{container}/image/name"), field(f"{container}/image/id")
        ),
        "orchestrator_namespace": field("pod/namespace"),
        "orchestrator_pod": field("pod/name"),
    }


def _exec() -> EventRule:
    binary = json_field(f"{_EXEC}/process/binary")
    texts = {
        **_process(_EXEC),
        "process_command_line": F.concat_ws(" ", binary, json_field(f"{_EXEC}/process/arguments")),
        "process_parent_pid": json_field(f"{_EXEC}/parent/pid"),
        "process_parent_path": json_field(f"{_EXEC}/parent/binary"),
    }
    return EventRule("process", texts, needs=("process_path",))


def _connect() -> EventRule:
    """Of a connection that begins: how it went is known only if the function refused it."""
    protocol = F.regexp_replace(_part("sock", "protocol"), "^IPPROTO_", "")
    is_refused = F.col("returned").rlike(r"^-\d{1,4}$") & (F.col("returned") != _IN_PROGRESS)
    texts = {
        **_process(_KPROBE),
        "source_ip": _if_set(_part("sock", "saddr")),
        "source_port": _if_set(_part("sock", "sport")),
        "destination_ip": _destination(),
        "destination_port": F.coalesce(_part("sockaddr", "port"), _part("sock", "dport")),
        "network_transport": F.coalesce(protocol, F.when(F.col("syscall") == "tcp_connect", "tcp")),
        "network_direction": F.lit("outbound"),
        "is_failed": F.when(is_refused, "true"),
    }
    return EventRule("network", texts, needs=("destination_ip",))


def _call() -> EventRule:
    """Of a function called; it failed if it returned the negative number of an error."""
    returned = F.col("returned")
    texts = {
        **_process(_KPROBE),
        "syscall_name": F.col("syscall"),
        "is_failed": F.when(returned.rlike(r"^-?\d{1,19}$"), returned.rlike("^-").cast("string")),
    }
    return EventRule("syscall", texts, needs=("syscall_name",))


def _if_set(text: Column) -> Column:
    """Return an end of a socket; null if it has none yet."""
    return F.when(~text.isin("0.0.0.0", "::", "0"), text)  # noqa: S104 - read, not listened at
