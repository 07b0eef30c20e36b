"""The machines of a simulated fleet: names, addresses, sites, people, and when each is there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from shoal.errors import UsageError
from shoal.simulate.roles import CLIENT_ROLES, ROLES, SERVER_ROLES, Role

Rng = np.random.Generator
MIN_HOSTS = 40
"""Twenty roles of Zipf sizes need so many machines for each role to have one."""
DOMAIN = "corp"
WEB_SITES = 4_000
_WEB_NETWORKS = 14
"""Networks of the big providers, where most of what people look at lies."""
_PRINTERS = 12
_HOMES = 120
_PUBLIC_OCTETS = [n for n in range(11, 223) if n not in (100, 127, 169, 172, 192, 198, 203)]
_EDGES = 40
"""Addresses of the delivery network that stands before the web servers."""


@dataclass(frozen=True)
class Site:
    """A place of the fleet, and the prefix of the names of its hosts."""

    name: str
    timezone: str
    share: float

    def offset_hours(self, day: date) -> int:
        """Hours that its clocks are ahead of UTC at noon of a day, rounded."""
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(self.timezone))
        offset = noon.utcoffset() or timedelta()
        return round(offset.total_seconds() / 3600)


SITES = (
    Site("ber", "Europe/Berlin", 0.5),
    Site("nyc", "America/New_York", 0.3),
    Site("sin", "Asia/Singapore", 0.2),
)


@dataclass(frozen=True)
class Host:
    """A machine.

    Attributes
    ----------
    index : its place in the fleet, and part of the seed of all that it does
    nature : index of the machine whose habits it has; its own, but for a replacement
    label : the role as labelled; that of a new small role is its own
    users : accounts of the people who work on it
    first, last : days, counted from 0, that it is there; ``last`` is ``None`` for good
    """

    index: int
    nature: int
    name: str
    address: str
    role: Role
    label: str
    site: Site
    users: tuple[str, ...]
    service_account: str
    first: int = 0
    last: int | None = None

    def is_there(self, day: int) -> bool:
        """Whether the machine runs on a day."""
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True, eq=False)
class Fleet:
    """All machines of a simulation, the same for the same size and seed.

    Attributes
    ----------
    volume : what people and services do on an ordinary day, relative to the catalogue of roles
    """

    seed: int
    hosts: tuple[Host, ...]
    volume: float = 1.0

    def by_role(self, name: str) -> list[Host]:
        """Machines of a role, by index."""
        return self._by_role.get(name, [])

    def host(self, index: int) -> Host:
        """A machine by its index, which is not its place once others have joined."""
        return self._by_index[index]

    @cached_property
    def _by_index(self) -> dict[int, Host]:
        return {host.index: host for host in self.hosts}

    @cached_property
    def _by_role(self) -> dict[str, list[Host]]:
        found: dict[str, list[Host]] = {}
        for host in self.hosts:
            found.setdefault(host.role.name, []).append(host)
        return found

    def addresses(self, pool: str) -> NDArray[np.str_]:
        """Addresses behind the ``peers`` of a :class:`~shoal.simulate.roles.Talk`."""
        if pool not in self._pools:
            self._pools[pool] = np.asarray(self._addresses(pool))
        return self._pools[pool]

    @cached_property
    def _pools(self) -> dict[str, NDArray[np.str_]]:
        return {}

    def _addresses(self, pool: str) -> list[str]:
        groups = {"clients": CLIENT_ROLES, "servers": SERVER_ROLES}
        if pool == "web":
            return [_web_address(self.seed, site) for site in range(WEB_SITES)]
        if pool == "homes":
            return [public_address(self.seed, "homes", n) for n in range(_HOMES)]
        if pool == "delivery_network":
            return [public_address(self.seed, pool, n % 4, low=n) for n in range(_EDGES)]
        if pool == "printers":
            return [f"10.200.0.{n + 10}" for n in range(_PRINTERS)]
        roles = groups.get(pool, (pool,))
        found = [host.address for role in roles for host in self.by_role(role) if not host.first]
        # What is no role is a service outside, with a handful of addresses in one network.
        return found or [public_address(self.seed, pool, 0, low=n) for n in range(4)]


def rng_of(seed: int, *parts: str | int) -> Rng:
    """Random numbers that depend on what they are for, and on nothing else."""
    return np.random.default_rng([seed, number_of(*parts)])


def public_address(seed: int, *parts: str | int, low: int | None = None) -> str:
    """An address of the public internet; with ``low`` several lie in one network."""
    number = number_of(seed, *parts)
    first = _public_octet(number % 200)
    host = number >> 16 if low is None else (number >> 16) + low
    return f"{first}.{(number >> 8) % 256}.{(host >> 8) % 256}.{host % 253 + 1}"


def build_fleet(hosts: int, seed: int, volume: float = 1.0) -> Fleet:
    """Machines of twenty roles.

    Raises
    ------
    UsageError
        If there are too few for every role to have one.
    """
    if hosts < MIN_HOSTS:
        raise UsageError(f"--hosts must be at least {MIN_HOSTS}, got {hosts}: there are 20 roles")
    rng = rng_of(seed, "fleet")
    found: list[Host] = []
    for role, size in zip(ROLES, role_sizes(hosts), strict=True):
        places = rng.choice(len(SITES), size=size, p=[site.share for site in SITES])
        for number, place in enumerate(places, start=1):
            found.append(make_host(len(found), role, SITES[place], number))
    return Fleet(seed, tuple(found), volume)


def role_sizes(hosts: int) -> list[int]:
    """Machines of each role: Zipf's law, at least one, ``hosts`` in all."""
    weights = 1.0 / np.arange(1, len(ROLES) + 1)
    wanted = weights / weights.sum() * hosts
    sizes = np.maximum(1, np.floor(wanted)).astype(int)
    order = np.argsort(sizes - wanted, kind="stable")
    sizes[order[: max(hosts - int(sizes.sum()), 0)]] += 1
    sizes[0] += hosts - int(sizes.sum())
    return [int(size) for size in sizes]


def make_host(index: int, role: Role, site: Site, number: int) -> Host:
    """A machine with its name, address and people, all told by its place in the fleet."""
    name = f"{site.name}-{role.code}-{number:03d}"
    block = 1 + [known.name for known in SITES].index(site.name)
    address = f"10.{block}.{index // 250}.{index % 250 + 1}"
    people = [f"{role.code}{index:04d}{chr(ord('a') + n)}" for n in range(role.users)]
    return Host(
        index=index,
        nature=index,
        name=name,
        address=address,
        role=role,
        label=role.name,
        site=site,
        users=tuple(people),
        service_account=f"svc_{role.code}",
    )


def join_fleet(fleet: Fleet, newcomers: Sequence[Host]) -> Fleet:
    """The fleet with more machines; one of the same name is replaced."""
    renewed = {host.name: host for host in newcomers}
    kept = [renewed.pop(host.name, host) for host in fleet.hosts]
    return replace(fleet, hosts=(*kept, *renewed.values()))


def replacement_of(host: Host, index: int, first: int) -> Host:
    """A new machine for the same person, with the same habits and another name."""
    network = ".".join(host.address.split(".")[:2])
    return replace(
        host,
        index=index,
        name=f"{host.name}-n",
        address=f"{network}.{100 + index // 250}.{index % 250 + 1}",
        first=first,
    )


def _web_address(seed: int, site: int) -> str:
    # Two of three sites lie with a few big providers.
    if site % 3:
        return public_address(seed, "provider", site % _WEB_NETWORKS, low=site)
    return public_address(seed, "site", site)


def _public_octet(number: int) -> int:
    """First part of an address that is neither private, local nor multicast."""
    return _PUBLIC_OCTETS[number % len(_PUBLIC_OCTETS)]


def number_of(*parts: str | int) -> int:
    """A number of 64 bits that stands for what it is made of."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
