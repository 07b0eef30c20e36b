"""How unusual a distance is among those of quiet pairs."""

import numpy as np
from scipy.stats import t as student_t

from shoal.kernels.quiet import LARGER, SPREAD_FLOOR, quiet_p_value

QUIET = np.array([1.0, 2.0, 4.0, 8.0, 2.0])


def test_the_tail_is_students_t_of_the_logs():
    logs = np.log(QUIET + 0.1)
    standard = (np.log(100.1) - logs.mean()) / (logs.std(ddof=1) * np.sqrt(1 + 1 / 5))
    assert np.isclose(quiet_p_value(100.0, QUIET, 0.1), student_t.sf(standard, 4))


def test_what_is_hardly_larger_than_before_or_than_one_entity_is_nothing():
    assert quiet_p_value(8.0 * LARGER, QUIET, 0.1) == 1.0
    assert quiet_p_value(12.1, QUIET, 0.1) < 1.0
    assert quiet_p_value(0.09, np.zeros(5), 0.1) == 1.0


def test_pairs_that_agree_by_chance_have_a_spread_all_the_same():
    same = np.full(5, 2.0)
    standard = np.log(4.1 / 2.1) / (SPREAD_FLOOR * np.sqrt(1.2))
    assert np.isclose(quiet_p_value(4.0, same, 0.1), student_t.sf(standard, 4))
