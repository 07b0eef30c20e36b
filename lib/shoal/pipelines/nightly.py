"""Whole nights: all steps of a night under its lease, and its publication."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from functools import reduce
from itertools import pairwise, takewhile

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import config_hash
from shoal.contracts import (
    COMPONENT_MOMENTS,
    CONFIG_CHANGES,
    DRIFT_ALERT_RATE,
    DRIFT_CLUSTERS,
    DRIFT_COMPONENTS,
    DRIFT_FEATURES,
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    FEATURE_HISTOGRAMS,
    OUTLIERS,
    UNSCORED,
)
from shoal.contracts.scores import SILENT
from shoal.errors import DataError, TryAgainError
from shoal.lake import Night
from shoal.pipelines.context import Context, NightCounts
from shoal.pipelines.dates import Dates
from shoal.pipelines.drift import drift
from shoal.pipelines.features import build_features
from shoal.pipelines.fit import fit, fit_due, promote
from shoal.pipelines.ingest import ingest
from shoal.pipelines.inputs import aged_models, days_with_data
from shoal.pipelines.plan import NightPlan, faults_of_inputs, plan_nights
from shoal.pipelines.score import score
from shoal.pipelines.span import SPAN_NIGHTS, Span, first_span
from shoal.sources.records import DayWindow
from shoal.spark.nights import publish_nights

log = logging.getLogger(__name__)

NIGHT_TABLES = (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    CONFIG_CHANGES,
    ENTITY_SCORES,
    UNSCORED,
    OUTLIERS,
    COMPONENT_MOMENTS,
    DRIFT_CLUSTERS,
    DRIFT_COMPONENTS,
    FEATURE_HISTOGRAMS,
    DRIFT_FEATURES,
    DRIFT_ALERT_RATE,
)


def nightly(context: Context, dates: Dates) -> list[date]:
    """Ingest, then run and publish the nights in date order; return the nights published.

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
    with context.leased([f"night/{day}" for day in days]):
        return _run_all(context, days)


def _run_all(context: Context, days: Sequence[date]) -> list[date]:
    """Run nights span by span; return those published.

    What is wrong with one night of a span must not keep back those before it: after a failure the
    nights are run one by one.
    """
    published: list[date] = []
    waiting, longest = list(days), SPAN_NIGHTS
    while waiting:
        n_faults = len(context.faults)
        try:
            done, n_ended = run_span(context, waiting[:longest])
        except TryAgainError:
            raise
        except Exception as error:
            if longest == 1:
                raise
            log.warning("the nights from %s on are run one by one: %s", waiting[0], error)
            del context.faults[n_faults:]
            longest = 1
            continue
        published += done
        waiting = waiting[n_ended:]
        log.info("%d of %d nights done", len(days) - len(waiting), len(days))
    return published


def run_span(context: Context, days: Sequence[date]) -> tuple[list[date], int]:
    """Run all steps of the first nights of ``days``, as many as go at once.

    Returns
    -------
    The nights published, and the number of nights that are done with: one without an entity is, and
    it ends the span.
    """
    plans = plan_nights(context, days)
    if plans[0].expected:
        # Its reference is published: what comes of the fit is known before anything else is done.
        fit(context, Span((plans[0],)), only_due=True)
        plans = plan_nights(context, days)
    span = build_features(context, first_span(plans))
    span, empty = _until_empty(span)
    if span.plans:
        n_nights = len(span.plans)
        span = fit_due(context, span)
        empty = empty if len(span.plans) == n_nights else ()
    context.faults += [fault for plan in (*span.plans, *empty) for fault in faults_of_inputs(plan)]
    if span.plans:
        n_nights = len(span.plans)
        span = _until_aged(context, drift(context, score(context, span)))
        empty = empty if len(span.plans) == n_nights else ()
        publish(context, span)
    for plan in empty:
        context.faults.append(
            f"{plan.event_date}: events, but no {' or '.join(context.settings.entity_types)} in "
            "them; the night is not published"
        )
    return span.days, len(span.plans) + len(empty)


def _until_empty(span: Span) -> tuple[Span, tuple[NightPlan, ...]]:
    """The nights before the first one without an entity, and that one if there is one."""
    known = span.entities or {}
    whole = list(takewhile(lambda plan: known[plan.event_date] > 0, span.plans))
    return span.first(len(whole)), span.plans[len(whole) :][:1]


def _until_aged(context: Context, span: Span) -> Span:
    """The nights up to the first one that asks for a refit which the next does not plan yet."""
    aged = aged_models(context.warehouse, span.nights)
    for number, (plan, after) in enumerate(pairwise(span.plans), start=1):
        if aged.get(plan.event_date, frozenset()) - after.due.keys():
            return span.first(number)
    return span


def publish(context: Context, span: Span) -> Span:
    """Make nights visible, if every table of them was written from the inputs as they are now.

    Raises
    ------
    DataError
        If a step of a night is missing or ran on other inputs.
    TryAgainError
        If the inputs have changed since the nights were planned.
    """
    now = plan_nights(context, span.days)
    for plan in now:
        if plan.run_id != span.run_ids[plan.event_date]:
            raise TryAgainError(
                f"the inputs of {plan.event_date} (files, earlier nights, labels, models) changed "
                "while it ran: run the same command again"
            )
    with context.night_step("publish", span.run_ids, subject=str(span)) as rows:
        rows |= _own_rows(context, span)
        for plan in span.plans:
            is_open = bool(plan.expected) and plan.event_date not in span.fitted
            _require_complete(plan, rows[plan.event_date], is_open=is_open)
        versions = context.warehouse.versions(NIGHT_TABLES)
        for part in _parts(span):
            promote(context, span.fitted.get(part[0].event_date, ()))
            nights = [_night(context, plan, versions, rows[plan.event_date]) for plan in part]
            publish_nights(context.warehouse, nights)
    return span


def _parts(span: Span) -> list[list[NightPlan]]:
    """The nights of a span by what is to be published at once.

    A model is promoted after the nights that it was fitted on are published, and before the first
    night that it serves: so that a run killed in between leaves what nights run one by one might.
    """
    parts: list[list[NightPlan]] = [[]]
    for plan in span.plans:
        if parts[-1] and plan.event_date in span.fitted:
            parts.append([])
        parts[-1].append(plan)
    return parts


def _night(
    context: Context, plan: NightPlan, versions: Mapping[str, int], counts: Mapping[str, int]
) -> Night:
    return Night(
        event_date=plan.event_date,
        run_id=plan.run_id,
        state="published",
        table_versions=versions,
        model_versions={kind: m.model_version for kind, m in sorted(plan.serving.items())},
        config_hash=config_hash(context.settings),
        input_hash=plan.input_hash,
        row_counts=counts,
    )


def _own_rows(context: Context, span: Span) -> NightCounts:
    """Rows of each night by table; raise if a table holds rows of other inputs.

    Who is silent has no features, and is counted apart from those who have and are not scored.
    """
    is_silent = F.col("reason") == SILENT
    name_of = {UNSCORED: F.when(is_silent, F.lit(SILENT)).otherwise(F.lit(UNSCORED.name))}
    marked = [
        context.warehouse.read(table)
        .where(F.col("event_date").isin(span.days))
        .select(name_of.get(table, F.lit(table.name)).alias("name"), "event_date", "run_id")
        for table in NIGHT_TABLES
    ]
    united = reduce(DataFrame.unionByName, marked)
    counted = united.groupBy("name", "event_date", "run_id").count().collect()
    kinds = [*(table.name for table in NIGHT_TABLES), SILENT]
    found: NightCounts = {day: dict.fromkeys(kinds, 0) for day in span.days}
    foreign: dict[date, set[str]] = {}
    for name, day, run_id, count in counted:
        if run_id == span.run_ids[day]:
            found[day][name] = int(count)
        else:
            foreign.setdefault(day, set()).add(name)
    for day, names in sorted(foreign.items()):
        raise DataError(
            f"{', '.join(sorted(names))} of {day} were not written from the inputs as they are now "
            f"(run_id {span.run_ids[day]}): run `shoal nightly --date {day}`"
        )
    return found


def _require_complete(plan: NightPlan, counts: Mapping[str, int], *, is_open: bool) -> None:
    """Raise unless every entity of the night is scored or says why not, and drift has run.

    Parameters
    ----------
    is_open : whether the night is due to fit a model and has not
    """
    entities = counts[ENTITY_FEATURES.name]
    missing = []
    if not entities:
        missing.append("features")
    if is_open:
        missing.append("fit")
    if counts[ENTITY_SCORES.name] + counts[UNSCORED.name] != entities:
        missing.append("score")
    is_compared = counts[FEATURE_HISTOGRAMS.name] > 0
    if not is_compared or (plan.serving and not counts[DRIFT_CLUSTERS.name]):
        missing.append("drift")
    if missing:
        raise DataError(
            f"the night {plan.event_date} is not whole: run `shoal {missing[0]} --date "
            f"{plan.event_date}` first (missing: {', '.join(missing)})"
        )
