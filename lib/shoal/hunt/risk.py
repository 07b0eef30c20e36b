"""Who was strange again and again: risk over days, what is long ago counting less."""

from datetime import date, timedelta
from typing import Any

from shoal.contracts import ENTITY_SCORES, OUTLIERS, VERDICTS
from shoal.contracts.scores import BENIGN, SEVERITIES, STANDING
from shoal.lake import Night, Reader, fetch_published, find_night, published_nights, rows_of
from shoal.models.listing import NightEntity, night_entity

LEAST_SCORE = 2.0
"""Score from which on a night adds to the risk: one in a hundred, severity medium."""
_COUNTED = [name for least, name in SEVERITIES if least >= LEAST_SCORE]


def risk_over_days(
    reader: Reader,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    last: int = 28,
    half_life: float = 7.0,
) -> tuple[Night, list[dict[str, Any]]]:
    """Entities by the sum of their scores of the last days, halved for every ``half_life`` days.

    A night below `LEAST_SCORE` adds nothing, for it is usual; nor does one that was called benign,
    or on which the entity stood in the lane of those that are strange every night.

    Parameters
    ----------
    last : days that are looked at, the night's included
    half_life : days

    Returns
    -------
    The night, and rows with ``entity_type``, ``entity_id``, ``slice``, ``risk``, ``strange_nights``
    that add to it, their ``highest_score`` and ``last_strange``, those of the highest risk first
    """
    night = find_night(reader, event_date)
    nights = published_nights(
        reader, start=night.event_date - timedelta(days=last - 1), end=night.event_date
    )
    wanted = {} if entity_type is None else {"entity_type": [entity_type]}
    columns = ["event_date", "entity_type", "entity_id", "slice", "anomaly_score"]
    scores = rows_of(
        fetch_published(reader, ENTITY_SCORES, nights, columns, severity=_COUNTED, **wanted)
    )
    left_out = _left_out(reader, nights)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(scores, key=night_entity):
        if night_entity(row) in left_out:
            continue
        age = (night.event_date - row["event_date"]).days
        own = found.setdefault(
            (row["entity_type"], row["entity_id"]),
            {"risk": 0.0, "strange_nights": 0, "highest_score": 0.0},
        )
        own["slice"], own["last_strange"] = row["slice"], row["event_date"]
        own["risk"] += row["anomaly_score"] * 0.5 ** (age / half_life)
        own["strange_nights"] += 1
        own["highest_score"] = max(own["highest_score"], row["anomaly_score"])
    names = ("slice", "risk", "strange_nights", "highest_score", "last_strange")
    rows = [
        {"entity_type": kind, "entity_id": name, **{column: own[column] for column in names}}
        for (kind, name), own in found.items()
    ]
    return night, sorted(
        rows, key=lambda row: (-round(row["risk"], 6), row["entity_type"], row["entity_id"])
    )


def _left_out(reader: Reader, nights: list[Night]) -> set[NightEntity]:
    """Nights of entities that add nothing though they are strange."""
    key = ["event_date", "entity_type", "entity_id"]
    standing = fetch_published(reader, OUTLIERS, nights, key, lane=[STANDING])
    days = [night.event_date for night in nights]
    benign = reader.fetch(VERDICTS, key, verdict=[BENIGN], event_date=days)
    return {night_entity(row) for table in (standing, benign) for row in rows_of(table)}
