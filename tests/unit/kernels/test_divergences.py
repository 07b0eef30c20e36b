"""Divergences against independent computation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.integrate import quad

from shoal.errors import DataError
from shoal.kernels.divergences import (
    hellinger,
    mahalanobis,
    population_stability_index,
    variation_of_information,
    wasserstein,
)

COUNTS = hnp.arrays(np.int64, 12, elements=st.integers(0, 50)).filter(lambda c: c.sum() > 0)


@given(COUNTS, COUNTS)
def test_wasserstein_is_the_area_between_the_distribution_functions(a, b) -> None:
    at = np.cumsum(np.arange(1.0, 13.0))
    found = float(wasserstein(at, a, b))
    assert found == pytest.approx(stats.wasserstein_distance(at, at, a, b), abs=1e-9)
    assert wasserstein(at, [a, b], [b, b]).tolist() == pytest.approx([found, 0.0])
    assert wasserstein(at, a, a) == 0
    # In its own unit: the same in milliseconds is a thousand times as far.
    assert wasserstein(1000 * at, a, b) == pytest.approx(1000 * found)


def test_hellinger_is_what_integration_gives() -> None:
    def density(x: float, mean: float, variance: float) -> float:
        return float(stats.norm.pdf(x, mean, math.sqrt(variance)))

    for mean, variance in ((0.0, 1.0), (1.5, 0.5), (-3.0, 4.0)):
        overlap, _ = quad(
            lambda x, m=mean, v=variance: math.sqrt(density(x, 0.0, 1.0) * density(x, m, v)),
            -30,
            30,
        )
        found = hellinger([0.0], [[1.0]], [mean], [[variance]])
        assert found == pytest.approx(math.sqrt(max(0.0, 1 - overlap)), abs=1e-6)


def test_gaussians_that_are_the_same_or_far_apart() -> None:
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert hellinger([1, 2], covariance, [1, 2], covariance) == pytest.approx(0, abs=1e-7)
    assert hellinger([0, 0], covariance, [90, 0], covariance) == pytest.approx(1)
    assert mahalanobis([0, 0], [2, 0], [[4.0, 0], [0, 1]]) == pytest.approx(1)
    with pytest.raises(DataError, match="positive definite"):
        hellinger([0, 0], covariance, [0, 0], [[1.0, 2], [2, 1]])


def test_psi_of_no_change_and_of_all_that_moves() -> None:
    at = np.arange(100.0)
    even = np.full(100, 10)
    assert population_stability_index(at, even, even) == pytest.approx(0)
    lower = np.where(at < 50, 20, 0)
    # Five tenths doubled, five empty (half a row each), of 1,000 rows.
    p, q = 0.1, np.array([200 / 1002.5, 0.5 / 1002.5])
    expected = 5 * ((q - p) * np.log(q / p)).sum()
    assert population_stability_index(at, even, lower) == pytest.approx(expected)
    # Bins that neither has anything in say nothing.
    spread = np.repeat([[1], [0]], 100, axis=1).T.ravel()
    twice = [np.where(spread, np.repeat(counts, 2), 0) for counts in (even, lower)]
    found = population_stability_index(np.arange(200.0), *twice)
    assert found == pytest.approx(expected)


def test_variation_of_information_counts_what_is_not_shared() -> None:
    assert variation_of_information(np.diag([5, 7, 2])) == pytest.approx(0)
    # Independent halves: each leaves the other's whole bit open.
    assert variation_of_information([[5, 5], [5, 5]]) == pytest.approx(2 * math.log(2))
    assert variation_of_information([[5, 0], [5, 0]]) == pytest.approx(math.log(2))


@given(hnp.arrays(np.int64, (3, 4), elements=st.integers(0, 9)).filter(lambda t: t.sum() > 0))
def test_variation_of_information_does_not_know_the_clusters_names(table) -> None:
    found = variation_of_information(table)
    assert found == pytest.approx(variation_of_information(table[::-1, [2, 0, 3, 1]]), abs=1e-12)
    assert found == pytest.approx(variation_of_information(table.T), abs=1e-12)
    assert found >= 0


@pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [1, 2, 3]])
def test_counts_that_are_no_histogram_are_refused(counts) -> None:
    with pytest.raises(DataError, match="a histogram needs 2 counts"):
        wasserstein([0.0, 1.0], [1, 1], counts)
