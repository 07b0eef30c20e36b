"""Features of all kinds of events: the same however their days and files come.

Compared without ``run_id``: it also names the models that a whole night would have fitted.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.support.address_databases import write_databases
from tests.support.equality import differences
from tests.support.nights import made_warehouse, settings_for
from tests.support.raw_logs import HOME, RawLogs

from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES
from shoal.contracts.activity import DIMENSIONS, KINDS
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.features import build_features
from shoal.pipelines.ingest import ingest
from shoal.pipelines.plan import plan_nights
from shoal.pipelines.span import first_span
from shoal.sources.records import DayWindow
from shoal.spark.nights import publish_nights

# Across the end of a month; the window is shorter than the nights one by one, so that it moves.
DAYS = [date(2024, 4, 27) + timedelta(days=number) for number in range(8)]
N_SINGLE = 3
LATE = DAYS[2]
TABLES = (ENTITY_ACTIVITY, ENTITY_FEATURES)


class Days:
    """A folder of raw logs and a warehouse of their features."""

    def __init__(self, spark: SparkSession, empty_tables: Path, folder: Path) -> None:
        self.logs = RawLogs(folder / "logs")
        self.path = folder / "warehouse"
        settings = settings_for(
            self.path,
            sources=self.logs.sources,
            entities=["host", "user", "source_address", "container", "image"],
            features={"novelty_days": 2},
            address_databases=write_databases(folder),
        )
        made_warehouse(empty_tables, settings)
        self.context: Context = open_context(spark, settings)

    def read(self, day: date | None = None) -> int:
        """Ingest as a night does, or as a range of them does; the number of files."""
        late_days = self.context.settings.ingest.late_days
        return ingest(self.context, None if day is None else DayWindow.around(day, late_days))

    def build(self, days: Sequence[date]) -> None:
        """Build the features of days at once, and let those after them look back on them."""
        span = first_span(plan_nights(self.context, days))
        assert span.days == list(days)
        publish_nights(self.context.warehouse, build_features(self.context, span).nights)

    def planned(self) -> dict[date, str]:
        """Identity of the nights by the files as they are now."""
        return {plan.event_date: plan.run_id for plan in plan_nights(self.context, DAYS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("incremental")


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, empty_tables: Path, folder: Path) -> Days:
    """All files there from the start, read at once, and all days built in one span."""
    days = Days(spark, empty_tables, folder / "at-once")
    for day in DAYS:
        days.logs.write_day(day)
    days.read()
    days.build(DAYS)
    return days


@pytest.fixture(scope="module")
def night_by_night(spark: SparkSession, empty_tables: Path, folder: Path) -> Days:
    """Each day's files come just before its night; the last nights are caught up on at once."""
    days = Days(spark, empty_tables, folder / "night-by-night")
    for day in DAYS[:N_SINGLE]:
        days.logs.write_day(day)
        days.read(day)
        days.build([day])
    for day in DAYS[N_SINGLE:]:
        days.logs.write_day(day)
    days.read()
    days.build(DAYS[N_SINGLE:])
    return days


def differing(left: Days, right: Days) -> list[str]:
    return differences(left.path, right.path, TABLES, leave_out=["run_id"])


def test_every_event_table_kind_and_dimension_is_looked_at(at_once: Days) -> None:
    """Without this the others may compare nothing with nothing."""
    warehouse = at_once.context.warehouse
    for kind, table in EVENT_TABLES.items():
        if kind != "feature":
            days = warehouse.read(table).select("event_date").distinct()
            assert {row[0] for row in days.collect()} == set(DAYS), kind
    features = warehouse.read(ENTITY_FEATURES)
    assert {row[0] for row in features.select("entity_type").distinct().collect()} == {
        "host", "user", "source_address", "container", "image",
    }  # fmt: skip
    names = [f"{kind.name}_count" for kind in KINDS]
    names += [f"{dimension.name}_distinct" for dimension in DIMENSIONS]
    names += ["new_port_count", "rare_package_count", "rare_peer_address_count"]
    [told] = features.agg(*(F.max(name).alias(name) for name in names)).collect()
    assert [name for name in names if not told[name]] == []
    is_home = F.col("entity_id") == HOME
    beacons = features.where(is_home).select("web_beacon_regularity_max").collect()
    assert all(row[0] > 0.5 for row in beacons)
    assert len(beacons) == len(DAYS)


def test_night_by_night_as_all_at_once(at_once: Days, night_by_night: Days) -> None:
    assert differing(at_once, night_by_night) == []


def test_late_files_as_files_of_other_names_and_order_there_from_the_start(
    spark: SparkSession, empty_tables: Path, folder: Path, at_once: Days, night_by_night: Days
) -> None:
    """The nights that the late files touch are built again, of one command."""
    other = Days(spark, empty_tables, folder / "other-order")
    for day in DAYS:
        other.logs.write_day(day, rename=backwards)
    other.logs.write_day(LATE, "late", rename=backwards)
    other.read()
    other.build(DAYS)
    assert differing(at_once, other) != []

    before = night_by_night.planned()
    night_by_night.logs.write_day(LATE, "late")
    night_by_night.read()
    after = night_by_night.planned()
    touched = [day for day in DAYS if after[day] != before[day]]
    assert touched == [day for day in DAYS if day >= LATE]
    night_by_night.build(touched)
    assert differing(other, night_by_night) == []


def backwards(name: str) -> str:
    return name[::-1]
