"""Fields of an ECS document, nested or dotted, each as the text of its first value."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.json_text import json_field
from shoal.sources.mapping import TARGET_USER

DATA = "winlog.event_data."
_DATA_FIELDS = (
    # of the process
    "Image", "NewProcessName", "ProcessName", "CommandLine", "ProcessId", "NewProcessId",
    "ParentImage", "ParentProcessName", "ParentProcessId", "OriginalFileName",
    # of the account
    "User", "TargetUserName", "TargetDomainName", "SubjectUserName", "SubjectDomainName",
    # of the connection and the logon
    "SourceIp", "SourcePort", "DestinationIp", "DestinationPort", "Protocol", "IpAddress",
    "IpPort", "WorkstationName", "LogonType", "AuthenticationPackageName", "TargetServerName",
    # of what was touched or asked for
    "TargetFilename", "ImageLoaded", "QueryName", "ShareName",
)  # fmt: skip
HASHES = ("sha512", "sha256", "sha1", "md5")
"""Longest first."""
LISTS = ("event.category", "event.type", "event.action", "process.args", "dns.answers",
         "dns.resolved_ip")  # fmt: skip
"""Fields of which more than the first value is read."""
_AS_WRITTEN = (*LISTS, "process.command_line", f"{DATA}CommandLine")
"""Lists, and texts that may well begin as an array or an object does."""
SHARED = (
    # what tells the type
    "event.category", "event.type", "event.action", "event.kind", "event.outcome",
    "winlog.event_id", "winlog.provider_name", "flow.final", "dns.question.name",
    "tls.established", "tls.client.ja3", "http.request.method",
    "url.full", "url.original", "url.domain", "url.path",
    # when, whose, by which program
    "@timestamp", "event.created", "host.name", "host.hostname", "agent.name",
    "user.name", "user.domain", "user.id", "container.id", "container.name",
    "container.image.name", "orchestrator.namespace", "orchestrator.resource.name",
    "kubernetes.namespace", "kubernetes.pod.name",
    "process.pid", "process.name", "process.executable",
    # both ends of a connection
    "source.ip", "source.port", "destination.ip", "destination.port", "network.transport",
)  # fmt: skip
"""Fields of most documents, or of most rules."""
_OWN = (
    "event.duration", "process.args", "process.command_line", "process.pe.original_file_name",
    "process.code_signature.trusted", "process.code_signature.exists",
    "process.parent.pid", "process.ppid", "process.parent.name", "process.parent.executable",
    "source.bytes", "source.packets", "source.domain", "destination.bytes", "destination.packets",
    "network.protocol", "network.direction",
    "dns.question.type", "dns.response_code", "dns.answers_count", "dns.answers",
    "dns.resolved_ip", "dns.Ext.status", "sysmon.dns.status",
    "http.request.bytes", "http.request.body.bytes",
    "http.response.status_code", "http.response.bytes", "http.response.body.bytes",
    "url.query", "user_agent.original", "tls.version", "tls.version_protocol",
    "tls.client.server_name", "tls.client.ja4", "tls.server.issuer", "tls.server.subject",
    "tls.server.x509.issuer.distinguished_name", "tls.server.x509.subject.distinguished_name",
    "file.path", "file.name", "file.size", "file.mime_type", "dll.path", "dll.name",
    *(f"{of}.hash.{name}" for of in ("file", "dll") for name in HASHES),
    *(
        f"{of}.code_signature.{name}"
        for of in ("file", "dll") for name in ("trusted", "valid", "exists")
    ),
    "email.from.address", "email.sender.address", "email.reply_to.address", "email.to.address",
    "email.subject", "package.name", "package.version", "package.type",
    "process.Ext.session_info.logon_type", "process.Ext.session_info.authentication_package",
    "winlog.logon.type", *(f"{DATA}{name}" for name in _DATA_FIELDS),
)  # fmt: skip
FIELDS = (*SHARED, *_OWN)
PATHS = tuple(path for name in FIELDS for path in (name.replace(".", "/"), name))
"""Where each field may stand: nested, or at the top with its dots."""
LIST_LENGTH = 1024
"""Characters read of a list of categories, types or actions; ECS has a handful of each."""
COMMON = (
    "event_ts", "host_name", TARGET_USER, "user_domain", "user_id",
    "container_id", "container_name", "container_image",
    "orchestrator_namespace", "orchestrator_pod", "process_pid", "process_name", "process_path",
)  # fmt: skip
ENDS = ("source_ip", "destination_ip", "source_port", "destination_port")
ICMP = {"icmp": "icmp", "ipv6-icmp": "icmp", "icmpv6": "icmp"}


def add_fields(records: DataFrame) -> DataFrame:
    """Add each of SHARED as text under its own name, from ``json``; record → record.

    The other fields are found where a rule names them, in the records of its type alone.
    """
    found = {name: _found(name) for name in SHARED}
    first = {name: _one(F.col(f"`{name}`")) for name in SHARED if name not in _AS_WRITTEN}
    # Two projections: the first value names the text more than once.
    return records.withColumns(found).withColumns(first)


def field(name: str) -> Column:
    """Text of a field of FIELDS, after :func:`add_fields`.

    The nested field goes before the dotted one. Of an array its first value is taken, and an
    object where a text is due is null; lists and command lines are as written.
    """
    if name in SHARED:
        return F.col(f"`{name}`")
    if name in _AS_WRITTEN:
        return _found(name)
    return c.once(_found(name), _one)


def texts_of(text: Column) -> Column:
    """Values of a field that is one text or an array of texts, in lower case.

    Taken apart at the commas, for a JSON reader a line is what costs most here; what it is for
    are words of ECS, which hold none.
    """
    words = F.lower(F.trim(F.translate(F.substring(text, 1, LIST_LENGTH), '[]"', "")))
    return F.array_remove(F.split(F.when(words != "", words), ","), "null")


def _found(name: str) -> Column:
    return F.coalesce(json_field(name.replace(".", "/")), json_field(name))


def _one(text: Column) -> Column:
    is_object = F.startswith(text, F.lit('{"')) | (text == "{}")
    is_array = F.startswith(text, F.lit("[")) & F.endswith(text, F.lit("]"))
    several = F.from_json(text, "array<string>")
    # A text in brackets that is no array stays that text.
    one = F.when(several.isNotNull(), F.get(several, 0)).otherwise(text)
    return F.when(is_array, one).when(~is_object, text)


def data(name: str) -> Column:
    """Field of a Windows record, in documents that no pipeline brought into ECS."""
    return field(f"{DATA}{name}")


def first(*names: str) -> Column:
    """Text of the first of some fields that a document has."""
    return F.coalesce(*(field(name) for name in names))


def add_common(records: DataFrame) -> DataFrame:
    """Add the texts that most rules share, for :func:`common` and :func:`ends`; record → record."""
    texts = {**_common_texts(), **_end_texts()}
    return records.withColumns({_common(name): text for name, text in texts.items()})


def common() -> dict[str, Column]:
    """Texts of COMMON by target: when, whose, and by which program."""
    return {name: F.col(_common(name)) for name in COMMON}


def ends() -> dict[str, Column]:
    """Texts of ENDS by target: the ends of a connection."""
    return {name: F.col(_common(name)) for name in ENDS}


def _common(target: str) -> str:
    return f"common_{target}"


def _common_texts() -> dict[str, Column]:
    target, subject = c.clean(data("TargetUserName")), c.clean(data("SubjectUserName"))
    is_named = F.coalesce(field("user.name"), data("User")).isNotNull()
    data_domain = F.when(target.isNotNull(), data("TargetDomainName")).otherwise(
        data("SubjectDomainName")
    )
    return {
        "event_ts": first("@timestamp", "event.created"),
        "host_name": first("host.name", "host.hostname", "agent.name"),
        TARGET_USER: F.coalesce(field("user.name"), data("User"), target, subject),
        "user_domain": F.coalesce(field("user.domain"), F.when(~is_named, data_domain)),
        "user_id": field("user.id"),
        "container_id": field("container.id"),
        "container_name": field("container.name"),
        "container_image": field("container.image.name"),
        "orchestrator_namespace": first("orchestrator.namespace", "kubernetes.namespace"),
        "orchestrator_pod": first("kubernetes.pod.name", "orchestrator.resource.name"),
        "process_pid": F.coalesce(field("process.pid"), data("NewProcessId"), data("ProcessId")),
        "process_name": field("process.name"),
        "process_path": F.coalesce(
            field("process.executable"),
            data("Image"),
            data("NewProcessName"),
            data("ProcessName"),
        ),
    }


def _end_texts() -> dict[str, Column]:
    transport = F.lower(field("network.transport"))
    # The ports of ICMP are its type and code.
    has_ports = ~F.coalesce(transport.isin(list(ICMP)), F.lit(False))
    ports = {
        "source_port": F.coalesce(field("source.port"), data("SourcePort"), data("IpPort")),
        "destination_port": F.coalesce(field("destination.port"), data("DestinationPort")),
    }
    return {
        "source_ip": F.coalesce(field("source.ip"), data("SourceIp"), data("IpAddress")),
        "destination_ip": F.coalesce(field("destination.ip"), data("DestinationIp")),
        **{name: F.when(has_ports, text) for name, text in ports.items()},
    }
