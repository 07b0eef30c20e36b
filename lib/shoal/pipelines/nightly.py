"""Whole nights: all steps of a night under its lease, and its publication."""

import logging
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import config_hash
from shoal.contracts import (
    DRIFT_CLUSTERS,
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    OUTLIERS,
    UNSCORED,
)
from shoal.errors import DataError
from shoal.models.registry import serving_models
from shoal.pipelines.context import Context
from shoal.pipelines.drift import drift
from shoal.pipelines.features import build_features
from shoal.pipelines.fit import fit
from shoal.pipelines.ingest import DayWindow, ingest
from shoal.pipelines.plan import NightPlan, days_with_data, plan_night
from shoal.pipelines.score import score
from shoal.spark.nights import Night, publish_night
from shoal.spark.runs import leased

log = logging.getLogger(__name__)

NIGHT_TABLES = (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    UNSCORED,
    OUTLIERS,
    DRIFT_CLUSTERS,
)


@dataclass(frozen=True)
class Dates:
    """The nights to run: one, or a range in which days without data are skipped."""

    start: date
    end: date
    is_range: bool


def nightly(context: Context, dates: Dates) -> list[date]:
    """Ingest, then run and publish each night in date order; return the nights published.

    Raises
    ------
    DataError
        If a single date has no data, or a range none at all.
    LeaseHeldError
        If another run holds one of the nights.
    """
    late_days = context.settings.ingest.late_days
    ingest(context, None if dates.is_range else DayWindow.around(dates.start, late_days))
    days = days_with_data(context.warehouse, dates.start, dates.end)
    if not days:
        raise DataError(
            f"no events from {dates.start} to {dates.end} in the ledger ingest_files: check the "
            "dates, and the paths under sources"
        )
    keys = [f"night/{day}" for day in days]
    with leased(context.run_log, keys, ttl_s=context.settings.lease.ttl_s) as lease:
        for number, day in enumerate(days, start=1):
            log.info("night %s (%d of %d)", day, number, len(days))
            plan = build_features(context, day)
            lease.check()
            fit(context, day, plan, only_due=True)
            score(context, day, plan)
            drift(context, day, plan)
            lease.check()
            publish(context, day, plan)
    return days


def publish(context: Context, event_date: date, plan: NightPlan | None = None) -> NightPlan:
    """Make the night visible, if every table of it was written from the same inputs.

    Raises
    ------
    DataError
        If a step of the night is missing or ran on other inputs.
    """
    plan = plan or plan_night(context, event_date)
    with context.step("publish", event_date.isoformat()) as rows:
        counts = _own_rows(context, plan)
        serving = serving_models(context.warehouse, event_date)
        night = Night(
            event_date=event_date,
            run_id=plan.run_id,
            state="published",
            table_versions=context.warehouse.versions(NIGHT_TABLES),
            model_versions={kind: m.model_version for kind, m in sorted(serving.items())},
            config_hash=config_hash(context.settings),
            input_hash=plan.input_hash,
            row_counts=counts,
        )
        publish_night(context.warehouse, night)
        rows.update(counts)
    return plan


def _own_rows(context: Context, plan: NightPlan) -> dict[str, int]:
    """Rows of the night by table; raise if a table holds rows of other inputs."""
    day = plan.event_date
    marked = [
        context.warehouse.read_days(table, day, day).select(
            F.lit(table.name).alias("name"), (F.col("run_id") == plan.run_id).alias("is_own")
        )
        for table in NIGHT_TABLES
    ]
    counted = reduce(DataFrame.unionByName, marked).groupBy("name", "is_own").count().collect()
    foreign = sorted(row["name"] for row in counted if not row["is_own"])
    counts = {row["name"]: int(row["count"]) for row in counted if row["is_own"]}
    if ENTITY_FEATURES.name not in counts:
        foreign.append(ENTITY_FEATURES.name)
    if foreign:
        raise DataError(
            f"{', '.join(foreign)} of {day} were not written from the inputs as they are now "
            f"(run_id {plan.run_id}): run `shoal nightly --date {day}`"
        )
    return {table.name: counts.get(table.name, 0) for table in NIGHT_TABLES}
