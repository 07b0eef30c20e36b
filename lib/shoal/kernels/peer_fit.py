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
from shoal.kernels.centroids import fit_kmeans
from shoal.kernels.gaussians import Mixture
from shoal.kernels.mixture import MixtureFit, fit_mixture, warm_start
from shoal.kernels.peer_model import PeerGeometry, References, WeekReferences
from shoal.kernels.preparation import Preparation, fit_preparation

Array = NDArray[np.float64]
Groups = NDArray[np.str_]

ENTITIES_A_ROW = 10
"""Entities that a row of a covariance matrix needs; below, a simpler form is fitted."""

MIN_ROWS_A_KIND = 200
"""Rows that weekdays and weekends each need for references of their own: they tell 1 in 200."""


@dataclass(frozen=True)
class FitSettings:
    """What a fit may do; names are scikit-learn's."""

    n_components: int
    covariance_type: str
    n_clusters: int
    n_init: int
    reg_covar: float
    tol: float
    max_iter: int
    random_state: int
    winsorize_sd: float
    explained_variance: float
    max_pca_components: int
    n_folds: int


@dataclass(frozen=True)
class Form:
    """Number of components, covariance and clusters that the entities at hand can carry."""

    n_components: int
    covariance_type: str
    n_clusters: int
    reason: str


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
    form : the components and covariance used, and why they are not those asked for
    """

    geometry: PeerGeometry
    cross_fit: CrossFit
    fit: MixtureFit
    form: Form


@dataclass(frozen=True, eq=False)
class CrossFitScores:
    """Scores of rows by geometries that never saw their entity."""

    log_density: Array
    centroid_distance: Array

    def of(self, rows: NDArray[np.bool_]) -> "CrossFitScores":
        """Scores of some rows, by their mask ``(n_rows,)``."""
        return CrossFitScores(self.log_density[rows], self.centroid_distance[rows])


@dataclass(frozen=True, eq=False)
class Refinement:
    """A slice's own mixture, or why the global one stays.

    Attributes
    ----------
    mixture : the slice's mixture; ``None`` keeps the global one
    scores : cross-fitted scores of the slice's rows under what will serve it
    """

    mixture: Mixture | None
    scores: CrossFitScores
    status: str
    reason: str


def fit_sample(
    values: Array,
    groups: Groups,
    *,
    feature_names: Sequence[str],
    is_count: NDArray[np.bool_],
    settings: FitSettings,
) -> SampleFit:
    """Fit preparation, mixture and centres, and again without each fold of entities.

    Parameters
    ----------
    values : ``(n_rows, n_features)`` native rows, in an order that does not depend on chance
    groups : ``(n_rows,)`` entity of each row

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
    )
    form = choose_form(n_entities, preparation.form.n_components, settings)
    geometry, fit = _fit_geometry(values, preparation, form, settings)
    row_folds = fold_of_rows(groups, fold_of, n_folds)
    folds = tuple(
        _fit_fold(values[row_folds != fold], preparation, form, settings) for fold in range(n_folds)
    )
    return SampleFit(geometry, CrossFit(folds, fold_of), fit, form)


def cross_fit_scores(values: Array, groups: Groups, cross_fit: CrossFit) -> CrossFitScores:
    """Score each row by the geometry that never saw its entity."""
    row_folds = cross_fit.fold_of_rows(groups)
    density, distance = np.empty(len(values)), np.empty(len(values))
    for fold, geometry in enumerate(cross_fit.folds):
        rows = row_folds == fold
        if rows.any():
            measures = geometry.measure(values[rows])
            density[rows] = measures.log_density
            distance[rows] = measures.centroid_distance
    return CrossFitScores(density, distance)


def build_references(scores: CrossFitScores) -> References:
    """References of density, distance and of their combination, calibrated again."""
    by_density = leave_one_out_log_p(-scores.log_density)
    by_distance = leave_one_out_log_p(scores.centroid_distance)
    return References(
        fit_tail(-scores.log_density),
        fit_tail(scores.centroid_distance),
        fit_tail(combine(by_density, by_distance)),
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
    min_entities: int,
) -> Refinement:
    """Warm-start EM on a slice's rows; keep it only if entities outside its fit gain by it.

    The gain is paired: for each entity the mean difference of held-out log density, refined
    minus global; it must exceed one standard error over entities.
    """
    scores = cross_fit_scores(values, groups, cross_fit)
    n_entities = len(set(groups.tolist()))
    if n_entities < min_entities:
        reason = f"{n_entities} entities, {min_entities} needed for a slice's own mixture"
        return Refinement(None, scores, "kept_global", reason)
    refined = _cross_fit_refined(values, groups, cross_fit, settings)
    gain, error = _paired_gain(refined.log_density - scores.log_density, groups)
    if not gain > error:
        reason = f"held-out gain {gain:.3f} nats does not exceed its error {error:.3f}"
        return Refinement(None, scores, "kept_global", reason)
    mixture = _warm(values, geometry, settings)
    reason = f"held-out gain {gain:.3f} nats, error {error:.3f}, {n_entities} entities"
    return Refinement(mixture, refined, "refined", reason)


def choose_form(n_entities: int, n_dimensions: int, settings: FitSettings) -> Form:
    """The richest form up to the configured one that the entities of every fold can carry."""
    wanted = settings.n_components
    n_components = max(1, min(wanted, n_entities // (2 * ENTITIES_A_ROW)))
    n_clusters = max(1, min(settings.n_clusters, n_entities // ENTITIES_A_ROW))
    kinds = ("full", "tied", "diag", "spherical")
    needed = {
        "full": ENTITIES_A_ROW * n_dimensions * n_components,
        "tied": ENTITIES_A_ROW * n_dimensions,
        "diag": ENTITIES_A_ROW,
        "spherical": 0,
    }
    allowed = kinds[kinds.index(settings.covariance_type) :]
    kind = next(kind for kind in allowed if n_entities >= needed[kind] or kind == allowed[-1])
    reason = "as configured"
    if (n_components, kind) != (wanted, settings.covariance_type):
        reason = f"{n_entities} entities a fold in {n_dimensions} dimensions carry no more"
    return Form(n_components, kind, n_clusters, reason)


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
    return PeerGeometry(preparation, fit.mixture, centers), fit


def _fit_fold(values: Array, whole: Preparation, form: Form, settings: FitSettings) -> PeerGeometry:
    """Geometry of the rows of all other folds, in the form of the fit on all rows."""
    preparation = fit_preparation(
        values,
        feature_names=whole.feature_names,
        winsorize_sd=settings.winsorize_sd,
        form=whole.form,
    )
    return _fit_geometry(values, preparation, form, settings)[0]


def _warm(values: Array, geometry: PeerGeometry, settings: FitSettings) -> Mixture:
    """The geometry's mixture after EM on native rows ``(n_rows, n_features)``, one or more."""
    return warm_start(
        geometry.preparation.project_winsorized(values, settings.winsorize_sd),
        geometry.mixture,
        max_iter=settings.max_iter,
        reg_covar=settings.reg_covar,
        tol=settings.tol,
    ).mixture


def _cross_fit_refined(
    values: Array, groups: Groups, cross_fit: CrossFit, settings: FitSettings
) -> CrossFitScores:
    """Scores of a slice's rows by mixtures refined on the slice without their entity."""
    row_folds = cross_fit.fold_of_rows(groups)
    refined = []
    for fold, geometry in enumerate(cross_fit.folds):
        kept = row_folds != fold
        mixture = _warm(values[kept], geometry, settings) if kept.any() else geometry.mixture
        refined.append(replace(geometry, mixture=mixture))
    return cross_fit_scores(values, groups, replace(cross_fit, folds=tuple(refined)))


def _paired_gain(gains: Array, groups: Groups) -> tuple[float, float]:
    """Mean gain over entities and its standard error."""
    _, index = np.unique(groups, return_inverse=True)
    by_entity = np.bincount(index, weights=gains) / np.bincount(index)
    if len(by_entity) < 2:
        return 0.0, np.inf
    return float(by_entity.mean()), float(by_entity.std(ddof=1) / np.sqrt(len(by_entity)))
