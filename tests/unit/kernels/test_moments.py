"""Sums of a night by component."""

import numpy as np
from sklearn.mixture import GaussianMixture

from shoal.kernels.gaussians import Mixture
from shoal.kernels.moments import Moments

RNG = np.random.default_rng(2)
ROWS = np.vstack([RNG.normal(0, 1, (80, 3)), RNG.normal(4, 2, (120, 3))])
FITTED = GaussianMixture(2, random_state=0, tol=1e-8, max_iter=500).fit(ROWS)
MIXTURE = Mixture(FITTED.weights_, FITTED.means_, FITTED.covariances_, "full")


def test_of_the_rows_that_a_mixture_was_fitted_on_they_give_that_mixture():
    weights, means, covariances = Moments.of(MIXTURE, ROWS).estimates(np.arange(2))
    np.testing.assert_allclose(weights, FITTED.weights_, atol=1e-4)
    np.testing.assert_allclose(means, FITTED.means_, atol=1e-3)
    np.testing.assert_allclose(covariances, FITTED.covariances_, atol=1e-2)


def test_nights_add_up():
    whole = Moments.of(MIXTURE, ROWS)
    parts = Moments.of(MIXTURE, ROWS[::2]) + Moments.of(MIXTURE, ROWS[1::2])
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(one, other)


def test_components_of_few_rows_are_told_apart():
    moments = Moments.of(MIXTURE, ROWS[:80])
    assert moments.known(40).tolist() == [int(np.argmax(moments.rows))]
    np.testing.assert_allclose(moments.rows.sum(), 80)
    weights, _, _ = moments.estimates(moments.known(40))
    np.testing.assert_allclose(weights[0], moments.rows.max() / 80)
