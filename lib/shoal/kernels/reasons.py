"""Why a row is strange: what each feature adds to its distance, given its other features."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from shoal.errors import DataError
from shoal.kernels.arrays import Array, require_at_least
from shoal.kernels.preparation import Preparation


@dataclass(frozen=True)
class Reason:
    """One feature's part in a row's strangeness.

    Attributes
    ----------
    index : column of the feature
    contribution : drop of the squared Mahalanobis distance were the feature as expected
    expected_standardized : its expectation given the row's other features, standard units
    direction : the value lies above (``high``) or below (``low``) that
    """

    index: int
    contribution: float
    expected_standardized: float
    direction: Literal["high", "low"]


def implied_gaussian(
    preparation: Preparation, mean: Array, covariance: Array
) -> tuple[Array, Array]:
    """A component of PCA space, with the residual, as a Gaussian over standardised features.

    Its precision is VᵀΣ⁻¹V + (I − VᵀV)Ψ⁻¹(I − VᵀV) with V the components and Ψ the residual
    variances (Tipping & Bishop 1999, section 3.2, where these are all alike).

    Parameters
    ----------
    mean : ``(n_components,)``
    covariance : ``(n_components, n_components)``

    Returns
    -------
    mean ``(n_features,)`` and covariance ``(n_features, n_features)``
    """
    components = preparation.pca_components
    if mean.shape != (len(components),) or covariance.shape != (len(components),) * 2:
        raise DataError(
            f"mean and covariance must be of {len(components)} dimensions, got {mean.shape} and "
            f"{covariance.shape}"
        )
    discarded = np.eye(components.shape[1]) - components.T @ components
    precision = components.T @ np.linalg.inv(covariance) @ components
    precision += (discarded / preparation.residual_variances) @ discarded
    native = np.linalg.inv((precision + precision.T) / 2.0)
    return preparation.pca_mean + mean @ components, (native + native.T) / 2.0


def rank_reasons(z: ArrayLike, mean: Array, covariance: Array, *, top: int = 5) -> list[Reason]:
    """The ``top`` features by contribution, equals by column.

    The contribution is (P(z − m))ⱼ² / Pⱼⱼ with P the inverse covariance: exact, never negative,
    and unlike zⱼ(Pz)ⱼ right under correlation (measured: field notes).

    Parameters
    ----------
    z, mean : ``(n_features,)``
    covariance : ``(n_features, n_features)``

    Raises
    ------
    DataError
        If the covariance is not positive definite, or something is not finite.
    ConfigError
        If ``top`` is below 1.
    """
    require_at_least(1, top, "top")
    pull, whole = _pull(z, mean, covariance)
    precision = np.diagonal(whole)
    contributions = pull**2 / precision
    expected = np.asarray(z, dtype=np.float64) - pull / precision
    order = np.argsort(-contributions, kind="stable")[:top]
    return [
        Reason(
            index=int(index),
            contribution=float(contributions[index]),
            expected_standardized=float(expected[index]),
            direction="high" if pull[index] >= 0.0 else "low",
        )
        for index in order
    ]


def joint_reason(
    z: ArrayLike, mean: Array, covariance: Array, columns: NDArray[np.intp]
) -> tuple[float, Array]:
    """What several features together add to a row's distance, given its other features.

    With B the columns, (P(z − m))_Bᵀ (P_BB)⁻¹ (P(z − m))_B: the same drop as of one feature, were
    all of them as the others imply.

    Parameters
    ----------
    z, mean, covariance : as in `rank_reasons`
    columns : ``(n_columns,)`` places of the features

    Returns
    -------
    The contribution, and what is expected of the features ``(n_columns,)``, standard units

    Raises
    ------
    DataError
        As `rank_reasons`.
    """
    pull, precision = _pull(z, mean, covariance)
    moved = np.linalg.solve(precision[np.ix_(columns, columns)], pull[columns])
    expected = np.asarray(z, dtype=np.float64)[columns] - moved
    return float(pull[columns] @ moved), expected


def _pull(z: ArrayLike, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """P(z − m) and P, the inverse covariance."""
    row = np.asarray(z, dtype=np.float64)
    if row.shape != mean.shape or covariance.shape != (*mean.shape, *mean.shape):
        raise DataError(
            f"z, mean and covariance must be of the same features, got shapes {row.shape}, "
            f"{mean.shape} and {covariance.shape}"
        )
    if not (np.isfinite(row).all() and np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError("z, mean and covariance must be finite")
    try:
        factor = cho_factor(covariance, lower=True)
    except np.linalg.LinAlgError as error:
        raise DataError("the covariance to explain with is not positive definite") from error
    precision = np.asarray(cho_solve(factor, np.eye(len(row))), dtype=np.float64)
    return np.asarray(cho_solve(factor, row - mean), dtype=np.float64), precision
