"""What happens in a fleet beside its ordinary days: intrusions, and what only looks like them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Literal, get_args

from shoal.simulate.changes import Change, boiled_hosts
from shoal.simulate.fleet import (
    SITES,
    Fleet,
    Host,
    Rng,
    join_fleet,
    make_host,
    replacement_of,
    rng_of,
)
from shoal.simulate.records import Sources
from shoal.simulate.roles import ROLE_BY_NAME

Strength = Literal["weak", "middle", "strong"]
STRENGTHS: tuple[Strength, ...] = get_args(Strength)

PlantedKind = Literal[
    "tor_client",
    "java_worker",
    "compiler_on_production",
    "build_runner_compromised",
    "beacon",
    "miner",
    "slow_exfiltration",
    "lateral_movement",
    "group_compromised",
    "dns_tunnel",
]
IN_DNS: tuple[PlantedKind, ...] = ("dns_tunnel",)
"""Planted only where names are logged, beside the others and without changing them."""
PLANTED: tuple[PlantedKind, ...] = tuple(k for k in get_args(PlantedKind) if k not in IN_DNS)

BenignKind = Literal[
    "vulnerability_scanner",
    "nightly_backup",
    "admin_sweep",
    "patch_night",
    "new_joiner",
    "hardware_swap",
    "on_call_at_night",
    "developer_tool",
    "new_small_role",
]
BENIGN: tuple[BenignKind, ...] = get_args(BenignKind)

QUIET_DAYS = 10
"""Days before the first intrusion, so that there is a past to be strange against."""
MOST_ACTIVE = 8
"""Planted host-days of a night for every 300 machines."""
MOST_IN_DNS = 1
"""The same of what is planted where names are logged."""
NEW_ROLE_LABEL = "domain_controller_core"

_VICTIMS: dict[PlantedKind, tuple[str, ...]] = {
    "tor_client": ("office_workstation", "developer_workstation", "call_center"),
    "java_worker": ("application_server", "container_node"),
    "compiler_on_production": ("web_server", "database", "application_server"),
    "build_runner_compromised": ("build_runner",),
    "beacon": ("office_workstation", "developer_workstation", "call_center", "vdi_host"),
    "miner": ("container_node", "web_server", "batch_worker", "data_science"),
    "slow_exfiltration": ("file_server", "database", "office_workstation"),
    "lateral_movement": ("application_server", "web_server", "file_server"),
    "group_compromised": ("office_workstation", "developer_workstation"),
    "dns_tunnel": ("office_workstation", "developer_workstation", "database", "web_server"),
}
_NIGHTS: dict[PlantedKind, tuple[int, int]] = {
    "tor_client": (3, 5),
    "java_worker": (2, 5),
    "compiler_on_production": (1, 2),
    "build_runner_compromised": (2, 4),
    "beacon": (4, 7),
    "miner": (3, 6),
    "slow_exfiltration": (3, 6),
    "lateral_movement": (1, 2),
    "group_compromised": (2, 3),
    "dns_tunnel": (2, 4),
}
_GROUP_SIZE: dict[Strength, int] = {"weak": 4, "middle": 5, "strong": 6}
_REACHED: dict[Strength, int] = {"weak": 2, "middle": 3, "strong": 5}
"""Machines that lateral movement reaches, beside the one that it starts from."""


@dataclass(frozen=True)
class Act:
    """One kind of thing that one machine does on one day.

    Attributes
    ----------
    story : identity of the whole that the act belongs to; several machines and days share it
    place : the machine's place in its story, 0 for the one that it starts from
    partners : indices of the other machines of the story
    nth_day : the day's place in its story
    """

    story: str
    kind: str
    is_planted: bool
    strength: Strength | None
    day: int
    host: int
    place: int = 0
    partners: tuple[int, ...] = ()
    nth_day: int = 0


@dataclass(frozen=True, eq=False)
class Simulation:
    """A whole simulation: the machines, the days, and what happens on them."""

    fleet: Fleet
    start: date
    days: int
    acts: tuple[Act, ...]
    sources: Sources = "basic"
    change: Change | None = None

    def date_of(self, day: int) -> date:
        """Calendar date of a day by its number."""
        return self.start + timedelta(days=day)

    def acts_of(self, host: Host, day: int) -> Sequence[Act]:
        """What a machine does on a day beside its ordinary work, in order."""
        return self._by_host_day.get((host.index, day), ())

    @cached_property
    def _by_host_day(self) -> dict[tuple[int, int], list[Act]]:
        found: dict[tuple[int, int], list[Act]] = {}
        for act in self.acts:
            found.setdefault((act.host, act.day), []).append(act)
        return found


def plan_simulation(
    fleet: Fleet,
    start: date,
    days: int,
    *,
    strengths: Sequence[Strength] = STRENGTHS,
    has_planted: bool = True,
    has_benign: bool = True,
    sources: Sources = "basic",
    change: Change | None = None,
) -> Simulation:
    """Decide what happens when; the same for the same fleet, start and length.

    Planted and benign acts are drawn apart, so that leaving one out does not change the other; and
    what is planted in all sources only comes after what is planted in the basic ones.
    """
    acts: list[Act] = []
    if has_benign:
        fleet, benign = _plan_benign(fleet, start, days)
        acts += benign
    if has_planted:
        taken = {(act.host, act.day) for act in acts}
        planted = _plan_planted(fleet, days, strengths, taken)
        acts += planted
        if sources == "all":
            used = {act.host for act in planted}
            acts += _plan_in_dns(fleet, days, strengths, taken, used)
    if change and change.kind == "slow_boil":
        acts += _plan_boil(fleet, days, change)
    return Simulation(fleet, start, days, tuple(acts), sources, change)


def _plan_boil(fleet: Fleet, days: int, change: Change) -> list[Act]:
    return [
        Act(f"slow_boil-{number:02d}", "slow_boil", True, "weak", day, host.index,
            nth_day=day - change.day)
        for number, host in enumerate(boiled_hosts(fleet))
        for day in range(change.day, days)
    ]  # fmt: skip


def _plan_planted(
    fleet: Fleet, days: int, strengths: Sequence[Strength], taken: set[tuple[int, int]]
) -> list[Act]:
    """Story after story, in rounds of all kinds, while a night has room for it."""
    rng = rng_of(fleet.seed, "planted")
    most = max(MOST_ACTIVE, MOST_ACTIVE * len(fleet.hosts) // 300)
    room = [most - int(spared) for spared in rng.integers(0, 4, size=days)]
    used: set[int] = set()
    acts: list[Act] = []
    for turn in range(days):
        for kind in rng.permutation(PLANTED).tolist():
            # Each kind takes the strengths in turn, each at another one.
            strength = strengths[(turn + PLANTED.index(kind)) % len(strengths)]
            acts += _one_story(fleet, kind, strength, turn, rng, days, room, used, taken)
    return acts


def _plan_in_dns(
    fleet: Fleet,
    days: int,
    strengths: Sequence[Strength],
    taken: set[tuple[int, int]],
    used: set[int],
) -> list[Act]:
    """Stories of what only logs of names show, on machines that no other story has used."""
    rng = rng_of(fleet.seed, "planted", "dns")
    room = [max(MOST_IN_DNS, MOST_IN_DNS * len(fleet.hosts) // 300)] * days
    acts: list[Act] = []
    for turn in range(days):
        for kind in IN_DNS:
            strength = strengths[turn % len(strengths)]
            acts += _one_story(fleet, kind, strength, turn, rng, days, room, used, taken)
    return acts


def _one_story(
    fleet: Fleet,
    kind: PlantedKind,
    strength: Strength,
    turn: int,
    rng: Rng,
    days: int,
    room: list[int],
    used: set[int],
    taken: set[tuple[int, int]],
) -> list[Act]:
    """Acts of one intrusion from the first night with room for all of it; none if there is none."""
    shortest, longest = _NIGHTS[kind]
    length = int(rng.integers(shortest, longest + 1))
    hosts = _cast(fleet, kind, strength, rng, used)
    first = QUIET_DAYS + int(rng.integers(0, 3))
    for begin in range(first, days - length + 1):
        nights = range(begin, begin + length)
        fits = all(room[day] >= len(hosts) for day in nights)
        is_free = not any((host.index, day) in taken for host in hosts for day in nights)
        is_there = all(host.is_there(day) for host in hosts for day in nights)
        if hosts and fits and is_free and is_there:
            break
    else:
        return []
    for day in nights:
        room[day] -= len(hosts)
    used.update(host.index for host in hosts)
    indices = tuple(host.index for host in hosts)
    return [
        Act(
            story=f"{kind}-{turn:02d}",
            kind=kind,
            is_planted=True,
            strength=strength,
            day=day,
            host=host.index,
            place=place,
            partners=tuple(index for index in indices if index != host.index),
            nth_day=day - begin,
        )
        for day in nights
        for place, host in enumerate(hosts)
    ]


def _cast(
    fleet: Fleet, kind: PlantedKind, strength: Strength, rng: Rng, used: set[int]
) -> list[Host]:
    """Machines of a story that no other story has used."""
    roles = _VICTIMS[kind]
    role = roles[int(rng.integers(len(roles)))]
    wanted = {
        "group_compromised": _GROUP_SIZE[strength],
        "lateral_movement": 1 + _REACHED[strength],
    }.get(kind, 1)
    # Lateral movement crosses roles; a group falls to one lure, so its machines are alike.
    pool = roles if kind == "lateral_movement" else (role,)
    candidates = [
        host
        for name in pool
        for host in fleet.by_role(name)
        if host.index not in used and not host.first and host.last is None
    ]
    if len(candidates) < wanted:
        return []
    chosen = rng.choice(len(candidates), size=wanted, replace=False)
    return [candidates[int(i)] for i in chosen]


def _plan_benign(fleet: Fleet, start: date, days: int) -> tuple[Fleet, list[Act]]:
    rng = rng_of(fleet.seed, "benign")
    fleet, arrivals = _plan_arrivals(fleet, days, rng)
    acts = [*arrivals]
    scale = max(1, len(fleet.hosts) // 300)
    weekdays = [n for n in range(days) if (start + timedelta(days=n)).weekday() < 5]

    def pick(role: str, count: int = 1) -> list[Host]:
        there = [h for h in fleet.by_role(role) if not h.first and h.last is None]
        chosen = rng.choice(len(there), size=min(count, len(there)), replace=False)
        return [there[int(i)] for i in chosen]

    def add(
        kind: BenignKind, number: int, host: Host, day: int, *, place: int = 0, nth_day: int = 0
    ) -> None:
        acts.append(
            Act(
                story=f"{kind}-{number:02d}",
                kind=kind,
                is_planted=False,
                strength=None,
                day=day,
                host=host.index,
                place=place,
                nth_day=nth_day,
            )
        )

    [scanner] = pick("monitoring")
    for number, day in enumerate(range(3, days, 7)):
        add("vulnerability_scanner", number, scanner, day)
    for backup in pick("backup_server", scale):
        for day in range(days):
            add("nightly_backup", 0, backup, day)
    [patched_role] = rng.choice(["web_server", "office_workstation", "developer_workstation"], 1)
    for number, day in enumerate(range(12, days, 14)):
        for host in fleet.by_role(str(patched_role)):
            if host.is_there(day):
                add("patch_night", number, host, day)
    for number, day in enumerate(weekdays[6::8]):
        servers = [*fleet.by_role("database"), *fleet.by_role("application_server")]
        for place, host in enumerate([*pick("jump_host"), *servers]):
            add("admin_sweep", number, host, day, place=place)
    for number in range(max(2, days // 5) * scale):
        [host] = pick(str(rng.choice(["developer_workstation", "data_science"])))
        add("on_call_at_night", number, host, int(rng.integers(days)))
    for number in range(max(2, days // 4) * scale):
        [host] = pick("developer_workstation")
        first = int(rng.choice(weekdays))
        for nth, day in enumerate(day for day in (first, first + 1) if day < days):
            add("developer_tool", number, host, day, nth_day=nth)
    # A machine may be drawn twice for a day: the first thing it does stands.
    unique = {(act.host, act.day): act for act in reversed(acts)}
    return fleet, sorted(unique.values(), key=lambda act: (act.day, act.host))


def _plan_arrivals(fleet: Fleet, days: int, rng: Rng) -> tuple[Fleet, list[Act]]:
    """Machines that come during the simulation: joiners, replacements and a new small role."""
    acts: list[Act] = []
    newcomers: list[Host] = []
    index = len(fleet.hosts)
    late = range(days // 2, days)

    def welcome(kind: BenignKind, number: int, host: Host, noted_days: int) -> None:
        newcomers.append(host)
        for nth, day in enumerate(range(host.first, min(host.first + noted_days, days))):
            story = f"{kind}-{number:02d}"
            acts.append(Act(story, kind, False, None, day, host.index, nth_day=nth))

    for number in range(max(1, len(fleet.hosts) // 150)):
        role = ("office_workstation", "developer_workstation")[number % 2]
        site = SITES[int(rng.integers(len(SITES)))]
        host = make_host(index, ROLE_BY_NAME[role], site, 900 + number)
        day = int(rng.choice(late))
        welcome("new_joiner", number, replace(host, first=day), 3)
        index += 1
    pool = fleet.by_role("office_workstation")
    swapped = rng.choice(len(pool), size=max(1, len(fleet.hosts) // 150), replace=False)
    for number, place in enumerate(swapped):
        old, day = pool[int(place)], int(rng.choice(late))
        newcomers.append(replace(old, last=day - 1))
        welcome("hardware_swap", number, replacement_of(old, index, day), 3)
        index += 1
    day = int(rng.choice(late))
    for number in range(3):
        host = make_host(index, ROLE_BY_NAME["domain_controller"], SITES[2], 700 + number)
        welcome("new_small_role", 0, replace(host, first=day, label=NEW_ROLE_LABEL), days)
        index += 1
    return join_fleet(fleet, newcomers), acts
