"""Where addresses are and whose, by databases in MaxMind's format that the user supplies.

Spark's workers open the files themselves, so a path must lead to the same file on all of them.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import maxminddb
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.entities import ENTITY_KEY
from shoal.errors import ConfigError
from shoal.spark.udf import series_udf

EARTH_RADIUS_KM = 6371.0
NEAR_KM = 100.0
"""Places closer than this are one: databases of cities are no more exact."""
SHORTEST_TRAVEL_H = 1.0
"""Logons that follow closer on each other count as so far apart: clocks and hours overlap."""

Record = dict[str, object]


@lru_cache(maxsize=8)
def _reader(path: str, modified_ns: int) -> maxminddb.Reader:
    """A database, opened once a process; anew if the file is another one by now."""
    return maxminddb.open_database(path)


@lru_cache(maxsize=8)
def _content_hash(path: str, modified_ns: int) -> str:
    """Hash of a database, read once a process: nights are planned several times."""
    maxminddb.open_database(path).close()
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hashes(paths: Sequence[str]) -> list[str]:
    """Hash of each database's content.

    Raises
    ------
    ConfigError
        If one is missing, or is not in MaxMind's format.
    """
    found = []
    for path in paths:
        try:
            found.append(_content_hash(path, Path(path).stat().st_mtime_ns))
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise ConfigError(
                f"address_databases: {path} cannot be read ({error}); a file in MaxMind's format "
                "is needed (.mmdb), under a path that leads to it on every machine of the job"
            ) from error
    return found


def records_of(address: str, paths: tuple[str, ...]) -> list[Record]:
    """What each database says of an address; nothing of what is not an address."""
    found = []
    for path in paths:
        try:
            record = _reader(path, Path(path).stat().st_mtime_ns).get(address)
        except ValueError:
            # No address, or one of version 6 in a database of version 4.
            continue
        if isinstance(record, dict):
            found.append(dict(record))
    return found


def owner_in(record: Record) -> str | None:
    """Autonomous system and its organisation, ``as64500 example``, lower-cased.

    Field names are those of GeoLite2-ASN, and of ipinfo's databases.
    """
    number = record.get("autonomous_system_number") or record.get("asn")
    name = record.get("autonomous_system_organization") or record.get("as_name")
    if not number:
        return None
    return f"as{str(number).lower().removeprefix('as')} {str(name or '').lower()}".strip()


def country_in(record: Record) -> str | None:
    """ISO 3166 code of the country, lower-cased.

    Field names are those of GeoLite2-Country and GeoLite2-City, and of ipinfo's databases.
    """
    for name in ("country", "registered_country", "country_code"):
        country = record.get(name)
        code = country.get("iso_code") if isinstance(country, dict) else country
        if isinstance(code, str) and len(code) == 2:
            return code.lower()
    return None


def position_in(record: Record) -> list[float] | None:
    """Latitude and longitude in degrees, as GeoLite2-City has them."""
    location = record.get("location")
    place = location if isinstance(location, dict) else {}
    latitude, longitude = place.get("latitude"), place.get("longitude")
    if isinstance(latitude, float | int) and isinstance(longitude, float | int):
        return [float(latitude), float(longitude)]
    return None


def looked_up(
    addresses: pd.Series, *, read: Callable[[Record], object], paths: tuple[str, ...]
) -> pd.Series:
    """What ``read`` finds of each address, in the first database that has it; else null."""
    known = {}
    for address in addresses.dropna().unique():
        values = (read(record) for record in records_of(address, paths))
        known[address] = next((value for value in values if value is not None), None)
    return pd.Series([known.get(address) for address in addresses], dtype=object)


def _lookup(
    address: Column, read: Callable[[Record], object], databases: Sequence[str], returns: str
) -> Column:
    if not databases:
        return F.lit(None).cast(returns)
    paths = tuple(databases)

    # pandas_udf takes plain functions alone, not partial ones.
    def look_up(addresses: pd.Series) -> pd.Series:
        return looked_up(addresses, read=read, paths=paths)

    return series_udf(look_up, returns)(address)


def owner(address: Column, databases: Sequence[str]) -> Column:
    """Who owns the network of an address; null where no database knows."""
    return _lookup(address, owner_in, databases, "string")


def country(address: Column, databases: Sequence[str]) -> Column:
    """Country of an address; null where no database knows."""
    return _lookup(address, country_in, databases, "string")


def aggregate_travel(activity: DataFrame, databases: Sequence[str]) -> DataFrame:
    """Aggregate the places that a user logged on from to the fastest travel between them.

    From the last successful logon at one place to the first at the next, in the order of their
    first ones; ``NEAR_KM`` and ``SHORTEST_TRAVEL_H`` bound it. Distances are great circles.

    Parameters
    ----------
    activity : the days, grain entity × day × dimension × value

    Returns
    -------
    user × day, for those with a logon from an address that a database places:
    ``travel_speed_max_kmh``.
    """
    is_logon = (F.col("entity_type") == "user") & (F.col("dimension") == "logon_source")
    placed = (
        activity.where(is_logon & (F.col("event_count") > F.col("failed_count")))
        .select(*ENTITY_KEY, "value", "first_ts", "last_ts")
        .withColumn("position", _lookup(F.col("value"), position_in, databases, "array<double>"))
        .where(F.col("position").isNotNull())
    )
    in_order = Window.partitionBy(*ENTITY_KEY).orderBy("first_ts", "value")
    gone = F.unix_micros("first_ts") - F.unix_micros(F.lag("last_ts").over(in_order))
    hours = F.greatest(gone / 3.6e9, F.lit(SHORTEST_TRAVEL_H))
    km = _great_circle_km(F.lag("position").over(in_order), F.col("position"))
    speed = F.when(km >= NEAR_KM, km / hours).otherwise(F.lit(0.0))
    return (
        placed.withColumn("speed", speed)
        .groupBy(*ENTITY_KEY)
        .agg(F.round(F.max("speed"), 3).alias("travel_speed_max_kmh"))
    )


def _great_circle_km(start: Column, end: Column) -> Column:
    """Distance of two positions by the haversine formula (Sinnott, Sky and Telescope 1984)."""
    here, there = F.radians(F.get(start, 0)), F.radians(F.get(end, 0))
    across = F.radians(F.get(end, 1)) - F.radians(F.get(start, 1))
    half_chord = (
        F.pow(F.sin((there - here) / 2), 2)
        + F.cos(here) * F.cos(there) * F.pow(F.sin(across / 2), 2)
    )  # fmt: skip
    # Not least, which passes over the null of a first place.
    rounded = F.when(half_chord > 1, 1.0).otherwise(half_chord)
    return 2 * EARTH_RADIUS_KM * F.asin(F.sqrt(rounded))
