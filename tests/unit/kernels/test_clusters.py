"""Numbers of clusters: the elbow and the silhouette of a curve."""

import numpy as np
import pytest

from shoal.kernels.clusters import ClusterTrial, elbow, try_clusters


def shoals(k, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(12.0 * np.eye(k), 60, axis=0) + rng.normal(size=(60 * k, k))


@pytest.mark.parametrize("k", [3, 4])
def test_the_elbow_and_the_best_silhouette_are_at_the_true_number(k):
    trials = try_clusters(shoals(k), range(1, 9), random_state=0)
    assert elbow(trials) == k
    assert max(trials, key=lambda trial: trial.silhouette).n_clusters == k
    inertia = [trial.inertia for trial in trials]
    assert inertia[0] > inertia[k - 1]
    assert trials[0].silhouette == 0.0


def test_short_and_flat_curves_have_an_elbow():
    assert elbow([ClusterTrial(2, 1.0, 0.0)]) == 2
    assert elbow([ClusterTrial(1, 2.0, 0.0), ClusterTrial(2, 1.0, 0.0)]) == 2
    assert elbow(try_clusters(np.ones((9, 2)), (1, 2, 3), random_state=0)) in (1, 2, 3)
