"""Published nights before this one → ``models``, ``model_candidates``, ``model_status``."""

import logging
from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings, config_hash
from shoal.contracts import ENTITY_FEATURES
from shoal.contracts.features import FEATURE_BY_NAME, FEATURE_NAMES
from shoal.errors import DataError
from shoal.kernels.peer_fit import FitSettings
from shoal.models.fit import FitRequest, fit_models
from shoal.models.registry import has_status, model_version, write_model, write_status
from shoal.models.vectors import BUILTIN, VALUES, teaching_rows
from shoal.pipelines.context import Context, library_versions
from shoal.pipelines.plan import NightPlan, plan_night
from shoal.spark.nights import Night, read_published

log = logging.getLogger(__name__)


def fit(
    context: Context, event_date: date, plan: NightPlan | None = None, *, only_due: bool = False
) -> NightPlan:
    """Fit the models of every entity type on the nights before ``event_date`` and promote them.

    Parameters
    ----------
    only_due : fit only where no model serves or ``fit.every_days`` have passed; else all types

    Raises
    ------
    DataError
        If no night before ``event_date`` is published (unless ``only_due``).
    """
    plan = plan or plan_night(context, event_date)
    window = plan.nights_back(context.settings.fit.window_days)
    if not window and not only_due:
        raise DataError(
            f"no published night in the {context.settings.fit.window_days} days before "
            f"{event_date}: run `shoal nightly` for earlier days first"
        )
    versions = plan.due if only_due else _all_versions(context, event_date, window)
    for entity_type, version in sorted(versions.items()):
        if has_status(context.warehouse, version):
            continue
        with context.step("fit", event_date=event_date, detail=entity_type) as rows:
            rows["models"] = _fit_type(context, entity_type, version, event_date, window)
    return plan


def _all_versions(context: Context, event_date: date, window: Sequence[Night]) -> dict[str, str]:
    run_ids = [night.run_id for night in window]
    meaning = config_hash(context.settings)
    return {
        entity_type: model_version(entity_type, event_date, run_ids, meaning)
        for entity_type in context.settings.entity_types
    }


def _fit_type(
    context: Context, entity_type: str, version: str, event_date: date, window: Sequence[Night]
) -> int:
    """Fit one type; too little data is a status, not a failure. Return the rows of ``models``."""
    settings, warehouse = context.settings, context.warehouse
    published = read_published(warehouse, ENTITY_FEATURES, window)
    reference = published.where(F.col("entity_type") == F.lit(entity_type))
    try:
        rows, names, feature_set = reference_rows(reference, settings, entity_type)
        result = fit_models(rows, _request(settings, entity_type, feature_set, names))
    except DataError as error:
        log.info("no model of %s: %s", entity_type, error)
        write_status(warehouse, version, entity_type, event_date, "rejected", str(error))
        return 0
    shared = {
        "model_version": version,
        "valid_from_date": event_date,
        "training_start_date": window[0].event_date,
        "training_end_date": window[-1].event_date,
        "training_run_ids": [night.run_id for night in window],
        "config_hash": config_hash(settings),
        "library_versions": library_versions(),
    }
    write_model(
        warehouse,
        version,
        event_date,
        [{**row, **shared} for row in result.models],
        [{**result.candidate, **shared}],
    )
    reason = f"fitted on {len(window)} nights: {result.candidate['reason']}"
    write_status(warehouse, version, entity_type, event_date, "promoted", reason)
    return len(result.models)


def reference_rows(
    reference: DataFrame, settings: Settings, entity_type: str
) -> tuple[DataFrame, list[str], str]:
    """Rows of one type that may teach, the names behind ``features`` and their set."""
    feature_set = VALUES if entity_type in settings.feature_entity_types else BUILTIN
    names = _value_names(reference) if feature_set == VALUES else list(FEATURE_NAMES)
    rows = teaching_rows(
        reference, entity_type, feature_set, names, min_events=settings.score.min_events
    )
    return rows, names, feature_set


def _value_names(reference: DataFrame) -> list[str]:
    """Names of the features in a ready table; as many as it has columns."""
    rows = reference.select(F.explode("values.name").alias("name")).distinct().collect()
    return sorted(row[0] for row in rows)


def _request(
    settings: Settings, entity_type: str, feature_set: str, names: Sequence[str]
) -> FitRequest:
    fit = settings.fit
    is_count = {
        name: FEATURE_BY_NAME[name].is_count if feature_set == BUILTIN else True for name in names
    }
    kernel = FitSettings(**{name: getattr(fit, name) for name in FitSettings.__dataclass_fields__})
    return FitRequest(
        entity_type=entity_type,
        feature_set=feature_set,
        is_count=is_count,
        settings=kernel,
        min_entities=fit.min_entities,
        min_rows=fit.min_rows,
        sample_rows=fit.sample_rows,
        slice_min_entities=settings.slices.min_entities,
        slice_max_rows=settings.slices.max_rows,
    )
