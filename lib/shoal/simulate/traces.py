"""What the other logs see of a machine's day: names, web requests, TLS, files, libraries, sessions.

All of it follows from what the machine starts, whom it talks to and who logs on. What an act adds
comes after the ordinary day and is drawn after it, so that the ordinary traces are the same with
and without it.
"""

from bisect import bisect_right
from collections.abc import Mapping

from shoal.simulate.behaviour import DAY_S, Connection, HostDay
from shoal.simulate.fleet import Rng, number_of, rng_of
from shoal.simulate.names import HOME_DOMAIN, WORDS, name_of, plain_addresses, ttl_of
from shoal.simulate.programs import (
    BROWSERS,
    WINRM_AGENT,
    agent_of,
    files_of,
    is_known,
    ja3_like,
    ja3_of,
    libraries_of,
)
from shoal.simulate.records import (
    FileWrite,
    Load,
    Logoff,
    Manner,
    Privileged,
    Query,
    TlsSession,
    Traces,
    WebRequest,
)

WINRM_PORT = 5985
_WEB_PORTS = (80, 8000, 8080, 3000, 5000)
_ORDINARY = Manner()
_FAILED_QUERY_SHARE = 0.02
_TYPING_ERROR_SHARE = 0.004
_UNNAMED_SHARE = 0.01
"""Share of TLS sessions that name no server, as those to a bare address do."""
_FAILED_TLS_SHARE = 0.008
_OLD_BROWSER_SHARE = 0.15
_BROWSER = 128
_LOAD_SHARE = 0.4
_UNSIGNED_SHARE = 0.15
"""Of the loads of programs that nobody else has."""
_ADMIN_SHARE = 0.3
"""Of the people who log on to servers."""
_SITES = ("article", "assets", "images", "news", "products", "search", "api", "static")
_ENDINGS = ("", "", "/index.html", ".js", ".css", ".png", ".json")


def add_traces(
    log: HostDay, launches: int, connections: int, manners: Mapping[int, Manner]
) -> None:
    """Fill ``log.traces`` from the day, and give web connections their port and service.

    Parameters
    ----------
    launches, connections : how many come before those of the acts
    manners : by number of a connection, how it is spoken if not in the ordinary way
    """
    log.traces = Traces()
    for number, connection in enumerate(log.connections):
        log.connections[number] = as_spoken(log, connection, manners.get(number, _ORDINARY))
    _add_queries(log, connections, manners)
    _add_reputation(log, connections)
    _add_requests(log, manners)
    _add_sessions(log, manners)
    _add_files(log, launches)
    _add_loads(log)
    _add_logon_traces(log)


def as_spoken(log: HostDay, connection: Connection, manner: Manner) -> Connection:
    """The connection over HTTP in the clear, if that is what its peer or its port is for."""
    if connection.service != "ssl" or connection.is_inbound:
        return connection
    is_plain = connection.port == 443 and connection.peer in plain_addresses(log.fleet)
    if connection.port in _WEB_PORTS or manner.is_web or is_plain:
        port = 80 if connection.port == 443 else connection.port
        return connection._replace(service="http", port=port)
    return connection


def sockets_of(log: HostDay, until: int | None = None) -> list[int]:
    """Numbers of the connections that the machine asks for names over, in order of time."""
    found = [
        number
        for number, connection in enumerate(log.connections[:until])
        if connection.service == "dns" and not connection.is_inbound and not connection.is_failed
    ]
    return sorted(found, key=lambda number: log.connections[number].second)


def stream(log: HostDay, subject: str) -> Rng:
    """Random numbers of the day for one kind of trace."""
    return rng_of(log.fleet.seed, subject, log.host.index, log.day)


def path_in(pattern: str, user: str, rng: Rng) -> str:
    """A path of a pattern of the catalogue."""
    own = WORDS[number_of("project", user, int(rng.integers(3))) % len(WORDS)]
    if user == "system":
        pattern = pattern.replace("C:\\Users\\{user}\\AppData\\Local\\Temp", "C:\\Windows\\Temp")
    word = WORDS[int(rng.integers(len(WORDS)))]
    digits = f"{rng.integers(16**8):08x}"
    return pattern.format(user=user, project=own, word=word, n=digits)


def _add_queries(log: HostDay, n_ordinary: int, manners: Mapping[int, Manner]) -> None:
    """Ask for the name of every outside peer, unless it is remembered.

    A machine's resolver keeps its socket: a query goes over the last connection for names before.
    """
    rng = stream(log, "dns")
    over = _Sockets(log, n_ordinary)
    numbered = list(enumerate(log.connections))
    asked: dict[str, float] = {}
    for part in (numbered[:n_ordinary], numbered[n_ordinary:]):
        for number, connection in sorted(part, key=lambda item: item[1].second):
            manner = manners.get(number, _ORDINARY)
            if not _is_looked_up(connection, manner):
                continue
            name = name_of(log.fleet, connection.peer, is_odd=manner.is_odd)
            second, ttl_s = connection.second, ttl_of(name)
            if name in asked and 0 <= second - asked[name] < ttl_s:
                continue
            asked[name] = second
            second = max(0.0, second - 0.02 - 0.1 * rng.random())
            if rng.random() < _FAILED_QUERY_SHARE:
                over.ask(second, f"{name}.{HOME_DOMAIN}", "A", "NXDOMAIN")
            if rng.random() < _TYPING_ERROR_SHARE * bool(log.users):
                place = 1 + int(rng.integers(4))
                over.ask(second, name[:place] + name[place + 1 :], "A", "NXDOMAIN")
            over.ask(second, name, "A", "NOERROR", (connection.peer,), ttl_s)
            if connection.service == "smtp":
                over.ask(second, name.partition(".")[2], "TXT", "NOERROR", ("v=spf1 -all",), ttl_s)


def _is_looked_up(connection: Connection, manner: Manner) -> bool:
    is_outside = not connection.peer.startswith("10.")
    is_opened = not connection.is_inbound and connection.service != "dns"
    return is_outside and is_opened and manner.is_asked_for


def _add_reputation(log: HostDay, n_ordinary: int) -> None:
    """The agent asks for what is known of files: long names under one domain, as tunnels have."""
    rng, over = stream(log, "reputation"), _Sockets(log, n_ordinary)
    domain = name_of(log.fleet, str(log.fleet.addresses("fleet_cloud")[0])).partition(".")[2]
    for second in rng.random(int(rng.poisson(2.0))) * DAY_S:
        digits = f"{rng.integers(2**62):016x}{rng.integers(2**62):016x}"
        kind = "TXT" if rng.random() < 0.3 else "A"
        is_known_file = rng.random() < 0.7
        answers = ("127.0.0.4",) if is_known_file else ()
        code = "NOERROR" if is_known_file else "NXDOMAIN"
        over.ask(float(second), f"{digits}.rep.{domain}", kind, code, answers, 300)


class _Sockets:
    """Where a machine's queries go: its connections for names."""

    def __init__(self, log: HostDay, n_ordinary: int) -> None:
        self._log = log
        self._numbers = sockets_of(log, n_ordinary) or [self._opened()]
        self._seconds = [log.connections[number].second for number in self._numbers]

    def _opened(self) -> int:
        """Open one, where the day has none; at the end, so that no number changes."""
        log = self._log
        if found := [n for n in sockets_of(log) if log.connections[n].second == 0.0]:
            return found[0]
        program = "svchost.exe" if log.host.role.is_windows else "systemd-resolved"
        server = str(log.fleet.addresses("domain_controller")[0])
        log.connections.append(
            Connection(
                0.0, program, "system", server, 53, "udp", "dns", 60, 180, 0.02, False, False
            )
        )
        return len(log.connections) - 1

    def ask(
        self,
        second: float,
        name: str,
        kind: str,
        code: str,
        answers: tuple[str, ...] = (),
        ttl_s: int = 0,
    ) -> None:
        place = max(bisect_right(self._seconds, second) - 1, 0)
        query = Query(self._numbers[place], second, name, kind, code, answers, ttl_s)
        _traces(self._log).queries.append(query)


def _add_requests(log: HostDay, manners: Mapping[int, Manner]) -> None:
    rng = stream(log, "http")
    browser = _BROWSER + log.day // 14
    if number_of("browser", log.fleet.seed, log.host.nature) % 100 < 100 * _OLD_BROWSER_SHARE:
        browser -= 1
    for number, connection in enumerate(log.connections):
        if connection.service != "http" or connection.is_failed or not _is_seen(connection):
            continue
        manner = manners.get(number, _ORDINARY)
        draw, uri = rng.random(3), _uri(connection.program, rng)
        agent = agent_of(connection.program, browser) if manner.agent is None else manner.agent
        if connection.port == WINRM_PORT:
            uri, agent = "/wsman", WINRM_AGENT
        host = name_of(log.fleet, connection.peer, is_odd=manner.is_odd)
        if manner.server == "none":
            host = connection.peer
        if manner.uri is not None:
            uri = manner.uri.format(n=f"{int(draw[0] * 16**8):08x}")
        is_sending = connection.port == WINRM_PORT or connection.bytes_out > connection.bytes_in
        method = "POST" if is_sending or draw[1] < 0.03 else "GET"
        status = _status(float(draw[2]))
        second = min(connection.second + 0.05, DAY_S - 1e-3)
        _traces(log).requests.append(WebRequest(number, second, host, uri, agent, method, status))


def _uri(program: str, rng: Rng) -> str:
    site, word = (int(n) for n in rng.integers((len(_SITES), len(WORDS))))
    ending, digits = int(rng.integers(len(_ENDINGS))), f"{rng.integers(16**5):05x}"
    if program == "prometheus":
        return "/metrics"
    if program == "apt":
        return f"/debian/pool/main/{WORDS[word][0]}/{WORDS[word]}_{site}.{ending}_amd64.deb"
    if program == "svchost.exe":
        return f"/msdownload/update/v3/static/trustedr/en/{WORDS[word]}stl.cab"
    if program == "nginx":
        return f"/api/v1/{WORDS[word % 8]}/{digits}"
    if program in BROWSERS and ending == 0:
        return "/"
    return f"/{_SITES[site]}/{WORDS[word]}{_ENDINGS[ending]}" + (f"?v={digits}" * (ending > 2))


def _status(draw: float) -> int:
    for limit, status in ((0.86, 200), (0.91, 304), (0.95, 302), (0.985, 404), (0.995, 403)):
        if draw < limit:
            return status
    return 500


def _is_seen(connection: Connection) -> bool:
    """Whether the sensor writes the connection with this machine's."""
    return not connection.is_inbound or not connection.peer.startswith("10.")


def _add_sessions(log: HostDay, manners: Mapping[int, Manner]) -> None:
    rng = stream(log, "ssl")
    for number, connection in enumerate(log.connections):
        if connection.service != "ssl" or connection.is_failed or not _is_seen(connection):
            continue
        manner, draw = manners.get(number, _ORDINARY), rng.random(3)
        if connection.is_inbound:
            server, ja3 = f"www.shop.{HOME_DOMAIN}", ja3_like("delivery network")
        else:
            server = _server(log, connection, manner, float(draw[0]), rng)
            ja3 = manner.ja3 or ja3_of(connection.program)
        is_old = number_of("tls version", connection.peer) % 10 < 3
        version = "TLSv12" if is_old else "TLSv13"
        second = min(connection.second + 0.03, DAY_S - 1e-3)
        is_established = bool(draw[1] >= _FAILED_TLS_SHARE)
        _traces(log).sessions.append(
            TlsSession(number, second, server, version, ja3, is_established)
        )


def _server(log: HostDay, connection: Connection, manner: Manner, draw: float, rng: Rng) -> str:
    if manner.server == "made up":
        letters = rng.integers(26, size=14)
        return f"www.{''.join(chr(ord('a') + int(n)) for n in letters)}.com"
    # Programs that nobody else has are often pointed at a bare address.
    unnamed = _UNNAMED_SHARE if is_known(connection.program) else 0.2
    if manner.server == "none" or (manner is _ORDINARY and draw < unnamed):
        return "-"
    return name_of(log.fleet, connection.peer, is_odd=manner.is_odd)


def _add_files(log: HostDay, n_ordinary: int) -> None:
    """Files that programs create when they are started, and the downloads that start as odd ones.

    Those of acts' launches have random numbers of their own.
    """
    for subject, processes in (
        ("file", log.processes[:n_ordinary]),
        ("file of acts", log.processes[n_ordinary:]),
    ):
        rng, files = stream(log, subject), _traces(log).files
        for process in processes:
            for mean, pattern in files_of(process.program):
                for late in rng.exponential(40.0, int(rng.poisson(mean))):
                    second = min(process.second + float(late), DAY_S - 1e-3)
                    path = path_in(pattern, process.user, rng)
                    files.append(FileWrite(second, process.program, process.user, path))
            is_download = process.program.endswith(".exe") and not is_known(process.program)
            if is_download and process.parent in ("explorer.exe", "chrome.exe"):
                path = f"C:\\Users\\{process.user}\\Downloads\\{process.program}"
                second = max(process.second - 30.0, 0.0)
                files.append(FileWrite(second, "chrome.exe", process.user, path))


def _add_loads(log: HostDay) -> None:
    if not log.host.role.is_windows:
        return
    rng = stream(log, "load")
    for process in log.processes:
        draws = rng.random(3)
        if draws[0] >= _LOAD_SHARE:
            continue
        found = libraries_of(process.program)
        library, is_signed = found[int(draws[1] * len(found))], True
        if not is_known(process.program) and draws[2] < _UNSIGNED_SHARE:
            stem = process.program.removesuffix(".exe")
            library, is_signed = f"C:\\Windows\\Temp\\{stem}\\{stem}.dll", False
        second = min(process.second + 0.2, DAY_S - 1e-3)
        _traces(log).loads.append(Load(second, process.program, process.user, library, is_signed))


def _add_logon_traces(log: HostDay) -> None:
    """Sessions end, if the day is long enough; administrators' and services' have privileges."""
    rng = stream(log, "session")
    for logon in log.logons:
        lasts = float(rng.lognormal(8.0, 1.0)) if logon.kind == 2 else float(rng.exponential(300))
        if logon.is_failed:
            continue
        traces = _traces(log)
        if is_privileged(log, logon.user):
            traces.privileged.append(Privileged(logon.second, logon.user))
        if logon.kind != 5 and logon.second + lasts < DAY_S:
            traces.logoffs.append(Logoff(logon.second + lasts, logon.user, logon.kind))


def is_privileged(log: HostDay, user: str) -> bool:
    """Whether an account's logons are given special privileges."""
    if user.startswith(("svc_", "adm_")):
        return True
    is_admin = number_of("admin", log.fleet.seed, user) % 100 < 100 * _ADMIN_SHARE
    return is_admin and not log.host.role.users


def _traces(log: HostDay) -> Traces:
    if log.traces is None:
        raise AssertionError("traces are asked for of a day that has none")
    return log.traces
