"""Choosing a mixture: how many components, which covariance. The unit of evidence is the entity."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
from scipy.stats import chi2

from shoal.errors import DataError
from shoal.kernels.arrays import Array, as_rows
from shoal.kernels.calibration import entity_folds, fold_of_rows
from shoal.kernels.gaussians import COVARIANCE_TYPES, Mixture, responsibility_entropy
from shoal.kernels.matching import contingency_scores
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.trimming import concentrate

ENTITIES_A_ROW = 10
"""Entities that a row of parameters needs: a mean, or a row of a covariance matrix."""

JUDGED_ROWS = 2000
"""Rows whose components are compared between seeds."""

LEAST_STABILITY = 0.5
"""Mean adjusted Rand index between seeds below which components are accidents of a start."""

OUTSIDE = 0.01
"""Share of rows beyond the ellipsoid of their component that is looked at, if it is Gaussian."""

LARGEST_OUTSIDE = 0.1
"""Share of held-out rows beyond it from which a mixture does not fit: more than stray rows are."""

LARGEST_OVERLAP = 0.9
"""Bhattacharyya coefficient of two components above which they say the same."""


@dataclass(frozen=True, order=True)
class Candidate:
    """A mixture to try.

    Attributes
    ----------
    random_state : seed of the fit, and the fold of entities that it doesn't see
    """

    n_components: int
    covariance_type: str
    random_state: int


@dataclass(frozen=True)
class SelectionSettings:
    """What is tried; names are scikit-learn's.

    Attributes
    ----------
    n_components, covariance_types : of the candidates
    n_carrying : entities that carry the final fit; ``None``: those that a fold leaves
    n_seeds : fits of each, each without another fold of the entities; 2 or more
    trim : share of the rows, the least likely under one Gaussian, that no candidate is fitted on
    """

    n_components: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8)
    covariance_types: Sequence[str] = COVARIANCE_TYPES
    n_carrying: int | None = None
    n_seeds: int = 3
    trim: float = 0.1
    reg_covar: float = 1e-4
    max_iter: int = 100
    tol: float = 1e-3
    random_state: int = 0


@dataclass(frozen=True, eq=False)
class SelectionData:
    """Rows on which candidates are tried.

    Attributes
    ----------
    rows : ``(n_rows, n_dimensions)`` in PCA space
    entities : ``(n_rows,)`` number of each row's entity, from 0
    folds : ``(n_rows,)`` fold of each row's entity
    is_kept : ``(n_rows,)`` rows that take part in fits: all but those trimmed
    floor : log density below which all rows are equally strange, nats: it caps what a held-out
        row can cost
    """

    rows: Array
    entities: NDArray[np.intp]
    folds: NDArray[np.intp]
    is_kept: NDArray[np.bool_]
    floor: float

    @property
    def n_entities(self) -> int:
        """Entities of all rows."""
        return int(self.entities.max()) + 1

    @property
    def judged(self) -> NDArray[np.intp]:
        """Kept rows, evenly spaced, whose components are compared between seeds."""
        kept = np.flatnonzero(self.is_kept)
        return kept[:: max(1, -(-len(kept) // JUDGED_ROWS))]

    def by_entity(self, values: Array, rows: NDArray[np.bool_]) -> Array:
        """Mean ``(n_entities,)`` of ``values`` over the masked rows; NaN where there is none."""
        counts = np.bincount(self.entities[rows], minlength=self.n_entities)
        sums = np.bincount(self.entities[rows], weights=values[rows], minlength=self.n_entities)
        with np.errstate(invalid="ignore"):  # 0 / 0: no row of the entity is among them
            return np.asarray(sums / counts, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Trial:
    """How one candidate fared.

    Attributes
    ----------
    bic, aic : on the entities it was fitted on; an entity's rows share one unit of evidence
    held_out : ``(n_entities,)`` mean capped log density, nats; NaN for entities it has seen
    labels : component of each judged row
    outside_share : share of the rows of entities it has not seen that lie beyond the ellipsoid of
        their component which `OUTSIDE` of a Gaussian's rows lie beyond
    smallest_weight : of its components
    near_duplicates : pairs of components that all but coincide
    fault : why there is no fit; empty if there is one
    """

    candidate: Candidate
    bic: float
    aic: float
    held_out: Array
    labels: NDArray[np.intp]
    outside_share: float
    smallest_weight: float
    responsibility_entropy: float
    near_duplicates: int
    is_converged: bool
    seconds: float
    fault: str = ""


@dataclass(frozen=True)
class Verdict:
    """A number of components and a covariance, all seeds together.

    Attributes
    ----------
    held_out : mean over entities, nats an entity and day
    loss, loss_error : what it loses to the best, paired by entity, and the standard error of that
    stability : mean adjusted Rand index between seeds
    jaccard : mean Jaccard index of a component with its like between seeds (Hennig 2007)
    outside_share : of held-out rows, as in `Trial`
    reason : why it was chosen, or why not
    """

    n_components: int
    covariance_type: str
    bic: float
    aic: float
    held_out: float
    loss: float
    loss_error: float
    stability: float
    jaccard: float
    outside_share: float
    smallest_weight: float
    responsibility_entropy: float
    near_duplicates: int
    is_converged: bool
    seconds: float
    is_chosen: bool
    reason: str


TryAll = Callable[[Callable[[Candidate], Trial], Sequence[Candidate]], Iterable[Trial]]
"""How candidates are tried: one after the other, or side by side on a cluster."""


def selection_data(
    rows: Array, groups: NDArray[np.str_], settings: SelectionSettings
) -> SelectionData:
    """Trim once, before any candidate, and deal the entities out in folds.

    Parameters
    ----------
    rows : ``(n_rows, n_dimensions)`` winsorised rows in PCA space
    groups : ``(n_rows,)`` entity of each

    Raises
    ------
    DataError
        If a row is not finite, or there are fewer than two entities.
    """
    rows = as_rows(rows, "rows")
    fold_of = entity_folds(groups, settings.n_seeds)
    folds = fold_of_rows(groups, fold_of, max(fold_of.values()) + 1)
    _, entities = np.unique(groups, return_inverse=True)
    is_kept, gaussian = concentrate(rows, trim=settings.trim, reg_covar=settings.reg_covar)
    floor = float(gaussian.log_density(rows[is_kept]).min())
    return SelectionData(rows, entities, folds, is_kept, floor)


def carries(n_entities: int, n_dimensions: int, n_components: int, covariance_type: str) -> bool:
    """Whether so many entities can carry such a mixture: `ENTITIES_A_ROW` a row of parameters."""
    rows_of_parameters = {
        "full": n_components * n_dimensions,
        "tied": max(n_components, n_dimensions),
        "diag": n_components,
        "spherical": n_components,
    }
    return n_entities >= ENTITIES_A_ROW * rows_of_parameters[covariance_type]


def candidates(data: SelectionData, settings: SelectionSettings) -> list[Candidate]:
    """Candidates that the entities of every fold can carry; one spherical Gaussian at least."""
    n_folds = int(data.folds.max()) + 1
    fewest = settings.n_carrying or min(
        len(np.unique(data.entities[data.folds != fold])) for fold in range(n_folds)
    )
    n_dimensions = data.rows.shape[1]
    found = [
        Candidate(k, kind, seed)
        for k in sorted(settings.n_components)
        for kind in settings.covariance_types
        # One component is its own tie.
        if not (k == 1 and kind == "tied" and "full" in settings.covariance_types)
        if carries(fewest, n_dimensions, k, kind)
        for seed in range(n_folds)
    ]
    return found or [Candidate(1, "spherical", seed) for seed in range(n_folds)]


def try_candidate(data: SelectionData, candidate: Candidate, settings: SelectionSettings) -> Trial:
    """Fit a candidate without its fold of entities, and measure it on all."""
    started = time.monotonic()
    is_seen = data.folds != candidate.random_state
    is_taught = is_seen & data.is_kept
    try:
        fit = fit_mixture(
            data.rows[is_taught],
            n_components=candidate.n_components,
            covariance_type=candidate.covariance_type,
            n_init=1,
            reg_covar=settings.reg_covar,
            max_iter=settings.max_iter,
            tol=settings.tol,
            random_state=settings.random_state + candidate.random_state,
        )
        mixture = fit.mixture
        squared = mixture.squared_distance(data.rows)
        weighted = mixture.weighted_log_density_at(squared)
    except DataError as error:
        return _faulty(data, candidate, str(error), time.monotonic() - started)
    density = np.asarray(logsumexp(weighted, axis=1), dtype=np.float64)
    own = data.by_entity(density, is_taught)
    own = own[np.isfinite(own)]
    n_parameters = mixture.n_parameters()
    return Trial(
        candidate=candidate,
        bic=float(n_parameters * np.log(len(own)) - 2.0 * own.sum()),
        aic=float(2.0 * n_parameters - 2.0 * own.sum()),
        held_out=data.by_entity(np.maximum(density, data.floor), ~is_seen),
        labels=weighted[data.judged].argmax(axis=1),
        outside_share=float(
            np.nanmean(data.by_entity(_is_outside(squared, mixture.n_dimensions), ~is_seen))
        ),
        smallest_weight=float(mixture.weights.min()),
        responsibility_entropy=float(
            responsibility_entropy(softmax(weighted[data.judged], axis=1)).mean()
        ),
        near_duplicates=len(near_duplicates(mixture)),
        is_converged=fit.converged,
        seconds=time.monotonic() - started,
    )


def select(
    data: SelectionData, settings: SelectionSettings, *, try_all: TryAll = map
) -> list[Verdict]:
    """Try all candidates and choose; simplest first, exactly one is chosen.

    Held-out entities decide. Of all whose loss to the best is within one standard error, paired by
    entity, those count whose components are stable between seeds and no near-duplicates; of these
    the fewest components win, then the lowest BIC. (One-standard-error rule: Breiman et al. 1984,
    Classification and Regression Trees, section 3.4.3.)

    Raises
    ------
    DataError
        If no candidate could be fitted; it says why the simplest could not.
    """

    def attempt(candidate: Candidate) -> Trial:
        return try_candidate(data, candidate, settings)

    return choose(list(try_all(attempt, candidates(data, settings))))


def choose(trials: Sequence[Trial]) -> list[Verdict]:
    """The rule of `select`, on trials that have been made."""
    by_form: dict[tuple[int, str], list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.candidate):
        form = (trial.candidate.n_components, trial.candidate.covariance_type)
        by_form.setdefault(form, []).append(trial)
    whole = {form: own for form, own in by_form.items() if not any(t.fault for t in own)}
    if not whole:
        raise DataError(f"no mixture can be fitted: {trials[0].fault}")
    held_out = {form: _held_out(own) for form, own in whole.items()}
    best = max(held_out, key=lambda form: float(held_out[form].mean()))
    losses = {form: _loss(held_out[best], found) for form, found in held_out.items()}
    agreement = {form: _agreement(own) for form, own in whole.items()}
    chosen, reasons = _weigh(whole, losses, {f: a[0] for f, a in agreement.items()}, best)
    verdicts = []
    for form, own in by_form.items():
        fault = next((trial.fault for trial in own if trial.fault), "")
        loss, loss_error = losses.get(form, (np.nan, np.nan))
        stability, jaccard = agreement.get(form, (np.nan, np.nan))
        verdicts.append(
            Verdict(
                *form,
                bic=_mean(trial.bic for trial in own),
                aic=_mean(trial.aic for trial in own),
                held_out=float(held_out[form].mean()) if form in whole else np.nan,
                loss=loss,
                loss_error=loss_error,
                stability=stability,
                jaccard=jaccard,
                outside_share=_mean(trial.outside_share for trial in own),
                smallest_weight=min(trial.smallest_weight for trial in own),
                responsibility_entropy=_mean(trial.responsibility_entropy for trial in own),
                near_duplicates=max(trial.near_duplicates for trial in own),
                is_converged=all(trial.is_converged for trial in own),
                seconds=sum(trial.seconds for trial in own),
                is_chosen=form == chosen,
                reason=reasons.get(form, f"no fit: {fault}") + _misfit(own, form == chosen),
            )
        )
    return verdicts


def near_duplicates(mixture: Mixture) -> list[tuple[int, int]]:
    """Pairs of components that all but coincide, by their Bhattacharyya coefficient.

    (Bhattacharyya 1943; for Gaussians: Fukunaga 1990, Statistical Pattern Recognition, 3.152.)
    """
    covariances, means = mixture.full_covariances(), mixture.means
    log_determinants = np.linalg.slogdet(covariances)[1]
    found = []
    for one in range(len(means)):
        for other in range(one + 1, len(means)):
            shared = (covariances[one] + covariances[other]) / 2.0
            apart = means[one] - means[other]
            distance = apart @ np.linalg.solve(shared, apart) / 8.0 + 0.5 * (
                np.linalg.slogdet(shared)[1]
                - (log_determinants[one] + log_determinants[other]) / 2.0
            )
            if np.exp(-distance) > LARGEST_OVERLAP:
                found.append((one, other))
    return found


def _faulty(data: SelectionData, candidate: Candidate, fault: str, seconds: float) -> Trial:
    nothing = np.full(data.n_entities, np.nan)
    no_labels = np.zeros(len(data.judged), dtype=np.intp)
    nan = float("nan")
    return Trial(
        candidate, nan, nan, nothing, no_labels, nan, nan, nan, 0, False, seconds, fault or "?"
    )


def _is_outside(squared_distance: Array, n_dimensions: int) -> Array:
    """1 for each row ``(n_rows,)`` beyond the ellipsoid of the component nearest to it, else 0.

    Of Gaussian rows the squared distance is chi-squared with a degree of freedom a dimension. By
    their median it is freed of what the trim has taken off the covariances.
    """
    nearest = squared_distance.min(axis=1)
    usual = chi2(n_dimensions)
    limit = usual.isf(OUTSIDE) * float(np.median(nearest)) / usual.median()
    return np.asarray(nearest > limit, dtype=np.float64)


def _misfit(trials: Sequence[Trial], is_chosen: bool) -> str:
    """What to say of a mixture chosen that the rows are not of; empty if they may be."""
    outside = _mean(trial.outside_share for trial in trials)
    if not is_chosen or outside <= LARGEST_OUTSIDE:
        return ""
    return (
        f"; the mixture does not fit: {outside:.0%} of held-out rows lie where {OUTSIDE:.0%} of a "
        "Gaussian's would"
    )


def _held_out(trials: Sequence[Trial]) -> Array:
    """Log density of each entity by the fit that has not seen it: the folds cover all."""
    return np.asarray(np.nansum([trial.held_out for trial in trials], axis=0), dtype=np.float64)


def _loss(best: Array, own: Array) -> tuple[float, float]:
    """Mean loss to the best and its standard error, both over entities."""
    differences = best - own
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _agreement(trials: Sequence[Trial]) -> tuple[float, float]:
    """Adjusted Rand and Jaccard index of the components of two seeds, mean over pairs of seeds."""
    rand, jaccard = [], []
    for number, one in enumerate(trials):
        for other in trials[number + 1 :]:
            k = 1 + max(int(one.labels.max()), int(other.labels.max()))
            table = np.bincount(one.labels * k + other.labels, minlength=k * k).reshape(k, k)
            rand.append(contingency_scores(table).adjusted_rand)
            own = table[table.any(axis=1)]
            either = own.sum(axis=1, keepdims=True) + table.sum(axis=0) - own
            jaccard.append(float((own / either).max(axis=1).mean()))
    return float(np.mean(rand)), float(np.mean(jaccard))


def _weigh(
    whole: Mapping[tuple[int, str], Sequence[Trial]],
    losses: Mapping[tuple[int, str], tuple[float, float]],
    stability: Mapping[tuple[int, str], float],
    best: tuple[int, str],
) -> tuple[tuple[int, str], dict[tuple[int, str], str]]:
    """The form chosen, and a reason for each."""
    tied = [form for form, (loss, error) in losses.items() if loss <= error]
    unfit = {form: _why_unfit(whole[form], stability[form]) for form in tied}
    sound = [form for form in tied if not unfit[form]]
    bic = {form: _mean(trial.bic for trial in own) for form, own in whole.items()}
    chosen = min(sound or tied, key=lambda form: (form[0], bic[form]))
    reasons = {}
    for form, (loss, error) in losses.items():
        if form == chosen and form == best:
            reasons[form] = "best on held-out entities"
        elif form == chosen:
            reasons[form] = f"simplest within one standard error of {best[0]} × {best[1]}"
        elif loss > error:
            reasons[form] = f"loses to {best[0]} × {best[1]}"
        else:
            reasons[form] = unfit[form] or f"no better than the simpler {chosen[0]} × {chosen[1]}"
    return chosen, reasons


def _why_unfit(trials: Sequence[Trial], stability: float) -> str:
    """Why a form that predicts well is still not to be used; empty if it is."""
    if stability < LEAST_STABILITY:
        return f"components differ between seeds: adjusted Rand {stability:.2f}"
    if any(trial.near_duplicates for trial in trials):
        return "some components all but coincide"
    return ""


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
