"""How good the lists were, by the verdicts so far."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sklearn.metrics import average_precision_score

from shoal.contracts import ENTITY_SCORES, OUTLIERS
from shoal.contracts.scores import BAD
from shoal.lake import Reader, fetch_published, require_published, rows_of
from shoal.models.listing import night_entity
from shoal.models.verdicts import newest_verdicts

RANKS = (1, 3, 5, 10, 20, 50)
"""Capacities that lists are cut to."""


def list_quality(reader: Reader, *, last: int = 90) -> dict[str, pd.DataFrame]:
    """Precision at capacity, and precision and recall by slice, of the last published nights.

    Of lines that nobody has judged nothing is known: precision is of the judged ones. Recall is of
    the bad days that somebody has found, on a list or, as of `shoal sample`, on none.

    Parameters
    ----------
    last : nights, counted back

    Returns
    -------
    ``By capacity``: ``rank`` that lists are cut at, judged lines above it, ``bad`` among them and
    ``precision``; ``By slice``: days ``judged``, ``bad``, ``bad_listed``, ``precision`` of the
    lines, ``recall``, and ``average_precision`` by the score, which takes both kinds

    Raises
    ------
    DataError
        If no night is published.
    """
    nights = require_published(reader)[-last:]
    judged = newest_verdicts(reader, {night.event_date for night in nights})
    columns = ["event_date", "entity_type", "entity_id"]
    own = {"entity_id": {name for _, _, name in judged}}
    scores = {
        night_entity(row): row
        for row in rows_of(
            fetch_published(
                reader, ENTITY_SCORES, nights, [*columns, "slice", "anomaly_score"], **own
            )
        )
    }
    ranks = {
        night_entity(row): row["rank"]
        for row in rows_of(fetch_published(reader, OUTLIERS, nights, [*columns, "rank"], **own))
    }
    days = [
        {
            "entity_type": key[1],
            "slice": scores[key]["slice"],
            "score": scores[key]["anomaly_score"],
            "is_bad": verdict in BAD,
            "rank": ranks.get(key),
        }
        for key, verdict in judged.items()
        if key in scores
    ]
    return {"By capacity": _by_capacity(days), "By slice": _by_slice(days)}


def _by_capacity(days: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    rows = []
    for rank in RANKS:
        above = [day["is_bad"] for day in days if day["rank"] is not None and day["rank"] <= rank]
        if above:
            bad = sum(above)
            rows.append(
                {"rank": rank, "judged": len(above), "bad": bad, "precision": bad / len(above)}
            )
    return pd.DataFrame(rows)


def _by_slice(days: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for day in days:
        groups.setdefault((day["entity_type"], day["slice"]), []).append(day)
    rows = []
    for (kind, name), own in sorted(groups.items()):
        lines = [day["is_bad"] for day in own if day["rank"] is not None]
        bad = sum(day["is_bad"] for day in own)
        is_both = 0 < bad < len(own)
        rows.append(
            {
                "entity_type": kind,
                "slice": name,
                "judged": len(own),
                "bad": bad,
                "bad_listed": sum(lines),
                "precision": sum(lines) / len(lines) if lines else None,
                "recall": sum(lines) / bad if bad else None,
                "average_precision": average_precision_score(
                    [day["is_bad"] for day in own], [day["score"] for day in own]
                )
                if is_both
                else None,
            }
        )
    return pd.DataFrame(rows)
