"""The gate: a candidate beside the champion on the same nights, slice by slice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shoal.contracts.models import GLOBAL_SLICE
from shoal.kernels.gate import (
    MIN_ENTITIES,
    Judged,
    Measure,
    compare_judged,
    has_moved,
    objections,
    plant,
    without_forgiven,
)
from shoal.models.peer_models import PeerModels
from shoal.models.scoring import score_columns
from shoal.models.vectors import feature_matrix, profiles_of
from shoal.models.weeks import is_weekend

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
N_PLANTED, N_FEATURES = 400, 3
"""Planted rows, and features of each that lie far out."""
LOST_ROWS = 0.7
"""Entities of a recent night, relative to earlier ones, below which much of the data is missing."""
LESS_KNOWN = 0.3
"""Fall of the share of rows that know a feature, from earlier nights to the recent ones."""


@dataclass(frozen=True, eq=False)
class GateRows:
    """Rows of the candidate's reference window.

    Attributes
    ----------
    frame : ``entity_id``, ``event_date``, ``slice``, ``features`` in the order of ``names``, and
        the profile as ``terms`` and ``counts``
    names : all features that the champion or the candidate looks at, without their profiles'
    learnt_until : the last night that the champion has learnt from
    """

    frame: pd.DataFrame
    names: Sequence[str]
    learnt_until: date


@dataclass(frozen=True)
class Gate:
    """What a candidate is beside the champion, and why it is kept out, if it is.

    Attributes
    ----------
    measures, objections : by slice, ``*`` for all
    """

    measures: Mapping[str, Sequence[Measure]]
    objections: Mapping[str, Sequence[str]]

    def rows(self) -> list[tuple[str, str, float | None, float | None]]:
        """As ``model_status.comparison`` has them."""
        return [(name, *measure) for name, own in self.measures.items() for measure in own]

    def in_words(self) -> str:
        """The objections, each with its slice."""
        return "; ".join(
            fault if name == GLOBAL_SLICE else f"{name}: {fault}"
            for name, own in self.objections.items()
            for fault in own
        )


def open_gate(
    rows: GateRows,
    champion: PeerModels,
    candidate: PeerModels,
    *,
    entity_type: str,
    confirmed: Collection[tuple[str, date]] = (),
) -> Gate:
    """Compare two models on the same rows, of all and of each slice that has enough entities.

    Parameters
    ----------
    confirmed : entities and nights that somebody found malicious
    """
    frame = rows.frame.sort_values(["entity_id", "event_date"], ignore_index=True)
    values = feature_matrix(frame["features"])
    entities = frame["entity_id"].to_numpy(dtype=str)
    slices = frame["slice"].to_numpy(dtype=str)
    days = frame["event_date"].to_numpy()
    is_recent = np.asarray([day > rows.learnt_until for day in days])
    is_confirmed = np.asarray(
        [pair in confirmed for pair in zip(entities, days, strict=True)], dtype=np.bool_
    )
    recent = np.flatnonzero(is_recent)
    planted, places = plant(
        values[recent], np.random.default_rng(0), n_rows=N_PLANTED, n_features=N_FEATURES
    )
    chosen = recent[places]
    both = []
    for models in (champion, candidate):
        judged = _judge(models, entity_type, frame, values, rows.names)
        found = _judge(models, entity_type, frame.iloc[chosen], planted, rows.names)
        both.append((judged["p_value"], found["p_value"], judged["centroid_id"].astype(np.intp)))
    names, sizes = np.unique(
        [name for _, name in {*zip(entities, slices, strict=True)}], return_counts=True
    )
    large = [str(name) for name in names[sizes >= MIN_ENTITIES]]
    measures: dict[str, list[Measure]] = {}
    for name in (GLOBAL_SLICE, *large):
        own = np.ones(len(frame), bool) if name == GLOBAL_SLICE else slices == name
        compared = [
            Judged(p_values[own], planted_p[own[chosen]], clusters[own])
            for p_values, planted_p, clusters in both
        ]
        measures[name] = compare_judged(entities[own], is_recent[own], is_confirmed[own], *compared)
    faults = {name: objections(own) for name, own in measures.items()}
    # Whom a slice has forgiven is its own affair, and where that is the whole slice nobody's: then
    # a population moved, and nobody taught it.
    own_affairs = [measures[name] for name in large if faults[name] or has_moved(measures[name])]
    faults[GLOBAL_SLICE] = objections(without_forgiven(measures[GLOBAL_SLICE], own_affairs))
    faults[GLOBAL_SLICE] += _missing(rows.names, values, frame, is_recent)
    return Gate(measures, {name: own for name, own in faults.items() if own})


def _judge(
    models: PeerModels, entity_type: str, frame: pd.DataFrame, values: Array, names: Sequence[str]
) -> dict[str, Array]:
    """p-value and nearest centre of each row, by the model of its slice and the kind of its day."""
    found = {name: np.full(len(frame), np.nan) for name in ("p_value", "centroid_id")}
    kinds = pd.Series([is_weekend(day) for day in frame["event_date"]])
    groups = frame["slice"].reset_index(drop=True).to_frame().assign(is_weekend=kinds)
    for (slice_name, on_weekend), group in groups.groupby(["slice", "is_weekend"]):
        model = models.find(entity_type, str(slice_name))
        if model is None:
            continue
        places = group.index.to_numpy()
        profiles = profiles_of(frame.iloc[places])
        own = model.reorder(values[places], names, profiles)
        columns = score_columns(model, own, is_weekend=bool(on_weekend))
        for name, column in found.items():
            column[places] = columns[name]
    return found


def _missing(names: Sequence[str], rows: Array, frame: pd.DataFrame, is_recent: Mask) -> list[str]:
    """What of the data of the earlier nights is no longer there."""
    if is_recent.all() or not is_recent.any():
        return []
    faults = []
    before, now = (
        float(own.groupby("event_date").size().mean())
        for own in (frame[~is_recent], frame[is_recent])
    )
    if now < LOST_ROWS * before:
        faults.append(f"recent nights have {now:.0f} entities, those before them {before:.0f}")
    known = np.isfinite(rows)
    share = known[is_recent].mean(axis=0)
    fall = known[~is_recent].mean(axis=0) - share
    worst = int(np.argmax(fall))
    if fall[worst] >= LESS_KNOWN:
        faults.append(f"{names[worst]} is known of {share[worst]:.0%} of the recent rows only")
    return faults
