"""Peer fits: one form for all folds, calibrated references, refinement of slices."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from tests.support.fits import FIT_SETTINGS as SETTINGS

from shoal.errors import DataError
from shoal.kernels import peer_fit
from shoal.kernels.form import choose_form
from shoal.kernels.peer_fit import (
    MIN_ROWS_A_KIND,
    CrossFitScores,
    build_references,
    build_week_references,
    cross_fit_scores,
    fit_sample,
    refine_slice,
)


def hosts(n, prefix="host"):
    return np.array([f"{prefix}-{i}" for i in range(n)])


def fit(values, groups, **changes):
    return fit_sample(
        values,
        groups,
        feature_names=[f"f{i}" for i in range(values.shape[1])],
        is_count=np.ones(values.shape[1], dtype=bool),
        settings=replace(SETTINGS, **changes),
    )


def two_shoals(n_entities, n_days, seed, apart=8.0):
    """Rows ``(n_entities × n_days, 4)`` of entities with a habit of their own, and the entities."""
    rng = np.random.default_rng(seed)
    habit = 0.3 * rng.normal(size=(n_entities, 4)) + apart * (np.arange(n_entities) % 2)[:, None]
    rows = np.repeat(habit, n_days, axis=0)
    return rows + rng.normal(size=rows.shape), np.repeat(hosts(n_entities), n_days)


def test_p_values_of_fresh_rows_are_calibrated():
    """With a form of each fold's own, 11 % of fresh rows had p ≤ 0.05."""
    levels = (0.01, 0.05, 0.1)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        values, groups = rng.normal(size=(120, 40)), hosts(120)
        fitted = fit(values, groups)
        references = build_references(cross_fit_scores(values, groups, fitted.cross_fit))
        fresh = fitted.geometry.measure(rng.normal(size=(2000, 40)))
        log_p, _ = references.log_p(fresh.log_density, fresh.departure)
        found.append([(log_p <= np.log(level)).mean() for level in levels])
    at_1, at_5, at_10 = np.mean(found, axis=0)
    assert at_1 < 0.02
    assert 0.02 < at_5 < 0.08
    assert 0.04 < at_10 < 0.13


def test_a_weekend_of_other_habits_is_calibrated_on_weekends():
    """Weekends calmer by half: by weekdays' references none of them would be strange."""
    rng = np.random.default_rng(0)
    is_weekend = np.arange(1400) % 7 >= 5
    strange = np.where(is_weekend, 0.5, 1.0) * rng.normal(size=1400)
    references = build_week_references(CrossFitScores(-strange, strange), is_weekend)
    row = np.asarray([1.2])
    on_weekday, _ = references.of(is_weekend=False).log_p(-row, row)
    on_weekend, _ = references.of(is_weekend=True).log_p(-row, row)
    assert np.exp(on_weekday) > 0.08
    assert np.exp(on_weekend) < 0.02


@pytest.mark.parametrize("n_weekend", [0, MIN_ROWS_A_KIND - 1, 301])
def test_kinds_of_day_with_too_few_rows_share_all(n_weekend):
    rng = np.random.default_rng(0)
    is_weekend = np.arange(500) < n_weekend
    references = build_week_references(
        CrossFitScores(rng.normal(size=500), rng.normal(size=500)), is_weekend
    )
    assert references.weekend is references.weekday
    assert len(references.weekday.combined.scores) == 500


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_a_hundredth_of_fresh_days_has_a_p_value_of_a_hundredth_after_every_refit(kind):
    """Days of entities that the fits have seen and of such as they haven't."""
    levels, found = np.array([0.01, 0.001]), {"seen": [], "unseen": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        centers, turns = 3.0 * rng.normal(size=(3, 8)), turns_of(kind, rng)

        def entities(n, rng=rng, centers=centers, turns=turns):
            which = rng.integers(0, 3, n)
            return centers[which] + 0.6 * rng.normal(size=(n, 8)), turns[which]

        def days(habits, turns, rng=rng):
            return habits + np.einsum("nij,nj->ni", turns, rng.normal(size=habits.shape))

        seen, unseen = entities(600), entities(3000)
        for _ in range(2):
            values = days(*(np.repeat(part, 14, axis=0) for part in seen))
            groups = np.repeat(hosts(600), 14)
            changes = {"n_components": 3, "covariance_type": kind, "n_clusters": 3, "n_init": 1}
            fitted = fit(values, groups, explained_variance=1.0, **changes)
            assert fitted.form.covariance_type == kind
            references = build_references(cross_fit_scores(values, groups, fitted.cross_fit))
            for name, asked in (("seen", [np.repeat(p, 5, axis=0) for p in seen]),
                                ("unseen", unseen)):  # fmt: skip
                fresh = fitted.geometry.measure(days(*asked))
                log_p, _ = references.log_p(fresh.log_density, fresh.departure)
                found[name].append([(log_p <= np.log(level)).mean() for level in levels])
    for name, shares in found.items():
        at_1pct, at_1permille = np.mean(shares, axis=0)
        # Who has taught a model is a little closer to it than who calibrates it.
        assert (0.006 if name == "seen" else 0.007) <= at_1pct <= 0.014
        assert 0.0005 <= at_1permille <= 0.002


def turns_of(kind, rng):
    """A matrix a shoal ``(3, 8, 8)`` that shapes noise as the covariance type has it."""
    turns = np.eye(8) + 0.3 * rng.normal(size=(3, 8, 8))
    if kind == "diag":
        return np.repeat(np.diag(rng.uniform(0.5, 2.0, 8))[np.newaxis], 3, axis=0)
    return np.repeat(turns[:1], 3, axis=0) if kind == "tied" else turns


@pytest.mark.parametrize("seed", range(4))
def test_folds_end_where_the_fit_on_all_rows_does(seed):
    """A fold of another optimum would calibrate what serves by another model's distances."""
    rng = np.random.default_rng(seed)
    centers = 3.0 * rng.normal(size=(9, 4))  # more shoals than clusters: many optima
    values = centers[np.repeat(np.arange(120) % 9, 5)] + rng.normal(size=(600, 4))
    fitted = fit(values, np.repeat(hosts(120), 5), n_components=3, n_clusters=5, n_init=1)
    labels = fitted.geometry.measure(values).centroid_ids
    for fold in fitted.cross_fit.folds:
        assert adjusted_rand_score(labels, fold.measure(values).centroid_ids) > 0.8


@pytest.mark.parametrize("n_entities", [25, 62, 124, 130])
def test_folds_have_the_form_of_the_fit_they_calibrate(n_entities):
    # At these numbers a fold's own entities would carry less than all entities do.
    rng = np.random.default_rng(n_entities)
    values = np.column_stack(
        [rng.normal(size=(n_entities, 20)), np.exp(rng.normal(size=n_entities))]
    )
    fitted = fit(values, hosts(n_entities))
    whole = fitted.geometry
    assert len(fitted.cross_fit.folds) == 5
    for fold in fitted.cross_fit.folds:
        assert fold.preparation.is_logged.tolist() == whole.preparation.is_logged.tolist()
        assert fold.preparation.pca_components.shape == whole.preparation.pca_components.shape
        assert fold.preparation.residual_dimensions == whole.preparation.residual_dimensions
        assert fold.mixture.covariance_type == whole.mixture.covariance_type
        assert fold.mixture.means.shape == whole.mixture.means.shape
        assert fold.centers.shape == whole.centers.shape


def test_form_is_the_richest_that_the_entities_carry():
    assert choose_form(10_000, 5, 6, "full", 6).reason == "as configured"
    few = choose_form(60, 5, 6, "full", 6)
    assert (few.n_components, few.covariance_type, few.n_clusters) == (3, "tied", 6)
    assert "60 entities a fold in 5 dimensions" in few.reason
    least = choose_form(2, 5, 6, "full", 6)
    assert (least.n_components, least.covariance_type, least.n_clusters) == (1, "spherical", 1)


def test_no_entity_is_scored_by_a_geometry_that_saw_it():
    values, groups = two_shoals(40, 3, seed=1)
    cross_fit = fit(values, groups).cross_fit
    folds = cross_fit.fold_of_rows(groups)
    for fold, geometry in enumerate(cross_fit.folds):
        kept = values[folds != fold]
        center = geometry.preparation.center
        np.testing.assert_allclose(center, np.median(kept, axis=0))


def test_entities_outside_the_sample_are_spread_over_the_folds():
    values, groups = two_shoals(40, 3, seed=1)
    cross_fit = fit(values, groups).cross_fit
    folds = cross_fit.fold_of_rows(hosts(500, prefix="unseen"))
    assert np.bincount(folds, minlength=5).min() > 60
    scores = cross_fit_scores(np.tile(values[:1], (500, 1)), hosts(500, "unseen"), cross_fit)
    assert len(set(scores.log_density.tolist())) == 5


def test_a_slice_of_its_own_kind_is_refined_though_it_is_not_in_the_sample():
    """All its entities in one fold would leave that fold's mixture without a row to learn from."""
    values, groups = two_shoals(80, 4, seed=2)
    fitted = fit(values, groups)
    rng = np.random.default_rng(3)
    own = 3.0 + 0.4 * rng.normal(size=(240, 4))
    refinement = refine_slice(
        own,
        np.repeat(hosts(60, prefix="unseen"), 4),
        geometry=fitted.geometry,
        cross_fit=fitted.cross_fit,
        settings=SETTINGS,
    )
    assert refinement.status == "refined"
    assert refinement.mixture is not None
    before = cross_fit_scores(own, np.repeat(hosts(60, "unseen"), 4), fitted.cross_fit)
    gains = refinement.scores.log_density - before.log_density
    assert gains.mean() > 1.0
    assert np.quantile(gains, 0.05) > 0.0  # in every fold


def test_a_slice_like_all_others_keeps_the_global_mixture():
    values, groups = two_shoals(200, 2, seed=4)
    fitted = fit(values, groups)
    chosen = np.isin(groups, hosts(60))
    shared = {"geometry": fitted.geometry, "cross_fit": fitted.cross_fit}
    own = values[chosen], groups[chosen]
    kept = refine_slice(*own, settings=SETTINGS, **shared)
    small = refine_slice(*own, settings=replace(SETTINGS, min_refined=61), **shared)
    assert (kept.mixture, small.mixture) == (None, None)
    assert "does not exceed" in kept.reason
    assert "61 needed" in small.reason


def test_refinement_stops_at_the_configured_tolerance(monkeypatch):
    values, groups = two_shoals(80, 2, seed=5)
    fitted = fit(values, groups)
    seen = []
    warm_start = peer_fit.warm_start

    def watched(*arguments, **settings):
        seen.append(settings["tol"])
        return warm_start(*arguments, **settings)

    monkeypatch.setattr(peer_fit, "warm_start", watched)
    refine_slice(
        values,
        groups,
        geometry=fitted.geometry,
        cross_fit=fitted.cross_fit,
        settings=replace(SETTINGS, tol=0.5),
    )
    assert set(seen) == {0.5}


def test_fit_does_not_depend_on_row_order_and_needs_two_entities():
    values, groups = two_shoals(40, 3, seed=6)
    order = np.random.default_rng(0).permutation(len(values))
    one, other = fit(values, groups), fit(values[order], groups[order])
    assert one.cross_fit.fold_of == other.cross_fit.fold_of
    measured = [fitted.geometry.measure(values).log_density for fitted in (one, other)]
    np.testing.assert_allclose(measured[0], measured[1], rtol=1e-6)
    with pytest.raises(DataError, match="two entities"):
        fit(values[:3], groups[:3])
