"""Why a line is on the list: its reasons in the units of the log, and who shares them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts.activity import DIMENSION_NAMES
from shoal.contracts.features import FEATURE_BY_NAME, Feature
from shoal.contracts.scores import MOVED, PROFILE_SHARE
from shoal.kernels.profiles import Profiles, TermShare
from shoal.kernels.reasons import Reason, explain_rows
from shoal.models.listing import NightEntity, night_entity
from shoal.models.peer_models import PeerModel, PeerModels
from shoal.models.vectors import BUILTIN, feature_matrix, profile_arrays, profiles_of

NOTHING = 1e-9
"""Expectation that is 0 but for what the units' way there and back has left."""
_KEY = ["event_date", "entity_type", "entity_id"]
_PEERS = ["event_date", "entity_type", "slice"]
_SHARING = "question int, peers_sharing bigint, peers bigint"


@dataclass(frozen=True)
class PeerQuestion:
    """How many peers of an entity are at least as far out in one feature on a night.

    Attributes
    ----------
    column : place of the feature in ``features``
    term : the term of the profile whose share is asked for, instead of a feature
    """

    event_date: date
    entity_type: str
    slice: str
    entity_id: str
    column: int
    bound: float
    is_high: bool
    term: str | None = None


def add_reasons(
    lines: Sequence[dict[str, Any]],
    entity_days: DataFrame,
    models: Mapping[date, PeerModels],
    *,
    top: int,
) -> list[dict[str, Any]]:
    """Add ``reasons``, but for the counts of peers, and ``novelty`` to scored entities.

    The reasons of those that have moved are the frozen model's: to the one that learns they are
    usual.

    Parameters
    ----------
    entity_days : features of the lines' nights with ``features`` in the model's order
    models : those that served each night
    top : most reasons a line
    """
    if not lines:
        return []
    vectors = _vectors_of(lines, entity_days)
    explained = []
    for line in lines:
        vector, profile, novelty = vectors[night_entity(line)]
        tonight, of_entity = models[line["event_date"]], (line["entity_type"], line["slice"])
        model, golden = tonight.find(*of_entity), tonight.find_golden(*of_entity)
        reasons = line_reasons(line, model, golden, vector, profile, top=top) if model else []
        explained.append({**line, "novelty": novelty, "reasons": reasons})
    return explained


def add_peer_counts(
    lines: Sequence[dict[str, Any]],
    entity_days: DataFrame,
    scores: DataFrame,
    models: Mapping[date, PeerModels],
) -> list[dict[str, Any]]:
    """Add to each of the ``reasons`` of lines how many peers share it.

    Parameters
    ----------
    scores : rows of ``entity_scores`` of the nights; who is not in them is nobody's peer
    """
    questions = []
    for line in lines:
        model = models[line["event_date"]].find(line["entity_type"], line["slice"])
        questions += [
            peer_question(line, model.feature_names, reason) for reason in line["reasons"] if model
        ]
    counts = iter(_count_sharing(questions, entity_days, scores))
    return [
        {**line, "reasons": [{**reason, **next(counts)} for reason in line["reasons"]]}
        for line in lines
    ]


def line_reasons(
    line: Mapping[str, Any],
    model: PeerModel,
    golden: PeerModel | None,
    vector: NDArray[np.float64],
    profile: Profiles,
    *,
    top: int,
) -> list[dict[str, Any]]:
    """Reasons of a line, but for the counts of peers: the frozen model's if it has moved.

    Parameters
    ----------
    vector : ``(n_features,)`` in the order of ``model``
    """
    if golden and line.get("lane") == MOVED:
        own = golden.reorder(vector[np.newaxis], model.feature_names, profile)
        return reasons_of(golden, own, [profile], top)[0]
    return reasons_of(model, vector[np.newaxis], [profile], top)[0]


def _vectors_of(
    lines: Sequence[Mapping[str, Any]], entity_days: DataFrame
) -> dict[NightEntity, tuple[NDArray[np.float64], Profiles, int]]:
    keys = entity_days.sparkSession.createDataFrame(
        [night_entity(line) for line in lines],
        "event_date date, entity_type string, entity_id string",
    )
    counted = [F.coalesce(F.col(f"new_{name}_count"), F.lit(0)) for name in DIMENSION_NAMES]
    rows = (
        entity_days.join(F.broadcast(keys), _KEY, how="left_semi")
        .select(*_KEY, "features", *profile_arrays(), sum(counted, F.lit(0)).alias("novelty"))
        .collect()
    )
    return {
        night_entity(row): (
            np.asarray(row["features"], dtype=float),
            Profiles.of([row["terms"]], [row["counts"]]),
            int(row["novelty"]),
        )
        for row in rows
    }


def reasons_of(
    model: PeerModel, values: NDArray[np.float64], profiles: Sequence[Profiles], top: int
) -> list[list[dict[str, Any]]]:
    """The strongest reasons of native rows ``(n_rows, n_features)``, but for the counts of peers.

    All that a profile adds is one reason, told by the term that there is most too much of; so is a
    measure over several windows, told by the one that it is strangest over. Less than expected of
    an amount is told only where nothing else tells: see `explain_rows`.

    Parameters
    ----------
    profiles : one of each row
    """
    explained = explain_rows(
        model.geometry, values, n_joint=model.n_profile, is_one_sided=_are_amounts(model)
    )
    return [
        _told(model, own, profile, expected, explained.reasons(place, top=values.shape[1]), top)
        for place, (own, profile, expected) in enumerate(
            zip(values, profiles, explained.expected, strict=True)
        )
    ]


def _told(
    model: PeerModel,
    vector: NDArray[np.float64],
    profile: Profiles,
    expected: NDArray[np.float64],
    reasons: Sequence[Reason],
    top: int,
) -> list[dict[str, Any]]:
    """The first reasons of one row in native units, a measure once."""
    n_columns = len(vector) - model.n_profile
    found: dict[str, dict[str, Any]] = {}
    for reason in reasons:
        if model.profile and reason.index >= n_columns:
            told = model.profile.telling_term(profile, expected[n_columns:])
            found[PROFILE_SHARE] = _profile_reason(told, reason.contribution)
            continue
        name, feature = model.feature_names[reason.index], _built_in(model, reason.index)
        measure = feature.measure if feature else name
        if measure in found:
            continue
        smallest, largest = _bounds(model, reason.index)
        usual = float(expected[reason.index])
        found[measure] = {
            "feature": name,
            "term": None,
            "value": float(vector[reason.index]),
            "expected": min(max(usual, smallest), largest) if abs(usual) > NOTHING else 0.0,
            "unit": _unit(model, reason.index),
            "contribution": float(reason.contribution),
            "direction": reason.direction,
        }
        if len(found) == top:
            break
    return list(found.values())


def _profile_reason(told: TermShare, contribution: float) -> dict[str, Any]:
    return {
        "feature": PROFILE_SHARE,
        "term": told.term,
        "value": told.share,
        "expected": told.expected,
        "unit": "share",
        "contribution": contribution,
        "direction": "high" if told.share >= told.expected else "low",
    }


def _are_amounts(model: PeerModel) -> NDArray[np.bool_]:
    """Which features are amounts ``(n_features,)``; of a ready feature table that is not known."""
    known = (_built_in(model, index) for index in range(len(model.feature_names)))
    return np.array([feature is not None and feature.is_amount for feature in known])


def _bounds(model: PeerModel, index: int) -> tuple[float, float]:
    """Smallest and largest value that a feature can have.

    The model's expectation is linear and knows none: −0.28 events. Of a ready feature table only
    that is known which the model found, that a feature it logs is never negative.
    """
    if feature := _built_in(model, index):
        return feature.bounds
    is_logged = bool(model.geometry.preparation.is_logged[index])
    return (0.0 if is_logged else -math.inf, math.inf)


def _unit(model: PeerModel, index: int) -> str:
    feature = _built_in(model, index)
    return feature.unit if feature else ""


def _built_in(model: PeerModel, index: int) -> Feature | None:
    name = model.feature_names[index]
    return FEATURE_BY_NAME.get(name) if model.feature_set == BUILTIN else None


def peer_question(
    line: Mapping[str, Any], names: Sequence[str], reason: Mapping[str, Any]
) -> PeerQuestion:
    """What is asked of a line's peers for one of its reasons.

    Parameters
    ----------
    names : features in the order of ``features``
    """
    term = reason["term"]
    return PeerQuestion(
        line["event_date"],
        line["entity_type"],
        line["slice"],
        line["entity_id"],
        0 if term else names.index(reason["feature"]),
        reason["value"],
        reason["direction"] == "high",
        term,
    )


def _count_sharing(
    questions: Sequence[PeerQuestion], entity_days: DataFrame, scores: DataFrame
) -> list[dict[str, int]]:
    """Answers in the order of the questions; see :func:`count_sharing`."""
    if not questions:
        return []

    def count(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield count_sharing(batch, questions)

    asked = entity_days.sparkSession.createDataFrame(
        sorted({(q.event_date, q.entity_type, q.slice) for q in questions}),
        "event_date date, entity_type string, slice string",
    )
    rows = (
        entity_days.join(F.broadcast(asked), _PEERS, how="left_semi")
        .join(scores.select(*_KEY), _KEY, how="left_semi")
        .select(*_KEY, "slice", "features", *profile_arrays())
        .mapInPandas(count, _SHARING)
        .groupBy("question")
        .agg(F.sum("peers_sharing").alias("peers_sharing"), F.sum("peers").alias("peers"))
        .collect()
    )
    found = {row["question"]: row for row in rows}
    return [
        {name: int(found[i][name]) if i in found else 0 for name in ("peers_sharing", "peers")}
        for i in range(len(questions))
    ]


def count_sharing(batch: pd.DataFrame, questions: Sequence[PeerQuestion]) -> pd.DataFrame:
    """Group function of the peer counts, without Spark: a batch's part of each answer.

    Parameters
    ----------
    batch : ``event_date``, ``entity_type``, ``entity_id``, ``slice``, ``features``, ``terms`` and
        ``counts`` of scored entities; peers share night, type and slice, and none is its own

    Returns
    -------
    ``question`` (its place), ``peers_sharing`` and ``peers`` with a value, for the questions that
    the batch has peers to.
    """
    asked = pd.DataFrame([vars(question) for question in questions])
    parts = [pd.DataFrame({"question": [], "peers_sharing": [], "peers": []})]
    peers_of = dict(list(batch.groupby(_PEERS)))
    for kind, group in asked.groupby(_PEERS):
        if kind not in peers_of:
            continue
        peers = peers_of[kind]
        values = _asked_values(peers, group)
        is_other = peers["entity_id"].to_numpy()[:, None] != group["entity_id"].to_numpy()[None, :]
        bound = group["bound"].to_numpy()
        # A comparison with NaN, a feature the peer doesn't have, is false either way.
        is_beyond = np.where(group["is_high"].to_numpy(), values >= bound, values <= bound)
        counts = {
            "question": group.index,
            "peers_sharing": (is_other & is_beyond).sum(axis=0),
            "peers": (is_other & ~np.isnan(values)).sum(axis=0),
        }
        parts.append(pd.DataFrame(counts))
    return pd.concat(parts, ignore_index=True).astype("int64")


def _asked_values(peers: pd.DataFrame, asked: pd.DataFrame) -> NDArray[np.float64]:
    """Values ``(n_peers, n_asked)``, NaN where a peer has none."""
    values = feature_matrix(peers["features"])[:, asked["column"].to_numpy()]
    terms = asked["term"].to_numpy(dtype=object)
    if any(terms):
        profiles = profiles_of(peers)
        for place in np.flatnonzero(terms):
            values[:, place] = profiles.share_of(terms[place])
    return values
