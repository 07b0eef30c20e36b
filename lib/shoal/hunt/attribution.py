"""Why an entity's score is not that of the night before: itself, the model, or late data."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa

from shoal.contracts import ENTITY_SCORES, RUNS
from shoal.errors import DataError, HistoryGoneError
from shoal.lake import Night, Reader, fetch_published, published_nights, rows_of
from shoal.models.registry import load_versions, version_served
from shoal.models.scoring import score_columns
from shoal.models.weeks import is_weekend


def attribute_change(
    reader: Reader, night: Night, features: pa.Table, score: Mapping[str, Any]
) -> dict[str, Any]:
    """Take the change of a score since the night before apart, in this order.

    By behaviour: tonight's features by last night's model, less last night's score. By model:
    tonight's score less that. By late data: last night's score as it is now, less the one that was
    told first, where the night has been computed anew since. They add up to tonight's score less
    that first one.

    Parameters
    ----------
    features : the entity's row of ``entity_features``
    score : its row of ``entity_scores``

    Returns
    -------
    ``change_since``, ``score_change``, ``change_by_behaviour``, ``change_by_model`` and
    ``change_by_late_data``; nothing if it had no score on the night published before
    """
    earlier = published_nights(reader, end=night.event_date - timedelta(days=1))[-1:]
    own = {name: [score[name]] for name in ("entity_type", "entity_id")}
    if not earlier:
        return {}
    [before] = earlier
    rows = rows_of(fetch_published(reader, ENTITY_SCORES, earlier, **own))
    if not rows:
        return {}
    [last] = rows
    now, then = float(score["anomaly_score"]), float(last["anomaly_score"])
    by_last_model = now
    if last["model_version"] != score["model_version"]:
        by_last_model = _score_by(reader, features, score, str(last["model_version"]))
    told = _told_first(reader, before, own)
    return {
        "change_since": before.event_date,
        "score_change": now - (then if told is None else told),
        "change_by_behaviour": by_last_model - then,
        "change_by_model": now - by_last_model,
        "change_by_late_data": 0.0 if told is None else then - told,
    }


def _score_by(reader: Reader, features: pa.Table, score: Mapping[str, Any], version: str) -> float:
    """Tonight's score by another model."""
    kind = score["entity_type"]
    model = load_versions(reader, [version_served(kind, version)]).find(kind, score["slice"])
    if model is None:
        raise DataError(f"`models` has no row of {version} that fits {kind}")
    values, _ = model.vectors(features)
    judged = score_columns(model, values, is_weekend=is_weekend(score["event_date"]))
    return float(judged["anomaly_score"][0])


def _told_first(reader: Reader, night: Night, own: Mapping[str, list[Any]]) -> float | None:
    """The score of a night as it was published first; ``None`` if it is the same publication.

    ``None`` as well where the tables no longer hold what was told.
    """
    published = rows_of(
        reader.fetch(
            RUNS,
            ["run_id", "written_ts"],
            step=["publish"],
            state=["done"],
            event_date=[night.event_date],
        )
    )
    first = min(published, key=lambda row: row["written_ts"], default=None)
    if first is None or first["run_id"] == night.run_id:
        return None
    is_first = {"event_date": [night.event_date], "run_id": [first["run_id"]]}
    try:
        past = reader.as_of(first["written_ts"])
        rows = rows_of(past.fetch(ENTITY_SCORES, ["anomaly_score"], **is_first, **own))
    except HistoryGoneError:
        return None
    return float(rows[0]["anomaly_score"]) if rows else None
