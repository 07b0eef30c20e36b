"""Fitting Gaussian mixtures with scikit-learn; the mixture itself stands in `gaussians`."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from shoal.errors import DataError
from shoal.kernels.arrays import Array, as_rows, count_distinct, require_at_least, sort_rows
from shoal.kernels.gaussians import Mixture, check_covariance_type

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MixtureFit:
    """A mixture and how its fit ended.

    Attributes
    ----------
    n_iter : EM iterations of the run that was kept
    converged : EM met its tolerance
    status : ``fitted``; from `warm_start` also ``partly_fitted`` (some components had too few
        rows and keep their initial parameters) or ``kept_initial`` (all had)
    """

    mixture: Mixture
    n_iter: int
    converged: bool
    status: str = "fitted"


def fit_mixture(
    X: ArrayLike,
    *,
    n_components: int,
    covariance_type: str = "full",
    n_init: int = 5,
    reg_covar: float = 1e-4,
    max_iter: int = 200,
    tol: float = 1e-4,
    random_state: int = 0,
) -> MixtureFit:
    """Fit a mixture by EM, the best of ``n_init`` k-means starts.

    The result depends neither on the order of the rows nor on how the seed numbers the
    components: they come heaviest first, equals by their means.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``
    n_components : components wanted; with fewer distinct rows there are only as many as those

    Raises
    ------
    DataError
        If there is no row, a row is not finite, or a component collapses.
    ConfigError
        If a setting is out of range.
    """
    require_at_least(1, n_components, "n_components")
    require_at_least(1, n_init, "n_init")
    check_covariance_type(covariance_type)
    rows = _rows_to_fit(X)
    fit = _run_em(
        rows,
        None,
        n_components=min(n_components, count_distinct(rows)),
        covariance_type=covariance_type,
        n_init=n_init,
        reg_covar=reg_covar,
        max_iter=max_iter,
        tol=tol,
        random_state=random_state,
    )
    return replace(fit, mixture=_sort_components(fit.mixture))


def refit_mixture(
    X: ArrayLike,
    responsibilities: ArrayLike,
    *,
    covariance_type: str,
    max_iter: int = 200,
    reg_covar: float = 1e-4,
    tol: float = 1e-4,
) -> MixtureFit:
    """Fit a mixture by EM from the responsibilities that another has for the same rows.

    So two fits that see nearly the same rows end in nearly the same place, and components keep
    their order, whatever space each of them measures in.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``
    responsibilities : ``(n_rows, n_components)``; a component of none keeps a share of all rows

    Raises
    ------
    DataError
        If there is no row, a row is not finite, or a component collapses.
    """
    check_covariance_type(covariance_type)
    rows = as_rows(X, "X")
    if len(rows) < 2:
        return fit_mixture(rows, n_components=1, covariance_type=covariance_type, n_init=1)
    shares = np.asarray(responsibilities, dtype=np.float64)
    start = _maximize(rows, shares, covariance_type, reg_covar)
    return _run_em(
        sort_rows(rows),
        start,
        n_components=start.n_components,
        covariance_type=covariance_type,
        max_iter=max_iter,
        reg_covar=reg_covar,
        tol=tol,
    )


def warm_start(
    X: ArrayLike,
    mixture: Mixture,
    *,
    max_iter: int = 20,
    reg_covar: float = 1e-4,
    tol: float = 1e-4,
) -> MixtureFit:
    """Continue EM on other rows, such as a slice's, from ``mixture``; components keep their order.

    A component with fewer effective rows than ``n_dimensions + 1`` can carry no covariance of its
    own: it keeps its mean and covariance, and as weight its effective rows and one pseudo-row
    shared out by the initial weights, so that none falls to 0.

    Parameters
    ----------
    X : ``(n_rows, n_dimensions)``

    Raises
    ------
    DataError
        If there is no row, a row is not finite, or a component collapses.
    """
    rows = _rows_to_fit(X, n_columns=mixture.n_dimensions)
    responsibilities = mixture.responsibilities(rows)
    least = mixture.n_dimensions + 1
    is_carried = responsibilities.sum(axis=0) >= least
    while is_carried.any():
        own = rows[is_carried[responsibilities.argmax(axis=1)]]
        if len(own) < max(least, is_carried.sum()):
            break
        part = _run_em(
            own,
            _take(mixture, is_carried),
            n_components=int(is_carried.sum()),
            covariance_type=mixture.covariance_type,
            max_iter=max_iter,
            reg_covar=reg_covar,
            tol=tol,
        )
        fit = _join(rows, mixture, part, is_carried)
        is_starved = fit.mixture.responsibilities(rows).sum(axis=0) < least
        if not (is_carried & is_starved).any():
            return fit
        is_carried &= ~is_starved
    return MixtureFit(mixture, 0, False, "kept_initial")


def shrink(own: Mixture, parent: Mixture, support: ArrayLike, *, relevance: float) -> Mixture:
    """A mixture between a slice's own and that of all, component by component.

    MAP adaptation (Reynolds, Quatieri & Dunn 2000, Digital Signal Processing 10, equations 11 to
    14): a component that ``n`` entities of the slice support speaks for itself by n / (n +
    ``relevance``), and all together for the weights; between two Gaussians lies the one that has
    the moments of their mixture. By entities and not by rows, for those of one entity repeat.

    Parameters
    ----------
    own, parent : of the same components, in the same order, and covariance type
    support : ``(n_components,)`` entities behind each component of ``own``
    relevance : entities of the parent that stand beside the slice's own; 0 keeps ``own``
    """
    entities = np.asarray(support, dtype=np.float64)
    share = entities / np.maximum(entities + relevance, np.finfo(np.float64).tiny)
    # That a component is not supported says nothing of where it lies, but that it is rare here.
    n_entities = entities.sum()
    of_all = n_entities / max(n_entities + relevance, np.finfo(np.float64).tiny)
    weights = of_all * own.weights + (1.0 - of_all) * parent.weights
    kept, apart = share[:, np.newaxis], own.means - parent.means
    means = kept * own.means + (1.0 - kept) * parent.means
    between = kept * (1.0 - kept) * apart
    kind = own.covariance_type
    spread: dict[str, Callable[[], Array]] = {
        "full": lambda: between[:, :, np.newaxis] * apart[:, np.newaxis, :],
        "tied": lambda: (weights[:, np.newaxis] * between).T @ apart,
        "diag": lambda: between * apart,
        "spherical": lambda: (between * apart).mean(axis=1),
    }
    # A covariance that all components share is kept by the mean of their shares.
    of_each = share.reshape(-1, *[1] * (own.covariances.ndim - 1))
    own_part = weights @ share if kind == "tied" else of_each
    covariances = own_part * own.covariances + (1.0 - own_part) * parent.covariances
    return Mixture(weights, means, covariances + spread[kind](), kind)


def without_small(mixture: Mixture, weight_floor: float) -> Mixture:
    """The mixture of the components of at least that weight, or of the heaviest alone.

    On a table that nobody has looked at, a small component may be the attack itself, and would
    make it normal (measured: field notes).
    """
    least = min(weight_floor, float(mixture.weights.max()))
    kept = _take(mixture, np.flatnonzero(mixture.weights >= least))
    return replace(kept, weights=kept.weights / kept.weights.sum())


def _join(
    rows: Array, mixture: Mixture, part: MixtureFit, is_part: NDArray[np.bool_]
) -> MixtureFit:
    """``mixture`` with the components ``is_part`` refitted."""
    means = mixture.means.copy()
    means[is_part] = part.mixture.means
    covariances = part.mixture.covariances
    if mixture.covariance_type != "tied":
        covariances = mixture.covariances.copy()
        covariances[is_part] = part.mixture.covariances
    counts = mixture.responsibilities(rows).sum(axis=0)
    weights = (counts + mixture.weights) / (len(rows) + 1)
    weights[is_part] = part.mixture.weights * (1.0 - weights[~is_part].sum())
    joined = Mixture(weights, means, covariances, mixture.covariance_type)
    status = "fitted" if is_part.all() else "partly_fitted"
    return MixtureFit(joined, part.n_iter, part.converged, status)


def _run_em(rows: Array, init: Mixture | None, **settings: Any) -> MixtureFit:
    """Run scikit-learn's EM with its own settings, components as they come."""
    if init is not None:
        settings |= {
            "weights_init": init.weights / init.weights.sum(),
            "means_init": init.means,
            "precisions_init": _precisions(init),
        }
    estimator = GaussianMixture(**settings)
    try:
        with warnings.catch_warnings():
            # Not lost: `converged` carries it, and whoever fits many decides what to say.
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(rows)
    except ValueError as error:
        raise DataError(
            f"EM failed on {len(rows)} rows with {settings['n_components']} "
            f"{settings['covariance_type']} components: {error}"
        ) from error
    mixture = Mixture(
        weights=estimator.weights_,
        means=estimator.means_,
        covariances=estimator.covariances_,
        covariance_type=settings["covariance_type"],
    )
    log.debug("EM: %d iterations, converged %s", estimator.n_iter_, estimator.converged_)
    return MixtureFit(mixture, int(estimator.n_iter_), bool(estimator.converged_))


def _rows_to_fit(X: ArrayLike, n_columns: int | None = None) -> Array:
    rows = as_rows(X, "X", n_columns=n_columns)
    if rows.size == 0:
        raise DataError(f"a mixture needs at least one row, got shape {rows.shape}")
    if len(rows) == 1:  # scikit-learn refuses a single row; twice the same is the same fit
        rows = np.repeat(rows, 2, axis=0)
    return sort_rows(rows)


def _maximize(rows: Array, shares: Array, covariance_type: str, reg_covar: float) -> Mixture:
    """The M-step: weights, means and covariances of rows by their responsibilities.

    A component has a thousandth of every row beside its own, so that none is empty.
    """
    shares = shares + 1e-3
    counts = shares.sum(axis=0)
    means = shares.T @ rows / counts[:, np.newaxis]
    n_dimensions = rows.shape[1]
    spreads = np.empty((len(counts), n_dimensions, n_dimensions))
    for component, mean in enumerate(means):
        centered = rows - mean
        spreads[component] = (shares[:, component] * centered.T) @ centered / counts[component]
    spreads += reg_covar * np.eye(n_dimensions)
    weights = counts / counts.sum()
    variances = np.diagonal(spreads, axis1=1, axis2=2)
    covariances: dict[str, Array] = {
        "full": spreads,
        "tied": np.tensordot(weights, spreads, axes=1),
        "diag": variances,
        "spherical": variances.mean(axis=1),
    }
    return Mixture(weights, means, covariances[covariance_type], covariance_type)


def _precisions(mixture: Mixture) -> Array:
    """Inverse covariances in scikit-learn's shape."""
    if mixture.covariance_type in ("diag", "spherical"):
        return 1.0 / mixture.covariances
    inverse = np.linalg.inv(mixture.covariances)
    return np.asarray((inverse + np.swapaxes(inverse, -1, -2)) / 2.0, dtype=np.float64)


def _sort_components(mixture: Mixture) -> Mixture:
    """Heaviest first, equals by their means; both rounded, so that noise does not decide."""
    keys = np.column_stack([-mixture.weights, mixture.means]).round(6)
    return _take(mixture, np.lexsort(keys.T[::-1]))


def _take(mixture: Mixture, which: NDArray[Any]) -> Mixture:
    is_shared = mixture.covariance_type == "tied"
    return Mixture(
        weights=mixture.weights[which],
        means=mixture.means[which],
        covariances=mixture.covariances if is_shared else mixture.covariances[which],
        covariance_type=mixture.covariance_type,
    )
