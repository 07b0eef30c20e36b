"""What an entity's day is told by: kinds of events, dimensions of values, and flags.

Each is declared once; ``shoal.features.kinds`` says how it is found in an event, and the features
of ``shoal.contracts.features`` are made of these.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Knowledge:
    """What a hunter wants to know of a feature beyond its value.

    Attributes
    ----------
    family : group of features that stand or fall by one kind of log
    raised_by : what makes it larger
    forging : how easily who is watched can keep it low: easy, costly or hard
    technique : ATT&CK technique that it shows, where one fits
    """

    family: str
    raised_by: str = ""
    forging: str = "easy"
    technique: str = ""


@dataclass(frozen=True)
class Kind:
    """Events counted together: a table's usual ones, or those of one action."""

    name: str
    unit: str
    doc: str
    known: Knowledge
    has_failures: bool = False
    text: str = ""
    """What the length and entropy of its text are of, if it has a text."""

    @property
    def failed_share(self) -> str:
        """Name of the feature that tells how many of them failed."""
        return f"{'logon' if self.name == 'auth' else self.name}_failed_share"


@dataclass(frozen=True)
class Dimension:
    """What values of an event are counted by, and held against the past and the peers.

    ``plural`` names its values; ``of`` ends the sentence that does so.
    """

    name: str
    plural: str
    known: Knowledge
    of: str = ""


@dataclass(frozen=True)
class Flag:
    """A trait that an event has or has not; ``kind`` is the one it is a share of."""

    name: str
    kind: str
    doc: str
    known: Knowledge


_EXECUTION = Knowledge("process", "starting programs", "costly", "T1059")
_TRAFFIC = Knowledge("network", "opening or accepting connections", "costly", "T1071")
_LOGONS = Knowledge("logon", "logging on", "hard", "T1078")
_FILES = Knowledge("file", "creating files", "costly", "T1105")
_NAMES = Knowledge("dns", "asking for names", "costly", "T1071.004")
_WEB = Knowledge("web", "web requests", "costly", "T1071.001")
_TLS = Knowledge("tls", "TLS sessions", "costly", "T1573")
_MAIL = Knowledge("email", "receiving mail", "easy", "T1566")
_PACKAGES = Knowledge("package", "installing or removing packages", "hard", "T1072")
_CALLS = Knowledge("syscall", "system calls", "costly", "T1106")

KINDS = (
    Kind("process", "launches", "programs started", _EXECUTION, text="a command line"),
    Kind(
        "process_scheduled", "tasks", "programs set to start",
        Knowledge("process", "scheduled tasks", "hard", "T1053.005"),
    ),
    Kind("network", "connections", "connections opened or accepted", _TRAFFIC, has_failures=True),
    Kind(
        "network_listening", "ports", "ports found open",
        Knowledge("network", "services that wait for connections", "hard", "T1571"),
    ),
    Kind("auth", "logons", "logons, successful and refused", _LOGONS, has_failures=True),
    Kind("auth_logged_off", "logoffs", "sessions ended", Knowledge("logon", "ending sessions")),
    Kind(
        "auth_explicit", "logons", "logons with other credentials than one's own",
        Knowledge("logon", "runas, remote tools", "hard", "T1550"),
    ),
    Kind(
        "auth_privileged", "logons", "logons that were given special privileges",
        Knowledge("logon", "administrators' logons", "hard", "T1078.002"),
    ),
    Kind("file", "files", "files created", _FILES),
    Kind(
        "file_loaded", "libraries", "libraries loaded into programs",
        Knowledge("file", "programs and their plug-ins", "costly", "T1574"),
    ),
    Kind(
        "file_shared", "shares", "shares opened",
        Knowledge("file", "use of network shares", "hard", "T1021.002"),
    ),
    Kind(
        "file_transferred", "files", "files seen on the network",
        Knowledge("file", "downloads and uploads", "hard", "T1105"),
    ),
    Kind("dns", "names", "names asked for", _NAMES, has_failures=True, text="a name asked for"),
    Kind("web", "requests", "web requests", _WEB, has_failures=True, text="a path and query"),
    Kind("tls", "sessions", "TLS sessions", _TLS, has_failures=True),
    Kind("email", "mails", "mails", _MAIL, has_failures=True, text="a link's path and query"),
    Kind("package", "packages", "packages found installed", _PACKAGES),
    Kind("package_installed", "packages", "packages newly installed", _PACKAGES),
    Kind("package_removed", "packages", "packages removed", _PACKAGES),
    Kind(
        "syscall", "calls", "system calls other than those that start programs or connect", _CALLS,
        has_failures=True,
    ),
)  # fmt: skip

DIMENSIONS = (
    Dimension("program", "programs", _EXECUTION, "behind launches, connections and created files"),
    Dimension("parent_child", "parent and child pairs", _EXECUTION, "of launches"),
    Dimension(
        "folder", "folders", Knowledge("process", "programs outside the usual places", "easy",
        "T1036.005"), "that programs were started from",
    ),
    Dimension("task", "tasks", Knowledge("process", "persistence", "hard", "T1053.005")),
    Dimension("user", "users", _LOGONS),
    Dimension("host", "hosts", _LOGONS),
    Dimension("logon_source", "addresses", _LOGONS, "logged on from"),
    Dimension(
        "logon_country", "countries",
        Knowledge("logon", "credentials used abroad", "costly", "T1078"),
        "logged on from, by the address databases",
    ),
    Dimension(
        "target_host", "hosts", Knowledge("logon", "moving between hosts", "hard", "T1021"),
        "logged on to, as another host reports",
    ),
    Dimension("peer_address", "peer addresses", _TRAFFIC),
    Dimension("peer_network", "peer networks", _TRAFFIC),
    Dimension(
        "peer_owner", "network owners",
        Knowledge("network", "talking to other providers", "costly", "T1583"),
        "of peer addresses, by the address databases",
    ),
    Dimension(
        "peer_country", "countries",
        Knowledge("network", "talking to other countries", "costly", "T1583"),
        "of peer addresses, by the address databases",
    ),
    Dimension(
        "port", "service ports", Knowledge("network", "scans and unusual services", "hard", "T1046")
    ),
    Dimension(
        "program_port", "program and port pairs",
        Knowledge("network", "a program that does what it never does", "hard", "T1571"),
    ),
    Dimension(
        "program_network", "program and network pairs",
        Knowledge("network", "a program that does what it never does", "hard", "T1071"),
    ),
    Dimension(
        "listening_port", "ports", Knowledge("network", "back doors and services", "hard", "T1571"),
        "held open",
    ),
    Dimension(
        "file_folder", "folders", _FILES, "that files were created in",
    ),
    Dimension(
        "library", "libraries", Knowledge("file", "side-loading, injection", "costly", "T1574.002"),
        "loaded",
    ),
    Dimension("share", "shares", Knowledge("file", "use of network shares", "hard", "T1021.002")),
    Dimension("domain", "domains", Knowledge("dns", "generated names, tunnels", "costly",
        "T1568.002"), "asked for, by what can be registered"),
    Dimension("web_domain", "web sites", _WEB),
    Dimension(
        "user_agent", "client programs", Knowledge("web", "tools that call themselves so", "easy",
        "T1071.001"), "as they call themselves",
    ),
    Dimension("tls_server", "servers", _TLS, "named in TLS sessions"),
    Dimension("tls_client", "clients", Knowledge("tls", "programs with a TLS of their own",
        "costly", "T1573"), "by their TLS fingerprint"),
    Dimension("sender_domain", "domains", _MAIL, "of senders"),
    Dimension("link_domain", "domains", Knowledge("email", "links in mail", "easy", "T1566.002"),
        "of links in mail"),
    Dimension("package", "packages", _PACKAGES),
    Dimension("syscall", "system calls", _CALLS, "by name"),
)  # fmt: skip
"""Dimensions whose values are counted, as new for the entity, as rare and by their surprise."""

DIMENSION_NAMES = tuple(dimension.name for dimension in DIMENSIONS)

OTHER_DIMENSIONS = {
    "total": "all of the day, with an empty value",
    "category": "kind of event",
    "flag": "trait of an event",
    "image": "image of the container",
    "service": "protocol the log recognised",
    "logon_type": "type of logon",
    "auth_package": "package that authenticated",
    "web_address": "address that web requests went to",
    "mime_type": "type of content of a file on the network",
    "domain_type": "type of record asked for",
    "top_level_domain": "last part of a name asked for or linked to",
}
"""Dimensions that are counted, but not as new or rare, and what they hold."""

PROFILE_DIMENSIONS = ("program", "port", "domain", "user_agent", "package", "syscall")
"""Dimensions of the sparse profile."""

HORIZONS = (7, 14, 28)
"""Days that windows of an entity's history reach back."""

WEEKS_BEFORE = (7, 14)
"""Days before one: who or what was there on both is usual for its weekday, and else missed."""

WINDOWED_DIMENSIONS = ("program", "user", "target_host", "peer_address", "port", "domain")
"""Dimensions whose distinct values are counted over weeks: what is done low and slow."""

LASTING_DIMENSIONS = ("program", "listening_port", "package")
"""Dimensions of what stays on a machine, so that its absence is told, too."""

CONFIGURATION_DIMENSIONS = (*LASTING_DIMENSIONS, "parent_child")
"""Dimensions whose gains and losses are changes of a configuration."""

PROGRAM_PAIRS = ("parent_child", "program_port", "program_network")
"""Dimensions of pairs with a program: the child of a parent, the one that talks."""

FLAGS = (
    Flag("interpreter", "process", "launches of command interpreters and script hosts", _EXECUTION),
    Flag(
        "living_off_land", "process",
        "launches of the system's own programs that are known to run others' code",
        Knowledge("process", "proxied execution", "costly", "T1218"),
    ),
    Flag(
        "unusual_path", "process", "launches of programs outside the system's program folders",
        Knowledge("process", "dropped programs", "easy", "T1036.005"),
    ),
    Flag(
        "renamed", "process", "launches of programs that were built under another name",
        Knowledge("process", "copies of system tools", "easy", "T1036.003"),
    ),
    Flag(
        "unsigned", "process", "launches of programs without a valid signature",
        Knowledge("process", "dropped programs", "costly", "T1553.002"),
    ),
    Flag(
        "encoded_command", "process", "command lines that carry encoded text",
        Knowledge("process", "obfuscation", "easy", "T1027.010"),
    ),
    Flag("inbound", "network", "connections that were accepted", _TRAFFIC),
    Flag(
        "uncommon_port", "network", "connections to ports of no common service",
        Knowledge("network", "own protocols, scans", "easy", "T1571"),
    ),
    Flag(
        "remote_logon", "auth", "logons over the network or a remote desktop",
        Knowledge("logon", "moving between hosts", "hard", "T1021"),
    ),
    Flag(
        "executable_write", "file", "created files whose name is of a program or library",
        Knowledge("file", "dropped programs", "easy", "T1105"),
    ),
    Flag(
        "script_write", "file", "created files whose name is of a script",
        Knowledge("file", "dropped scripts", "easy", "T1059"),
    ),
    Flag(
        "unsigned_library", "file_loaded", "loaded libraries without a valid signature",
        Knowledge("file", "side-loading", "costly", "T1574.002"),
    ),
    Flag(
        "executable_transfer", "file_transferred", "files on the network that are programs",
        Knowledge("file", "tools brought in", "easy", "T1105"),
    ),
    Flag(
        "text_query", "dns", "names asked for by TXT or NULL records",
        Knowledge("dns", "tunnels", "costly", "T1071.004"),
    ),
    Flag(
        "unnamed_server", "tls", "TLS sessions that name no server",
        Knowledge("tls", "tools with a TLS of their own", "easy", "T1573"),
    ),
    Flag(
        "reply_elsewhere", "email", "mails whose answers go to another address than the sender's",
        Knowledge("email", "fraud", "easy", "T1566"),
    ),
    Flag("linked", "email", "mails with a link", Knowledge("email", "links", "easy", "T1566.002")),
)  # fmt: skip
