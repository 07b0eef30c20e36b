"""Fit one entity type's models on its reference window."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import MODELS
from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError
from shoal.kernels.calibration import entity_folds
from shoal.kernels.peer_fit import (
    FitSettings,
    SampleFit,
    build_references,
    cross_fit_scores,
    fit_sample,
    refine_slice,
)
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import winsorize
from shoal.models.mllib import fit_kmeans_on_all, fit_mixture_on_all, prepared_vectors
from shoal.models.peer_models import geometry_columns
from shoal.spark.sampling import hash_sample
from shoal.spark.session import persisted

log = logging.getLogger(__name__)

Array = NDArray[np.float64]
MLLIB_ITERATIONS = 15
MIN_KNOWN_SHARE = 0.05
SLICE_COLUMNS = [
    "slice",
    "status",
    "reason",
    "weights",
    "means",
    "covariances",
    "covariance_type",
    "reference_density",
    "reference_distance",
    "reference_combined",
    "calibration",
    "reference_entities",
    "reference_days",
    "feature_median",
    "cluster_sizes",
    "distance_p95",
    "log_likelihood",
    "row_count",
]


@dataclass(frozen=True)
class FitRequest:
    """What to fit for one entity type.

    Attributes
    ----------
    is_count : features that may be heavy-tailed, by name
    min_entities, min_rows : below these there is no model
    slice_min_entities : below this a slice calibrates on its parent and is not refined
    """

    entity_type: str
    feature_set: str
    is_count: Mapping[str, bool]
    settings: FitSettings
    min_entities: int
    min_rows: int
    sample_rows: int
    slice_min_entities: int
    slice_max_rows: int


@dataclass(frozen=True)
class FitResult:
    """Rows for ``models`` (columns that the fit knows) and the one candidate tried."""

    models: list[dict[str, Any]]
    candidate: dict[str, Any]


def fit_models(reference: DataFrame, request: FitRequest) -> FitResult:
    """Fit the global model of an entity type and refine it per slice.

    Parameters
    ----------
    reference : entity × day with ``entity_id``, ``event_date``, ``slice`` and ``features``
        (``array<double>`` in the order of ``request.is_count``), the whole reference window

    Raises
    ------
    DataError
        If there is too little to fit on; it says how much there is.
    """
    started = time.monotonic()
    with persisted(reference) as rows:
        sample = hash_sample(rows, max_rows=request.sample_rows)
        _require_enough(sample, request)
        names, chosen = _known_features(sample, request)
        rows = rows.withColumn("features", _pick(chosen))
        values = _matrix(sample["features"])[:, chosen]
        groups = sample["entity_id"].to_numpy(dtype=str)
        fitted = fit_sample(
            values,
            groups,
            feature_names=names,
            is_count=np.asarray([request.is_count[name] for name in names]),
            settings=request.settings,
        )
        geometry, fitted_by = _fit_on_all(rows, fitted, values, request)
        fold_of = dict(
            zip(
                groups.tolist(),
                entity_folds(groups, request.settings.n_folds).tolist(),
                strict=True,
            )
        )
        whole = _global_row(geometry, fitted, sample, values, groups, fold_of)
        slices = _refine_slices(rows, geometry, fitted, fold_of, request)
    shared = {
        **geometry_columns(geometry),
        "entity_type": request.entity_type,
        "feature_set": request.feature_set,
        "fitted_by": fitted_by,
        "sample_rows": len(sample),
        "seconds": time.monotonic() - started,
    }
    models = [{**shared, **row} for row in [whole, *_adopt_parent(slices, whole, request)]]
    return FitResult(models, _candidate(fitted, geometry, values, groups, started, request))


def _require_enough(sample: pd.DataFrame, request: FitRequest) -> None:
    entities = sample["entity_id"].nunique()
    if entities < request.min_entities or len(sample) < request.min_rows:
        raise DataError(
            f"{request.entity_type}: {entities} entities on {len(sample)} rows in the reference "
            f"window, {request.min_entities} entities and {request.min_rows} rows needed "
            "(fit.min_entities, fit.min_rows)"
        )


def _known_features(
    sample: pd.DataFrame, request: FitRequest
) -> tuple[list[str], NDArray[np.intp]]:
    """Features that the reference knows in enough rows; an unknown one could judge nobody."""
    values = _matrix(sample["features"])
    is_known = np.isfinite(values).mean(axis=0) >= MIN_KNOWN_SHARE
    chosen = np.flatnonzero(is_known)
    names = list(request.is_count)
    if not len(chosen):
        raise DataError(f"{request.entity_type}: no feature is known in the reference window")
    return [names[index] for index in chosen], chosen


def _pick(chosen: NDArray[np.intp]) -> Any:
    return F.array(*(F.get("features", int(index)) for index in chosen))


def _matrix(features: pd.Series) -> Array:
    """Rows of feature vectors, null as NaN, ``(n_rows, n_features)``; ±inf becomes NaN too.

    Rows with non-finite values don't take part in a fit's statistics of that feature.
    """
    rows = [np.asarray(row, dtype=float) for row in features]
    matrix = np.stack(rows)
    return np.where(np.isfinite(matrix), matrix, np.nan)


def _fit_on_all(
    rows: DataFrame, fitted: SampleFit, values: Array, request: FitRequest
) -> tuple[PeerGeometry, str]:
    """Let MLlib continue on all rows where it can do what was chosen."""
    geometry, settings = fitted.geometry, request.settings
    vectors = prepared_vectors(rows, geometry.preparation, winsorize_sd=settings.winsorize_sd)
    vectors = vectors.cache()
    try:
        centers = fit_kmeans_on_all(vectors, geometry.centers, max_iter=MLLIB_ITERATIONS)
        geometry = replace(geometry, centers=centers)
        if fitted.form.covariance_type != "full" or fitted.form.n_components < 2:
            return geometry, "scikit-learn on the sample: MLlib fits full covariances, k > 1"
        standardized = winsorize(geometry.preparation.standardize(values), settings.winsorize_sd)
        mixture = fit_mixture_on_all(
            vectors,
            geometry.mixture,
            geometry.preparation.project(standardized),
            max_iter=MLLIB_ITERATIONS,
            reg_covar=settings.reg_covar,
        )
    finally:
        vectors.unpersist()
    if mixture is None:
        return geometry, "scikit-learn on the sample: MLlib's result was degenerate"
    return replace(geometry, mixture=mixture), "mllib on all rows"


def _global_row(
    geometry: PeerGeometry,
    fitted: SampleFit,
    sample: pd.DataFrame,
    values: Array,
    groups: NDArray[np.str_],
    fold_of: dict[str, int],
) -> dict[str, Any]:
    scores = cross_fit_scores(values, groups, fitted.folds, fold_of)
    return {
        "slice": GLOBAL_SLICE,
        "status": "global",
        "reason": fitted.form.reason,
        "calibration": "own",
        **_reference_columns(scores),
        **_slice_facts(geometry, values, groups, sample["event_date"].to_numpy()),
    }


def _reference_columns(scores: Any) -> dict[str, Any]:
    references = build_references(scores)
    return {
        "reference_density": references.density.scores.tolist(),
        "reference_distance": references.distance.scores.tolist(),
        "reference_combined": references.combined.scores.tolist(),
    }


def _slice_facts(
    geometry: PeerGeometry, values: Array, groups: NDArray[np.str_], days: NDArray[Any]
) -> dict[str, Any]:
    """Facts about the reference rows of a slice that reasons and thresholds read."""
    measures = geometry.measure(values)
    clusters = range(len(geometry.centers))
    distance = [measures.centroid_distance[measures.centroid_ids == c] for c in clusters]
    with np.errstate(all="ignore"):
        median = np.asarray(
            [
                np.median(col[np.isfinite(col)]) if np.isfinite(col).any() else np.nan
                for col in values.T
            ]
        )
    return {
        "reference_entities": len(set(groups.tolist())),
        "reference_days": len(set(days.tolist())),
        "feature_median": median.tolist(),
        "cluster_sizes": [len(d) / len(values) for d in distance],
        "distance_p95": [float(np.quantile(d, 0.95)) if len(d) else None for d in distance],
        "log_likelihood": float(measures.log_density.mean()),
        "row_count": len(values),
    }


def _refine_slices(
    rows: DataFrame,
    geometry: PeerGeometry,
    fitted: SampleFit,
    fold_of: dict[str, int],
    request: FitRequest,
) -> list[dict[str, Any]]:
    """Refine every slice in its own task; a slice that fails keeps the global model."""

    def refine(group: pd.DataFrame) -> pd.DataFrame:
        return refine_group(group, geometry, fitted.folds, fold_of, request)

    bounded = rows.select("slice", "entity_id", "event_date", "features")
    refined = bounded.groupBy("slice").applyInPandas(refine, MODELS.subset(SLICE_COLUMNS))
    return [row.asDict() for row in sorted(refined.collect(), key=lambda row: str(row["slice"]))]


def refine_group(
    group: pd.DataFrame,
    geometry: PeerGeometry,
    folds: Sequence[PeerGeometry],
    fold_of: dict[str, int],
    request: FitRequest,
) -> pd.DataFrame:
    """Group function: the rows of one slice in, its row of ``models`` out."""
    group = group.sort_values(["entity_id", "event_date"]).head(request.slice_max_rows)
    values = _matrix(group["features"])
    groups = group["entity_id"].to_numpy(dtype=str)
    try:
        refinement = refine_slice(
            values,
            groups,
            geometry=geometry,
            folds=folds,
            fold_of=fold_of,
            settings=request.settings,
            min_entities=request.slice_min_entities,
        )
        mixture, status, reason = refinement.mixture, refinement.status, refinement.reason
        scores = refinement.scores
    except (DataError, np.linalg.LinAlgError, ValueError) as error:
        mixture, status, reason = None, "kept_global", f"refinement failed: {error}"
        scores = cross_fit_scores(values, groups, folds, fold_of)
    serving = replace(geometry, mixture=mixture) if mixture is not None else geometry
    facts = _slice_facts(serving, values, groups, group["event_date"].to_numpy())
    columns = geometry_columns(serving)
    row = {
        "slice": group["slice"].iloc[0],
        "status": status,
        "reason": reason,
        "calibration": "own",
        **{name: columns[name] for name in ("weights", "means", "covariances", "covariance_type")},
        **_reference_columns(scores),
        **facts,
    }
    return pd.DataFrame([row])[SLICE_COLUMNS]


def _adopt_parent(
    slices: Sequence[dict[str, Any]], whole: Mapping[str, Any], request: FitRequest
) -> list[dict[str, Any]]:
    """Slices of too few entities are calibrated on the global references."""
    adopted = []
    borrowed = ("reference_density", "reference_distance", "reference_combined")
    for row in slices:
        if row["reference_entities"] < request.slice_min_entities:
            parent = {
                name: whole[name] for name in (*borrowed, "reference_entities", "reference_days")
            }
            row = {**row, **parent, "calibration": "parent"}
        adopted.append(row)
    return adopted


def _candidate(
    fitted: SampleFit,
    geometry: PeerGeometry,
    values: Array,
    groups: NDArray[np.str_],
    started: float,
    request: FitRequest,
) -> dict[str, Any]:
    """The row of ``model_candidates``: one candidate, fixed by the configuration."""
    n_entities = len(set(groups.tolist()))
    measures = geometry.measure(values)
    # Rows of an entity repeat, so criteria count entities: its rows share one unit of evidence.
    likelihood = float(measures.log_density.mean()) * n_entities
    n_parameters = fitted.fit.mixture.n_parameters()
    return {
        "candidate": 0,
        "entity_type": request.entity_type,
        "n_components": fitted.form.n_components,
        "covariance_type": fitted.form.covariance_type,
        "random_state": request.settings.random_state,
        "bic": n_parameters * float(np.log(n_entities)) - 2 * likelihood,
        "aic": 2 * n_parameters - 2 * likelihood,
        "smallest_weight": float(geometry.mixture.weights.min()),
        "responsibility_entropy": float(measures.entropy().mean()),
        "is_converged": bool(fitted.fit.converged),
        "is_chosen": True,
        "reason": f"fixed by configuration; {fitted.form.reason}",
        "seconds": time.monotonic() - started,
    }
