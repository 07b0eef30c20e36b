"""Versions of models held against each other, taken back, and let in by hand."""

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
from pyspark.sql import functions as F

from shoal.contracts import MODELS
from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError, did_you_mean
from shoal.lake import find_night
from shoal.models.component_drift import version_rows
from shoal.models.peer_models import PeerModel
from shoal.models.registry import (
    StatusChange,
    load_global,
    next_sequence,
    read_changes,
    serving_models,
    version_served,
    write_changes,
)
from shoal.pipelines.context import Context

_FORM = {
    "training_start_date": "trained from",
    "training_end_date": "to",
    "components": "components",
    "clusters": "clusters",
    "dimensions": "dimensions",
    "features": "features",
    "reference_entities": "entities",
    "log_likelihood": "log-likelihood",
}
_SHIFT = {
    "reference_component_id": "component",
    "analysis_component_id": "is now",
    "reference_weight": "weight",
    "analysis_weight": "now",
    "mean_shift": "mean, sd",
    "hellinger": "hellinger",
    "carried_by": "carried by",
}


def diff_models(context: Context, reference: str, analysis: str) -> dict[str, pd.DataFrame]:
    """How a version differs from an earlier one of the same entity type.

    Raises
    ------
    DataError
        If there is no such version, they are of different entity types, or one is of an earlier
        Shoal.
    """
    changes = read_changes(context.warehouse)
    kinds = [_kind_of(changes, version) for version in (reference, analysis)]
    if kinds[0] != kinds[1]:
        raise DataError(f"{reference} is of {kinds[0]}, {analysis} of {kinds[1]}")
    models = [
        load_global(context.warehouse, version_served(kinds[0], version))
        for version in (reference, analysis)
    ]
    tables = {f"{reference} and {analysis}": _forms(context, (reference, analysis))}
    tables |= _components(*models)
    before, now = (set(model.feature_names) for model in models)
    features = [
        {"feature": name, "only in": version}
        for version, own in ((reference, before - now), (analysis, now - before))
        for name in sorted(own)
    ]
    if features:
        tables["Features that only one of them looks at"] = pd.DataFrame(features)
    tables["Slices"] = _slices(context, (reference, analysis))
    return tables


def roll_back(context: Context, version: str, since: date | None, reason: str) -> str:
    """Take a version back from a night on; return what serves then, in words.

    Raises
    ------
    DataError
        If it does not serve on that night, or nothing served before it.
    """
    changes = read_changes(context.warehouse)
    kind = _kind_of(changes, version)
    last = find_night(context.warehouse, None).event_date
    day = since or last + timedelta(days=1)
    serving = serving_models(changes, day).get(kind)
    if serving is None or serving.model_version != version:
        now = serving.model_version if serving else "no model"
        raise DataError(f"{version} does not serve {kind} on {day}: {now} does")
    change = StatusChange(
        entity_type=kind,
        model_version=version,
        sequence=next_sequence(changes, kind),
        status="rolled_back",
        effective_date=day,
    )
    before = serving_models([*changes, change], day).get(kind)
    if before is None:
        raise DataError(f"no model of {kind} served before {version}: there is none to go back to")
    write_changes(context.warehouse, [change], {version: reason}, actor="shoal models rollback")
    told = f"{before.model_version} serves {kind} again from {day} on"
    if day <= last:
        told += f"; run `shoal nightly --start {day} --end {last}` for the nights since"
    return told


def promote_by_hand(context: Context, version: str, reason: str) -> str:
    """Let a version serve that was kept out; return from when, in words.

    Raises
    ------
    DataError
        If there is no such version, it was fitted on too little, or it has been promoted already.
    """
    changes = read_changes(context.warehouse)
    kind = _kind_of(changes, version)
    own = [change for change in changes if change.model_version == version]
    if any(change.status == "promoted" for change in own):
        raise DataError(f"{version} was promoted already")
    stored = context.warehouse.read(MODELS).where(F.col("model_version") == F.lit(version))
    if stored.isEmpty():
        raise DataError(f"{version} was never fitted: there was too little to fit it on")
    day = find_night(context.warehouse, None).event_date + timedelta(days=1)
    change = StatusChange(
        entity_type=kind,
        model_version=version,
        sequence=next_sequence(changes, kind),
        status="promoted",
        effective_date=day,
        training_nights=own[-1].training_nights,
        config_hash=own[-1].config_hash,
    )
    write_changes(context.warehouse, [change], {version: reason}, actor="shoal models promote")
    return f"{version} serves {kind} from {day} on"


def _kind_of(changes: Sequence[StatusChange], version: str) -> str:
    known = {change.model_version: change.entity_type for change in changes}
    if version not in known:
        raise DataError(f"no model {version!r} is known{did_you_mean(version, known)}")
    return known[version]


def _forms(context: Context, versions: Sequence[str]) -> pd.DataFrame:
    rows = (
        context.warehouse.read(MODELS)
        .where(F.col("model_version").isin(list(versions)) & (F.col("slice") == GLOBAL_SLICE))
        .select(
            "model_version",
            "training_start_date",
            "training_end_date",
            F.size("weights").alias("components"),
            F.size("centers").alias("clusters"),
            F.size("pca_components").alias("dimensions"),
            F.size("feature_names").alias("features"),
            "reference_entities",
            "log_likelihood",
        )
        .toPandas()
    )
    wide = rows.set_index("model_version").loc[list(versions), list(_FORM)].T
    return wide.rename(index=_FORM).rename_axis(index="of", columns=None).reset_index()


def _components(reference: PeerModel, analysis: PeerModel) -> dict[str, pd.DataFrame]:
    whole, *rows = version_rows(reference, analysis)
    if not rows:
        return {"Components": pd.DataFrame([{"status": whole["status"], "why": whole["detail"]}])}
    shown = pd.DataFrame([{**row, "carried_by": _carriers(row["features"])} for row in rows])
    title = (
        "Components of the first and those of the second: means moved by "
        f"{whole['mean_shift']:.2g} sd, weights by {whole['weight_change']:.2f}"
    )
    return {title: shown[list(_SHIFT)].rename(columns=_SHIFT)}


def _carriers(features: Sequence[tuple[str, float, float, float]]) -> str:
    return ", ".join(f"{name} {shift:+.1f} sd" for name, shift, _, _ in features)


def _slices(context: Context, versions: Sequence[str]) -> pd.DataFrame:
    rows = (
        context.warehouse.read(MODELS)
        .where(F.col("model_version").isin(list(versions)) & (F.col("slice") != GLOBAL_SLICE))
        .select("slice", "model_version", "status")
        .toPandas()
    )
    wide = rows.pivot(index="slice", columns="model_version", values="status")
    wide = wide.reindex(columns=list(versions)).fillna("-")
    return wide.rename_axis(columns=None).reset_index()
