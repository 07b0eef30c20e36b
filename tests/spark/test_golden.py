"""A version that somebody pins: the nights after are held against it."""

import shutil
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.support.nights import run_nights

from shoal.contracts import ENTITY_SCORES
from shoal.hunt.explain import explain_entity
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.models import list_models, pin_golden

LATER = date(2020, 9, 20), date(2020, 9, 22)


def test_nights_after_a_pin_are_held_against_it(
    spark: SparkSession, windows_nights: Context, empty_tables: Path, tmp_path: Path
) -> None:
    path = tmp_path / "warehouse"
    shutil.copytree(windows_nights.settings.storage.path or "", path)
    storage = windows_nights.settings.storage.model_copy(update={"path": str(path)})
    settings = windows_nights.settings.model_copy(update={"storage": storage})
    context = open_context(spark, settings, ["models"])
    (models,) = list_models(context).values()
    first = models.loc[models["status"] == "serving", "version"].iloc[0]
    kind = first.partition("-")[0]
    assert "golden" not in set(models["status"])  # few nights: none is old enough by itself

    assert f"golden model of {kind}" in pin_golden(context, first, reason="before the migration")
    (models,) = list_models(context, kind).values()
    assert {"serving", "golden"} >= set(models.loc[models["version"] == first, "status"])

    context = run_nights(spark, empty_tables, settings, *LATER)
    scores = context.warehouse.read(ENTITY_SCORES).where(F.col("event_date") >= LATER[0])
    own = scores.where(F.col("entity_type") == kind).toPandas()
    held = own[own["model_version"] != first]
    assert len(held)
    assert set(held["golden_version"]) == {first}
    assert held["golden_score"].notna().all()
    assert held["golden_shift"].notna().all()
    assert own.loc[own["model_version"] == first, "golden_score"].isna().all()
    assert scores.where(
        (F.col("entity_type") != kind) & F.col("golden_score").isNotNull()
    ).isEmpty()
    before = context.warehouse.read(ENTITY_SCORES).where(F.col("event_date") < LATER[0])
    assert before.where("golden_score IS NOT NULL").isEmpty()

    one = held.iloc[0]
    _, found = explain_entity(
        context.warehouse, one["entity_id"], one["event_date"], entity_type=kind, top=5
    )
    assert found["golden_version"] == first
    assert found["reasons"]
