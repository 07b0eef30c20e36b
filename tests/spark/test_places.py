"""Owners and countries of addresses, and the travel between logons."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from tests.spark.test_features_step import DAY, columns_of, events_of, features_of, row_of
from tests.support.address_databases import CITIES, OWNERS, write_database, write_databases

from shoal.errors import ConfigError
from shoal.features.activity import aggregate_activity
from shoal.features.places import (
    content_hashes,
    country_in,
    looked_up,
    owner_in,
    position_in,
)

BERLIN, POTSDAM, NEW_YORK = "203.0.113.7", "192.0.2.7", "198.51.100.7"
BERLIN_TO_NEW_YORK_KM = 6385.0
H = 3600


@pytest.fixture
def databases(tmp_path: Path) -> list[str]:
    return write_databases(tmp_path)


def test_what_databases_say_of_addresses(databases: list[str]) -> None:
    addresses = pd.Series([BERLIN, NEW_YORK, "10.0.0.1", None, "no address", "2001:db8::1", BERLIN])
    paths = tuple(databases)
    owners = looked_up(addresses, read=owner_in, paths=paths)
    berlin, new_york = "as64500 example hosting", "as64501 other net"
    assert list(owners) == [berlin, new_york, None, None, None, None, berlin]
    countries = looked_up(addresses, read=country_in, paths=paths)
    assert list(countries) == ["de", "us", None, None, None, None, "de"]
    positions = looked_up(addresses, read=position_in, paths=paths)
    assert positions[0] == [52.52, 13.405]
    # The first database knows the address, but not its place: the second is asked.
    assert positions[1] == [40.7128, -74.006]
    assert positions[2] is None


def test_connections_and_logons_show_where_they_lead(
    spark: SparkSession, databases: list[str]
) -> None:
    events = {
        "network": events_of(
            spark,
            "network",
            [
                {"destination_ip": BERLIN, "bytes_out": 5},
                {"destination_ip": "203.0.113.8", "bytes_out": 2},
                {"source_ip": NEW_YORK, "destination_ip": "10.0.0.1"}
                | {"network_direction": "inbound"},
                {"destination_ip": "10.0.0.1"},
            ],
        ),
        "auth": events_of(spark, "auth", [{"source_ip": NEW_YORK}, {"source_ip": "10.0.0.1"}]),
    }
    activity = aggregate_activity(
        events, entity_columns=columns_of("host", "user"), address_databases=databases
    )
    owner = row_of(activity, "host", "peer_owner", "as64500 example hosting")
    assert (owner["event_count"], owner["bytes_out"]) == (2, 7)
    assert row_of(activity, "host", "peer_country", "us")["event_count"] == 1
    assert row_of(activity, "user", "logon_country", "us")["event_count"] == 1
    found = activity.where("entity_type = 'host' AND dimension = 'peer_country'")
    assert {row["value"] for row in found.collect()} == {"de", "us"}
    host = features_of(activity, [DAY]).where("entity_type = 'host'").collect()[0]
    assert host["peer_owner_distinct"] == 2
    assert host["peer_country_distinct"] == 2
    assert host["logon_country_distinct"] == 1


def logon(user: str, hour: float, address: str, *, is_failed: bool = False) -> dict[str, object]:
    return {"user_name": user, "s": int(hour * H), "source_ip": address, "is_failed": is_failed}


def test_travel_speed_is_distance_over_time_between_places(
    spark: SparkSession, databases: list[str]
) -> None:
    logons = [
        # Eight hours: what an airliner needs.
        logon("flyer", 2, BERLIN), logon("flyer", 10, NEW_YORK),
        # At once: an hour is assumed, from the last logon at the first place.
        logon("stolen", 2, BERLIN), logon("stolen", 9.9, BERLIN), logon("stolen", 10, NEW_YORK),
        logon("commuter", 8, POTSDAM), logon("commuter", 8.5, BERLIN),
        # Refused abroad: nobody was there.
        logon("guessed", 8, BERLIN), logon("guessed", 8.1, NEW_YORK, is_failed=True),
        logon("inside", 8, "10.0.0.1"),
    ]  # fmt: skip
    activity = aggregate_activity(
        {"auth": events_of(spark, "auth", logons)},
        entity_columns=columns_of("host", "user"),
        address_databases=databases,
    )
    rows = features_of(activity, [DAY], address_databases=databases).collect()
    speed = {row["entity_id"]: row["travel_speed_max_kmh"] for row in rows}
    assert speed["flyer"] == pytest.approx(BERLIN_TO_NEW_YORK_KM / 8, rel=1e-3)
    assert speed["stolen"] == pytest.approx(BERLIN_TO_NEW_YORK_KM, rel=1e-3)
    assert (speed["commuter"], speed["guessed"]) == (0, 0)
    # Not known is another thing than not moved; and a machine does not travel.
    assert (speed["inside"], speed["h"]) == (None, None)


def test_without_databases_nothing_is_known(spark: SparkSession) -> None:
    events = {"auth": events_of(spark, "auth", [logon("u", 2, BERLIN), logon("u", 3, NEW_YORK)])}
    activity = aggregate_activity(events, entity_columns=columns_of("user"))
    [row] = features_of(activity, [DAY]).collect()
    assert row["travel_speed_max_kmh"] is None
    assert row["logon_country_distinct"] == 0


def test_a_database_is_known_by_its_content(tmp_path: Path) -> None:
    first = write_database(tmp_path / "a.mmdb", OWNERS)
    other = write_database(tmp_path / "b.mmdb", CITIES)
    copy = tmp_path / "copy.mmdb"
    copy.write_bytes(Path(first).read_bytes())
    assert content_hashes([str(copy)]) == content_hashes([first]) != content_hashes([other])


@pytest.mark.parametrize("content", [None, b"not a database"])
def test_a_database_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cities.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"address_databases: .*cities\.mmdb cannot be read"):
        content_hashes([str(path)])
