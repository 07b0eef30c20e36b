"""Leaving out the strangest rows before a fit, so that they have no say in what is normal."""

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ConfigError
from shoal.kernels.arrays import Array, as_rows
from shoal.kernels.gaussians import Mixture

MAX_STEPS = 30
"""Concentration steps; they settle in fewer than ten (measured)."""


def concentrate(rows: Array, *, trim: float, reg_covar: float) -> tuple[NDArray[np.bool_], Mixture]:
    """Rows that remain when the least likely under one Gaussian are left out, and that Gaussian.

    Concentration steps of the minimum covariance determinant (Rousseeuw & Van Driessen 1999,
    Technometrics 41(3), theorem 1): fit, keep the closest, fit these. From two starts, the
    covariance of all rows and a sphere about the median; the tighter end counts. No start is drawn
    (as in Hubert et al. 2012, J. Comput. Graph. Stat. 21(3)): the same rows give the same answer in
    any order. scikit-learn's ``MinCovDet`` knows no ridge, and constants are usual here.

    Parameters
    ----------
    rows : ``(n_rows, n_dimensions)``, winsorised
    trim : share in [0, 0.5] of the rows to leave out
    reg_covar : added to every variance

    Returns
    -------
    Mask ``(n_rows,)`` of the rows kept, and a mixture of one component

    Raises
    ------
    DataError
        If a row is not finite.
    ConfigError
        If ``trim`` is out of range.
    """
    if not 0.0 <= trim <= 0.5:
        raise ConfigError(f"'trim' must be in [0, 0.5], got {trim} instead")
    rows = as_rows(rows, "rows")
    n_kept = max(1, round((1.0 - trim) * len(rows)))
    if n_kept == len(rows):
        return np.ones(len(rows), dtype=np.bool_), _gaussian(rows, reg_covar)
    middle = np.median(rows, axis=0)[np.newaxis]
    sphere = Mixture(np.ones(1), middle, np.ones(1), "spherical")
    ends = [
        _settle(rows, n_kept, start, reg_covar) for start in (_gaussian(rows, reg_covar), sphere)
    ]
    return min(ends, key=lambda end: float(np.linalg.slogdet(end[1].covariances[0])[1]))


def _settle(
    rows: Array, n_kept: int, start: Mixture, reg_covar: float
) -> tuple[NDArray[np.bool_], Mixture]:
    """Concentration steps from a start until the rows kept no longer change."""
    gaussian, is_kept = start, np.zeros(len(rows), dtype=np.bool_)
    for _ in range(MAX_STEPS):
        density = gaussian.log_density(rows)
        # By value, not by place: rows at the boundary stay or go together.
        closest = density >= np.partition(density, len(rows) - n_kept)[len(rows) - n_kept]
        if (closest == is_kept).all():
            break
        is_kept = closest
        gaussian = _gaussian(rows[is_kept], reg_covar)
    return is_kept, gaussian


def _gaussian(rows: Array, reg_covar: float) -> Mixture:
    mean = rows.mean(axis=0)
    centered = rows - mean
    covariance = centered.T @ centered / len(rows) + reg_covar * np.eye(rows.shape[1])
    return Mixture(np.ones(1), mean[np.newaxis], covariance[np.newaxis])
