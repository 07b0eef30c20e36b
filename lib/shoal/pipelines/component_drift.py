"""How the components of the models moved: week by week, and from one model to the next."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import COMPONENT_MOMENTS, DRIFT_COMPONENTS
from shoal.errors import DataError
from shoal.lake import Night
from shoal.models.component_drift import (
    DAYS_BACK,
    GOLDEN,
    PREVIOUS_VERSION,
    WEEK,
    aggregate_moments,
    insufficient,
    judge_components,
    night_moments,
    version_rows,
    week_rows,
)
from shoal.models.drift_rows import is_of
from shoal.models.peer_models import PeerModel
from shoal.models.registry import (
    ServingModel,
    in_order,
    load_global,
    read_changes,
    serving_models,
)
from shoal.models.weeks import QUIET_DAYS
from shoal.pipelines.cluster_drift import golden_model
from shoal.pipelines.context import Context
from shoal.pipelines.span import Span
from shoal.spark.nights import read_published

Row = dict[str, Any]


def measured_models(span: Span) -> list[tuple[Night, PeerModel]]:
    """Each night with the models whose components it is summed up by: frozen, or else serving."""
    return [
        (plan.night, golden_model(span, plan, model) or model)
        for plan in span.plans
        for model in span.models_of(plan).of_types()
    ]


def compare_components(
    context: Context, span: Span, measured: Sequence[tuple[Night, PeerModel]], rows: DataFrame
) -> set[tuple[date, str]]:
    """Write ``component_moments`` and ``drift_components`` of a span.

    Parameters
    ----------
    measured : as `measured_models` gives them
    rows : of these nights, in the features of these models

    Returns
    -------
    Nights and entity types whose week is not like the one before it
    """
    _write_moments(context, span, measured, rows)
    found = [*_weeks(context, span, measured), *_versions(context, span)]
    earlier = (
        read_published(context.warehouse, DRIFT_COMPONENTS, span.past(QUIET_DAYS))
        .where(F.col("weight_change").isNotNull())
        .select("event_date", "entity_type", "comparison", "mean_shift", "weight_change", "status")
        .collect()
    )
    judged = judge_components(found, [row.asDict() for row in earlier])
    for row in judged:
        row["run_id"] = span.run_ids[row["event_date"]]
    frame = context.warehouse.frame(DRIFT_COMPONENTS, judged)
    context.warehouse.replace_days(frame, DRIFT_COMPONENTS, span.days)
    return {
        (row["event_date"], row["entity_type"])
        for row in judged
        if row["comparison"] == WEEK and row["status"] == "drift"
    }


def _write_moments(
    context: Context, span: Span, measured: Sequence[tuple[Night, PeerModel]], rows: DataFrame
) -> None:
    models = {model.model_version: model for _, model in measured}
    is_measured = is_of((model.model_version, night.event_date) for night, model in measured)
    moments = aggregate_moments(
        rows.where(is_measured), models, context.settings.fit.winsorize_sd
    ).withColumn("run_id", span.run_id_column())
    context.warehouse.replace_days(
        moments.select(*COMPONENT_MOMENTS.column_names), COMPONENT_MOMENTS, span.days
    )


def _weeks(context: Context, span: Span, measured: Sequence[tuple[Night, PeerModel]]) -> list[Row]:
    """Each night's week against the one before it."""
    versions = sorted({model.model_version for _, model in measured})
    stored = (
        read_published(context.warehouse, COMPONENT_MOMENTS, span.looked_back_on(DAYS_BACK))
        .where(F.col("model_version").isin(versions))
        .drop("run_id")
        .collect()
    )
    moments = night_moments([row.asDict() for row in stored])
    return [
        _of(night.event_date, model.entity_type, WEEK) | row
        for night, model in measured
        for row in week_rows(night.event_date, model, moments)
    ]


def _versions(context: Context, span: Span) -> list[Row]:
    """Models that begin to serve, against those before them and the frozen ones."""
    # What was fitted within the span is promoted only when its nights are published.
    new = [outcome.change for outcomes in span.fitted.values() for outcome in outcomes]
    changes = in_order({*read_changes(context.warehouse), *new})
    found: list[Row] = []
    for plan in span.plans:
        before = serving_models(changes, plan.event_date - timedelta(days=1))
        for model in span.models_of(plan).of_types():
            previous = before.get(model.entity_type)
            if previous is None or previous.model_version == model.model_version:
                continue
            compared = {PREVIOUS_VERSION: _load(context, previous)}
            if plan.golden.get(model.entity_type) not in (None, previous):
                compared[GOLDEN] = golden_model(span, plan, model) or "no frozen model is known"
            found += [
                _of(plan.event_date, model.entity_type, comparison) | row
                for comparison, reference in compared.items()
                for row in _version_rows(reference, model)
            ]
    return found


def _version_rows(reference: PeerModel | str, model: PeerModel) -> list[Row]:
    if isinstance(reference, str):
        return [insufficient(reference)]
    return version_rows(reference, model)


def _load(context: Context, model: ServingModel) -> PeerModel | str:
    """A model, or why it can't be compared: an earlier Shoal may have fitted it."""
    try:
        return load_global(context.warehouse, model)
    except DataError as error:
        return str(error)


def _of(day: date, entity_type: str, comparison: str) -> Row:
    return {"event_date": day, "entity_type": entity_type, "comparison": comparison}
