"""Refining an entity type's global model per slice, each slice in its own task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from shoal.contracts import MODELS
from shoal.errors import DataError
from shoal.kernels.centroids import cluster_spread
from shoal.kernels.form import FitSettings
from shoal.kernels.gaussians import Mixture
from shoal.kernels.peer_fit import (
    CrossFit,
    build_week_references,
    cross_fit_scores,
    refine_slice,
)
from shoal.kernels.peer_model import PeerGeometry, Standard
from shoal.models.peer_models import (
    PARENT,
    REFERENCE_COLUMNS,
    SPREAD_COLUMNS,
    geometry_columns,
    reference_columns,
)
from shoal.models.vectors import feature_matrix
from shoal.models.weeks import weekend_rows
from shoal.spark.sampling import bound_groups

Array = NDArray[np.float64]
SLICE_COLUMNS = [
    "slice",
    "status",
    "reason",
    "weights",
    "means",
    "covariances",
    "covariance_type",
    *REFERENCE_COLUMNS,
    "score_standard",
    "calibration",
    "reference_entities",
    "reference_days",
    "feature_median",
    "cluster_sizes",
    "distance_mean",
    "distance_sd",
    "distance_p95",
    "log_likelihood",
    "row_count",
]

_MIXTURE = ("weights", "means", "covariances")
_REFINED = T.StructType(
    [
        *MODELS.subset(SLICE_COLUMNS).fields,
        T.StructField("folds", T.ArrayType(MODELS.subset(_MIXTURE))),
    ]
)
"""A slice's row of ``models``, and the mixtures of its folds where others calibrate it."""


def refine_slices(
    rows: DataFrame,
    geometry: PeerGeometry,
    cross_fit: CrossFit,
    *,
    settings: FitSettings,
    min_entities: int,
    max_rows: int,
) -> list[dict[str, Any]]:
    """Refine every slice in its own task; a slice that fails keeps the global model.

    Parameters
    ----------
    rows : entity × day with ``slice``, ``entity_id``, ``event_date`` and ``features``
    min_entities : below this a slice calibrates on its parent
    max_rows : about as many rows of a slice take part, whole entities by their hash
    """

    def refine(group: pd.DataFrame) -> pd.DataFrame:
        return refine_group(
            group, geometry, cross_fit, settings=settings, min_entities=min_entities
        )

    wanted = rows.select("slice", "entity_id", "event_date", "features")
    bounded = bound_groups(wanted, ["slice"], max_rows=max_rows)
    refined = bounded.groupBy("slice").applyInPandas(refine, _REFINED)
    rows_of_slices = sorted(refined.collect(), key=lambda row: str(row["slice"]))
    return [row.asDict(recursive=True) for row in rows_of_slices]


def refine_group(
    group: pd.DataFrame,
    geometry: PeerGeometry,
    cross_fit: CrossFit,
    *,
    settings: FitSettings,
    min_entities: int,
) -> pd.DataFrame:
    """Group function: the rows of one slice in, its row of ``models`` out."""
    group = group.sort_values(["entity_id", "event_date"])
    values = feature_matrix(group["features"])
    groups = group["entity_id"].to_numpy(dtype=str)
    try:
        refinement = refine_slice(
            values,
            groups,
            geometry=geometry,
            cross_fit=cross_fit,
            settings=settings,
        )
        mixture, status, reason = refinement.mixture, refinement.status, refinement.reason
        scores, own_fit = refinement.scores, refinement.cross_fit
    except (DataError, np.linalg.LinAlgError, ValueError) as error:
        mixture, status, reason = None, "kept_global", f"refinement failed: {error}"
        scores, own_fit = cross_fit_scores(values, groups, cross_fit), cross_fit
    serving = replace(geometry, mixture=mixture) if mixture is not None else geometry
    is_own = len(set(groups.tolist())) >= min_entities
    references = None
    if is_own:
        references = build_week_references(scores, weekend_rows(group["event_date"]))
    columns = geometry_columns(serving)
    row = {
        "slice": group["slice"].iloc[0],
        "status": status,
        "reason": reason,
        "calibration": "own" if is_own else PARENT,
        **{name: columns[name] for name in ("weights", "means", "covariances", "covariance_type")},
        **reference_columns(references),
        "score_standard": Standard().to_list(),
        **slice_facts(serving, values, groups, group["event_date"].to_numpy()),
        "folds": None if is_own or mixture is None else _stored_folds(own_fit),
    }
    return pd.DataFrame([row])[_REFINED.fieldNames()]


def slice_cross_fits(
    slices: Sequence[Mapping[str, Any]], cross_fit: CrossFit
) -> dict[str, CrossFit]:
    """What cross-fits the slices that have a mixture of their own and the parent's calibration."""
    return {
        row["slice"]: replace(
            cross_fit,
            folds=tuple(
                replace(geometry, mixture=_stored_mixture(stored))
                for geometry, stored in zip(cross_fit.folds, row["folds"], strict=True)
            ),
        )
        for row in slices
        if row["folds"]
    }


def _stored_folds(cross_fit: CrossFit) -> list[dict[str, Any]]:
    stored = []
    for geometry in cross_fit.folds:
        columns = geometry_columns(geometry)
        stored.append({name: columns[name] for name in _MIXTURE})
    return stored


def _stored_mixture(stored: Mapping[str, Any]) -> Mixture:
    arrays = {name: np.asarray(stored[name], dtype=np.float64) for name in _MIXTURE}
    return Mixture(arrays["weights"], arrays["means"], arrays["covariances"])


def adopt_parent(
    slices: Sequence[Mapping[str, Any]],
    whole: Mapping[str, Any],
    standards: Mapping[str, Standard],
) -> list[dict[str, Any]]:
    """Slices calibrated on the global references are measured as those were, each by its own
    standard, and say how much stands behind them; so are the spreads of their clusters."""
    names = ("reference_entities", "reference_days", *SPREAD_COLUMNS)
    behind = {name: whole[name] for name in names}

    def adopt(row: Mapping[str, Any]) -> dict[str, Any]:
        stored = {name: row[name] for name in SLICE_COLUMNS}
        if row["calibration"] != PARENT:
            return stored
        own = standards.get(row["slice"])
        standard = own.to_list() if own else whole["score_standard"]
        return {**stored, **behind, "score_standard": standard}

    return [adopt(row) for row in slices]


def slice_facts(
    geometry: PeerGeometry, values: Array, groups: NDArray[np.str_], days: NDArray[Any]
) -> dict[str, Any]:
    """Facts about the reference rows of a slice."""
    measures = geometry.measure(values)
    clusters, distance = measures.centroid_ids, measures.centroid_distance
    spread = cluster_spread(clusters, distance, len(geometry.centers))
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
        "cluster_sizes": (
            np.bincount(clusters, minlength=len(geometry.centers)) / len(values)
        ).tolist(),
        "distance_mean": spread.mean.tolist(),
        "distance_sd": spread.sd.tolist(),
        "distance_p95": spread.p95.tolist(),
        "log_likelihood": float(measures.log_density.mean()),
        "row_count": len(values),
    }
