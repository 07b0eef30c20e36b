"""How far the components of a mixture moved: two mixtures in the space of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from shoal.kernels.arrays import Array
from shoal.kernels.departures import implied_gaussian
from shoal.kernels.divergences import hellinger, mahalanobis
from shoal.kernels.matching import gate_of, match_centers
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import Preparation

LEAST_VARIANCE = 1e-6
"""Added in every direction of the space: one that both mixtures say nothing of has none."""


@dataclass(frozen=True, eq=False)
class Components:
    """Components of a mixture in the space that two of them are compared in.

    Attributes
    ----------
    names : ``n_features`` features that both know
    weights : ``(n_components,)``
    means : ``(n_components, n_dimensions)``
    covariances : ``(n_components, n_dimensions, n_dimensions)``
    standardized, native : ``(n_components, n_features)`` the same means feature by feature, in
        standard units of the reference and in the feature's own
    """

    names: tuple[str, ...]
    weights: Array
    means: Array
    covariances: Array
    standardized: Array
    native: Array

    @property
    def radius(self) -> float:
        """Root mean square of the rows' distances to the means of their components."""
        own = np.trace(self.covariances, axis1=1, axis2=2)
        return float(np.sqrt(self.weights @ own))


@dataclass(frozen=True, eq=False)
class Space:
    """The PCA space of a reference model, drawn to the features that another one has, too.

    Attributes
    ----------
    names : those features, in the order of the reference
    """

    preparation: Preparation
    names: tuple[str, ...]

    @classmethod
    def between(cls, reference: Preparation, analysis: Preparation, own: Sequence[str]) -> Self:
        """The space of the reference, without the features that mean something else in each.

        Parameters
        ----------
        own : names of features that are each model's own, such as coordinates of profiles
        """
        logged = dict(zip(analysis.feature_names, analysis.is_logged, strict=True))
        names = [
            name
            for name, is_logged in zip(reference.feature_names, reference.is_logged, strict=True)
            if name not in own and logged.get(name) == is_logged
        ]
        return cls(reference, tuple(names))

    def components(self, geometry: PeerGeometry) -> Components:
        """The mixture of a geometry, be it the reference's or the other's, in this space."""
        own, space = geometry.preparation, self.preparation
        places = [own.feature_names.index(name) for name in self.names]
        here = [space.feature_names.index(name) for name in self.names]
        stretch = own.scale[places] / space.scale[here]
        shift = (own.center[places] - space.center[here]) / space.scale[here]
        axes = space.pca_components[:, here]
        standardized, means, covariances = [], [], []
        mixture = geometry.mixture
        for mean, covariance in zip(mixture.means, mixture.full_covariances(), strict=True):
            implied, spread = implied_gaussian(own, mean, covariance)
            there = stretch * implied[places] + shift
            scaled = stretch[:, np.newaxis] * spread[np.ix_(places, places)] * stretch
            standardized.append(there)
            means.append(axes @ (there - space.pca_mean[here]))
            covariances.append(axes @ scaled @ axes.T + LEAST_VARIANCE * np.eye(len(axes)))
        return Components(
            self.names,
            mixture.weights,
            np.asarray(means),
            np.asarray(covariances),
            np.asarray(standardized),
            self._native(np.asarray(standardized), here),
        )

    def _native(self, standardized: Array, here: Sequence[int]) -> Array:
        whole = np.zeros((len(standardized), len(self.preparation.feature_names)))
        whole[:, here] = standardized
        return self.preparation.to_native(whole)[:, here]


def components_in(
    preparation: Preparation, weights: Array, means: Array, covariances: Array
) -> Components:
    """Components that are given in the PCA space of a preparation."""
    standardized = preparation.pca_mean + means @ preparation.pca_components
    ridge = LEAST_VARIANCE * np.eye(means.shape[1])
    return Components(
        preparation.feature_names,
        weights,
        means,
        covariances + ridge,
        standardized,
        preparation.to_native(standardized),
    )


@dataclass(frozen=True)
class FeatureShift:
    """How far a component's mean moved in a feature: in standard units, from, to."""

    feature: str
    shift_sd: float
    before: float
    now: float


@dataclass(frozen=True)
class ComponentShift:
    """A component of the reference and the one of the analysis that it is matched with.

    Attributes
    ----------
    reference, analysis : index, −1 where there is none
    mean_shift : Mahalanobis distance of the means by the reference's covariance, NaN of no pair
    hellinger : distance of the two Gaussians, 1 where one of them is missing
    features : those that carry the shift of the mean, most first
    """

    reference: int
    analysis: int
    reference_weight: float
    analysis_weight: float
    mean_shift: float
    hellinger: float
    features: tuple[FeatureShift, ...]

    @property
    def is_pair(self) -> bool:
        """Whether both mixtures have it."""
        return self.reference >= 0 and self.analysis >= 0

    @property
    def weight_shift(self) -> float:
        """Change of the weight; that of a component that is new or gone is all of it."""
        return self.analysis_weight - self.reference_weight


def component_shifts(
    reference: Components, analysis: Components, *, top: int
) -> list[ComponentShift]:
    """Match the components by their means and measure each pair; then those that are new.

    Parameters
    ----------
    reference, analysis : in the same space
    top : features told of each
    """
    radius = max(reference.radius, analysis.radius)
    gate = gate_of(len(reference.weights), len(analysis.weights), radius)
    matching = match_centers(reference.means, analysis.means, gate=gate)
    shifts = []
    for old, new in enumerate(matching.tolist()):
        weight = float(reference.weights[old])
        if new < 0:
            shifts.append(ComponentShift(old, -1, weight, 0.0, np.nan, 1.0, ()))
            continue
        one = reference.means[old], reference.covariances[old]
        other = analysis.means[new], analysis.covariances[new]
        shifts.append(
            ComponentShift(
                old,
                new,
                weight,
                float(analysis.weights[new]),
                mahalanobis(one[0], other[0], one[1]),
                hellinger(*one, *other),
                _carriers(reference, analysis, old, new, top),
            )
        )
    new_ones = sorted(set(range(len(analysis.weights))) - set(matching.tolist()))
    for new in new_ones:
        weight = float(analysis.weights[new])
        shifts.append(ComponentShift(-1, new, 0.0, weight, np.nan, 1.0, ()))
    return shifts


def mean_of(values: Sequence[float], shifts: Sequence[ComponentShift]) -> float:
    """Mean of a measure of some components by their weights before and now; 0 of none."""
    weights = [(shift.reference_weight + shift.analysis_weight) / 2.0 for shift in shifts]
    return float(np.average(values, weights=weights)) if shifts else 0.0


def _carriers(
    reference: Components, analysis: Components, old: int, new: int, top: int
) -> tuple[FeatureShift, ...]:
    shift = analysis.standardized[new] - reference.standardized[old]
    order = np.argsort(-np.abs(shift), kind="stable")[:top]
    return tuple(
        FeatureShift(
            reference.names[place],
            float(shift[place]),
            float(reference.native[old, place]),
            float(analysis.native[new, place]),
        )
        for place in order.tolist()
        if shift[place]
    )
