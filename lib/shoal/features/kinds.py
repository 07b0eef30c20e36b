"""What an event of each table shows: the values of its dimensions, its flags, its text.

The tables are ``EVENT_TABLES``; what the dimensions and flags mean stands in
``shoal.contracts.activity``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.features.text import registered_domain
from shoal.features.values import folder, joined, peer_network, top_level_domain

Columns = Mapping[str, Column]

INTERPRETERS = (
    "powershell.exe", "pwsh.exe", "pwsh", "cmd.exe", "wscript.exe", "cscript.exe", "mshta.exe",
    "bash", "sh", "dash", "zsh", "ksh", "python", "python.exe", "python3", "perl", "perl.exe",
    "ruby", "php", "node", "node.exe", "osascript",
)  # fmt: skip
"""ATT&CK T1059, sub-techniques 1 to 8."""
LIVING_OFF_LAND = (
    "bitsadmin.exe", "certutil.exe", "cmstp.exe", "control.exe", "csc.exe", "esentutl.exe",
    "expand.exe", "extrac32.exe", "finger.exe", "forfiles.exe", "hh.exe", "ieexec.exe",
    "installutil.exe", "mavinject.exe", "msbuild.exe", "msdt.exe", "mshta.exe", "msiexec.exe",
    "msxsl.exe", "odbcconf.exe", "pcalua.exe", "presentationhost.exe", "reg.exe", "regasm.exe",
    "regsvcs.exe", "regsvr32.exe", "rundll32.exe", "schtasks.exe", "scriptrunner.exe",
    "sc.exe", "verclsid.exe", "wmic.exe", "wsl.exe", "xwizard.exe",
    "curl", "wget", "nc", "ncat", "socat", "base64", "openssl", "xxd", "at", "crontab",
)  # fmt: skip
"""The LOLBAS and GTFOBins projects: the ones seen most in reports of intrusions."""
USUAL_FOLDERS = (
    r"(?i)^([a-z]:\\(windows|program files|program files \(x86\)|programdata\\microsoft)\\"
    r"|/(usr|bin|sbin|lib|lib64|opt|snap|nix|System|Applications|Library)/)"
)
ENCODED = (
    r"(?i)(\s[-/]e(nc?|nco|ncod|ncode|ncoded|ncodedc\w*)?\s+[A-Za-z0-9+/=]{16}"
    r"|frombase64string|base64\s+(-d|--decode)|[A-Za-z0-9+/]{120}={0,2}(\s|$|['\"]))"
)
COMMON_PORTS = (
    22, 25, 53, 67, 80, 88, 110, 111, 123, 135, 137, 138, 139, 143, 161, 389, 443, 445, 465, 514,
    587, 636, 993, 995, 1433, 1521, 3268, 3306, 3389, 5353, 5355, 5432, 5985, 5986, 6379, 8080,
    8443, 9200, 27017,
)  # fmt: skip
EXECUTABLES = r"(?i)\.(exe|dll|sys|scr|com|msi|cpl|ocx|jar|so|elf|dylib|bin)$"
SCRIPTS = r"(?i)\.(ps1|psm1|vbs|vbe|js|jse|wsf|hta|bat|cmd|sh|py|pl|rb|php|jsp|aspx?)$"
EXECUTABLE_TYPES = r"(?i)(x-dosexec|x-executable|x-sharedlib|x-elf|java-archive|x-msdownload)"
REMOTE_LOGON_TYPES = (3, 10)
"""Network and remote desktop (Security 4624, LogonType)."""


@dataclass(frozen=True)
class TableKind:
    """How the events of one table are told.

    Attributes
    ----------
    traits : columns of events that dimensions and flags are made of, after events alike are merged
    derived : traits that are made of other columns, before that
    dimensions : values by dimension, of a table's usual events
    of_actions : values by dimension, by action
    flags : conditions by flag, of a table's usual events
    flags_of_actions : conditions by flag, by action
    text : column whose length and entropy are summed
    """

    traits: tuple[str, ...]
    dimensions: Callable[[], Columns] = dict
    of_actions: Callable[[], Mapping[str, Columns]] = dict
    flags: Callable[[], Columns] = dict
    flags_of_actions: Mapping[str, Callable[[], Columns]] = field(default_factory=dict)
    derived: Callable[[], Columns] = dict
    text: str | None = None


def _port() -> Column:
    port = F.concat_ws("/", F.coalesce("network_transport", F.lit("ip")), "destination_port")
    return F.when(F.col("destination_port").isNotNull(), port)


def _process_dimensions() -> Columns:
    program = F.col("process_name")
    return {
        "program": program,
        "parent_child": joined(F.col("process_parent_name"), program),
        "folder": F.col("folder"),
    }


def _process_traits() -> Columns:
    name, original = F.col("process_name"), F.col("process_original_name")
    return {
        "folder": folder(F.col("process_path")),
        "is_unusual": ~F.col("process_path").rlike(USUAL_FOLDERS),
        "is_renamed": (original != name) & ~original.isin("-", "?"),
        "is_encoded": F.col("process_command_line").rlike(ENCODED),
    }


def _process_flags() -> Columns:
    return {
        "interpreter": F.col("process_name").isin(*INTERPRETERS),
        "living_off_land": F.col("process_name").isin(*LIVING_OFF_LAND),
        "unusual_path": F.col("is_unusual"),
        "renamed": F.col("is_renamed"),
        "unsigned": ~F.col("is_signed"),
        "encoded_command": F.col("is_encoded"),
    }


def _network_dimensions() -> Columns:
    program, port = F.col("process_name"), _port()
    network = peer_network(F.col("peer_address"))
    return {
        "program": program,
        "port": port,
        "program_port": joined(program, port),
        "service": F.col("network_protocol"),
        "peer_network": network,
        "peer_owner": F.col("peer_owner"),
        "peer_country": F.col("peer_country"),
        "program_network": joined(program, network),
    }


def _network_flags() -> Columns:
    return {
        "inbound": F.col("network_direction") == "inbound",
        "uncommon_port": ~F.col("destination_port").isin(*COMMON_PORTS),
    }


def _auth_dimensions() -> Columns:
    return {
        "logon_type": F.col("logon_type").cast("string"),
        "logon_source": F.col("source_ip"),
        "logon_country": F.col("logon_country"),
        "auth_package": F.col("auth_package"),
        "target_host": F.col("target_host_name"),
    }


def _dns_traits() -> Columns:
    name = F.col("dns_question_name")
    return {"domain": registered_domain(name), "top_level_domain": top_level_domain(name)}


def _link_traits() -> Columns:
    domain = F.col("url_domain")
    return {
        "link_domain": registered_domain(domain),
        "top_level_domain": top_level_domain(domain),
        "sender_domain": F.substring_index("email_sender", "@", -1),
        "is_answered_elsewhere": F.col("email_reply_to") != F.col("email_sender"),
    }


TABLE_KINDS: Mapping[str, TableKind] = {
    "process": TableKind(
        traits=("process_name", "process_parent_name", "is_signed", "task_name"),
        derived=_process_traits,
        dimensions=_process_dimensions,
        of_actions=lambda: {"scheduled": {"task": F.lower("task_name")}},
        flags=_process_flags,
        text="process_command_line",
    ),
    "network": TableKind(
        traits=(
            "process_name", "destination_port", "network_transport", "network_protocol",
            "network_direction",
        ),
        dimensions=_network_dimensions,
        of_actions=lambda: {"listening": {"listening_port": _port()}},
        flags=_network_flags,
    ),
    "auth": TableKind(
        traits=("logon_type", "auth_package", "target_host_name"),
        dimensions=_auth_dimensions,
        of_actions=lambda: {"explicit": {"target_host": F.col("target_host_name")}},
        flags=lambda: {"remote_logon": F.col("logon_type").isin(*REMOTE_LOGON_TYPES)},
    ),
    "file": TableKind(
        traits=("process_name", "file_mime_type", "is_signed"),
        derived=lambda: {
            "file_folder": folder(F.col("file_path")),
            "short_name": F.when(F.col("event_action").isin("loaded", "shared"), F.lower(
                F.coalesce("file_name", "file_path"))),
            "is_executable": F.col("file_name").rlike(EXECUTABLES),
            "is_script": F.col("file_name").rlike(SCRIPTS),
        },
        dimensions=lambda: {
            "program": F.col("process_name"), "file_folder": F.col("file_folder"),
        },
        of_actions=lambda: {
            "loaded": {"library": F.col("short_name")},
            "shared": {"share": F.col("short_name")},
            "transferred": {"mime_type": F.col("file_mime_type")},
        },
        flags=lambda: {
            "executable_write": F.col("is_executable"), "script_write": F.col("is_script"),
        },
        flags_of_actions={
            "loaded": lambda: {"unsigned_library": ~F.col("is_signed")},
            "transferred": lambda: {
                "executable_transfer": F.col("file_mime_type").rlike(EXECUTABLE_TYPES)
                | F.col("is_executable")
            },
        },
    ),
    "dns": TableKind(
        traits=("dns_question_type",),
        derived=_dns_traits,
        dimensions=lambda: {
            "domain": F.col("domain"),
            "domain_type": F.col("dns_question_type"),
            "top_level_domain": F.col("top_level_domain"),
        },
        flags=lambda: {"text_query": F.col("dns_question_type").isin("txt", "null")},
        text="dns_question_name",
    ),
    "web": TableKind(
        traits=("user_agent_original", "destination_ip"),
        derived=lambda: {"web_domain": registered_domain(F.col("url_domain"))},
        dimensions=lambda: {
            "web_domain": F.col("web_domain"), "user_agent": F.col("user_agent_original"),
        },
        text="url_path",
    ),
    "tls": TableKind(
        traits=(),
        derived=lambda: {
            "tls_server": registered_domain(F.col("tls_server_name")),
            "tls_client": F.coalesce("tls_client_ja4", "tls_client_ja3"),
            "is_unnamed": F.col("tls_server_name").isNull(),
        },
        dimensions=lambda: {
            "tls_server": F.col("tls_server"), "tls_client": F.col("tls_client"),
        },
        flags=lambda: {"unnamed_server": F.col("is_unnamed")},
    ),
    "email": TableKind(
        traits=("email_link_count",),
        derived=_link_traits,
        dimensions=lambda: {
            "sender_domain": F.col("sender_domain"),
            "link_domain": F.col("link_domain"),
            "top_level_domain": F.col("top_level_domain"),
        },
        flags=lambda: {
            "reply_elsewhere": F.col("is_answered_elsewhere"),
            "linked": F.col("link_domain").isNotNull() | (F.col("email_link_count") > 0),
        },
        text="url_path",
    ),
    "package": TableKind(
        traits=("package_name",),
        dimensions=lambda: {"package": F.col("package_name")},
        of_actions=lambda: {"installed": {"package": F.col("package_name")}},
    ),
    "syscall": TableKind(
        traits=("syscall_name",), dimensions=lambda: {"syscall": F.col("syscall_name")}
    ),
}  # fmt: skip

ADDRESS_TABLES = frozenset({"dns", "web", "tls", "file"})
"""Tables whose events a sensor reports by address alone, without the host."""
