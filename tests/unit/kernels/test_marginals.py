"""Marginal evidence: rare bins surprise, and what lies beyond all surprises most."""

import numpy as np
import pytest

from shoal.errors import ConfigError
from shoal.kernels.marginals import fit_marginals


def test_surprise_is_the_share_of_a_bin_relative_to_the_fullest():
    rows = np.repeat([[0.05], [0.55], [0.95]], (60, 30, 10), axis=0)
    found = fit_marginals(rows, n_bins=2)
    expected = [-np.log(60.5 / 60.5), -np.log(40.5 / 60.5), -np.log(0.5 / 60.5)]
    np.testing.assert_allclose(found.strangeness([[0.1], [0.9], [7.0]]), expected)
    np.testing.assert_allclose(found.strangeness([[-7.0]]), expected[2])


def test_features_add_up_and_an_empty_bin_is_not_impossible():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=500), np.repeat([0.0, 9.0], (499, 1))])
    found = fit_marginals(rows)
    one = fit_marginals(rows[:, :1]).strangeness(rows[:, :1])
    two = fit_marginals(rows[:, 1:]).strangeness(rows[:, 1:])
    np.testing.assert_allclose(found.strangeness(rows), one + two)
    assert np.isfinite(found.strangeness([[0.0, 4.5]])).all()


def test_a_departure_from_a_constant_surprises():
    found = fit_marginals(np.full((99, 1), 3.0))
    np.testing.assert_allclose(found.strangeness([[3.0], [3.1]]), [0.0, np.log(99.5 / 0.5)])


def test_a_histogram_needs_a_bin():
    with pytest.raises(ConfigError, match="'n_bins' must be 1 or more"):
        fit_marginals(np.ones((3, 1)), n_bins=0)
