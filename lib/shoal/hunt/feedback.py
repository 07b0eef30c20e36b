"""What hunters say of the lists: verdicts on lines, and rules that hide some."""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from shoal.contracts import OUTLIERS, SUPPRESSIONS, VERDICTS
from shoal.contracts.scores import BAD, BENIGN
from shoal.errors import DataError, ShoalError, UsageError, did_you_mean
from shoal.hunt.entities import KnownEntities
from shoal.hunt.explain import explained_scores
from shoal.lake import Lake, Night, Reader, fetch_published, find_night, require_published, rows_of
from shoal.models.cases import rare_values
from shoal.models.listing import night_entity
from shoal.models.suppressions import SCOPES as RULE_SCOPES
from shoal.models.suppressions import Suppression, read_suppressions
from shoal.models.verdicts import SCOPES

FOUND = (BENIGN, *BAD)
BROAD_SHARE = 0.2
"""Share of a type's lines from which on a rule hides too much to be trusted."""
PREVIEW_NIGHTS = 90
_ONE_DAY = timedelta(days=1)
_FILE_COLUMNS = ("entity_id", "event_date", "verdict", "reason")


@dataclass(frozen=True)
class Finding:
    """What somebody found about an entity's day.

    Attributes
    ----------
    event_date : the last published night by default
    entity_type : where several types share the name
    """

    entity_id: str
    verdict: str
    reason: str
    event_date: date | None = None
    entity_type: str | None = None
    scope: str = "pattern"


@dataclass(frozen=True)
class Preview:
    """What a rule would have hidden on past nights.

    Attributes
    ----------
    lines : of its entity type that were listed
    confirmed_bad : hidden ones that a verdict calls suspicious or malicious
    """

    nights: int
    lines: int
    hidden: int
    confirmed_bad: int

    @property
    def is_broad(self) -> bool:
        """Whether it hides so much that what it was made for is hardly all of it."""
        return self.hidden > 1 and self.hidden >= BROAD_SHARE * self.lines

    def __str__(self) -> str:
        told = (
            f"would have hidden {self.hidden:,} of {self.lines:,} in {self.nights:,} nights, "
            f"{self.confirmed_bad:,} of them confirmed bad"
        )
        return f"{told}; that is broad" if self.is_broad else told


def record_verdicts(
    lake: Lake, findings: Sequence[Finding], *, owner: str, until: date | None = None
) -> list[str]:
    """Write what was found, all of it or nothing; return the identities of what was new.

    Heeded from the night after the last published one on: no night that is out changes. What
    carried the score of the day is kept with it, so that days that look alike are known by that.

    Parameters
    ----------
    until : first night that heeds them no longer, never by default

    Raises
    ------
    DataError
        If an entity or a night is unknown, naming those that are near, of every finding.
    UsageError
        If a verdict or a scope is none.
    """
    nights = require_published(lake)
    effective = nights[-1].event_date + _ONE_DAY
    known = {row["verdict_id"] for row in rows_of(lake.fetch(VERDICTS, ["verdict_id"]))}
    rows: dict[str, dict[str, Any]] = {}
    for finding, entity in zip(findings, _resolve(lake, findings), strict=True):
        content = {
            **entity,
            "verdict": finding.verdict,
            "reason": finding.reason,
            "owner": owner,
            "scope": finding.scope,
            "effective_date": effective,
            "expiry_date": until,
        }
        name = identity(content)
        if name not in known:
            rows[name] = {"verdict_id": name, **content, "created_ts": datetime.now(UTC)}
    if rows:
        scores = explained_scores(lake, [night_entity(row) for row in rows.values()])
        complete = [row | _carried(scores.get(night_entity(row))) for row in rows.values()]
        lake.append_rows(VERDICTS, complete)
    return list(rows)


def _carried(score: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a verdict keeps of the score of its day."""
    if score is None:
        return {}
    names = ("feature", "term", "contribution", "direction")
    return {
        "anomaly_score": score["anomaly_score"],
        "reasons": [{name: reason[name] for name in names} for reason in score["reasons"] or []],
        "evidence": [
            {"dimension": dimension, "value": value}
            for dimension, value in sorted(rare_values(score))
        ],
    }


def _resolve(lake: Lake, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Day, type and name of the entity of each finding."""
    known: dict[date | None, KnownEntities] = {}
    faults: list[str] = []
    found = []
    for number, finding in enumerate(findings, start=1):
        day = finding.event_date
        try:
            _require_known(finding)
            if day not in known:
                names = [other.entity_id for other in findings if other.event_date == day]
                known[day] = KnownEntities.of(lake, [find_night(lake, day)], names)
            kind, name = known[day].resolve(finding.entity_id, finding.entity_type)
            night = known[day].nights[-1].event_date
            found.append({"event_date": night, "entity_type": kind, "entity_id": name})
        except ShoalError as error:
            faults.append(f"{number}: {error}" if len(findings) > 1 else str(error))
    if faults:
        raise DataError("; ".join([*faults, "nothing was written"]))
    return found


def _require_known(finding: Finding) -> None:
    for what, value, allowed in (
        ("verdict", finding.verdict, FOUND),
        ("scope", finding.scope, tuple(SCOPES)),
    ):
        if value not in allowed:
            raise UsageError(
                f"{what} {value!r} is not one of {', '.join(allowed)}{did_you_mean(value, allowed)}"
            )
    if not finding.reason.strip():
        raise UsageError("a verdict needs a reason")


def read_findings(path: Path) -> list[Finding]:
    """Findings of a CSV file.

    Raises
    ------
    DataError
        If a column is missing, a date is none, or it can't be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read: {error}") from error
    names = list(rows[0]) if rows else []
    missing = [name for name in _FILE_COLUMNS if name not in names]
    if missing:
        optional = [f.name for f in fields(Finding) if f.name not in _FILE_COLUMNS]
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it needs {', '.join(_FILE_COLUMNS)}, and "
            f"may have {', '.join(optional)}"
        )
    return [_finding(path, number, row) for number, row in enumerate(rows, start=2)]


def _finding(path: Path, line: int, row: Mapping[str, str | None]) -> Finding:
    try:
        day = date.fromisoformat(row["event_date"] or "")
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}, e.g. 2024-04-20") from error
    return Finding(
        entity_id=row["entity_id"] or "",
        verdict=row["verdict"] or "",
        reason=row["reason"] or "",
        event_date=day,
        entity_type=row.get("entity_type") or None,
        scope=row.get("scope") or "pattern",
    )


def make_suppression(
    reader: Reader, *, entity_type: str, scope: str, pattern: str, reason: str, owner: str,
    until: date,
) -> Suppression:  # fmt: skip
    """A rule that holds from the night after the last published one on.

    Raises
    ------
    UsageError
        If the scope is none, the pattern matches everything, or it ends before it begins.
    """
    if scope not in RULE_SCOPES:
        told = ", ".join(f"{name} ({doc})" for name, doc in RULE_SCOPES.items())
        raise UsageError(f"scope {scope!r} is not one of {told}{did_you_mean(scope, RULE_SCOPES)}")
    if not pattern.strip("*? "):
        raise UsageError(f"pattern {pattern!r} would hide everything")
    if not reason.strip():
        raise UsageError("a rule needs a reason")
    effective = require_published(reader)[-1].event_date + _ONE_DAY
    if until <= effective:
        raise UsageError(f"the rule ends on {until}, before its first night {effective}")
    content = {
        "entity_type": entity_type,
        "scope": scope,
        "pattern": pattern,
        "reason": reason,
        "owner": owner,
        "effective_date": effective,
        "expiry_date": until,
    }
    return Suppression(suppression_id=identity(content), **content)  # type: ignore[arg-type]


def preview(reader: Reader, rule: Suppression) -> Preview:
    """What a rule would have hidden on the last nights."""
    return _PastLists.of(reader).preview(rule)


@dataclass(frozen=True)
class _PastLists:
    """Lines of the last nights, and which of them somebody has found bad."""

    nights: Sequence[Night]
    lines: Sequence[Mapping[str, Any]]
    bad: set[tuple[date, str, str]]

    @classmethod
    def of(cls, reader: Reader) -> Self:
        nights = require_published(reader)[-PREVIEW_NIGHTS:]
        columns = ["event_date", "entity_type", "entity_id", "verdict"]
        bad = {
            (row["event_date"], row["entity_type"], row["entity_id"])
            for row in rows_of(reader.fetch(VERDICTS, columns))
            if row["verdict"] != BENIGN
        }
        return cls(nights, rows_of(fetch_published(reader, OUTLIERS, nights)), bad)

    def preview(self, rule: Suppression) -> Preview:
        of_type = [line for line in self.lines if line["entity_type"] == rule.entity_type]
        hidden = [line for line in of_type if rule.matches(line)]
        confirmed = sum(
            (line["event_date"], line["entity_type"], line["entity_id"]) in self.bad
            for line in hidden
        )
        return Preview(len(self.nights), len(of_type), len(hidden), confirmed)


def record_suppression(lake: Lake, rule: Suppression) -> bool:
    """Write a rule; false if it is there already."""
    known = lake.fetch(SUPPRESSIONS, ["suppression_id"], suppression_id=[rule.suppression_id])
    if len(known):
        return False
    lake.append_rows(SUPPRESSIONS, [{**vars(rule), "created_ts": datetime.now(UTC)}])
    return True


def identity(content: Mapping[str, Any]) -> str:
    """Hash of a row's content, so that the same row twice is one."""
    text = json.dumps(dict(content), sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def told_verdicts(reader: Reader, since: date | None = None) -> list[dict[str, Any]]:
    """Verdicts on days from one on, newest first."""
    rows = rows_of(reader.fetch(VERDICTS))
    wanted: Iterable[dict[str, Any]] = (
        row for row in rows if since is None or row["event_date"] >= since
    )
    return sorted(wanted, key=lambda row: (row["created_ts"], row["verdict_id"]), reverse=True)


def told_suppressions(reader: Reader) -> list[dict[str, Any]]:
    """Every rule, what it hides on the last nights, and its ``state``.

    Returns
    -------
    Columns of ``suppressions``, ``lines`` and ``hidden``, ``confirmed_bad``, and ``state``: over
    (its end is past), broad (it hides much of its type's lines), stale (it hides none), or in force
    """
    past = _PastLists.of(reader)
    last = past.nights[-1].event_date
    found = []
    for rule in read_suppressions(reader):
        seen = past.preview(rule)
        is_past = rule.expiry_date <= last + _ONE_DAY
        state = "over" if is_past else "broad" if seen.is_broad else "in force"
        if state == "in force" and not seen.hidden:
            state = "stale"
        facts = {"lines": seen.lines, "hidden": seen.hidden, "confirmed_bad": seen.confirmed_bad}
        found.append(vars(rule) | facts | {"state": state})
    return found
