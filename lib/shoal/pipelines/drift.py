"""This night and the one before → ``drift_clusters``."""

from datetime import date
from typing import Any

from pyspark.sql import DataFrame

from shoal.contracts import DRIFT_CLUSTERS, ENTITY_FEATURES
from shoal.contracts.models import GLOBAL_SLICE
from shoal.models.drift import DriftSettings, compare_nights, insufficient
from shoal.models.peer_models import PeerModel
from shoal.models.registry import load_models, serving_models
from shoal.models.vectors import teaching_rows
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan, begin_writing, plan_night, read_own_day
from shoal.spark.nights import read_published

COMPARISON = "previous_night"


def drift(context: Context, event_date: date, plan: NightPlan | None = None) -> NightPlan:
    """Compare the night's clusters with those of the last published night.

    Raises
    ------
    DataError
        If the features of the night have not been built from the inputs as they are now.
    """
    plan = plan or plan_night(context, event_date)
    analysis = read_own_day(context, ENTITY_FEATURES, plan, made_by="features")
    with context.step("drift", event_date=event_date, run_id=plan.run_id) as rows:
        begin_writing(context, plan)
        serving = serving_models(context.warehouse, event_date).values()
        models = load_models(context.warehouse, serving).by_slice.values()
        found: list[dict[str, Any]] = []
        for model in models:
            if model.slice == GLOBAL_SLICE:
                found += _compare(context, plan, analysis, model)
        _write(context, plan, found)
        rows["clusters"] = len(found)
    return plan


def _compare(
    context: Context, plan: NightPlan, analysis: DataFrame, model: PeerModel
) -> list[dict[str, Any]]:
    if not plan.earlier:
        facts = {"entity_type": model.entity_type, "model_version": model.model_version}
        return [{**facts, **insufficient("no published night before this one")}]
    night = plan.earlier[-1]
    reference = read_published(context.warehouse, ENTITY_FEATURES, [night])
    settings = DriftSettings(
        context.settings.drift.min_entities,
        context.settings.fit.winsorize_sd,
        context.settings.fit.sample_rows,
    )

    def of_type(features: DataFrame) -> DataFrame:
        return teaching_rows(
            features,
            model.entity_type,
            model.feature_set,
            model.feature_names,
            min_events=context.settings.score.min_events,
        )

    compared = compare_nights(of_type(reference), of_type(analysis), model, settings)
    return [{**row, "reference_date": night.event_date} for row in compared]


def _write(context: Context, plan: NightPlan, rows: list[dict[str, Any]]) -> None:
    shared = {
        "event_date": plan.event_date,
        "comparison": COMPARISON,
        "run_id": plan.run_id,
    }
    names = DRIFT_CLUSTERS.column_names
    ordered = [tuple({**row, **shared}.get(name) for name in names) for row in rows]
    frame = context.spark.createDataFrame(ordered, DRIFT_CLUSTERS.schema).coalesce(1)
    context.warehouse.replace_day(frame, DRIFT_CLUSTERS, plan.event_date)
