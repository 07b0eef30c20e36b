"""What the rows of osquery's tables become."""

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import field_name
from shoal.sources.mapping import TARGET_USER, EventRule

ROW_FIELDS = (
    "time", "uid", "auid", "username", "pid", "path", "name",
    # process_events, and those of eBPF and of macOS's Endpoint Security
    "cmdline", "parent", "syscall", "event_type", "exit_code",
    # socket_events, those of eBPF, listening_ports
    "action", "status", "success", "family", "protocol", "type", "local_address", "local_port",
    "remote_address", "remote_port", "address", "port",
    # packages
    "version", "release",
)  # fmt: skip
WORDS = {
    "event_ts": "unixTime",
    "host_name": "hostIdentifier",
    "user_name": "username",
    "source_ip": "remote_address",
    "destination_ip": "remote_address",
    "destination_port": "port",
    "process_path": "path",
    "package_name": "name",
}
_UNSET_UID = ("-1", "4294967295")
NOT_FAILED = ("0", "-115", "18446744073709551501")
"""exit_code of eBPF: success, and the connection in progress (EINPROGRESS) of a socket that does
not wait, which is also written without its sign."""
_PACKAGES = (
    "deb-packages", "rpm-packages", "npm-packages", "python-packages", "homebrew-packages",
    "chocolatey-packages", "programs",
)  # fmt: skip
_PACKAGE_ACTIONS = {"": None, "-added": "installed", "-removed": "removed"}
_SIDES = ("local", "remote")


def row_field(name: str) -> Column:
    """Text of a field of the row; osquery writes an empty text where there is none."""
    text = F.col("row")[field_name(name)]
    return F.when(text != "", text)


def osquery_rules() -> Mapping[str, EventRule]:
    """Rules by record type, of records with ``row``, ``table``, ``host`` and ``run_time``."""
    packages = {
        f"osquery-{table}{change}": _package(action)
        for table in _PACKAGES
        for change, action in _PACKAGE_ACTIONS.items()
    }
    return {
        "osquery-process-events": _process(),
        "osquery-socket-events-connect": _connect(),
        "osquery-socket-events-accept": _accept(),
        "osquery-socket-events-bind": _bind(),
        "osquery-listening-ports": _listening(),
        **packages,
    }


def _common() -> dict[str, Column]:
    uids = [F.when(~uid.isin(*_UNSET_UID), uid) for uid in (row_field("uid"), row_field("auid"))]
    return {
        "event_ts": F.col("run_time"),
        "host_name": F.col("host"),
        "user_id": F.coalesce(*uids),
        TARGET_USER: row_field("username"),
    }


def _program() -> dict[str, Column]:
    """Who and which program, at the time of the event itself."""
    own_time = F.when(c.whole_number(row_field("time")) > 0, row_field("time"))
    return {
        **_common(),
        "event_ts": F.coalesce(own_time, F.col("run_time")),
        "process_pid": row_field("pid"),
        "process_path": row_field("path"),
    }


def _process() -> EventRule:
    texts = {
        **_program(),
        "process_command_line": row_field("cmdline"),
        "process_parent_pid": row_field("parent"),
    }
    return EventRule("process", texts, needs=("process_path",))


def _socket(source: str, destination: str) -> dict[str, Column]:
    """Ends of a connection; osquery writes port 0 for one that it does not know."""
    is_failed = F.coalesce(
        row_field("status") == "failed",
        ~c.flag(row_field("success")),
        ~row_field("exit_code").isin(*NOT_FAILED),
    )
    ports = {
        side: F.when(row_field(f"{side}_port") != "0", row_field(f"{side}_port")) for side in _SIDES
    }
    return {
        **_program(),
        "source_ip": row_field(f"{source}_address"),
        "source_port": ports[source],
        "destination_ip": row_field(f"{destination}_address"),
        "destination_port": ports[destination],
        "network_transport": _transport(),
        "is_failed": is_failed.cast("string"),
    }


def _connect() -> EventRule:
    texts = {**_socket("local", "remote"), "network_direction": F.lit("outbound")}
    return EventRule("network", texts, needs=("destination_ip",))


def _accept() -> EventRule:
    texts = {**_socket("remote", "local"), "network_direction": F.lit("inbound")}
    return EventRule("network", texts, needs=("source_ip",))


def _bind() -> EventRule:
    none = F.lit(None).cast("string")
    texts = {**_socket("remote", "local"), "source_ip": none, "source_port": none}
    return EventRule("network", texts, action="listening", needs=("destination_port",))


def _listening() -> EventRule:
    """Of a port; path and name are the program's where the query joins it."""
    texts = {
        **_common(),
        "process_pid": row_field("pid"),
        "process_path": row_field("path"),
        "process_name": row_field("name"),
        "destination_ip": row_field("address"),
        "destination_port": row_field("port"),
        "network_transport": _transport(),
    }
    return EventRule("network", texts, action="listening", needs=("destination_port",))


def _transport() -> Column:
    """Name of the protocol's number; of the socket's type where the kernel is to choose."""
    names = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}
    protocol, kind = row_field("protocol"), row_field("type")
    name = F.when(kind == "1", "tcp").when(kind == "2", "udp")
    for number, own in names.items():
        name = F.when(protocol == number, own).otherwise(name)
    return name


def _package(action: str | None) -> EventRule:
    texts = {
        **_common(),
        "package_name": row_field("name"),
        # A deb's version holds its revision, an rpm's release stands beside.
        "package_version": F.concat_ws("-", row_field("version"), row_field("release")),
        "package_type": F.when(F.col("table") == "programs", "windows").otherwise(
            F.substring_index("table", "-", 1)
        ),
    }
    return EventRule("package", texts, action=action, needs=("package_name",))
