"""What an act leaves in the other logs, as strong as it is in the first ones.

*weak* is what a careful intruder leaves: a name like others, the system's own TLS, no file but what
the act cannot do without.
"""

from collections.abc import Callable

from shoal.simulate.acts import TUNNEL_QUERIES_A_SOCKET, user_of
from shoal.simulate.behaviour import DAY_S, HostDay
from shoal.simulate.fleet import Fleet, number_of
from shoal.simulate.names import WORDS
from shoal.simulate.programs import ja3_like
from shoal.simulate.records import FileWrite, Load, Manner, Query, Traces
from shoal.simulate.story import Act
from shoal.simulate.traces import path_in, stream

_OLD_BROWSER = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)"
_LOCAL = "C:\\Users\\{user}\\AppData\\Local\\"
_ORDINARY = Manner()
_MANNERS: dict[str, dict[str, Manner]] = {
    # Relays are addresses from a list, and Tor makes up the server that it names.
    "tor_client": {
        "weak": Manner(is_asked_for=False, ja3=ja3_like("nss")),
        "middle": Manner(is_asked_for=False, server="made up", ja3=ja3_like("tor")),
        "strong": Manner(is_asked_for=False, server="made up", ja3=ja3_like("tor")),
    },
    "java_worker": {
        "middle": Manner(is_asked_for=False),
        "strong": Manner(is_asked_for=False),
    },
    "build_runner_compromised": {
        "middle": Manner(is_web=True, is_odd=True),
        "strong": Manner(is_web=True, is_asked_for=False, server="none"),
    },
    "beacon": {
        "middle": Manner(is_web=True, agent=_OLD_BROWSER, uri="/pixel.gif?id={n}"),
        "strong": Manner(is_web=True, is_odd=True, agent="Mozilla/4.0 (X)", uri="/gate.php?{n}"),
    },
    "miner": {"middle": Manner(is_odd=True), "strong": Manner(is_odd=True)},
    "slow_exfiltration": {
        "middle": Manner(is_odd=True),
        "strong": Manner(is_asked_for=False, server="none"),
    },
    "group_compromised": {
        "middle": Manner(is_web=True),
        "strong": Manner(is_web=True, is_odd=True),
    },
}


def manner_of(act: Act) -> Manner:
    """How the connections of an act are spoken."""
    return _MANNERS.get(act.kind, {}).get(act.strength or "", _ORDINARY)


def leave_traces(act: Act, log: HostDay, first: int) -> None:
    """Add the files, libraries and queries of an act.

    Parameters
    ----------
    first : number of its first connection
    """
    leave = _TRACES.get(act.kind)
    if leave is not None and log.traces is not None:
        leave(act, log, log.traces, first)


def _write(
    log: HostDay, traces: Traces, count: int, program: str, user: str, *patterns: str
) -> None:
    """Create files of patterns in turn, at the time of the machine's work."""
    rng = stream(log, "written by acts")
    for number in range(count):
        path = path_in(patterns[number % len(patterns)], user, rng)
        traces.files.append(FileWrite(float(rng.uniform(3e4, 7e4)), program, user, path))


def _tor_client(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """The bundle is unpacked on the first day."""
    if act.nth_day:
        return
    if act.strength == "weak":
        _write(log, traces, 1, "firefox.exe", user_of(log), _LOCAL + "Updater\\updater.exe")
        return
    folder = "C:\\Users\\{user}\\Desktop\\Tor Browser\\"
    count = 2 if act.strength == "middle" else 6
    _write(
        log, traces, count, "firefox.exe", user_of(log), folder + "tor.exe", folder + "{word}.dll"
    )


def _java_worker(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    count = {"weak": 0, "middle": 1, "strong": 6}[act.strength or "weak"]
    _write(log, traces, count, "java", log.host.service_account, "/tmp/.{word}.sh", "/tmp/.{n}.jar")


def _beacon(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """The master's code is a library that the program of everybody is given."""
    if act.strength == "weak":
        return
    user, name = user_of(log), WORDS[number_of(log.fleet.seed, act.story) % len(WORDS)]
    library = (_LOCAL + f"Temp\\{name}.dll").format(user=user)
    if not act.nth_day:
        _write(log, traces, 1, "explorer.exe", user, library)
    second = float(stream(log, "loaded by acts").uniform(2e4, 5e4))
    for number in range(1 if act.strength == "middle" else 4):
        traces.loads.append(Load(second + 60.0 * number, "rundll32.exe", user, library, False))


def _miner(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """The program has to get there on the first day, and its settings with it."""
    if act.strength == "weak" or act.nth_day:
        return
    name = "kworkerds" if act.strength == "middle" else "xmrig"
    count = 1 if act.strength == "middle" else 3
    user, folder = log.host.service_account, "/var/tmp/.x/"
    _write(log, traces, count, "sh", user, folder + name, folder + "{word}.sh", folder + "libx.so")


def _exfiltration(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """What is sent is packed before."""
    count = {"weak": 1, "middle": 4, "strong": 15}[act.strength or "weak"]
    windows = log.host.role.is_windows
    program, pattern = ("powershell.exe", "C:\\ProgramData\\{word}\\{n}.zip")
    if not windows:
        program, pattern = "tar", "/var/tmp/{n}.tar.gz"
    elif act.strength == "weak":
        pattern = "C:\\Windows\\Temp\\{n}.zip"
    _write(log, traces, count, program, user_of(log), pattern)


def _lateral_movement(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """Tools are copied to the machines that are reached."""
    if act.strength == "weak" or act.place == 0:
        return
    count = 1 if act.strength == "middle" else 4
    if log.host.role.is_windows:
        patterns = ("C:\\Windows\\{word}svc.exe", "C:\\Windows\\Temp\\{n}.ps1")
        _write(log, traces, count, "wsmprovhost.exe", "svc_deploy", *patterns)
    else:
        _write(log, traces, count, "sshd", "svc_deploy", "/tmp/.{word}.sh", "/tmp/.{n}.so")


def _group(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """The letter is opened, and what it brings is written."""
    user = user_of(log)
    if not act.nth_day:
        letter = _LOCAL + "Microsoft\\Windows\\INetCache\\Content.Outlook\\invoice.docm"
        _write(log, traces, 1, "outlook.exe", user, letter)
    if act.strength != "weak":
        count = 1 if act.strength == "middle" else 4
        temporary = _LOCAL + "Temp\\"
        _write(log, traces, count, "powershell.exe", user, temporary + "{n}.ps1",
               temporary + "{word}.dll")  # fmt: skip


def _dns_tunnel(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """What is to leave is part of names asked for, all under one domain."""
    rng, domain = stream(log, "tunnel"), tunnel_domain(log.fleet, act)
    length = 24 if act.strength == "weak" else 50
    for number in range(first, len(log.connections)):
        socket = log.connections[number]
        if socket.service != "dns" or socket.is_failed or not socket.second:
            continue
        for late in rng.exponential(120.0, TUNNEL_QUERIES_A_SOCKET):
            letters = rng.integers(32, size=length)
            label = "".join("abcdefghijklmnopqrstuvwxyz234567"[int(n)] for n in letters)
            second = min(socket.second + float(late), DAY_S - 1.0)
            name = f"{label}.{domain}"
            traces.queries.append(Query(number, second, name, "TXT", "NOERROR", ("ok",), 0))


def tunnel_domain(fleet: Fleet, act: Act) -> str:
    """The domain of a story's tunnel; a name like others, for it was bought for this."""
    number = number_of("tunnel", fleet.seed, act.story)
    return f"{WORDS[number % len(WORDS)]}{WORDS[(number >> 8) % len(WORDS)]}-sync.net"


def _tool(act: Act, log: HostDay, traces: Traces, first: int) -> None:
    """A tool is fetched on the first day."""
    if not act.nth_day:
        name = act.story.replace("developer_", "")
        path = f"C:\\Users\\{{user}}\\Downloads\\{name}.exe"
        _write(log, traces, 1, "chrome.exe", user_of(log), path)


_TRACES: dict[str, Callable[[Act, HostDay, Traces, int], None]] = {
    "tor_client": _tor_client,
    "java_worker": _java_worker,
    "beacon": _beacon,
    "miner": _miner,
    "slow_exfiltration": _exfiltration,
    "lateral_movement": _lateral_movement,
    "group_compromised": _group,
    "dns_tunnel": _dns_tunnel,
    "developer_tool": _tool,
}
