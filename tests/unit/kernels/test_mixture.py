"""Mixtures: densities in log space, fits, warm starts, rescaling."""

import warnings

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.mixture import GaussianMixture

from shoal.errors import ConfigError, DataError
from shoal.kernels.arrays import sort_rows
from shoal.kernels.gaussians import (
    Mixture,
    log_density_scale,
    rescale,
    responsibility_entropy,
)
from shoal.kernels.mixture import fit_mixture, refit_mixture, shrink, warm_start, without_small

TYPES = ("full", "tied", "diag", "spherical")
MEANS = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 9.0, -4.0]])


def three_shoals(n: int = 1500, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=(0.5, 0.3, 0.2))
    spread = np.array([[1.0, 0.5, 0.2], [0.0, 1.0, 0.3], [0.0, 0.0, 0.8]])
    return MEANS[labels] + rng.normal(size=(n, 3)) @ spread, labels


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 2, 8])
def test_density_equals_scikit_learn(covariance_type, k):
    X, _ = three_shoals(400)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GaussianMixture(k, covariance_type=covariance_type, random_state=0, max_iter=5)
        theirs.fit(X)
    ours = Mixture(theirs.weights_, theirs.means_, theirs.covariances_, covariance_type)
    far = np.vstack([X, X[:5] * 100.0])
    np.testing.assert_allclose(ours.log_density(far), theirs.score_samples(far), rtol=1e-8)
    np.testing.assert_allclose(ours.responsibilities(far), theirs.predict_proba(far), atol=1e-8)
    assert ours.n_parameters() == theirs._n_parameters()
    full = Mixture(ours.weights, ours.means, ours.full_covariances())
    np.testing.assert_allclose(full.log_density(far), ours.log_density(far), rtol=1e-10)


def test_component_density_leaves_the_weight_out():
    mixture = Mixture(np.array([0.9, 0.1]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    expected = -0.5 * np.log(2.0 * np.pi)
    np.testing.assert_allclose(mixture.component_log_density([[0.0]]), [[expected, expected]])


def test_far_points_rank_by_distance_and_keep_their_component():
    mixture = Mixture(np.array([0.5, 0.5]), np.array([[0.0], [4.0]]), np.ones((2, 1, 1)))
    far = np.array([[-15.0], [-30.0], [-300.0], [-1e60]])
    density = mixture.log_density(far)
    assert np.isfinite(density).all()
    assert (np.diff(density) < 0).all()
    assert (mixture.responsibilities(far)[:3, 0] > 0.99).all()
    np.testing.assert_allclose(mixture.responsibilities(far).sum(axis=1), 1.0)


def test_component_of_weight_zero_adds_nothing():
    alone = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[np.newaxis])
    idle = Mixture(
        np.array([1.0, 0.0]), np.array([[0.0, 0.0], [1.0, 1.0]]), np.stack([np.eye(2)] * 2)
    )
    X = np.random.default_rng(0).normal(size=(10, 2))
    np.testing.assert_allclose(idle.log_density(X), alone.log_density(X))
    assert (idle.responsibilities(X)[:, 1] == 0.0).all()


@pytest.mark.parametrize(
    ("covariances", "covariance_type", "owner"),
    [
        (np.stack([np.eye(2), np.ones((2, 2))]), "full", "component 1"),
        (np.stack([np.eye(2), [[1.0, 0.5], [0.0, 1.0]]]), "full", "component 1"),
        (np.diag([1.0, -1.0]), "tied", "all components"),
        (np.array([[1.0, 0.0], [1.0, 1.0]]), "diag", "component 0"),
        (np.array([1.0, np.nan]), "spherical", "component 1"),
    ],
)
def test_unusable_covariance_names_its_component(covariances, covariance_type, owner):
    mixture = Mixture(np.array([0.5, 0.5]), np.zeros((2, 2)), covariances, covariance_type)
    with pytest.raises(DataError, match=f"{owner} is not positive definite"):
        mixture.log_density(np.zeros((1, 2)))


def test_shapes_and_types_are_checked():
    with pytest.raises(DataError, match=r"covariances \(2, 3\)"):
        Mixture(np.ones(2) / 2, np.zeros((2, 3)), np.ones((2, 2)), "diag")
    with pytest.raises(ConfigError, match="did you mean 'spherical'"):
        Mixture(np.ones(1), np.zeros((1, 3)), np.ones(1), "sperical")


def test_entropy_runs_from_zero_to_log_k():
    entropy = responsibility_entropy([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    np.testing.assert_allclose(entropy, (0.0, np.log(4.0)))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit_recovers_planted_parameters(covariance_type):
    rng = np.random.default_rng(1)
    labels = rng.choice(3, 3000, p=(0.5, 0.3, 0.2))
    X = MEANS[labels] + rng.normal(size=(3000, 3))  # the one shape that all types can hold
    fit = fit_mixture(X, n_components=3, covariance_type=covariance_type)
    np.testing.assert_allclose(fit.mixture.weights, (0.5, 0.3, 0.2), atol=0.03)
    np.testing.assert_allclose(fit.mixture.means, MEANS, atol=0.15)
    np.testing.assert_allclose(fit.mixture.full_covariances(), [np.eye(3)] * 3, atol=0.2)
    assert fit.converged


def test_fit_does_not_depend_on_row_order_or_on_the_seeds_numbering():
    X, _ = three_shoals()
    one = fit_mixture(X, n_components=3).mixture
    shuffled = fit_mixture(X[np.random.default_rng(3).permutation(len(X))], n_components=3).mixture
    assert (one.means == shuffled.means).all()
    assert (one.covariances == shuffled.covariances).all()
    seeds = [fit_mixture(X, n_components=3, random_state=seed).mixture for seed in range(4)]
    for other in seeds:
        np.testing.assert_allclose(other.means, one.means, atol=1e-2)
    assert (np.diff(one.weights) <= 0).all()


def test_equal_weights_are_ordered_by_mean():
    X = np.vstack([np.random.default_rng(0).normal(size=(200, 1)) + m for m in (40.0, 0.0, 20.0)])
    np.testing.assert_allclose(
        fit_mixture(X, n_components=3).mixture.means[:, 0].round(-1), (0, 20, 40)
    )


def test_unfinished_fit_says_so_and_does_not_warn():
    X, _ = three_shoals(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_mixture(X, n_components=6, max_iter=1, n_init=1)
    assert not fit.converged
    assert fit.n_iter == 1


@pytest.mark.parametrize("covariance_type", TYPES)
def test_warm_start_never_loses_likelihood(covariance_type):
    X, _ = three_shoals()
    short = fit_mixture(
        X, n_components=4, covariance_type=covariance_type, max_iter=2, n_init=1, reg_covar=1e-9
    )
    likelihood = [short.mixture.log_density(X).mean()]
    for _ in range(5):
        short = warm_start(X, short.mixture, max_iter=2, reg_covar=1e-9)
        likelihood.append(short.mixture.log_density(X).mean())
    assert (np.diff(likelihood) > -1e-9).all()
    assert likelihood[-1] > likelihood[0]


def test_warm_start_begins_at_the_covariances():
    # A cross: both components have one mean, so means alone can't tell them apart.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2)) * np.where(rng.random((1000, 1)) < 0.5, (5.0, 0.2), (0.2, 5.0))
    covariances = np.stack([np.diag([25.0, 0.04]), np.diag([0.04, 25.0])])
    start = Mixture(np.array([0.5, 0.5]), np.zeros((2, 2)), covariances)
    once = warm_start(X, start, max_iter=1, reg_covar=1e-9)
    assert once.mixture.log_density(X).mean() >= start.log_density(X).mean()


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    ("X", "k"),
    [
        (np.ones((1, 3)), 1),
        (np.full((40, 3), 2.5), 1),
        (np.repeat([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]], 20, axis=0), 2),
    ],
)
def test_single_constant_and_duplicate_rows_fit_as_many_components_as_they_hold(
    X, k, covariance_type
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture = fit_mixture(X, n_components=4, covariance_type=covariance_type).mixture
    assert mixture.n_components == k
    assert np.isfinite(mixture.log_density(X)).all()
    assert mixture.log_density(X + 1.0).max() < mixture.log_density(X).min() - 100.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(bad):
    X = np.zeros((4, 2))
    X[1, 1] = bad
    with pytest.raises(DataError, match="1 of 4 rows"):
        fit_mixture(X, n_components=1)
    with pytest.raises(DataError, match="at least one row"):
        fit_mixture(np.zeros((0, 2)), n_components=1)
    with pytest.raises(DataError, match="1 of 4 rows"):
        Mixture(np.ones(1), np.zeros((1, 2)), np.ones(1), "spherical").log_density(X)


def test_settings_out_of_range_are_refused():
    X, _ = three_shoals(20)
    with pytest.raises(ConfigError, match="n_components"):
        fit_mixture(X, n_components=0)
    with pytest.raises(ConfigError, match="n_init"):
        fit_mixture(X, n_components=1, n_init=0)
    with pytest.raises(ConfigError, match="did you mean 'full'"):
        fit_mixture(X, n_components=1, covariance_type="ful")


@pytest.mark.parametrize("covariance_type", TYPES)
def test_warm_start_follows_a_shift_and_keeps_the_order(covariance_type):
    X, _ = three_shoals()
    fitted = fit_mixture(X, n_components=3, covariance_type=covariance_type).mixture
    reverse = Mixture(
        fitted.weights[::-1],
        fitted.means[::-1],
        fitted.covariances if covariance_type == "tied" else fitted.covariances[::-1],
        covariance_type,
    )
    shift = np.array([0.5, -0.5, 0.0])
    moved = three_shoals(seed=5)[0] + shift
    warm = warm_start(moved, reverse)
    assert warm.status == "fitted"
    np.testing.assert_allclose(warm.mixture.means, MEANS[::-1] + shift, atol=0.25)
    assert warm.mixture.log_density(moved).mean() > reverse.log_density(moved).mean() + 0.05
    # With rows enough for all it ends where a fit of its own would.
    plain = fit_mixture(moved, n_components=3, covariance_type=covariance_type)
    np.testing.assert_allclose(
        np.sort(warm.mixture.weights), np.sort(plain.mixture.weights), atol=1e-3
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_warm_start_leaves_components_without_rows_as_they_were(covariance_type):
    X, labels = three_shoals()
    start = fit_mixture(X, n_components=3, covariance_type=covariance_type).mixture
    slice_rows = X[labels != 1] + 0.3
    warm = warm_start(slice_rows, start)
    assert warm.status == "partly_fitted"
    empty = int(cdist(start.means, MEANS[1:2]).argmin())
    assert (warm.mixture.means[empty] == start.means[empty]).all()
    if covariance_type != "tied":
        assert (warm.mixture.covariances[empty] == start.covariances[empty]).all()
    pseudo_row = start.weights[empty] / (len(slice_rows) + 1)
    assert pseudo_row <= warm.mixture.weights[empty] < 2.0 / len(slice_rows)
    assert warm.mixture.weights.sum() == pytest.approx(1.0)
    after, before = (m.log_density(slice_rows).mean() for m in (warm.mixture, start))
    assert after > before


def test_warm_start_on_too_few_rows_keeps_the_initial_mixture():
    X, _ = three_shoals()
    start = fit_mixture(X, n_components=3).mixture
    warm = warm_start(X[:3], start)
    assert warm.status == "kept_initial"
    assert not warm.converged
    assert warm.mixture is start


@pytest.mark.parametrize("covariance_type", TYPES)
def test_rescaling_shifts_the_density_by_a_constant(covariance_type):
    X, _ = three_shoals(300)
    mixture = fit_mixture(X, n_components=3, covariance_type=covariance_type).mixture
    scaled = rescale(mixture, 0.01)
    np.testing.assert_allclose(
        scaled.log_density(X * 0.01), mixture.log_density(X) - 3 * np.log(0.01), rtol=1e-9
    )
    np.testing.assert_allclose(scaled.responsibilities(X * 0.01), mixture.responsibilities(X))
    back = rescale(scaled, 100.0)
    np.testing.assert_allclose(back.log_density(X), mixture.log_density(X), rtol=1e-9)


@pytest.mark.parametrize("q", [1, 3, 40])
def test_scale_brings_the_typical_density_to_the_target(q):
    X = np.random.default_rng(q).normal(size=(200, q))
    mixture = Mixture(np.ones(1), np.zeros((1, q)), np.ones(1), "spherical")
    factor = log_density_scale(mixture, X)
    assert np.median(rescale(mixture, factor).log_density(X * factor)) == pytest.approx(200.0)


def test_scale_stays_usable_for_rows_far_away():
    mixture = Mixture(np.ones(1), np.zeros((1, 1)), np.ones(1), "spherical")
    factor = log_density_scale(mixture, [[1e9]])
    assert 0.0 < factor**2 < np.inf
    with pytest.raises(ConfigError, match="factor"):
        rescale(mixture, 0.0)
    with pytest.raises(DataError, match="at least one row"):
        log_density_scale(mixture, np.zeros((0, 1)))


def test_arrays_alone_score_the_same_and_numbering_does_not_matter():
    X, _ = three_shoals(300)
    mixture = fit_mixture(X, n_components=3).mixture
    parts = (mixture.weights, mixture.means, mixture.covariances)
    again = Mixture(*(np.asarray(part.tolist()) for part in parts))
    assert (again.log_density(X) == mixture.log_density(X)).all()
    turned = Mixture(*(part[[2, 0, 1]] for part in parts))
    np.testing.assert_allclose(turned.log_density(X), mixture.log_density(X), rtol=1e-12)
    pairs = linear_sum_assignment(cdist(mixture.means, turned.means))[1]
    assert pairs.tolist() == [1, 2, 0]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_refitting_from_responsibilities_keeps_the_fit_and_the_order_of_components(covariance_type):
    X, _ = three_shoals()
    whole = fit_mixture(X, n_components=3, covariance_type=covariance_type).mixture
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    if covariance_type in ("diag", "spherical"):
        turn = np.eye(3)[[2, 0, 1]]
    again = refit_mixture(X @ turn, whole.responsibilities(X), covariance_type=covariance_type)
    np.testing.assert_allclose(again.mixture.means, whole.means @ turn, atol=0.02)
    np.testing.assert_allclose(again.mixture.weights, whole.weights, atol=0.01)
    likelihood = again.mixture.log_density(X @ turn).mean()
    assert likelihood == pytest.approx(whole.log_density(X).mean(), abs=1e-3)


def test_refitting_survives_an_empty_component_and_a_single_row():
    X, _ = three_shoals(200)
    shares = np.zeros((200, 3))
    shares[:, 0] = 1.0
    fit = refit_mixture(X, shares, covariance_type="full")
    assert np.isfinite(fit.mixture.log_density(X)).all()
    one = refit_mixture(X[:1], shares[:1], covariance_type="diag")
    assert np.isfinite(one.mixture.log_density(X[:1])).all()


def test_small_components_are_left_out_and_the_heaviest_never():
    mixture = Mixture(np.array([0.90, 0.08, 0.02]), MEANS, np.ones(3), "spherical")
    kept = without_small(mixture, 0.05)
    np.testing.assert_array_equal(kept.means, MEANS[:2])
    assert kept.weights.sum() == pytest.approx(1.0)
    assert without_small(mixture, 0.95).n_components == 1
    tied = Mixture(np.array([0.97, 0.03]), MEANS[:2], np.eye(3), "tied")
    assert without_small(tied, 0.05).covariances.shape == (3, 3)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_shrunken_mixture_has_the_moments_of_both(kind):
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(400, 3)) * (1.0, 2.0, 0.5)
    parent = fit_mixture(rows, n_components=2, covariance_type=kind).mixture
    own = fit_mixture(0.7 * rows + 1.0, n_components=2, covariance_type=kind).mixture
    support = np.array([30.0, 10.0])
    drawn = shrink(own, parent, support, relevance=10.0)
    share = np.array([0.75, 0.5])
    np.testing.assert_allclose(
        drawn.means, share[:, None] * own.means + (1 - share[:, None]) * parent.means
    )
    assert drawn.weights.sum() == pytest.approx(1.0)
    if kind != "tied":
        # Draw from both Gaussians of a component by its share: the moments are the drawn one's.
        first, second = (m.full_covariances()[0] for m in (own, parent))
        apart = own.means[0] - parent.means[0]
        both = 0.75 * first + 0.25 * second + 0.75 * 0.25 * np.outer(apart, apart)
        found = drawn.full_covariances()[0]
        np.testing.assert_allclose(np.trace(found), np.trace(both))
        if kind == "full":
            np.testing.assert_allclose(found, both)
    np.linalg.cholesky(drawn.full_covariances())
    for relevance, expected in ((0.0, own), (1e12, parent)):
        at_end = shrink(own, parent, support, relevance=relevance)
        np.testing.assert_allclose(at_end.means, expected.means, atol=1e-6)
        np.testing.assert_allclose(at_end.covariances, expected.covariances, atol=1e-6)
        np.testing.assert_allclose(at_end.weights, expected.weights, atol=1e-6)
    unsupported = shrink(own, parent, np.zeros(2), relevance=0.0)
    np.testing.assert_allclose(unsupported.means, parent.means)


def test_a_component_that_a_slice_never_uses_is_rare_in_it():
    means, covariances = np.array([[0.0], [6.0]]), np.ones((2, 1))
    parent = Mixture(np.array([0.3, 0.7]), means, covariances, "diag")
    own = Mixture(np.array([0.999, 0.001]), means, covariances, "diag")
    drawn = shrink(own, parent, np.array([200.0, 0.0]), relevance=16.0)
    assert drawn.weights[1] == pytest.approx((200.0 * 0.001 + 16.0 * 0.7) / 216.0)
    np.testing.assert_array_equal(drawn.means, means)


def test_few_entities_gain_by_shrinkage_where_rows_alone_mislead():
    """Five hosts of 28 days that are alike: their own fit is sure of what it has not seen."""
    rng = np.random.default_rng(12)
    parent = fit_mixture(rng.normal(size=(2000, 5)), n_components=1).mixture
    gains = []
    for _ in range(20):
        habits = rng.normal(0.0, 0.8, size=(10, 5))
        days = np.repeat(habits, 28, axis=0) + 0.4 * rng.normal(size=(280, 5))
        own = warm_start(days[:140], parent).mixture
        drawn = shrink(own, parent, np.array([5.0]), relevance=16.0)
        gains.append((drawn.log_density(days[140:]) - own.log_density(days[140:])).mean())
    assert np.mean(gains) > 1.0


def test_rows_are_sorted_by_all_columns_where_the_first_has_ties():
    rng = np.random.default_rng(0)
    for rows in (rng.normal(size=(50, 3)), rng.integers(0, 3, size=(50, 3)).astype(float)):
        wanted = np.asarray(sorted(rows.tolist()))
        np.testing.assert_array_equal(sort_rows(rows), wanted)
        np.testing.assert_array_equal(sort_rows(rows[::-1]), wanted)
    assert sort_rows(np.empty((2, 0))).shape == (2, 0)
