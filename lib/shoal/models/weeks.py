"""Weekdays and weekends: the same machines, other habits."""

from collections.abc import Iterable
from datetime import date

import numpy as np
from numpy.typing import NDArray

_SATURDAY = 5
QUIET_DAYS = 28
"""Days before a night whose pairs of nights tell what is usual."""
UNQUIET_DAYS = 14
"""Days for which a pair that is told as a drift tells nothing of what is usual; then it is past."""


def is_weekend(day: date) -> bool:
    """Whether a day (UTC, as every ``event_date``) is a Saturday or a Sunday."""
    return day.weekday() >= _SATURDAY


def weekend_rows(days: Iterable[date]) -> NDArray[np.bool_]:
    """Which rows ``(n_rows,)`` are of a Saturday or a Sunday, by their days."""
    return np.fromiter((is_weekend(day) for day in days), dtype=np.bool_)


def is_measure(night: date, earlier: date, *, has_drifted: bool) -> bool:
    """Whether an earlier night's pair tells what is usual for a night's."""
    days = (night - earlier).days
    return 0 < days <= QUIET_DAYS and not (has_drifted and days <= UNQUIET_DAYS)


def pair_kinds(night: date, reference: date) -> tuple[bool, bool]:
    """Whether either night of a pair is of a weekend: pairs of the same kinds compare."""
    return is_weekend(night), is_weekend(reference)
