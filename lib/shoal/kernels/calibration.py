"""From scores to p-values, against reference scores of entities that had no part in the fit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, rankdata

from shoal.errors import ConfigError, DataError
from shoal.kernels.arrays import Array, as_scores, require_at_least

MIN_SHAPE = 0.05
MAX_SHAPE = 1.0
"""Bounds on the tail's shape: never a finite end point, never an infinite mean excess."""

MIN_RELATIVE_SCALE = 1e-6
"""Least scale of the tail, relative to the largest score (or to 1)."""


@dataclass(frozen=True, eq=False)
class TailReference:
    """Reference scores and a generalised Pareto tail over them; higher scores are stranger.

    Attributes
    ----------
    scores : ``(n_reference,)`` ascending
    tail_threshold : score above which the tail was fitted
    tail_shape, tail_scale : ξ and σ; survival of an excess y is (1 + ξ y / σ) ** (−1 / ξ)
    """

    scores: Array
    tail_threshold: float
    tail_shape: float
    tail_scale: float

    @cached_property
    def _nodes(self) -> tuple[Array, Array]:
        """Distinct reference scores, ascending, and the p-value of each."""
        distinct, first = np.unique(self.scores, return_index=True)
        n_reference = len(self.scores)
        return distinct, (n_reference - first) / (n_reference + 1)

    def _log_survival(self, scores: Array) -> Array:
        """Log survival of the tail; 0 up to its threshold."""
        excess = np.maximum(scores - self.tail_threshold, 0.0)
        # In logs throughout: the excess over the scale may exceed the largest float.
        with np.errstate(divide="ignore"):  # no excess: log 0 = -inf, survival 1
            log_excess = np.log(excess) - np.log(self.tail_scale)
        grown = np.logaddexp(0.0, np.log(self.tail_shape) + log_excess)
        return np.asarray(-grown / self.tail_shape, dtype=np.float64)


def fit_tail(scores: ArrayLike, *, tail_fraction: float = 0.1, min_tail: int = 20) -> TailReference:
    """Reference of ``scores`` with a generalised Pareto tail over its upper part.

    Probability-weighted moments (Hosking & Wallis 1987, Technometrics 29(3), section 4), the
    shape held within [0.05, 1]. With fewer than ``min_tail`` excesses the shape can't be
    estimated: 0.05 is taken, close to an exponential.

    Parameters
    ----------
    scores : ``(n_reference,)``, any order, higher = stranger
    tail_fraction : share in (0, 1) of the scores that form the tail

    Raises
    ------
    DataError
        If there is no score, or one is NaN or infinite.
    ConfigError
        If ``tail_fraction`` is out of range.
    """
    if not 0.0 < tail_fraction < 1.0:
        raise ConfigError(f"'tail_fraction' must be in (0, 1), got {tail_fraction} instead")
    ascending = np.sort(as_scores(scores, "scores"))
    threshold = float(np.quantile(ascending, 1.0 - tail_fraction))
    excesses = ascending[ascending > threshold] - threshold
    shape, scale = _fit_pareto(excesses, min_tail)
    floor = MIN_RELATIVE_SCALE * max(1.0, float(np.abs(ascending).max()))
    return TailReference(ascending, threshold, shape, max(scale, floor))


def log_p_values(scores: ArrayLike, reference: TailReference) -> tuple[Array, NDArray[np.bool_]]:
    """Natural logs of p-values, and which of them lie beyond the reference.

    At a reference score the p-value is the share of references as high, the score itself among
    them: #{reference ≥ s} / (n_reference + 1). That is the chance that one more reference is as
    high, so p-values are calibrated there. It is linear between references, continues with the
    fitted tail above the largest, and is 1 below the smallest.

    Parameters
    ----------
    scores : ``(n_rows,)``

    Returns
    -------
    log_p ``(n_rows,)``, never −inf, and is_extrapolated ``(n_rows,)``

    Raises
    ------
    DataError
        If a score is NaN or infinite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape == (0,):
        return values, np.zeros(0, dtype=np.bool_)
    values = as_scores(values, "scores")
    nodes, p_values = reference._nodes
    following = np.minimum(np.searchsorted(nodes, values), len(nodes) - 1)
    # Between neighbours so close that the slope overflows, interpolation would leave them.
    p = np.clip(
        np.interp(values, nodes, p_values, left=1.0),
        p_values[following],
        np.append(1.0, p_values)[following],
    )
    log_p = np.log(p)
    is_extrapolated = values > nodes[-1]
    at_largest = reference._log_survival(nodes[-1:])
    log_p[is_extrapolated] += reference._log_survival(values[is_extrapolated]) - at_largest
    return log_p, is_extrapolated


def p_value_interval(
    p_values: ArrayLike, n_entities: int, *, level: float = 0.9
) -> tuple[Array, Array]:
    """What a p-value may be, as few entities as stand behind it.

    Jeffreys interval of a share of ``n_entities`` (Brown, Cai & DasGupta 2001, Statistical Science
    16(2), section 4.3): days of one entity are alike, so entities are counted, not days. It holds
    the p-value itself.

    Returns
    -------
    lower and upper bounds, each ``(n,)``, within [0, 1]
    """
    p = as_scores(p_values, "p_values")
    n_as_strange = p * n_entities
    shapes = n_as_strange + 0.5, n_entities - n_as_strange + 0.5
    lower, upper = (beta.ppf(q, *shapes) for q in ((1 - level) / 2, (1 + level) / 2))
    return np.minimum(lower, p), np.maximum(upper, p)


def combine(log_p_a: ArrayLike, log_p_b: ArrayLike) -> Array:
    """Statistic ``(n_rows,)`` of two log p-values, higher = stranger; to be calibrated again.

    Not Fisher's p-value: the two are nearly the same number, not independent.
    """
    return -(np.asarray(log_p_a, dtype=np.float64) + np.asarray(log_p_b, dtype=np.float64))


def leave_one_out_log_p(scores: ArrayLike) -> Array:
    """Log p-value ``(n_reference,)`` of each reference score among the others.

    (1 + #{others ≥ s}) / (n_reference + 1), what `log_p_values` gives at a reference score.

    Raises
    ------
    DataError
        If there is no score, or one is NaN or infinite.
    """
    values = as_scores(scores, "scores")
    as_high = rankdata(-values, method="max")
    return np.asarray(np.log(as_high / (len(values) + 1)), dtype=np.float64)


def entity_folds(groups: Sequence[object] | NDArray[np.generic], n_folds: int) -> dict[str, int]:
    """Fold of each entity among ``groups``: in the order of their hash, dealt out in turn.

    The same entities give the same folds whatever the order of the rows, and no fold is empty;
    with fewer entities than ``n_folds`` there are fewer folds.

    Raises
    ------
    DataError
        If there are fewer than two entities.
    """
    require_at_least(2, n_folds, "n_folds")
    entities = sorted({str(group) for group in groups}, key=_digest)
    if len(entities) < 2:
        raise DataError(f"cross-fitting needs at least two entities, got {len(entities)}")
    n_folds = min(n_folds, len(entities))
    return {entity: index % n_folds for index, entity in enumerate(entities)}


def fold_of_rows(
    groups: Sequence[object] | NDArray[np.generic], fold_of: Mapping[str, int], n_folds: int
) -> NDArray[np.intp]:
    """Fold of each row ``(n_rows,)``; an entity outside ``fold_of`` goes by its hash.

    No fold has seen such an entity, so any may take it; the hash deals them out evenly.
    """
    entities, index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    folds = [
        fold_of[name] if name in fold_of else int.from_bytes(_digest(name), "big") % n_folds
        for name in entities.tolist()
    ]
    return np.asarray(folds, dtype=np.intp)[index]


def _fit_pareto(excesses: Array, min_tail: int) -> tuple[float, float]:
    """Shape and scale from ascending excesses by probability-weighted moments."""
    n = len(excesses)
    if n == 0:
        return MIN_SHAPE, 0.0
    plotting = (np.arange(1, n + 1) - 0.35) / n
    a0 = float(excesses.mean())
    a1 = float(((1.0 - plotting) * excesses).mean())
    shape = MIN_SHAPE
    if n >= min_tail and a0 > 2.0 * a1:
        shape = float(np.clip(2.0 - a0 / (a0 - 2.0 * a1), MIN_SHAPE, MAX_SHAPE))
    # From a1 = σ / (2 (2 − ξ)), which still holds for the shape held within its bounds.
    return shape, 2.0 * a1 * (2.0 - shape)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
