"""Whole nights over three real days of Zeek.

The settings are the defaults: nothing here is made for these logs but where they lie. Beside the
nights in processes of their own, so that the two processes that share the tests end at about the
same time.
"""

from collections import Counter
from datetime import date
from pathlib import Path, PurePath

import pytest
from pyspark.sql import SparkSession
from tests.support.nights import run_nights, zeek_settings

from shoal.contracts import INGEST_FILES, OUTLIERS
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import Context

BEACON = "73.54.23.243"
DAYS = (date(2024, 4, 19), date(2024, 4, 20), date(2024, 4, 21))
RECORDS = {"conn": 105_918, "dns": 5_432, "http": 18_829, "ssl": 139, "ssh": 17_299}
"""By log, as counted in the raw files."""
TABLES = {"conn": "network", "dns": "dns", "http": "web", "ssl": "tls", "ssh": "auth"}


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


def test_every_record_is_an_event(zeek_nights: Context) -> None:
    warehouse = zeek_nights.warehouse
    events = {log: warehouse.read(EVENT_TABLES[kind]).count() for log, kind in TABLES.items()}
    assert events == RECORDS
    files = warehouse.read(INGEST_FILES).collect()
    read = Counter[str]()
    for row in files:
        read[PurePath(row.source_file).name.partition(".")[0]] += row.read_count
        parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
        assert row.read_count == sum(parts), row.source_file
    assert read == RECORDS


@pytest.mark.parametrize("day", DAYS[1:])
def test_the_beacon_is_in_the_top_20_of_its_day(zeek_nights: Context, day: date) -> None:
    """And what leads there is that it calls home over HTTP, as of few others."""
    listed = zeek_nights.warehouse.read_days(OUTLIERS, day, day).orderBy("rank").collect()
    rank = {row["entity_id"]: row["rank"] for row in listed}
    assert BEACON in rank
    assert rank[BEACON] <= 20
    leading = {row["entity_id"]: row["reasons"][0]["feature"] for row in listed}
    regular = [entity for entity in rank if leading[entity] == "web_beacon_regularity_max"]
    assert BEACON in regular[:3]
