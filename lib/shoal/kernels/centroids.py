"""k-means centres and the distance of rows to them."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from shoal.errors import DataError
from shoal.kernels.arrays import Array, as_rows, count_distinct, require_at_least, sort_rows

SMALLEST_SPREAD = 1e-3
"""Least spread of distances, standard units: of rows all alike it would be none."""

MIN_ROWS_A_SPREAD = 20
"""Rows of a cluster below which the spread of all clusters stands for its own."""


@dataclass(frozen=True, eq=False)
class ClusterSpread:
    """How far from its centre the reference of each cluster lies, ``(n_clusters,)`` each."""

    mean: Array
    sd: Array
    p95: Array

    def z(self, labels: NDArray[np.intp], distance: Array) -> Array:
        """Standard deviations ``(n_rows,)`` of distances beyond the mean of their clusters."""
        return (distance - self.mean[labels]) / np.maximum(self.sd[labels], SMALLEST_SPREAD)

    def p95_ratio(self, labels: NDArray[np.intp], distance: Array) -> Array:
        """Distances ``(n_rows,)`` over the 95th percentile of their clusters."""
        return distance / np.maximum(self.p95[labels], SMALLEST_SPREAD)


def cluster_spread(labels: NDArray[np.intp], distance: Array, n_clusters: int) -> ClusterSpread:
    """The spread of reference rows around the centres that they are nearest to.

    Parameters
    ----------
    labels, distance : ``(n_rows,)`` of one row or more, as `assign` gives them
    """
    own = [distance[labels == cluster] for cluster in range(n_clusters)]
    own = [rows if len(rows) >= MIN_ROWS_A_SPREAD else distance for rows in own]
    return ClusterSpread(
        np.asarray([rows.mean() for rows in own]),
        np.asarray([rows.std() for rows in own]),
        np.asarray([np.quantile(rows, 0.95) for rows in own]),
    )


def fit_kmeans(
    X: ArrayLike,
    *,
    n_clusters: int,
    n_init: int = 10,
    random_state: int = 0,
    max_iter: int = 300,
) -> Array:
    """Centres by k-means, the best of ``n_init`` starts; the order of the rows has no say.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``
    n_clusters : clusters wanted; with fewer distinct rows there are fewer

    Returns
    -------
    ``(n_clusters or fewer, n_dimensions)``, the largest cluster first, equals by coordinates

    Raises
    ------
    DataError
        If there is no row or a row is not finite.
    ConfigError
        If ``n_clusters`` or ``n_init`` is below 1.
    """
    require_at_least(1, n_clusters, "n_clusters")
    require_at_least(1, n_init, "n_init")
    rows = as_rows(X, "X")
    if rows.size == 0:
        raise DataError(f"k-means needs at least one row, got shape {rows.shape}")
    rows = sort_rows(rows)
    estimator = KMeans(
        n_clusters=min(n_clusters, count_distinct(rows)),
        n_init=n_init,
        random_state=random_state,
        max_iter=max_iter,
    )
    with warnings.catch_warnings():
        # Rows that differ by rounding only may still merge: the empty centres go below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(rows)
    sizes = np.bincount(estimator.labels_, minlength=len(estimator.cluster_centers_))
    keys = np.column_stack([-sizes, estimator.cluster_centers_]).round(6)
    order = np.lexsort(keys.T[::-1])
    return np.asarray(estimator.cluster_centers_[order[sizes[order] > 0]], dtype=np.float64)


def continue_kmeans(X: ArrayLike, centers: ArrayLike, *, max_iter: int = 100) -> Array:
    """Centres ``(n_clusters, n_dimensions)`` after Lloyd's iterations from ``centers``, in order.

    A centre that loses all its rows is moved to a row far from its own, as scikit-learn does;
    with fewer rows than centres, ``centers`` come back as they are.

    Raises
    ------
    DataError
        If the widths differ or something is not finite.
    """
    start = as_rows(centers, "centers")
    rows = as_rows(X, "X", n_columns=start.shape[1])
    if len(rows) < len(start):
        return start
    estimator = KMeans(n_clusters=len(start), init=start, n_init=1, max_iter=max_iter)
    with warnings.catch_warnings():
        # Fewer distinct rows than centres: some centres coincide, and only one of them has rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(rows)
    return np.asarray(estimator.cluster_centers_, dtype=np.float64)


def refit_kmeans(X: ArrayLike, labels: NDArray[np.intp], *, max_iter: int = 100) -> Array:
    """Centres of rows by Lloyd's iterations from the clusters that others gave the same rows.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``, one or more
    labels : ``(n_rows,)``; clusters without a row are left out

    Raises
    ------
    DataError
        If a row is not finite.
    """
    rows = as_rows(X, "X")
    names, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, index, rows)
    return continue_kmeans(rows, sums / np.bincount(index)[:, np.newaxis], max_iter=max_iter)


def assign(X: ArrayLike, centers: ArrayLike) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    """Nearest centre of each row, the Euclidean distance to it, and the second nearest.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``
    centers : ``(n_clusters, n_dimensions)``, one or more

    Returns
    -------
    labels ``(n_rows,)``, distance ``(n_rows,)``, second ``(n_rows,)`` (−1 with one centre).
    Of equally near centres the first counts.

    Raises
    ------
    DataError
        If there is no centre, the widths differ or something is not finite.
    """
    middles = as_rows(centers, "centers")
    rows = as_rows(X, "X", n_columns=middles.shape[1])
    if not len(middles):
        raise DataError("centers must hold at least one centre")
    distances = np.asarray(cdist(rows, middles), dtype=np.float64)
    order = np.argsort(distances, axis=1, kind="stable")
    labels = order[:, 0]
    second = order[:, 1] if len(middles) > 1 else np.full(len(rows), -1, dtype=np.intp)
    return labels, distances[np.arange(len(rows)), labels], second
