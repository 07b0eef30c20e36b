"""Bins that are the same for all features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.kernels.divergences import wasserstein
from shoal.kernels.histograms import LARGEST_BIN, MISSING, bins_of, side_by_side, value_of


@given(st.floats(min_value=1e-8, max_value=1e100))
def test_a_bin_stands_for_its_values_to_a_few_percent(value: float) -> None:
    for signed in (value, -value):
        assert value_of(bins_of([signed]))[0] == pytest.approx(signed, rel=0.05)


def test_zero_the_tiny_the_endless_and_the_unknown_have_bins_of_their_own() -> None:
    values = [0.0, -0.0, 1e-12, 1e308, -1e308, np.nan, np.inf]
    assert bins_of(values).tolist() == [
        0, 0, 0, LARGEST_BIN, -LARGEST_BIN, MISSING, MISSING,
    ]  # fmt: skip
    assert value_of([0])[0] == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_bins_are_in_the_order_of_values(values: list[float]) -> None:
    bins = bins_of(sorted(values))
    assert (np.diff(bins) >= 0).all()


def test_two_histograms_are_compared_over_the_bins_of_both() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(3.0, 1.0, 4000), rng.lognormal(3.5, 1.0, 4000)

    def counted(values):
        found = np.unique(bins_of([*values, np.nan]), return_counts=True)
        return dict(zip(*(part.tolist() for part in found), strict=True))

    exact = float(np.abs(np.sort(a) - np.sort(b)).mean())
    values, counts = side_by_side([counted(a), counted(b)])
    assert counts.sum(axis=1).tolist() == [4000, 4000]
    assert wasserstein(values, *counts) == pytest.approx(exact, rel=0.02)
