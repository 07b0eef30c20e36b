"""Two mixtures in one space, and how far their components moved."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from shoal.kernels.components import Space, component_shifts, components_in, mean_of
from shoal.kernels.gaussians import Mixture
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import Preparation

RNG = np.random.default_rng(17)
NAMES = ("launches", "peers", "share", "hours")
AXES = np.linalg.qr(RNG.normal(size=(4, 4)))[0][:3]


def preparation(names=NAMES, *, scale=1.0, is_logged=False, axes=AXES):
    n = len(names)
    return Preparation(
        names, np.full(n, is_logged), np.arange(n, dtype=float), np.full(n, scale),
        np.linspace(0.1, 0.4, n), axes, np.full(n, 0.3), 1,
    )  # fmt: skip


def mixture(k=3, seed=3):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, 3, 3)) / 4.0
    covariances = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(3)
    weights = np.arange(1.0, k + 1.0)
    return Mixture(weights / weights.sum(), rng.normal(0, 6, (k, 3)), covariances, "full")


def geometry(own, prep=None):
    prep = prep or preparation()
    return PeerGeometry(prep, own, own.means, np.ones(len(prep.feature_names)))


def shifts(one, other, *, own=()):
    space = Space.between(one.preparation, other.preparation, own)
    return component_shifts(space.components(one), space.components(other), top=2)


def test_the_same_mixture_has_not_moved():
    own = geometry(mixture())
    for shift in shifts(own, own):
        assert shift.reference == shift.analysis
        assert shift.mean_shift == pytest.approx(0.0, abs=1e-9)
        assert shift.hellinger == pytest.approx(0.0, abs=1e-6)
        assert shift.weight_shift == 0.0
        assert shift.features == ()


def test_permuted_components_have_not_moved():
    one = mixture()
    order = [2, 0, 1]
    other = Mixture(one.weights[order], one.means[order], one.covariances[order], "full")
    found = shifts(geometry(one), geometry(other))
    assert [order[shift.analysis] for shift in found] == [0, 1, 2]
    assert max(shift.mean_shift for shift in found) < 1e-6
    assert max(abs(shift.weight_shift) for shift in found) < 1e-12


def test_another_scaling_of_the_same_gaussians_has_not_moved():
    # All of its space is kept, so that nothing is said twice, by axes and by what they discard.
    axes = np.eye(4)
    one = preparation(axes=axes)
    other = replace(one, scale=one.scale * 2.0, center=one.center + 1.0)
    rng = np.random.default_rng(1)
    means = rng.normal(0, 5, (2, 4))
    spread = np.array([np.diag([1.0, 2.0, 3.0, 4.0]), np.eye(4)])
    there = (means + one.pca_mean - 1.0) / 2.0 - one.pca_mean
    weights = np.array([0.3, 0.7])
    found = shifts(
        geometry(Mixture(weights, means, spread, "full"), one),
        geometry(Mixture(weights, there, spread / 4.0, "full"), other),
    )
    assert max(shift.mean_shift for shift in found) < 1e-9
    assert max(shift.hellinger for shift in found) < 1e-6


def test_a_shift_is_told_in_standard_deviations_and_by_the_features_that_carry_it():
    one = mixture()
    step = AXES @ np.array([0.0, 0.0, 1.5, 0.0])
    other = replace(one, means=one.means + step)
    found = shifts(geometry(one), geometry(other))
    for old, shift in enumerate(found):
        inverse = np.linalg.inv(one.covariances[old] + 1e-6 * np.eye(3))
        assert shift.mean_shift == pytest.approx(
            mahalanobis(other.means[old], one.means[old], inverse), rel=1e-6
        )
        moved = AXES.T @ step
        [first, second] = shift.features
        order = np.argsort(-np.abs(moved))
        assert [first.feature, second.feature] == [NAMES[place] for place in order[:2]]
        assert first.shift_sd == pytest.approx(moved[order[0]])
        assert first.now - first.before == pytest.approx(moved[order[0]])


def test_only_what_both_models_mean_alike_is_compared():
    one = geometry(mixture())
    fewer = preparation((*NAMES[:2], "hours", "profile_1"))
    other = geometry(mixture(), fewer)
    space = Space.between(one.preparation, fewer, ["profile_1"])
    assert space.names == ("launches", "peers", "hours")
    found = space.components(other)
    assert found.names == space.names
    assert found.means.shape == (3, 3)
    logged = preparation(is_logged=True)
    assert Space.between(one.preparation, logged, []).names == ()


def test_where_there_are_more_components_what_is_far_from_all_is_new():
    one = mixture(2)
    far = np.full((1, 3), 100.0)
    other = Mixture(
        np.append(one.weights * 0.8, 0.2), np.vstack([far, one.means])[[1, 2, 0]],
        np.concatenate([one.covariances, one.covariances[:1]]), "full",
    )  # fmt: skip
    *pairs, born = shifts(geometry(one), geometry(other))
    assert [(shift.reference, shift.analysis) for shift in pairs] == [(0, 0), (1, 1)]
    assert (born.reference, born.analysis, born.weight_shift) == (-1, 2, 0.2)
    assert not born.is_pair
    assert born.hellinger == 1.0
    *_, died = shifts(geometry(other), geometry(one))
    assert (died.reference, died.analysis, died.weight_shift) == (2, -1, -0.2)


def test_means_by_weight():
    found = shifts(geometry(mixture()), geometry(mixture()))
    weights = mixture().weights
    assert mean_of([1.0, 2.0, 3.0], found) == pytest.approx(weights @ [1.0, 2.0, 3.0])
    assert mean_of([], []) == 0.0


def test_components_given_in_the_space_itself():
    own = mixture()
    prep = preparation()
    found = components_in(prep, own.weights, own.means, own.covariances)
    assert found.names == NAMES
    np.testing.assert_allclose(found.standardized, prep.pca_mean + own.means @ AXES)
    np.testing.assert_allclose(found.native, found.standardized + prep.center)
    expected = own.weights @ [np.trace(c) + 3e-6 for c in own.covariances]
    assert found.radius == pytest.approx(np.sqrt(expected))
