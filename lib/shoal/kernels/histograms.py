"""Histograms of one set of bins for all features, so that those of any two nights are comparable.

Bins are an eighth of an octave wide, on either side of zero: whatever the unit of a feature, its
values are told apart to about nine percent, and counts of two nights add up.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.kernels.arrays import Array

BINS_AN_OCTAVE = 8
SMALLEST = 2.0**-30
"""Values closer to zero than this, about a billionth, are zero."""
LARGEST_BIN = BINS_AN_OCTAVE * 400
"""Values beyond 2^370 count as that."""
MISSING = np.iinfo(np.int32).min
"""Stands for a value that is not known, or no finite number."""


def bins_of(values: ArrayLike) -> NDArray[np.int32]:
    """Bin of each value, any shape: 0 for zero, negative for negative values."""
    native = np.asarray(values, dtype=np.float64)
    is_known = np.isfinite(native)
    size = np.maximum(np.abs(np.where(is_known, native, 0.0)), SMALLEST / 2.0)
    octave = np.log2(size) - np.log2(SMALLEST)
    bins = np.clip(np.floor(octave * BINS_AN_OCTAVE) + 1.0, 0.0, LARGEST_BIN)
    signed = np.where(native < 0.0, -bins, bins)
    return np.where(is_known, signed, MISSING).astype(np.int32)


def value_of(bins: ArrayLike) -> Array:
    """What each bin stands for: its middle, on the scale of logs; 0 for zero."""
    number = np.asarray(bins, dtype=np.float64)
    middle = SMALLEST * 2.0 ** ((np.abs(number) - 0.5) / BINS_AN_OCTAVE)
    return np.asarray(np.sign(number) * middle, dtype=np.float64)


def octaves_of(values: ArrayLike) -> Array:
    """How many octaves each value lies beyond the smallest, negative ones on the other side."""
    native = np.asarray(values, dtype=np.float64)
    size = np.maximum(np.abs(native), SMALLEST)
    return np.asarray(np.sign(native) * (np.log2(size) - np.log2(SMALLEST)))


def side_by_side(histograms: Sequence[Mapping[int, int]]) -> tuple[Array, NDArray[np.int64]]:
    """Histograms over the bins of all.

    Parameters
    ----------
    histograms : count by bin; the missing are left out

    Returns
    -------
    values ``(n_bins,)`` ascending, and counts ``(n_histograms, n_bins)``
    """
    bins = sorted(set().union(*histograms) - {MISSING})
    counts = [[own.get(number, 0) for number in bins] for own in histograms]
    return value_of(bins), np.asarray(counts, dtype=np.int64).reshape(len(histograms), len(bins))
