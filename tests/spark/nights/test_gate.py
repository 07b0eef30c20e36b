"""Refits of whole nights: what the gate keeps out, what it lets through, and the way back."""

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.support.nights import run_nights, settings_for

from shoal.contracts import ENTITY_SCORES, MODEL_STATUS, MODELS
from shoal.errors import DataError
from shoal.hunt.explain import explain_entity
from shoal.pipelines.context import Context
from shoal.pipelines.model_versions import diff_models, promote_by_hand, roll_back

FIRST = date(2026, 3, 2)
NAMES = ["a", "b", "c", "d"]
SLICES = ("db", "pc", "web")
ENTITIES = [f"box-{number:02d}" for number in range(90)]
FIT = {
    "every_days": 4, "golden_nights": 4, "window_days": 7, "n_components": 3,
    "covariance_type": "full", "n_clusters": 3,
}  # fmt: skip
REFIT = FIRST + timedelta(days=8)
"""Fits on 1, 2 and 4 nights, and then four days later: that one is gated."""
LAST = REFIT + timedelta(days=1)
NOBODY = np.zeros(90, bool)


def write_nights(folder: Path, days: range, strayed: np.ndarray) -> None:
    """One ready table a day; those that strayed lie far out, all in one place."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        rng = np.random.default_rng(day)
        middles = np.repeat([[20.0] * 4, [60, 20, 20, 20], [20, 60, 20, 20]], 30, axis=0)
        rows = middles + rng.normal(0.0, 3.0, (90, 4))
        far = np.array([120.0, 2.0, 20.0, 120.0]) + rng.normal(0.0, 1.0, (90, 4))
        table = pd.DataFrame(np.where(strayed[:, None], far, rows), columns=NAMES)
        table.insert(0, "slice", np.repeat(SLICES, 30))
        table.insert(0, "day", FIRST + timedelta(days=day))
        table.insert(0, "id", ENTITIES)
        table.to_csv(folder / f"day-{day:02d}.csv", index=False)


def settings_of(path: Path, *folders: Path, **fit: Any) -> Any:
    source = {
        "name": "boxes", "kind": "features", "paths": [str(folder) for folder in folders],
        "entity_type": "box", "id_column": "id", "date_column": "day", "slice_column": "slice",
        "pattern": "*.csv",
    }  # fmt: skip
    sections = {"fit": FIT | fit, "slices": {"min_entities": 20}}
    return settings_for(path, sources=[source], entities=[], **sections)


@pytest.fixture(scope="module")
def common(spark: SparkSession, empty_tables: Path, tmp_path_factory: Any) -> Path:
    """Five nights of a fleet, the last of them with a model of the four before."""
    folder: Path = tmp_path_factory.mktemp("common")
    write_nights(folder / "tables-of-days", range(5), NOBODY)
    settings = settings_of(folder / "warehouse", folder / "tables-of-days")
    run_nights(spark, empty_tables, settings, FIRST, FIRST + timedelta(days=4))
    return folder


Branch = Callable[..., Context]


@pytest.fixture(scope="module")
def branch(spark: SparkSession, empty_tables: Path, common: Path, tmp_path_factory: Any) -> Branch:
    """Five more nights, on which some entities stray."""

    def run(strayed: np.ndarray, **fit: Any) -> Context:
        folder: Path = tmp_path_factory.mktemp("branch")
        shutil.copytree(common / "warehouse", folder / "warehouse")
        write_nights(folder / "days", range(5, 10), strayed)
        sources = common / "tables-of-days", folder / "days"
        settings = settings_of(folder / "warehouse", *sources, **fit)
        return run_nights(spark, empty_tables, settings, FIRST + timedelta(days=5), LAST)

    return run


def some(*entities: int) -> np.ndarray:
    return np.isin(np.arange(90), entities)


def status_of(context: Context) -> dict[str, Any]:
    """The row of `model_status` of the last fit, and the version that served before it."""
    rows = context.warehouse.read(MODEL_STATUS).orderBy("sequence").collect()
    last = rows[-1].asDict(recursive=True)
    assert last["effective_date"] == REFIT
    return last | {"before": rows[-2]["model_version"]}


def scores_of(context: Context) -> pd.DataFrame:
    rows = context.warehouse.read(ENTITY_SCORES).where(F.col("event_date") >= F.lit(REFIT))
    return rows.toPandas().sort_values(["event_date", "entity_id"], ignore_index=True)


@pytest.fixture(scope="module")
def clean(branch: Branch) -> Context:
    return branch(NOBODY)


def test_a_fit_that_is_no_worse_serves_and_says_how_it_compares(clean: Context) -> None:
    status = status_of(clean)
    assert status["status"] == "promoted"
    assert status["reason"].endswith(f"no worse than {status['before']}")
    known = {
        (own["slice"], own["measure"]): (own["champion"], own["candidate"])
        for own in status["comparison"]
    }
    assert known["*", "entities"][0] == 90
    assert set(SLICES) < {name for name, _ in known}
    assert min(known["*", "recall of planted anomalies"]) > 0.9
    assert set(scores_of(clean)["model_version"]) == {status["model_version"]}
    first = clean.warehouse.read(MODEL_STATUS).orderBy("sequence").first()
    assert first is not None
    assert first["comparison"] is None


def test_a_change_of_a_score_is_the_entitys_own_and_the_models(clean: Context) -> None:
    entity = ENTITIES[7]
    rows = clean.warehouse.read(ENTITY_SCORES).where(F.col("entity_id") == entity).toPandas()
    scores = rows.set_index("event_date")["anomaly_score"]
    day_before = REFIT - timedelta(days=1)
    _, found = explain_entity(clean.warehouse, entity, REFIT, entity_type="box", top=5)
    assert found["change_since"] == day_before
    assert found["score_change"] == pytest.approx(scores[REFIT] - scores[day_before])
    assert found["score_change"] == pytest.approx(
        found["change_by_behaviour"] + found["change_by_model"]
    )
    assert found["change_by_model"] != 0
    assert found["change_by_late_data"] == 0
    # The same model on both nights: all of it is the entity's own.
    _, found = explain_entity(clean.warehouse, entity, LAST, entity_type="box", top=5)
    assert found["change_by_behaviour"] == pytest.approx(scores[LAST] - scores[REFIT])
    assert found["change_by_model"] == 0


def test_a_fit_on_poisoned_data_is_kept_out_until_somebody_lets_it_in(branch: Branch) -> None:
    context = branch(some(*range(0, 90, 6)))
    status = status_of(context)
    assert status["status"] == "rejected"
    assert status["reason"].startswith(f"kept out, {status['before']} goes on: ")
    assert "5 of 30 entities that were strange are ordinary to it" in status["reason"]
    assert set(scores_of(context)["model_version"]) == {status["before"]}

    told = promote_by_hand(context, status["model_version"], "a new product line")
    assert told == f"{status['model_version']} serves box from {LAST + timedelta(days=1)} on"
    with pytest.raises(DataError, match="was promoted already"):
        promote_by_hand(context, status["model_version"], "again")


def test_a_slice_that_is_poisoned_goes_on_as_before_and_the_others_are_new(
    branch: Branch,
) -> None:
    context = branch(some(*range(30, 36)))
    status = status_of(context)
    assert status["status"] == "promoted"
    assert f"pc as in {status['before']}: pc: 5 of 30 entities" in status["reason"]
    models = context.warehouse.read(MODELS).toPandas().set_index(["model_version", "slice"])
    old, new = status["before"], status["model_version"]
    assert models.loc[(new, "pc"), "status"] == "kept_champion"
    for name in ("feature_names", "means", "center", "reference_density"):
        assert str(models.loc[(new, "pc"), name]) == str(models.loc[(old, "pc"), name])
    assert models.loc[(new, "web"), "status"] != "kept_champion"
    scores = scores_of(context)
    assert set(scores["model_version"]) == {new}
    strayed = scores["entity_id"].isin(ENTITIES[30:36])
    assert (scores.loc[strayed, "p_value"] < 0.01).all()
    [one, *_] = scores.loc[strayed, "entity_id"]
    _, found = explain_entity(context.warehouse, one, LAST, entity_type="box", top=5)
    assert found["reasons"]


def test_a_rollback_brings_the_scores_of_the_model_before_back(
    spark: SparkSession, empty_tables: Path, clean: Context, branch: Branch
) -> None:
    status = status_of(clean)
    version, before = status["model_version"], status["before"]
    tables = diff_models(clean, before, version)
    forms, *_ = tables.values()
    assert forms.columns.tolist() == ["of", before, version]
    assert forms.set_index("of").loc["entities"].tolist() == [90, 90]
    assert set(tables["Slices"]["slice"]) == set(SLICES)
    [title] = [name for name in tables if name.startswith("Components of the first")]
    assert len(tables[title]) == 3

    with pytest.raises(DataError, match="does not serve box on"):
        roll_back(clean, version, REFIT - timedelta(days=1), "too early")
    told = roll_back(clean, version, REFIT, "alarms doubled")
    assert told == (
        f"{before} serves box again from {REFIT} on; run `shoal nightly --start {REFIT} --end "
        f"{LAST}` for the nights since"
    )
    told = scores_of(clean).set_index(["event_date", "entity_id"])["anomaly_score"]
    after = run_nights(spark, empty_tables, clean.settings, REFIT, LAST)
    never = branch(NOBODY, every_days=100)
    found, expected = scores_of(after), scores_of(never)
    assert set(found["model_version"]) == {before}
    own = [column for column in found.columns if column != "run_id"]
    pd.testing.assert_frame_equal(found[own], expected[own], rtol=0, atol=1e-6)
    with pytest.raises(DataError, match=r"does not serve box on .*: box-"):
        roll_back(clean, version, None, "again")
    with pytest.raises(DataError, match="no model 'box-1' is known"):
        roll_back(clean, "box-1", None, "")

    # What was told of the night before, and what is told now that it was computed anew.
    _, entity = explain_entity(after.warehouse, ENTITIES[7], LAST, entity_type="box", top=5)
    now = found.set_index(["event_date", "entity_id"])["anomaly_score"]
    first, then = told[REFIT, ENTITIES[7]], now[REFIT, ENTITIES[7]]
    assert entity["change_by_late_data"] == pytest.approx(then - first)
    assert entity["score_change"] == pytest.approx(now[LAST, ENTITIES[7]] - first)
