"""The kernels as a scikit-learn estimator, for a static table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from shoal.errors import ConfigError, DataError
from shoal.kernels.arrays import Array, require_at_least, sort_rows
from shoal.kernels.calibration import fit_tail, log_p_values
from shoal.kernels.centroids import fit_kmeans
from shoal.kernels.gaussians import check_covariance_type
from shoal.kernels.marginals import Marginals, fit_marginals
from shoal.kernels.mixture import fit_mixture, without_small
from shoal.kernels.peer_model import GEOMETRY_ARRAYS, PeerGeometry
from shoal.kernels.preparation import Preparation, fit_preparation, refit_axes, winsorize
from shoal.kernels.reasons import explain_rows
from shoal.kernels.selection import ENTITIES_A_ROW, SelectionSettings, select, selection_data
from shoal.kernels.trimming import concentrate

EVIDENCE = ("density", "distance", "marginal")
CANDIDATES = (1, 2, 3, 4, 6, 8)
"""Numbers of components that ``n_components="auto"`` tries."""

SELECTION_ROWS = 2000
"""Rows on which the number of components is chosen."""

_SHARE_SEEN = 2 / 3
"""Share of the rows that a fit of the selection sees."""


@dataclass(frozen=True)
class FeatureReason:
    """One feature's part in a row's strangeness.

    Attributes
    ----------
    contribution : drop of the squared Mahalanobis distance were the value as expected
    expected : its expectation given the row's other features, native units
    direction : ``high`` or ``low``
    """

    feature: str
    value: float
    expected: float
    contribution: float
    direction: str


class PeerOutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """Rows that stray from their peers: joint, distance and marginal evidence together.

    Nobody knows how many strange rows a table holds, and a tight group of them wins a component of
    its own. So mixtures are fitted on what two trims leave, a light and a heavy one, and no
    component under ``weight_floor`` makes a row normal. What a mixture can't see, the features one
    by one may show, and the other way round: so each piece of evidence has its −log p, and a row is
    as strange as their root mean square, which lies between their mean and the largest of them.

    Parameters
    ----------
    n_components : int or "auto"
        Gaussians of a mixture; "auto" chooses by held-out rows, stability and BIC.
    covariance_type : "full", "tied", "diag" or "spherical"
    evidence : of "density", "distance" and "marginal", what counts
    trims : shares of the rows, in [0, 0.5], that a mixture each is fitted without
    weight_floor : share of the rows under which a component makes nothing normal
    n_clusters : centres of k-means for the distance
    n_bins : bins of a feature's histogram
    explained_variance, max_components : of the PCA; what it discards counts as a residual
    winsorize_sd : bound on what is fitted on, standard units; never on what is scored
    contamination : share of the fitted rows that `predict` calls outliers
    max_rows : most rows to fit on, drawn by ``random_state``
    reg_covar, n_init, max_iter, tol, random_state : as in scikit-learn's ``GaussianMixture``

    Attributes
    ----------
    offset_ : score below which `predict` says −1
    geometries_ : a fitted geometry for each trim
    n_iter_ : most iterations that EM took
    n_features_in_, feature_names_in_ : as in scikit-learn

    Examples
    --------
    >>> import numpy as np
    >>> from shoal import PeerOutlierDetector
    >>> rows = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = PeerOutlierDetector().fit(rows)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]).tolist()
    [1, -1]
    >>> detector.explain([[9.0, 0.0, 0.0]], top=1)[0][0].feature
    'x0'
    """

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        covariance_type: str = "full",
        evidence: Sequence[str] = EVIDENCE,
        trims: Sequence[float] = (0.1, 0.25),
        weight_floor: float = 0.05,
        n_clusters: int = 8,
        n_bins: int = 10,
        explained_variance: float = 0.95,
        max_components: int = 30,
        winsorize_sd: float = 8.0,
        contamination: float = 0.05,
        max_rows: int = 10_000,
        reg_covar: float = 1e-3,
        n_init: int = 1,
        max_iter: int = 100,
        tol: float = 1e-3,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.evidence = evidence
        self.trims = trims
        self.weight_floor = weight_floor
        self.n_clusters = n_clusters
        self.n_bins = n_bins
        self.explained_variance = explained_variance
        self.max_components = max_components
        self.winsorize_sd = winsorize_sd
        self.contamination = contamination
        self.max_rows = max_rows
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit on rows ``(n_rows, n_features)``, most of them usual; NaN is an unknown value.

        The order of the rows has no say.

        Raises
        ------
        ConfigError
            If a parameter is out of range.
        ValueError
            If ``X`` is no table of two rows or more, or a value is infinite.
        """
        self._check_parameters()
        values = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rows = _draw(values, self.max_rows, seed)
        preparation = fit_preparation(
            rows,
            feature_names=self._names(),
            winsorize_sd=self.winsorize_sd,
            explained_variance=self.explained_variance,
            max_components=self.max_components,
        )
        standardized = winsorize(preparation.standardize(rows), self.winsorize_sd)
        fits = [self._fit_geometry(preparation, standardized, trim, seed) for trim in self.trims]
        self.geometries_ = [geometry for geometry, _ in fits]
        self.n_iter_ = max(n_iter for _, n_iter in fits)
        self.marginals_ = fit_marginals(standardized, n_bins=self.n_bins)
        self.tails_ = [fit_tail(scores) for scores in self._measure(rows)]
        self.offset_ = float(np.quantile(self._score(values), self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> Array:
        """Minus the root mean square of the evidence's log p ``(n_rows,)``: low is strange.

        Raises
        ------
        ValueError
            If ``X`` has another number of features, or a value is infinite.
        """
        return self._score(self._rows_to_score(X))

    def decision_function(self, X: ArrayLike) -> Array:
        """`score_samples` minus ``offset_`` ``(n_rows,)``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """−1 for outliers, 1 for the rest ``(n_rows,)``."""
        return np.where(self.decision_function(X) < 0.0, -1, 1)

    def explain(self, X: ArrayLike, *, top: int = 5) -> list[list[FeatureReason]]:
        """The strongest reasons of each row, against its most likely component.

        Raises
        ------
        ValueError
            If ``X`` has another number of features, or a value is infinite.
        """
        values = self._rows_to_score(X)
        require_at_least(1, top, "top")
        found = explain_rows(self.geometries_[0], values)
        names = self._names()
        return [
            [
                FeatureReason(
                    names[reason.index],
                    float(row[reason.index]),
                    float(found.expected[place, reason.index]),
                    reason.contribution,
                    reason.direction,
                )
                for reason in found.reasons(place, top=top)
            ]
            for place, row in enumerate(values)
        ]

    def save(self, path: str | Path) -> None:
        """Write the fitted detector as arrays (``.npz``): nothing is pickled.

        Raises
        ------
        ConfigError
            If ``random_state`` is a generator: its state is no parameter to keep.
        """
        check_is_fitted(self)
        try:
            parameters = json.dumps(
                self.get_params() | {"trims": list(self.trims), "evidence": list(self.evidence)}
            )
        except TypeError as error:
            raise ConfigError("'random_state' must be an int or None to save a detector") from error
        arrays: dict[str, Any] = {
            "parameters": parameters,
            "names": self._names(),
            "has_names": hasattr(self, "feature_names_in_"),
            "offset": self.offset_,
            "n_iter": self.n_iter_,
            "edges": self.marginals_.edges,
            "surprise": self.marginals_.surprise,
            "outside": self.marginals_.outside,
        }
        for number, tail in enumerate(self.tails_):
            arrays[f"tail_{number}"] = tail.scores
        for number, geometry in enumerate(self.geometries_):
            arrays |= {f"{name}_{number}": a for name, a in geometry.to_arrays().items()}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The detector that `save` has written: the same scores.

        Raises
        ------
        DataError
            If the file is none of these.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as stored:
                found = dict(stored)
            detector = cls(**json.loads(str(found["parameters"])))
            detector._restore(found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a detector that was saved: {error}") from error
        return detector

    def _restore(self, found: dict[str, Any]) -> None:
        names = tuple(str(name) for name in found["names"])
        self.n_features_in_ = len(names)
        if found["has_names"]:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        self.offset_ = float(found["offset"])
        self.n_iter_ = int(found["n_iter"])
        self.marginals_ = Marginals(found["edges"], found["surprise"], found["outside"])
        self.geometries_ = [
            PeerGeometry.from_arrays(
                {name: found[f"{name}_{number}"] for name in GEOMETRY_ARRAYS}, names
            )
            for number in range(len(self.trims))
        ]
        n_tails = sum(name.startswith("tail_") for name in found)
        self.tails_ = [fit_tail(found[f"tail_{number}"]) for number in range(n_tails)]

    def _check_parameters(self) -> None:
        check_covariance_type(self.covariance_type)
        if self.n_components != "auto":
            if not isinstance(self.n_components, int | np.integer):
                raise ConfigError(
                    f"'n_components' must be an int or 'auto', got {self.n_components!r} instead"
                )
            require_at_least(1, int(self.n_components), "n_components")
        unknown = sorted(set(self.evidence) - set(EVIDENCE))
        if unknown or not len(self.evidence):
            raise ConfigError(
                f"'evidence' must name some of {', '.join(EVIDENCE)}, got {self.evidence!r} instead"
            )
        if not len(self.trims):
            raise ConfigError("'trims' must hold one share or more, got none")
        if not 0.0 < self.contamination < 0.5:
            raise ConfigError(
                f"'contamination' must be in (0, 0.5), got {self.contamination} instead"
            )
        require_at_least(2, self.max_rows, "max_rows")

    def _rows_to_score(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        values: Array = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        return values

    def _names(self) -> list[str]:
        if hasattr(self, "feature_names_in_"):
            return [str(name) for name in self.feature_names_in_]
        return [f"x{number}" for number in range(self.n_features_in_)]

    def _fit_geometry(
        self, preparation: Preparation, standardized: Array, trim: float, seed: int
    ) -> tuple[PeerGeometry, int]:
        """Axes, mixture and centres of what a trim leaves, and the iterations that EM took."""
        is_kept, _ = concentrate(standardized, trim=trim, reg_covar=self.reg_covar)
        kept = standardized[is_kept]
        carried = int(_SHARE_SEEN * len(kept)) // ENTITIES_A_ROW
        own = refit_axes(
            preparation,
            kept,
            explained_variance=self.explained_variance,
            max_components=max(2, min(self.max_components, carried)),
        )
        rows = own.project(kept)
        fit = fit_mixture(
            rows,
            n_components=self._choose_components(rows, seed),
            covariance_type=self.covariance_type,
            n_init=self.n_init,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=seed,
        )
        centers = fit_kmeans(rows, n_clusters=self.n_clusters, n_init=3, random_state=seed)
        mixture = without_small(fit.mixture, self.weight_floor)
        return PeerGeometry.fitted(own, mixture, centers, kept), fit.n_iter

    def _choose_components(self, rows: Array, seed: int) -> int:
        if self.n_components != "auto":
            return int(self.n_components)
        settings = SelectionSettings(
            n_components=CANDIDATES,
            covariance_types=(self.covariance_type,),
            trim=0.0,  # the rows have been trimmed
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=seed % 10_000,
        )
        drawn = _draw(rows, SELECTION_ROWS, seed)
        if len(drawn) < settings.n_seeds:
            return 1
        groups = np.asarray([str(number) for number in range(len(drawn))])
        verdicts = select(selection_data(drawn, groups, settings), settings)
        return next(verdict.n_components for verdict in verdicts if verdict.is_chosen)

    def _measure(self, values: Array) -> list[Array]:
        """Strangeness ``(n_rows,)`` of native rows by each piece of evidence, in its own units.

        The distance is that to the centres of the first trim, in the space of all features: what
        PCA discards is part of it.
        """
        found: list[Array] = []
        measures = [geometry.measure(values) for geometry in self.geometries_]
        if "density" in self.evidence:
            found += [-measure.log_density for measure in measures]
        if "distance" in self.evidence:
            first = measures[0]
            found.append(np.hypot(first.centroid_distance, first.residual_distance))
        if "marginal" in self.evidence:
            standardized = self.geometries_[0].preparation.standardize(values)
            found.append(self.marginals_.strangeness(standardized))
        return found

    def _score(self, values: Array) -> Array:
        scores = zip(self._measure(values), self.tails_, strict=True)
        log_p = np.asarray([log_p_values(own, tail)[0] for own, tail in scores])
        return -np.asarray(np.sqrt((log_p**2).mean(axis=0)), dtype=np.float64)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _draw(rows: Array, max_rows: int, seed: int) -> Array:
    """At most so many rows, drawn from their sorted order, so that the given one has no say."""
    ordered = sort_rows(rows)
    if len(ordered) <= max_rows:
        return ordered
    drawn = np.random.default_rng(seed).choice(len(ordered), max_rows, replace=False)
    return ordered[np.sort(drawn)]
