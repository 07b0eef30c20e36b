"""Names of addresses: the same for all machines that talk to them, whatever the day."""

from functools import lru_cache

from shoal.simulate.fleet import Fleet, number_of
from shoal.simulate.roles import ROLE_BY_NAME, ROLES

HOME_DOMAIN = "corp.example"
_NO_SERVICES = {*ROLE_BY_NAME, "clients", "servers", "web", "homes", "printers"}
_ENDINGS = ("com",) * 9 + ("org", "org", "net", "net", "io", "de", "de", "co.uk", "app", "sg")
_ODD_ENDINGS = ("xyz", "top", "click", "icu", "cc")
_PREFIXES = ("www.",) * 5 + ("cdn.", "cdn.", "api.", "static.", "")
_TTLS_S = (300, 3_600, 3_600, 14_400, 43_200)
_PLAIN_SHARE = 0.08
"""Share of web sites that are not encrypted."""
_PLAIN_SERVICES = ("mirror",)
WORDS = (
    "amber", "atlas", "autumn", "bay", "birch", "blue", "bridge", "bright", "cedar", "city",
    "clear", "cloud", "coast", "copper", "daily", "delta", "east", "echo", "field", "first",
    "forest", "garden", "global", "gold", "grand", "green", "harbour", "hill", "home", "honey",
    "house", "iron", "island", "key", "lake", "lane", "light", "lime", "market", "meadow",
    "media", "metro", "mill", "moon", "north", "ocean", "open", "orange", "park", "pilot",
    "planet", "press", "prime", "river", "rock", "silver", "sky", "smart", "south", "star",
    "stone", "sun", "travel", "world",
)  # fmt: skip


def name_of(fleet: Fleet, address: str, *, is_odd: bool = False) -> str:
    """Full name of an address: of a machine, of a known service, or of what looks like a site."""
    if known := _known_names(fleet).get(address):
        return known
    number = number_of("name", fleet.seed, address)
    if is_odd:
        label = "".join(chr(ord("a") + (number >> 5 * n) % 26) for n in range(9))
        return f"{label}.{_pick(_ODD_ENDINGS, number >> 50)}"
    words = f"{_pick(WORDS, number)}{_pick(WORDS, number >> 8)}"
    return f"{_pick(_PREFIXES, number >> 16)}{words}.{_pick(_ENDINGS, number >> 24)}"


def ttl_of(name: str) -> int:
    """Seconds that a name is remembered for once it was asked for."""
    return _TTLS_S[number_of("ttl", name) % len(_TTLS_S)]


@lru_cache(maxsize=2)
def plain_addresses(fleet: Fleet) -> frozenset[str]:
    """Addresses of web sites and services that speak HTTP in the clear."""
    sites = [str(address) for address in fleet.addresses("web")]
    plain = [a for a in sites if number_of("plain", fleet.seed, a) % 100 < 100 * _PLAIN_SHARE]
    services = [str(a) for pool in _PLAIN_SERVICES for a in fleet.addresses(pool)]
    # Windows fetches its lists of revoked certificates from one of its servers so.
    return frozenset((*plain, *services, str(fleet.addresses("updates")[0])))


@lru_cache(maxsize=2)
def _known_names(fleet: Fleet) -> dict[str, str]:
    found = {host.address: f"{host.name}.{HOME_DOMAIN}" for host in fleet.hosts}
    pools = {talk.peers for role in ROLES for talk in role.talks} - _NO_SERVICES
    for pool in sorted(pools):
        for number, address in enumerate(fleet.addresses(pool)):
            found[str(address)] = f"eu{number}.{pool.replace('_', '-')}.com"
    return found


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[number % len(choices)]
