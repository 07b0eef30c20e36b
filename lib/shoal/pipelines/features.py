"""Events of a night → ``entity_activity`` and ``entity_features``."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings
from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_LABELS
from shoal.contracts.events import EVENT_TABLES
from shoal.features.activity import SiteHours, aggregate_activity
from shoal.features.daily import aggregate_features
from shoal.features.slices import add_slice
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan, begin_writing, plan_night
from shoal.spark.nights import read_published
from shoal.spark.tables import Warehouse

_EVENT_KINDS = ("process", "network", "auth", "file")


def build_features(context: Context, event_date: date, plan: NightPlan | None = None) -> NightPlan:
    """Write the night's activity and features.

    Raises
    ------
    DataError
        If there is no event of the day.
    """
    plan = plan or plan_night(context, event_date)
    with context.step("features", event_date=event_date, run_id=plan.run_id) as rows:
        begin_writing(context, plan)
        _write_activity(context, plan)
        _write_features(context, plan)
        rows["entities"] = context.warehouse.read_days(
            ENTITY_FEATURES, event_date, event_date
        ).count()
    return plan


def _write_activity(context: Context, plan: NightPlan) -> None:
    settings, warehouse = context.settings, context.warehouse
    events = {kind: _own_events(warehouse, kind, plan) for kind in _EVENT_KINDS}
    if settings.entities:
        activity = aggregate_activity(
            events, entity_types=settings.entities, sites=_site_hours(settings)
        ).withColumn("run_id", F.lit(plan.run_id))
    else:  # ready feature tables alone
        activity = context.spark.createDataFrame([], ENTITY_ACTIVITY.schema)
    warehouse.replace_day(activity, ENTITY_ACTIVITY, plan.event_date)


def _write_features(context: Context, plan: NightPlan) -> None:
    settings, warehouse = context.settings, context.warehouse
    day = plan.event_date
    activity = warehouse.read_days(ENTITY_ACTIVITY, day, day)
    novelty = plan.nights_back(settings.features.novelty_days)
    built_in = aggregate_features(
        activity,
        read_published(warehouse, ENTITY_ACTIVITY, novelty),
        rare_share=settings.features.rare_share,
        profile_terms=settings.features.profile_terms,
    )
    sliced = add_slice(
        built_in,
        _labels_in_force(warehouse, day),
        label=settings.slices.label,
        by_side=settings.slices.by_side,
        home_networks=settings.home_networks,
    ).withColumn("feature_set", F.lit("builtin"))
    frame = sliced
    if settings.feature_entity_types:
        frame = sliced.unionByName(_ready_rows(warehouse, plan), allowMissingColumns=True)
    warehouse.replace_day(_conformed(frame, plan), ENTITY_FEATURES, day)


def _conformed(frame: DataFrame, plan: NightPlan) -> DataFrame:
    """The contract's columns; those that neither set of features has are null."""
    absent = {
        column.name: F.lit(None).cast(column.type)
        for column in ENTITY_FEATURES.columns
        if column.name not in frame.columns
    }
    return frame.withColumns({**absent, "run_id": F.lit(plan.run_id)}).select(
        *ENTITY_FEATURES.column_names
    )


def _own_events(warehouse: Warehouse, kind: str, plan: NightPlan) -> DataFrame:
    """Events of the day from the files that the plan counts in, and no others.

    With ``file_age``: 0 for the file that changed longest ago.
    """
    files = warehouse.spark.createDataFrame(
        [(file_id, age) for age, file_id in enumerate(plan.file_ids)],
        "file_id string, file_age int",
    )
    day = warehouse.read_days(EVENT_TABLES[kind], plan.event_date, plan.event_date)
    return day.join(F.broadcast(files), ["file_id"], how="inner")


def _ready_rows(warehouse: Warehouse, plan: NightPlan) -> DataFrame:
    """Rows of ready feature tables; of several for one entity's day the newest file's holds."""
    rows = _own_events(warehouse, "feature", plan)
    newest = F.max_by(F.struct("slice", "feature_values"), F.struct("file_age", "event_id"))
    return (
        rows.groupBy("event_date", "entity_type", "entity_id")
        .agg(newest.alias("row"))
        .select(
            "event_date",
            "entity_type",
            "entity_id",
            F.lit("values").alias("feature_set"),
            F.coalesce(F.col("row.slice"), F.lit("all")).alias("slice"),
            F.col("row.feature_values").alias("values"),
        )
    )


def _labels_in_force(warehouse: Warehouse, day: date) -> DataFrame:
    effective = F.col("effective_date")
    return warehouse.read(ENTITY_LABELS).where(effective.isNull() | (effective <= F.lit(day)))


def _site_hours(settings: Settings) -> Sequence[SiteHours]:
    return [
        SiteHours(site.timezone, tuple(prefix.lower() for prefix in site.host_prefixes))
        for site in settings.sites
    ]
