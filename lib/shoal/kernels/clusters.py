"""How many centres of k-means: the elbow of the inertia, and the silhouette beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import silhouette_score

from shoal.kernels.arrays import Array, as_rows
from shoal.kernels.centroids import assign, fit_kmeans

SILHOUETTE_ROWS = 1000
"""Rows whose silhouette is taken: its time grows with their square."""


@dataclass(frozen=True)
class ClusterTrial:
    """A number of clusters that was tried.

    Attributes
    ----------
    inertia : mean squared distance to the own centre
    silhouette : mean over rows, in [-1, 1] (Rousseeuw 1987); 0 for one cluster
    """

    n_clusters: int
    inertia: float
    silhouette: float


def try_clusters(
    rows: Array, n_clusters: Sequence[int], *, random_state: int
) -> list[ClusterTrial]:
    """Inertia and silhouette of k-means on ``(n_rows, n_dimensions)``, ascending in clusters.

    Raises
    ------
    DataError
        If there is no row, or one is not finite.
    """
    rows = as_rows(rows, "rows")
    shown = slice(None, None, max(1, -(-len(rows) // SILHOUETTE_ROWS)))
    found = []
    for k in sorted(set(n_clusters)):
        centers = fit_kmeans(rows, n_clusters=k, n_init=1, random_state=random_state)
        labels, distance, _ = assign(rows, centers)
        silhouette = _silhouette(rows[shown], labels[shown])
        found.append(ClusterTrial(k, float((distance**2).mean()), silhouette))
    return found


def elbow(trials: Sequence[ClusterTrial]) -> int:
    """The number of clusters where the inertia bends most: farthest below the chord of its ends.

    (Satopää et al. 2011, Finding a "Kneedle" in a haystack, on a curve that falls.)
    """
    if len(trials) < 3:
        return trials[-1].n_clusters
    k = np.asarray([trial.n_clusters for trial in trials], dtype=np.float64)
    inertia = np.asarray([trial.inertia for trial in trials])
    across = (k - k[0]) / (k[-1] - k[0])
    fall = max(float(inertia[0] - inertia[-1]), np.finfo(np.float64).tiny)
    below = (1.0 - across) - (inertia - inertia[-1]) / fall
    return trials[int(np.argmax(below))].n_clusters


def _silhouette(rows: Array, labels: NDArray[np.intp]) -> float:
    n_labels = len(np.unique(labels))
    if not 2 <= n_labels < len(rows):
        return 0.0
    return float(silhouette_score(rows, labels))
