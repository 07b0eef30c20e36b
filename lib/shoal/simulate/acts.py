"""What an act adds to the day of a machine.

The strengths differ in how much there is to see, not in what: *strong* is what a rule would see,
*weak* what a careful intruder leaves.
"""

from collections.abc import Callable
from typing import TypeVar

from shoal.simulate.behaviour import (
    DAY_S,
    Connection,
    HostDay,
    Logon,
    Process,
    by_the_clock,
    odd_address,
)
from shoal.simulate.story import Act, Strength

T = TypeVar("T", int, float, str)
N = TypeVar("N", Process, Connection)

BOILING_GROWTH = 1.06
"""What a machine that is slowly boiled does more every day: three times as much in 19 days."""


TUNNEL_QUERIES_A_SOCKET = 15
"""Names that a tunnel asks for over one connection."""


def perform(act: Act, log: HostDay) -> None:
    """Add an act to the ordinary day of its machine."""
    _ACTS[act.kind](act, log)


def _by_strength(act: Act, choices: dict[Strength, T]) -> T:
    if act.strength is None:
        raise ValueError(f"{act.kind} of {act.story} has no strength")
    return choices[act.strength]


def _person(log: HostDay) -> str:
    return log.account("user", 1)[0]


def user_of(log: HostDay) -> str:
    """Who acts on a machine: a person where there are any, else its service account."""
    return _person(log) if log.host.role.users else log.host.service_account


def _tor_client(act: Act, log: HostDay) -> None:
    """A browser of its own in the user's folder, and long connections to a few relays."""
    user = _person(log)
    program = _by_strength(act, {"weak": "updater.exe", "middle": "tor.exe", "strong": "tor.exe"})
    relays = _by_strength(act, {"weak": 2, "middle": 5, "strong": 10})
    count = _by_strength(act, {"weak": 5, "middle": 24, "strong": 90})
    log.launch(log.seconds(1), "firefox.exe", "explorer.exe", user)
    log.launch(log.seconds(1 + relays // 4), program, "firefox.exe", user, f"{program} -f torrc")
    for n in range(relays):
        # Guards stay for weeks, the others change by the day.
        when = act.story if n < 2 else f"{act.story}/{act.day}"
        relay = odd_address(log.fleet, "relay", when, n)
        port = 443 if act.strength == "weak" or n % 3 == 2 else 9001
        seconds = log.seconds(count // relays + 1)
        log.connect(seconds, program, [relay] * len(seconds), port, user, lasting=300.0,
                    out=20_000, into=90_000)  # fmt: skip


def _java_worker(act: Act, log: HostDay) -> None:
    """The worker itself talks to a port and a network that no worker talks to."""
    count = _by_strength(act, {"weak": 2, "middle": 9, "strong": 50})
    port = 443 if act.strength == "weak" else 5555
    peer = odd_address(log.fleet, "java", act.story)
    user = log.host.service_account
    log.connect(log.seconds(count), "java", [peer] * count, port, user, lasting=40.0, service="-")
    if act.strength != "weak":
        shells = _by_strength(act, {"weak": 0, "middle": 3, "strong": 12})
        log.launch(log.seconds(shells), "sh", "java", user)


def _compiler(act: Act, log: HostDay) -> None:
    """Somebody compiles on a server what is not meant to be compiled there."""
    count = _by_strength(act, {"weak": 1, "middle": 5, "strong": 25})
    user = log.host.service_account
    seconds = log.at_hours(count, 1.0, 5.0)
    log.launch(seconds[:1], "make", "bash", user)
    log.launch(seconds, "gcc", "make", user, "gcc -O2 -o .x x.c")
    log.launch(seconds[: max(1, count // 2)], "ld", "gcc", user)
    if act.strength != "weak":
        log.launch(seconds[:2], "curl", "bash", user)
        peer = odd_address(log.fleet, "source", act.story)
        log.connect(seconds[:2], "curl", [peer] * 2, 443, user, into=900_000)


def _build_runner(act: Act, log: HostDay) -> None:
    """A step of a build reads what it should not and sends it away."""
    count = _by_strength(act, {"weak": 2, "middle": 6, "strong": 30})
    user = log.host.service_account
    program = "curl" if act.strength == "weak" else "nc"
    seconds = log.seconds(count)
    log.launch(seconds, program, "python3", user, f"{program} upload")
    log.launch(seconds[: count // 2], "cat", "python3", user, "cat /run/secrets/token")
    peer = odd_address(log.fleet, "dropper", act.story)
    port = 443 if act.strength == "weak" else 8081
    log.connect(seconds, program, [peer] * count, port, user, out=60_000, into=900)


def _beacon(act: Act, log: HostDay) -> None:
    """A program that everybody has asks its master for orders, all day long."""
    count = _by_strength(act, {"weak": 30, "middle": 110, "strong": 400})
    jitter = _by_strength(act, {"weak": 0.35, "middle": 0.15, "strong": 0.05})
    peer = odd_address(log.fleet, "c2", act.story)
    user = _person(log)
    log.launch(log.seconds(1), "rundll32.exe", "explorer.exe", user)
    seconds = by_the_clock(log.rng, count, jitter)
    log.connect(seconds, "rundll32.exe", [peer] * count, 443, user, out=700, into=900, lasting=0.4)


def _miner(act: Act, log: HostDay) -> None:
    """Few and very long connections to a pool, and a worker that is started again and again."""
    count = _by_strength(act, {"weak": 2, "middle": 8, "strong": 30})
    user = log.host.service_account
    program = _by_strength(act, {"weak": "python3", "middle": "kworkerds", "strong": "xmrig"})
    log.launch(log.seconds(count), program, "sh", user, f"{program} -o pool")
    log.launch(log.seconds(count // 2), "nproc", "sh", user)
    peer = odd_address(log.fleet, "pool", act.story)
    port = 443 if act.strength == "weak" else 3333
    log.connect(log.seconds(count), program, [peer] * count, port, user, lasting=9_000.0,
                out=90_000, into=200_000, service="-")  # fmt: skip


def _exfiltration(act: Act, log: HostDay) -> None:
    """Uploads in the small hours to a storage that this machine never used."""
    count = _by_strength(act, {"weak": 3, "middle": 10, "strong": 40})
    out = _by_strength(act, {"weak": 8_000_000, "middle": 60_000_000, "strong": 400_000_000})
    peer = odd_address(log.fleet, "storage", act.story)
    windows = log.host.role.is_windows
    program, parent = ("powershell.exe", "svchost.exe") if windows else ("curl", "sh")
    user = user_of(log)
    seconds = log.at_hours(count, 0.5, 5.0)
    log.launch(seconds[: max(1, count // 4)], program, parent, user)
    log.connect(seconds, program, [peer] * count, 443, user, out=float(out), into=4_000,
                lasting=60.0)  # fmt: skip


def _lateral_movement(act: Act, log: HostDay) -> None:
    """A service account goes from machine to machine, and looks round on each."""
    steps = _by_strength(act, {"weak": 2, "middle": 6, "strong": 15})
    is_windows = log.host.role.is_windows
    shell = "cmd.exe" if is_windows else "bash"
    looks = ("whoami.exe", "net.exe", "tasklist.exe") if is_windows else ("id", "ss", "ps")
    seconds = log.at_hours(steps, 0.0, 6.0)
    account = "svc_deploy"
    if act.place == 0:
        targets = [log.fleet.host(index) for index in act.partners]
        for target in targets:
            n = steps // len(targets) + 1
            tool = "powershell.exe" if is_windows else "ssh"
            log.launch(log.at_hours(n, 0.0, 6.0), tool, shell, account)
            log.connect(log.at_hours(n, 0.0, 6.0), tool, [target.address] * n, 5985, account,
                        service="http", lasting=30.0)  # fmt: skip
        return
    source = log.fleet.host(act.partners[0])
    log.logons += [Logon(second, account, 3, source.address, False) for second in seconds]
    log.launch(seconds[:2], shell, "wsmprovhost.exe" if is_windows else "sshd", account)
    for n, second in enumerate(seconds):
        log.launch([second], looks[n % len(looks)], shell, account)


def _group(act: Act, log: HostDay) -> None:
    """Several people opened the same letter: the same child of Word, the same master."""
    count = _by_strength(act, {"weak": 4, "middle": 16, "strong": 60})
    user = _person(log)
    story = act.story
    peers = [odd_address(log.fleet, "group", story, n) for n in range(2)]
    log.launch(log.seconds(1 + count // 8), "powershell.exe", "winword.exe", user)
    log.launch(log.seconds(1 + count // 16), "rundll32.exe", "powershell.exe", user)
    seconds = log.seconds(count)
    port = 443 if act.strength == "weak" else 8088
    log.connect(seconds, "powershell.exe", [peers[i % 2] for i in range(count)], port, user,
                out=4_000, into=30_000, lasting=3.0)  # fmt: skip


def _dns_tunnel(act: Act, log: HostDay) -> None:
    """Data leaves in names that are asked for; only what is loud asks without the system's help."""
    count = _by_strength(act, {"weak": 30, "middle": 240, "strong": 1_500})
    windows = log.host.role.is_windows
    user = user_of(log)
    shell, parent = ("powershell.exe", "explorer.exe") if windows else ("python3", "sh")
    log.launch(log.seconds(1), shell, parent, user)
    program, by = ("svchost.exe" if windows else "systemd-resolved"), "system"
    if act.strength == "strong":
        program, by = shell, user
    server = str(log.fleet.addresses("domain_controller")[0])
    seconds = log.seconds(count // TUNNEL_QUERIES_A_SOCKET)
    log.connect(seconds, program, [server] * len(seconds), 53, by, out=1_800, into=2_400,
                lasting=120.0, service="dns", transport="udp", failed_share=0.0)  # fmt: skip


def _scanner(act: Act, log: HostDay) -> None:
    """Knocks at every machine, at many ports."""
    ports = (21, 22, 23, 25, 80, 110, 135, 139, 389, 443, 445, 1433, 3306, 3389, 5432, 8080, 8443)
    hosts = [host for host in log.fleet.hosts if host.is_there(log.day)][:150]
    log.launch(log.seconds(4), "nessusd", "systemd", log.host.service_account)
    for number, port in enumerate(ports):
        knocked = hosts[number % 3 :: 3]
        seconds = log.at_hours(len(knocked), 1.0, 4.0)
        log.connect(seconds, "nessusd", [host.address for host in knocked], port,
                    log.host.service_account, out=200, into=100, failed_share=0.8,
                    lasting=0.1, service="-")  # fmt: skip


def _backup(act: Act, log: HostDay) -> None:
    """A hundred times what anybody else moves, every night."""
    pool = log.fleet.addresses("servers")
    peers = [str(pool[(log.day * 7 + n) % len(pool)]) for n in range(60)]
    log.connect(log.at_hours(60, 0.0, 5.0), "backupd.exe", peers, 445, log.host.service_account,
                out=90_000, into=3e9, lasting=900.0, service="smb")  # fmt: skip


def _sweep(act: Act, log: HostDay) -> None:
    """An admin runs the same thing on all servers of two kinds."""
    user = "adm_lena"
    if act.place == 0:
        log.launch(log.at_hours(20, 10.0, 12.0), "ansible", "bash", user)
        peers = [*log.fleet.addresses("database"), *log.fleet.addresses("application_server")]
        log.connect(log.at_hours(len(peers), 10.0, 12.0), "ssh", [str(p) for p in peers], 22, user,
                    lasting=20.0, service="ssh")  # fmt: skip
        return
    log.launch(log.at_hours(3, 10.0, 12.0), "python3", "sshd", user, "python3 ansible")
    log.launch(log.at_hours(2, 10.0, 12.0), "openssl", "python3", user)


def _patch(act: Act, log: HostDay) -> None:
    """Installers and a restart."""
    windows = log.host.role.is_windows
    names = ("wusa.exe", "tiworker.exe", "dism.exe") if windows else ("apt", "dpkg", "systemctl")
    parent = "svchost.exe" if windows else "sh"
    for name in names:
        log.launch(log.at_hours(4, 1.0, 4.0), name, parent, "system")
    peers = [str(a) for a in log.fleet.addresses("updates" if windows else "mirror")]
    log.connect(log.at_hours(8, 1.0, 4.0), names[0], (peers * 8)[:8], 443, "system", into=6e7)


def _joiner(act: Act, log: HostDay) -> None:
    """Everything is installed on the first days."""
    for name in ("setup.exe", "msiexec.exe", "vcredist.exe", "office_setup.exe")[: 4 - act.nth_day]:
        log.launch(log.seconds(3), name, "explorer.exe", _person(log))


def _on_call(act: Act, log: HostDay) -> None:
    """A long night with the usual tools."""
    user = _person(log)
    windows = log.host.role.is_windows
    shell, tools = ("cmd.exe", ("git.exe", "curl.exe", "ssh.exe"))
    if not windows:
        shell, tools = ("bash", ("git", "python3", "curl"))
    for tool in tools:
        log.launch(log.at_hours(7, 2.0, 4.5), tool, shell, user)
    peers = [str(a) for a in log.fleet.addresses("forge")]
    log.connect(log.at_hours(15, 2.0, 4.5), tools[0], (peers * 15)[:15], 443, user)


def _tool(act: Act, log: HostDay) -> None:
    """A developer tries a tool that nobody here has."""
    user = _person(log)
    program = f"{act.story.replace('developer_', '')}.exe"
    log.launch(log.seconds(6), program, "cmd.exe", user)
    peer = odd_address(log.fleet, "vendor", act.story)
    log.connect(log.seconds(10), program, [peer] * 10, 7687, user, into=90_000)


def _new_role(act: Act, log: HostDay) -> None:
    """The tools of a new kind of machine."""
    for name in ("ntdsutil.exe", "dcdiag.exe", "repadmin.exe"):
        log.launch(log.seconds(3), name, "powershell.exe", "system")


def _boil(act: Act, log: HostDay) -> None:
    """More of all that the machine does, a little more every day, and nothing else."""
    factor = BOILING_GROWTH ** (act.nth_day + 1)
    log.processes += _again(log, log.processes, factor - 1.0)
    log.connections += _again(log, log.connections, factor - 1.0)


def _again(log: HostDay, done: list[N], times: float) -> list[N]:
    """Each of them so many more times on average, at most half an hour away."""
    copies = [one for one, n in zip(done, log.rng.poisson(times, len(done)), strict=True)
              for _ in range(int(n))]  # fmt: skip
    shifts = log.rng.uniform(-1800.0, 1800.0, len(copies))
    return [
        one._replace(second=float((one.second + shift) % DAY_S))
        for one, shift in zip(copies, shifts, strict=True)
    ]


def _nothing_more(act: Act, log: HostDay) -> None:
    """Its ordinary day, under a name that nobody knows."""


_ACTS: dict[str, Callable[[Act, HostDay], None]] = {
    "tor_client": _tor_client,
    "java_worker": _java_worker,
    "compiler_on_production": _compiler,
    "build_runner_compromised": _build_runner,
    "beacon": _beacon,
    "miner": _miner,
    "slow_exfiltration": _exfiltration,
    "lateral_movement": _lateral_movement,
    "group_compromised": _group,
    "dns_tunnel": _dns_tunnel,
    "vulnerability_scanner": _scanner,
    "nightly_backup": _backup,
    "admin_sweep": _sweep,
    "patch_night": _patch,
    "new_joiner": _joiner,
    "hardware_swap": _nothing_more,
    "slow_boil": _boil,
    "on_call_at_night": _on_call,
    "developer_tool": _tool,
    "new_small_role": _new_role,
}
