"""Nights of a range at once against the same nights one by one: equal in every table."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.conftest import ROOT
from tests.e2e.kill_points import reader_sees
from tests.support.equality import differences
from tests.support.fleet import CONF, Fleet
from tests.support.nights import run_nights

from shoal.config import load_settings
from shoal.contracts import ENTITY_LABELS, ENTITY_SCORES, MODEL_STATUS, NIGHTS, OUTLIERS, Table
from shoal.lake import published_nights
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.plan import plan_night, plan_nights
from shoal.spark.tables import Warehouse, open_warehouse

# Nothing on the 6th; the 7th is due to fit anew, as there are twice the nights of the first fit.
DAYS = [date(2024, 3, day) for day in (4, 5, 7, 8)]
LATE = DAYS[2]
SETTINGS = [
    "fit.every_days=30", "outliers.max_p_value=0.6", "outliers.capacity=4",
    "score.self_prior_nights=2.0", "score.self_days=3", "features.novelty_days=2",
]  # fmt: skip


class Nights:
    """A fleet's nights in some warehouses."""

    def __init__(self, spark: SparkSession, empty_tables: Path, folder: Path) -> None:
        self.spark, self.empty_tables, self.folder = spark, empty_tables, folder
        self.fleet = Fleet(folder)
        for day in DAYS:
            self.fleet.write_day(day)

    def settings(self, name: str) -> Any:
        options = self.fleet.options(self.folder / name)
        return load_settings(str(ROOT / CONF), [*options, *SETTINGS])

    def make(self, name: str) -> Path:
        """A warehouse without nights; half of the hosts have a role."""
        path = Path(shutil.copytree(self.empty_tables, self.folder / name))
        warehouse = open_warehouse(self.spark, self.settings(name))
        labels = [
            {"entity_type": "host", "entity_id": f"ws{host}.corp.local", "label": "role",
             "value": "web"}
            for host in range(0, 24, 2)
        ]  # fmt: skip
        warehouse.append(warehouse.frame(ENTITY_LABELS, labels), ENTITY_LABELS)
        return path

    def context(self, name: str) -> Context:
        return open_context(self.spark, self.settings(name))

    def run(self, name: str, days: Sequence[date], *, at_once: bool) -> Context:
        """Run nights by one command, or by one each."""
        for first, last in [(days[0], days[-1])] if at_once else [(day, day) for day in days]:
            run_nights(self.spark, self.empty_tables, self.settings(name), first, last)
        return self.context(name)


@pytest.fixture(scope="module")
def nights(
    spark: SparkSession, empty_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Nights:
    """The fleet; the nights one by one in ``single``."""
    nights = Nights(spark, empty_tables, tmp_path_factory.mktemp("spans"))
    nights.make("single")
    nights.run("single", DAYS, at_once=False)
    return nights


@pytest.fixture(scope="module")
def ranged(nights: Nights) -> Path:
    """The same nights at once."""
    path = nights.make("ranged")
    nights.run("ranged", DAYS, at_once=True)
    return path


def fitted_on(context: Context) -> list[tuple[date, int]]:
    rows = context.warehouse.read(MODEL_STATUS).collect()
    return sorted((row["effective_date"], row["training_nights"]) for row in rows)


def test_a_range_equals_its_nights_one_by_one(nights: Nights, ranged: Path) -> None:
    context = nights.context("ranged")
    assert fitted_on(context) == [(DAYS[1], 1), (DAYS[2], 2)]
    lines = context.warehouse.read(OUTLIERS).collect()
    assert max(line["days_in_row"] for line in lines) == 2
    assert any(line["self_p_value"] is not None for line in lines)
    slices = context.warehouse.read(ENTITY_SCORES).select("event_date", "slice").distinct()
    assert Counter(row["event_date"] for row in slices.collect()) == {
        DAYS[1]: 2, DAYS[2]: 2, DAYS[3]: 2,
    }  # fmt: skip
    assert differences(nights.folder / "single", ranged) == []


def test_a_range_commits_once_for_the_nights_of_a_span(nights: Nights, ranged: Path) -> None:
    """One span for all, the first fit and a second one inside."""
    version = nights.context("ranged").warehouse.versions([ENTITY_SCORES, OUTLIERS, NIGHTS])
    single = nights.context("single").warehouse.versions([ENTITY_SCORES, OUTLIERS, NIGHTS])
    # The first night has no list, and Delta makes no version of nothing.
    assert (version[OUTLIERS.name], single[OUTLIERS.name]) == (1, 3)
    assert (version[ENTITY_SCORES.name], single[ENTITY_SCORES.name]) == (1, 3)
    # The nights before a fit inside the span are published before it is promoted.
    assert (version[NIGHTS.name], single[NIGHTS.name]) == (3, 4)


def test_nights_planned_at_once_are_those_planned_one_by_one(nights: Nights, ranged: Path) -> None:
    context = nights.context("single")
    published = {n.event_date: n.run_id for n in published_nights(context.warehouse)}
    assert list(published) == DAYS
    assert {p.event_date: p.run_id for p in plan_nights(context, DAYS)} == published
    assert {day: plan_night(context, day).run_id for day in DAYS} == published
    # Of tables without a night: as if each before were published and each fit promoted.
    empty = nights.folder / "planned"
    shutil.copytree(ranged, empty)
    context = nights.context("planned")
    for table in (NIGHTS, MODEL_STATUS):
        context.warehouse.delete_where(table, "true")
    assert {p.event_date: p.run_id for p in plan_nights(context, DAYS)} == published


def test_a_late_file_changes_its_night_and_those_after_it(nights: Nights, ranged: Path) -> None:
    for name in ("single", "ranged"):
        shutil.copytree(nights.folder / name, nights.folder / f"late-{name}")
    before = {n.event_date: n.run_id for n in published_nights(nights.context("single").warehouse)}
    late = nights.fleet.logs / "late.jsonl"
    nights.fleet.write_day(LATE, hosts=range(24, 27), name="late")
    try:
        nights.run("late-single", DAYS[2:], at_once=False)
        context = nights.run("late-ranged", DAYS[2:], at_once=True)
    finally:
        late.unlink()
    after = {n.event_date: n.run_id for n in published_nights(context.warehouse)}
    assert [day for day in DAYS if after[day] != before[day]] == DAYS[2:]
    # With the models that served them, never a silent refit.
    assert fitted_on(context) == [(DAYS[1], 1), (DAYS[2], 2)]
    rows = context.warehouse.read_days(ENTITY_SCORES, LATE, LATE)
    assert rows.count() == 27
    assert differences(nights.folder / "late-single", nights.folder / "late-ranged") == []


class KilledError(BaseException):
    """Nothing of Shoal catches it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Table, int], None]:
    """Let the run die before a table's commit, counted from 1."""
    original = Warehouse._write

    def arrange(doomed: Table, number: int) -> None:
        seen = Counter[str]()

        def write(self: Warehouse, frame: Any, table: Table, *rest: Any, **named: Any) -> None:
            seen[table.name] += 1
            if table == doomed and seen[table.name] == number:
                raise KilledError(doomed.name)
            original(self, frame, table, *rest, **named)

        monkeypatch.setattr(Warehouse, "_write", write)

    return arrange


def test_a_range_killed_again_and_again_is_completed_by_the_same_command(
    nights: Nights, kill_at: Callable[[Table, int], None]
) -> None:
    path = nights.make("killed")
    whole = reader_sees(nights.folder / "single")
    # In the lists of the span; between its publications; then, the first fit promoted already,
    # between those again.
    for table, number, n_published in ((OUTLIERS, 1, 0), (NIGHTS, 2, 1), (NIGHTS, 2, 2)):
        kill_at(table, number)
        with pytest.raises(KilledError):
            nights.run("killed", DAYS, at_once=True)
        seen = reader_sees(path)
        assert len(seen) == n_published
        assert seen.items() <= whole.items()
    kill_at(NIGHTS, 0)
    nights.run("killed", DAYS, at_once=True)
    assert differences(nights.folder / "single", path) == []
