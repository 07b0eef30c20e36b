"""Peer models: what is measured of a row."""

import numpy as np

from shoal.kernels.gaussians import Mixture
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import Preparation


def geometry(means):
    plain = Preparation(
        feature_names=("a", "b"),
        is_logged=np.zeros(2, dtype=bool),
        center=np.zeros(2),
        scale=np.ones(2),
        pca_mean=np.zeros(2),
        pca_components=np.eye(2),
        residual_variances=np.ones(2),
        residual_dimensions=0,
    )
    k = len(means)
    mixture = Mixture(np.full(k, 1.0 / k), np.asarray(means, dtype=float), np.ones(k), "spherical")
    return PeerGeometry(plain, mixture, mixture.means, np.ones(len(plain.center)))


def test_second_component_of_a_far_stray_is_the_second_nearest():
    """Its responsibilities underflow to 1, 0, 0, 0: by them the second would be arbitrary."""
    measures = geometry([[900.0, 0.0], [0.0, 0.0], [100.0, 0.0], [300.0, 0.0]]).measure(
        np.array([[-500.0, 0.0], [2000.0, 0.0]])
    )
    assert (np.sort(measures.responsibilities(), axis=1)[:, :3] == 0.0).all()
    first, second = measures.top_two()
    assert first.tolist() == [1, 0]
    assert second.tolist() == [2, 3]


def test_a_single_component_has_no_second():
    measures = geometry([[0.0, 0.0]]).measure(np.ones((3, 2)))
    first, second = measures.top_two()
    assert (first.tolist(), second.tolist()) == ([0, 0, 0], [-1, -1, -1])
    assert (measures.entropy() == 0.0).all()


def test_measures_are_those_of_the_mixture():
    X = np.random.default_rng(0).normal(size=(20, 2)) * 3.0
    shoals = geometry([[0.0, 0.0], [2.0, 1.0]])
    measures = shoals.measure(X)
    np.testing.assert_allclose(measures.log_density, shoals.mixture.log_density(X))
    np.testing.assert_allclose(measures.responsibilities(), shoals.mixture.responsibilities(X))
