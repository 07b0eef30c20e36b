"""Reasons: exact drops of the distance, ranked."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError, DataError
from shoal.kernels.departures import Departures, implied_gaussian
from shoal.kernels.gaussians import Mixture
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import Preparation, fit_preparation
from shoal.kernels.reasons import LARGE_WEIGHT, TELLING, explain_rows


def distance(z, mean, covariance):
    return (z - mean) @ np.linalg.solve(covariance, z - mean)


def geometry_of(*gaussians, weights=None):
    """Components ``(mean, covariance)`` in native units: nothing is scaled or discarded."""
    means, covariances = (np.array(part) for part in zip(*gaussians, strict=True))
    d = means.shape[1]
    preparation = Preparation(
        feature_names=tuple(f"f{n}" for n in range(d)),
        is_logged=np.zeros(d, dtype=bool),
        center=np.zeros(d),
        scale=np.ones(d),
        pca_mean=np.zeros(d),
        pca_components=np.eye(d),
        residual_variances=np.ones(d),
        residual_dimensions=0,
    )
    shares = np.full(len(means), 1 / len(means)) if weights is None else np.array(weights)
    mixture = Mixture(weights=shares, means=means, covariances=covariances, covariance_type="full")
    return PeerGeometry(preparation, mixture, means, np.ones(d))


def random_gaussian(seed, d=6):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    return rng.normal(size=d) * 5, rng.normal(size=d), root @ root.T + 0.1 * np.eye(d)


@cache
def random_geometry(seed, n_kept):
    """A geometry of 12 features, some logged, whose PCA keeps ``n_kept``; and rows of it."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 12)) + rng.normal(size=(300, 12))
    values[:, :3] = np.exp(values[:, :3])
    prepared = fit_preparation(
        values,
        feature_names=[f"f{n}" for n in range(12)],
        is_count=[n < 3 for n in range(12)],
        explained_variance=1.0,
        max_components=n_kept,
    )
    projected = prepared.project(prepared.standardize(values))
    mixture = fit_mixture(projected, n_components=2).mixture
    geometry = PeerGeometry(prepared, mixture, mixture.means, np.ones(12))
    return geometry, values[:20] + rng.normal(size=(20, 12))


def explained_distance(geometry, standardized, component):
    """Mahalanobis distance in PCA space plus the residual's, by their own definitions."""
    prepared = geometry.preparation
    [projected] = prepared.project(standardized[np.newaxis])
    inside = distance(
        projected,
        geometry.mixture.means[component],
        geometry.mixture.full_covariances()[component],
    )
    centered = standardized - prepared.pca_mean
    axes = prepared.pca_components
    discarded = centered - axes.T @ (axes @ centered)
    return inside + (discarded**2 / prepared.residual_variances).sum()


@pytest.mark.parametrize("n_kept", [3, 8, 12])
@given(seed=st.integers(0, 10_000))
def test_parts_sum_to_what_is_explained_through_pca_and_residual(n_kept, seed):
    geometry, rows = random_geometry(seed % 8, n_kept)
    standardized = geometry.preparation.standardize(rows)
    projected = geometry.preparation.project(standardized)
    components = np.arange(len(rows)) % 2
    found = Departures.of(
        geometry.preparation, geometry.mixture, standardized, projected, components
    )
    for row, component in enumerate(components):
        whole = explained_distance(geometry, standardized[row], component)
        assert found.parts[row].sum() == pytest.approx(whole, rel=1e-6)
        assert found.distance[row] == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("n_kept", [3, 8, 12])
@given(seed=st.integers(0, 10_000))
def test_a_feature_set_to_what_is_expected_takes_exactly_its_contribution_away(n_kept, seed):
    geometry, rows = random_geometry(seed % 8, n_kept)
    prepared = geometry.preparation
    found = explain_rows(geometry, rows)
    weighted = geometry.mixture.weighted_log_density(prepared.project(prepared.standardize(rows)))
    row = seed % len(rows)
    component = int(np.argmax(weighted[row]))
    standardized = prepared.standardize(rows)[row]
    before = explained_distance(geometry, standardized, component)
    assert found.distance[row] == pytest.approx(before, rel=1e-6)
    for feature in range(rows.shape[1]):
        moved = rows[row].copy()
        moved[feature] = found.expected[row, feature]
        drop = before - explained_distance(
            geometry, prepared.standardize(moved[np.newaxis])[0], component
        )
        assert drop == pytest.approx(found.contributions[row, feature], rel=1e-6, abs=1e-6 * before)


@given(st.integers(0, 10_000))
def test_contribution_is_the_exact_drop_when_a_feature_is_as_expected(seed):
    z, mean, covariance = random_gaussian(seed)
    before = distance(z, mean, covariance)
    found = explain_rows(geometry_of((mean, covariance)), z[np.newaxis])
    reasons = found.reasons(0, top=len(z))
    assert sorted(reason.index for reason in reasons) == list(range(len(z)))
    for reason in reasons:
        j = reason.index
        moved = z.copy()
        moved[j] = found.expected[0, j]
        drop = before - distance(moved, mean, covariance)
        assert drop == pytest.approx(reason.contribution, rel=1e-6, abs=1e-6 * before)
        # It is the best that feature could do: a little either way is farther.
        for step in (-0.1, 0.1):
            nudged = moved.copy()
            nudged[j] += step
            assert distance(nudged, mean, covariance) > before - drop - 1e-9 * before


@given(st.integers(0, 10_000))
def test_features_together_add_the_exact_drop_when_all_are_as_expected(seed):
    z, mean, covariance = random_gaussian(seed)
    before = distance(z, mean, covariance)
    found = explain_rows(geometry_of((mean, covariance)), z[np.newaxis], n_joint=3)
    columns = np.array([3, 4, 5])
    assert found.contributions.shape == (1, 4)
    moved = z.copy()
    moved[columns] = found.expected[0, columns]
    drop = before - distance(moved, mean, covariance)
    assert drop == pytest.approx(found.contributions[0, 3], rel=1e-6, abs=1e-6 * before)
    for step in np.eye(3) * 0.1:
        nudged = moved.copy()
        nudged[columns] += step
        assert distance(nudged, mean, covariance) > before - drop - 1e-9 * before
    # Of one feature it is what it adds alone.
    one = explain_rows(geometry_of((mean, covariance)), z[np.newaxis], n_joint=1)
    alone = explain_rows(geometry_of((mean, covariance)), z[np.newaxis])
    assert one.contributions == pytest.approx(alone.contributions)


def test_features_told_together_are_one_reason_ranked_beyond_what_chance_brings_them():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(400, 8))
    prepared = fit_preparation(
        values, feature_names=list("abcdefgh"), explained_variance=1.0, max_components=8
    )
    mixture = fit_mixture(prepared.project(prepared.standardize(values)), n_components=1).mixture
    geometry = PeerGeometry(prepared, mixture, mixture.means, np.ones(len(prepared.center)))
    usual = np.zeros(8)
    single, spread = usual.copy(), usual.copy()
    single[1] = 3.0
    spread[4:] = (1.0, -1.0, 1.0, -1.0)  # as long as four features are by chance
    unknown = spread * 3.0
    unknown[4:] = np.nan
    rows = np.stack([single + spread, single + spread * 3.0, unknown])
    found = explain_rows(geometry, rows, n_joint=4)
    reasons = found.reasons(0, top=8)
    assert [reason.index for reason in reasons].count(4) == 1
    assert {reason.index for reason in reasons} == {0, 1, 2, 3, 4}
    assert reasons[0].index == 1
    [first] = found.reasons(1, top=1)
    assert first.index == 4
    assert first.contribution == pytest.approx(36.0, rel=0.2)
    np.testing.assert_allclose(found.expected[1, 4:], 0.0, atol=0.5)
    assert {reason.index for reason in found.reasons(2, top=8)} == {0, 1, 2, 3}


def test_expectation_is_the_regression_on_the_others():
    geometry = geometry_of((np.array([1.0, 1.0]), np.array([[4.0, 1.0], [1.0, 2.0]])))
    found = explain_rows(geometry, np.array([[5.0, 3.0]]))
    assert found.expected[0] == pytest.approx([1.0 + 0.5 * 2.0, 1.0 + 0.25 * 4.0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_planted_feature_comes_first_under_strong_correlation(sign):
    rng = np.random.default_rng(0)
    covariance = np.full((8, 8), 0.9) + 0.1 * np.eye(8)
    rows = rng.multivariate_normal(np.zeros(8), covariance, size=300)
    rows[np.arange(300), np.arange(300) % 8] += sign * 2.0
    found = explain_rows(geometry_of((np.zeros(8), covariance)), rows)
    first = naive_first = 0
    for i, row in enumerate(rows):
        [reason] = found.reasons(i, top=1)
        first += reason.index == i % 8 and reason.direction == ("high" if sign > 0 else "low")
        naive_first += int(np.argmax(np.abs(row))) == i % 8
    assert first / 300 >= 0.98
    assert naive_first / 300 < 0.9  # the size of the value alone would mislead


def test_reasons_come_strongest_first_and_ties_go_by_column():
    z, mean, covariance = random_gaussian(1)
    found = explain_rows(geometry_of((mean, covariance)), z[np.newaxis])
    every = found.reasons(0, top=len(z))
    contributions = [reason.contribution for reason in every]
    assert contributions == sorted(contributions, reverse=True)
    assert found.reasons(0, top=3) == every[:3]
    for reason in every:
        assert (reason.direction == "high") == (z[reason.index] > found.expected[0, reason.index])
    level = geometry_of((np.zeros(3), np.eye(3)))
    tied = explain_rows(level, np.array([[2.0, -2.0, 2.0]])).reasons(0, top=9)
    assert [reason.index for reason in tied] == [0, 1, 2]
    assert [reason.direction for reason in tied] == ["high", "low", "high"]
    with pytest.raises(ConfigError, match="top"):
        found.reasons(0, top=0)


def test_less_than_expected_of_an_amount_is_told_where_nothing_else_tells():
    geometry = geometry_of((np.zeros(4), np.eye(4)))
    amounts = np.array([True, True, False, True])
    enough = np.sqrt(TELLING) + 0.1

    def told(*row):
        found = explain_rows(geometry, np.array([row]), is_one_sided=amounts)
        return [(reason.index, reason.direction) for reason in found.reasons(0, top=4)]

    assert told(-9.0, enough, 0.5, 0.1) == [(1, "high"), (2, "high"), (3, "high")]
    # Of what is no amount, less tells as well, and so makes room for no amount.
    assert told(-9.0, 0.2, -enough, 0.1) == [(2, "low"), (1, "high"), (3, "high")]
    assert told(-9.0, 1.0, 0.5, 0.1)[0] == (0, "low")
    # What a row has no value of tells nothing.
    assert told(-9.0, np.nan, 0.5, 0.1)[0] == (0, "low")


def test_a_stray_with_a_component_of_its_own_is_explained_by_its_peers():
    eye = np.eye(2)
    stray = np.array([[9.0, 0.0]])
    geometry = geometry_of(
        (np.zeros(2), eye), (stray[0], eye * 0.01), weights=[0.99, LARGE_WEIGHT / 5]
    )
    found = explain_rows(geometry, stray)
    assert found.expected[0] == pytest.approx([0.0, 0.0])
    assert found.reasons(0, top=1)[0].contribution == pytest.approx(81.0)
    # Where all components are small the most responsible one explains.
    many = geometry_of(*[(np.full(2, 5.0 * n), eye) for n in range(40)])
    assert explain_rows(many, np.array([[5.0, 5.0]])).distance == pytest.approx([0.0])


@pytest.mark.parametrize("explained_variance", [0.6, 1.0])
def test_implied_gaussian_measures_what_mixture_and_residual_do(explained_variance):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(800, 3)) @ rng.normal(size=(3, 7)) + 0.2 * rng.normal(size=(800, 7))
    prepared = fit_preparation(
        values, feature_names=list("abcdefg"), explained_variance=explained_variance
    )
    standardized = prepared.standardize(values)
    mixture = fit_mixture(prepared.project(standardized), n_components=1).mixture
    mean, covariance = implied_gaussian(prepared, mixture.means[0], mixture.full_covariances()[0])
    whole = mixture.log_density(prepared.project(standardized))
    whole = whole + prepared.residual(standardized).log_density
    _, log_determinant = np.linalg.slogdet(covariance)
    for row, log_density in zip(standardized[:10], whole[:10], strict=True):
        implied = -0.5 * (
            distance(row, mean, covariance) + log_determinant + 7 * np.log(2.0 * np.pi)
        )
        assert implied == pytest.approx(log_density, rel=1e-6)


def test_planted_discarded_direction_is_the_first_reason():
    rng = np.random.default_rng(3)
    loading = rng.normal(size=(3, 12))
    values = rng.normal(size=(1000, 3)) @ loading + 0.2 * rng.normal(size=(1000, 12))
    prepared = fit_preparation(values, feature_names=[f"f{i}" for i in range(12)])
    mixture = fit_mixture(prepared.project(prepared.standardize(values)), n_components=1).mixture
    geometry = PeerGeometry(prepared, mixture, mixture.means, np.ones(12))
    odd = rng.normal(size=(50, 3)) @ loading + 0.2 * rng.normal(size=(50, 12))
    planted = np.arange(50) % 12
    odd[np.arange(50), planted] += 8 * 0.2
    found = explain_rows(geometry, odd)
    named = [found.reasons(row, top=1)[0].index for row in range(50)]
    assert np.mean(named == planted) >= 0.8  # one in twelve by chance


def test_unusable_input_is_refused():
    geometry = geometry_of((np.zeros(3), np.eye(3)))
    with pytest.raises(DataError, match="3"):
        explain_rows(geometry, np.zeros((1, 2)))
    with pytest.raises(DataError, match="infinite"):
        explain_rows(geometry, np.array([[np.inf, 0.0, 0.0]]))
    prepared = fit_preparation(np.eye(3), feature_names=list("abc"))
    with pytest.raises(DataError, match="dimensions"):
        implied_gaussian(prepared, np.zeros(9), np.eye(9))
