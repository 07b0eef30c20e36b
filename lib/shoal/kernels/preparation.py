"""Preparation of native feature rows: logs, robust scaling, PCA and what PCA discards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import ConfigError, DataError
from shoal.kernels.arrays import Array, as_rows, require_at_least, with_fixed_signs
from shoal.kernels.scaling import Scaling, as_native, fit_scaling

MIN_RESIDUAL_VARIANCE = 1e-3
"""Mean variance of discarded directions, squared standard units, below which it isn't believed."""

LEAST_OF_RESIDUAL = 0.1
"""Least variance of a feature's residual, relative to the mean of all: a sample may be luckier."""

LARGEST_OF_NOISE = 10.0
"""Variance of a discarded direction, relative to their mean, above which it is no noise."""

MIN_EIGENVALUE = 1e-9
"""Variance, in squared standard units, below which a direction is constant on the reference."""


@dataclass(frozen=True, eq=False)
class PreparationForm:
    """What a fit chooses; handed to the fits of folds so that all measure in the same units.

    Attributes
    ----------
    is_logged : ``(n_features,)`` features to log
    n_components : PCA components kept
    residual_dimensions : discarded directions that share the residual variance
    """

    is_logged: NDArray[np.bool_]
    n_components: int
    residual_dimensions: int


class Residual(NamedTuple):
    """The discarded part of rows.

    Attributes
    ----------
    distance : ``(n_rows,)`` Euclidean length, standard units
    log_density : ``(n_rows,)`` nats; 0 where nothing is discarded
    """

    distance: Array
    log_density: Array


@dataclass(frozen=True, eq=False)
class Preparation:
    """The map from native features to standard units and on to PCA space.

    Attributes
    ----------
    feature_names : ``n_features`` names, in column order
    is_logged : ``(n_features,)`` signed ``log1p`` is taken first
    center, scale : ``(n_features,)`` robust location and scale, after the log
    pca_mean : ``(n_features,)`` mean of the winsorised standardised reference
    pca_components : ``(n_components, n_features)`` orthonormal rows
    residual_variances : ``(n_features,)`` what each feature's discarded part is measured by, so
        that the sum of its squares has mean `residual_dimensions` on the reference
    residual_dimensions : discarded directions in which the reference varies
    """

    feature_names: tuple[str, ...]
    is_logged: NDArray[np.bool_]
    center: Array
    scale: Array
    pca_mean: Array
    pca_components: Array
    residual_variances: Array
    residual_dimensions: int

    @property
    def form(self) -> PreparationForm:
        """What its fit chose."""
        return PreparationForm(self.is_logged, len(self.pca_components), self.residual_dimensions)

    def standardize(self, values: ArrayLike) -> Array:
        """Standard units of native rows, both ``(n_rows, n_features)``.

        NaN is a feature unknown for the row (no past to compare with) and becomes 0, the centre.
        Nothing is winsorised here: the strange must stay strange.

        Raises
        ------
        DataError
            If the width is wrong or a value is infinite.
        """
        native = as_native(values, len(self.feature_names))
        return self._scaling.standardize(native)

    def project(self, standardized: ArrayLike) -> Array:
        """PCA coordinates ``(n_rows, n_components)`` of standardised rows."""
        return self._centered(standardized) @ self.pca_components.T

    def project_winsorized(self, values: ArrayLike, sd: float) -> Array:
        """PCA coordinates ``(n_rows, n_components)`` of native rows held within ± ``sd``.

        For fitting only: what is scored is not winsorised.
        """
        return self.project(winsorize(self.standardize(values), sd))

    def residual(self, standardized: ArrayLike) -> "Residual":
        """How long and how likely what PCA discards of standardised rows is.

        Normal in the discarded directions: probabilistic PCA (Tipping & Bishop 1999, J. R. Stat.
        Soc. B 61(3), section 3), but drawn to a variance a feature, as in factor analysis. Features
        that others say well have little noise of their own, and a small departure in one of those
        counts (measured: one of 40 off by 8 sd, AUROC 0.977 → 0.992). A departure in a direction
        that is constant on the reference counts in full, but only as many directions as vary enter
        the constant: there a small error of the variances cancels between the two terms, elsewhere
        it would shift all rows.
        """
        discarded = self.discarded(standardized)
        squared = discarded**2
        by_feature = squared @ (1.0 / self.residual_variances)
        return Residual(np.sqrt(squared.sum(axis=1)), -0.5 * (by_feature + self._residual_constant))

    def to_native(self, standardized: ArrayLike) -> Array:
        """Native units of standardised rows, both ``(n_rows, n_features)``."""
        rows = as_rows(standardized, "standardized", n_columns=len(self.feature_names))
        return self._scaling.to_native(rows)

    @cached_property
    def _scaling(self) -> Scaling:
        return Scaling(self.is_logged, self.center, self.scale)

    @cached_property
    def _residual_constant(self) -> float:
        """2π and the determinant of the residual, in nats, over the directions that vary most."""
        n_features = len(self.feature_names)
        kept = self.pca_components.T @ self.pca_components
        discarded = np.eye(n_features) - kept
        precisions = np.linalg.eigvalsh((discarded / self.residual_variances) @ discarded)
        varying = precisions[len(self.pca_components) :][: self.residual_dimensions]
        return float(self.residual_dimensions * np.log(2.0 * np.pi) - np.log(varying).sum())

    def discarded(self, standardized: ArrayLike) -> Array:
        """What PCA discards of standardised rows ``(n_rows, n_features)``, standard units."""
        centered = self._centered(standardized)
        if len(self.pca_components) == len(self.feature_names):
            return np.zeros_like(centered)
        return centered - (centered @ self.pca_components.T) @ self.pca_components

    def _centered(self, standardized: ArrayLike) -> Array:
        rows = as_rows(standardized, "standardized", n_columns=len(self.feature_names))
        return rows - self.pca_mean


def winsorize(standardized: ArrayLike, sd: float) -> Array:
    """Hold standardised values within ± ``sd``; for fitting only, never for scoring."""
    if not sd > 0.0:
        raise ConfigError(f"'sd' must be above 0, got {sd} instead")
    return np.clip(np.asarray(standardized, dtype=np.float64), -sd, sd)


def fit_preparation(
    values: ArrayLike,
    *,
    feature_names: Sequence[str],
    is_count: ArrayLike | None = None,
    winsorize_sd: float = 8.0,
    explained_variance: float = 0.95,
    max_components: int = 30,
    scale_floor: float = 0.05,
    n_alike: int = 0,
    form: PreparationForm | None = None,
) -> Preparation:
    """Fit a preparation on reference rows.

    Parameters
    ----------
    values : ``(n_rows, n_features)`` native rows; NaN where a feature is unknown
    is_count : ``(n_features,)`` features declared as counts or heavy-tailed, logged where the
        reference bears it out. ``None``: nothing is declared, and the reference alone decides.
    winsorize_sd : bound, in standard units, on what the PCA is fitted on
    explained_variance : share in (0, 1] of the variance that the components kept must reach
    scale_floor : least scale, so that a departure from a constant counts and stays finite;
        relative to the feature's size where that is below 1
    n_alike : features at the end that are coordinates of one space, such as those of a profile:
        they share the largest of their scales, so that distances in it stay what they are, and all
        of it weighs about as much as one feature (as in multiple factor analysis: Escofier &
        Pagès 1994, Comput. Stat. Data Anal. 18)
    form : another fit's choices, taken over instead of ``is_count``, ``explained_variance``
        and ``max_components``

    Raises
    ------
    DataError
        If there is no row or no feature, a value is infinite, or names and columns differ.
    ConfigError
        If a setting is out of range.
    """
    _check_settings(explained_variance, max_components)
    native = as_native(values, len(feature_names))
    if native.size == 0:
        raise DataError(f"a preparation needs rows and features, got shape {native.shape}")
    scaling = fit_scaling(
        native,
        is_count=is_count,
        is_logged=None if form is None else form.is_logged,
        winsorize_sd=winsorize_sd,
        scale_floor=scale_floor,
    )
    if n_alike:
        scaling.scale[-n_alike:] = scaling.scale[-n_alike:].max()
    axes = _fit_axes(
        scaling.standardize(native, bound=winsorize_sd),
        explained_variance=explained_variance,
        max_components=max_components,
        form=form,
    )
    return Preparation(
        feature_names=tuple(feature_names),
        is_logged=scaling.is_logged,
        center=scaling.center,
        scale=scaling.scale,
        pca_mean=axes.mean,
        pca_components=axes.components,
        residual_variances=axes.residual_variances,
        residual_dimensions=axes.residual_dimensions,
    )


def refit_axes(
    preparation: Preparation,
    standardized: ArrayLike,
    *,
    explained_variance: float = 0.95,
    max_components: int = 30,
) -> Preparation:
    """The preparation with axes and residual of other rows, such as those that a trim has left.

    Parameters
    ----------
    standardized : ``(n_rows, n_features)`` in the preparation's units, winsorised, one row or more

    Raises
    ------
    DataError
        If a row is not finite or the width differs.
    ConfigError
        If a setting is out of range.
    """
    _check_settings(explained_variance, max_components)
    rows = as_rows(standardized, "standardized", n_columns=len(preparation.feature_names))
    axes = _fit_axes(rows, explained_variance=explained_variance, max_components=max_components)
    return replace(
        preparation,
        pca_mean=axes.mean,
        pca_components=axes.components,
        residual_variances=axes.residual_variances,
        residual_dimensions=axes.residual_dimensions,
    )


@dataclass(frozen=True, eq=False)
class _Axes:
    mean: Array
    components: Array
    residual_variances: Array
    residual_dimensions: int


def _fit_axes(
    rows: Array,
    *,
    explained_variance: float,
    max_components: int,
    form: PreparationForm | None = None,
) -> _Axes:
    mean, eigenvalues, eigenvectors = _principal_axes(rows)
    if form is None:
        kept = _choose_kept(eigenvalues, explained_variance, max_components)
        residual_dimensions = int((eigenvalues[kept:] > MIN_EIGENVALUE).sum())
    else:
        kept, residual_dimensions = form.n_components, form.residual_dimensions
    return _Axes(
        mean=mean,
        components=with_fixed_signs(eigenvectors[:kept]),
        residual_variances=_residual_variances(
            eigenvalues[kept:], eigenvectors[kept:], residual_dimensions
        ),
        residual_dimensions=residual_dimensions,
    )


def _check_settings(explained_variance: float, max_components: int) -> None:
    if not 0.0 < explained_variance <= 1.0:
        raise ConfigError(
            f"'explained_variance' must be in (0, 1], got {explained_variance} instead"
        )
    require_at_least(1, max_components, "max_components")


def _principal_axes(rows: Array) -> tuple[Array, Array, Array]:
    """Mean, eigenvalues (largest first) and axes ``(n_features, n_features)``, one a row."""
    mean = rows.mean(axis=0)
    centered = rows - mean
    covariance = centered.T @ centered / max(len(rows) - 1, 1)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    return mean, np.maximum(eigenvalues[::-1], 0.0), eigenvectors.T[::-1]


def _choose_kept(eigenvalues: Array, explained_variance: float, max_components: int) -> int:
    """Number of components that reach the share of variance: two or more, if there are two.

    And as many more as stand out from the rest: the residual has one variance for all directions,
    and a factor among the noise would hide what strays in the noise.
    """
    total = float(eigenvalues.sum())
    wanted = explained_variance * total * (1.0 - 1e-12)
    needed = int(np.searchsorted(np.cumsum(eigenvalues), wanted)) + 1 if total > 0.0 else 1
    while needed < len(eigenvalues) and _stands_out(eigenvalues[needed:]):
        needed += 1
    return min(max(needed, 2), max_components, len(eigenvalues))


def _stands_out(discarded: Array) -> bool:
    """Whether the first of the directions is no noise like the rest of them."""
    varying = discarded[discarded > MIN_EIGENVALUE]
    return len(varying) > 1 and bool(varying[0] > LARGEST_OF_NOISE * varying.mean())


def _residual_variances(discarded: Array, axes: Array, residual_dimensions: int) -> Array:
    """What the discarded part of each feature is measured by ``(n_features,)``.

    Between one variance for all, the maximum-likelihood estimate of probabilistic PCA (Tipping &
    Bishop 1999, equation 8), and each feature's own: the more directions are discarded, the more a
    feature's part in them is its own noise and not its place in the few directions that are left.
    Scaled so that the squared residual of the reference adds up to the directions that vary.

    Parameters
    ----------
    discarded, axes : ``(n_discarded,)`` eigenvalues, ``(n_discarded, n_features)`` eigenvectors
    """
    alike = max(float(discarded.sum()) / max(residual_dimensions, 1), MIN_RESIDUAL_VARIANCE)
    own = discarded @ axes**2
    is_varying = own > MIN_EIGENVALUE
    share = residual_dimensions / max(int(is_varying.sum()), 1)
    weight = share**2  # by the share itself, tables of five or six features lost by it (measured)
    floored = np.maximum(own / max(share, MIN_EIGENVALUE), LEAST_OF_RESIDUAL * alike)
    variances = alike ** (1.0 - weight) * floored**weight
    if is_varying.any():
        variances *= float((own / variances).sum()) / residual_dimensions
    return np.asarray(np.maximum(variances, LEAST_OF_RESIDUAL * alike), dtype=np.float64)
