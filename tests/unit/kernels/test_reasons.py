"""Reasons: exact drops of the distance, ranked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError, DataError
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.peer_model import PeerGeometry, explain_row
from shoal.kernels.preparation import fit_preparation
from shoal.kernels.reasons import implied_gaussian, joint_reason, rank_reasons


def distance(z, mean, covariance):
    return (z - mean) @ np.linalg.solve(covariance, z - mean)


def random_gaussian(seed, d=6):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    return rng.normal(size=d) * 5, rng.normal(size=d), root @ root.T + 0.1 * np.eye(d)


@given(st.integers(0, 10_000))
def test_contribution_is_the_exact_drop_when_a_feature_is_as_expected(seed):
    z, mean, covariance = random_gaussian(seed)
    before = distance(z, mean, covariance)
    reasons = rank_reasons(z, mean, covariance, top=len(z))
    assert sorted(reason.index for reason in reasons) == list(range(len(z)))
    for reason in reasons:
        j = reason.index
        moved = z.copy()
        moved[j] = reason.expected_standardized
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
    columns = np.array([1, 4, 5])
    contribution, expected = joint_reason(z, mean, covariance, columns)
    moved = z.copy()
    moved[columns] = expected
    drop = before - distance(moved, mean, covariance)
    assert drop == pytest.approx(contribution, rel=1e-6, abs=1e-6 * before)
    for step in np.eye(3) * 0.1:
        nudged = moved.copy()
        nudged[columns] += step
        assert distance(nudged, mean, covariance) > before - drop - 1e-9 * before
    # Of one feature it is what it adds alone.
    [alone] = [r for r in rank_reasons(z, mean, covariance, top=6) if r.index == 4]
    one, _ = joint_reason(z, mean, covariance, np.array([4]))
    assert one == pytest.approx(alone.contribution)


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
    reasons, _ = explain_row(geometry, single + spread, top=8, n_joint=4)
    assert [reason.index for reason in reasons].count(4) == 1
    assert {reason.index for reason in reasons} == {0, 1, 2, 3, 4}
    assert reasons[0].index == 1
    spread[4:] *= 3.0
    reasons, expected = explain_row(geometry, single + spread, top=1, n_joint=4)
    assert [reason.index for reason in reasons] == [4]
    assert reasons[0].contribution == pytest.approx(36.0, rel=0.2)
    np.testing.assert_allclose(expected[4:], 0.0, atol=0.5)
    unknown = spread.copy()
    unknown[4:] = np.nan
    reasons, _ = explain_row(geometry, unknown, top=8, n_joint=4)
    assert {reason.index for reason in reasons} == {0, 1, 2, 3}


def test_expectation_is_the_regression_on_the_others():
    covariance = np.array([[4.0, 1.0], [1.0, 2.0]])
    reasons = rank_reasons([5.0, 3.0], np.array([1.0, 1.0]), covariance)
    expected = {reason.index: reason.expected_standardized for reason in reasons}
    assert expected == pytest.approx({0: 1.0 + 0.5 * 2.0, 1: 1.0 + 0.25 * 4.0})


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_planted_feature_comes_first_under_strong_correlation(sign):
    rng = np.random.default_rng(0)
    covariance = np.full((8, 8), 0.9) + 0.1 * np.eye(8)
    rows = rng.multivariate_normal(np.zeros(8), covariance, size=300)
    first = naive_first = 0
    for i, row in enumerate(rows):
        row[i % 8] += sign * 2.0
        reason = rank_reasons(row, np.zeros(8), covariance)[0]
        first += reason.index == i % 8 and reason.direction == ("high" if sign > 0 else "low")
        naive_first += int(np.argmax(np.abs(row))) == i % 8
    assert first / 300 >= 0.98
    assert naive_first / 300 < 0.9  # the size of the value alone would mislead


def test_reasons_come_strongest_first_and_ties_go_by_column():
    z, mean, covariance = random_gaussian(1)
    every = rank_reasons(z, mean, covariance, top=len(z))
    contributions = [reason.contribution for reason in every]
    assert contributions == sorted(contributions, reverse=True)
    assert rank_reasons(z, mean, covariance, top=3) == every[:3]
    for reason in every:
        assert (reason.direction == "high") == (z[reason.index] > reason.expected_standardized)
    tied = rank_reasons(np.array([2.0, -2.0, 2.0]), np.zeros(3), np.eye(3), top=9)
    assert [reason.index for reason in tied] == [0, 1, 2]
    assert [reason.direction for reason in tied] == ["high", "low", "high"]


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
    mean, covariance = implied_gaussian(prepared, mixture.means[0], mixture.covariances[0])
    odd = rng.normal(size=(50, 3)) @ loading + 0.2 * rng.normal(size=(50, 12))
    planted = np.arange(50) % 12
    odd[np.arange(50), planted] += 8 * 0.2
    rows = prepared.standardize(odd)
    named = [rank_reasons(row, mean, covariance)[0].index for row in rows]
    assert np.mean(named == planted) >= 0.8  # one in twelve by chance


def test_unusable_input_is_refused():
    zero, eye = np.zeros(2), np.eye(2)
    with pytest.raises(DataError, match="not positive definite"):
        rank_reasons(zero, zero, np.ones((2, 2)))
    with pytest.raises(DataError, match="same features"):
        rank_reasons(np.zeros(3), zero, eye)
    with pytest.raises(DataError, match="must be finite"):
        rank_reasons([np.nan, 0.0], zero, eye)
    with pytest.raises(ConfigError, match="top"):
        rank_reasons(zero, zero, eye, top=0)
    prepared = fit_preparation(np.eye(3), feature_names=list("abc"))
    with pytest.raises(DataError, match="dimensions"):
        implied_gaussian(prepared, np.zeros(9), np.eye(9))
