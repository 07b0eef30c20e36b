"""Why a row is strange: what each feature adds to its distance, given its other features."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.arrays import Array, require_at_least
from shoal.kernels.departures import Departures, joint_precision
from shoal.kernels.peer_model import PeerGeometry

LARGE_WEIGHT = 0.05
"""Weight from which on a component is one of peers: a handful of rows explains nothing."""
TELLING = 4.0
"""Least contribution of a reason that is told before what there is too little of: 2 sd."""


@dataclass(frozen=True)
class Reason:
    """One feature's part in a row's strangeness.

    Attributes
    ----------
    index : column of the feature
    contribution : drop of the squared Mahalanobis distance were the feature as expected
    direction : the value lies above (``high``) or below (``low``) that
    """

    index: int
    contribution: float
    direction: Literal["high", "low"]


@dataclass(frozen=True, eq=False)
class Explanations:
    """What rows are strange by, each held against the component that explains it.

    Attributes
    ----------
    contributions : ``(n_rows, n_told)`` drops of the squared distance; of features told together
        one column, the last; 0 where the row has no value
    is_high : ``(n_rows, n_told)`` whether the value lies above what is expected
    ranked_by : ``(n_rows, n_told)`` what reasons are ranked by, at least 0 for what may be told
    expected : ``(n_rows, n_features)`` in native units, given the row's other values
    distance : ``(n_rows,)`` squared distance that is explained, that of the residual included
    """

    contributions: Array
    is_high: NDArray[np.bool_]
    ranked_by: Array
    expected: Array
    distance: Array

    def reasons(self, row: int, *, top: int) -> list[Reason]:
        """The ``top`` reasons of a row, strongest first, equals by column."""
        require_at_least(1, top, "top")
        order = np.argsort(-self.ranked_by[row], kind="stable")[:top]
        return [
            Reason(
                int(index),
                float(self.contributions[row, index]),
                "high" if self.is_high[row, index] else "low",
            )
            for index in order
            if self.ranked_by[row, index] > -np.inf
        ]


def explain_rows(
    geometry: PeerGeometry,
    values: Array,
    *,
    n_joint: int = 0,
    is_one_sided: NDArray[np.bool_] | None = None,
) -> Explanations:
    """Explain native rows ``(n_rows, n_features)``, NaN where a row has no value.

    Parameters
    ----------
    n_joint : features at the end that say one thing, such as the coordinates of a profile: one
        reason tells them all, by the place of the first. They are ranked by what they add beyond a
        unit for each but one, which chance alone brings.
    is_one_sided : ``(n_features,)`` features of which less than expected is told only where no
        other has at least `TELLING`: it says that a row does nothing, not what it does
    """
    preparation = geometry.preparation
    standardized = preparation.standardize(values)
    projected = preparation.project(standardized)
    components = explaining_components(geometry, projected)
    departures = Departures.of(preparation, geometry.mixture, standardized, projected, components)
    expected = standardized - departures.excess
    is_high: NDArray[np.bool_] = departures.pull >= 0.0
    contributions = departures.squared
    n_single = values.shape[1] - n_joint
    is_known = np.isfinite(values)
    if n_joint:
        columns = np.arange(n_single, values.shape[1])
        joint, moved = _joint(geometry, departures.pull, components, columns)
        expected[:, columns] = standardized[:, columns] - moved
        contributions = np.column_stack([contributions[:, :n_single], joint])
        is_high = np.column_stack([is_high[:, :n_single], np.ones(len(values), dtype=np.bool_)])
        is_known = np.column_stack([is_known[:, :n_single], is_known[:, columns].all(axis=1)])
    ranked_by = contributions.copy()
    if n_joint:
        ranked_by[:, n_single] -= n_joint - 1
    if is_one_sided is not None:
        too_little = np.zeros_like(is_high)
        too_little[:, :n_single] = is_one_sided[:n_single] & ~is_high[:, :n_single]
        tells = (ranked_by >= TELLING) & is_known & ~too_little
        ranked_by[too_little & np.any(tells, axis=1, keepdims=True)] = -np.inf
    ranked_by[~is_known] = -np.inf
    return Explanations(
        contributions=np.where(is_known, contributions, 0.0),
        is_high=is_high,
        ranked_by=ranked_by,
        expected=preparation.to_native(expected),
        distance=departures.distance,
    )


def explaining_components(geometry: PeerGeometry, projected: Array) -> NDArray[np.intp]:
    """The most responsible component of each row ``(n_rows,)`` among those that are large.

    A stray that has a component of its own is explained by its peers, not by itself.
    """
    weights = geometry.mixture.weights
    is_large = weights >= min(LARGE_WEIGHT, weights.max())
    weighted = geometry.mixture.weighted_log_density(projected)
    return np.asarray(np.argmax(np.where(is_large, weighted, -np.inf), axis=1), dtype=np.intp)


def _joint(
    geometry: PeerGeometry, pull: Array, components: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Array, Array]:
    """What features together add to each row's distance, and by how much they are too large.

    With B the columns, (P(z − m))_Bᵀ (P_BB)⁻¹ (P(z − m))_B: the same drop as of one feature, were
    all of them as the others imply.
    """
    moved = np.empty((len(pull), len(columns)))
    for component in np.unique(components):
        rows = components == component
        precision = joint_precision(geometry.preparation, geometry.mixture, int(component), columns)
        moved[rows] = np.linalg.solve(precision, pull[np.ix_(rows, columns)].T).T
    return np.einsum("ij,ij->i", pull[:, columns], moved), moved
