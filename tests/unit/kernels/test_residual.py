"""The residual: what PCA discards still counts, with a variance of its own."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from shoal.kernels.departures import implied_gaussian
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.preparation import Preparation, fit_preparation


def names(n: int) -> list[str]:
    return [f"f{i}" for i in range(n)]


def fit(values, **settings) -> Preparation:
    return fit_preparation(values, feature_names=names(np.shape(values)[1]), **settings)


def noisy_factors(noise, n=20_000):
    """Rows of two factors in ten features, each with noise of its own."""
    rng = np.random.default_rng(7)
    loading = np.linalg.qr(rng.normal(size=(10, 2)))[0] * 5.0
    return rng.normal(size=(n, 2)) @ loading.T + noise * rng.normal(size=(n, 10))


def test_noise_all_alike_gives_the_density_of_probabilistic_pca():
    noisy = noisy_factors(0.3)
    fitted = fit(noisy, explained_variance=0.9, scale_floor=1.0)  # floor: a common scale
    prepared = replace(
        fitted, center=np.zeros(10), scale=np.ones(10), pca_mean=noisy.mean(axis=0),
        residual_variances=np.full(10, 0.09),
    )  # fmt: skip
    components, projected = prepared.pca_components, prepared.project(noisy)
    whole = components.T @ np.cov(projected.T) @ components
    whole += 0.09 * (np.eye(10) - components.T @ components)
    kept = multivariate_normal(projected.mean(axis=0), np.cov(projected.T))
    rows = noisy[:5]
    np.testing.assert_allclose(
        kept.logpdf(projected[:5]) + prepared.residual(rows).log_density,
        multivariate_normal(prepared.pca_mean, whole).logpdf(rows),
        rtol=1e-9,
    )


def test_each_feature_has_the_noise_that_it_shows():
    noise = np.repeat([0.2, 0.6], 5)
    prepared = fit(noisy_factors(noise), explained_variance=0.9)
    assert len(prepared.pca_components) == 2
    own = prepared.residual_variances * prepared.scale**2
    assert np.corrcoef(own, noise**2)[0, 1] > 0.7
    standardized = prepared.standardize(noisy_factors(noise))
    centered = standardized - prepared.pca_mean
    discarded = centered - prepared.project(standardized) @ prepared.pca_components
    squared = (discarded**2 / prepared.residual_variances).sum(axis=1)
    assert squared.mean() == pytest.approx(8.0, rel=0.02)


def test_reasons_and_scores_are_of_the_same_gaussian():
    prepared = fit(noisy_factors(np.repeat([0.2, 0.6], 5)), explained_variance=0.9)
    mean, covariance = np.array([0.5, -1.0]), np.array([[2.0, 0.3], [0.3, 1.0]])
    implied = multivariate_normal(*implied_gaussian(prepared, mean, covariance))
    rows = np.random.default_rng(0).normal(size=(6, 10))
    own = multivariate_normal(mean, covariance).logpdf(prepared.project(rows))
    own += prepared.residual(rows).log_density
    np.testing.assert_allclose(own, implied.logpdf(rows), rtol=1e-9)


def test_residual_is_zero_when_nothing_is_discarded():
    values = np.random.default_rng(8).normal(size=(50, 2))
    prepared = fit(values)
    standardized = prepared.standardize(values)
    assert (prepared.residual(standardized).distance == 0.0).all()
    assert (prepared.residual(standardized).log_density == 0.0).all()
    back = prepared.pca_mean + prepared.project(standardized) @ prepared.pca_components
    np.testing.assert_allclose(back, standardized, atol=1e-12)


def test_residual_sees_what_pca_hides():
    """Field notes: AUROC 0.47 in PCA space, 0.97 with the residual."""
    rng = np.random.default_rng(9)
    loading, noise = rng.normal(size=(8, 40)), 0.5

    def draw(n):
        return rng.normal(size=(n, 8)) @ loading + noise * rng.normal(size=(n, 40))

    clean, test = draw(2000), draw(1000)
    odd = np.arange(1000) < 100
    test[odd, rng.integers(0, 40, 100)] += 8 * noise
    prepared = fit(clean, explained_variance=0.95)
    mixture = fit_mixture(prepared.project(prepared.standardize(clean)), n_components=2).mixture
    standardized = prepared.standardize(test)
    alone = -mixture.log_density(prepared.project(standardized))
    both = alone - prepared.residual(standardized).log_density
    assert len(prepared.pca_components) < 40
    assert roc_auc_score(odd, alone) < 0.8
    assert roc_auc_score(odd, both) >= 0.95


def test_constant_and_repeated_features_do_not_shrink_the_residual_variance():
    rng = np.random.default_rng(20)
    varying = rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(
        size=(2000, 8)
    )
    padded = np.column_stack([varying, np.full((2000, 12), 2.0), varying[:, :1] * 3.0 + 1.0])
    alone, whole = fit(varying, explained_variance=0.9), fit(padded, explained_variance=0.9)
    assert whole.residual_dimensions == 8 - len(whole.pca_components)
    assert np.median(whole.residual_variances[:8]) > 0.5 * np.median(alone.residual_variances)

    # The discarded part of a reference row is as long as its variances say.
    def squared(prepared, rows):
        standardized = prepared.standardize(rows)
        middle = prepared.pca_mean[np.newaxis]
        highest = prepared.residual(middle).log_density  # of a row without a residual
        return 2.0 * (highest - prepared.residual(standardized).log_density).mean()

    assert squared(whole, padded) == pytest.approx(whole.residual_dimensions, rel=0.1)
    # What never varied still counts when it does.
    odd = padded[:1].copy()
    odd[0, 10] = 4.0
    density = whole.residual(whole.standardize(np.vstack([padded, odd]))).log_density
    assert density[-1] < density[:-1].min() - 100.0


def test_only_constants_discarded_leave_a_density_without_a_constant_term():
    values = np.column_stack([np.random.default_rng(21).normal(size=(50, 2)), np.ones((50, 3))])
    prepared = fit(values)
    assert prepared.residual_dimensions == 0
    density = prepared.residual(prepared.standardize(values)).log_density
    np.testing.assert_allclose(density, 0.0, atol=1e-9)
    assert prepared.residual(prepared.standardize(values + 1.0)).log_density.max() < -100.0
