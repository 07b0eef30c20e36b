"""Which model serves a night, and the rows that say so."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from shoal.config import Settings
from shoal.contracts import MODEL_CANDIDATES, MODEL_STATUS, MODELS
from shoal.contracts.models import GLOBAL_SLICE
from shoal.errors import DataError
from shoal.lake import Reader, rows_of
from shoal.models.peer_models import PEER_MODEL_COLUMNS, PeerModel, PeerModels, peer_model
from shoal.spark.tables import Warehouse, quote_literal

ENDING = ("retired", "rolled_back")
"""Changes that end a version's service."""


@dataclass(frozen=True)
class ServingModel:
    """The model version that serves an entity type on a night."""

    entity_type: str
    model_version: str
    effective_date: date


@dataclass(frozen=True)
class NightModels:
    """The versions that a night's scores come from.

    Attributes
    ----------
    golden : frozen ones, where they are not those that serve
    """

    serving: frozenset[ServingModel]
    golden: frozenset[ServingModel]

    @property
    def all(self) -> frozenset[ServingModel]:
        """Both."""
        return self.serving | self.golden


@dataclass(frozen=True)
class StatusChange:
    """One row of ``model_status``.

    Attributes
    ----------
    training_nights : nights the version was fitted on, ``None`` if the row doesn't say
    """

    entity_type: str
    model_version: str
    sequence: int
    status: str
    effective_date: date
    training_nights: int | None = None
    config_hash: str | None = None

    @property
    def model(self) -> ServingModel:
        """The model, where this is its promotion."""
        return ServingModel(self.entity_type, self.model_version, self.effective_date)


def model_version(entity_type: str, night: date, inputs: Sequence[str], config_hash: str) -> str:
    """Identity of a model: the same inputs and configuration give the same version.

    Parameters
    ----------
    inputs : runs of the nights it learns from, and verdicts on what it leaves out of them
    """
    text = json.dumps([entity_type, night.isoformat(), sorted(inputs), config_hash])
    return f"{entity_type}-{night:%Y%m%d}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def version_served(entity_type: str, version: str) -> ServingModel:
    """A model by its version, as of the first night that it may serve."""
    return ServingModel(entity_type, version, valid_from(version))


def valid_from(version: str) -> date:
    """First night that a version may serve, which is a part of it."""
    return datetime.strptime(version.rsplit("-", 2)[1], "%Y%m%d").date()


def read_changes(reader: Reader) -> list[StatusChange]:
    """All changes of models, in the order they hold in; they are as few as fits."""
    rows = rows_of(reader.fetch(MODEL_STATUS, list(StatusChange.__dataclass_fields__)))
    return in_order(StatusChange(**row) for row in rows)


def in_order(changes: Iterable[StatusChange]) -> list[StatusChange]:
    """Changes in the order they hold in."""
    return sorted(changes, key=lambda c: (c.entity_type, c.effective_date, c.sequence))


def serving_models(changes: Iterable[StatusChange], night: date) -> dict[str, ServingModel]:
    """Entity type → the model that serves ``night``: the newest promotion in force.

    Retirements and rollbacks end a promotion; what was promoted before serves again.
    """
    return {
        change.entity_type: change.model
        for change in _standing(changes, night)
        if change.status == "promoted"
    }


def golden_models(
    changes: Sequence[StatusChange], night: date, min_nights: int
) -> dict[str, ServingModel]:
    """Entity type → the frozen model that a night's scores are held against besides its own.

    The one that somebody has pinned last; else the first in force whose reference window held so
    many nights, of several fits of a day the last. What serves learns from its past, and may be
    taught step by step; this one may not.
    """
    # What is promoted on the very night is known only once it has been fitted.
    standing = _standing(changes, night - timedelta(days=1))
    promoted = {c.model_version: c.model for c in standing if c.status == "promoted"}
    first: dict[str, ServingModel] = {}
    pinned: dict[str, ServingModel] = {}
    for change in standing:
        kind, model = change.entity_type, promoted.get(change.model_version)
        if model is None:
            continue
        if change.status == "golden":
            pinned[kind] = model
        elif (change.training_nights or 0) >= min_nights:
            before = first.get(kind, model)
            first[kind] = model if before.effective_date == model.effective_date else before
    return first | pinned


def golden_nights(settings: Settings) -> int:
    """Nights that the reference window of a golden model has: no more than fit into it."""
    return min(settings.fit.golden_nights, settings.fit.window_days)


def newest_attempts(
    changes: Iterable[StatusChange], night: date, config_hash: str
) -> dict[str, StatusChange]:
    """Entity type → the newest fit that holds for ``night``, whatever came of it.

    A fit that was rejected counts only for the configuration that it was rejected under: with
    another it may find enough. One that was taken back counts from the night on that it was.
    """
    known = list(changes)
    found = {
        change.entity_type: change
        for change in _standing(known, night)
        if change.status == "promoted"
        or (change.status == "rejected" and change.config_hash == config_hash)
    }
    # Else what has been taken back would be fitted anew on the same night.
    taken_back = (c for c in known if c.status == "rolled_back" and c.effective_date <= night)
    for change in taken_back:
        last = found.get(change.entity_type)
        if last is None or last.effective_date <= change.effective_date:
            found[change.entity_type] = change
    return found


def _standing(changes: Iterable[StatusChange], night: date) -> list[StatusChange]:
    """Changes up to ``night`` that no later one has ended, in order."""
    standing: list[StatusChange] = []
    for change in changes:
        if change.effective_date > night:
            continue
        if change.status in ENDING:
            standing = [c for c in standing if c.model_version != change.model_version]
        else:
            standing.append(change)
    return standing


def load_models(reader: Reader, wanted: Mapping[date, NightModels]) -> dict[date, PeerModels]:
    """Load the models of some nights; nights with the same models share them.

    Raises
    ------
    DataError
        If ``models`` lacks one of them: it is due on its night and not fitted yet.
    """
    sets = set(wanted.values())
    rows = _read_models(reader, {model for models in sets for model in models.all})

    def indexed(models: Iterable[ServingModel]) -> PeerModels:
        return PeerModels.of([row for model in models for row in rows[model.model_version]])

    loaded = {
        models: replace(indexed(models.serving), golden=indexed(models.golden)) for models in sets
    }
    return {night: loaded[models] for night, models in wanted.items()}


def load_versions(
    reader: Reader, serving: Iterable[ServingModel], golden: Iterable[ServingModel] = ()
) -> PeerModels:
    """Load some versions by themselves, whichever nights they serve.

    Raises
    ------
    DataError
        If ``models`` lacks one of them, or an earlier Shoal has fitted it.
    """
    wanted = NightModels(frozenset(serving), frozenset(golden))
    return load_models(reader, {date.max: wanted})[date.max]


def load_global(reader: Reader, model: ServingModel) -> PeerModel:
    """Load a version's model of all slices.

    Raises
    ------
    DataError
        As `load_versions`; or if it has none.
    """
    found = load_versions(reader, [model]).find(model.entity_type, GLOBAL_SLICE)
    if found is None:
        raise DataError(f"`models` has no global row of {model.model_version}")
    return found


def _read_models(reader: Reader, models: Iterable[ServingModel]) -> dict[str, list[PeerModel]]:
    """Version → its models of all slices."""
    found: dict[str, list[PeerModel]] = {model.model_version: [] for model in models}
    if not found:
        return {}
    days = {valid_from(version) for version in found}
    rows = reader.fetch(MODELS, PEER_MODEL_COLUMNS, valid_from_date=days, model_version=found)
    for row in rows_of(rows):
        found[row["model_version"]].append(peer_model(row))
    for model in models:
        if not found[model.model_version]:
            day = valid_from(model.model_version)
            raise DataError(
                f"`models` has no row of {model.model_version}, which serves from {day}: run "
                f"`shoal fit --date {day}` first"
            )
    return found


def training_run_ids(reader: Reader, versions: Collection[str]) -> dict[str, set[str]]:
    """Version → ``run_id`` of every night that it was fitted on, of versions that are stored."""
    names = ["model_version", "training_run_ids"]
    rows = reader.fetch(MODELS, names, model_version=versions, slice=[GLOBAL_SLICE])
    return {row["model_version"]: set(row["training_run_ids"]) for row in rows_of(rows)}


def next_sequence(changes: Iterable[StatusChange], entity_type: str) -> int:
    """Number of the next change of an entity type."""
    return 1 + max((c.sequence for c in changes if c.entity_type == entity_type), default=0)


def write_models(
    warehouse: Warehouse,
    models: Sequence[Mapping[str, Any]],
    candidates: Sequence[Mapping[str, Any]],
) -> None:
    """Write the rows of some versions; writing them again replaces them by themselves."""
    if not candidates:
        return
    nights = {row["valid_from_date"] for row in candidates}
    versions = {row["model_version"] for row in candidates}
    condition = " AND ".join(
        f"{name} IN ({', '.join(quote_literal(value) for value in sorted(values))})"
        for name, values in (("valid_from_date", nights), ("model_version", versions))
    )
    for table, rows in ((MODEL_CANDIDATES, candidates), (MODELS, models)):
        warehouse.replace_where(warehouse.frame(table, rows), table, condition)


def write_changes(
    warehouse: Warehouse,
    changes: Sequence[StatusChange],
    reasons: Mapping[str, str],
    *,
    comparisons: Mapping[str, Sequence[Any]] | None = None,
    actor: str = "nightly",
) -> None:
    """Append changes of status in one commit; the same changes again are skipped.

    Parameters
    ----------
    reasons : version → why
    comparisons : version → how it compares with the champion, where that was asked
    actor : who makes them
    """
    rows = [
        {
            **vars(change),
            "reason": reasons[change.model_version],
            "actor": actor,
            "comparison": (comparisons or {}).get(change.model_version) or None,
        }
        for change in changes
    ]
    text = json.dumps(
        sorted([change.model_version, change.status, change.sequence] for change in changes)
    )
    application = f"shoal-status-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    warehouse.append_once(warehouse.frame(MODEL_STATUS, rows), MODEL_STATUS, application, 1)
