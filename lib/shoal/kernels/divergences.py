"""How far apart two distributions are: of one feature by its histograms, of two Gaussians."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import entropy

from shoal.errors import DataError
from shoal.kernels.arrays import Array

PSI_BINS = 10
"""Bins of the population stability index, as it is usually told."""
_PSI_FLOOR = 0.5
"""Rows that an empty bin counts as: the index has no value for a share of nothing."""


def wasserstein(values: ArrayLike, reference: ArrayLike, analysis: ArrayLike) -> Array:
    """Wasserstein-1 distance of histograms over the same bins, in the unit of ``values``.

    The area between their distribution functions (Vallender 1974, Theory of Probability and its
    Applications 18(4)).

    Parameters
    ----------
    values : ``(n_bins,)`` what each bin stands for, ascending
    reference, analysis : ``(..., n_bins)`` counts, any number of histograms at once

    Returns
    -------
    ``(...)`` distances

    Raises
    ------
    DataError
        If one of the histograms holds nothing, or a count is negative.
    """
    at = np.asarray(values, dtype=np.float64)
    before, now = (_reached(counts, len(at)) for counts in (reference, analysis))
    return np.asarray(np.abs(before - now)[..., :-1] @ np.diff(at), dtype=np.float64)


def population_stability_index(
    values: ArrayLike, reference: ArrayLike, analysis: ArrayLike
) -> float:
    """Sum of (q − p) ln(q / p) over the tenths of the reference.

    It is told because people know it, and judges nothing: of 100 rows without any change it is
    above 0.1 in most cases (field notes).

    Parameters
    ----------
    values : as in `wasserstein`
    reference, analysis : ``(n_bins,)`` counts

    Raises
    ------
    DataError
        As `wasserstein`.
    """
    n_bins = len(np.asarray(values))
    before, now = _counts(reference, n_bins), _counts(analysis, n_bins)
    # A bin that nobody is in is none, or the index would hang on what other nights have.
    is_used = (before > 0) | (now > 0)
    before, now = before[is_used], now[is_used]
    reached = (np.cumsum(before) - before / 2.0) / before.sum()
    tenth = np.minimum((reached * PSI_BINS).astype(np.intp), PSI_BINS - 1)
    p, q = (
        np.maximum(np.bincount(tenth, counts, minlength=PSI_BINS), _PSI_FLOOR)[np.unique(tenth)]
        for counts in (before, now)
    )
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def hellinger(
    mean: ArrayLike, covariance: ArrayLike, other_mean: ArrayLike, other_covariance: ArrayLike
) -> float:
    """Hellinger distance of two Gaussians, in [0, 1].

    H² = 1 − |Σ₁|^¼ |Σ₂|^¼ / |Σ̄|^½ · exp(−⅛ (m₁ − m₂)ᵀ Σ̄⁻¹ (m₁ − m₂)) with Σ̄ the mean of both
    (Pardo 2005, Statistical Inference Based on Divergence Measures, section 1.3).

    Parameters
    ----------
    mean, other_mean : ``(n_features,)``
    covariance, other_covariance : ``(n_features, n_features)`` positive definite

    Raises
    ------
    DataError
        If a covariance is not positive definite.
    """
    first, second = (np.asarray(one, dtype=np.float64) for one in (covariance, other_covariance))
    middle = (first + second) / 2.0
    shift = mahalanobis(mean, other_mean, middle)
    log_coefficient = (_log_det(first) + _log_det(second)) / 4.0 - _log_det(middle) / 2.0
    return float(np.sqrt(max(0.0, -np.expm1(log_coefficient - shift**2 / 8.0))))


def mahalanobis(mean: ArrayLike, other_mean: ArrayLike, covariance: ArrayLike) -> float:
    """Distance of two means ``(n_features,)`` in standard deviations of a covariance.

    Raises
    ------
    DataError
        If the covariance is not positive definite.
    """
    shift = np.asarray(other_mean, dtype=np.float64) - np.asarray(mean, dtype=np.float64)
    solved = cho_solve(_factor(np.asarray(covariance, dtype=np.float64)), shift)
    return float(np.sqrt(max(0.0, float(shift @ solved))))


def variation_of_information(table: ArrayLike) -> float:
    """What two partitions don't tell of each other, in nats: H(A|B) + H(B|A) (Meilă 2007).

    Parameters
    ----------
    table : ``(n_reference, n_analysis)`` rows in cluster i of the one and j of the other

    Raises
    ------
    DataError
        If it holds no row.
    """
    counts = np.asarray(table, dtype=np.float64)
    if not counts.sum() > 0:
        raise DataError("two partitions can't be compared: their table holds no row")
    joint = float(entropy(counts.ravel()))
    alone = sum(float(entropy(counts.sum(axis=axis))) for axis in (0, 1))
    return max(0.0, 2.0 * joint - alone)


def _counts(counts: ArrayLike, n_bins: int) -> Array:
    found = np.asarray(counts, dtype=np.float64)
    if found.shape[-1:] != (n_bins,) or (found < 0).any() or not (found.sum(axis=-1) > 0).all():
        raise DataError(
            f"a histogram needs {n_bins} counts of 0 and more, one of them above 0; got {found}"
        )
    return found


def _reached(counts: ArrayLike, n_bins: int) -> Array:
    """Share up to and with each bin."""
    found = _counts(counts, n_bins)
    return np.asarray(np.cumsum(found, axis=-1) / found.sum(axis=-1, keepdims=True))


def _factor(covariance: Array) -> tuple[Array, bool]:
    try:
        factor, is_lower = cho_factor(covariance, lower=True)
    except np.linalg.LinAlgError as error:
        raise DataError("a covariance to compare by is not positive definite") from error
    return factor, bool(is_lower)


def _log_det(covariance: Array) -> float:
    return float(2.0 * np.log(np.diagonal(_factor(covariance)[0])).sum())
