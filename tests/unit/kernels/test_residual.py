"""The residual: what PCA discards still counts, with a variance of its own."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from shoal.kernels.mixture import fit_mixture
from shoal.kernels.preparation import Preparation, fit_preparation


def names(n: int) -> list[str]:
    return [f"f{i}" for i in range(n)]


def fit(values, **settings) -> Preparation:
    return fit_preparation(values, feature_names=names(np.shape(values)[1]), **settings)


def test_residual_variance_is_recovered_and_gives_the_density_of_ppca():
    rng = np.random.default_rng(7)
    loading = np.linalg.qr(rng.normal(size=(10, 2)))[0] * 5.0
    noisy = rng.normal(size=(20_000, 2)) @ loading.T + 0.3 * rng.normal(size=(20_000, 10))
    prepared = Preparation(
        tuple(names(10)), np.zeros(10, bool), np.zeros(10), np.ones(10), *pca_of(noisy), 8
    )
    assert prepared.residual_variance == pytest.approx(0.09, rel=0.05)
    rows = noisy[:5]
    kept = multivariate_normal(np.zeros(2), np.cov(prepared.project(noisy).T))
    components = prepared.pca_components
    whole = components.T @ np.cov(prepared.project(noisy).T) @ components
    whole += prepared.residual_variance * (np.eye(10) - components.T @ components)
    np.testing.assert_allclose(
        kept.logpdf(prepared.project(rows)) + prepared.residual_log_density(rows),
        multivariate_normal(prepared.pca_mean, whole).logpdf(rows),
        rtol=1e-9,
    )


def pca_of(rows):
    prepared = fit(rows, explained_variance=0.9, scale_floor=1e3)  # floor: a common scale
    return np.mean(rows, axis=0), prepared.pca_components, prepared_noise(rows, prepared)


def prepared_noise(rows, prepared):
    centered = rows - rows.mean(axis=0)
    discarded = centered - centered @ prepared.pca_components.T @ prepared.pca_components
    return float((discarded**2).sum(axis=1).mean() / 8)


def test_residual_is_zero_when_nothing_is_discarded():
    values = np.random.default_rng(8).normal(size=(50, 2))
    prepared = fit(values)
    standardized = prepared.standardize(values)
    assert prepared.residual_variance == 0.0
    assert (prepared.residual_distance(standardized) == 0.0).all()
    assert (prepared.residual_log_density(standardized) == 0.0).all()
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
    both = alone - prepared.residual_log_density(standardized)
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
    assert whole.residual_variance == pytest.approx(alone.residual_variance, rel=0.3)
    # The discarded part of a reference row is as long as its variance says.
    squared = whole.residual_distance(whole.standardize(padded)) ** 2
    expected = whole.residual_dimensions * whole.residual_variance
    assert squared.mean() == pytest.approx(expected, rel=0.05)
    # What never varied still counts when it does.
    odd = padded[:1].copy()
    odd[0, 10] = 4.0
    density = whole.residual_log_density(whole.standardize(np.vstack([padded, odd])))
    assert density[-1] < density[:-1].min() - 100.0


def test_only_constants_discarded_leave_a_density_without_a_constant_term():
    values = np.column_stack([np.random.default_rng(21).normal(size=(50, 2)), np.ones((50, 3))])
    prepared = fit(values)
    assert prepared.residual_dimensions == 0
    density = prepared.residual_log_density(prepared.standardize(values))
    np.testing.assert_allclose(density, 0.0, atol=1e-9)
    assert prepared.residual_log_density(prepared.standardize(values + 1.0)).max() < -100.0
