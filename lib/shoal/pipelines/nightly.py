"""Whole nights: all steps of a night under its lease, and its publication."""

import logging
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
from shoal.errors import DataError, TryAgainError
from shoal.models.registry import serving_models
from shoal.pipelines.context import Context
from shoal.pipelines.dates import Dates
from shoal.pipelines.drift import drift
from shoal.pipelines.features import build_features
from shoal.pipelines.fit import fit
from shoal.pipelines.ingest import ingest
from shoal.pipelines.plan import NightPlan, days_with_data, faults_of_inputs, plan_night
from shoal.pipelines.score import score
from shoal.sources.records import DayWindow
from shoal.spark.nights import Night, publish_night

log = logging.getLogger(__name__)

NIGHT_TABLES = (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    UNSCORED,
    OUTLIERS,
    DRIFT_CLUSTERS,
)


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
    published = []
    with context.leased([f"night/{day}" for day in days]):
        for number, day in enumerate(days, start=1):
            log.info("night %s (%d of %d)", day, number, len(days))
            if run_night(context, day):
                published.append(day)
    return published


def run_night(context: Context, event_date: date) -> bool:
    """Run all steps of one night; return whether there was an entity to publish a night of."""
    plan = plan_night(context, event_date)
    context.faults += faults_of_inputs(context, plan)
    build_features(context, event_date, plan)
    day = context.warehouse.read_days(ENTITY_FEATURES, event_date, event_date)
    if day.limit(1).count() == 0:
        context.faults.append(
            f"{event_date}: events, but no {' or '.join(context.settings.entity_types)} in them; "
            "the night is not published"
        )
        return False
    fit(context, event_date, plan, only_due=True)
    score(context, event_date, plan)
    drift(context, event_date, plan)
    publish(context, event_date, plan)
    return True


def publish(context: Context, event_date: date, plan: NightPlan | None = None) -> NightPlan:
    """Make the night visible, if every table of it was written from the inputs as they are now.

    Raises
    ------
    DataError
        If a step of the night is missing or ran on other inputs.
    TryAgainError
        If the inputs have changed since the night was planned.
    """
    now = plan_night(context, event_date)
    if plan is not None and plan.run_id != now.run_id:
        raise TryAgainError(
            f"the inputs of {event_date} (files, earlier nights, labels, models) changed while it "
            "ran: run the same command again"
        )
    with context.step("publish", event_date=event_date, run_id=now.run_id) as rows:
        serving = serving_models(context.warehouse, event_date)
        counts = _own_rows(context, now)
        _require_complete(now, counts, has_model=bool(serving))
        night = Night(
            event_date=event_date,
            run_id=now.run_id,
            state="published",
            table_versions=context.warehouse.versions(NIGHT_TABLES),
            model_versions={kind: m.model_version for kind, m in sorted(serving.items())},
            config_hash=config_hash(context.settings),
            input_hash=now.input_hash,
            row_counts=counts,
        )
        publish_night(context.warehouse, night)
        rows.update(counts)
    return now


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
    if foreign:
        raise DataError(
            f"{', '.join(foreign)} of {day} were not written from the inputs as they are now "
            f"(run_id {plan.run_id}): run `shoal nightly --date {day}`"
        )
    return {table.name: counts.get(table.name, 0) for table in NIGHT_TABLES}


def _require_complete(plan: NightPlan, counts: dict[str, int], *, has_model: bool) -> None:
    """Raise unless every entity of the night is scored or says why not, and drift has run."""
    entities = counts[ENTITY_FEATURES.name]
    missing = []
    if not entities:
        missing.append("features")
    if counts[ENTITY_SCORES.name] + counts[UNSCORED.name] != entities:
        missing.append("score")
    if has_model and not counts[DRIFT_CLUSTERS.name]:
        missing.append("drift")
    if missing:
        raise DataError(
            f"the night {plan.event_date} is not whole: run `shoal {missing[0]} --date "
            f"{plan.event_date}` first (missing: {', '.join(missing)})"
        )
