"""What analysts ask of the models: which serve, and why they are what they are."""

from collections.abc import Sequence
from datetime import date

import pandas as pd
from pyspark.sql import functions as F

from shoal.contracts import MODEL_CANDIDATES, MODELS
from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError, did_you_mean
from shoal.kernels.meaning import loadings, traits
from shoal.lake import find_night
from shoal.models.candidates import KMEANS, MIXTURE
from shoal.models.registry import (
    ServingModel,
    StatusChange,
    golden_models,
    golden_nights,
    load_versions,
    next_sequence,
    read_changes,
    serving_models,
    write_changes,
)
from shoal.pipelines.context import Context

_LISTED = {
    "model_version": "version",
    "effective_date": "from",
    "status": "status",
    "training_nights": "nights",
    "components": "k",
    "covariance_type": "covariance",
    "reference_entities": "entities",
}
"""Columns that a list of models has room for, and their names there."""

_WHY = {
    "n_components": "k",
    "covariance_type": "covariance",
    "held_out_log_likelihood": "held out",
    "held_out_loss": "loss",
    "held_out_loss_error": "error",
    "bic": "bic",
    "stability": "rand",
    "smallest_weight": "least",
    "reason": "reason",
}
"""Columns of ``model_candidates`` that a screen has room for, and their names there."""


_LOADINGS_SHOWN = 4


def list_models(context: Context, entity_type: str | None = None) -> dict[str, pd.DataFrame]:
    """Every version of the models, the newest first, and what has become of it.

    Raises
    ------
    DataError
        If there is none.
    """
    changes = _changes_of(context, entity_type)
    shapes = (
        context.warehouse.read(MODELS)
        .where(F.col("slice") == GLOBAL_SLICE)
        .select(
            "model_version",
            F.size("weights").alias("components"),
            "covariance_type",
            "reference_entities",
        )
        .toPandas()
    )
    rows = pd.DataFrame([vars(change) for change in changes if change.status != "golden"])
    rows = rows.merge(shapes, on="model_version", how="left")
    serving = {model.model_version for model in serving_models(changes, date.max).values()}
    golden = golden_models(changes, date.max, golden_nights(context.settings)).values()
    for versions, status in (({m.model_version for m in golden}, "golden"), (serving, "serving")):
        rows.loc[rows["model_version"].isin(versions), "status"] = status
    rows = rows.sort_values(
        ["entity_type", "effective_date", "model_version"], ascending=[True, False, True]
    )
    return {"Models": rows[list(_LISTED)].rename(columns=_LISTED)}


def pin_golden(context: Context, version: str, reason: str = "") -> str:
    """Freeze a version: scores of the nights after the last published one are held against it.

    Raises
    ------
    DataError
        If there is no such version in force, or no published night.
    """
    changes = _changes_of(context, None)
    kind = _promoted(changes, version).entity_type
    pinned = StatusChange(
        entity_type=kind,
        model_version=version,
        sequence=next_sequence(changes, kind),
        status="golden",
        effective_date=find_night(context.warehouse, None).event_date,
    )
    in_force = golden_models([*changes, pinned], date.max, golden_nights(context.settings))
    if in_force[kind].model_version != version:
        raise DataError(f"{version} is not in force: it was retired or rolled back")
    write_changes(context.warehouse, [pinned], {version: reason}, actor="shoal models --pin")
    return f"{version} is the golden model of {kind} from the night after {pinned.effective_date}"


def meaning_of_models(
    context: Context, entity_type: str | None = None, version: str | None = None
) -> dict[str, pd.DataFrame]:
    """What the components of the models that serve last mean, or those of one version.

    Raises
    ------
    DataError
        If there is no model, or none of that version.
    """
    changes = _changes_of(context, entity_type)
    serving = serving_models(changes, date.max).values()
    found = [_promoted(changes, version)] if version else serving
    models = load_versions(context.warehouse, found)
    tables: dict[str, pd.DataFrame] = {}
    for model in sorted(models.of_types(), key=lambda model: model.model_version):
        name, geometry = model.model_version, model.geometry
        if model.profile:
            tables[f"{name}: axes of the profile, in square roots of shares"] = pd.DataFrame(
                [
                    {"axis": axis, "term": term, "loading": loading}
                    for axis in range(1, model.n_profile)
                    for term, loading in model.profile.leading_terms(axis - 1, _LOADINGS_SHOWN)
                ]
            )
        tables[f"{name}: loadings of its principal components"] = pd.DataFrame(
            [vars(item) for item in loadings(geometry, top=_LOADINGS_SHOWN)]
        )
        tables[f"{name}: where the components of its mixture lie, in sd and in the log's units"] = (
            pd.DataFrame([vars(item) for item in traits(geometry, top=_LOADINGS_SHOWN)])
        )
    return tables


def explain_models(
    context: Context, entity_type: str | None = None, version: str | None = None
) -> dict[str, pd.DataFrame]:
    """Every candidate of the models that serve last, or of one version, and the curves.

    And the features that are not modelled because another one says the same.

    Raises
    ------
    DataError
        If there is no model, or none of that version.
    """
    changes = _changes_of(context, entity_type)
    serving = serving_models(changes, date.max).values()
    versions = [version] if version else [model.model_version for model in serving]
    found = (
        context.warehouse.read(MODEL_CANDIDATES)
        .where(F.col("model_version").isin(versions))
        .toPandas()
        .sort_values(["entity_type", "model_version", "candidate"])
    )
    if found.empty:
        hint = did_you_mean(version or "", [change.model_version for change in changes])
        raise DataError(f"`model_candidates` has no row of {', '.join(versions)}{hint}")
    repeated = (
        context.warehouse.read(MODELS)
        .where((F.col("slice") == GLOBAL_SLICE) & F.col("model_version").isin(versions))
        .select("model_version", F.inline("left_out"))
        .where(F.col("repeats").isNotNull())
        .toPandas()
    )
    tables: dict[str, pd.DataFrame] = {}
    for name, candidates in found.groupby("model_version", sort=False):
        tables |= _tables_of(str(name), candidates)
        own = repeated[repeated["model_version"] == name]
        if len(own):
            tables[f"{name}: not modelled, for another feature says the same"] = own[
                ["feature", "repeats", "correlation"]
            ]
    return tables


def _tables_of(version: str, candidates: pd.DataFrame) -> dict[str, pd.DataFrame]:
    mixtures = candidates[candidates["kind"] == MIXTURE]
    chosen = mixtures[mixtures["is_chosen"]].iloc[0]
    form = f"{chosen['n_components']} × {chosen['covariance_type']}"
    shown = mixtures[list(_WHY)].rename(columns=_WHY)
    tables = {f"{version}: {form}, {chosen['reason']}": shown}
    if len(mixtures) > 1:
        for column, name in (
            ("held_out_log_likelihood", "held-out log-likelihood, nats an entity and day"),
            ("bic", "BIC by entity"),
            ("stability", "adjusted Rand index between seeds"),
        ):
            tables[f"{version}: {name}"] = _curve(mixtures, column)
    clusters = candidates[candidates["kind"] == KMEANS]
    if len(clusters):
        names = ["n_components", "inertia", "silhouette", "reason"]
        tables[f"{version}: k-means"] = clusters[names].rename(columns={"n_components": "k"})
    return tables


def _curve(mixtures: pd.DataFrame, column: str) -> pd.DataFrame:
    """A figure by number of components, a column a covariance."""
    wide = mixtures.pivot(index="n_components", columns="covariance_type", values=column)
    return wide.rename_axis(index="k", columns=None).reset_index()


def _promoted(changes: Sequence[StatusChange], version: str) -> ServingModel:
    known = {
        change.model_version: change.model for change in changes if change.status == "promoted"
    }
    if version not in known:
        raise DataError(f"no model {version!r} was promoted{did_you_mean(version, known)}")
    return known[version]


def _changes_of(context: Context, entity_type: str | None) -> list[StatusChange]:
    """Changes of all models, or of those of one entity type, in the order they hold in."""
    changes = read_changes(context.warehouse)
    if not changes:
        raise DataError("there is no model yet: run `shoal nightly` first")
    if entity_type is None:
        return changes
    known = sorted({change.entity_type for change in changes})
    if entity_type not in known:
        hint = did_you_mean(entity_type, known)
        raise DataError(f"no model of {entity_type!r}; there are {', '.join(known)}{hint}")
    return [change for change in changes if change.entity_type == entity_type]
