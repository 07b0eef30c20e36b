"""Texts of Windows records that are more than the text of one field."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import field_name

SYSMON_NETWORK = "sysmon-3"
SYSMON_DNS = "sysmon-22"
TASK_CREATED = "security-4698"
EPHEMERAL_PORT = 49152
"""First of the ports that IANA leaves to clients (RFC 6335, section 6)."""
# Zeek calls ICMPv6 (58) icmp, too.
_TRANSPORTS = {"1": "icmp", "2": "igmp", "6": "tcp", "17": "udp", "58": "icmp"}
_DNS_CODES = {
    "0": "noerror",
    "1223": "cancelled",
    "1460": "timeout",
    "9001": "formerr",
    "9002": "servfail",
    "9003": "nxdomain",
    "9004": "notimp",
    "9005": "refused",
    "9501": "no-records",
    "9502": "bad-packet",
    "9701": "no-such-record",
    "9852": "no-dns-servers",
}
"""Names of QueryStatus, an error code of Windows (winerror.h); DNS's own name where it has one."""
_HASHES = {"SHA256": 64, "SHA1": 40, "MD5": 32}
"""Hashes of a file by preference, with their hexadecimal digits."""
_HASHES_LENGTH = 1024
_NOBODY = "s-1-0-0"
"""SID written where there is no account, or none that Windows could tell."""
_TASK = "Actions struct<Exec: array<struct<Command: string, Arguments: string>>>"


def field(name: str) -> Column:
    """Text of a field, as the reader added it."""
    return F.col(field_name(name))


def add_parts(records: DataFrame) -> DataFrame:
    """Add what texts are made of, where several are or where it is expensive; record → record.

    Projections of their own: Spark would compute the expression behind each mention.
    """
    record_type = F.col("record_type")
    protocol = c.clean_lower(field("Protocol"), 16)
    status = c.whole_number(field("QueryStatus")).cast("string")
    task = F.when(record_type == TASK_CREATED, field("TaskContent"))
    return records.withColumns(
        {
            "has_target": c.clean(field("TargetUserName")).isNotNull(),
            "transport": F.coalesce(c.named(protocol, _TRANSPORTS), protocol),
            "is_swapped": (record_type == SYSMON_NETWORK) & _answers_from_source(),
            "query_status": F.when(record_type == SYSMON_DNS, status),
            "commands": F.from_xml(task, _TASK, {"ignoreNamespace": "true"})["Actions"]["Exec"],
        }
    ).withColumns({"task_path": _task_path(), "task_command_lines": _task_command_lines()})


def _answers_from_source() -> Column:
    """Whether the side that Sysmon calls the source is the service.

    Sysmon writes the sides as it sees the sockets: with ``Initiated`` false and only the
    destination's port ephemeral the service answers from the source side.
    """
    return (
        ~is_initiated()
        & (c.port(field("DestinationPort")) >= EPHEMERAL_PORT)
        & (c.port(field("SourcePort")) < EPHEMERAL_PORT)
    )


def is_initiated() -> Column:
    """Whether the reporting host opened the connection."""
    return F.lower(F.trim(field("Initiated"))) == "true"


def if_ports(port: Column) -> Column:
    """Port, unless the record is of ICMP or IGMP, where the numbers are none."""
    return F.when(~F.coalesce(F.col("transport").isin("icmp", "igmp"), F.lit(False)), port)


def dns_code() -> Column:
    """What became of a question: a name, or Windows's number where there is none."""
    return F.coalesce(c.named(F.col("query_status"), _DNS_CODES), F.col("query_status"))


def dns_answer_count() -> Column:
    """Answers, names (``type:  5 …``) and addresses alike, each followed by ``;``."""
    # Without blanks and hyphens, so that nothing is left of what is no answer.
    answers = F.split(F.translate(field("QueryResults"), " -", ""), ";")
    return F.size(F.array_remove(answers, "")).cast("string")


def file_hash() -> Column:
    """Best hash of ``SHA1=…,MD5=…,SHA256=…,IMPHASH=…``."""
    hashes = F.substring(field("Hashes"), 1, _HASHES_LENGTH)
    patterns = [
        rf"(?i)(?:^|[,\s]){name}=([0-9a-f]{{{digits}}})(?:$|[,\s])"
        for name, digits in _HASHES.items()
    ]
    return F.coalesce(*(F.get(F.regexp_extract_all(hashes, F.lit(p), 1), 0) for p in patterns))


def account_id(sid: str) -> Column:
    """SID in a field of that name; null where it says that there is none."""
    return F.nullif(F.lower(F.trim(field(sid))), F.lit(_NOBODY))


def _task_path() -> Column:
    """Program of a task's first command, of which the task may have quoted the path."""
    return F.btrim(F.get(F.col("commands"), 0)["Command"], F.lit('" \t\r\n'))


def _task_command_lines() -> Column:
    """Command lines of all commands of a task, one a line."""
    lines = F.transform(
        F.col("commands"), lambda one: F.concat_ws(" ", one["Command"], one["Arguments"])
    )
    return F.array_join(lines, "\n")
