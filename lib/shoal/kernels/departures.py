"""How far each feature of a row departs from what its others imply, and all of them together.

The density of many features drowns what few of them say: of two hundred discarded directions alone
the squared length varies by twenty. Departures are logged each in units of what is usual for their
feature, so that no single one rules and many small ones add up (measured: README, What it finds).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import DataError
from shoal.kernels.arrays import Array
from shoal.kernels.gaussians import Mixture
from shoal.kernels.preparation import Preparation

USUAL_SHARE = 0.95
"""Share of the reference rows whose departures are usual."""
LEAST_USUAL = 1.0
"""Least of what is usual: the mean of a squared standard normal."""


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

    Raises
    ------
    DataError
        If mean and covariance are not of the preparation's dimensions.
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


@dataclass(frozen=True, eq=False)
class Departures:
    """Rows held each against one component; arrays are ``(n_rows, n_features)``.

    With z a standardised row, and m and P the mean and the precision of `implied_gaussian`:

    Attributes
    ----------
    deviation : z − m
    pull : P(z − m)
    precision : the diagonal of P
    """

    deviation: Array
    pull: Array
    precision: Array

    @classmethod
    def of(
        cls,
        preparation: Preparation,
        mixture: Mixture,
        standardized: Array,
        projected: Array,
        components: NDArray[np.intp],
    ) -> "Departures":
        """Hold rows against components, without P at hand: in PCA space and in what it discards.

        Parameters
        ----------
        standardized, projected : ``(n_rows, n_features)`` and ``(n_rows, n_components)``, the same
            rows
        components : ``(n_rows,)`` the component that each row is held against
        """
        axes = preparation.pca_components
        weighed = preparation.discarded(standardized) / preparation.residual_variances
        pull = weighed - (weighed @ axes.T) @ axes
        discarded = np.eye(axes.shape[1]) - axes.T @ axes
        residual_precision = (1.0 / preparation.residual_variances) @ discarded**2
        precisions = np.linalg.inv(mixture.full_covariances())
        precision = np.empty_like(pull)
        for component in np.unique(components):
            rows = components == component
            inside = (projected[rows] - mixture.means[component]) @ precisions[component]
            pull[rows] += inside @ axes
            own = np.einsum("if,ij,jf->f", axes, precisions[component], axes)
            precision[rows] = residual_precision + own
        means = preparation.pca_mean + mixture.means[components] @ axes
        return cls(standardized - means, pull, precision)

    @property
    def squared(self) -> Array:
        """By how much the squared distance would drop were the feature as its others imply.

        (P(z − m))ⱼ² / Pⱼⱼ: exact, never negative, and unlike (z − m)ⱼ(P(z − m))ⱼ right under
        correlation (measured: field notes).
        """
        return self.pull**2 / self.precision

    @property
    def excess(self) -> Array:
        """By how much the feature is more than its others imply, standard units."""
        return self.pull / self.precision

    @property
    def parts(self) -> Array:
        """(z − m)ⱼ(P(z − m))ⱼ: what each feature has in the squared distance, below 0 as well."""
        return self.deviation * self.pull

    @property
    def distance(self) -> Array:
        """Squared Mahalanobis distance ``(n_rows,)``: of the component, and of the residual."""
        return np.asarray(self.parts.sum(axis=1), dtype=np.float64)


def joint_precision(
    preparation: Preparation, mixture: Mixture, component: int, columns: NDArray[np.intp]
) -> Array:
    """The block of the precision of `implied_gaussian` that is of some features.

    Parameters
    ----------
    columns : ``(n_columns,)`` places of the features

    Returns
    -------
    ``(n_columns, n_columns)``
    """
    axes = preparation.pca_components
    inside = np.linalg.solve(mixture.full_covariances()[component], axes[:, columns])
    discarded = np.eye(axes.shape[1])[columns] - axes[:, columns].T @ axes
    residual = (discarded / preparation.residual_variances) @ discarded.T
    return np.asarray(axes[:, columns].T @ inside + residual, dtype=np.float64)


def usual_departures(squared: Array) -> Array:
    """What is usual for each feature ``(n_features,)``, by reference rows."""
    return np.asarray(np.maximum(np.quantile(squared, USUAL_SHARE, axis=0), LEAST_USUAL))


def total_departure(squared: Array, usual: Array) -> Array:
    """Sum over features of ln(1 + departure² / usual) ``(n_rows,)``, higher = stranger."""
    return np.asarray(np.log1p(squared / usual).sum(axis=1), dtype=np.float64)
