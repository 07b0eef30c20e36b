"""What analysts ask of the nights themselves: lists, models and drift, night by night."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from shoal.contracts import DRIFT_ALERT_RATE, DRIFT_CLUSTERS, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.contracts.scores import BESIDE_LANES
from shoal.lake import Night, Reader, fetch_published, require_published, rows_of
from shoal.models.alert_rate import CALM
from shoal.models.cluster_rows import OVERALL, PREVIOUS
from shoal.models.histograms import ALL


def list_nights(reader: Reader, *, entity_types: Sequence[str], last: int) -> list[dict[str, Any]]:
    """The last published nights: what became of their entities, their lists, and drift.

    Returns
    -------
    By night ``scored``, ``unscored``, ``lines`` (but for lanes beside the capacity), ``news``
    among them, ``by_chance`` (entities that chance alone puts on such a list), ``new_models``, and
    for every entity type ``<type>_rand``: how well its clusters agree with those of the night
    before, as the adjusted Rand index; ``moved``, the verdict of every type that moved.

    Raises
    ------
    DataError
        If no night is published.
    """
    every = require_published(reader)
    nights = every[-last:]
    lists = _lists(reader, nights)
    agreement, moved = _agreement(reader, nights), _verdicts(reader, nights)
    rows = []
    known = {version for night in every[:-last] for version in night.model_versions.values()}
    for night in nights:
        versions = set(night.model_versions.values())
        day = night.event_date
        rows.append(
            {
                "event_date": day,
                "scored": night.row_counts.get(ENTITY_SCORES.name, 0),
                "unscored": night.row_counts.get(UNSCORED.name, 0),
                **_list_sizes(lists.get(day, [])),
                "new_models": len(versions - known),
                **{f"{kind}_rand": agreement.get((day, kind)) for kind in entity_types},
                "moved": ", ".join(sorted(moved.get(day, []))) or None,
            }
        )
        known |= versions
    return rows


def _lists(reader: Reader, nights: Sequence[Night]) -> dict[date, list[dict[str, Any]]]:
    columns = ["event_date", "rank", "lane", "change", "expected_by_chance"]
    found = defaultdict(list)
    for row in rows_of(fetch_published(reader, OUTLIERS, nights, columns)):
        if row["lane"] not in BESIDE_LANES:
            found[row["event_date"]].append(row)
    return found


def _list_sizes(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    chances = [line["expected_by_chance"] for line in lines]
    return {
        "lines": len({line["rank"] for line in lines}),
        "news": len({line["rank"] for line in lines if line["change"] in ("new", "raised")}),
        "by_chance": max((chance for chance in chances if chance is not None), default=0.0),
    }


def _verdicts(reader: Reader, nights: Sequence[Night]) -> dict[date, list[str]]:
    columns = ["event_date", "entity_type", "verdict"]
    found = defaultdict(list)
    for row in rows_of(fetch_published(reader, DRIFT_ALERT_RATE, nights, columns, slice=[ALL])):
        if row["verdict"] not in CALM:
            found[row["event_date"]].append(f"{row['entity_type']}: {row['verdict']}")
    return found


def _agreement(reader: Reader, nights: Sequence[Night]) -> dict[tuple[date, str], float | None]:
    columns = ["event_date", "entity_type", "adjusted_rand"]
    is_wanted = {"shape": [OVERALL], "comparison": [PREVIOUS]}
    rows = rows_of(fetch_published(reader, DRIFT_CLUSTERS, nights, columns, **is_wanted))
    return {(row["event_date"], row["entity_type"]): row["adjusted_rand"] for row in rows}
