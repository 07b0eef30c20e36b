"""When MLlib's result is refused; the fits themselves are in tests/spark."""

import pytest

from shoal.models.mllib import is_worse


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (-50.0, -49.0, False),
        (-50.0, -50.2, False),
        (-50.0, -50.3, True),
        (0.01, -0.04, False),  # about 0 a share of the value would refuse rounding
        (0.01, -0.2, True),
        (-50.0, float("-inf"), True),
        (-50.0, float("nan"), True),
    ],
)
def test_a_fall_of_half_a_percent_is_worse(before, after, expected):
    assert is_worse(before, after, n_dimensions=10) is expected
