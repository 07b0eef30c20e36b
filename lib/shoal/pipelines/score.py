"""Features and models of some nights → ``entity_scores``, ``unscored``, ``outliers``."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.contracts.models import GLOBAL_SLICE
from shoal.contracts.scores import SILENT
from shoal.models.evidence import add_evidence
from shoal.models.groups import groups_of
from shoal.models.listing import EarlierLine, Entity, Said, choose_lines, earlier_lines, pool_of
from shoal.models.peer_models import PeerModel, PeerModels
from shoal.models.reasons import add_peer_counts, add_reasons
from shoal.models.scoring import (
    HISTORY_DAYS,
    MOVED_WITHIN,
    add_golden_shift,
    add_past,
    add_self_p_value,
    add_severity,
    add_standing,
    judge_entities,
    silent_entities,
)
from shoal.models.thresholds import ListPolicy
from shoal.models.vectors import VectorRule, add_vector
from shoal.pipelines.context import Context, NightCounts
from shoal.pipelines.span import Span, begin_writing, read_own, with_entities, with_models
from shoal.spark.nights import read_published
from shoal.spark.session import persisted


def score(context: Context, span: Span) -> Span:
    """Score the entities of each night and write its list.

    Raises
    ------
    DataError
        If the features of a night have not been built from the inputs as they are now.
    """
    span = with_entities(context, span)
    with context.night_step("score", span.run_ids, subject=str(span)) as rows:
        begin_writing(context, span)
        span = with_models(context, span)
        rules = vector_rules(span.models or {})
        features = read_own(context, ENTITY_FEATURES, span)
        looked_back_on = span.looked_back_on(HISTORY_DAYS)
        presence = read_published(context.warehouse, ENTITY_FEATURES, looked_back_on)
        with (
            persisted(add_vector(features, rules)) as entity_days,
            persisted(_judged(context, span, entity_days, presence)) as judged,
        ):
            _write_scores(context, span, judged, presence, rows)
            _write_lists(context, span, entity_days, judged, rows)
    return span


def vector_rules(models: Mapping[date, PeerModels]) -> list[VectorRule]:
    """Which features a row has: those of the model of its entity type that serves its night."""
    nights: dict[tuple[str, str], list[date]] = {}
    known: dict[tuple[str, str], PeerModel] = {}
    for night, serving in models.items():
        for model in (*serving.of_types(), *serving.of_own_features()):
            key = model.model_version, model.slice
            known[key] = model
            nights.setdefault(key, []).append(night)

    def is_own(model: PeerModel) -> Column:
        days = nights[model.model_version, model.slice]
        own = (F.col("entity_type") == model.entity_type) & F.col("event_date").isin(sorted(days))
        if model.slice == GLOBAL_SLICE:
            return own
        return own & (F.col("slice") == F.lit(model.slice))

    # Of two rules that are a row's the later holds: that of its slice.
    ordered = sorted(known.values(), key=lambda m: (m.slice != GLOBAL_SLICE, m.model_version))
    return [model.vector_rule(is_own(model)) for model in ordered]


def _judged(context: Context, span: Span, entity_days: DataFrame, presence: DataFrame) -> DataFrame:
    """Every entity's day with its score, or why there is none, and what its own past says."""
    settings = context.settings
    min_events = F.lit(settings.score.min_events)
    # A ready feature table has no events to count: its rows always suffice.
    counted = entity_days.withColumn(
        "event_count",
        F.when(F.col("feature_set") == "values", min_events).otherwise(F.col("event_count")),
    )
    judged = judge_entities(counted, span.models or {}, min_events=settings.score.min_events)
    days = max(settings.score.self_days, MOVED_WITHIN)
    past = read_published(context.warehouse, ENTITY_SCORES, span.past(days))
    return (
        judged.transform(add_golden_shift)
        .transform(
            add_past,
            past,
            past_days=settings.score.self_days,
            max_p_value=settings.outliers.max_p_value,
        )
        .transform(add_self_p_value, prior_nights=settings.score.self_prior_nights)
        .transform(add_severity)
        .transform(add_standing, presence, max_p_value=settings.outliers.max_p_value)
        .withColumn("run_id", span.run_id_column())
    )


def _write_scores(
    context: Context, span: Span, judged: DataFrame, presence: DataFrame, rows: NightCounts
) -> None:
    warehouse = context.warehouse
    is_scored = F.col("reason").isNull()
    scores = judged.where(is_scored).select(*ENTITY_SCORES.column_names)
    warehouse.replace_days(scores, ENTITY_SCORES, span.days)
    silent = silent_entities(presence, span.days).withColumn("run_id", span.run_id_column())
    unscored = judged.where(~is_scored).select(*UNSCORED.column_names)
    with persisted(silent) as missed:
        warehouse.replace_days(unscored.unionByName(missed), UNSCORED, span.days)
        n_silent: dict[date, int] = dict(missed.groupBy("event_date").count().collect())
    counts = judged.groupBy("event_date").agg(F.count_if(is_scored), F.count_if(~is_scored))
    for day, scored, left_out in counts.collect():
        rows[day] |= {"scored": int(scored), "unscored": int(left_out)}
        rows[day][SILENT] = int(n_silent.get(day, 0))


def _write_lists(
    context: Context, span: Span, entity_days: DataFrame, judged: DataFrame, rows: NightCounts
) -> None:
    settings, warehouse = context.settings, context.warehouse
    limits = settings.outliers
    scores = judged.where(F.col("reason").isNull()).drop("reason", "detail")
    novelty_days = settings.features.novelty_days
    activity = read_published(warehouse, ENTITY_ACTIVITY, span.looked_back_on(novelty_days))
    groups = groups_of(activity, scores, span.windows(novelty_days))
    models, policy = span.models or {}, ListPolicy.of(limits)
    said = {plan.event_date: Said(plan.verdicts, plan.rules) for plan in span.plans}
    is_heeding = any(plan.verdicts or plan.rules for plan in span.plans)
    pool = pool_of(scores, policy, groups, is_heeding=is_heeding)
    explained = add_reasons(pool, entity_days, models, top=limits.reasons)
    known = add_evidence(explained, activity, novelty_days=novelty_days, top=limits.evidence)
    scored = {day: counts["scored"] for day, counts in rows.items()}
    chosen = choose_lines(known, policy, _earlier_lines(context, span), scored, groups, said)
    lines = add_peer_counts(chosen, entity_days, scores, models)
    warehouse.replace_days(warehouse.frame(OUTLIERS, lines), OUTLIERS, span.days)
    for day, counts in rows.items():
        counts["outliers"] = sum(line["event_date"] == day for line in lines)


def _earlier_lines(context: Context, span: Span) -> dict[Entity, EarlierLine]:
    """Lines of the last night published before the span, by entity."""
    last = span.plans[0].earlier[-1:]
    if not last:
        return {}
    rows = (
        read_published(context.warehouse, OUTLIERS, last)
        .select("entity_type", "entity_id", "days_in_row", "anomaly_score", "case_id")
        .collect()
    )
    return earlier_lines(row.asDict() for row in rows)
