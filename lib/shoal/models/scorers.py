"""Scorers of static tables, side by side: ours, and what else one might take."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from shoal.errors import UsageError, did_you_mean
from shoal.kernels.detector import PeerOutlierDetector

Array = NDArray[np.float64]

TEXTBOOK_CLUSTERS = 8
MICRO_CLUSTERS = 200
"""Centres that agglomerative clustering joins: it grows with the square of what it is given."""

ROWS_A_MICRO_CLUSTER = 5
"""Distinct rows to a centre, at least: fewer would be no centre of anything."""

MAX_FIT_ROWS = 10_000
"""Rows that scorers fit on whose cost grows with the square of the rows, and ours."""


class Scorer(Protocol):
    """What a scorer does; the lower a score, the stranger the row."""

    def fit(self, X: Array) -> Self:
        """Fit on rows ``(n_rows, n_features)``."""
        ...

    def score_samples(self, X: Array) -> Array:
        """Scores ``(n_rows,)``."""
        ...


class CenterDistance(BaseEstimator):  # type: ignore[misc]  # untyped base
    """Minus the Euclidean distance to the nearest centre of k-means, as in the textbook."""

    def __init__(self, n_clusters: int = TEXTBOOK_CLUSTERS, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X: Array, y: object = None) -> Self:
        """Fit the centres."""
        n_clusters = min(self.n_clusters, len(X))
        found = KMeans(n_clusters, n_init=3, random_state=self.random_state).fit(X)
        self.centers_ = found.cluster_centers_
        return self

    def score_samples(self, X: Array) -> Array:
        """Minus the distance ``(n_rows,)``."""
        return -np.asarray(cdist(X, self.centers_).min(axis=1), dtype=np.float64)


class ClusterDistance(CenterDistance):
    """Minus the distance to the nearest centre of clusters joined from micro-centres.

    A cluster that few rows belong to is no place to be near to: its centre is left out.
    """

    def __init__(
        self,
        method: str = "agglomerative",
        n_clusters: int = TEXTBOOK_CLUSTERS,
        least_share: float = 0.05,
        random_state: int = 0,
    ) -> None:
        super().__init__(n_clusters, random_state)
        self.method = method
        self.least_share = least_share

    def fit(self, X: Array, y: object = None) -> Self:
        """Fit micro-centres, and join them."""
        n_micro = max(1, min(MICRO_CLUSTERS, len(np.unique(X, axis=0)) // ROWS_A_MICRO_CLUSTER))
        micro = KMeans(n_micro, n_init=1, random_state=self.random_state).fit(X)
        sizes = np.bincount(micro.labels_, minlength=len(micro.cluster_centers_))
        joined = self._join(micro.cluster_centers_)
        names = [name for name in np.unique(joined) if name >= 0]
        shares = [sizes[joined == name].sum() / len(X) for name in names]
        least = min(self.least_share, max(shares, default=0.0))
        large = [name for name, share in zip(names, shares, strict=True) if share >= least]
        self.centers_ = np.asarray(
            [
                np.average(
                    micro.cluster_centers_[joined == name], axis=0, weights=sizes[joined == name]
                )
                for name in large
            ]
            or [X.mean(axis=0)]
        )
        return self

    def _join(self, centers: Array) -> NDArray[np.intp]:
        if self.method == "hdbscan":
            least = max(2, min(5, len(centers)))
            found = HDBSCAN(min_cluster_size=least, copy=True).fit(centers)
        else:
            found = AgglomerativeClustering(min(self.n_clusters, len(centers))).fit(centers)
        return np.asarray(found.labels_, dtype=np.intp)


class _Negated:
    """A scorer of pyod, whose scores are higher for the strange."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector

    def fit(self, X: Array) -> Self:
        self._detector.fit(X)
        return self

    def score_samples(self, X: Array) -> Array:
        return -np.asarray(self._detector.decision_function(X), dtype=np.float64)


def _scaled(estimator: Any) -> Scorer:
    scorer: Scorer = make_pipeline(StandardScaler(), estimator)
    return scorer


def _ecod(seed: int) -> Scorer:
    del seed  # it draws nothing
    return _Negated(import_module("pyod.models.ecod").ECOD())


SCORERS: Mapping[str, Callable[[int], Scorer]] = {
    "shoal": lambda seed: PeerOutlierDetector(random_state=seed),
    "gaussian": lambda seed: PeerOutlierDetector(
        1, evidence=("density",), trims=(0.0,), random_state=seed
    ),
    "isolation_forest": lambda seed: IsolationForest(random_state=seed),
    "kmeans": lambda seed: _scaled(CenterDistance(random_state=seed)),
    "one_class_svm": lambda seed: _scaled(OneClassSVM()),
    "lof": lambda seed: _scaled(LocalOutlierFactor(novelty=True)),
    "kde": lambda seed: _scaled(KernelDensity(bandwidth="scott")),
    "agglomerative": lambda seed: _scaled(ClusterDistance(random_state=seed)),
    "hdbscan": lambda seed: _scaled(ClusterDistance("hdbscan", random_state=seed)),
    "ecod": _ecod,
}
"""By name, what makes a scorer from a seed; all with their defaults, none made for a table."""

DEFAULT_SCORERS = ("shoal", "isolation_forest", "kmeans", "one_class_svm", "lof", "ecod")
_GROW_WITH_THE_SQUARE = frozenset({"one_class_svm", "lof", "kde"})


def known_scorers() -> list[str]:
    """Scorers that can be had here: ECOD needs pyod, an extra of the package."""
    return [name for name in SCORERS if name != "ecod" or find_spec("pyod")]


def check_scorers(names: list[str]) -> None:
    """Raise `UsageError` for a scorer that cannot be had, with what can."""
    known = known_scorers()
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            if name == "ecod":
                hint = "; it needs pyod: pip install 'shoal[compare]'"
            raise UsageError(f"scorer {name!r} is not one of {', '.join(known)}{hint}")


def fit_and_score(name: str, seed: int, taught: Array, asked: Array) -> Array:
    """Strangeness ``(n_asked,)`` of rows, higher = stranger, by a scorer fitted on others."""
    if name in _GROW_WITH_THE_SQUARE and len(taught) > MAX_FIT_ROWS:
        drawn = np.random.default_rng(seed).choice(len(taught), MAX_FIT_ROWS, replace=False)
        taught = taught[np.sort(drawn)]
    return -np.asarray(SCORERS[name](seed).fit(taught).score_samples(asked), dtype=np.float64)
