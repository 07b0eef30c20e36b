"""How far each feature of a row departs from what its others imply, and all of them together.

The density of many features drowns what few of them say: of two hundred discarded directions alone
the squared length varies by twenty. Departures are logged each in units of what is usual for their
feature, so that no single one rules and many small ones add up (measured: README, What it finds).
"""

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.arrays import Array
from shoal.kernels.gaussians import Mixture
from shoal.kernels.preparation import Preparation

USUAL_SHARE = 0.95
"""Share of the reference rows whose departures are usual."""
LEAST_USUAL = 1.0
"""Least of what is usual: the mean of a squared standard normal."""


def squared_departures(
    preparation: Preparation,
    mixture: Mixture,
    standardized: Array,
    projected: Array,
    components: NDArray[np.intp],
) -> Array:
    """Squared departure of each feature from its expectation given the row's others.

    (P(z − m))ⱼ² / Pⱼⱼ with P the precision that `shoal.kernels.reasons.implied_gaussian` tells of:
    by how much the squared Mahalanobis distance would drop were the feature as expected. It is what
    reasons are ranked by.

    Parameters
    ----------
    standardized, projected : ``(n_rows, n_features)`` and ``(n_rows, n_components)``, the same rows
    components : ``(n_rows,)`` the component that each row is held against

    Returns
    -------
    ``(n_rows, n_features)``, 0 and more
    """
    axes = preparation.pca_components
    weighed = preparation.discarded(standardized) / preparation.residual_variances
    pull = weighed - (weighed @ axes.T) @ axes
    discarded = np.eye(axes.shape[1]) - axes.T @ axes
    residual_precision = (1.0 / preparation.residual_variances) @ discarded**2
    precisions = np.linalg.inv(mixture.full_covariances())
    squared = np.empty_like(pull)
    for component in np.unique(components):
        rows = components == component
        precision = precisions[component]
        inside = (projected[rows] - mixture.means[component]) @ precision
        own = residual_precision + np.einsum("if,ij,jf->f", axes, precision, axes)
        squared[rows] = (pull[rows] + inside @ axes) ** 2 / own
    return squared


def usual_departures(squared: Array) -> Array:
    """What is usual for each feature ``(n_features,)``, by reference rows."""
    return np.asarray(np.maximum(np.quantile(squared, USUAL_SHARE, axis=0), LEAST_USUAL))


def total_departure(squared: Array, usual: Array) -> Array:
    """Sum over features of ln(1 + departure² / usual) ``(n_rows,)``, higher = stranger."""
    return np.asarray(np.log1p(squared / usual).sum(axis=1), dtype=np.float64)
