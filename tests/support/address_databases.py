"""Address databases in MaxMind's format, of addresses that documentation may use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

OWNERS = {
    "203.0.113.0/24": {
        "autonomous_system_number": 64500,
        "autonomous_system_organization": "Example Hosting",
    },
    "198.51.100.0/25": {"asn": "AS64501", "as_name": "Other Net", "country": "US"},
}
CITIES = {
    "203.0.113.0/24": {
        "country": {"iso_code": "DE"},
        "location": {"latitude": 52.52, "longitude": 13.405},
    },
    # Potsdam, 27 km from Berlin.
    "192.0.2.0/25": {
        "country": {"iso_code": "DE"},
        "location": {"latitude": 52.4, "longitude": 13.06},
    },
    "198.51.100.0/24": {
        "registered_country": {"iso_code": "US"},
        "location": {"latitude": 40.7128, "longitude": -74.006},
    },
}


def write_database(path: Path, records: Mapping[str, Mapping[str, Any]]) -> str:
    """Write a database of version 4 addresses; return its path."""
    writer = MMDBWriter(ip_version=4, database_type="Example", float_type="f64")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), dict(record))
    writer.to_db_file(str(path))
    return str(path)


def write_databases(folder: Path) -> list[str]:
    """One of owners, one of cities."""
    return [
        write_database(folder / "owners.mmdb", OWNERS),
        write_database(folder / "cities.mmdb", CITIES),
    ]
