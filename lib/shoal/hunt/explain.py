"""One entity's night explained, from stored rows alone."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shoal.contracts import (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    OUTLIERS,
    UNSCORED,
    Table,
)
from shoal.errors import DataError
from shoal.hunt.attribution import attribute_change
from shoal.hunt.entities import KnownEntities
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of
from shoal.models.listing import NightEntity, night_entity
from shoal.models.peer_models import PeerModel
from shoal.models.reasons import count_sharing, line_reasons, peer_question, reasons_of
from shoal.models.registry import load_versions, version_served
from shoal.models.vectors import BUILTIN, profile_parts, table_values

_KEY = ["event_date", "entity_type", "entity_id"]
_ACTIVITY = ["dimension", "value", "event_count", "first_ts", "last_ts", "sample_event_ids"]
_ACTIVITY_SHOWN = 20
_NO_ACTIVITY = ("total", "category")
"""Dimensions that sum up the others."""
CARRYING = 5
"""Reasons of a day that is on no list."""


def explain_entity(
    reader: Reader,
    entity_id: str,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    top: int,
) -> tuple[Night, dict[str, Any]]:
    """One entity's night: its score, its reasons, its activity.

    Parameters
    ----------
    top : most reasons

    Raises
    ------
    DataError
        If there is no such entity on that night, or several types share the name.
    """
    night = find_night(reader, event_date)
    features = entity_features(reader, night, entity_id, entity_type)
    found = {name: features[name][0].as_py() for name in (*_KEY, "slice")}
    own = {name: [found[name]] for name in ("entity_type", "entity_id")}

    def stored(table: Table) -> dict[str, Any] | None:
        return next(iter(rows_of(fetch_published(reader, table, [night], **own))), None)

    if line := stored(OUTLIERS):
        found |= {k: line[k] for k in ("rank", "lane", "days_in_row", "change", "case_id")}
    if score := stored(ENTITY_SCORES):
        found |= {k: v for k, v in score.items() if k != "run_id"}
        found |= attribute_change(reader, night, features, score)
        found["reasons"] = _reasons(reader, night, features, found, top)
    else:
        unscored = stored(UNSCORED) or {}
        found |= {"unscored": unscored.get("reason"), "detail": unscored.get("detail")}
    found["activity"] = _top_activity(reader, night, own)
    return night, found


def entity_features(
    reader: Reader, night: Night, entity_id: str, entity_type: str | None
) -> pa.Table:
    """The one row of ``entity_features`` of an entity on a night.

    Raises
    ------
    DataError
        If there is none, naming one that is spelt alike, or several types share the name.
    """
    known = KnownEntities.of(reader, [night], [entity_id])
    kind, name = known.resolve(entity_id, entity_type)
    return fetch_published(reader, ENTITY_FEATURES, [night], entity_type=[kind], entity_id=[name])


def _reasons(
    reader: Reader, night: Night, features: pa.Table, found: Mapping[str, Any], top: int
) -> list[dict[str, Any]]:
    """Reasons anew, from the stored model and the stored features of the night."""
    model, golden = _models_of(reader, found)
    values, profiles = model.vectors(features)
    reasons = line_reasons(found, model, golden, values[0], profiles, top=top)
    return [
        reason | shared
        for reason, shared in zip(
            reasons, _peers_sharing(reader, night, found, model, reasons), strict=True
        )
    ]


def _models_of(reader: Reader, score: Mapping[str, Any]) -> tuple[PeerModel, PeerModel | None]:
    """The model that spoke of a row of ``entity_scores``, and the frozen one."""
    kind, frozen = score["entity_type"], score["golden_version"]
    models = load_versions(
        reader,
        [version_served(kind, score["model_version"])],
        [version_served(kind, frozen)] if frozen else [],
    )
    model, golden = (find(kind, score["slice"]) for find in (models.find, models.find_golden))
    if model is None:
        raise DataError(f"`models` has no row of {score['model_version']} that fits {kind}")
    return model, golden


def explained_scores(
    reader: Reader, keys: Sequence[NightEntity], *, top: int = CARRYING
) -> dict[NightEntity, dict[str, Any]]:
    """``anomaly_score`` and ``reasons`` of entities' nights; who has no score is left out.

    Of lines their own reasons and ``evidence`` are taken, else those of the stored model and
    features, which lack the counts of peers.
    """
    found: dict[NightEntity, dict[str, Any]] = {}
    models: dict[tuple[str, str], PeerModel] = {}
    by_night: dict[tuple[date, str], list[str]] = {}
    for day, kind, name in keys:
        by_night.setdefault((day, kind), []).append(name)
    for (day, kind), names in by_night.items():
        night = find_night(reader, day)
        own = {"entity_type": [kind], "entity_id": names}
        columns = [*_KEY, "anomaly_score", "reasons", "evidence"]
        lines = rows_of(fetch_published(reader, OUTLIERS, [night], columns, **own))
        found |= {night_entity(line): line for line in lines}
        own["entity_id"] = [name for name in names if (day, kind, name) not in found]
        columns = [*_KEY, "slice", "anomaly_score", "model_version"]
        for score in rows_of(fetch_published(reader, ENTITY_SCORES, [night], columns, **own)):
            spoke = (score["model_version"], score["slice"])
            if spoke not in models:
                models[spoke], _ = _models_of(reader, score | {"golden_version": None})
            model = models[spoke]
            features = fetch_published(
                reader, ENTITY_FEATURES, [night], model.stored_columns,
                entity_type=[kind], entity_id=[score["entity_id"]],
            )  # fmt: skip
            values, profiles = model.vectors(features)
            [reasons] = reasons_of(model, values, [profiles], top)
            found[night_entity(score)] = score | {"reasons": reasons}
    return found


def _peers_sharing(
    reader: Reader,
    night: Night,
    found: Mapping[str, Any],
    model: PeerModel,
    reasons: Sequence[Mapping[str, Any]],
) -> list[dict[str, int]]:
    """For each reason, how many of the peers scored that night are at least as far out."""
    peers = {"entity_type": [found["entity_type"]], "slice": [found["slice"]]}
    scored = fetch_published(reader, ENTITY_SCORES, [night], ["entity_id"], **peers)
    names = [reason["feature"] for reason in reasons if not reason["term"]]
    own = names if model.feature_set == BUILTIN else ["values"]
    columns = [*_KEY, "slice", "profile", *dict.fromkeys(own)]
    rows = fetch_published(reader, ENTITY_FEATURES, [night], columns, **peers)
    rows = rows.filter(pc.is_in(rows["entity_id"], scored["entity_id"].combine_chunks()))
    terms, counts = profile_parts(rows)
    batch = pd.DataFrame(
        {
            **{name: rows[name].to_pylist() for name in (*_KEY, "slice")},
            "features": list(table_values(rows, model.feature_set, names)),
            "terms": terms,
            "counts": counts,
        }
    )
    questions = [peer_question(found, names, reason) for reason in reasons]
    found_of = count_sharing(batch, questions).set_index("question")
    return [
        {name: int(found_of[name].get(i, 0)) for name in ("peers_sharing", "peers")}
        for i in range(len(questions))
    ]


def _top_activity(
    reader: Reader, night: Night, own: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    rows = rows_of(fetch_published(reader, ENTITY_ACTIVITY, [night], _ACTIVITY, **own))
    told = [row for row in rows if row["dimension"] not in _NO_ACTIVITY]
    told.sort(key=lambda row: (-row["event_count"], row["dimension"], row["value"]))
    return told[:_ACTIVITY_SHOWN]
