"""Evidence of each feature by itself: how rare its value is, whatever the others say."""

from dataclasses import dataclass

import numpy as np

from shoal.kernels.arrays import Array, as_rows, require_at_least


@dataclass(frozen=True, eq=False)
class Marginals:
    """A histogram a feature, over the range that the reference has.

    Attributes
    ----------
    edges : ``(n_features, n_bins + 1)`` ascending; all equal where the reference is constant
    surprise : ``(n_features, n_bins)`` −log of the share of a bin, relative to the fullest, nats
    outside : ``(n_features,)`` the same for values beyond the edges
    """

    edges: Array
    surprise: Array
    outside: Array

    def strangeness(self, standardized: Array) -> Array:
        """Sum of surprises ``(n_rows,)`` of rows ``(n_rows, n_features)``, nats."""
        rows = as_rows(standardized, "standardized", n_columns=len(self.edges))
        total = np.zeros(len(rows))
        for feature, column in enumerate(rows.T):
            total += self._surprise(column, feature)
        return total

    def _surprise(self, values: Array, feature: int) -> Array:
        edges = self.edges[feature]
        bins = np.searchsorted(edges, values, side="right") - 1
        inside = self.surprise[feature][np.clip(bins, 0, self.surprise.shape[1] - 1)]
        is_outside = (values < edges[0]) | (values > edges[-1])
        return np.asarray(np.where(is_outside, self.outside[feature], inside), dtype=np.float64)


def fit_marginals(standardized: Array, *, n_bins: int = 10) -> Marginals:
    """Histograms of rows ``(n_rows, n_features)`` in equal bins (Goldstein & Dengel 2012, HBOS).

    Every bin has half a row more than it holds, so that an empty one is rare, not impossible.

    Raises
    ------
    DataError
        If a row is not finite.
    ConfigError
        If ``n_bins`` is below 1.
    """
    require_at_least(1, n_bins, "n_bins")
    rows = as_rows(standardized, "standardized")
    edges = np.linspace(rows.min(axis=0), rows.max(axis=0), n_bins + 1).T
    counts = np.asarray(
        [
            np.histogram(column, own)[0] if own[-1] > own[0] else np.full(n_bins, len(rows))
            for column, own in zip(rows.T, edges, strict=True)
        ],
        dtype=np.float64,
    )
    fullest = counts.max(axis=1, keepdims=True) + 0.5
    surprise = -np.log((counts + 0.5) / fullest)
    outside = -np.log(0.5 / fullest[:, 0])
    return Marginals(edges, surprise, outside)
