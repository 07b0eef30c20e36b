"""Days of machines as the log files that Shoal's sources read: Sysmon JSON lines and Zeek TSV."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

from shoal.simulate.behaviour import Connection, HostDay, Logon, Process
from shoal.simulate.fleet import DOMAIN
from shoal.simulate.roles import path_of

EPHEMERAL_PORT = 49_152
_SYSMON = "Microsoft-Windows-Sysmon"
_SECURITY = "Microsoft-Windows-Security-Auditing"
_FIELDS = (
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
)
ZEEK_HEADER = "\n".join(
    (
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tconn",
        "#fields\t" + "\t".join(name for name, _ in _FIELDS),
        "#types\t" + "\t".join(kind for _, kind in _FIELDS),
    )
)
_PACKET = 1_400


def windows_lines(log: HostDay) -> Iterator[tuple[float, str]]:
    """(second of the day, JSON line) of everything the machine's own agent writes."""
    for number, process in enumerate(log.processes):
        yield process.second, _process_line(log, process, number)
    for number, connection in enumerate(log.connections):
        yield connection.second, _connection_line(log, connection, number)
    for number, logon in enumerate(log.logons):
        yield logon.second, _logon_line(log, logon, number)


def zeek_lines(log: HostDay) -> Iterator[tuple[float, str]]:
    """(second of the day, line of ``conn.log``) of what the sensor sees of the machine.

    A connection between two machines is seen once, as that of the one that opened it.
    """
    for number, connection in enumerate(log.connections):
        if not connection.is_inbound or not connection.peer.startswith("10."):
            yield connection.second, _conn_line(log, connection, number)


def _process_line(log: HostDay, process: Process, number: int) -> str:
    path = path_of(process.program)
    return (
        _head(log, process.second, 1, _SYSMON)
        + f',"User":{_user(log, process.user)},"Image":{_text(path)}'
        f',"ProcessId":"{_pid(log, number)}","CommandLine":{_text(process.command)}'
        f',"ParentImage":{_text(path_of(process.parent))}'
        f',"ParentProcessId":"{_pid(log, number + 7)}"}}'
    )


def _connection_line(log: HostDay, connection: Connection, number: int) -> str:
    source, source_port, target, target_port = _ends(log, connection, number)
    return (
        _head(log, connection.second, 3, _SYSMON)
        + f',"User":{_user(log, connection.user)},"Image":{_text(path_of(connection.program))}'
        f',"ProcessId":"{_pid(log, number + 11)}","Protocol":"{connection.transport}"'
        f',"Initiated":"{"false" if connection.is_inbound else "true"}"'
        f',"SourceIp":"{source}","SourcePort":"{source_port}"'
        f',"DestinationIp":"{target}","DestinationPort":"{target_port}"}}'
    )


def _logon_line(log: HostDay, logon: Logon, number: int) -> str:
    head = _head(log, logon.second, 4625 if logon.is_failed else 4624, _SECURITY)
    return (
        head + f',"TargetUserName":{_text(logon.user)},"TargetDomainName":"{DOMAIN.upper()}"'
        f',"LogonType":"{logon.kind}","IpAddress":"{logon.source}","IpPort":"0"'
        f',"WorkstationName":{_text(log.host.name.upper())},"ProcessId":"{_pid(log, number)}"'
        ',"AuthenticationPackageName":"Kerberos"}'
    )


def _conn_line(log: HostDay, connection: Connection, number: int) -> str:
    source, source_port, target, target_port = _ends(log, connection, number)
    start = datetime.combine(log.event_date, datetime.min.time(), UTC).timestamp()
    uid = blake2b(f"{log.host.name}/{log.day}/{number}".encode(), digest_size=8).hexdigest()
    packets = (2 + connection.bytes_out // _PACKET, 2 + connection.bytes_in // _PACKET)
    is_local = ("T" if source.startswith("10.") else "F", "T" if target.startswith("10.") else "F")
    cells = (
        f"{start + connection.second:.6f}", f"C{uid}", source, source_port, target, target_port,
        connection.transport, connection.service,
        "-" if connection.is_failed else f"{connection.seconds:.6f}",
        connection.bytes_out, connection.bytes_in, "S0" if connection.is_failed else "SF",
        *is_local, 0, "S" if connection.is_failed else "ShADadFf",
        packets[0], connection.bytes_out + 40 * packets[0],
        packets[1], connection.bytes_in + 40 * packets[1],
    )  # fmt: skip
    return "\t".join(str(cell) for cell in cells)


def _ends(log: HostDay, connection: Connection, number: int) -> tuple[str, int, str, int]:
    """Address and port of the side that opened the connection, then of the service."""
    client_port = EPHEMERAL_PORT + (log.host.index * 977 + log.day * 131 + number * 37) % 16_000
    own, far = log.host.address, connection.peer
    if connection.is_inbound:
        return far, client_port, own, connection.port
    return own, client_port, far, connection.port


def _head(log: HostDay, second: float, number: int, provider: str) -> str:
    moment = datetime.combine(log.event_date, datetime.min.time()) + timedelta(seconds=second)
    text = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
    iso = text.replace(" ", "T") + "Z"
    return (
        f'{{"@timestamp":"{iso}","UtcTime":"{text}","EventID":{number}'
        f',"SourceName":"{provider}","Hostname":{_text(log.host.name)}'
    )


def _user(log: HostDay, user: str) -> str:
    if user != "system":
        return _text(f"{DOMAIN.upper()}\\{user}")
    return _text("NT AUTHORITY\\SYSTEM" if log.host.role.is_windows else "root")


def _pid(log: HostDay, number: int) -> int:
    return 1_000 + (log.host.index * 313 + log.day * 71 + number * 4) % 60_000


@lru_cache(maxsize=65_536)
def _text(value: str) -> str:
    return json.dumps(value)
