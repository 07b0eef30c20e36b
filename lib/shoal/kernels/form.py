"""The form of a fit: components, covariance and clusters, as configured or chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.clusters import ClusterTrial, elbow, try_clusters
from shoal.kernels.gaussians import COVARIANCE_TYPES
from shoal.kernels.preparation import Preparation
from shoal.kernels.selection import (
    ENTITIES_A_ROW,
    SelectionSettings,
    TryAll,
    Verdict,
    carries,
    select,
    selection_data,
)

Array = NDArray[np.float64]
Groups = NDArray[np.str_]


@dataclass(frozen=True)
class FitSettings:
    """What a fit may do; names are scikit-learn's.

    Attributes
    ----------
    n_components, covariance_type, n_clusters : ``None``: chosen among ``candidates`` and all types
    candidates : numbers of components, or of clusters, to choose from
    n_seeds, selection_rows, trim : of the selection
    min_refined : entities that a slice needs for a mixture of its own
    relevance : entities of all that stand beside a slice's own; see `shrink`
    """

    n_components: int | None
    covariance_type: str | None
    n_clusters: int | None
    candidates: tuple[int, ...]
    n_seeds: int
    selection_rows: int
    trim: float
    n_init: int
    reg_covar: float
    tol: float
    max_iter: int
    random_state: int
    winsorize_sd: float
    explained_variance: float
    max_pca_components: int
    n_folds: int
    min_refined: int
    relevance: float


@dataclass(frozen=True)
class Form:
    """Number of components, covariance and clusters that the entities at hand can carry."""

    n_components: int
    covariance_type: str
    n_clusters: int
    reason: str


@dataclass(frozen=True, eq=False)
class Selection:
    """What was tried to find the form; empty where the configuration says it."""

    mixtures: Sequence[Verdict] = ()
    clusters: Sequence[ClusterTrial] = ()


def choose_form(
    n_entities: int, n_dimensions: int, n_components: int, covariance_type: str, n_clusters: int
) -> Form:
    """The richest form up to the one asked for that the entities of every fold can carry."""
    carried = max(1, min(n_components, n_entities // (2 * ENTITIES_A_ROW)))
    kinds = COVARIANCE_TYPES[COVARIANCE_TYPES.index(covariance_type) :]
    kind = next((k for k in kinds if carries(n_entities, n_dimensions, carried, k)), kinds[-1])
    reason = "as configured"
    if (carried, kind) != (n_components, covariance_type):
        reason = f"{n_entities} entities a fold in {n_dimensions} dimensions carry no more"
    return Form(carried, kind, _carried_clusters(n_clusters, n_entities), reason)


def _carried_clusters(n_clusters: int, n_entities: int) -> int:
    return max(1, min(n_clusters, n_entities // ENTITIES_A_ROW))


def find_form(
    values: Array,
    groups: Groups,
    preparation: Preparation,
    n_entities: int,
    settings: FitSettings,
    try_all: TryAll,
) -> tuple[Form, Selection]:
    """The form as configured, or what was chosen for what the configuration leaves open.

    Parameters
    ----------
    values : ``(n_rows, n_features)`` native rows
    groups : ``(n_rows,)`` entity of each row
    n_entities : entities that every fold of the fit has
    """
    k, kind, n_clusters = settings.n_components, settings.covariance_type, settings.n_clusters
    if k is not None and kind is not None and n_clusters is not None:
        n_dimensions = preparation.form.n_components
        return choose_form(n_entities, n_dimensions, k, kind, n_clusters), Selection()
    drawn = _days_of_each(groups, settings.selection_rows)
    rows = preparation.project_winsorized(values[drawn], settings.winsorize_sd)
    tried = selection_settings(settings, n_entities)
    data = selection_data(rows, groups[drawn], tried)
    verdicts = select(data, tried, try_all=try_all)
    chosen = next(verdict for verdict in verdicts if verdict.is_chosen)
    trials: list[ClusterTrial] = []
    if n_clusters is None:
        carried = {_carried_clusters(k, n_entities) for k in settings.candidates}
        trials = try_clusters(
            rows[data.is_kept], sorted(carried), random_state=settings.random_state
        )
        n_clusters = elbow(trials)
    form = Form(
        chosen.n_components,
        chosen.covariance_type,
        _carried_clusters(n_clusters, n_entities),
        chosen.reason,
    )
    return form, Selection(verdicts, trials)


def selection_settings(settings: FitSettings, n_entities: int) -> SelectionSettings:
    """What is tried for what the settings of a fit leave open."""
    kind = settings.covariance_type
    n_components = settings.n_components
    return SelectionSettings(
        n_components=settings.candidates if n_components is None else (n_components,),
        covariance_types=COVARIANCE_TYPES if kind is None else (kind,),
        n_carrying=n_entities,
        n_seeds=settings.n_seeds,
        trim=settings.trim,
        reg_covar=settings.reg_covar,
        max_iter=settings.max_iter,
        tol=settings.tol,
        random_state=settings.random_state,
    )


def _days_of_each(groups: Groups, max_rows: int) -> NDArray[np.intp]:
    """Rows ``(n_drawn,)``, at most so many, as even a number of each entity as can be.

    The unit of evidence is the entity, whose days are much alike: fewer days of all say more than
    all days of few. Of each its rows evenly spaced, in the order they come.
    """
    if len(groups) <= max_rows:
        return np.arange(len(groups))
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    a_entity = max(1, max_rows // len(counts))
    drawn = [
        order[start + np.linspace(0, count - 1, min(a_entity, count)).astype(np.intp)]
        for start, count in zip(starts, counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn))
