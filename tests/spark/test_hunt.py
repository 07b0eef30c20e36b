"""What hunters ask of published nights, held against Spark's answers to the same questions."""

import shutil
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F
from sklearn.neighbors import NearestNeighbors
from tests.support.nights import settings_for

from shoal.contracts import (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_LABELS,
    ENTITY_SCORES,
    OUTLIERS,
    RUNS,
    UNSCORED,
)
from shoal.contracts.scores import techniques_of
from shoal.errors import DataError
from shoal.hunt.doctor import examine
from shoal.hunt.feedback import Finding, record_verdicts
from shoal.hunt.lists import Wanted, list_outliers
from shoal.hunt.peers import nearest_peers
from shoal.hunt.rare import rare_values
from shoal.hunt.timeline import entity_timeline
from shoal.lake import FolderLake, published_nights
from shoal.models.registry import load_global, version_served
from shoal.models.vectors import add_vector
from shoal.pipelines.context import Context
from shoal.spark.nights import read_published
from shoal.spark.tables import Warehouse


@pytest.fixture(scope="module")
def lake(windows_nights: Context) -> FolderLake:
    assert windows_nights.warehouse.path is not None
    return FolderLake(windows_nights.warehouse.path)


def test_a_timeline_has_every_night_and_what_it_said(
    windows_nights: Context, lake: FolderLake
) -> None:
    warehouse = windows_nights.warehouse
    nights = published_nights(warehouse)
    lines = read_published(warehouse, OUTLIERS, nights).collect()
    there: dict[tuple[str, str], list[date]] = defaultdict(list)
    for row in read_published(warehouse, ENTITY_FEATURES, nights).collect():
        there[row["entity_type"], row["entity_id"]].append(row["event_date"])
    listed = {(line["entity_type"], line["entity_id"]) for line in lines}
    kind, name = max(sorted(listed), key=lambda entity: len(there[entity]))
    found = entity_timeline(lake, name.upper(), entity_type=kind)
    assert [row["event_date"] for row in found] == [night.event_date for night in nights]
    is_own = (F.col("entity_type") == kind) & (F.col("entity_id") == name)
    told = {
        table.name: {
            row["event_date"]: row.asDict(recursive=True)
            for row in read_published(warehouse, table, nights).where(is_own).collect()
        }
        for table in (ENTITY_SCORES, OUTLIERS, UNSCORED)
    }
    assert told["outliers"]
    for row in found:
        score = told["entity_scores"].get(row["event_date"])
        line = told["outliers"].get(row["event_date"])
        unscored = told["unscored"].get(row["event_date"])
        assert row["anomaly_score"] == (score["anomaly_score"] if score else None)
        assert row["cluster_id"] == (score["cluster_id"] if score else None)
        assert row["rank"] == (line["rank"] if line else None)
        assert row["reasons"] == (line["reasons"] if line else None)
        assert row["reason"] == (unscored["reason"] if unscored else None)
        assert row["is_missing"] == (score is None and unscored is None)
    assert entity_timeline(lake, name, entity_type=kind, last=1) == found[-1:]
    first = min(there[kind, name])
    until = entity_timeline(lake, name, entity_type=kind, until=first)
    assert until == [row for row in found if row["event_date"] <= first]
    with pytest.raises(DataError, match="no night up to 1999-01-01 is published"):
        entity_timeline(lake, name, until=date(1999, 1, 1))


def test_a_list_is_cut_to_what_is_asked_for(lake: FolderLake) -> None:
    every = list_outliers(lake, None).lines
    feature = every[-1]["reasons"][0]["feature"]
    expected = [line for line in every if feature in {r["feature"] for r in line["reasons"]}]
    assert list_outliers(lake, None, Wanted(feature=feature)).lines == expected
    [technique, *_] = techniques_of(every[0]["reasons"])
    found = list_outliers(lake, None, Wanted(technique=technique)).lines
    assert found == [line for line in every if technique in techniques_of(line["reasons"])]
    parent = technique.partition(".")[0]
    assert len(list_outliers(lake, None, Wanted(technique=parent)).lines) >= len(found) > 0
    assert list_outliers(lake, None, Wanted(technique="T0")).lines == []
    kind = every[0]["entity_type"]
    of_type = list_outliers(lake, None, Wanted(entity_type=kind)).lines
    assert of_type == [line for line in every if line["entity_type"] == kind]
    of_slice = list_outliers(lake, None, Wanted(slice_name="nobody's")).lines
    assert of_slice == []


def test_lines_by_label_priority_and_verdict(windows_nights: Context, tmp_path: Path) -> None:
    shutil.copytree(str(windows_nights.warehouse.path), tmp_path / "tables")
    lake = FolderLake(str(tmp_path / "tables"))
    first, *others = list_outliers(lake, None).lines
    label = {"entity_type": first["entity_type"], "entity_id": first["entity_id"],
             "label": "site", "value": "lyon=west"}  # fmt: skip
    lake.append_rows(ENTITY_LABELS, [label])
    lake = FolderLake(lake.path)
    assert list_outliers(lake, None, Wanted(label="site=lyon=west")).lines == [first]
    assert list_outliers(lake, None, Wanted(label="site=lyon")).lines == []
    weights = {first["slice"]: 3}
    weighty = list_outliers(lake, None, Wanted(least_priority=2), priorities=weights).lines
    assert {line["slice"] for line in weighty} == {first["slice"]}
    assert {line["priority"] for line in weighty} == {3}
    assert list_outliers(lake, None, Wanted(least_priority=2)).lines == []
    given = Finding(
        first["entity_id"], "suspicious", "odd", first["event_date"], first["entity_type"]
    )
    record_verdicts(lake, [given], owner="ann")
    lake = FolderLake(lake.path)
    assert list_outliers(lake, None, Wanted(is_open=True)).lines == others
    assert list_outliers(lake, None).lines[0]["verdict"] == "suspicious"


def test_an_entity_that_no_night_knows_gets_a_near_miss(lake: FolderLake) -> None:
    [known, *_] = sorted(set(lake.fetch(ENTITY_FEATURES, ["entity_id"])["entity_id"].to_pylist()))
    with pytest.raises(DataError, match=r"no entity .* did you mean"):
        entity_timeline(lake, f"{known}x")


def test_the_nearest_are_those_of_a_search_for_neighbours(
    windows_nights: Context, lake: FolderLake
) -> None:
    warehouse = windows_nights.warehouse
    night = published_nights(warehouse)[-1]
    [(kind, version), *_] = sorted(night.model_versions.items())
    model = load_global(warehouse, version_served(kind, version))
    rows = read_published(warehouse, ENTITY_FEATURES, [night]).where(F.col("entity_type") == kind)
    vectors = add_vector(rows, [model.vector_rule(F.lit(True))]).orderBy("entity_id").collect()
    names = [row["entity_id"] for row in vectors]
    preparation = model.geometry.preparation
    values = np.asarray([row["features"] for row in vectors], dtype=float)
    places = preparation.project(preparation.standardize(values))
    n_others = min(3, len(names) - 1)
    search = NearestNeighbors(n_neighbors=n_others + 1).fit(places)
    distances, found = search.kneighbors(places[:1])
    peers = nearest_peers(lake, names[0], None, entity_type=kind, top=n_others)
    assert n_others
    assert [row["entity_id"] for row in peers.nearest] == [names[i] for i in found[0][1:]]
    assert [row["distance"] for row in peers.nearest] == pytest.approx(distances[0][1:].tolist())
    assert peers.entity["entity_id"] == names[0]
    slices = Counter(row["slice"] for row in vectors)
    assert peers.slice_peers == slices[peers.entity["slice"]] - 1


def test_what_appeared_is_what_nobody_had(windows_nights: Context, lake: FolderLake) -> None:
    warehouse = windows_nights.warehouse
    nights = published_nights(warehouse)
    by_night: list[dict[str, set[str]]] = []
    for night in nights:
        rows = read_published(warehouse, ENTITY_ACTIVITY, [night]).where(
            (F.col("entity_type") == "host") & (F.col("dimension") == "program")
        )
        own = defaultdict(set)
        for row in rows.select("value", "entity_id").collect():
            own[row["value"]].add(row["entity_id"])
        by_night.append(own)
    for most in (1, 3):
        expected = {
            value: sorted(names)
            for value, names in by_night[-1].items()
            if len(names) <= most and not any(value in before for before in by_night[:-1])
        }
        night, found = rare_values(lake, None, dimensions=["program"], most=most, past_days=60)
        assert night.event_date == nights[-1].event_date
        assert {row["value"]: row["entity_ids"] for row in found} == expected
        assert expected
    _, with_past = rare_values(lake, None, dimensions=["program"], past_days=60)
    _, without = rare_values(lake, nights[0].event_date, dimensions=["program"], most=99)
    assert {row["value"] for row in without} == set(by_night[0])
    assert len(with_past) < len(by_night[-1])


def test_a_dimension_that_is_none_is_named(lake: FolderLake) -> None:
    with pytest.raises(DataError, match="no dimension 'programm'; did you mean 'program'"):
        rare_values(lake, None, dimensions=["programm"])


def test_a_sound_installation_is_told_so_and_what_is_late(
    windows_nights: Context, lake: FolderLake, tmp_path: Path
) -> None:
    last = published_nights(lake)[-1].event_date
    found = examine(windows_nights.settings, lake, today=last)
    assert not [one for one in found if one.state == "missing"]
    said = {(one.about, one.state): one.said for one in found}
    assert said.keys() >= {(about, "ok") for about in ("packages", "Java", "tables")}
    assert f"the last of {last}" in said["nights", "ok"]
    assert any(
        "entities scored" in told for (about, _), told in said.items() if about == "last night"
    )
    late = [
        one.said
        for one in examine(windows_nights.settings, lake, today=last + timedelta(days=9))
        if one.about == "nights" and one.state == "look"
    ]
    assert any("9 days ago: is the schedule running?" in said for said in late)
    sources = [
        source.model_copy(update={"paths": [str(tmp_path / "nowhere")]})
        for source in windows_nights.settings.sources
    ]
    settings = windows_nights.settings.model_copy(update={"sources": sources})
    told = {one.about: one for one in examine(settings, lake, today=last)}
    assert "nothing is at" in told["source windows"].said


def test_tables_that_are_not_there_are_missing(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    [*_, tables, nights] = examine(settings, FolderLake(str(tmp_path)))
    assert (tables.state, nights.state) == ("missing", "missing")
    assert "shoal tables apply" in tables.said
    empty = examine(settings, FolderLake(str(warehouse.path)))
    told = {one.about: one for one in empty}
    assert told["tables"].state == "ok"
    assert "none is published yet" in told["nights"].said
    shutil.rmtree(f"{warehouse.path}/verdicts")
    faults = [
        one for one in examine(settings, FolderLake(str(warehouse.path))) if one.state == "missing"
    ]
    assert [one.about for one in faults] == ["table verdicts", "nights"]


@pytest.mark.parametrize(
    ("ended", "state", "said"),
    [
        ({"state": "done", "faults": []}, "ok", "is done, without faults"),
        ({"state": "done", "faults": ["a file"]}, "look", "met faults: a file"),
        ({"state": "failed", "exit_code": 3, "message": "no events"}, "look",
         "ended with 3: no events"),
    ],
)  # fmt: skip
def test_the_last_run_is_told(
    warehouse: Warehouse, ended: dict[str, Any], state: str, said: str
) -> None:
    settings = settings_for(Path(str(warehouse.path)))
    at = datetime(2026, 9, 28, 3, tzinfo=UTC)
    row = {"run_date": at.date(), "attempt_id": "a", "step": "command nightly", "written_ts": at}
    older = {**row, "state": "failed", "message": "old", "written_ts": at - timedelta(hours=1)}
    FolderLake(str(warehouse.path)).append_rows(RUNS, [{**row, **ended}, older])
    found = examine(settings, FolderLake(str(warehouse.path)))
    [last] = [one for one in found if one.about == "last run"]
    assert (last.state, said in last.said) == (state, True)
