"""A fitted model of peers: preparation, mixture, centres and the references that calibrate it."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from shoal.kernels.calibration import TailReference, combine, log_p_values
from shoal.kernels.centroids import assign
from shoal.kernels.departures import Departures, total_departure, usual_departures
from shoal.kernels.gaussians import Mixture, responsibility_entropy
from shoal.kernels.preparation import Preparation

Array = NDArray[np.float64]


GEOMETRY_ARRAYS = (
    "is_logged", "center", "scale", "pca_mean", "pca_components", "residual_variances",
    "residual_dimensions", "weights", "means", "covariances", "covariance_type", "centers",
    "usual_departures",
)  # fmt: skip
"""What a geometry is made of, besides the names of its features."""


@dataclass(frozen=True, eq=False)
class PeerGeometry:
    """Where peers lie: enough to measure how far a row is from them, not yet how rare that is.

    Attributes
    ----------
    centers : ``(n_clusters, n_components)`` of k-means
    usual_departures : ``(n_features,)`` what departures of a feature are logged in units of
    """

    preparation: Preparation
    mixture: Mixture
    centers: Array
    usual_departures: Array

    def to_arrays(self) -> dict[str, Any]:
        """Arrays, numbers and words by the names of `GEOMETRY_ARRAYS`, as they are stored."""
        parts = (self.preparation, self.mixture, self)
        return {
            name: next(getattr(part, name) for part in parts if hasattr(part, name))
            for name in GEOMETRY_ARRAYS
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any], feature_names: Sequence[str]) -> Self:
        """The geometry that `to_arrays` has given."""
        preparation = Preparation(
            feature_names=tuple(feature_names),
            is_logged=np.asarray(stored["is_logged"], dtype=np.bool_),
            center=stored["center"],
            scale=stored["scale"],
            pca_mean=stored["pca_mean"],
            pca_components=stored["pca_components"],
            residual_variances=stored["residual_variances"],
            residual_dimensions=int(stored["residual_dimensions"]),
        )
        mixture = Mixture(
            weights=stored["weights"],
            means=stored["means"],
            covariances=stored["covariances"],
            covariance_type=str(stored["covariance_type"]),
        )
        return cls(preparation, mixture, stored["centers"], stored["usual_departures"])

    @classmethod
    def fitted(
        cls, preparation: Preparation, mixture: Mixture, centers: Array, rows: Array
    ) -> Self:
        """The geometry with what is usual by standardised reference rows."""
        nothing = np.ones(rows.shape[1])
        bare = cls(preparation, mixture, centers, nothing)
        projected = preparation.project(rows)
        squared = bare._squared_departures(rows, projected, mixture.weighted_log_density(projected))
        return replace(bare, usual_departures=usual_departures(squared))

    def measure(self, values: Array) -> "Measures":
        """Measure native rows ``(n_rows, n_features)``; NaN is a feature unknown for the row."""
        standardized = self.preparation.standardize(values)
        projected = self.preparation.project(standardized)
        residual = self.preparation.residual(standardized)
        weighted = self.mixture.weighted_log_density(projected)
        centroid_ids, centroid_distance, _ = assign(projected, self.centers)
        squared = self._squared_departures(standardized, projected, weighted)
        return Measures(
            log_density=np.asarray(logsumexp(weighted, axis=1), dtype=np.float64)
            + residual.log_density,
            residual_distance=residual.distance,
            weighted_log_density=weighted,
            centroid_ids=centroid_ids,
            centroid_distance=centroid_distance,
            departure=total_departure(squared, self.usual_departures),
        )

    def _squared_departures(self, standardized: Array, projected: Array, weighted: Array) -> Array:
        components = np.argmax(weighted, axis=1)
        return Departures.of(
            self.preparation, self.mixture, standardized, projected, components
        ).squared


@dataclass(frozen=True, eq=False)
class Measures:
    """Raw measures of rows.

    Attributes
    ----------
    log_density : ``(n_rows,)`` mixture plus residual, nats
    residual_distance : ``(n_rows,)`` length of what PCA discards, standard units
    weighted_log_density : ``(n_rows, n_components)`` weight × density of each component, nats
    centroid_ids, centroid_distance : ``(n_rows,)`` nearest centre and the distance to it
    departure : ``(n_rows,)`` of all features, see `shoal.kernels.departures`
    """

    log_density: Array
    residual_distance: Array
    weighted_log_density: Array
    centroid_ids: NDArray[np.intp]
    centroid_distance: Array
    departure: Array

    def top_two(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and second component of each row, −1 where there is no second.

        By log density: far from all components the responsibilities of all but one are 0.
        """
        order = np.argsort(-self.weighted_log_density, axis=1, kind="stable")
        first = order[:, 0]
        second = order[:, 1] if order.shape[1] > 1 else np.full(len(order), -1, dtype=np.intp)
        return first, second

    def responsibilities(self) -> Array:
        """Posterior share of each component ``(n_rows, n_components)``; each row sums to 1."""
        return np.asarray(softmax(self.weighted_log_density, axis=1), dtype=np.float64)

    def entropy(self) -> Array:
        """Entropy of the responsibilities, nats."""
        return responsibility_entropy(self.responsibilities())


@dataclass(frozen=True, eq=False)
class References:
    """Scores of reference rows that had no part in the fit, higher = stranger."""

    density: TailReference
    departure: TailReference
    combined: TailReference

    def log_p(self, log_density: Array, departure: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Log p-value of rows and whether it lies beyond the references.

        Density and departure say nearly the same thing, so the sum of their −log p is calibrated
        again instead of being read as Fisher's statistic.
        """
        by_density, _ = log_p_values(-log_density, self.density)
        by_departure, _ = log_p_values(departure, self.departure)
        return log_p_values(combine(by_density, by_departure), self.combined)


@dataclass(frozen=True, eq=False)
class WeekReferences:
    """References of weekdays and those of Saturdays and Sundays, on which the same entities differ.

    Attributes
    ----------
    weekday, weekend : the same object where too few rows are known of one of them
    """

    weekday: References
    weekend: References

    def of(self, *, is_weekend: bool) -> References:
        """What calibrates a weekday, or a day of the weekend."""
        return self.weekend if is_weekend else self.weekday


@dataclass(frozen=True)
class Standard:
    """Location and scale of a group's own scores, by which it compares with other groups.

    Roles differ in how far their machines lie from the middle of a model that all share: without
    this, small roles of many habits would fill every list.

    Attributes
    ----------
    density_center, density_scale, departure_center, departure_scale : of both scores
    tail_ratio : how often the group's own reference goes far, relative to all that it is
        calibrated with; the odds of its p-values are multiplied by that
    """

    density_center: float = 0.0
    density_scale: float = 1.0
    departure_center: float = 0.0
    departure_scale: float = 1.0
    tail_ratio: float = 1.0

    def apply(self, log_density: Array, departure: Array) -> tuple[Array, Array]:
        """Both scores in units of the group."""
        return (
            (log_density - self.density_center) / self.density_scale,
            (departure - self.departure_center) / self.departure_scale,
        )

    def log_p(
        self, log_density: Array, departure: Array, references: References
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Log p-value of rows of the group, and whether it lies beyond the references."""
        log_p, is_extrapolated = references.log_p(*self.apply(log_density, departure))
        # The odds are multiplied: in the tail that is the p-value itself, and 1 stays 1.
        rest = np.log1p((self.tail_ratio - 1.0) * np.exp(log_p))
        return log_p + np.log(self.tail_ratio) - rest, is_extrapolated

    def to_list(self) -> list[float]:
        """As it is stored."""
        return list(astuple(self))
