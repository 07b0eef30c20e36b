"""What changes for good, or for a day, in a whole fleet: what drift is to be told by."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, get_args

from shoal.simulate.behaviour import Connection, HostDay, by_the_clock
from shoal.simulate.fleet import Fleet, Host, public_address, rng_of
from shoal.simulate.roles import ROLE_BY_NAME

ChangeKind = Literal[
    "roll_out", "role_change", "silent_source", "unit_change", "holiday", "slow_boil"
]
CHANGES: tuple[ChangeKind, ...] = get_args(ChangeKind)

CHANGED_ROLE, NEW_ROLE = "web_server", "batch_worker"
"""Machines of the one do from some day on what those of the other do; their label stays."""
BOILING_ROLE = "office_workstation"
BOILING_HOSTS = 3
_AGENT = "edr_sensor"
_REPORTS, _SCANS = 144, 24
"""Connections and launches a day of the software that is rolled out."""


@dataclass(frozen=True)
class Change:
    """A change of the fleet, and the day, counted from 0, that it begins on.

    Attributes
    ----------
    kind : a software rolled out to every machine; machines of a role that get another one; the
        network sensor falls silent; it writes durations in milliseconds; people stay at home for a
        day; an intruder who does a little more every day with what is there
    """

    kind: ChangeKind
    day: int

    def holds(self, kind: ChangeKind, day: int) -> bool:
        """Whether this is a change of a kind that is in force on a day."""
        is_over = self.kind == "holiday" and day > self.day
        return self.kind == kind and day >= self.day and not is_over


def changed_host(change: Change | None, host: Host, day: int) -> Host:
    """The machine as it is on a day, its role another one where that has changed."""
    if change and change.holds("role_change", day) and host.role.name == CHANGED_ROLE:
        return replace(host, role=ROLE_BY_NAME[NEW_ROLE])
    return host


def calendar_date(change: Change | None, event_date: date, day: int) -> date:
    """The date whose habits people have: on a holiday those of the Sunday before."""
    if change and change.holds("holiday", day):
        return event_date - timedelta(days=(event_date.weekday() + 1) % 7)
    return event_date


def boiled_hosts(fleet: Fleet) -> list[Host]:
    """Machines that an intruder boils slowly."""
    pool = [host for host in fleet.by_role(BOILING_ROLE) if not host.first and host.last is None]
    rng = rng_of(fleet.seed, "slow_boil")
    chosen = rng.choice(len(pool), size=min(BOILING_HOSTS, len(pool)), replace=False)
    return [pool[int(place)] for place in sorted(chosen)]


def add_change(change: Change | None, log: HostDay) -> None:
    """Add to a machine's ordinary day what has changed."""
    if change and change.holds("roll_out", log.day):
        _run_agent(log)


def writes_network(change: Change | None, day: int) -> bool:
    """Whether the network sensor writes anything on a day."""
    return not (change and change.holds("silent_source", day))


def as_sensed(change: Change | None, log: HostDay) -> list[Connection]:
    """A machine's connections as the network sensor writes them."""
    if change and change.holds("unit_change", log.day):
        return [one._replace(seconds=one.seconds * 1000.0) for one in log.connections]
    return log.connections


def _run_agent(log: HostDay) -> None:
    """A sensor that every machine has, scans every hour and reports every ten minutes."""
    program = f"{_AGENT}.exe" if log.host.role.is_windows else _AGENT
    parent = "services.exe" if log.host.role.is_windows else "systemd"
    cloud = [public_address(log.fleet.seed, _AGENT, 0, low=n) for n in range(4)]
    log.launch(by_the_clock(log.rng, _SCANS), program, parent, "system", f"{program} --scan")
    peers = [cloud[int(n)] for n in log.rng.integers(len(cloud), size=_REPORTS)]
    log.connect(
        by_the_clock(log.rng, _REPORTS), program, peers, 8443, "system", out=2_000, into=800
    )
