"""Preparation: logs, robust scale, PCA, residual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shoal.errors import ConfigError, DataError
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.preparation import Preparation, fit_preparation, winsorize


def names(n: int) -> list[str]:
    return [f"f{i}" for i in range(n)]


def fit(values, **settings) -> Preparation:
    return fit_preparation(values, feature_names=names(np.shape(values)[1]), **settings)


def test_logs_only_declared_heavy_tails_that_are_never_negative():
    rng = np.random.default_rng(0)
    heavy = np.exp(rng.normal(3, 1.5, 2000))
    symmetric = rng.normal(100, 5, 2000)
    signed = heavy - 2.0
    constant = np.full(2000, 7.0)
    values = np.column_stack([heavy, symmetric, signed, constant, heavy])
    declared = [True, True, True, True, False]
    assert fit(values, is_count=declared).is_logged.tolist() == [True, False, False, True, False]
    # Without a declaration the values alone decide, and a constant says nothing.
    assert fit(values).is_logged.tolist() == [True, False, False, False, True]


def test_center_is_the_median_and_scale_the_robust_standard_deviation():
    rng = np.random.default_rng(1)
    values = rng.normal((10.0, -3.0), (2.0, 0.5), (20_000, 2))
    values[:200] = 1e6  # one in a hundred wild rows must not move either
    prepared = fit(values, is_count=[False, False])
    np.testing.assert_allclose(prepared.center, (10.0, -3.0), atol=0.1)
    np.testing.assert_allclose(prepared.scale, (2.0, 0.5), rtol=0.05)


def test_sparse_count_is_scaled_by_its_deviation_and_a_constant_by_the_floor():
    values = np.zeros((100, 2))
    values[:10, 0] = 3.0
    prepared = fit(values, is_count=[False, False])
    np.testing.assert_allclose(prepared.scale, (values[:, 0].std(), 0.05))


def test_departure_from_a_constant_feature_counts():
    rng = np.random.default_rng(2)
    values = np.column_stack([rng.normal(size=(500, 4)), np.ones(500)])
    prepared = fit(values)
    odd = values[:1].copy()
    odd[0, 4] = 2.0
    mixture = fit_mixture(prepared.project(prepared.standardize(values)), n_components=1).mixture

    def log_density(rows):
        standardized = prepared.standardize(rows)
        residual = prepared.residual(standardized).log_density
        return mixture.log_density(prepared.project(standardized)) + residual

    assert log_density(odd)[0] < log_density(values).min() - 100.0


def test_unknown_values_stand_at_the_centre():
    rng = np.random.default_rng(3)
    values = rng.normal(5.0, 1.0, (200, 3))
    values[::4, 1] = np.nan
    values[:, 2] = np.nan
    prepared = fit(values)
    standardized = prepared.standardize(values)
    assert (standardized[np.isnan(values)] == 0.0).all()
    assert prepared.center[1] == np.median(values[1:, 1][~np.isnan(values[1:, 1])])
    assert all(np.isfinite(part).all() for part in (prepared.scale, prepared.pca_components))


def test_infinite_values_are_refused_in_fit_and_in_use():
    values = np.ones((5, 2))
    prepared = fit(values)
    values[2, 0] = np.inf
    with pytest.raises(DataError, match="1 of 5 rows"):
        fit(values)
    with pytest.raises(DataError, match="1 of 5 rows"):
        prepared.standardize(values)


def test_enormous_values_stay_finite_and_stay_strangest():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6))
    prepared = fit(values, explained_variance=0.5)
    odd = np.zeros((3, 6))
    odd[:, 0] = (1e3, 1e30, 1.7e308)
    standardized = prepared.standardize(odd)
    density = prepared.residual(standardized).log_density
    assert np.isfinite(density).all()
    assert (np.diff(density) < 0).all()


def test_scoring_is_not_winsorised_but_fitting_is():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(400, 3))
    values[0] = (1e4, 0.0, 0.0)
    prepared = fit(values, winsorize_sd=4.0)
    assert prepared.standardize(values)[0, 0] > 1000.0
    assert abs(prepared.pca_mean[0]) < 0.2
    assert winsorize([[-9.0, 2.0]], 4.0).tolist() == [[-4.0, 2.0]]


def test_components_are_orthonormal_few_enough_and_explain_enough():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(1000, 3)) @ rng.normal(size=(3, 12))
    values += rng.normal(scale=0.01, size=values.shape)
    prepared = fit(values, explained_variance=0.9)
    q = len(prepared.pca_components)
    np.testing.assert_allclose(
        prepared.pca_components @ prepared.pca_components.T, np.eye(q), atol=1e-12
    )
    standardized = winsorize(prepared.standardize(values), 8.0)
    variances = np.sort(np.linalg.eigvalsh(np.cov(standardized.T)))[::-1]
    share = np.cumsum(variances) / variances.sum()
    assert q == max(2, int(np.argmax(share >= 0.9)) + 1) <= 3
    assert len(fit(values, explained_variance=1.0).pca_components) == 12
    assert len(fit(values, explained_variance=1.0, max_components=5).pca_components) == 5
    assert len(fit(values, explained_variance=0.01).pca_components) == 2


def test_features_in_small_units_are_seen():
    rng = np.random.default_rng(22)
    values = np.column_stack([rng.normal(size=(500, 3)), rng.normal(2e-6, 2e-8, 500)])
    prepared = fit(values, is_count=[False] * 4)
    assert prepared.scale[3] == pytest.approx(0.05 * 2e-6, rel=0.05)
    odd = prepared.standardize(np.array([[0.0, 0.0, 0.0, 4e-6]]))
    assert odd[0, 3] == pytest.approx(20.0, rel=0.05)
    # The floor of features of size 1 and more is as it was, and a constant zero has that one.
    assert fit(np.full((50, 1), 7.0), is_count=[False]).scale == 0.05
    assert fit(np.zeros((50, 1)), is_count=[False]).scale == 0.05


def test_a_form_handed_over_is_kept():
    rng = np.random.default_rng(23)
    heavy = np.exp(rng.normal(3, 1.5, (400, 1)))
    values = np.column_stack([heavy, rng.normal(size=(400, 3)) @ rng.normal(size=(3, 9))])
    whole = fit(values, explained_variance=0.8)
    calm = values[values[:, 0] < np.quantile(values[:, 0], 0.5)][:40]
    own, part = fit(calm, explained_variance=0.99), fit(calm, form=whole.form)
    assert whole.form.is_logged[0]
    assert not own.form.is_logged[0]
    assert part.form.is_logged.tolist() == whole.form.is_logged.tolist()
    assert part.pca_components.shape == whole.pca_components.shape != own.pca_components.shape
    assert part.residual_dimensions == whole.residual_dimensions
    assert (part.center != whole.center).any()


def test_projecting_winsorised_rows_holds_them_in_standard_units():
    values = np.random.default_rng(24).normal(size=(100, 3))
    values[0] = 1e6
    prepared = fit(values)
    expected = prepared.project(winsorize(prepared.standardize(values), 4.0))
    assert (prepared.project_winsorized(values, 4.0) == expected).all()


def test_row_order_does_not_matter():
    rng = np.random.default_rng(10)
    values = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    one, other = fit(values), fit(values[rng.permutation(300)])
    for field in ("center", "scale", "pca_mean", "pca_components", "residual_variances"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_largest_loading_of_each_component_is_positive(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    components = fit(values, explained_variance=1.0).pca_components
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(6), largest] > 0).all()


@pytest.mark.parametrize("values", [np.ones((1, 3)), np.ones((50, 3)), np.ones((4, 1))])
def test_single_and_constant_rows_fit_and_score_finite(values):
    prepared = fit(values)
    standardized = prepared.standardize(values + 1.0)
    assert np.isfinite(prepared.project(standardized)).all()
    assert np.isfinite(prepared.residual(standardized).log_density).all()
    assert (prepared.standardize(values) == 0.0).all()


def test_arrays_alone_score_the_same():
    rng = np.random.default_rng(12)
    values = rng.exponential(size=(100, 4))
    prepared = fit(values, is_count=[True] * 4, explained_variance=0.5)
    stored = {k: getattr(prepared, k) for k in ("center", "scale", "pca_mean", "pca_components")}
    again = Preparation(
        feature_names=prepared.feature_names,
        is_logged=np.asarray(prepared.is_logged.tolist()),
        residual_variances=np.asarray(prepared.residual_variances.tolist()),
        residual_dimensions=prepared.residual_dimensions,
        **{k: np.asarray(v.tolist()) for k, v in stored.items()},
    )
    before, after = prepared.standardize(values), again.standardize(values)
    assert (before == after).all()
    assert (prepared.residual(before).log_density == again.residual(after).log_density).all()
    assert (prepared.project(before) == again.project(after)).all()


@given(arrays(float, (6, 3), elements=st.floats(-1e6, 1e6)))
def test_to_native_undoes_standardize(values):
    prepared = Preparation(
        tuple(names(3)),
        np.array([True, False, True]),
        np.array([0.5, -2.0, 3.0]),
        np.array([0.05, 3.0, 1.0]),
        np.zeros(3),
        np.eye(3),
        0.0,
        0,
    )
    back = prepared.to_native(prepared.standardize(values))
    np.testing.assert_allclose(back, values, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"explained_variance": 0.0}, "explained_variance"),
        ({"explained_variance": 1.5}, "explained_variance"),
        ({"max_components": 0}, "max_components"),
        ({"scale_floor": 0.0}, "scale_floor"),
        ({"winsorize_sd": -1.0}, "'winsorize_sd'"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        fit(np.ones((3, 2)), **setting)


def test_empty_and_misshapen_values_are_refused():
    with pytest.raises(DataError, match="needs rows"):
        fit(np.ones((0, 3)))
    with pytest.raises(DataError, match=r"\(n_rows, 2\)"):
        fit_preparation(np.ones((4, 3)), feature_names=names(2))
    with pytest.raises(DataError, match="is_count"):
        fit(np.ones((4, 3)), is_count=[True])
    with pytest.raises(DataError, match="standardized"):
        fit(np.ones((4, 3))).project(np.ones((4, 2)))


def test_coordinates_of_one_space_share_the_largest_scale():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 4)) * (5.0, 1.0, 0.2, 0.02)
    apart, alike = fit(values), fit(values, n_alike=3)
    np.testing.assert_array_equal(alike.scale, apart.scale[[0, 1, 1, 1]])
    np.testing.assert_array_equal(alike.center, apart.center)
    # Distances within that space are what they were, but for one factor.
    standardized = alike.standardize(values)
    lengths = np.linalg.norm(np.diff(values[:, 1:], axis=0), axis=1)
    scaled = np.linalg.norm(np.diff(standardized[:, 1:], axis=0), axis=1)
    np.testing.assert_allclose(scaled * alike.scale[1], lengths)
