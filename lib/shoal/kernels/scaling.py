"""Logs and robust scales of native features, column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import ConfigError, DataError
from shoal.kernels.arrays import Array

LARGEST = 1e100
"""Transformed values are held within ± this, so that their squares stay finite."""

LARGEST_LOG = 709.0
"""``expm1`` of more overflows a float64."""

IQR_OF_NORMAL = 1.349
"""Interquartile range of a standard normal."""

TAILS_OF_NORMAL = 3.290
"""Range from the 5th to the 95th percentile of a standard normal."""

LEAST_OF_TAILS = 0.5
"""Least scale, as a part of the standard deviation that the range of the tails implies."""

HEAVY = 3.0
"""How many times as long as the lower tail the upper one of a feature to log is."""

_COLUMNS_AT_ONCE = 8
_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, eq=False)
class Scaling:
    """The map from native features to standard units.

    Attributes
    ----------
    is_logged : ``(n_features,)`` signed ``log1p`` is taken first
    center, scale : ``(n_features,)`` location and scale, after the log
    """

    is_logged: NDArray[np.bool_]
    center: Array
    scale: Array

    def standardize(self, native: Array, bound: float = np.inf) -> Array:
        """Standard units of native rows, both ``(n_rows, n_features)``; NaN becomes 0.

        Parameters
        ----------
        bound : what the standard units are held within
        """
        standardized = np.clip(native, -LARGEST, LARGEST)
        if self.is_logged.any():
            standardized[:, self.is_logged] = _signed_log(native[:, self.is_logged])
        # In place: a copy of a large reference costs more than the arithmetic.
        standardized -= self.center
        standardized /= self.scale
        if np.isfinite(bound):
            np.clip(standardized, -bound, bound, out=standardized)
        standardized[np.isnan(standardized)] = 0.0
        return standardized

    def to_native(self, standardized: Array) -> Array:
        """Native units of standardised rows, both ``(n_rows, n_features)``."""
        transformed = standardized * self.scale + self.center
        bounded = np.minimum(np.abs(transformed), LARGEST_LOG)
        return np.where(self.is_logged, np.sign(transformed) * np.expm1(bounded), transformed)


def fit_scaling(
    native: Array,
    *,
    is_count: ArrayLike | None,
    is_logged: NDArray[np.bool_] | None,
    winsorize_sd: float,
    scale_floor: float,
) -> Scaling:
    """Choose which features to log, and find the location and scale of each.

    Parameters
    ----------
    native : ``(n_rows, n_features)``, one row or more; NaN where a feature is unknown
    is_count : ``(n_features,)`` features declared as counts or heavy-tailed, logged where the
        rows bear it out. ``None``: nothing is declared, and the rows alone decide.
    is_logged : ``(n_features,)`` another fit's choice, taken over
    winsorize_sd : bound, in standard deviations, on what the deviation of a sparse feature is of
    scale_floor : least scale, relative to the feature's size where that is below 1

    Raises
    ------
    DataError
        If ``is_count`` is of another width.
    ConfigError
        If ``winsorize_sd`` or ``scale_floor`` is not above 0.
    """
    for name, value in (("winsorize_sd", winsorize_sd), ("scale_floor", scale_floor)):
        if not value > 0.0:
            raise ConfigError(f"'{name}' must be above 0, got {value} instead")
    n_features = native.shape[1]
    declared = None if is_count is None else np.asarray(is_count, dtype=np.bool_)
    if declared is not None and declared.shape != (n_features,):
        raise DataError(f"is_count must have shape ({n_features},), got {declared.shape}")
    logged = np.zeros(n_features, dtype=np.bool_)
    center, scale = np.zeros(n_features), np.full(n_features, scale_floor)
    for index, values in enumerate(_columns(native)):
        known = values[~np.isnan(values)]
        if not len(known):
            continue
        column = _Column(known)
        if is_logged is None:
            logged[index] = column.is_to_log(None if declared is None else bool(declared[index]))
        else:
            logged[index] = is_logged[index]
        center[index], scale[index] = column.center_and_scale(
            is_logged=bool(logged[index]), winsorize_sd=winsorize_sd, scale_floor=scale_floor
        )
    return Scaling(logged, center, scale)


def _columns(rows: Array) -> Iterator[Array]:
    """The columns of rows, each in one piece; copied some at once, as rows lie in memory."""
    for start in range(0, rows.shape[1], _COLUMNS_AT_ONCE):
        yield from np.ascontiguousarray(rows[:, start : start + _COLUMNS_AT_ONCE].T)


class _Column:
    """The known values of one feature, and the order statistics around the quantiles wanted."""

    def __init__(self, known: Array) -> None:
        self._known = known
        position = np.asarray(_LEVELS) * (len(known) - 1)
        below = np.floor(position).astype(np.intp)
        above = np.minimum(below + 1, len(known) - 1)
        # One partial sort serves all quantiles, before the log and after it.
        parted = np.partition(known, np.unique(np.concatenate([[0], below, above])))
        self._least = float(parted[0])
        self._below, self._above = parted[below], parted[above]
        self._between = position - below

    def is_to_log(self, is_declared: bool | None) -> bool:
        """Never negative, and with an upper tail far longer than the lower.

        A constant says nothing about its tail, so there a declaration stands.
        """
        low, *_, high = quantiles = self._quantiles(is_logged=False)
        middle = quantiles[_LEVELS.index(0.5)]
        is_heavy = (high - middle) > HEAVY * (middle - low)
        if is_declared is None:
            return bool(self._least >= 0.0 and is_heavy)
        return bool(is_declared and self._least >= 0.0 and (is_heavy or high == low))

    def center_and_scale(
        self, *, is_logged: bool, winsorize_sd: float, scale_floor: float
    ) -> tuple[float, float]:
        """Median and robust standard deviation."""
        lowest, low, lower, center, upper, high, highest = self._quantiles(is_logged=is_logged)
        if upper > lower:
            # The quartiles all but coincide where a quarter of a sparse count lies just above
            # zero: the tails have a say.
            wide = LEAST_OF_TAILS * (high - low) / TAILS_OF_NORMAL
            scale = max((upper - lower) / IQR_OF_NORMAL, wide)
        else:
            # Half of it is one value, although it may vary.
            values = _signed_log(self._known) if is_logged else self._known.clip(-LARGEST, LARGEST)
            bound = winsorize_sd * values.std()
            scale = float(values.clip(center - bound, center + bound).std())
        # Below 1 the floor shrinks with the feature, or one in small units would be constant to it.
        size = max(abs(lowest), abs(highest))
        return center, max(scale, scale_floor * (min(size, 1.0) if size > 0.0 else 1.0))

    def _quantiles(self, *, is_logged: bool) -> Sequence[float]:
        below, above = self._below, self._above
        if is_logged:
            below, above = _signed_log(below), _signed_log(above)
        else:
            below, above = below.clip(-LARGEST, LARGEST), above.clip(-LARGEST, LARGEST)
        found: list[float] = (below + (above - below) * self._between).tolist()
        return found


def _signed_log(values: Array) -> Array:
    logged: Array = np.sign(values) * np.log1p(np.abs(values))
    return logged


def as_native(values: ArrayLike, n_features: int) -> Array:
    """Return ``values`` as float64 rows ``(n_rows, n_features)``; NaN is a feature unknown.

    Raises
    ------
    DataError
        If the width is wrong or a value is infinite.
    """
    native = np.asarray(values, dtype=np.float64)
    if native.ndim != 2 or native.shape[1] != n_features:
        raise DataError(f"values must have shape (n_rows, {n_features}), got {native.shape}")
    if np.isinf(native).any():
        bad = int(np.isinf(native).any(axis=1).sum())
        raise DataError(f"values must not be infinite; {bad} of {len(native)} rows are")
    return native
