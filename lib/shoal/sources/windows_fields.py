"""Which field of which Windows record fills which event column."""

from collections.abc import Callable, Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.mapping import TARGET_USER, EventRule
from shoal.sources.windows_values import (
    SYSMON_DNS,
    SYSMON_NETWORK,
    TASK_CREATED,
    account_id,
    dns_answer_count,
    dns_code,
    field,
    file_hash,
    if_ports,
    is_initiated,
)

WORDS = {
    "event_ts": "time (UtcTime, @timestamp, TimeGenerated, TimeCreated)",
    "host_name": "host name (Hostname, computer_name, Computer)",
    "file_path": "file (ImageLoaded, ShareName)",
    "dns_question_name": "QueryName",
    "task_name": "TaskName",
}
"""What the log calls event columns."""


def rules() -> dict[str, EventRule]:
    """Rules by record type, of what the reader and ``add_parts`` added."""
    return {record_type: rule() for record_type, rule in _RULES.items()}


def _rule(
    table: str,
    texts: Mapping[str, Column],
    *,
    action: str | None = None,
    needs: Sequence[str] = (),
) -> EventRule:
    common = {"event_ts": F.col("time"), "host_name": F.col("host")}
    return EventRule(table, {**common, **texts}, action=action, needs=needs)


def _sysmon_process() -> EventRule:
    texts = {
        **_actor(),
        "process_command_line": field("CommandLine"),
        "process_original_name": field("OriginalFileName"),
        "process_parent_pid": field("ParentProcessId"),
        "process_parent_path": field("ParentImage"),
    }
    return _rule("process", texts)


def _sysmon_network() -> EventRule:
    is_swapped = F.col("is_swapped")
    near_ip, far_ip = field("SourceIp"), field("DestinationIp")
    near_port, far_port = field("SourcePort"), field("DestinationPort")
    direction = F.when(is_initiated(), "outbound").when(~is_initiated(), "inbound")
    texts = {
        **_actor(),
        "source_ip": F.when(is_swapped, far_ip).otherwise(near_ip),
        "destination_ip": F.when(is_swapped, near_ip).otherwise(far_ip),
        "source_port": if_ports(F.when(is_swapped, far_port).otherwise(near_port)),
        "destination_port": if_ports(F.when(is_swapped, near_port).otherwise(far_port)),
        "network_transport": F.col("transport"),
        "network_direction": direction,
    }
    return _rule("network", texts)


def _sysmon_loaded() -> EventRule:
    is_valid = F.lower(F.trim(field("SignatureStatus"))) == "valid"
    texts = {
        **_actor(),
        "file_path": field("ImageLoaded"),
        "file_hash": file_hash(),
        "is_signed": (c.flag(field("Signed")) & is_valid).cast("string"),
    }
    return _rule("file", texts, action="loaded", needs=("file_path",))


def _sysmon_file() -> EventRule:
    texts = {**_actor(), "file_path": field("TargetFilename"), "file_hash": file_hash()}
    return _rule("file", texts)


def _sysmon_dns() -> EventRule:
    texts = {
        **_actor(),
        "dns_question_name": field("QueryName"),
        "dns_response_code": dns_code(),
        "dns_answer_count": dns_answer_count(),
        "is_failed": (F.col("query_status") != "0").cast("string"),
    }
    return _rule("dns", texts, needs=("dns_question_name",))


def _process() -> EventRule:
    """Of the account that the program runs as: the target if there is one, else the subject."""
    target, subject = _target(), _subject()
    user = {
        name: F.when(F.col("has_target"), text).otherwise(subject[name])
        for name, text in target.items()
    }
    texts = {
        **user,
        "process_path": field("NewProcessName"),
        "process_pid": field("NewProcessId"),
        "process_command_line": field("CommandLine"),
        "process_parent_pid": field("ProcessId"),
        "process_parent_path": field("ParentProcessName"),
    }
    return _rule("process", texts)


def _task() -> EventRule:
    """Of a task that was set to start programs: the first is its program, all are in its line."""
    texts = {
        **_subject(),
        "task_name": field("TaskName"),
        "process_path": F.col("task_path"),
        "process_command_line": F.col("task_command_lines"),
    }
    return _rule("process", texts, action="scheduled", needs=("task_name",))


def _connection() -> EventRule:
    """Of a connection that was let through.

    In flat NXLog records ``ProcessID`` is the process that wrote the record; elsewhere it is the
    one that the record tells of.
    """
    reported = F.when(field("SourceModuleType").isNull(), field("ProcessID"))
    direction = F.trim(field("Direction"))
    texts = {
        "process_path": field("Application"),
        "process_pid": F.coalesce(field("ProcessId"), reported),
        "source_ip": field("SourceAddress"),
        "destination_ip": field("DestAddress"),
        "source_port": if_ports(field("SourcePort")),
        "destination_port": if_ports(field("DestPort")),
        "network_transport": F.col("transport"),
        "network_direction": F.when(direction == "%%14592", "inbound").when(
            direction == "%%14593", "outbound"
        ),
    }
    return _rule("network", texts)


def _logon(*, is_failed: bool) -> EventRule:
    texts = {
        **_target(),
        **_caller(),
        **_came_from(),
        "source_host_name": field("WorkstationName"),
        "logon_type": field("LogonType"),
        "auth_package": field("AuthenticationPackageName"),
        "is_failed": F.lit(str(is_failed)),
    }
    return _rule("auth", texts)


def _logoff() -> EventRule:
    return _rule("auth", {**_target(), "logon_type": field("LogonType")}, action="logged_off")


def _explicit() -> EventRule:
    """Of the account that acted, not of the one whose credentials it gave."""
    texts = {
        **_subject(),
        **_caller(),
        **_came_from(),
        "target_host_name": field("TargetServerName"),
    }
    return _rule("auth", texts, action="explicit")


def _privileged() -> EventRule:
    return _rule("auth", _subject(), action="privileged")


def _shared() -> EventRule:
    texts = {**_subject(), **_came_from(), "file_path": field("ShareName")}
    return _rule("file", texts, action="shared", needs=("file_path",))


_RULES: Mapping[str, Callable[[], EventRule]] = {
    "sysmon-1": _sysmon_process,
    SYSMON_NETWORK: _sysmon_network,
    "sysmon-7": _sysmon_loaded,
    "sysmon-11": _sysmon_file,
    SYSMON_DNS: _sysmon_dns,
    "security-4624": lambda: _logon(is_failed=False),
    "security-4625": lambda: _logon(is_failed=True),
    "security-4634": _logoff,
    "security-4648": _explicit,
    "security-4672": _privileged,
    "security-4688": _process,
    TASK_CREATED: _task,
    "security-5140": _shared,
    "security-5156": _connection,
}
RECORD_TYPES = tuple(_RULES)
"""Types of record that become events."""


def _actor() -> dict[str, Column]:
    """Program and account that Sysmon tells of."""
    return {
        "process_path": field("Image"),
        "process_pid": field("ProcessId"),
        TARGET_USER: field("User"),
    }


def _target() -> dict[str, Column]:
    domain = F.when(F.col("has_target"), field("TargetDomainName"))
    return _account("TargetUserName", domain, "TargetUserSid")


def _subject() -> dict[str, Column]:
    return _account("SubjectUserName", field("SubjectDomainName"), "SubjectUserSid")


def _account(name: str, domain: Column, sid: str) -> dict[str, Column]:
    """Account of the Security log; one named ``user@domain`` may have no domain beside it."""
    return {TARGET_USER: field(name), "user_domain": domain, "user_id": account_id(sid)}


def _caller() -> dict[str, Column]:
    return {"process_path": field("ProcessName"), "process_pid": field("ProcessId")}


def _came_from() -> dict[str, Column]:
    """Address and port on the far side; what came over no connection has port 0."""
    port = field("IpPort")
    return {"source_ip": field("IpAddress"), "source_port": F.when(c.port(port) > 0, port)}
