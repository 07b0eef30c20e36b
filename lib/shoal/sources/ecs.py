"""Documents of the Elastic Common Schema as JSON lines, as Elastic Agent and the Beats export them.

Fields are nested, dotted (``"process.name"``) or both; a document may stand in ``_source`` of a
hit. Its category and type tell what it is:

==============================  ========  =====================================================
event.category (and)            table     of it
==============================  ========  =====================================================
process (start)                 process   no ``fork`` alone and nothing ``already_running``
network                         network   a connection by its opening, a flow by its final report
network (dns.question.name)     dns       the answered question
network (tls.*)                 tls       a handshake: established or with a fingerprint
network, web (http.*, url.*)    web       the request and its answer
network (5140)                  file      ``shared``: a Windows share opened
authentication                  auth      ``logged_off``, ``explicit``, and iam's ``privileged``
file (creation)                 file      named pipes are none
library, driver (load)          file      ``loaded``; so is ``Image loaded`` of Sysmon
package                         package   ``installed``, ``removed``, or found installed
email                           email     the first recipient
==============================  ========  =====================================================

A document has one category after another, and the first that fits decides. Without a category a
few Windows records are told by their number, and their fields read from ``winlog.event_data``.
What tells of another document (``event.kind`` alert, signal, …) is ignored by that kind.
"""

from collections.abc import Callable, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.ecs_fields import PATHS, add_common, add_fields, field, texts_of
from shoal.sources.ecs_rules import rules
from shoal.sources.json_text import add_json, add_object, field_name, is_json, why_no_object
from shoal.sources.mapping import parse_events

OTHER_KINDS = ("alert", "signal", "enrichment", "metric", "asset", "pipeline_error")
"""Values of event.kind of documents that hold no event of their own: what others made of one, or a
measurement. An alert of a rule repeats the whole event that set it off."""
LOGGED_OFF = ("logged-out", "log_off", "user_logout", "session-disconnected")
"""event.action of logons that end: winlogbeat, Elastic Defend, Auditbeat, winlogbeat's 4779."""
_WORDS = {
    "event_ts": "@timestamp or event.created",
    "host_name": "host.name",
    "user_name": "user.name",
    "source_ip": "source.ip",
    "destination_ip": "destination.ip",
    "container_id": "container.id",
    "container_image": "container.image.name",
    "process_name": "process.name or process.executable",
    "dns_question_name": "dns.question.name",
    "file_path": "file.path",
    "file_name": "file.path or dll.path",
    "email_recipient": "email.to.address",
    "package_name": "package.name",
}
_SYSMON = "microsoft-windows-sysmon"
_SECURITY = "microsoft-windows-security-auditing"
_WINDOWS = {
    f"{_SYSMON} 1": "ecs-process-start",
    f"{_SYSMON} 3": "ecs-network",
    f"{_SYSMON} 6": "ecs-driver-load",
    f"{_SYSMON} 7": "ecs-library-load",
    f"{_SYSMON} 11": "ecs-file-creation",
    f"{_SYSMON} 22": "ecs-dns",
    f"{_SECURITY} 4624": "ecs-authentication",
    f"{_SECURITY} 4625": "ecs-authentication",
    f"{_SECURITY} 4634": "ecs-authentication-end",
    f"{_SECURITY} 4647": "ecs-authentication-end",
    f"{_SECURITY} 4672": "ecs-authentication-privileged",
    f"{_SECURITY} 4688": "ecs-process-start",
    f"{_SECURITY} 5140": "ecs-file-share",
}
"""Types of Windows records by provider and number, for documents that have no category."""


def parse_ecs(lines: DataFrame) -> DataFrame:
    """Normalise ECS documents; line → record, in the shape of PARSED_COLUMNS.

    Parameters
    ----------
    lines : DataFrame
        As :func:`shoal.sources.files.read_lines` yields.
    """
    fault = F.when(~is_json(), why_no_object(F.col("value")))
    by_type = rules()
    return (
        lines.transform(_add_document)
        .transform(add_fields)
        .transform(_add_record_type, [*by_type])
        .transform(add_common)
        .transform(parse_events, by_type, fault=fault, words=_WORDS)
    )


def _add_document(lines: DataFrame) -> DataFrame:
    """Add ``json``, the document of a line or of the hit that it holds; line → line."""
    is_hit = F.contains("value", F.lit('"_source"'))
    return (
        lines.withColumn("line", F.col("value"))
        .transform(add_object, "hit", F.when(is_hit, F.col("value")), ["_source"])
        .withColumn("value", F.coalesce(F.col("hit")[field_name("_source")], F.col("value")))
        .transform(add_json, PATHS)
        .withColumn("value", F.col("line"))
    )


def _add_record_type(records: DataFrame, taken: Sequence[str]) -> DataFrame:
    """Add ``types`` and ``record_type``, the first that is taken; record → record.

    One projection after another, so that what is named several times is computed once.
    """
    lists = {"categories": "event.category", "types": "event.type", "actions": "event.action"}
    kind = F.lower(field("event.kind"))
    fitting = F.filter("candidates", lambda one: one.isin(list(taken)))
    return (
        records.withColumns({name: texts_of(field(path)) for name, path in lists.items()})
        .withColumn("candidates", F.transform("categories", _type_of))
        .withColumn(
            "record_type",
            F.when(kind.isin(list(OTHER_KINDS)), _named(kind)).otherwise(
                F.coalesce(
                    F.get(fitting, 0),
                    F.get("candidates", 0),
                    _type_of_windows(),
                    F.lit("ecs-uncategorised"),
                )
            ),
        )
    )


def _type_of(category: Column) -> Column:
    """Type of record of a category; other categories than _TYPES are types by themselves."""
    record_type = _named(category)
    for name, type_of in _TYPES.items():
        record_type = F.when(category == name, type_of()).otherwise(record_type)
    return record_type


def _named(*parts: Column | str) -> Column:
    """Type of record named by its category, and by what it is of it."""
    texts = [F.lit(part) if isinstance(part, str) else part for part in parts]
    return F.concat(F.lit("ecs-"), c.slug(F.concat_ws("-", *texts)))


def _has(values: str, *some: str) -> Column:
    """Whether ``types`` or ``actions`` hold one of some texts."""
    return F.coalesce(F.arrays_overlap(values, F.array(*map(F.lit, some))), F.lit(False))


def _is_windows(*numbers: str) -> Column:
    return F.coalesce(field("winlog.event_id").isin(list(numbers)), F.lit(False))


def _type_of_windows() -> Column:
    """Type of a Windows record that has no category, by its provider and number."""
    provider = F.lower(field("winlog.provider_name"))
    return c.named(F.concat(provider, F.lit(" "), field("winlog.event_id")), _WINDOWS)


def _process() -> Column:
    is_fork = _has("actions", "fork") & ~_has("actions", "exec", "start")
    return (
        F.when(F.startswith(F.get("actions", 0), F.lit("image loaded")), "ecs-library-load")
        .when(_has("actions", "already_running"), "ecs-process-already-running")
        .when(is_fork, "ecs-process-fork")
        .when(_has("types", "start"), "ecs-process-start")
        .otherwise(_named("process", F.get("types", 0)))
    )


def _network() -> Column:
    """Type of a network document, by what it says beside the connection.

    Elastic Defend tells of a connection by its opening and of its end in another document, and
    of a name when it is asked for and when it is answered; Packetbeat reports a flow while it
    lasts, each time with its sums from the beginning. Each is taken once.
    """
    is_dns = field("dns.question.name").isNotNull()
    has_no_answer = _has("actions", "lookup_requested") & ~_has("actions", "lookup_result")
    is_tls = F.coalesce(field("tls.client.ja3"), field("tls.established")).isNotNull()
    is_end = _has("types", "end") & ~_has("types", "start", "connection")
    return (
        F.when(_is_windows("5140"), "ecs-file-share")
        .when(is_dns & has_no_answer, "ecs-dns-lookup-requested")
        .when(is_dns, "ecs-dns")
        .when(is_tls & field("http.request.method").isNull(), "ecs-tls")
        .when(_is_web(), "ecs-web")
        .when(is_end, "ecs-network-end")
        .when(F.lower(field("flow.final")) == "false", "ecs-network-unfinished")
        .when(field("destination.ip").isNotNull(), "ecs-network")
        .otherwise(_named("network", F.get("types", 0)))
    )


def _is_web() -> Column:
    names = ("http.request.method", "url.full", "url.original", "url.domain", "url.path")
    return F.coalesce(*(field(name) for name in names)).isNotNull()


def _web() -> Column:
    return F.when(_is_web(), "ecs-web").otherwise(_named("web", F.get("types", 0)))


def _authentication() -> Column:
    is_end = _has("types", "end") | _has("actions", *LOGGED_OFF) | _is_windows("4634", "4647")
    return (
        F.when(is_end, "ecs-authentication-end")
        .when(_has("actions", "logged-in-explicit"), "ecs-authentication-explicit")
        .otherwise("ecs-authentication")
    )


def _iam() -> Column:
    is_privileged = _has("actions", "logged-in-special")
    return F.when(is_privileged, "ecs-authentication-privileged").otherwise("ecs-iam")


def _file() -> Column:
    is_pipe = F.startswith(F.get("actions", 0), F.lit("pipe"))
    return (
        F.when(is_pipe, "ecs-file-pipe")
        .when(_has("types", "creation"), "ecs-file-creation")
        .otherwise(_named("file", F.get("types", 0)))
    )


def _loaded(category: str) -> Column:
    is_load = _has("types", "start") | _has("actions", "load")
    return F.when(is_load, f"ecs-{category}-load").otherwise(_named(category, F.get("types", 0)))


_TYPES: Mapping[str, Callable[[], Column]] = {
    "process": _process,
    "network": _network,
    "web": _web,
    "authentication": _authentication,
    "iam": _iam,
    "file": _file,
    "library": lambda: _loaded("library"),
    "driver": lambda: _loaded("driver"),
    "package": lambda: _named("package", F.get("types", 0)),
}
"""Type of record by category, from the fields."""
