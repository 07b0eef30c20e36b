"""Whole nights over three real days of Zeek.

The settings are the defaults: nothing here is made for these logs but where they lie. Beside the
nights in processes of their own, so that the two processes that share the tests end at about the
same time.
"""

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support.nights import run_nights, zeek_settings

from shoal.contracts import INGEST_FILES, OUTLIERS
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import Context

BEACON = "73.54.23.243"
DAYS = (date(2024, 4, 19), date(2024, 4, 20), date(2024, 4, 21))
CONNECTIONS = 105_918


@pytest.fixture(scope="module")
def zeek_nights(
    spark: SparkSession,
    empty_tables: Path,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Context:
    """The three days ingested, scored and published."""
    settings = zeek_settings(tmp_path_factory.mktemp("zeek") / "w", shared_data / "zeek_rita")
    return run_nights(spark, empty_tables, settings, DAYS[0], DAYS[-1])


def test_every_connection_is_an_event(zeek_nights: Context) -> None:
    warehouse = zeek_nights.warehouse
    assert warehouse.read(EVENT_TABLES["network"]).count() == CONNECTIONS
    files = warehouse.read(INGEST_FILES).collect()
    assert sum(row.read_count for row in files) == CONNECTIONS
    for row in files:
        parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
        assert row.read_count == sum(parts), row.source_file


@pytest.mark.parametrize("day", DAYS[1:])
def test_the_beacon_is_in_the_top_20_of_its_day(zeek_nights: Context, day: date) -> None:
    listed = zeek_nights.warehouse.read_days(OUTLIERS, day, day)
    rank = {row["entity_id"]: row["rank"] for row in listed.collect()}
    assert BEACON in rank
    assert rank[BEACON] <= 20
    reasons = listed.where(listed.entity_id == BEACON).collect()[0]["reasons"]
    assert "beacon_regularity_max" in [reason["feature"] for reason in reasons]
