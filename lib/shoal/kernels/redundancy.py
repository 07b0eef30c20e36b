"""Features that say what another one says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.kernels.arrays import Array
from shoal.kernels.scaling import as_native


@dataclass(frozen=True)
class Repeated:
    """A feature, by its place, that repeats one before it."""

    feature: int
    of: int
    correlation: float


def repeated_features(
    values: ArrayLike, is_count: Sequence[bool] | NDArray[np.bool_], *, max_correlation: float
) -> list[Repeated]:
    """Features whose correlation with one that is kept is larger than it may be.

    In order: the first of those alike is kept, so that features go from the general to the special.
    Counts are held against each other by their logs. What never changes repeats nothing, and stays:
    its first change is a finding. A value that is not known stands at the median of its feature.

    Parameters
    ----------
    values : ``(n_rows, n_features)``, NaN where not known
    is_count : ``(n_features,)`` whether a feature is a count
    max_correlation : largest absolute Pearson correlation of features that both are kept; 1 keeps
        all
    """
    standardized = _standardized(values, np.asarray(is_count, dtype=bool))
    correlations = standardized.T @ standardized / len(standardized)
    kept: list[int] = []
    repeated = []
    for feature in range(len(correlations)):
        # Rounding takes that of a copy beyond 1.
        own = np.minimum(np.abs(correlations[feature, kept]), 1.0)
        nearest = int(own.argmax()) if len(own) else -1
        if len(own) and own[nearest] > max_correlation:
            correlation = float(correlations[feature, kept[nearest]])
            repeated.append(Repeated(feature, kept[nearest], correlation))
        else:
            kept.append(feature)
    return repeated


def _standardized(values: ArrayLike, is_count: NDArray[np.bool_]) -> Array:
    """Columns of mean 0 and variance 1, those that never change all 0."""
    rows = as_native(values, len(is_count)).copy()
    for feature, column in enumerate(rows.T):
        known = np.isfinite(column)
        column[~known] = np.median(column[known]) if known.any() else 0.0
        if is_count[feature]:
            column[:] = np.sign(column) * np.log1p(np.abs(column))
        column -= column.mean()
        spread = column.std()
        column /= spread if spread > 0 else 1.0
    return np.asarray(rows, dtype=np.float64)
