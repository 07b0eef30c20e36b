"""Gaussian mixtures as arrays: densities in log space, from weights, means and covariances."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp, softmax, xlogy

from shoal.errors import ConfigError, DataError, did_you_mean
from shoal.kernels.arrays import Array, as_rows

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")

LARGEST_LOG_SCALE = 300.0
"""Bound on the log of a rescaling, so that squares of the factor stay normal floats."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of ``n_components`` Gaussians in ``n_dimensions``.

    Attributes
    ----------
    weights : ``(n_components,)``, sum 1
    means : ``(n_components, n_dimensions)``
    covariances : in scikit-learn's shape: full ``(n_components, n_dimensions, n_dimensions)``,
        tied ``(n_dimensions, n_dimensions)``, diag ``(n_components, n_dimensions)``,
        spherical ``(n_components,)``
    covariance_type : ``full``, ``tied``, ``diag`` or ``spherical``

    Raises
    ------
    ConfigError
        If the covariance type is none of these.
    DataError
        If the shapes disagree.
    """

    weights: Array
    means: Array
    covariances: Array
    covariance_type: str = "full"

    def __post_init__(self) -> None:
        check_covariance_type(self.covariance_type)
        if self.means.ndim != 2:
            raise DataError(f"means must have two dimensions, got shape {self.means.shape}")
        k, q = self.means.shape
        wanted = {"full": (k, q, q), "tied": (q, q), "diag": (k, q), "spherical": (k,)}
        shape = wanted[self.covariance_type]
        if self.weights.shape != (k,) or self.covariances.shape != shape:
            raise DataError(
                f"a {self.covariance_type} mixture of means {(k, q)} must have weights {(k,)} and "
                f"covariances {shape}, got {self.weights.shape} and {self.covariances.shape}"
            )

    @property
    def n_components(self) -> int:
        """Number of Gaussians."""
        return len(self.means)

    @property
    def n_dimensions(self) -> int:
        """Number of dimensions."""
        return int(self.means.shape[1])

    def component_log_density(self, X: ArrayLike) -> Array:
        """Log density of each component alone, without its weight.

        Parameters
        ----------
        X : ``(n_rows, n_dimensions)``

        Returns
        -------
        ``(n_rows, n_components)``, nats

        Raises
        ------
        DataError
            If a covariance is not positive definite, or a row is not finite.
        """
        return self._component_log_density_at(self.squared_distance(X))

    def squared_distance(self, X: ArrayLike) -> Array:
        """Squared Mahalanobis distance ``(n_rows, n_components)`` to the mean of each component.

        Raises
        ------
        DataError
            If a covariance is not positive definite, or a row is not finite.
        """
        rows = as_rows(X, "X", n_columns=self.n_dimensions)
        squared = np.empty((len(rows), self.n_components))
        for component, factor in enumerate(self._cholesky):
            centered = rows - self.means[component]
            if factor.ndim == 1:
                whitened = centered / factor
            else:
                # In place and unchecked: both were checked above, and this is the hot line.
                whitened = solve_triangular(
                    factor, centered.T, lower=True, overwrite_b=True, check_finite=False
                ).T
            squared[:, component] = np.einsum("ij,ij->i", whitened, whitened)
        return squared

    def weighted_log_density(self, X: ArrayLike) -> Array:
        """Log of weight × density of each component ``(n_rows, n_components)``, in nats."""
        return self.weighted_log_density_at(self.squared_distance(X))

    def weighted_log_density_at(self, squared_distance: Array) -> Array:
        """The same of rows of which `squared_distance` is known, the costly part of it."""
        with np.errstate(divide="ignore"):  # a component of weight 0 adds nothing: log 0 = -inf
            log_weights = np.log(self.weights)
        return self._component_log_density_at(squared_distance) + log_weights

    def log_density(self, X: ArrayLike) -> Array:
        """Log density ``(n_rows,)`` of the mixture, in nats."""
        return np.asarray(logsumexp(self.weighted_log_density(X), axis=1), dtype=np.float64)

    def responsibilities(self, X: ArrayLike) -> Array:
        """Posterior share of each component ``(n_rows, n_components)``; each row sums to 1."""
        return np.asarray(softmax(self.weighted_log_density(X), axis=1), dtype=np.float64)

    def full_covariances(self) -> Array:
        """Covariances ``(n_components, n_dimensions, n_dimensions)`` whatever the type."""
        k, q = self.means.shape
        identity = np.eye(q)
        spread: dict[str, Callable[[], Array]] = {
            "full": lambda: self.covariances.copy(),
            "tied": lambda: np.repeat(self.covariances[np.newaxis], k, axis=0),
            "diag": lambda: self.covariances[:, :, np.newaxis] * identity,
            "spherical": lambda: self.covariances[:, np.newaxis, np.newaxis] * identity,
        }
        return spread[self.covariance_type]()

    def n_parameters(self) -> int:
        """Number of free parameters, as BIC counts them."""
        k, q = self.n_components, self.n_dimensions
        one = q * (q + 1) // 2
        covariance = {"full": k * one, "tied": one, "diag": k * q, "spherical": k}
        return covariance[self.covariance_type] + k * q + k - 1

    def _component_log_density_at(self, squared_distance: Array) -> Array:
        constant = self.n_dimensions * np.log(2.0 * np.pi)
        half_log_determinants = np.asarray(
            [np.log(f if f.ndim == 1 else np.diagonal(f)).sum() for f in self._cholesky]
        )
        log_density: Array = -0.5 * (squared_distance + constant) - half_log_determinants
        return log_density

    @cached_property
    def _cholesky(self) -> list[Array]:
        """A factor a component: lower triangle, or standard deviations ``(n_dimensions,)``."""
        k, q = self.means.shape
        if self.covariance_type in ("full", "tied"):
            if self.covariance_type == "tied":
                return [_lower_factor(self.covariances, "all components")] * k
            return [_lower_factor(c, f"component {i}") for i, c in enumerate(self.covariances)]
        variances = np.broadcast_to(self.covariances.reshape(k, -1), (k, q))
        for component, variance in enumerate(variances):
            if not (np.isfinite(variance) & (variance > 0.0)).all():
                raise _not_positive_definite(f"component {component}")
        return list(np.sqrt(variances))


def responsibility_entropy(responsibilities: ArrayLike) -> Array:
    """Entropy ``(n_rows,)``, in nats, of responsibilities ``(n_rows, n_components)``."""
    shares = np.asarray(responsibilities, dtype=np.float64)
    # 0.0 minus the sum, so that a certain row gets 0.0 and not -0.0.
    return np.asarray(0.0 - xlogy(shares, shares).sum(axis=1), dtype=np.float64)


def rescale(mixture: Mixture, factor: float) -> Mixture:
    """The mixture of ``factor`` × X; its log density is lower by n_dimensions × log(factor)."""
    if not (np.isfinite(factor) and factor > 0.0):
        raise ConfigError(f"'factor' must be finite and above 0, got {factor} instead")
    return Mixture(
        weights=mixture.weights,
        means=mixture.means * factor,
        covariances=mixture.covariances * factor**2,
        covariance_type=mixture.covariance_type,
    )


def log_density_scale(mixture: Mixture, X: ArrayLike, target: float = 200.0) -> float:
    """The factor that brings the median log density of ``factor`` × X to ``target`` nats.

    MLlib adds an epsilon of 2e-16 to densities in linear space, which drowns those of high
    dimensions; at +200 nats it does no harm (measured: field notes).
    """
    rows = as_rows(X, "X", n_columns=mixture.n_dimensions)
    if not len(rows):
        raise DataError("a scale needs at least one row")
    typical = float(np.median(mixture.log_density(rows)))
    exponent = (typical - target) / mixture.n_dimensions
    return float(np.exp(np.clip(exponent, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE)))


def check_covariance_type(covariance_type: str) -> None:
    """Raise `ConfigError` unless it is one of `COVARIANCE_TYPES`."""
    if covariance_type not in COVARIANCE_TYPES:
        raise ConfigError(
            f"'covariance_type' must be one of {', '.join(COVARIANCE_TYPES)}, got "
            f"{covariance_type!r} instead{did_you_mean(covariance_type, COVARIANCE_TYPES)}"
        )


def _lower_factor(covariance: NDArray[np.float64], owner: str) -> Array:
    # numpy would factor an asymmetric or NaN matrix without a word.
    if not np.isfinite(covariance).all() or not np.allclose(covariance, covariance.T):
        raise _not_positive_definite(owner)
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise _not_positive_definite(owner) from error


def _not_positive_definite(owner: str) -> DataError:
    return DataError(
        f"the covariance of {owner} is not positive definite; raise 'reg_covar' or fit fewer "
        "components"
    )
