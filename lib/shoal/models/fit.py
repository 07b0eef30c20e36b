"""Fit one entity type's models on its reference window."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError
from shoal.kernels.form import FitSettings
from shoal.kernels.peer_fit import (
    CrossFit,
    SampleFit,
    build_week_references,
    cross_fit_scores,
    fit_sample,
)
from shoal.kernels.peer_model import PeerGeometry, Standard
from shoal.kernels.profiles import fit_profile_axes
from shoal.kernels.redundancy import repeated_features
from shoal.kernels.standards import (
    rows_behind_small_slices,
    standardized,
    standards_of,
    with_tail_ratios,
)
from shoal.models.candidates import MIXTURE, candidate_rows, try_side_by_side
from shoal.models.mllib import fit_kmeans_on_all, fit_mixture_on_all, prepared_vectors
from shoal.models.peer_models import (
    PARENT,
    geometry_columns,
    profile_columns,
    reference_columns,
)
from shoal.models.refine import adopt_parent, refine_slices, slice_cross_fits, slice_facts
from shoal.models.vectors import (
    feature_matrix,
    profile_arrays,
    profile_coordinates,
    profiles_of,
)
from shoal.models.weeks import weekend_rows
from shoal.spark.sampling import hash_sample
from shoal.spark.session import persisted

Array = NDArray[np.float64]
MLLIB_ITERATIONS = 15
MIN_KNOWN_SHARE = 0.05


@dataclass(frozen=True)
class FitRequest:
    """What to fit for one entity type.

    Attributes
    ----------
    is_count : features that may be heavy-tailed, by name
    families : what log each feature is of, by name; of a ready table none is known
    min_entities, min_rows : below these there is no model
    slice_min_entities : below this a slice calibrates on its parent
    profile_axes : most axes that the profile enters by; 0 leaves it out
    max_correlation : largest correlation of two features that both are modelled
    """

    entity_type: str
    feature_set: str
    is_count: Mapping[str, bool]
    families: Mapping[str, str]
    settings: FitSettings
    min_entities: int
    min_rows: int
    sample_rows: int
    slice_min_entities: int
    slice_max_rows: int
    profile_axes: int
    max_correlation: float


@dataclass(frozen=True)
class FitResult:
    """Rows for ``models`` and ``model_candidates`` (columns that the fit knows).

    Attributes
    ----------
    reason : the form fitted, and why this
    """

    models: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    reason: str


def fit_models(reference: DataFrame, request: FitRequest) -> FitResult:
    """Fit the global model of an entity type and refine it per slice.

    Parameters
    ----------
    reference : entity × day with ``entity_id``, ``event_date``, ``slice``, ``features``
        (``array<double>`` in the order of ``request.is_count``) and ``profile``, the whole
        reference window

    Raises
    ------
    DataError
        If there is too little to fit on; it says how much there is.
    """
    started = time.monotonic()
    with persisted(reference) as rows:
        drawn = hash_sample(_with_profile_arrays(rows), max_rows=request.sample_rows)
        sample = drawn.rows
        _require_enough(sample, request)
        chosen = choose_features(sample, request)
        names = list(chosen.names)
        rows = rows.withColumn("features", _pick(chosen.places))
        values = feature_matrix(sample["features"])[:, chosen.places]
        groups = sample["entity_id"].to_numpy(dtype=str)
        is_count = [request.is_count[name] for name in names]
        profiles = profiles_of(sample)
        profile = fit_profile_axes(
            profiles,
            groups,
            n_axes=request.profile_axes,
            random_state=request.settings.random_state,
        )
        if profile is not None:
            coordinates = profile_coordinates(F.lit(0), [profile])
            rows = rows.withColumn("features", F.concat("features", coordinates))
            values = np.hstack([values, profile.coordinates(profiles)])
            names += profile.names
            is_count += [False] * len(profile.names)
        fitted = fit_sample(
            values,
            groups,
            feature_names=names,
            is_count=np.asarray(is_count),
            settings=request.settings,
            n_alike=len(profile.names) if profile else 0,
            try_all=partial(
                try_side_by_side,
                reference.sparkSession,
                min(len(values), request.settings.selection_rows),
            ),
        )
        geometry, fitted_by = fitted.geometry, "scikit-learn on all rows"
        if not drawn.is_whole:
            # Else MLlib would only repeat what scikit-learn has done.
            geometry, fitted_by = _fit_on_all(rows, fitted, values, request)
        slices = refine_slices(
            rows,
            geometry,
            fitted.cross_fit,
            settings=request.settings,
            min_entities=request.slice_min_entities,
            max_rows=request.slice_max_rows,
        )
    small = [row["slice"] for row in slices if row["calibration"] == PARENT]
    slice_fits = slice_cross_fits(slices, fitted.cross_fit)
    whole, standards = _global_row(
        geometry, fitted, slice_fits, sample, values, groups, small, request.slice_min_entities
    )
    whole |= {**profile_columns(profile), "left_out": chosen.left_out}
    shared = {
        **geometry_columns(geometry),
        **profile_columns(None),
        "left_out": [],
        "entity_type": request.entity_type,
        "feature_set": request.feature_set,
        "fitted_by": fitted_by,
        "sample_rows": len(sample),
        "seconds": time.monotonic() - started,
    }
    models = [{**shared, **row} for row in [whole, *adopt_parent(slices, whole, standards)]]
    if fitted.selection.mixtures:
        tried = candidate_rows(fitted.selection, request.settings.random_state)
    else:
        tried = [_configured(fitted, geometry, values, groups, started, request)]
    of_type = {"entity_type": request.entity_type}
    candidates = [{**row, "candidate": number, **of_type} for number, row in enumerate(tried)]
    form = fitted.form
    reason = f"{form.n_components} × {form.covariance_type}: {form.reason}"
    return FitResult(models, candidates, reason)


def _require_enough(sample: pd.DataFrame, request: FitRequest) -> None:
    entities = sample["entity_id"].nunique()
    if entities < request.min_entities or len(sample) < request.min_rows:
        raise DataError(
            f"{request.entity_type}: {entities} entities on {len(sample)} rows in the reference "
            f"window, {request.min_entities} entities and {request.min_rows} rows needed "
            "(fit.min_entities, fit.min_rows)"
        )


@dataclass(frozen=True)
class Chosen:
    """The features of a model.

    Attributes
    ----------
    places : of ``names`` among those asked for
    left_out : the others, as the column of that name in ``models``
    """

    names: list[str]
    places: NDArray[np.intp]
    left_out: list[dict[str, Any]]


def choose_features(sample: pd.DataFrame, request: FitRequest) -> Chosen:
    """Features that can judge somebody and that no other one repeats.

    One that the reference knows in few rows could judge nobody; those of a log that nobody has are
    left out whole, and of those alike all but the first. Within a log that somebody has a feature
    that is always the same stays: its first change is a finding.
    """
    names = list(request.is_count)
    values = feature_matrix(sample["features"])
    is_known = np.isfinite(values).mean(axis=0) >= MIN_KNOWN_SHARE
    is_something = (np.nan_to_num(values) != 0).any(axis=0)
    families = np.array([request.families.get(name, "") for name in names])
    is_of_a_log = np.isin(families, list({"", *families[is_something]}))
    places = np.flatnonzero(is_known & is_of_a_log)
    if not len(places):
        raise DataError(f"{request.entity_type}: no feature is known in the reference window")
    why = np.where(is_of_a_log, "known in too few rows", "of a log that nobody has")
    left_out: dict[int, dict[str, Any]] = {
        int(place): {"reason": str(why[place])}
        for place in np.flatnonzero(~(is_known & is_of_a_log))
    }
    is_count = [request.is_count[names[place]] for place in places]
    for pair in repeated_features(
        values[:, places], is_count, max_correlation=request.max_correlation
    ):
        left_out[int(places[pair.feature])] = {
            "reason": "repeats another one",
            "repeats": names[places[pair.of]],
            "correlation": pair.correlation,
        }
    places = np.array([place for place in places if place not in left_out])
    empty = {"repeats": None, "correlation": None}
    return Chosen(
        [names[place] for place in places],
        places,
        [{"feature": names[place], **empty, **left_out[place]} for place in sorted(left_out)],
    )


def _with_profile_arrays(rows: DataFrame) -> DataFrame:
    return rows.select("entity_id", "event_date", "slice", "features", *profile_arrays())


def _pick(chosen: NDArray[np.intp]) -> Any:
    return F.array(*(F.get("features", int(index)) for index in chosen))


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
        mixture, fitted_by = fit_mixture_on_all(
            vectors,
            geometry.mixture,
            geometry.preparation.project_winsorized(values, settings.winsorize_sd),
            max_iter=MLLIB_ITERATIONS,
            reg_covar=settings.reg_covar,
        )
    finally:
        vectors.unpersist()
    return replace(geometry, mixture=mixture), fitted_by


def _global_row(
    geometry: PeerGeometry,
    fitted: SampleFit,
    slice_fits: Mapping[str, CrossFit],
    sample: pd.DataFrame,
    values: Array,
    groups: NDArray[np.str_],
    small: Sequence[str],
    min_entities: int,
) -> tuple[dict[str, Any], dict[str, Standard]]:
    """The row of the global model, and the standard of each slice that its references are in."""
    of_all = cross_fit_scores(values, groups, fitted.cross_fit)
    scores = of_all.copy()
    slices = sample["slice"].to_numpy(dtype=str)
    for name, slice_fit in slice_fits.items():
        rows = slices == name
        if rows.any():
            scores.put(rows, cross_fit_scores(values[rows], groups[rows], slice_fit))
    standard, standards = standards_of(scores, groups, slices, of_all)
    alike = standardized(scores, slices, standards)
    is_behind = rows_behind_small_slices(slices, groups, small=small, min_entities=min_entities)
    is_weekend = weekend_rows(sample["event_date"])
    references = build_week_references(alike.of(is_behind), is_weekend[is_behind])
    row = {
        "slice": GLOBAL_SLICE,
        "status": "global",
        "reason": fitted.form.reason,
        "calibration": "own",
        "score_standard": standard.to_list(),
        **reference_columns(references),
        **slice_facts(geometry, values, groups, sample["event_date"].to_numpy()),
        "reference_entities": len(set(groups[is_behind].tolist())),
        "reference_days": sample["event_date"][is_behind].nunique(),
    }
    return row, with_tail_ratios(standards, alike, slices, is_behind, is_weekend, references)


def _configured(
    fitted: SampleFit,
    geometry: PeerGeometry,
    values: Array,
    groups: NDArray[np.str_],
    started: float,
    request: FitRequest,
) -> dict[str, Any]:
    """The row of ``model_candidates`` of a form that the configuration says."""
    n_entities = len(set(groups.tolist()))
    measures = geometry.measure(values)
    # Rows of an entity repeat, so criteria count entities: its rows share one unit of evidence.
    likelihood = float(measures.log_density.mean()) * n_entities
    n_parameters = fitted.fit.mixture.n_parameters()
    return {
        "kind": MIXTURE,
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
