"""One feature of one slice, night after night: how far it moves, and what is usual for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.arrays import Array
from shoal.kernels.divergences import population_stability_index, wasserstein
from shoal.kernels.histograms import octaves_of, side_by_side
from shoal.kernels.quiet import LARGER, MIN_PAIRS, quiet_p_value
from shoal.models.weeks import is_measure, pair_kinds

OTHER_KINDS = 13
"""Days back, beyond the night that is compared with, to those that a night may be like instead: a
holiday is like the Sunday before."""
UNQUIET_P = 0.001
"""p-value up to which a pair of nights is no measure for those after it."""
SAME_HOLDERS = 1.2
"""Ratio of entities with a value up to which these are taken for the same."""


class Size(NamedTuple):
    """How what is not zero compares: its median now over before, and how far its shape moved."""

    ratio: float
    shape_octaves: float


@dataclass(frozen=True, eq=False)
class FeatureSeries:
    """Histograms of one feature of one slice, by night.

    Attributes
    ----------
    min_entities : with a value, below which a night is not compared
    """

    entities: Mapping[date, int]
    missing: Mapping[date, int]
    bins: Mapping[date, Mapping[int, int]]
    min_entities: int

    def compare(self, days: Sequence[date], lag: int) -> Iterator[dict[str, Any]]:
        """Hold each of the days against the night so many days before, where both are known.

        What is one value for all on both nights is not told: nothing of it has moved.
        """
        pairs = [
            (night, before)
            for night in self._nights
            if (before := night - timedelta(days=lag)) in self._enough and night in self._enough
        ]
        distances = self._distances(pairs)
        by_night = {night: own for (night, _), own in zip(pairs, distances, strict=True)}
        unquiet: set[date] = set()
        for night, before in pairs:
            quiet = np.asarray(
                [
                    by_night[one]
                    for one, reference in pairs
                    if is_measure(night, one, has_drifted=one in unquiet)
                    and pair_kinds(one, reference) == pair_kinds(night, before)
                ]
            ).reshape(-1, 2)
            p_value = None
            if len(quiet) >= MIN_PAIRS:
                p_value = self._p_value(night, before, by_night[night], quiet)
                if p_value <= UNQUIET_P:
                    unquiet.add(night)
            if night in days and len({*self.bins[night], *self.bins[before]}) > 1:
                yield self._row(night, before, by_night[night], quiet, p_value)

    @cached_property
    def _nights(self) -> list[date]:
        return sorted(self.bins)

    @cached_property
    def _place(self) -> dict[date, int]:
        return {night: number for number, night in enumerate(self._nights)}

    @cached_property
    def _enough(self) -> set[date]:
        return {n for n in self._nights if self.entities[n] - self.missing[n] >= self.min_entities}

    @cached_property
    def _table(self) -> tuple[Array, NDArray[np.int64]]:
        return side_by_side([self.bins[night] for night in self._nights])

    def _distances(self, pairs: Sequence[tuple[date, date]]) -> Array:
        """In the feature's unit and in octaves, ``(n_pairs, 2)``."""
        if not pairs:
            return np.zeros((0, 2))
        values, counts = self._table
        now, before = (counts[[self._place[pair[side]] for pair in pairs]] for side in (0, 1))
        return np.stack([wasserstein(on, before, now) for on in (values, octaves_of(values))], 1)

    def _p_value(self, night: date, before: date, moved: Array, quiet: Array) -> float:
        """How rare as far a move is among quiet ones, in units or in octaves."""
        largest = LARGER * quiet.max(axis=0)
        if (moved <= largest).all():
            return 1.0
        lag = (night - before).days
        others = [
            (night, other)
            for n in range(lag + 1, OTHER_KINDS + 1)
            if (other := night - timedelta(days=n)) in self._enough
        ]
        is_like = (
            (self._distances(others) <= largest).any(axis=0) if others else np.zeros(2, dtype=bool)
        )
        values, counts = self._table
        two = counts[self._place[before]], counts[self._place[night]]
        # What one entity does by taking the usual value for another one: less is nothing.
        one = 1 / min(self.entities[night], self.entities[before])
        steps = [one * _usual_size(on, *two) for on in (values, octaves_of(values))]
        both = zip(moved.tolist(), quiet.T, steps, is_like.tolist(), strict=True)
        found = [1.0 if like else quiet_p_value(*one_of) for *one_of, like in both]
        return min(1.0, 2 * min(found))

    def _row(
        self, night: date, before: date, moved: Array, quiet: Array, p_value: float | None
    ) -> dict[str, Any]:
        values, counts = self._table
        two = values, counts[self._place[before]], counts[self._place[night]]
        size = size_of(*two)
        null = quiet.max(axis=0).tolist() if len(quiet) >= MIN_PAIRS else (None, None)
        return {
            "event_date": night,
            "reference_date": before,
            "reference_entities": self.entities[before],
            "analysis_entities": self.entities[night],
            "missing_share": self.missing[night] / self.entities[night],
            "reference_missing_share": self.missing[before] / self.entities[before],
            "wasserstein": float(moved[0]),
            "wasserstein_octaves": float(moved[1]),
            "wasserstein_null": null[0],
            "wasserstein_octaves_null": null[1],
            "size_ratio": size.ratio if size else None,
            "shape_octaves": size.shape_octaves if size else None,
            "psi": population_stability_index(*two),
            "quiet_pairs": len(quiet),
            "p_value": p_value,
        }


def size_of(values: Array, before: NDArray[np.int64], now: NDArray[np.int64]) -> Size | None:
    """How the sizes of what is not zero compare; ``None`` if other entities have it.

    Parameters
    ----------
    values : ``(n_bins,)`` what each bin stands for
    before, now : ``(n_bins,)`` counts
    """
    is_size = values != 0
    n_before, n_now = before[is_size].sum(), now[is_size].sum()
    if not n_before or not n_now or max(n_before, n_now) > SAME_HOLDERS * min(n_before, n_now):
        return None
    logs = np.log2(np.abs(values[is_size]))
    order = np.argsort(logs, kind="stable")
    logs, old, new = logs[order], before[is_size][order], now[is_size][order]
    medians = [
        float(logs[np.searchsorted(np.cumsum(counts), total / 2)])
        for counts, total in ((old, n_before), (new, n_now))
    ]
    shift = medians[1] - medians[0]
    # The nights side by side on one axis, the later one moved back by its median.
    axis = np.concatenate([logs, logs - shift])
    empty = np.zeros_like(old)
    sides = np.concatenate([old, empty]), np.concatenate([empty, new])
    order = np.argsort(axis, kind="stable")
    shape = float(wasserstein(axis[order], sides[0][order], sides[1][order]))
    return Size(2.0**shift, shape)


def _usual_size(values: Array, before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    weights = (before + now) * (values != 0)
    return float(np.average(np.abs(values), weights=weights)) if weights.any() else 0.0
