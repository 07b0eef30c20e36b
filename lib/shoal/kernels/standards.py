"""What makes the scores of unequal slices comparable: location, scale, tail, shared references."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.peer_fit import CrossFitScores, Groups
from shoal.kernels.peer_model import Standard, WeekReferences

STANDARD_SHRINKAGE = 5.0
"""Entities of all that stand beside a slice's own when its scores are standardised."""

TAIL_LEVEL = 0.05
"""p-value at which the tail of a slice is held against that of all that it is calibrated with."""

TAIL_PRIOR = 3.0
"""Rows beyond that level, as many as expected, that stand beside a slice's own."""

LEAST_TAIL_RATIO = 0.7
"""A tail is not believed to be much lighter than that of others: few entities can't show it."""

SMALLEST_SPREAD = 1e-3
"""Least scale of scores, nats or standard units: of entities all alike it would be none."""


def standards_of(
    scores: CrossFitScores, groups: Groups, slices: Groups, of_all: CrossFitScores
) -> tuple[Standard, dict[str, Standard]]:
    """Location and scale of all scores, and of each slice's, drawn to the former.

    The scale is the spread between the median and the upper quartile of strangeness; the fewer
    entities a slice has, the more it is given the location and scale of all: ``n`` entities speak
    for themselves by ``n / (n + STANDARD_SHRINKAGE)``.

    Parameters
    ----------
    groups, slices : ``(n_rows,)`` entity and slice of each row
    of_all : scores of the same rows by the model that all share

    Returns
    -------
    The standard of all rows, for slices that the fit has not seen, and one for each slice.
    """
    whole = _standard(of_all)
    found = {}
    for name in np.unique(slices).tolist():
        rows = slices == name
        own = _standard(scores.of(rows))
        n_entities = len(set(groups[rows].tolist()))
        found[str(name)] = _shrunk(own, whole, n_entities / (n_entities + STANDARD_SHRINKAGE))
    return whole, found


def standardized(
    scores: CrossFitScores, slices: Groups, standards: Mapping[str, Standard]
) -> CrossFitScores:
    """Scores of rows in units of their slices."""
    density, departure = scores.log_density.copy(), scores.departure.copy()
    for name, standard in standards.items():
        rows = slices == name
        density[rows], departure[rows] = standard.apply(density[rows], departure[rows])
    return CrossFitScores(density, departure)


def rows_behind_small_slices(
    slices: Groups, groups: Groups, *, small: Collection[str], min_entities: int
) -> NDArray[np.bool_]:
    """Rows ``(n_rows,)`` whose scores calibrate the slices that have no references of their own.

    Those slices' own rows, for what calibrates should be what is calibrated: large slices have
    other tails. All rows, where those slices together are too few for that.

    Parameters
    ----------
    slices, groups : ``(n_rows,)`` slice and entity of each row
    small : slices without references of their own
    min_entities : entities that references need
    """
    is_small = np.isin(slices, list(small))
    if len(set(groups[is_small].tolist())) < min_entities:
        return np.ones(len(slices), dtype=np.bool_)
    return is_small


def with_tail_ratios(
    standards: Mapping[str, Standard],
    alike: CrossFitScores,
    slices: Groups,
    is_behind: NDArray[np.bool_],
    is_weekend: NDArray[np.bool_],
    references: WeekReferences,
) -> dict[str, Standard]:
    """Standards that know how much oftener the own rows of a slice go far than those of all.

    In units of a middle and a spread slices differ still in their tails, and those of heavy ones
    would fill the lists.

    Parameters
    ----------
    alike : scores of rows in units of their slices
    is_behind : ``(n_rows,)`` rows that the references are made of
    is_weekend : ``(n_rows,)`` of the rows' days
    references : what calibrates them
    """
    is_far = np.zeros(len(slices), dtype=np.bool_)
    for kind in (False, True):
        rows = is_weekend == kind
        own = alike.of(rows)
        log_p, _ = references.of(is_weekend=kind).log_p(own.log_density, own.departure)
        is_far[rows] = log_p <= np.log(TAIL_LEVEL)
    usual = float(is_far[is_behind].mean())

    def ratio(name: str) -> float:
        own = is_far[slices == name]
        found, expected = own.sum() + TAIL_PRIOR, usual * len(own) + TAIL_PRIOR
        return max(float(found / expected), LEAST_TAIL_RATIO)

    return {name: replace(own, tail_ratio=ratio(name)) for name, own in standards.items()}


def _standard(scores: CrossFitScores) -> Standard:
    density, departure = scores.log_density, scores.departure
    lower, middle = np.quantile(density, (0.25, 0.5))
    center, upper = np.quantile(departure, (0.5, 0.75))
    return Standard(
        float(middle),
        max(float(middle - lower), SMALLEST_SPREAD),
        float(center),
        max(float(upper - center), SMALLEST_SPREAD),
    )


def _shrunk(own: Standard, whole: Standard, weight: float) -> Standard:
    """A standard between a slice's own and that of all; scales on the log."""

    def between(own_value: float, whole_value: float) -> float:
        return weight * own_value + (1.0 - weight) * whole_value

    def scale(own_value: float, whole_value: float) -> float:
        return float(np.exp(between(np.log(own_value), np.log(whole_value))))

    return Standard(
        between(own.density_center, whole.density_center),
        scale(own.density_scale, whole.density_scale),
        between(own.departure_center, whole.departure_center),
        scale(own.departure_scale, whole.departure_scale),
    )
