"""Each night and the one before it → ``drift_clusters``."""

from typing import Any

from shoal.contracts import DRIFT_CLUSTERS, ENTITY_FEATURES
from shoal.models.drift import (
    Comparison,
    DriftSettings,
    compare_nights,
    compared_rows,
    insufficient,
)
from shoal.pipelines.context import Context
from shoal.pipelines.span import Span, begin_writing, with_entities, with_models
from shoal.spark.nights import read_published

COMPARISON = "previous_night"


def drift(context: Context, span: Span) -> Span:
    """Compare the clusters of each night with those of the published night before it.

    Raises
    ------
    DataError
        If the features of a night have not been built from the inputs as they are now.
    """
    span = with_entities(context, span)
    with context.night_step("drift", span.run_ids, subject=str(span)) as rows:
        begin_writing(context, span)
        span = with_models(context, span)
        found = [*_alone(span), *_compared(context, span)]
        for row in found:
            row |= {"comparison": COMPARISON, "run_id": span.run_ids[row["event_date"]]}
        frame = context.warehouse.frame(DRIFT_CLUSTERS, found)
        context.warehouse.replace_days(frame, DRIFT_CLUSTERS, span.days)
        for day, own in rows.items():
            own["clusters"] = sum(row["event_date"] == day for row in found)
    return span


def _alone(span: Span) -> list[dict[str, Any]]:
    """Nights without a published one before them."""
    return [
        {
            "event_date": plan.event_date,
            "entity_type": model.entity_type,
            "model_version": model.model_version,
            **insufficient("no published night before this one"),
        }
        for plan in span.plans
        if not plan.earlier
        for model in span.models_of(plan).of_types()
    ]


def _compared(context: Context, span: Span) -> list[dict[str, Any]]:
    pairs = [
        (plan.earlier[-1], plan.night, model)
        for plan in span.plans
        if plan.earlier
        for model in span.models_of(plan).of_types()
    ]
    if not pairs:
        return []
    comparisons = [
        Comparison(number, before.event_date, night.event_date, model)
        for number, (before, night, model) in enumerate(pairs)
    ]
    nights = {night.event_date: night for pair in pairs for night in pair[:2]}
    settings = DriftSettings(
        min_entities=context.settings.drift.min_entities,
        winsorize_sd=context.settings.fit.winsorize_sd,
        sample_rows=context.settings.fit.sample_rows,
    )
    teaching = compared_rows(
        read_published(context.warehouse, ENTITY_FEATURES, list(nights.values())),
        comparisons,
        min_events=context.settings.score.min_events,
    )
    found = compare_nights(teaching, comparisons, settings)
    return [
        {**row, "event_date": c.analysis_date, "reference_date": c.reference_date}
        for c in comparisons
        for row in found[c.number]
    ]
