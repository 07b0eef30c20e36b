"""Features and models of a night → ``entity_scores``, ``unscored``, ``outliers``."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.contracts.models import GLOBAL_SLICE
from shoal.models.evidence import add_evidence
from shoal.models.listing import EarlierLine, Entity, ListPolicy, choose_lines
from shoal.models.peer_models import PeerModels
from shoal.models.reasons import add_reasons
from shoal.models.registry import load_models, serving_models
from shoal.models.scoring import add_self_p_value, add_severity, judge_entities
from shoal.models.vectors import add_vector
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan, begin_writing, plan_night, read_own_day
from shoal.spark.nights import read_published
from shoal.spark.session import persisted


def score(context: Context, event_date: date, plan: NightPlan | None = None) -> NightPlan:
    """Score the night's entities and write its list.

    Raises
    ------
    DataError
        If the features of the night have not been built from the inputs as they are now.
    """
    plan = plan or plan_night(context, event_date)
    features = read_own_day(context, ENTITY_FEATURES, plan, made_by="features")
    with context.step("score", event_date=event_date, run_id=plan.run_id) as rows:
        begin_writing(context, plan)
        models = load_models(
            context.warehouse, serving_models(context.warehouse, event_date).values()
        )
        with persisted(add_vector(features, names_by_type(models))) as entity_days:
            rows.update(_write_scores(context, plan, entity_days, models))
            rows["outliers"] = _write_list(context, plan, entity_days, models, rows["scored"])
    return plan


def names_by_type(models: PeerModels) -> dict[str, tuple[str, Sequence[str]]]:
    """Entity type → feature set and the features of its model, in order."""
    return {
        model.entity_type: (model.feature_set, model.feature_names)
        for (_, slice_name), model in models.by_slice.items()
        if slice_name == GLOBAL_SLICE
    }


def _write_scores(
    context: Context, plan: NightPlan, entity_days: DataFrame, models: PeerModels
) -> dict[str, int]:
    settings, warehouse, day = context.settings, context.warehouse, plan.event_date
    min_events = F.lit(settings.score.min_events)
    # A ready feature table has no events to count: its rows always suffice.
    counted = entity_days.withColumn(
        "event_count",
        F.when(F.col("feature_set") == "values", min_events).otherwise(F.col("event_count")),
    )
    judged = judge_entities(counted, models, min_events=settings.score.min_events)
    with persisted(judged.withColumn("run_id", F.lit(plan.run_id))) as known:
        is_scored = F.col("reason").isNull()
        past = read_published(warehouse, ENTITY_SCORES, plan.nights_back(settings.score.self_days))
        scores = known.where(is_scored).transform(
            add_self_p_value, past, min_nights=settings.score.self_min_nights
        )
        scores = scores.transform(add_severity).select(*ENTITY_SCORES.column_names)
        warehouse.replace_day(scores, ENTITY_SCORES, day)
        unscored = known.where(~is_scored).select(*UNSCORED.column_names)
        warehouse.replace_day(unscored, UNSCORED, day)
        row = known.agg(F.count_if(is_scored), F.count_if(~is_scored)).first()
    scored, left_out = (int(row[0]), int(row[1])) if row else (0, 0)
    return {"scored": scored, "unscored": left_out}


def _write_list(
    context: Context, plan: NightPlan, entity_days: DataFrame, models: PeerModels, scored: int
) -> int:
    settings, warehouse, day = context.settings, context.warehouse, plan.event_date
    limits = settings.outliers
    policy = ListPolicy(limits.capacity, limits.max_p_value)
    scores = warehouse.read_days(ENTITY_SCORES, day, day)
    past = read_published(warehouse, ENTITY_SCORES, plan.nights_back(settings.score.self_days))
    lines = choose_lines(scores, past, policy, _earlier_lines(context, plan), scored)
    novelty = plan.nights_back(settings.features.novelty_days)
    with_reasons = add_reasons(lines, entity_days, scores, models, top=limits.reasons)
    complete = add_evidence(
        with_reasons,
        warehouse.read_days(ENTITY_ACTIVITY, day, day),
        read_published(warehouse, ENTITY_ACTIVITY, novelty),
        top=limits.evidence,
    )
    ordered = [tuple(line.get(name) for name in OUTLIERS.column_names) for line in complete]
    frame = context.spark.createDataFrame(ordered, OUTLIERS.schema).coalesce(1)
    warehouse.replace_day(frame, OUTLIERS, day)
    return len(complete)


def _earlier_lines(context: Context, plan: NightPlan) -> dict[Entity, EarlierLine]:
    """Lines of the last published night, by entity."""
    if not plan.earlier:
        return {}
    rows = (
        read_published(context.warehouse, OUTLIERS, plan.earlier[-1:])
        .select("entity_type", "entity_id", "days_in_row", "anomaly_score", "case_id")
        .collect()
    )
    return {(r[0], r[1]): EarlierLine(int(r[2]), float(r[3]), str(r[4])) for r in rows}
