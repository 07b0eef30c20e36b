"""An entity night by night: its score, its cluster, its lines."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_SCORES, OUTLIERS, UNSCORED, Table
from shoal.errors import DataError
from shoal.hunt.entities import KnownEntities
from shoal.lake import Reader, fetch_published, require_published, rows_of

_SCORED = ("anomaly_score", "severity", "slice", "cluster_id", "model_version")
_LISTED = ("rank", "lane", "change", "case_id", "reasons", "suppressed_by")


def entity_timeline(
    reader: Reader,
    entity_id: str,
    *,
    entity_type: str | None = None,
    until: date | None = None,
    last: int = 28,
) -> list[dict[str, Any]]:
    """The last published nights of an entity, up to a day; those that it is missing on as well.

    Returns
    -------
    A row a night: ``event_date``, ``entity_type``, ``entity_id``; of a score, of a line and of what
    has no score what they say; ``is_missing`` where the night knows nothing of it

    Raises
    ------
    DataError
        If no night knows it, naming one that is spelt alike, or several types share the name.
    """
    nights = [n for n in require_published(reader) if until is None or n.event_date <= until]
    if not nights:
        raise DataError(f"no night up to {until} is published")
    nights = nights[-last:]
    known = KnownEntities.of(reader, nights, [entity_id])
    kind, name = known.resolve(entity_id, entity_type)

    def by_night(table: Table, columns: Sequence[str]) -> dict[date, dict[str, Any]]:
        found = fetch_published(
            reader, table, nights, ["event_date", *columns], entity_type=[kind], entity_id=[name]
        )
        return {row.pop("event_date"): row for row in rows_of(found)}

    scored, listed = by_night(ENTITY_SCORES, _SCORED), by_night(OUTLIERS, _LISTED)
    unscored = by_night(UNSCORED, ("reason", "detail"))
    return [
        {
            "event_date": night.event_date,
            "entity_type": kind,
            "entity_id": name,
            **dict.fromkeys((*_SCORED, *_LISTED, "reason", "detail")),
            **scored.get(night.event_date, {}),
            **listed.get(night.event_date, {}),
            **unscored.get(night.event_date, {}),
            "is_missing": night.event_date not in scored.keys() | unscored.keys(),
        }
        for night in nights
    ]
