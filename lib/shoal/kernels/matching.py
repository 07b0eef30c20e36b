"""How the clusters of two nights correspond, and how far they agree."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import (
    expected_mutual_information,
)

from shoal.errors import DataError
from shoal.kernels.arrays import Array, as_rows

Table = NDArray[np.int64]

GATE_RADII = 2.0
"""Distance of two centres, in typical distances of a row from its centre, beyond which they are no
pair where there are not as many on both sides: nothing is left there of what was."""

MAX_EXACT_CHANCE = 1_000_000
"""Rows up to which chance agreement is summed exactly; the time grows with the rows."""


@dataclass(frozen=True)
class ContingencyScores:
    """Agreement of two clusterings of the same ``n`` rows.

    Attributes
    ----------
    adjusted_rand : 1 for the same partition, about 0 by chance (Hubert & Arabie 1985)
    adjusted_mutual_information : the same for mutual information (Vinh et al. 2010)
    normalized_mutual_information : in [0, 1], not adjusted for chance
    """

    adjusted_rand: float
    adjusted_mutual_information: float
    normalized_mutual_information: float
    n: int


def gate_of(n_reference: int, n_analysis: int, radius: float) -> float:
    """Distance beyond which two centres are no pair: none where there are as many of both.

    Parameters
    ----------
    radius : root mean square of the rows' distances to their centres
    """
    return np.inf if n_reference == n_analysis else GATE_RADII * radius


def match_centers(
    reference: ArrayLike, analysis: ArrayLike, *, gate: float = np.inf
) -> NDArray[np.intp]:
    """Pair centres one to one with the least sum of Euclidean distances.

    Parameters
    ----------
    reference : ``(n_reference, n_dimensions)``
    analysis : ``(n_analysis, n_dimensions)``
    gate : distance beyond which two centres are no pair

    Returns
    -------
    ``(n_reference,)`` index of the analysis centre matched, −1 where there is none left

    Raises
    ------
    DataError
        If the widths differ or a centre is not finite.
    """
    old = as_rows(reference, "reference")
    new = as_rows(analysis, "analysis", n_columns=old.shape[1])
    matching = np.full(len(old), -1, dtype=np.intp)
    distances = cdist(old, new)
    # Beyond the gate all are equally far: none is given up for the sake of a pair that is none.
    rows, columns = linear_sum_assignment(np.minimum(distances, gate))
    is_pair = distances[rows, columns] <= gate
    matching[rows[is_pair]] = columns[is_pair]
    return matching


def match_clusters(table: ArrayLike) -> NDArray[np.intp]:
    """Pair clusters one to one with the most rows in common, where they have no common space.

    Parameters
    ----------
    table : ``(n_reference, n_analysis)`` rows in reference cluster i and analysis cluster j

    Returns
    -------
    ``(n_reference,)`` as `match_centers` does

    Raises
    ------
    DataError
        As `contingency_scores`, but for a table without a row.
    """
    counts = _as_table(table)
    matching = np.full(len(counts), -1, dtype=np.intp)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    matching[rows] = columns
    return matching


def contingency_scores(table: ArrayLike) -> ContingencyScores:
    """Agreement of two clusterings from their counts alone, whatever the number of rows.

    Parameters
    ----------
    table : ``(n_reference, n_analysis)`` int, rows in reference cluster i and analysis cluster j

    Raises
    ------
    DataError
        If the table holds no row, or counts that are negative or not whole.
    """
    counts = _as_table(table)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    n = int(counts.sum())
    if n == 0:
        raise DataError("two clusterings can't be compared: their table holds no row")
    if np.count_nonzero(counts) == max(counts.shape) == min(counts.shape):
        return ContingencyScores(1.0, 1.0, 1.0, n)  # the same partition, exactly
    if min(counts.shape) == 1:  # one side splits nothing, so it says nothing about the other
        return ContingencyScores(_adjusted_rand(counts), 0.0, 0.0, n)
    information = float(mutual_info_score(None, None, contingency=counts))
    typical_entropy = float(entropy(counts.sum(axis=1)) + entropy(counts.sum(axis=0))) / 2.0
    return ContingencyScores(
        adjusted_rand=_adjusted_rand(counts),
        adjusted_mutual_information=_share_beyond(
            information, _information_by_chance(counts), typical_entropy
        ),
        normalized_mutual_information=information / typical_entropy,
        n=n,
    )


def cluster_jaccard(table: ArrayLike, matching: NDArray[np.intp]) -> Array:
    """Jaccard index of each reference cluster with its match.

    Parameters
    ----------
    table : ``(n_reference, n_analysis)`` int
    matching : ``(n_reference,)`` from `match_centers`

    Returns
    -------
    ``(n_reference,)``: rows in both / rows in either; 0 for a cluster without a match; NaN
    where both clusters are empty, for there is nothing to compare

    Raises
    ------
    DataError
        If table and matching don't fit each other.
    """
    counts = _as_table(table)
    n_reference, n_analysis = counts.shape
    is_fitting = matching.shape == (n_reference,) and (
        n_reference == 0 or (matching.min() >= -1 and matching.max() < n_analysis)
    )
    if not is_fitting:
        raise DataError(f"matching {matching.tolist()} does not fit a table {counts.shape}")
    jaccard = np.zeros(n_reference)
    for cluster in np.flatnonzero(matching >= 0):
        match = matching[cluster]
        shared = counts[cluster, match]
        either = counts[cluster].sum() + counts[:, match].sum() - shared
        jaccard[cluster] = shared / either if either else np.nan
    return jaccard


def _as_table(table: ArrayLike) -> Table:
    counts = np.asarray(table)
    if counts.ndim != 2:
        raise DataError(f"a contingency table must have two dimensions, got {counts.shape}")
    whole = counts.astype(np.int64)
    if (whole != counts).any() or (whole < 0).any():
        raise DataError("a contingency table must hold whole counts of 0 or more")
    return whole


def _adjusted_rand(counts: Table) -> float:
    """Adjusted Rand index by counting pairs, in Python integers: squares outgrow 64 bits."""
    n = int(counts.sum())
    together = sum(int(count) ** 2 for count in counts.ravel())
    in_reference = sum(int(count) ** 2 for count in counts.sum(axis=1))
    in_analysis = sum(int(count) ** 2 for count in counts.sum(axis=0))
    only_reference, only_analysis = in_reference - together, in_analysis - together
    both, neither = together - n, n**2 - in_reference - only_analysis
    if only_reference == only_analysis == 0:
        return 1.0
    agreement = both * neither - only_reference * only_analysis
    chance = (both + only_reference) * (only_reference + neither)
    chance += (both + only_analysis) * (only_analysis + neither)
    return 2 * agreement / chance


def _information_by_chance(counts: Table) -> float:
    """Mutual information, in nats, expected of unrelated clusterings of these sizes."""
    n = int(counts.sum())
    if n <= MAX_EXACT_CHANCE:
        return float(expected_mutual_information(counts, n))
    # Its leading term: 2 n I is χ² with these degrees of freedom.
    n_reference, n_analysis = counts.shape
    return float((n_reference - 1) * (n_analysis - 1) / (2.0 * n))


def _share_beyond(value: float, by_chance: float, largest: float) -> float:
    """(value − chance) / (largest − chance), kept from 0 / 0 as scikit-learn does."""
    tiny = float(np.finfo(np.float64).eps)
    above, room = value - by_chance, largest - by_chance
    above = min(above, -tiny) if above < 0.0 else max(above, tiny)
    room = min(room, -tiny) if room < 0.0 else max(room, tiny)
    return above / room
