"""A night's list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from shoal.contracts import ENTITY_LABELS, ENTITY_SCORES, OUTLIERS
from shoal.contracts.scores import techniques_of
from shoal.hunt.explain import explained_scores
from shoal.hunt.sample import gray_zone
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of
from shoal.models.listing import night_entity
from shoal.models.suppressions import hiding_rule, read_suppressions
from shoal.models.verdicts import newest_verdicts


@dataclass(frozen=True)
class OutlierList:
    """The lines of a published night that were asked for, in order of rank.

    Attributes
    ----------
    hidden : lines that a rule or a verdict hides, of the whole night
    gray : entities just under the line, if they were asked for
    """

    night: Night
    lines: Sequence[dict[str, Any]]
    hidden: int
    gray: Sequence[dict[str, Any]] = field(default=())

    @property
    def scored(self) -> int:
        """Entities of the night with a score."""
        return self.night.row_counts.get(ENTITY_SCORES.name, 0)

    @property
    def total(self) -> int:
        """Lines of the night that nothing hides."""
        return self.night.row_counts.get(OUTLIERS.name, 0) - self.hidden


@dataclass(frozen=True)
class Wanted:
    """Which lines of a list are asked for; what is not set is not asked.

    Attributes
    ----------
    feature, technique : of one of the reasons; a technique stands for its sub-techniques, too
    label : ``name=value`` of ``entity_labels``
    least_priority : of the slice's labels
    is_open : without a verdict
    """

    entity_type: str | None = None
    slice_name: str | None = None
    lane: str | None = None
    feature: str | None = None
    technique: str | None = None
    label: str | None = None
    least_priority: int | None = None
    is_open: bool = False

    def takes(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is asked for, by itself."""
        named = (
            (self.entity_type, line["entity_type"]),
            (self.slice_name, line["slice"]),
            (self.lane, line["lane"]),
        )
        return (
            all(wanted in (None, own) for wanted, own in named)
            and (self.feature is None or self.feature in _features(line))
            and (self.technique is None or _shows(line, self.technique))
            and (self.least_priority is None or line["priority"] >= self.least_priority)
            and not (self.is_open and line["verdict"])
        )


def list_outliers(
    reader: Reader,
    event_date: date | None,
    wanted: Wanted | None = None,
    *,
    limit: int | None = None,
    with_hidden: bool = False,
    gray: int = 0,
    priorities: Mapping[str, int] | None = None,
) -> OutlierList:
    """The lines of a published night.

    A rule hides lines of nights before its time as well: ``suppressed_by`` names it. Each line has
    besides its columns the newest ``verdict`` on its day, and ``priority``, the largest of its
    slice's labels.

    Parameters
    ----------
    limit : lines
    with_hidden : those that a rule or an earlier verdict hides, too
    gray : entities just under the line that are told as well
    priorities : of labels, as ``label=value``; 1 where there is none
    """
    night, asked = find_night(reader, event_date), wanted or Wanted()
    rules, verdicts = read_suppressions(reader), newest_verdicts(reader, [night.event_date])
    every = rows_of(fetch_published(reader, OUTLIERS, [night]))
    for line in every:
        line["suppressed_by"] = line["suppressed_by"] or hiding_rule(line, rules)
        line["verdict"] = verdicts.get(night_entity(line))
        labels = line["slice"].split("|")
        line["priority"] = max([1, *((priorities or {}).get(label, 1) for label in labels)])
    shown = [line for line in every if with_hidden or line["suppressed_by"] is None]
    labelled = _labelled(reader, asked.label)
    lines = [
        line
        for line in shown
        if asked.takes(line)
        and (labelled is None or (line["entity_type"], line["entity_id"]) in labelled)
    ]
    lines.sort(key=lambda line: (line["rank"], line["entity_id"]))
    ranks = sorted({line["rank"] for line in lines})[:limit]
    hidden = 0 if with_hidden else len(every) - len(shown)
    return OutlierList(
        night,
        [line for line in lines if line["rank"] in ranks],
        hidden,
        _gray(reader, night, asked.entity_type, gray),
    )


def _labelled(reader: Reader, label: str | None) -> set[tuple[str, str]] | None:
    if label is None:
        return None
    name, _, value = label.partition("=")
    columns = ["entity_type", "entity_id"]
    rows = rows_of(reader.fetch(ENTITY_LABELS, columns, label=[name], value=[value]))
    return {(row["entity_type"], row["entity_id"]) for row in rows}


def _gray(reader: Reader, night: Night, entity_type: str | None, size: int) -> list[dict[str, Any]]:
    """Entities just under the line, with their reasons."""
    if not size:
        return []
    rows = gray_zone(reader, night, entity_type)[:size]
    keys = [(night.event_date, row["entity_type"], row["entity_id"]) for row in rows]
    told = explained_scores(reader, keys)
    return [
        {"event_date": night.event_date, **row, "reasons": told[key]["reasons"]}
        for key, row in zip(keys, rows, strict=True)
    ]


def _features(line: Mapping[str, Any]) -> set[str]:
    return {reason["feature"] for reason in line["reasons"] or []}


def _shows(line: Mapping[str, Any], technique: str) -> bool:
    return any(
        name == technique or name.startswith(f"{technique}.")
        for name in techniques_of(line["reasons"] or [])
    )
