"""Which field of which Windows record fills which event column."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c

SYSMON_PROCESS = "sysmon-1"
SYSMON_NETWORK = "sysmon-3"
SYSMON_FILE = "sysmon-11"
PROCESS = "security-4688"
CONNECTION = "security-5156"
LOGON = "security-4624"
LOGON_FAILED = "security-4625"
EVENT_TABLE_OF = {
    SYSMON_PROCESS: "process",
    SYSMON_NETWORK: "network",
    SYSMON_FILE: "file",
    PROCESS: "process",
    CONNECTION: "network",
    LOGON: "auth",
    LOGON_FAILED: "auth",
}
EPHEMERAL_PORT = 49152
"""First of the ports that IANA leaves to clients (RFC 6335, section 6)."""
_SYSMON = (SYSMON_PROCESS, SYSMON_NETWORK, SYSMON_FILE)
_LOGONS = (LOGON, LOGON_FAILED)
_TARGETED = (PROCESS, *_LOGONS)
# Zeek calls ICMPv6 (58) icmp, too.
_TRANSPORTS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "58": "icmp"}


def add_texts(records: DataFrame) -> DataFrame:
    """Add, as text, what fills each group of event columns; record → record.

    A projection of its own, as is :func:`add_endpoints`: later columns name these more than once,
    and Spark would compute the expression behind each mention.
    """
    texts = {
        "user": _pick(dict.fromkeys(_SYSMON, _field("User"))),
        "target_user": _pick(dict.fromkeys(_TARGETED, c.clean(_field("TargetUserName")))),
        **_process_texts(),
        "near_ip": _pick(
            {
                SYSMON_NETWORK: _field("SourceIp"),
                CONNECTION: _field("SourceAddress"),
                **dict.fromkeys(_LOGONS, _field("IpAddress")),
            }
        ),
        "near_port": _pick(
            {
                **dict.fromkeys((SYSMON_NETWORK, CONNECTION), _field("SourcePort")),
                **dict.fromkeys(_LOGONS, _field("IpPort")),
            }
        ),
        "far_ip": _pick(
            {SYSMON_NETWORK: _field("DestinationIp"), CONNECTION: _field("DestAddress")}
        ),
        "far_port": _pick(
            {SYSMON_NETWORK: _field("DestinationPort"), CONNECTION: _field("DestPort")}
        ),
        "created": _pick({SYSMON_FILE: c.clean(_field("TargetFilename"), c.PATH_LENGTH)}),
    }
    return records.withColumns({_text(name): column for name, column in texts.items()})


def _process_texts() -> dict[str, Column]:
    """Program, and what started it.

    In flat NXLog records ``ProcessID`` is the process that wrote the record; elsewhere it is the
    one that 5156 reports.
    """
    reported = F.when(_field("SourceModuleType").isNull(), _field("ProcessID"))
    path = _pick(
        {
            **dict.fromkeys(_SYSMON, _field("Image")),
            PROCESS: _field("NewProcessName"),
            CONNECTION: _field("Application"),
            **dict.fromkeys(_LOGONS, _field("ProcessName")),
        }
    )
    parent_path = _pick(
        {SYSMON_PROCESS: _field("ParentImage"), PROCESS: _field("ParentProcessName")}
    )
    return {
        "path": c.clean(path, c.PATH_LENGTH),
        "parent_path": c.clean(parent_path, c.PATH_LENGTH),
        "pid": _pick(
            {
                **dict.fromkeys((*_SYSMON, *_LOGONS), _field("ProcessId")),
                PROCESS: _field("NewProcessId"),
                CONNECTION: F.coalesce(_field("ProcessId"), reported),
            }
        ),
        "parent_pid": _pick(
            {SYSMON_PROCESS: _field("ParentProcessId"), PROCESS: _field("ProcessId")}
        ),
        "command_line": _pick(
            dict.fromkeys((SYSMON_PROCESS, PROCESS), _field("CommandLine")),
        ),
    }


def add_endpoints(records: DataFrame) -> DataFrame:
    """Add both ends of a connection and ``is_swapped``; record → record.

    Source opened the connection, destination is the service side. Sysmon writes the sides as it
    sees the sockets: with ``Initiated`` false and only the destination's port ephemeral the
    service answers from the source side, and the sides are swapped.
    """
    near_port, far_port = F.col(_text("near_port")), F.col(_text("far_port"))
    return (
        records.withColumns(
            {
                _text("near_ip"): c.ip_address(F.col(_text("near_ip"))),
                _text("far_ip"): c.ip_address(F.col(_text("far_ip"))),
                _text("near_port"): c.port(near_port),
                _text("far_port"): c.port(far_port),
                "is_initiated": F.lower(F.trim(_field("Initiated"))) == "true",
            }
        )
        .withColumn(
            "is_swapped",
            (F.col("record_type") == SYSMON_NETWORK)
            & ~F.col("is_initiated")
            & (far_port >= EPHEMERAL_PORT)
            & (near_port < EPHEMERAL_PORT),
        )
        # A logon without a connection has port 0.
        .withColumn(
            _text("near_port"),
            F.when((F.col("event_table") != "auth") | (near_port > 0), near_port),
        )
    )


def event_fields() -> dict[str, Column]:
    """Event columns by name, from what :func:`add_texts` and :func:`add_endpoints` added."""
    path, parent_path = F.col(_text("path")), F.col(_text("parent_path"))
    created = F.col(_text("created"))
    return {
        "event_ts": F.col("event_ts"),
        "event_code": F.col("record_type"),
        "host_name": F.col("host_name"),
        **_user_fields(),
        "process_pid": c.whole_number(F.col(_text("pid"))),
        "process_path": path,
        "process_name": c.last_component(path),
        "process_command_line": c.clean(F.col(_text("command_line")), c.COMMAND_LINE_LENGTH),
        "process_parent_pid": c.whole_number(F.col(_text("parent_pid"))),
        "process_parent_path": parent_path,
        "process_parent_name": c.last_component(parent_path),
        **_network_fields(),
        **_logon_fields(),
        "file_path": created,
        "file_name": c.last_component(created),
    }


def _user_fields() -> dict[str, Column]:
    """Account that acted: the one that the new process runs as, or that logged on."""
    user, target = F.col(_text("user")), F.lower(F.col(_text("target_user")))
    target_domain = c.clean_lower(_field("TargetDomainName"))
    is_creator = (F.col("record_type") == PROCESS) & target.isNull()
    return {
        "user_name": F.when(user.isNotNull(), c.account_name(user))
        .when(is_creator, c.clean_lower(_field("SubjectUserName")))
        .otherwise(target),
        "user_domain": F.when(user.isNotNull(), c.account_domain(user))
        .when(is_creator, c.clean_lower(_field("SubjectDomainName")))
        .when(target.isNotNull(), target_domain),
    }


def _network_fields() -> dict[str, Column]:
    near_ip, near_port = F.col(_text("near_ip")), F.col(_text("near_port"))
    far_ip, far_port = F.col(_text("far_ip")), F.col(_text("far_port"))
    is_swapped, is_initiated = F.col("is_swapped"), F.col("is_initiated")
    direction = F.trim(_field("Direction"))
    outbound, inbound = F.lit("outbound"), F.lit("inbound")
    transport = _transport()
    # In a record of ICMP or IGMP the numbers are no ports.
    has_ports = ~F.coalesce(transport.isin("icmp", "igmp"), F.lit(False))
    return {
        "source_ip": F.when(is_swapped, far_ip).otherwise(near_ip),
        "source_port": F.when(has_ports, F.when(is_swapped, far_port).otherwise(near_port)),
        "destination_ip": F.when(is_swapped, near_ip).otherwise(far_ip),
        "destination_port": F.when(has_ports, F.when(is_swapped, near_port).otherwise(far_port)),
        "network_transport": transport,
        "network_direction": _pick(
            {
                SYSMON_NETWORK: F.when(is_initiated, outbound).when(~is_initiated, inbound),
                CONNECTION: F.when(direction == "%%14592", inbound).when(
                    direction == "%%14593", outbound
                ),
            }
        ),
    }


def _transport() -> Column:
    protocol = c.clean_lower(_field("Protocol"), 16)
    names = F.create_map(*(F.lit(text) for pair in _TRANSPORTS.items() for text in pair))
    named = F.coalesce(F.element_at(names, protocol), protocol)
    return F.when(F.col("event_table") == "network", named)


def _logon_fields() -> dict[str, Column]:
    is_logon = F.col("event_table") == "auth"
    return {
        "source_host_name": F.when(is_logon, c.clean_lower(_field("WorkstationName"))),
        "logon_type": F.when(is_logon, c.whole_number(_field("LogonType")).try_cast("int")),
        "auth_package": F.when(is_logon, c.clean_lower(_field("AuthenticationPackageName"), 64)),
        "is_failed": F.when(is_logon, F.col("record_type") == LOGON_FAILED),
    }


def _field(name: str) -> Column:
    return F.col(c.field_name(name))


def _text(name: str) -> str:
    return f"text_{name}"


def _pick(by_record_type: Mapping[str, Column]) -> Column:
    """Column that fits the record's type; null for the others."""
    picked = F.lit(None).cast("string")
    for record_type, column in by_record_type.items():
        picked = F.when(F.col("record_type") == record_type, column).otherwise(picked)
    return picked
