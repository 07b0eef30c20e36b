"""Published nights before a night → ``models``, ``model_candidates``, ``model_status``."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings, config_hash
from shoal.contracts import ENTITY_FEATURES
from shoal.contracts.features import FEATURE_BY_NAME, FEATURE_NAMES, FEATURES
from shoal.errors import ConfigError, DataError, did_you_mean
from shoal.features.slices import is_inside
from shoal.features.values import peer_network
from shoal.kernels.form import FitSettings
from shoal.lake import Night
from shoal.models.fit import FitRequest, FitResult, fit_models
from shoal.models.registry import (
    StatusChange,
    in_order,
    model_version,
    next_sequence,
    read_changes,
    write_changes,
    write_models,
)
from shoal.models.vectors import BUILTIN, VALUES, VectorRule, teaching_rows
from shoal.models.verdicts import Verdict
from shoal.pipelines.context import Context, library_versions
from shoal.pipelines.gate import pass_gate
from shoal.pipelines.plan import NightPlan, left_out_days
from shoal.pipelines.span import Outcome, Span
from shoal.spark.nights import read_published
from shoal.spark.sampling import cap_groups

log = logging.getLogger(__name__)

_FITS_AT_ONCE = 3


def fit(context: Context, span: Span, *, only_due: bool = False) -> Span:
    """Fit the models that serve from each night on, on the nights before it, and promote them.

    Parameters
    ----------
    only_due : fit only where no model serves, or one that is old or of few nights; else all types

    Raises
    ------
    DataError
        If no night before one of the nights is published (unless ``only_due``).
    """
    for plan in span.plans:
        wanted = plan.expected if only_due else _all_changes(context, plan)
        outcomes = _fit_nights(context, [(plan, wanted)])[0] if wanted else []
        outcomes = _through_gate(context, [plan], [outcomes])[0]
        _write(context, outcomes)
        promote(context, outcomes)
    return span


def fit_due(context: Context, span: Span) -> Span:
    """Fit what the nights of a span are due to fit; nothing is promoted yet.

    Where a fit ends otherwise than expected the span is cut after its night.
    """
    due = [number for number, plan in enumerate(span.plans) if plan.expected]
    plans = [span.plans[number] for number in due]
    ended = _fit_nights(context, [(plan, plan.expected) for plan in plans]) if due else []
    ended = _through_gate(context, plans, ended)
    for number, outcomes in zip(due, ended, strict=True):
        if number >= len(span.plans):
            break
        span = span.ended(number, outcomes)
    _write(context, [outcome for outcomes in span.fitted.values() for outcome in outcomes])
    return span


def promote(context: Context, outcomes: Sequence[Outcome]) -> None:
    """Let what was fitted serve, or be known as rejected."""
    if outcomes:
        reasons = {outcome.change.model_version: outcome.reason for outcome in outcomes}
        write_changes(
            context.warehouse,
            [outcome.change for outcome in outcomes],
            reasons,
            comparisons={o.change.model_version: o.comparison for o in outcomes},
        )


def _fit_nights(
    context: Context, wanted: Sequence[tuple[NightPlan, Sequence[StatusChange]]]
) -> list[list[Outcome]]:
    """Fit the models that are to serve from each night on; return how that ended.

    Several side by side: half of a fit is the driver's own work. No fit knows of another.
    """
    nights = {plan.event_date: plan.run_id for plan, _ in wanted}
    kinds = sorted({change.entity_type for _, changes in wanted for change in changes})
    subject = f"{', '.join(f'{day:%m-%d}' for day in nights)} {', '.join(kinds)}"
    with context.night_step("fit", nights, subject=subject) as rows:
        with ThreadPoolExecutor(max_workers=_FITS_AT_ONCE) as pool:
            running = [
                [pool.submit(_fit_type, context, plan, change) for change in changes]
                for plan, changes in wanted
            ]
        found = [[fit.result() for fit in own] for own in running]
        for day, own in zip(nights, found, strict=True):
            rows[day]["models"] = sum(len(outcome.models) for outcome in own)
    return found


def _through_gate(
    context: Context, plans: Sequence[NightPlan], fitted: Sequence[Sequence[Outcome]]
) -> list[list[Outcome]]:
    """What comes of the fits of some nights, in date order, beside the models that serve then."""
    changes = read_changes(context.warehouse)
    rows: dict[str, Sequence[Mapping[str, Any]]] = {}
    found = []
    for plan, outcomes in zip(plans, fitted, strict=True):
        passed = [pass_gate(context, plan, outcome, changes, rows) for outcome in outcomes]
        changes = in_order([*changes, *(outcome.change for outcome in passed)])
        rows |= {outcome.change.model_version: outcome.models for outcome in passed}
        found.append(passed)
    return found


def _write(context: Context, outcomes: Sequence[Outcome]) -> None:
    """Write what was fitted, all in one commit a table; nothing serves by that."""
    write_models(
        context.warehouse,
        [row for outcome in outcomes for row in outcome.models],
        [row for outcome in outcomes for row in outcome.candidates],
    )


def _all_changes(context: Context, plan: NightPlan) -> list[StatusChange]:
    """A fit of every entity type, but for versions that have been tried."""
    settings = context.settings
    run_ids = [night.run_id for night in plan.nights_back(settings.fit.window_days)]
    if not run_ids:
        raise DataError(
            f"no published night in the {settings.fit.window_days} days before "
            f"{plan.event_date}: run `shoal nightly` for earlier days first"
        )
    meaning = config_hash(settings)
    changes = read_changes(context.warehouse)
    tried = {change.model_version for change in changes}
    since = plan.event_date - timedelta(days=settings.fit.window_days)
    versions = {
        kind: model_version(
            kind,
            plan.event_date,
            [*run_ids, *left_out_days(plan.malicious, kind, since)],
            meaning,
        )
        for kind in settings.entity_types
    }
    return [
        StatusChange(
            entity_type=kind,
            model_version=version,
            sequence=next_sequence(changes, kind),
            status="promoted",
            effective_date=plan.event_date,
            training_nights=len(run_ids),
            config_hash=meaning,
        )
        for kind, version in sorted(versions.items())
        if version not in tried
    ]


def _fit_type(context: Context, plan: NightPlan, change: StatusChange) -> Outcome:
    """Fit one type; too little data is a status, not a failure."""
    settings, days = context.settings, context.settings.fit.window_days
    window = alike = plan.nights_back(days)
    if change.entity_type in settings.event_entity_types:
        alike = plan.reference_nights(days)
    # Few nights that are alike are better than all, and all are better than too few.
    for nights in [alike, window] if len(alike) < len(window) else [window]:
        try:
            result = _fit_on(context, nights, change.entity_type, plan.malicious)
        except DataError as error:
            fault = str(error)
            continue
        shared = _shared_columns(context, nights, change)
        return Outcome(
            replace(change, status="promoted"),
            f"fitted on {len(nights)} of {len(window)} nights: {result.reason}",
            models=[{**row, **shared} for row in result.models],
            candidates=[{**row, **shared} for row in result.candidates],
        )
    log.info("no model of %s: %s", change.entity_type, fault)
    return Outcome(replace(change, status="rejected"), fault)


def _fit_on(
    context: Context, nights: Sequence[Night], entity_type: str, malicious: Sequence[Verdict]
) -> FitResult:
    settings = context.settings
    published = read_published(context.warehouse, ENTITY_FEATURES, nights)
    reference = published.where(F.col("entity_type") == F.lit(entity_type))
    if malicious:
        days = context.spark.createDataFrame(
            [(verdict.event_date, verdict.entity_type, verdict.entity_id) for verdict in malicious],
            "event_date date, entity_type string, entity_id string",
        )
        reference = reference.join(F.broadcast(days), days.columns, how="left_anti")
    rows, names, feature_set = reference_rows(reference, settings, entity_type)
    return fit_models(rows, fit_request(settings, entity_type, feature_set, names))


def _shared_columns(
    context: Context, nights: Sequence[Night], change: StatusChange
) -> dict[str, Any]:
    """What all rows of a version say."""
    return {
        "model_version": change.model_version,
        "valid_from_date": change.effective_date,
        "training_start_date": nights[0].event_date,
        "training_end_date": nights[-1].event_date,
        "training_run_ids": [night.run_id for night in nights],
        "config_hash": config_hash(context.settings),
        "library_versions": library_versions(),
    }


def reference_rows(
    reference: DataFrame, settings: Settings, entity_type: str
) -> tuple[DataFrame, list[str], str]:
    """Rows of one type that may teach, the names behind ``features`` and their set."""
    feature_set = VALUES if entity_type in settings.feature_entity_types else BUILTIN
    if feature_set == VALUES:
        names = _value_names(reference)
    else:
        names = modelled_features(settings.fit.leave_out)
    rule = VectorRule(F.col("entity_type") == F.lit(entity_type), feature_set, names)
    rows = teaching_rows(reference, [rule], min_events=settings.score.min_events)
    rows = rows.select("entity_id", "event_date", "slice", "features", "profile")
    if entity_type == "source_address":
        address = F.col("entity_id")
        # At home all may be of one network, and nobody from outside can add to them.
        outside = F.when(~is_inside(address, settings.home_networks), peer_network(address))
        rows = cap_groups(rows, outside, max_share=settings.fit.max_network_share)
    return rows, names, feature_set


def modelled_features(left_out: Sequence[str]) -> list[str]:
    """Built-in features that models look at, but those left out by name or family.

    Raises
    ------
    ConfigError
        If there is no such feature or family.
    """
    families = {feature.known.family for feature in FEATURES}
    known = families | set(FEATURE_NAMES)
    if unknown := sorted(set(left_out) - known):
        raise ConfigError(
            f"fit.leave_out: {unknown[0]!r} is no feature and no family of features"
            f"{did_you_mean(unknown[0], known)}; families are {', '.join(sorted(families))}"
        )
    return [
        feature.name
        for feature in FEATURES
        if feature.is_modelled and not {feature.name, feature.known.family} & set(left_out)
    ]


def _value_names(reference: DataFrame) -> list[str]:
    """Names of the features in a ready table; as many as it has columns."""
    rows = reference.select(F.explode("values.name").alias("name")).distinct().collect()
    return sorted(row[0] for row in rows)


def fit_request(
    settings: Settings, entity_type: str, feature_set: str, names: Sequence[str]
) -> FitRequest:
    """What the settings ask of a fit by these features, those of :func:`reference_rows`."""
    fit = settings.fit
    is_count = {
        name: FEATURE_BY_NAME[name].is_count if feature_set == BUILTIN else True for name in names
    }
    families = {
        name: FEATURE_BY_NAME[name].known.family for name in names if feature_set == BUILTIN
    }
    known = settings.slices.model_dump() | fit.model_dump()
    given = {name: known[name] for name in FitSettings.__dataclass_fields__}
    given = {name: None if value == "auto" else value for name, value in given.items()}
    kernel = FitSettings(**given | {"candidates": tuple(sorted(set(fit.candidates)))})
    return FitRequest(
        entity_type=entity_type,
        feature_set=feature_set,
        is_count=is_count,
        families=families,
        settings=kernel,
        min_entities=fit.min_entities,
        min_rows=fit.min_rows,
        sample_rows=fit.sample_rows,
        slice_min_entities=settings.slices.min_entities,
        slice_max_rows=settings.slices.max_rows,
        profile_axes=fit.profile_axes,
        # Of a ready table nobody knows which of its features are to agree: if they no longer do,
        # that may be the finding.
        max_correlation=fit.max_correlation if feature_set == BUILTIN else 1.0,
    )
