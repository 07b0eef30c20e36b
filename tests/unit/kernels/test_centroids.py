"""k-means centres and assignment."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shoal.errors import ConfigError, DataError
from shoal.kernels.centroids import assign, cluster_spread, fit_kmeans, refit_kmeans

CENTERS = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])


def three_clusters():
    rng = np.random.default_rng(0)
    return np.vstack(
        [c + rng.normal(size=(n, 2)) for c, n in zip(CENTERS, (300, 200, 100), strict=True)]
    )


def test_recovers_planted_centres_largest_first():
    np.testing.assert_allclose(fit_kmeans(three_clusters(), n_clusters=3), CENTERS, atol=0.3)


def test_row_order_and_seed_do_not_matter():
    X = three_clusters()
    centers = fit_kmeans(X, n_clusters=3)
    shuffled = X[np.random.default_rng(1).permutation(len(X))]
    assert (fit_kmeans(shuffled, n_clusters=3) == centers).all()
    np.testing.assert_allclose(fit_kmeans(X, n_clusters=3, random_state=7), centers, atol=1e-9)


def test_clusters_of_one_size_are_ordered_by_coordinates():
    X = np.repeat([[5.0, 1.0], [-5.0, 2.0], [-5.0, 1.0]], 10, axis=0)
    expected = [[-5.0, 1.0], [-5.0, 2.0], [5.0, 1.0]]
    np.testing.assert_allclose(fit_kmeans(X, n_clusters=3), expected)


@pytest.mark.parametrize(
    ("X", "n"), [(np.ones((1, 2)), 1), (np.ones((30, 2)), 1), (np.repeat(np.eye(2), 9, axis=0), 2)]
)
def test_fewer_distinct_rows_than_clusters_give_fewer_centres_and_no_warning(X, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centers = fit_kmeans(X, n_clusters=5)
    assert len(centers) == n
    assert assign(X, centers)[1].max() == 0.0


def test_rows_that_differ_by_rounding_only_leave_no_empty_centre():
    X = np.repeat([[1.0], [np.nextafter(1.0, 2.0)], [9.0]], 10, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        centers = fit_kmeans(X, n_clusters=3)
    assert set(assign(X, centers)[0].tolist()) == set(range(len(centers)))


def test_assign_names_nearest_second_and_distance():
    labels, distance, second = assign([[1.0, 0.0], [15.0, 1.0], [0.0, 10.0]], CENTERS)
    assert labels.tolist() == [0, 1, 0]  # the last row lies half-way: the first centre counts
    np.testing.assert_allclose(distance, (1.0, np.hypot(5.0, 1.0), 10.0))
    assert second.tolist() == [1, 0, 2]


def test_one_centre_has_no_second():
    labels, _, second = assign([[3.0, 4.0]], CENTERS[:1])
    assert (labels.tolist(), second.tolist()) == ([0], [-1])


@given(arrays(float, (5, 2), elements=st.floats(-1e6, 1e6)))
def test_no_centre_is_nearer_than_the_own(X):
    labels, distance, second = assign(X, CENTERS)
    everywhere = np.linalg.norm(X[:, np.newaxis] - CENTERS, axis=2)
    np.testing.assert_allclose(distance, everywhere.min(axis=1), rtol=1e-9)
    assert (labels != second).all()


def test_unusable_input_is_refused():
    with pytest.raises(ConfigError, match="n_clusters"):
        fit_kmeans(CENTERS, n_clusters=0)
    with pytest.raises(DataError, match="at least one row"):
        fit_kmeans(np.zeros((0, 2)), n_clusters=1)
    with pytest.raises(DataError, match="1 of 2 rows"):
        fit_kmeans([[np.nan, 1.0], [1.0, 1.0]], n_clusters=1)
    with pytest.raises(DataError, match="at least one centre"):
        assign(CENTERS, np.zeros((0, 2)))
    with pytest.raises(DataError, match=r"\(n_rows, 2\)"):
        assign(np.zeros((2, 3)), CENTERS)


def test_refitting_from_labels_keeps_the_clusters_and_leaves_out_the_empty():
    rng = np.random.default_rng(0)
    rows = np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], 30, axis=0) + rng.normal(size=(90, 2))
    labels = np.repeat([2, 0, 5], 30)
    centers = refit_kmeans(rows, labels)
    np.testing.assert_allclose(centers, [[9, 0], [0, 0], [0, 9]], atol=0.6)
    assert len(refit_kmeans(rows[:1], labels[:1])) == 1


def test_spread_is_each_clusters_own_and_of_all_where_a_cluster_is_too_small():
    rng = np.random.default_rng(4)
    near, far = rng.uniform(0.0, 1.0, 400), rng.uniform(0.0, 10.0, 400)
    labels = np.repeat([0, 1, 2], [400, 400, 3])
    distance = np.concatenate([near, far, [50.0, 50.0, 50.0]])
    spread = cluster_spread(labels, distance, 4)
    np.testing.assert_allclose(spread.p95[:2], [np.quantile(near, 0.95), np.quantile(far, 0.95)])
    assert spread.mean[2] == spread.mean[3] == distance.mean()
    at = np.array([2.0, 2.0])
    assert (spread.p95_ratio(np.array([0, 1]), at) > 1.0).tolist() == [True, False]
    z = spread.z(np.array([0, 1]), spread.mean[:2] + 2.0 * spread.sd[:2])
    np.testing.assert_allclose(z, 2.0)


def test_spread_of_rows_all_alike_stays_finite():
    spread = cluster_spread(np.zeros(30, dtype=int), np.zeros(30), 1)
    one = np.array([0]), np.array([1.0])
    assert np.isfinite([spread.z(*one), spread.p95_ratio(*one)]).all()
