"""Each night against those before it: clusters, features, and the rate of alarms."""

from collections import defaultdict
from datetime import date
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import (
    DRIFT_ALERT_RATE,
    DRIFT_CLUSTERS,
    DRIFT_FEATURES,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    FEATURE_HISTOGRAMS,
)
from shoal.models.alert_rate import DAYS_BACK as RATE_DAYS_BACK
from shoal.models.alert_rate import VERDICTS, Rates, aggregate_rates, judge_rates, verdict_of
from shoal.models.drift import (
    Comparison,
    DriftSettings,
    compare_nights,
    compared_rows,
    insufficient,
)
from shoal.models.feature_drift import DAYS_BACK as FEATURE_DAYS_BACK
from shoal.models.feature_drift import compare_features
from shoal.models.histograms import ALL, aggregate_histograms
from shoal.pipelines.context import Context
from shoal.pipelines.span import Span, begin_writing, read_own, with_entities, with_models
from shoal.spark.nights import read_published

COMPARISON = "previous_night"


def drift(context: Context, span: Span) -> Span:
    """Compare each night with those before it, and say in a word what moved.

    Clusters with those of the published night before it, features with a day and a week before, the
    rate of alarms with what is expected.

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
        drifts = _compare_features(context, span)
        verdicts = _judge_rates(context, span, drifts)
        for day, own in rows.items():
            own["clusters"] = sum(row["event_date"] == day for row in found)
            own["drifted"] = sum(len(own) for (at, _), own in drifts.items() if at == day)
            own["verdicts"] = sum(at == day for at in verdicts)
    return span


def _compare_features(context: Context, span: Span) -> dict[tuple[date, str], list[dict[str, Any]]]:
    """Write histograms and what they say; return the drifts by night and entity type."""
    warehouse = context.warehouse
    histograms = aggregate_histograms(read_own(context, ENTITY_FEATURES, span))
    warehouse.replace_days(
        histograms.withColumn("run_id", span.run_id_column()).select(
            *FEATURE_HISTOGRAMS.column_names
        ),
        FEATURE_HISTOGRAMS,
        span.days,
    )
    known = read_published(warehouse, FEATURE_HISTOGRAMS, span.looked_back_on(FEATURE_DAYS_BACK))
    compared = compare_features(known, span.days, min_entities=context.settings.drift.min_entities)
    warehouse.replace_days(
        compared.withColumn("run_id", span.run_id_column()).select(*DRIFT_FEATURES.column_names),
        DRIFT_FEATURES,
        span.days,
    )
    drifts = defaultdict(list)
    told = read_own(context, DRIFT_FEATURES, span).where(F.col("status") == "drift")
    for row in told.collect():
        drifts[row["event_date"], row["entity_type"]].append(row.asDict())
    return drifts


def _judge_rates(
    context: Context, span: Span, drifts: dict[tuple[date, str], list[dict[str, Any]]]
) -> list[date]:
    """Write the rates of alarms and the verdicts; return the nights with one, once a verdict."""
    warehouse = context.warehouse
    scores = read_published(warehouse, ENTITY_SCORES, span.looked_back_on(RATE_DAYS_BACK))
    rates: dict[tuple[str, str], dict[date, Rates]] = defaultdict(dict)
    for row in aggregate_rates(scores).collect():
        rates[row["entity_type"], row["slice"]][row["event_date"]] = Rates(
            row["scored"], row["alerts"], row["strange"], row["log_density"]
        )
    rows = judge_rates(rates, span.days, min_entities=context.settings.drift.min_entities)
    stopped = {plan.event_date: plan.stopped for plan in span.plans}
    moved = []
    for judged in rows:
        day = judged["event_date"]
        if judged["slice"] == ALL:
            own = drifts.get((day, judged["entity_type"]), [])
            verdict = verdict_of(judged, stopped[day], own)
            judged |= {"verdict": verdict, "verdict_detail": VERDICTS[verdict]}
            moved += [day] if verdict != "none" else []
        judged["run_id"] = span.run_ids[day]
    warehouse.replace_days(warehouse.frame(DRIFT_ALERT_RATE, rows), DRIFT_ALERT_RATE, span.days)
    return moved


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
