"""Fitting a peer model on a bounded sample, cross-fitted by entity, and refining it per slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.calibration import (
    combine,
    entity_folds,
    fit_tail,
    fold_of_rows,
    leave_one_out_log_p,
)
from shoal.kernels.centroids import assign, fit_kmeans, refit_kmeans
from shoal.kernels.form import FitSettings, Form, Selection, find_form
from shoal.kernels.gaussians import Mixture
from shoal.kernels.mixture import MixtureFit, fit_mixture, refit_mixture, shrink, warm_start
from shoal.kernels.peer_model import PeerGeometry, References, WeekReferences
from shoal.kernels.preparation import Preparation, fit_preparation
from shoal.kernels.selection import ENTITIES_A_ROW, TryAll

Array = NDArray[np.float64]
Groups = NDArray[np.str_]

MIN_ROWS_A_KIND = 200
"""Rows that weekdays and weekends each need for references of their own: they tell 1 in 200."""


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Geometries of which each entity has one that never saw it.

    Attributes
    ----------
    folds : geometry ``i`` was fitted without the entities of fold ``i``
    fold_of : fold of each entity of the sample; entities outside it were seen by none
    """

    folds: tuple[PeerGeometry, ...]
    fold_of: Mapping[str, int]

    def fold_of_rows(self, groups: Groups) -> NDArray[np.intp]:
        """Fold of each row ``(n_rows,)`` by its entity."""
        return fold_of_rows(groups, self.fold_of, len(self.folds))


@dataclass(frozen=True, eq=False)
class SampleFit:
    """A geometry fitted on the sample, and the geometries of its folds.

    Attributes
    ----------
    fit : how the mixture's EM ended
    form : the components and covariance used, and why these
    """

    geometry: PeerGeometry
    cross_fit: CrossFit
    fit: MixtureFit
    form: Form
    selection: Selection


@dataclass(frozen=True, eq=False)
class CrossFitScores:
    """Scores of rows by geometries that never saw their entity."""

    log_density: Array
    departure: Array

    def of(self, rows: NDArray[np.bool_]) -> "CrossFitScores":
        """Scores of some rows, by their mask ``(n_rows,)``."""
        return CrossFitScores(self.log_density[rows], self.departure[rows])

    def copy(self) -> "CrossFitScores":
        """The same scores, to be changed."""
        return CrossFitScores(self.log_density.copy(), self.departure.copy())

    def put(self, rows: NDArray[np.bool_], scores: "CrossFitScores") -> None:
        """Set the scores of some rows, by their mask ``(n_rows,)``."""
        self.log_density[rows] = scores.log_density
        self.departure[rows] = scores.departure


@dataclass(frozen=True, eq=False)
class Refinement:
    """A slice's own mixture, or why the global one stays.

    Attributes
    ----------
    mixture : the slice's mixture; ``None`` keeps the global one
    scores : cross-fitted scores of the slice's rows under what will serve it
    cross_fit : what they are by
    """

    mixture: Mixture | None
    scores: CrossFitScores
    status: str
    reason: str
    cross_fit: CrossFit


def fit_sample(
    values: Array,
    groups: Groups,
    *,
    feature_names: Sequence[str],
    is_count: NDArray[np.bool_],
    settings: FitSettings,
    n_alike: int = 0,
    try_all: TryAll = map,
) -> SampleFit:
    """Fit preparation, mixture and centres, and again without each fold of entities.

    Parameters
    ----------
    values : ``(n_rows, n_features)`` native rows, in an order that does not depend on chance
    groups : ``(n_rows,)`` entity of each row
    n_alike : features at the end that are of one space; see `fit_preparation`
    try_all : how the candidates of the selection are tried

    Raises
    ------
    DataError
        If there are fewer than two entities.
    """
    fold_of = entity_folds(groups, settings.n_folds)
    n_folds = max(fold_of.values()) + 1
    # What the smallest fold can carry, all use: references calibrate a model of their own form.
    n_entities = len(fold_of) - -(-len(fold_of) // n_folds)
    preparation = fit_preparation(
        values,
        feature_names=tuple(feature_names),
        is_count=is_count,
        winsorize_sd=settings.winsorize_sd,
        explained_variance=settings.explained_variance,
        max_components=max(2, min(settings.max_pca_components, n_entities // ENTITIES_A_ROW)),
        n_alike=n_alike,
    )
    form, selection = find_form(values, groups, preparation, n_entities, settings, try_all)
    geometry, fit = _fit_geometry(values, preparation, form, settings)
    row_folds = fold_of_rows(groups, fold_of, n_folds)
    folds = tuple(
        _fit_fold(values[row_folds != fold], geometry, form, settings, n_alike)
        for fold in range(n_folds)
    )
    return SampleFit(geometry, CrossFit(folds, fold_of), fit, form, selection)


def cross_fit_scores(values: Array, groups: Groups, cross_fit: CrossFit) -> CrossFitScores:
    """Score each row by the geometry that never saw its entity."""
    row_folds = cross_fit.fold_of_rows(groups)
    density, departure = np.empty(len(values)), np.empty(len(values))
    for fold, geometry in enumerate(cross_fit.folds):
        rows = row_folds == fold
        if rows.any():
            measures = geometry.measure(values[rows])
            density[rows] = measures.log_density
            departure[rows] = measures.departure
    return CrossFitScores(density, departure)


def build_references(scores: CrossFitScores) -> References:
    """References of density, departure and of their combination, calibrated again."""
    by_density = leave_one_out_log_p(-scores.log_density)
    by_departure = leave_one_out_log_p(scores.departure)
    return References(
        fit_tail(-scores.log_density),
        fit_tail(scores.departure),
        fit_tail(combine(by_density, by_departure)),
    )


def build_week_references(scores: CrossFitScores, is_weekend: NDArray[np.bool_]) -> WeekReferences:
    """References of weekdays and of weekends, or one of all where either has too few rows.

    Parameters
    ----------
    is_weekend : ``(n_rows,)`` of the days that were scored
    """
    n_weekend = int(is_weekend.sum())
    if min(n_weekend, len(is_weekend) - n_weekend) < MIN_ROWS_A_KIND:
        of_all = build_references(scores)
        return WeekReferences(of_all, of_all)
    return WeekReferences(
        build_references(scores.of(~is_weekend)), build_references(scores.of(is_weekend))
    )


def refine_slice(
    values: Array,
    groups: Groups,
    *,
    geometry: PeerGeometry,
    cross_fit: CrossFit,
    settings: FitSettings,
) -> Refinement:
    """Warm-start EM on a slice's rows; keep it only if entities outside its fit gain by it.

    What EM finds is drawn to the global mixture, the more so the fewer entities support it.

    The gain is paired: for each entity the mean difference of held-out log density, refined
    minus global; it must exceed one standard error over entities.
    """
    scores = cross_fit_scores(values, groups, cross_fit)
    n_entities = len(set(groups.tolist()))
    if n_entities < settings.min_refined:
        reason = f"{n_entities} entities, {settings.min_refined} needed for a slice's own mixture"
        return Refinement(None, scores, "kept_global", reason, cross_fit)
    own_fit = _refined_folds(values, groups, cross_fit, settings)
    refined = cross_fit_scores(values, groups, own_fit)
    gain, error = _paired_gain(refined.log_density - scores.log_density, groups)
    if not gain > error:
        reason = f"held-out gain {gain:.3f} nats does not exceed its error {error:.3f}"
        return Refinement(None, scores, "kept_global", reason, cross_fit)
    mixture = _adapted(values, groups, geometry, settings)
    reason = f"held-out gain {gain:.3f} nats, error {error:.3f}, {n_entities} entities"
    return Refinement(mixture, refined, "refined", reason, own_fit)


def _fit_geometry(
    values: Array, preparation: Preparation, form: Form, settings: FitSettings
) -> tuple[PeerGeometry, MixtureFit]:
    rows = preparation.project_winsorized(values, settings.winsorize_sd)
    fit = fit_mixture(
        rows,
        n_components=form.n_components,
        covariance_type=form.covariance_type,
        n_init=settings.n_init,
        reg_covar=settings.reg_covar,
        max_iter=settings.max_iter,
        tol=settings.tol,
        random_state=settings.random_state,
    )
    centers = fit_kmeans(
        rows,
        n_clusters=form.n_clusters,
        n_init=settings.n_init,
        random_state=settings.random_state,
    )
    return _geometry(preparation, fit.mixture, centers, values), fit


def _fit_fold(
    values: Array, whole: PeerGeometry, form: Form, settings: FitSettings, n_alike: int
) -> PeerGeometry:
    """Geometry of the rows of all other folds, in the form of the fit on all rows.

    It starts from the components and clusters that the fit on all rows has for these rows. A start
    of its own may end elsewhere, and would calibrate what serves by another model's distances
    (measured on a fleet of 1,500: p ≤ 0.01 for 3.3 % of the addresses of offices).
    """
    preparation = fit_preparation(
        values,
        feature_names=whole.preparation.feature_names,
        winsorize_sd=settings.winsorize_sd,
        n_alike=n_alike,
        form=whole.preparation.form,
    )
    rows = preparation.project_winsorized(values, settings.winsorize_sd)
    seen = whole.preparation.project_winsorized(values, settings.winsorize_sd)
    fit = refit_mixture(
        rows,
        whole.mixture.responsibilities(seen),
        covariance_type=form.covariance_type,
        max_iter=settings.max_iter,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
    )
    centers = refit_kmeans(rows, assign(seen, whole.centers)[0])
    return _geometry(preparation, fit.mixture, centers, values)


def _geometry(
    preparation: Preparation, mixture: Mixture, centers: Array, values: Array
) -> PeerGeometry:
    return PeerGeometry.fitted(preparation, mixture, centers, preparation.standardize(values))


def _adapted(
    values: Array, groups: Groups, geometry: PeerGeometry, settings: FitSettings
) -> Mixture:
    """The geometry's mixture after EM on a slice's native rows, one or more, and shrinkage."""
    rows = geometry.preparation.project_winsorized(values, settings.winsorize_sd)
    own = warm_start(
        rows,
        geometry.mixture,
        max_iter=settings.max_iter,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
    ).mixture
    support = _mean_by_entity(own.responsibilities(rows), groups).sum(axis=0)
    return shrink(own, geometry.mixture, support, relevance=settings.relevance)


def _refined_folds(
    values: Array, groups: Groups, cross_fit: CrossFit, settings: FitSettings
) -> CrossFit:
    """Geometries whose mixtures are refined on the slice without the entities of their fold."""
    row_folds = cross_fit.fold_of_rows(groups)
    refined = []
    for fold, geometry in enumerate(cross_fit.folds):
        kept = row_folds != fold
        if kept.any():
            mixture = _adapted(values[kept], groups[kept], geometry, settings)
            geometry = replace(geometry, mixture=mixture)
        refined.append(geometry)
    return replace(cross_fit, folds=tuple(refined))


def _mean_by_entity(values: Array, groups: Groups) -> Array:
    """Mean of rows ``(n_rows, n_columns)`` over each entity's, ``(n_entities, n_columns)``."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, index, values)
    return np.asarray(sums / counts[:, np.newaxis], dtype=np.float64)


def _paired_gain(gains: Array, groups: Groups) -> tuple[float, float]:
    """Mean gain over entities and its standard error."""
    by_entity = _mean_by_entity(gains[:, np.newaxis], groups)[:, 0]
    if len(by_entity) < 2:
        return 0.0, np.inf
    return float(by_entity.mean()), float(by_entity.std(ddof=1) / np.sqrt(len(by_entity)))
