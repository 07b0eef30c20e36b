"""Linux audit logs of auditd, raw or enriched: the lines of an event, brought together.

=====================  =======  ============================================================
event                  table    of it
=====================  =======  ============================================================
SYSCALL execve(at)     process  a program started; its command line from EXECVE, or else PROCTITLE
SYSCALL connect        network  a connection by IP, its far end from SOCKADDR
SYSCALL, all others    syscall  the call, and whether it failed
USER_LOGIN             auth     a logon, successful or refused
=====================  =======  ============================================================

What has none of these is ignored by its type (``auditd-user-cmd``), and so are programs that failed
to start (``auditd-execve-failed``) and connections to local sockets (``auditd-connect-unix``).

The host is the line's ``node=`` (``name_format`` of auditd.conf), else the folder that the file
lies in, as collectors lay logs out: ``…/<host>/audit.log``. Folders named var, log and audit are
passed over (``…/<host>/var/log/audit/audit.log``); of ``/var/log/audit/audit.log`` there is no host
then, and what names no user either goes to quarantine: set ``name_format = hostname``.

The user is the one who logged on (auid), whatever that one became since, and the one who runs
the program (uid) where nobody logged on.
"""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import auditd_fields as a
from shoal.sources import columns as c
from shoal.sources.mapping import TARGET_USER, EventRule, parse_events

_HEADER = r"(?s)^\s*(?:node=(\S+) )?type=(\S+) msg=audit\((\d+\.\d+):(\d+)\): ?(.*)$"
_GROUP = ("source_name", "source_file", "file_id", "node", "stamp", "serial", "odd_id")
_EXECS = ("execve", "execveat")
_IN_PROGRESS = ("-115", "EINPROGRESS")
"""What a connection returns that is not waited for."""
_UNSET = ("4294967295", "-1", "unset")
_NO_NAME = r"^(unset$|\?$|unknown\(|\()"
"""Names of those who have none: sshd writes ``(unknown)`` or ``(invalid user)``."""
_SSHD = r"/sshd(-session)?$"
_WORDS = {
    "event_ts": "time in msg=audit(time:serial)",
    "host_name": "node or folder",
    "user_name": "AUID, UID or acct",
    "source_ip": "addr",
    "destination_ip": "saddr",
    "process_path": "exe",
    "syscall_name": "syscall",
}


def parse_auditd(lines: DataFrame) -> DataFrame:
    """Normalise audit logs; line → event, in the shape of PARSED_COLUMNS.

    Lines of one file with the same node, time and serial are one event, whose event_id is the hash
    of theirs in order. An event whose lines lie in two files, before and after a rotation, is two:
    the part without its SYSCALL line is ignored by type.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    rules = {record_type: rule() for record_type, rule in _RULES.items()}
    return (
        lines.transform(_add_header)
        .transform(_aggregate_events)
        .transform(_add_fields)
        .withColumn("record_type", _record_type())
        .transform(parse_events, rules, fault=_fault(), words=_WORDS)
    )


def _add_header(lines: DataFrame) -> DataFrame:
    """Add node, type, stamp, serial and body of a line, null for one that is no audit record."""
    node, record, stamp, serial, body = (
        F.regexp_extract("value", _HEADER, group) for group in range(1, 6)
    )
    is_record = stamp != ""
    return lines.withColumns(
        {
            "node": F.when(node != "", node),
            "type": F.when(is_record, record),
            "stamp": F.when(is_record, stamp),
            "serial": F.when(is_record, serial),
            "body": F.when(is_record, body),
            # Each line that is no record stands for itself.
            "odd_id": F.when(~is_record, F.col("event_id")),
        }
    )


def _aggregate_events(lines: DataFrame) -> DataFrame:
    """Bring together the lines of an event; line → event. Odd lines stay one record each."""

    def body_of(record: str) -> Column:
        return F.max(F.when(F.col("type") == record, F.col("body")))

    is_odd = F.col("odd_id").isNotNull()
    texts = F.when(is_odd, F.col("texts")).otherwise(F.array(F.array_join("texts", "\n")))
    return (
        lines.groupBy(*_GROUP)
        .agg(
            F.sort_array(F.collect_list("value")).alias("texts"),
            F.sort_array(F.collect_list("event_id")).alias("ids"),
            F.min("type").alias("type"),
            body_of("SYSCALL").alias("syscall"),
            body_of("SOCKADDR").alias("sockaddr"),
            body_of("PROCTITLE").alias("proctitle"),
            body_of("USER_LOGIN").alias("login"),
            F.collect_list(F.when(F.col("type") == "EXECVE", F.col("body"))).alias("execve"),
        )
        .withColumn("value", F.explode(texts))
        .withColumn("event_id", F.coalesce("odd_id", c.content_id(F.array_join("ids", "\n"))))
    )


def _add_fields(events: DataFrame) -> DataFrame:
    """Add what the type of an event is told by, and what several texts are made of."""
    # In a record of a user's program its own fields stand in quotes: msg='op=login …'.
    main = F.coalesce("syscall", F.regexp_replace("login", " msg='", " "))
    return (
        events.withColumn("main", main)
        .withColumns(
            {
                "call": a.syscall_name(F.col("syscall")),
                "success": a.cell(F.col("main"), "success"),
                "saddr": a.cell(F.col("sockaddr"), "saddr"),
                "auid": a.cell(F.col("main"), "auid"),
                "exe": a.text_of(a.cell(F.col("main"), "exe")),
                "acct": a.text_of(a.cell(F.col("main"), "acct")),
            }
        )
        .withColumn("is_logged_on", F.col("auid").isNotNull() & ~F.col("auid").isin(*_UNSET))
    )


def _fault() -> Column:
    no_record = F.lit("the line does not start with type= and msg=audit(time:serial)")
    return F.when(F.col("odd_id").isNotNull(), F.coalesce(c.why_no_text(F.col("value")), no_record))


def _record_type() -> Column:
    is_start = F.col("call").isin(*_EXECS) | (F.size("execve") > 0)
    kind = F.concat(F.lit("auditd-"), F.rtrim(c.slug(F.col("type")), F.lit("-")))
    alone = F.when(kind.isin(list(_RULES)), F.concat(kind, F.lit("-alone"))).otherwise(kind)
    return (
        F.when(F.col("syscall").isNull() & F.col("login").isNull(), alone)
        .when(F.col("syscall").isNull(), "auditd-user-login")
        .when(is_start & (F.col("success") == "no"), "auditd-execve-failed")
        .when(is_start, "auditd-execve")
        .when(F.col("call") == "connect", _type_of_connect())
        .otherwise("auditd-syscall")
    )


def _type_of_connect() -> Column:
    saddr = F.col("saddr")
    return (
        F.when(a.family(saddr) == a.UNIX, "auditd-connect-unix")
        .when(~a.is_internet(saddr), "auditd-connect-other")
        .otherwise("auditd-connect")
    )


def _main(name: str) -> Column:
    return a.cell(F.col("main"), name)


def _name(name: str) -> Column:
    text = a.text_of(_main(name))
    return F.when(~text.rlike(_NO_NAME), text)


def _program() -> dict[str, Column]:
    """When, where, and the program that did it."""
    return {
        "event_ts": F.col("stamp"),
        "host_name": F.coalesce("node", a.folder_host(F.col("source_file"))),
        "process_pid": _main("pid"),
        "process_path": F.col("exe"),
    }


def _caller() -> dict[str, Column]:
    is_logged_on = F.col("is_logged_on")
    return {
        **_program(),
        "user_id": F.when(is_logged_on, F.col("auid")).otherwise(_main("uid")),
        TARGET_USER: F.when(is_logged_on, _name("AUID")).otherwise(_name("UID")),
    }


def _execve() -> EventRule:
    title = a.text_of(a.cell(F.col("proctitle"), "proctitle"))
    texts = {
        **_caller(),
        "process_command_line": F.coalesce(a.arguments(F.col("execve")), title),
        "process_parent_pid": _main("ppid"),
    }
    return EventRule("process", texts, needs=("process_path",))


def _connect() -> EventRule:
    is_failed = (F.col("success") == "no") & ~_main("exit").isin(*_IN_PROGRESS)
    texts = {
        **_caller(),
        "destination_ip": a.socket_ip(F.col("saddr")),
        "destination_port": a.socket_port(F.col("saddr")),
        "network_direction": F.lit("outbound"),
        "is_failed": is_failed.cast("string"),
    }
    return EventRule("network", texts, needs=("destination_ip",))


def _syscall() -> EventRule:
    texts = {
        **_caller(),
        "syscall_name": F.col("call"),
        "is_failed": (F.col("success") == "no").cast("string"),
    }
    return EventRule("syscall", texts, needs=("syscall_name",))


def _user_login() -> EventRule:
    """Of a logon; a successful one of sshd has the account's id alone, and in ID= its name."""
    account = F.when(~F.col("acct").rlike(_NO_NAME), F.col("acct"))
    texts = {
        **_program(),
        TARGET_USER: F.coalesce(account, _name("ID")),
        "user_id": _main("id"),
        "source_ip": _main("addr"),
        "source_host_name": _main("hostname"),
        "auth_package": F.when(F.col("exe").rlike(_SSHD), "ssh"),
        "is_failed": (_main("res") != "success").cast("string"),
    }
    return EventRule("auth", texts)


_RULES: Mapping[str, Callable[[], EventRule]] = {
    "auditd-execve": _execve,
    "auditd-connect": _connect,
    "auditd-syscall": _syscall,
    "auditd-user-login": _user_login,
}
