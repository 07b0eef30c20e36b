"""Each night against those before it: clusters, features, and the rate of alarms."""

from collections import defaultdict
from datetime import date
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import (
    DRIFT_ALERT_RATE,
    DRIFT_FEATURES,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    FEATURE_HISTOGRAMS,
)
from shoal.models.alert_rate import CALM, VERDICTS, Rates, aggregate_rates, judge_rates, verdict_of
from shoal.models.alert_rate import DAYS_BACK as RATE_DAYS_BACK
from shoal.models.feature_drift import DAYS_BACK as FEATURE_DAYS_BACK
from shoal.models.feature_drift import compare_features
from shoal.models.histograms import ALL, aggregate_histograms
from shoal.pipelines.cluster_drift import compare_clusters, moving_rows, night_pairs
from shoal.pipelines.component_drift import compare_components, measured_models
from shoal.pipelines.context import Context
from shoal.pipelines.span import Span, begin_writing, read_own, with_entities, with_models
from shoal.spark.nights import read_published
from shoal.spark.session import persisted


def drift(context: Context, span: Span) -> Span:
    """Compare each night with those before it, and say in a word what moved.

    Clusters and features with those of a day and a week before, clusters with those that the frozen
    model was fitted on as well, the rate of alarms with what is expected.

    Raises
    ------
    DataError
        If the features of a night have not been built from the inputs as they are now.
    """
    span = with_entities(context, span)
    with context.night_step("drift", span.run_ids, subject=str(span)) as rows:
        begin_writing(context, span)
        span = with_models(context, span)
        pairs, measured = night_pairs(context, span), measured_models(span)
        with persisted(moving_rows(context, span, pairs, measured)) as moving:
            clusters = compare_clusters(context, span, pairs, moving)
            components = compare_components(context, span, measured, moving)
        drifts = _compare_features(context, span)
        verdicts = _judge_rates(context, span, drifts, clusters.moved | components)
        for day, own in rows.items():
            own["clusters"] = clusters.rows[day]
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
    context: Context,
    span: Span,
    drifts: dict[tuple[date, str], list[dict[str, Any]]],
    moved_groups: set[tuple[date, str]],
) -> list[date]:
    """Write the rates of alarms and the verdicts; return the nights with one, once a verdict."""
    warehouse = context.warehouse
    scores = read_published(warehouse, ENTITY_SCORES, span.looked_back_on(RATE_DAYS_BACK))
    rates: dict[tuple[str, str], dict[date, Rates]] = defaultdict(dict)
    for row in aggregate_rates(scores).collect():
        rates[row["entity_type"], row["slice"]][row["event_date"]] = Rates(
            **{name: row[name] for name in Rates.__dataclass_fields__}
        )
    rows = judge_rates(rates, span.days, min_entities=context.settings.drift.min_entities)
    stopped = {plan.event_date: plan.stopped for plan in span.plans}
    moved = []
    for judged in rows:
        day = judged["event_date"]
        if judged["slice"] == ALL:
            own = drifts.get((day, judged["entity_type"]), [])
            has_moved = (day, judged["entity_type"]) in moved_groups
            verdict = verdict_of(judged, stopped[day], own, has_moved=has_moved)
            judged |= {"verdict": verdict, "verdict_detail": VERDICTS[verdict]}
            moved += [day] if verdict not in CALM else []
        judged["run_id"] = span.run_ids[day]
    warehouse.replace_days(warehouse.frame(DRIFT_ALERT_RATE, rows), DRIFT_ALERT_RATE, span.days)
    return moved
