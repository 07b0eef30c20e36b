"""A night's list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_SCORES, OUTLIERS
from shoal.contracts.scores import techniques_of
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of
from shoal.models.suppressions import hiding_rule, read_suppressions


@dataclass(frozen=True)
class OutlierList:
    """The lines of a published night that were asked for, in order of rank.

    Attributes
    ----------
    hidden : lines that a rule hides, of the whole night
    """

    night: Night
    lines: Sequence[dict[str, Any]]
    hidden: int

    @property
    def scored(self) -> int:
        """Entities of the night with a score."""
        return self.night.row_counts.get(ENTITY_SCORES.name, 0)

    @property
    def total(self) -> int:
        """Lines of the night that no rule hides."""
        return self.night.row_counts.get(OUTLIERS.name, 0) - self.hidden


def list_outliers(
    reader: Reader,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    slice_name: str | None = None,
    lane: str | None = None,
    feature: str | None = None,
    technique: str | None = None,
    limit: int | None = None,
    with_hidden: bool = False,
) -> OutlierList:
    """The lines of a published night, with filters.

    A rule hides lines of nights before its time as well: ``suppressed_by`` names it.

    Parameters
    ----------
    feature, technique : of one of the reasons; a technique stands for its sub-techniques, too
    with_hidden : those that a rule hides, too
    """
    night = find_night(reader, event_date)
    rules = read_suppressions(reader)
    every = rows_of(fetch_published(reader, OUTLIERS, [night]))
    for line in every:
        line["suppressed_by"] = line["suppressed_by"] or hiding_rule(line, rules)
    shown = [line for line in every if with_hidden or line["suppressed_by"] is None]
    asked = {"entity_type": entity_type, "slice": slice_name, "lane": lane}
    wanted = {name: value for name, value in asked.items() if value is not None}
    lines = [
        line
        for line in shown
        if all(line[name] == value for name, value in wanted.items())
        and (feature is None or any(r["feature"] == feature for r in line["reasons"] or []))
        and (technique is None or _shows(line, technique))
    ]
    lines.sort(key=lambda line: (line["rank"], line["entity_id"]))
    ranks = sorted({line["rank"] for line in lines})[:limit]
    hidden = 0 if with_hidden else len(every) - len(shown)
    return OutlierList(night, [line for line in lines if line["rank"] in ranks], hidden)


def _shows(line: Mapping[str, Any], technique: str) -> bool:
    return any(
        name == technique or name.startswith(f"{technique}.")
        for name in techniques_of(line["reasons"] or [])
    )
