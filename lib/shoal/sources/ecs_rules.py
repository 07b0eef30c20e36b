"""Which field of an ECS document fills which event column."""

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.ecs_fields import DATA, FIELDS, HASHES, ICMP, common, data, ends, field, first
from shoal.sources.mapping import TARGET_URL, EventRule

_LOGON_TYPES = {
    "interactive": "2", "network": "3", "batch": "4", "service": "5", "unlock": "7",
    "networkcleartext": "8", "newcredentials": "9", "remoteinteractive": "10",
    "cachedinteractive": "11", "cachedremoteinteractive": "12", "cachedunlock": "13",
}  # fmt: skip
"""Logon types by the names that winlogbeat and Elastic Defend write."""
_DIRECTIONS = {
    "ingress": "inbound", "inbound": "inbound", "egress": "outbound", "outbound": "outbound",
}  # fmt: skip


def rules() -> dict[str, EventRule]:
    """Rules by type of record, see :mod:`shoal.sources.ecs`."""
    logon, loaded, package = _logon_texts(), _loaded_texts(), _package_texts()
    return {
        "ecs-process-start": EventRule("process", _process_texts(), needs=("process_name",)),
        "ecs-network": EventRule("network", _network_texts(), needs=("destination_ip",)),
        "ecs-dns": EventRule("dns", _dns_texts(), needs=("dns_question_name",)),
        "ecs-web": EventRule("web", _web_texts()),
        "ecs-tls": EventRule("tls", _tls_texts(), needs=("destination_ip",)),
        "ecs-authentication": EventRule("auth", logon),
        "ecs-authentication-end": EventRule("auth", logon, action="logged_off"),
        "ecs-authentication-explicit": EventRule("auth", logon, action="explicit"),
        "ecs-authentication-privileged": EventRule("auth", logon, action="privileged"),
        "ecs-file-creation": EventRule("file", _file_texts(), needs=("file_name",)),
        "ecs-file-share": EventRule(
            "file",
            {**common(), **ends(), "file_path": first(f"{DATA}ShareName", "file.path")},
            action="shared",
            needs=("file_path",),
        ),
        "ecs-library-load": EventRule("file", loaded, action="loaded", needs=("file_name",)),
        "ecs-driver-load": EventRule("file", loaded, action="loaded", needs=("file_name",)),
        "ecs-email": EventRule("email", _email_texts(), needs=("email_recipient",)),
        "ecs-package-info": EventRule("package", package, needs=("package_name",)),
        "ecs-package-installation": EventRule(
            "package", package, action="installed", needs=("package_name",)
        ),
        # The new version is what the document names.
        "ecs-package-change": EventRule(
            "package", package, action="installed", needs=("package_name",)
        ),
        "ecs-package-deletion": EventRule(
            "package", package, action="removed", needs=("package_name",)
        ),
    }


def _process_texts() -> dict[str, Column]:
    arguments = F.from_json(field("process.args"), "array<string>")
    # In a record 4688 ProcessId is the process that started the new one.
    creator = F.when(data("NewProcessId").isNotNull(), data("ProcessId"))
    return {
        **common(),
        "process_command_line": F.coalesce(
            field("process.command_line"),
            data("CommandLine"),
            F.array_join(arguments, " "),
        ),
        "process_parent_pid": F.coalesce(
            first("process.parent.pid", "process.ppid"), data("ParentProcessId"), creator
        ),
        "process_parent_name": field("process.parent.name"),
        "process_parent_path": F.coalesce(
            field("process.parent.executable"), data("ParentImage"), data("ParentProcessName")
        ),
        "process_original_name": F.coalesce(
            field("process.pe.original_file_name"), data("OriginalFileName")
        ),
        "is_signed": _signed("process"),
    }


def _signed(*owners: str) -> Column:
    """Whether the signature holds; a file without one is not signed."""
    held = [f"{o}.code_signature.{n}" for o in owners for n in ("trusted", "valid")]
    held = [name for name in held if name in FIELDS]
    exists = first(*(f"{owner}.code_signature.exists" for owner in owners))
    return F.coalesce(first(*held), F.when(F.lower(exists) == "false", "false"))


def _network_texts() -> dict[str, Column]:
    transport = F.coalesce(field("network.transport"), data("Protocol"))
    return {
        **common(),
        **ends(),
        "network_transport": F.coalesce(_looked_up(transport, ICMP), transport),
        "network_protocol": field("network.protocol"),
        "network_direction": _looked_up(field("network.direction"), _DIRECTIONS),
        "bytes_out": field("source.bytes"),
        "bytes_in": field("destination.bytes"),
        "packets_out": field("source.packets"),
        "packets_in": field("destination.packets"),
        # Nanoseconds.
        "duration_us": F.call_function(
            "div", c.whole_number(field("event.duration")), F.lit(1000)
        ).cast("string"),
        "is_failed": _failed(),
    }


def _dns_texts() -> dict[str, Column]:
    status = F.lower(first("sysmon.dns.status", "dns.Ext.status"))
    code = field("dns.response_code")
    return {
        **common(),
        **ends(),
        "dns_question_name": F.coalesce(field("dns.question.name"), data("QueryName")),
        "dns_question_type": field("dns.question.type"),
        "dns_response_code": code,
        "dns_answer_count": F.coalesce(
            field("dns.answers_count"),
            F.json_array_length(field("dns.answers")).cast("string"),
            F.json_array_length(field("dns.resolved_ip")).cast("string"),
        ),
        # Of Windows the status is that of its resolver: 0, or SUCCESS by name.
        "is_failed": F.coalesce(
            (F.upper(code) != "NOERROR").cast("string"),
            (~status.isin("0", "success")).cast("string"),
            _failed(),
        ),
    }


def _web_texts() -> dict[str, Column]:
    original, query = field("url.original"), field("url.query")
    is_path = F.startswith(original, F.lit("/"))
    path = F.concat(
        field("url.path"), F.coalesce(F.concat(F.lit("?"), F.when(query != "", query)), F.lit(""))
    )
    status = field("http.response.status_code")
    return {
        **common(),
        **ends(),
        "http_request_method": field("http.request.method"),
        "http_response_status_code": status,
        "url_domain": field("url.domain"),
        "url_path": F.coalesce(path, F.when(is_path, original)),
        TARGET_URL: F.coalesce(field("url.full"), F.when(~is_path, original)),
        "user_agent_original": field("user_agent.original"),
        "is_failed": F.coalesce(c.is_error_status(status).cast("string"), _failed()),
        "bytes_out": first("source.bytes", "http.request.bytes", "http.request.body.bytes"),
        "bytes_in": first("destination.bytes", "http.response.bytes", "http.response.body.bytes"),
    }


def _tls_texts() -> dict[str, Column]:
    names = {"issuer": "tls_issuer", "subject": "tls_subject"}
    return {
        **common(),
        **ends(),
        "tls_server_name": field("tls.client.server_name"),
        # ECS parts "tls" and "1.2".
        "tls_version": F.when(
            field("tls.version").isNotNull(),
            F.concat_ws(" ", field("tls.version_protocol"), field("tls.version")),
        ),
        "tls_client_ja3": field("tls.client.ja3"),
        "tls_client_ja4": field("tls.client.ja4"),
        **{
            column: first(f"tls.server.{name}", f"tls.server.x509.{name}.distinguished_name")
            for name, column in names.items()
        },
        "is_failed": F.coalesce((~c.flag(field("tls.established"))).cast("string"), _failed()),
    }


def _logon_texts() -> dict[str, Column]:
    both, number = ends(), field("winlog.event_id")
    named = first("winlog.logon.type", "process.Ext.session_info.logon_type")
    of_data = c.whole_number(data("LogonType")).cast("string")
    package = F.coalesce(
        data("AuthenticationPackageName"), field("process.Ext.session_info.authentication_package")
    )
    return {
        **common(),
        **both,
        # A logon without a connection has port 0.
        "source_port": F.when(both["source_port"] != "0", both["source_port"]),
        "source_host_name": F.coalesce(field("source.domain"), data("WorkstationName")),
        "logon_type": F.coalesce(of_data, _looked_up(named, _LOGON_TYPES)),
        "auth_package": F.coalesce(package, F.when(field("process.name") == "sshd", "ssh")),
        "is_failed": F.coalesce(
            _failed(), F.when(number == "4625", "true").when(number == "4624", "false")
        ),
        "user_agent_original": field("user_agent.original"),
        "target_host_name": data("TargetServerName"),
    }


def _file_texts() -> dict[str, Column]:
    return {
        **common(),
        **ends(),
        "file_path": F.coalesce(field("file.path"), data("TargetFilename")),
        "file_name": field("file.name"),
        "file_size": field("file.size"),
        "file_mime_type": field("file.mime_type"),
        "file_hash": first(*(f"file.hash.{name}" for name in HASHES)),
        "is_signed": _signed("file"),
    }


def _loaded_texts() -> dict[str, Column]:
    hashes = [f"{of}.hash.{name}" for name in HASHES for of in ("dll", "file")]
    return {
        **common(),
        "file_path": F.coalesce(first("dll.path", "file.path"), data("ImageLoaded")),
        "file_name": first("dll.name", "file.name"),
        "file_size": field("file.size"),
        "file_hash": first(*hashes),
        "is_signed": _signed("dll", "file"),
    }


def _email_texts() -> dict[str, Column]:
    return {
        **common(),
        "email_sender": first("email.from.address", "email.sender.address"),
        "email_reply_to": field("email.reply_to.address"),
        "email_recipient": field("email.to.address"),
        "email_subject": field("email.subject"),
        "is_failed": _failed(),
    }


def _package_texts() -> dict[str, Column]:
    names = ("name", "version", "type")
    return {**common(), **{f"package_{name}": field(f"package.{name}") for name in names}}


def _failed() -> Column:
    """Whether it was refused, as far as the outcome tells; ``unknown`` is null."""
    outcome = F.lower(field("event.outcome"))
    is_denied = F.array_contains("types", "denied")
    return F.when(is_denied | (outcome == "failure"), "true").when(outcome == "success", "false")


def _looked_up(text: Column, names: Mapping[str, str]) -> Column:
    return c.named(F.lower(F.trim(text)), names)
