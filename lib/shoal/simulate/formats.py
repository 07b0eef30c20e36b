"""Days of machines as the lines that Shoal's sources read: Sysmon's JSON, and Zeek's conn."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b

from shoal.simulate.behaviour import Connection, HostDay, Logon, Process
from shoal.simulate.fleet import DOMAIN
from shoal.simulate.records import FileWrite, Load, Logoff, Privileged
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


def zeek_header(path: str, fields: Sequence[tuple[str, str]]) -> str:
    """Lines before the records of a log, whose fields are names and types."""
    return "\n".join(
        (
            "#separator \\x09",
            "#set_separator\t,",
            "#empty_field\t(empty)",
            "#unset_field\t-",
            f"#path\t{path}",
            "#fields\t" + "\t".join(name for name, _ in fields),
            "#types\t" + "\t".join(kind for _, kind in fields),
        )
    )


ZEEK_HEADER = zeek_header("conn", _FIELDS)
_PACKET = 1_400


def windows_lines(log: HostDay) -> Iterator[tuple[float, str]]:
    """(second of the day, JSON line) of everything the machine's own agent writes."""
    for number, process in enumerate(log.processes):
        yield process.second, _process_line(log, process, number)
    for number, connection in enumerate(log.connections):
        yield connection.second, _connection_line(log, connection, number)
    for number, logon in enumerate(log.logons):
        yield logon.second, _logon_line(log, logon, number)
    if log.traces is None:
        return
    for number, file in enumerate(log.traces.files):
        yield file.second, _file_line(log, file, number)
    for number, load in enumerate(log.traces.loads):
        yield load.second, _load_line(log, load, number)
    for logoff in log.traces.logoffs:
        yield logoff.second, _logoff_line(log, logoff)
    for privileged in log.traces.privileged:
        yield privileged.second, _privileged_line(log, privileged)


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
    source, source_port, target, target_port = ends_of(log, connection, number)
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


def _file_line(log: HostDay, file: FileWrite, number: int) -> str:
    return (
        _head(log, file.second, 11, _SYSMON)
        + f',"User":{_user(log, file.user)},"Image":{_text(path_of(file.program))}'
        f',"ProcessId":"{_pid(log, number + 17)}","TargetFilename":{json.dumps(file.path)}}}'
    )


def _load_line(log: HostDay, load: Load, number: int) -> str:
    digest = blake2b(load.library.lower().encode(), digest_size=32).hexdigest().upper()
    status = "Valid" if load.is_signed else "Unavailable"
    return (
        _head(log, load.second, 7, _SYSMON)
        + f',"User":{_user(log, load.user)},"Image":{_text(path_of(load.program))}'
        f',"ProcessId":"{_pid(log, number + 23)}","ImageLoaded":{_text(load.library)}'
        f',"Hashes":"SHA256={digest}","Signed":"{str(load.is_signed).lower()}"'
        f',"SignatureStatus":"{status}"}}'
    )


def _logoff_line(log: HostDay, logoff: Logoff) -> str:
    head = _head(log, logoff.second, 4634, _SECURITY)
    return (
        head + f',"TargetUserName":{_text(logoff.user)},"TargetDomainName":"{DOMAIN.upper()}"'
        f',"LogonType":"{logoff.kind}"}}'
    )


def _privileged_line(log: HostDay, privileged: Privileged) -> str:
    head = _head(log, privileged.second, 4672, _SECURITY)
    return (
        head + f',"SubjectUserName":{_text(privileged.user)}'
        f',"SubjectDomainName":"{DOMAIN.upper()}"'
        ',"PrivilegeList":"SeSecurityPrivilege SeBackupPrivilege"}'
    )


def _conn_line(log: HostDay, connection: Connection, number: int) -> str:
    source, source_port, target, target_port = ends_of(log, connection, number)
    packets = (2 + connection.bytes_out // _PACKET, 2 + connection.bytes_in // _PACKET)
    is_local = ("T" if source.startswith("10.") else "F", "T" if target.startswith("10.") else "F")
    cells = (
        zeek_time(log, connection.second), uid_of(log, number),
        source, source_port, target, target_port,
        connection.transport, connection.service,
        "-" if connection.is_failed else f"{connection.seconds:.6f}",
        connection.bytes_out, connection.bytes_in, "S0" if connection.is_failed else "SF",
        *is_local, 0, "S" if connection.is_failed else "ShADadFf",
        packets[0], connection.bytes_out + 40 * packets[0],
        packets[1], connection.bytes_in + 40 * packets[1],
    )  # fmt: skip
    return "\t".join(str(cell) for cell in cells)


def zeek_time(log: HostDay, second: float) -> str:
    """Seconds since 1970 as Zeek writes them."""
    start = datetime.combine(log.event_date, datetime.min.time(), UTC).timestamp()
    return f"{start + second:.6f}"


def uid_of(log: HostDay, number: int) -> str:
    """Zeek's name of a connection, which all its logs share."""
    text = f"{log.host.name}/{log.day}/{number}"
    return f"C{blake2b(text.encode(), digest_size=8).hexdigest()}"


def ends_of(log: HostDay, connection: Connection, number: int) -> tuple[str, int, str, int]:
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
