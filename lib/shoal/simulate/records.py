"""What the logs beside processes, connections and logons hold of a machine's day."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Sources = Literal["basic", "all"]
"""``basic``: Sysmon 1 and 3, Security 4624 and 4625, Zeek's conn; ``all``: the others, too."""
SOURCES: tuple[Sources, ...] = get_args(Sources)


class FileWrite(NamedTuple):
    """A file created."""

    second: float
    program: str
    user: str
    path: str


class Load(NamedTuple):
    """A library loaded into a program."""

    second: float
    program: str
    user: str
    library: str
    is_signed: bool


class Logoff(NamedTuple):
    """The end of a session; ``kind`` is Windows' logon type."""

    second: float
    user: str
    kind: int


class Privileged(NamedTuple):
    """A logon that was given special privileges."""

    second: float
    user: str


class Query(NamedTuple):
    """A name asked for; ``number`` is that of the connection that it went over."""

    number: int
    second: float
    name: str
    kind: str
    code: str
    answers: tuple[str, ...] = ()
    ttl_s: int = 0


class WebRequest(NamedTuple):
    """A request in the clear, over the connection of a number."""

    number: int
    second: float
    host: str
    uri: str
    agent: str
    method: str
    status: int


class TlsSession(NamedTuple):
    """A TLS session of the connection of a number; ``-`` is a server that is not named."""

    number: int
    second: float
    server: str
    version: str
    ja3: str
    is_established: bool


@dataclass(frozen=True)
class Manner:
    """How a connection is spoken, where that is not told by its program and its peer.

    Attributes
    ----------
    is_asked_for : whether the peer's name was asked for before
    is_odd : whether the peer has a name such as are bought by the hundred, not one like others
    server : what TLS names: the peer's own name, one made up each time, or none
    is_web : whether it is a web request in the clear
    agent, ja3, uri : of the client, if they are not its program's
    """

    is_asked_for: bool = True
    is_odd: bool = False
    server: Literal["own", "made up", "none"] = "own"
    is_web: bool = False
    agent: str | None = None
    ja3: str | None = None
    uri: str | None = None


@dataclass
class Traces:
    """What those logs hold of one machine's day."""

    files: list[FileWrite] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    logoffs: list[Logoff] = field(default_factory=list)
    privileged: list[Privileged] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    requests: list[WebRequest] = field(default_factory=list)
    sessions: list[TlsSession] = field(default_factory=list)
