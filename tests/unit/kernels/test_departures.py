"""Departures of features from what the others imply."""

import numpy as np
import pytest

from shoal.kernels.departures import (
    LEAST_USUAL,
    Departures,
    implied_gaussian,
    joint_precision,
    total_departure,
    usual_departures,
)
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.preparation import fit_preparation

RNG = np.random.default_rng(3)


def rows_of(n_rows: int, n_features: int) -> np.ndarray:
    """Two groups along a few factors, and noise."""
    factors = RNG.normal(size=(n_rows, 3)) + 4 * (np.arange(n_rows)[:, np.newaxis] % 2)
    return factors @ RNG.normal(size=(3, n_features)) + 0.5 * RNG.normal(size=(n_rows, n_features))


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
@pytest.mark.parametrize("max_components", [3, 12])
def test_departures_are_those_from_the_gaussian_that_is_implied(
    covariance_type: str, max_components: int
) -> None:
    """Through PCA and residual, and where nothing is discarded."""
    values = rows_of(400, 12)
    preparation = fit_preparation(
        values,
        feature_names=[f"f{n}" for n in range(12)],
        is_count=[False] * 12,
        max_components=max_components,
        explained_variance=1.0,
    )
    standardized = preparation.standardize(values)
    projected = preparation.project(standardized)
    mixture = fit_mixture(projected, n_components=2, covariance_type=covariance_type).mixture
    components = np.argmax(mixture.weighted_log_density(projected), axis=1)
    assert set(components) == {0, 1}
    found = Departures.of(preparation, mixture, standardized, projected, components)
    for row in (0, 1, 7):
        mean, covariance = implied_gaussian(
            preparation,
            mixture.means[components[row]],
            mixture.full_covariances()[components[row]],
        )
        precision = np.linalg.inv(covariance)
        deviation = standardized[row] - mean
        pull = precision @ deviation
        alike = {"rel": 1e-6, "abs": 1e-9}
        assert found.deviation[row] == pytest.approx(deviation, **alike)
        assert found.pull[row] == pytest.approx(pull, **alike)
        assert found.precision[row] == pytest.approx(np.diagonal(precision), **alike)
        assert found.squared[row] == pytest.approx(pull**2 / np.diagonal(precision), **alike)
        columns = np.array([1, 4, 11])
        block = joint_precision(preparation, mixture, int(components[row]), columns)
        assert block == pytest.approx(precision[np.ix_(columns, columns)], **alike)


def test_no_single_feature_rules_and_many_small_ones_add_up() -> None:
    usual = np.full(50, 4.0)
    one_far, many_small = np.zeros(50), np.full(50, 4.0)
    one_far[0] = 4.0 * 1e9
    far, small = total_departure(np.stack([one_far, many_small]), usual)
    assert far == pytest.approx(np.log1p(1e9))
    assert small == pytest.approx(50 * np.log(2))
    assert small > far


def test_what_is_usual_is_not_less_than_noise() -> None:
    squared = np.column_stack([np.zeros(100), np.arange(100.0)])
    assert usual_departures(squared) == pytest.approx([LEAST_USUAL, 94.05])
