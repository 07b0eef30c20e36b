"""Peer models as rows of ``models`` and back; nothing is pickled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column

from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError
from shoal.kernels.calibration import fit_tail
from shoal.kernels.centroids import ClusterSpread
from shoal.kernels.peer_model import (
    GEOMETRY_ARRAYS,
    PeerGeometry,
    References,
    Standard,
    WeekReferences,
)
from shoal.kernels.profiles import ProfileAxes, Profiles
from shoal.models.vectors import BUILTIN, VectorRule, profile_parts, table_values

Array = NDArray[np.float64]
PARENT = "parent"
"""Calibration of a slice of too few entities: its type's global references, stored once."""

WEEKDAY_COLUMNS = ("reference_density", "reference_departure", "reference_combined")
WEEKEND_COLUMNS = ("weekend_density", "weekend_departure", "weekend_combined")
REFERENCE_COLUMNS = (*WEEKDAY_COLUMNS, *WEEKEND_COLUMNS)
SPREAD_COLUMNS = ("distance_mean", "distance_sd", "distance_p95")
PROFILE_COLUMNS = ("profile_terms", "profile_kinds", "profile_axes")
PEER_MODEL_COLUMNS = (
    "model_version", "entity_type", "slice", "feature_set", "feature_names", *PROFILE_COLUMNS,
    *(name for name in GEOMETRY_ARRAYS if name != "covariance_type"), *REFERENCE_COLUMNS,
    "score_standard", *SPREAD_COLUMNS, "calibration", "reference_entities", "reference_days",
)  # fmt: skip
"""What :func:`peer_model` reads of a row of ``models``."""


@dataclass(frozen=True, eq=False)
class PeerModel:
    """One row of ``models``, ready to score and explain.

    Attributes
    ----------
    own_references : ``None`` for a slice that is calibrated on its parent
    standard : what its scores are measured by before they are compared with the references
    spread : how far from its centre the reference of each cluster lies; ``None`` of a model that
        was fitted before that was stored
    profile : axes behind the last of its features; of a slice's model its parent's
    parent : the global model of its type, where `PeerModels.of` has found it
    """

    model_version: str
    entity_type: str
    slice: str
    feature_set: str
    feature_names: tuple[str, ...]
    geometry: PeerGeometry
    own_references: WeekReferences | None
    standard: Standard
    spread: ClusterSpread | None
    calibration: str
    reference_entities: int
    reference_days: int
    profile: ProfileAxes | None = None
    parent: "PeerModel | None" = None

    @property
    def n_profile(self) -> int:
        """How many of its features, the last ones, are coordinates of the profile."""
        return len(self.profile.names) if self.profile else 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Its features that are not coordinates of a profile."""
        return self.feature_names[: len(self.feature_names) - self.n_profile]

    @property
    def stored_columns(self) -> list[str]:
        """Columns of ``entity_features`` that `vectors` reads."""
        features = self.columns if self.feature_set == BUILTIN else ("values",)
        return [*features, *(["profile"] if self.profile else [])]

    def vectors(self, rows: pa.Table) -> tuple[Array, Profiles]:
        """Rows of ``entity_features`` at hand as `vector_rule` would have them, and profiles."""
        values = table_values(rows, self.feature_set, self.columns)
        profiles = Profiles.of(*profile_parts(rows))
        if self.profile:
            values = np.hstack([values, self.profile.coordinates(profiles)])
        return values, profiles

    def vector_rule(self, is_own: Column) -> VectorRule:
        """What gives the rows of a condition its features."""
        return VectorRule(is_own, self.feature_set, self.feature_names, self.profile)

    def log_p(
        self, log_density: Array, departure: Array, *, is_weekend: bool
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Log p-value of rows ``(n_rows,)`` of a day and whether it lies beyond the references."""
        references = self.references.of(is_weekend=is_weekend)
        return self.standard.log_p(log_density, departure, references)

    def reorder(self, values: Array, names: Sequence[str], profiles: Profiles | None) -> Array:
        """Rows in the features of another model, in those of this one; NaN what that lacks.

        The coordinates of profiles are found anew: axes are each model's own.
        """
        places = {name: index for index, name in enumerate(names)}
        n_columns = len(self.columns)
        known = [(i, places[name]) for i, name in enumerate(self.columns) if name in places]
        own = np.full((len(values), len(self.feature_names)), np.nan)
        if known:
            mine, theirs = zip(*known, strict=True)
            own[:, mine] = values[:, theirs]
        if self.profile and profiles is not None:
            own[:, n_columns:] = self.profile.coordinates(profiles)
        return own

    @property
    def references(self) -> WeekReferences:
        """What calibrates its scores.

        Raises
        ------
        DataError
            If it is calibrated on its parent, and that row of ``models`` is missing.
        """
        if self.own_references is not None:
            return self.own_references
        if self.parent is None:
            raise DataError(
                f"model {self.model_version}, slice {self.slice}: it is calibrated on the row of "
                f"slice {GLOBAL_SLICE}, which `models` does not hold; fit the model again"
            )
        return self.parent.references


def geometry_columns(geometry: PeerGeometry) -> dict[str, Any]:
    """Columns of ``models`` that hold a geometry; covariances in full, whatever their type."""
    arrays = geometry.to_arrays() | {"covariances": geometry.mixture.full_covariances()}
    names = list(geometry.preparation.feature_names)
    return {"feature_names": names} | {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }


def profile_columns(profile: ProfileAxes | None) -> dict[str, Any]:
    """Columns of ``models`` that hold the axes of profiles; empty where there are none."""
    if profile is None:
        return {name: [] for name in PROFILE_COLUMNS}
    parts = (list(profile.terms), list(profile.kinds), profile.components.tolist())
    return dict(zip(PROFILE_COLUMNS, parts, strict=True))


def reference_columns(references: WeekReferences | None) -> dict[str, list[float]]:
    """Columns of ``models`` that hold references; empty for those of the parent.

    Those of weekends are empty, too, where they are not told from weekdays.
    """
    columns: dict[str, list[float]] = {name: [] for name in REFERENCE_COLUMNS}
    if references is not None:
        columns |= _tail_columns(WEEKDAY_COLUMNS, references.weekday)
        if references.weekend is not references.weekday:
            columns |= _tail_columns(WEEKEND_COLUMNS, references.weekend)
    return columns


def peer_model(row: Mapping[str, Any]) -> PeerModel:
    """Return the model that a row of ``models`` holds; its parent joins in `PeerModels.of`.

    Raises
    ------
    DataError
        If an earlier Shoal has fitted it, whose scores this one cannot give.
    """
    if row["usual_departures"] is None:
        raise DataError(
            f"model {row['model_version']} of {row['entity_type']} was fitted by an earlier Shoal, "
            "whose scores this one cannot give: run `shoal fit --force`, and `shoal models --pin` "
            "if it is the frozen one"
        )
    stored = {name: row[name] for name in GEOMETRY_ARRAYS if name != "covariance_type"}
    stored = {
        name: value if np.isscalar(value) else _array(value) for name, value in stored.items()
    }
    # Stored in full, whatever they were fitted as.
    stored["covariance_type"] = "full"
    return PeerModel(
        model_version=row["model_version"],
        entity_type=row["entity_type"],
        slice=row["slice"],
        feature_set=row["feature_set"],
        feature_names=tuple(row["feature_names"]),
        geometry=PeerGeometry.from_arrays(stored, row["feature_names"]),
        own_references=_own_references(row) if row["calibration"] != PARENT else None,
        standard=Standard(*row["score_standard"]),
        spread=_spread(row),
        calibration=row["calibration"],
        reference_entities=int(row["reference_entities"]),
        reference_days=int(row["reference_days"]),
        profile=_profile(row),
    )


def _tail_columns(names: Sequence[str], references: References) -> dict[str, list[float]]:
    tails = (references.density, references.departure, references.combined)
    return {name: tail.scores.tolist() for name, tail in zip(names, tails, strict=True)}


def _own_references(row: Mapping[str, Any]) -> WeekReferences:
    weekday = References(*(fit_tail(_array(row[name])) for name in WEEKDAY_COLUMNS))
    if not len(row[WEEKEND_COLUMNS[0]]):
        return WeekReferences(weekday, weekday)
    weekend = References(*(fit_tail(_array(row[name])) for name in WEEKEND_COLUMNS))
    return WeekReferences(weekday, weekend)


def _profile(row: Mapping[str, Any]) -> ProfileAxes | None:
    terms, kinds, axes = (row[name] for name in PROFILE_COLUMNS)
    # Null of a model that was fitted before there were profiles, empty of one that has none.
    if terms is None or not len(terms):
        return None
    return ProfileAxes(tuple(terms), tuple(kinds), _array(axes))


def _spread(row: Mapping[str, Any]) -> ClusterSpread | None:
    if any(row[name] is None for name in SPREAD_COLUMNS):
        return None
    return ClusterSpread(*(_array(row[name]) for name in SPREAD_COLUMNS))


def _array(values: Sequence[Any]) -> Array:
    """Array of nested sequences; Arrow hands nested lists over as arrays of arrays."""
    if len(values) and not np.isscalar(values[0]):
        return np.stack([_array(value) for value in values])
    return np.asarray(values, dtype=float)


@dataclass(frozen=True, eq=False)
class PeerModels:
    """The models that serve a night: by entity type, a global one and refined ones by slice.

    Attributes
    ----------
    golden : frozen models that scores are held against besides, of types where these don't serve
    """

    by_slice: Mapping[tuple[str, str], PeerModel]
    golden: "PeerModels | None" = None

    def find(self, entity_type: str, slice_name: str) -> PeerModel | None:
        """The model for an entity: its slice's, else its type's global one."""
        own = self.by_slice.get((entity_type, slice_name))
        return own or self.by_slice.get((entity_type, GLOBAL_SLICE))

    def find_golden(self, entity_type: str, slice_name: str) -> PeerModel | None:
        """The frozen model for an entity; none where it is the one that serves."""
        return self.golden.find(entity_type, slice_name) if self.golden else None

    def of_own_features(self) -> list[PeerModel]:
        """The models of slices that look at other features than the global one of their type."""
        return [
            model
            for model in self.by_slice.values()
            if model.parent is not None
            and (
                model.profile is not model.parent.profile
                or model.feature_names != model.parent.feature_names
            )
        ]

    def of_types(self) -> list[PeerModel]:
        """The global model of each entity type."""
        return [model for (_, name), model in self.by_slice.items() if name == GLOBAL_SLICE]

    @classmethod
    def of(cls, models: Sequence[PeerModel]) -> "PeerModels":
        """Index models by entity type and slice, each with its type's global model as parent."""
        parents = {model.entity_type: model for model in models if model.slice == GLOBAL_SLICE}
        return cls(
            {
                (model.entity_type, model.slice): model
                if model.slice == GLOBAL_SLICE
                else _with_parent(model, parents.get(model.entity_type))
                for model in models
            }
        )


def _with_parent(model: PeerModel, parent: PeerModel | None) -> PeerModel:
    is_of_another = parent is not None and (
        model.profile is not None or model.feature_names != parent.feature_names
    )
    if parent is None or is_of_another:
        # A slice that goes on as an earlier version had it: with the features of that.
        return replace(model, parent=parent)
    return replace(model, parent=parent, profile=parent.profile)
