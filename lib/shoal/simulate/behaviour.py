"""An ordinary day of a machine: what it starts, whom it talks to and who logs on.

Every number is drawn from the seed, the machine and the day alone, so that a day is the same
whatever else is simulated, in whatever order.
"""

from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.simulate.fleet import Fleet, Host, Rng, public_address, rng_of
from shoal.simulate.records import Traces
from shoal.simulate.roles import Hours, Launch, Role, Talk

DAY_S = 86_400
Array = NDArray[np.float64]

_HABIT_SD = 0.35
"""Spread, in log units, of a machine's own rates about its role's."""
_DAY_SD = 0.18
"""Spread of a machine's days about its habit."""
_DAY_MEMORY = 0.6
_ABSENT_SHARE = 0.05
_BUSY_SHARE = 0.04
"""Days on which one thing is done far more than usual; how much is Pareto's."""
_BUSY_SHAPE = 1.4
_BUSIEST = 12.0
_DRIFT_SD = 0.004
"""Spread of a role's change a day, in log units."""
_VISIT_SHARE = 0.03
"""Share of people who sit at another machine of their kind on a day."""
_UPDATE_EVERY_DAYS = 9
_UPDATE_TAKES_DAYS = 3

_HOUR_WEIGHTS: dict[Hours, tuple[float, ...]] = {
    "office": (0.2,) * 6 + (0.5, 3, 8, 10, 10, 9, 6, 9, 10, 9, 8, 5, 2, 1, 0.6, 0.4, 0.3, 0.2),
    "flat": (4.0,) * 24,
    "business": (2.0,) * 6 + (3, 5, 7, 8, 8, 8, 7, 8, 8, 8, 7, 6, 5, 4, 4, 3, 3, 2),
    "night": (9, 12, 12, 10, 8, 4, 2) + (1.5,) * 12 + (2, 3, 4, 6, 8),
    "shifts": (1.0,) * 6 + (6, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 6, 2, 1),
}
_FAVOURITES = {"web": 30, "delivery_network": 20, "homes": 40, "clients": 25, "servers": 30}
_LOYALTY = {"web": 0.75, "delivery_network": 0.9, "homes": 0.8, "clients": 0.85, "servers": 0.9}
_ODD_NAMES = ("setup_{}.exe", "is-{}.tmp", "update-{}.exe", "helper_{}.exe", "test_{}.exe")
_ODD_NAMES_UNIX = ("test_{}", "conftest-{}", "go-build{}", "pip-{}", "a.out-{}")
_ODD_PORTS = (80, 443, 443, 8080, 8000, 3000, 5000)
_OPTIONS = ("", " /c start", " --type=renderer", " -n 10", " --quiet", " /S", " -v --all")


class Process(NamedTuple):
    """A program started, ``second`` of the UTC day."""

    second: float
    program: str
    parent: str
    command: str
    user: str


class Connection(NamedTuple):
    """A connection as the machine sees it; ``peer`` is the other side."""

    second: float
    program: str
    user: str
    peer: str
    port: int
    transport: str
    service: str
    bytes_out: int
    bytes_in: int
    seconds: float
    is_inbound: bool
    is_failed: bool


class Logon(NamedTuple):
    """A logon; ``kind`` is Windows' logon type."""

    second: float
    user: str
    kind: int
    source: str
    is_failed: bool


@dataclass
class HostDay:
    """What one machine logs on one day.

    Attributes
    ----------
    day : its number, from 0
    users : people at the machine today
    hours : share of what people do by hour of the UTC day
    traces : what the other logs hold of it, where they are written
    """

    fleet: Fleet
    host: Host
    day: int
    event_date: date
    rng: Rng
    users: tuple[str, ...] = ()
    hours: Array = field(default_factory=lambda: np.full(24, 1 / 24))
    processes: list[Process] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    logons: list[Logon] = field(default_factory=list)
    traces: Traces | None = None

    def seconds(self, count: int) -> list[float]:
        """Seconds of the UTC day at which people or services do something, in no order."""
        hours = self.rng.choice(24, size=count, p=self.hours)
        return list(hours * 3600.0 + self.rng.random(count) * 3600.0)

    def at_hours(self, count: int, first: float, last: float) -> list[float]:
        """Seconds between two hours of the site's own day."""
        local = self.rng.uniform(first, last, size=count) * 3600.0
        return list((local - self.host.site.offset_hours(self.event_date) * 3600.0) % DAY_S)

    def launch(
        self, seconds: list[float], program: str, parent: str, user: str, command: str = ""
    ) -> None:
        """Start a program at each of the seconds."""
        for second in seconds:
            text = command or program + _OPTIONS[int(second) % len(_OPTIONS)]
            self.processes.append(Process(second, program, parent, text, user))

    def connect(
        self,
        seconds: list[float],
        program: str,
        peers: list[str],
        port: int,
        user: str,
        *,
        out: float = 1_500.0,
        into: float = 6_000.0,
        lasting: float = 1.0,
        service: str = "ssl",
        transport: str = "tcp",
        is_inbound: bool = False,
        failed_share: float = 0.01,
    ) -> None:
        """Talk to each of the peers, one a second given; sizes are log-normal about medians."""
        rng, n = self.rng, len(seconds)
        sent = out * rng.lognormal(0.0, 0.8, n)
        got = into * rng.lognormal(0.0, 0.9, n)
        lasts = np.minimum(lasting * rng.lognormal(0.0, 0.7, n), DAY_S)
        failed = rng.random(n) < failed_share
        for i, second in enumerate(seconds):
            sizes = (0, 0) if failed[i] else (int(sent[i]), int(got[i]))
            self.connections.append(
                Connection(
                    second, program, user, str(peers[i]), port, transport, service, *sizes,
                    float(lasts[i]), is_inbound, bool(failed[i]),
                )
            )  # fmt: skip

    def account(self, kind: str, count: int) -> list[str]:
        """Who does ``count`` things of a kind of account."""
        if kind == "service":
            return [self.host.service_account] * count
        if kind == "system" or not self.users:
            return ["system"] * count
        return [self.users[i] for i in self.rng.integers(len(self.users), size=count)]


@dataclass(frozen=True, eq=False)
class Habits:
    """What is a machine's own, whatever the day."""

    launch_factors: Array
    talk_factors: Array
    favourites: tuple[NDArray[np.intp], ...]
    late_s: float


def ordinary_day(fleet: Fleet, host: Host, day: int, event_date: date) -> HostDay:
    """Draw the ordinary day of a machine."""
    rng = rng_of(fleet.seed, "day", host.index, day)
    log = HostDay(fleet, host, day, event_date, rng)
    habits = habits_of(fleet, host)
    log.hours = utc_hours(host, event_date, habits.late_s)
    log.users = people_today(fleet, host, day)
    activity = day_activity(fleet, host, day, event_date)
    _add_launches(log, habits, activity)
    _add_talks(log, habits, activity)
    _add_oddities(log, activity)
    _add_logons(log, activity)
    _add_updates(log)
    return log


@lru_cache(maxsize=4096)
def habits_of(fleet: Fleet, host: Host) -> Habits:
    """Habits of a machine; a replacement has those of the machine it replaces."""
    rng = rng_of(fleet.seed, "habits", host.nature)
    role = host.role

    def factors(shares: list[float]) -> Array:
        has = rng.random(len(shares)) < np.asarray(shares)
        return np.asarray(has * rng.lognormal(0.0, _HABIT_SD, len(shares)), dtype=np.float64)

    launch_factors = factors([launch.share for launch in role.launches])
    talk_factors = factors([talk.share for talk in role.talks])
    favourites = []
    for talk in role.talks:
        pool = len(fleet.addresses(talk.peers))
        wanted = min(_FAVOURITES.get(talk.peers, 3), pool)
        # People's favourites are mostly everybody's favourites.
        popularity = 1.0 / np.arange(1, pool + 1) if talk.peers == "web" else np.ones(pool)
        chosen = rng.choice(pool, size=wanted, replace=False, p=popularity / popularity.sum())
        favourites.append(chosen)
    late_s = float(rng.normal(0.0, 0.7) * 3600)
    return Habits(launch_factors, talk_factors, tuple(favourites), late_s)


def utc_hours(host: Host, event_date: date, late_s: float) -> Array:
    """Share of the day's work by UTC hour: the role's hours at the site, shifted by habit."""
    local = np.asarray(_HOUR_WEIGHTS[host.role.hours])
    shift = (-host.site.offset_hours(event_date) + round(late_s / 3600)) % 24
    weights = np.roll(local, shift)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def day_activity(fleet: Fleet, host: Host, day: int, event_date: date) -> float:
    """How busy the day is against the machine's mean: calendar, mood and absence."""
    is_weekend = event_date.weekday() >= 5
    calendar = host.role.weekend if is_weekend else 1.0
    rng = rng_of(fleet.seed, "mood", host.nature)
    # One more draw a day: the mood of a day is the same however long the simulation is.
    shocks = rng.normal(0.0, _DAY_SD * np.sqrt(1 - _DAY_MEMORY**2), size=day + 2)
    mood = shocks[0]
    for shock in shocks[1:]:
        mood = _DAY_MEMORY * mood + shock
    absent = host.role.users == 1 and (
        rng_of(fleet.seed, "absent", host.nature, day).random() < _ABSENT_SHARE
    )
    return float(calendar * np.exp(mood) * (0.05 if absent else 1.0))


def people_today(fleet: Fleet, host: Host, day: int) -> tuple[str, ...]:
    """The people of a machine, and whoever sits there for a day."""
    visitors = _visits(fleet, host.role, day).get(host.index, ())
    own = host.users
    if len(own) > 2:
        rng = rng_of(fleet.seed, "people", host.nature, day)
        here = rng.random(len(own)) < 0.6
        own = tuple(user for user, is_here in zip(own, here, strict=True) if is_here) or own[:1]
    return (*own, *visitors)


@lru_cache(maxsize=256)
def _visits(fleet: Fleet, role: Role, day: int) -> dict[int, tuple[str, ...]]:
    """Visitors by machine: people whose own machine is another one of the role."""
    if role.users != 1:
        return {}
    machines = [host for host in fleet.by_role(role.name) if host.is_there(day)]
    rng = rng_of(fleet.seed, "visits", role.name, day)
    moves = rng.random(len(machines)) < _VISIT_SHARE
    targets = rng.integers(max(len(machines), 1), size=len(machines))
    found: dict[int, tuple[str, ...]] = {}
    for machine, is_moving, target in zip(machines, moves, targets, strict=True):
        goal = machines[int(target)].index
        if is_moving and goal != machine.index:
            found[goal] = (*found.get(goal, ()), *machine.users)
    return found


def _drift(fleet: Fleet, role: Role, kind: str, count: int, day: int) -> Array:
    rates = rng_of(fleet.seed, "drift", kind, role.name).normal(0.0, _DRIFT_SD, count)
    return np.asarray(np.exp(rates * day), dtype=np.float64)


def _expected(
    log: HostDay, items: tuple[Launch, ...] | tuple[Talk, ...], factors: Array, activity: float
) -> Array:
    """Mean count of each item today."""
    # Machines idle less than people do.
    own = np.asarray([activity if i.account == "user" else max(activity, 0.6) for i in items])
    means = np.asarray([item.mean for item in items]) * log.fleet.volume
    noise = log.rng.lognormal(0.0, 0.15, len(items))
    kind = type(items[0]).__name__
    drift = _drift(log.fleet, log.host.role, kind, len(items), log.day)
    return np.asarray(means * factors * own * noise * drift, dtype=np.float64)


def _with_busy_day(log: HostDay, means: Array) -> Array:
    if log.rng.random() < _BUSY_SHARE:
        item = int(log.rng.integers(len(means)))
        means[item] *= min(1.0 + log.rng.pareto(_BUSY_SHAPE), _BUSIEST)
    return means


def _add_launches(log: HostDay, habits: Habits, activity: float) -> None:
    launches = log.host.role.launches
    means = _with_busy_day(log, _expected(log, launches, habits.launch_factors, activity))
    for launch, count in zip(launches, log.rng.poisson(means), strict=True):
        if count:
            seconds = log.seconds(int(count))
            for second, user in zip(seconds, log.account(launch.account, int(count)), strict=True):
                log.launch([second], launch.program, launch.parent, user)


def _add_talks(log: HostDay, habits: Habits, activity: float) -> None:
    talks = log.host.role.talks
    means = _with_busy_day(log, _expected(log, talks, habits.talk_factors, activity))
    counts = log.rng.poisson(means)
    for talk, count, favourites in zip(talks, counts, habits.favourites, strict=True):
        if not count or not len(favourites):
            continue
        n = round(talk.mean) if talk.is_periodic else int(count)
        seconds = by_the_clock(log.rng, n) if talk.is_periodic else log.seconds(n)
        [user, *_] = log.account(talk.account, 1)
        log.connect(
            seconds, talk.program, _peers(log, talk, favourites, n), talk.port, user,
            out=talk.out, into=talk.into, lasting=talk.seconds, service=talk.service,
            transport=talk.transport, is_inbound=talk.is_inbound,
        )  # fmt: skip


def by_the_clock(rng: Rng, count: int, jitter: float = 0.05) -> list[float]:
    """Seconds of a whole day in equal steps, each late or early by a share of the step."""
    step = DAY_S / count
    seconds = (np.arange(count) + rng.random()) * step + rng.normal(0.0, jitter * step, count)
    return [float(second) for second in np.clip(seconds, 0, DAY_S - 1)]


def _peers(log: HostDay, talk: Talk, favourites: NDArray[np.intp], count: int) -> list[str]:
    """Peers of a talk: mostly the machine's favourites, the first ones most."""
    addresses, rng = log.fleet.addresses(talk.peers), log.rng
    if talk.is_periodic:
        return [str(addresses[favourites[0]])] * count
    weights = 1.0 / np.arange(1, len(favourites) + 1)
    chosen = favourites[rng.choice(len(favourites), size=count, p=weights / weights.sum())]
    strays = rng.random(count) >= _LOYALTY.get(talk.peers, 0.97)
    others = rng.integers(len(addresses), size=count)
    if talk.peers == "web":
        # Zipf: most of what is new to one is known to many.
        others = np.minimum(rng.zipf(1.3, size=count) - 1, len(addresses) - 1)
    return [str(address) for address in addresses[np.where(strays, others, chosen)]]


def _add_oddities(log: HostDay, activity: float) -> None:
    """Programs that nobody else has, as installers and test builds are, some of which talk."""
    rng, role = log.rng, log.host.role
    names = _ODD_NAMES if role.is_windows else _ODD_NAMES_UNIX
    parents = ("explorer.exe", "chrome.exe", "msiexec.exe", "cmd.exe")
    for _ in range(int(rng.poisson(role.oddities * activity))):
        program = names[int(rng.integers(len(names)))].format(f"{rng.integers(16**6):06x}")
        parent = parents[int(rng.integers(len(parents)))] if role.is_windows else "bash"
        [user] = log.account("user" if role.users else "service", 1)
        n = 1 + int(rng.poisson(0.6))
        log.launch(log.seconds(n), program, parent, user)
        if rng.random() < 0.25:
            is_free = rng.random() < 0.3
            port = int(rng.integers(1024, 49_151)) if is_free else int(rng.choice(_ODD_PORTS))
            peer = str(rng.choice(log.fleet.addresses("web")))
            log.connect(log.seconds(2), program, [peer, peer], port, user)


def _add_logons(log: HostDay, activity: float) -> None:
    rng, host = log.rng, log.host
    for user in log.users:
        for second in log.seconds(int(rng.poisson(1.5 * activity))):
            log.logons.append(Logon(second, user, 2, "-", bool(rng.random() < 0.04)))
    for second in log.seconds(int(rng.poisson(1.0))):
        log.logons.append(Logon(second, host.service_account, 5, "-", False))
    if not host.role.users:
        sources = log.fleet.addresses("jump_host")
        people = [u for jump in log.fleet.by_role("jump_host") for u in jump.users]
        for second in log.seconds(int(rng.poisson(0.8 * activity))):
            user, source = str(rng.choice(people)), str(rng.choice(sources))
            log.logons.append(Logon(second, user, 3, source, bool(rng.random() < 0.04)))


def _add_updates(log: HostDay) -> None:
    """Software that arrives in the whole fleet: every machine within a few days of each other."""
    own = rng_of(log.fleet.seed, "wave", log.host.nature).integers(_UPDATE_TAKES_DAYS)
    number, since = divmod(log.day, _UPDATE_EVERY_DAYS)
    if not number or since != own:
        return
    version = f"7.{number}"
    if log.host.role.is_windows:
        programs = ((f"agent_update_{version}.exe", "agent.exe"), ("msiexec.exe", "services.exe"))
    else:
        programs = ((f"agent-update-{version}", "agent"), ("dpkg", "apt"))
    for program, parent in programs:
        log.launch(log.seconds(2), program, parent, "system")


def odd_address(fleet: Fleet, *parts: str | int) -> str:
    """An address in a network that nobody of the fleet has business with."""
    return public_address(fleet.seed, "odd", *parts)
