"""How unusual a distance of two nights is among those of quiet pairs of nights before them.

Cut-offs from textbooks are noise (field notes): what is usual is learnt from the past.
"""

import numpy as np
from scipy.stats import t as student_t

from shoal.kernels.arrays import Array

MIN_PAIRS = 4
"""Quiet pairs below which nothing is said to be unusual."""
SPREAD_FLOOR = 0.25
"""Least spread of the logs of quiet distances: few pairs may agree by chance."""
LARGER = 1.5
"""A drift is so many times beyond the largest of the quiet pairs, whatever its p-value."""


def quiet_p_value(distance: float, quiet: Array, step: float) -> float:
    """Upper tail of a distance among quiet ones, as logs that are normal but for their few.

    Parameters
    ----------
    distance : of two nights
    quiet : ``(n_pairs,)`` the same of quiet pairs, ``MIN_PAIRS`` or more
    step : what one entity does by being another: less than that is nothing; above 0

    Returns
    -------
    p-value; 1 for a distance that is not ``LARGER`` than all quiet ones, and than a step
    """
    if distance <= quiet.max() * LARGER or distance <= step:
        return 1.0
    logs = np.log(quiet + step)
    spread = max(float(logs.std(ddof=1)), SPREAD_FLOOR)
    # One more of the same, not their mean: its variance is theirs and that of the mean.
    standard = (np.log(distance + step) - logs.mean()) / (spread * np.sqrt(1 + 1 / len(logs)))
    return float(student_t.sf(standard, len(logs) - 1))
