"""What verdicts say of days that look like those they were given on.

A day looks like another if the same reasons carry both, or the same rare values stand behind them:
a tool is new for a host on its first day only. What analysts called benign moves such days down the
list, what they called bad moves them up; an entity's own day that looks like one of its days that
were called benign is not told again, unless it has become stranger.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from shoal.contracts import VERDICTS
from shoal.contracts.scores import BENIGN, MALICIOUS
from shoal.lake import Reader, rows_of
from shoal.models.cases import rare_values
from shoal.models.scoring import RAISED_BY

Reasons = Sequence[Mapping[str, Any]]

SCOPES = {
    "day": "that entity's day alone",
    "entity": "later days of the entity that look alike",
    "pattern": "later days of any entity of the type that look alike",
}
"""What a verdict covers."""
ALIKE = 0.7
"""Likeness of two days from which on they look alike."""
PRIOR_VERDICTS = 0.25
"""Verdicts of either kind that are supposed beforehand: one that was given is worth five to one."""
MOST_SHIFT = 1.0
"""Most that verdicts move a score: ten times rarer or more usual. What hunters called benign once
is what an intruder would like to look like."""


@dataclass(frozen=True)
class Verdict:
    """A row of ``verdicts``.

    Attributes
    ----------
    anomaly_score, reasons, evidence : of the day, ``None`` if it had no score
    """

    verdict_id: str
    event_date: date
    entity_type: str
    entity_id: str
    verdict: str
    scope: str
    anomaly_score: float | None
    reasons: Reasons | None
    evidence: Sequence[Mapping[str, str]] | None
    effective_date: date
    expiry_date: date | None

    @property
    def is_benign(self) -> bool:
        """Whether nothing was wrong."""
        return self.verdict == BENIGN

    def holds_on(self, night: date) -> bool:
        """Whether a night heeds it."""
        is_over = self.expiry_date is not None and self.expiry_date <= night
        return self.effective_date <= night and not is_over

    def covers(self, line: Mapping[str, Any]) -> bool:
        """Whether it is about days of the line's entity."""
        is_own = line["entity_id"] == self.entity_id
        return line["entity_type"] == self.entity_type and (self.scope == "pattern" or is_own)

    def likeness(self, line: Mapping[str, Any]) -> float:
        """How much a line looks like its day, from 0 to 1: by reasons or by what is rare.

        By reasons it is their cosine, each as long as the standard deviations that it adds; by what
        is rare the share of the line's rare values that its day had.
        """
        rare = rare_values(line)
        known = {(item["dimension"], item["value"]) for item in self.evidence or ()}
        by_values = len(rare & known) / len(rare) if rare else 0.0
        return max(cosine(self.reasons or (), line["reasons"] or ()), by_values)


@dataclass(frozen=True)
class Judgement:
    """What verdicts say of an entity's day.

    Attributes
    ----------
    shift : what its place on the list moves by, in units of ``anomaly_score``
    verdict_ids : those on days that look alike
    answered_by : the verdict that has called it benign already
    """

    shift: float = 0.0
    verdict_ids: tuple[str, ...] = ()
    answered_by: str | None = None


def read_verdicts(reader: Reader) -> list[Verdict]:
    """All verdicts, in the order in which they were given."""
    rows = rows_of(reader.fetch(VERDICTS))
    names = [field.name for field in fields(Verdict)]
    return [
        Verdict(**{name: row[name] for name in names})
        for row in sorted(rows, key=lambda row: (row["created_ts"], row["verdict_id"]))
    ]


def newest_verdicts(reader: Reader, days: Collection[date]) -> dict[tuple[date, str, str], str]:
    """What was said last of each entity's day, of some days."""
    names = ["event_date", "entity_type", "entity_id", "verdict", "created_ts", "verdict_id"]
    rows = rows_of(reader.fetch(VERDICTS, names, event_date=days))
    rows.sort(key=lambda row: (row["created_ts"], row["verdict_id"]))
    return {
        (row["event_date"], row["entity_type"], row["entity_id"]): row["verdict"] for row in rows
    }


def heeded_on(verdicts: Iterable[Verdict], night: date) -> tuple[Verdict, ...]:
    """Verdicts that a night heeds on days that look like theirs, by identity.

    Parameters
    ----------
    verdicts : in the order in which they were given; of several on one day the last holds
    """
    return tuple(
        verdict
        for verdict in _last_words(verdicts, night)
        if verdict.scope != "day" and verdict.reasons
    )


def malicious_before(verdicts: Iterable[Verdict], night: date) -> tuple[Verdict, ...]:
    """Verdicts on days that no model of a night learns from, by identity.

    Parameters
    ----------
    verdicts : as in `heeded_on`
    """
    return tuple(v for v in _last_words(verdicts, night) if v.verdict == MALICIOUS)


def _last_words(verdicts: Iterable[Verdict], night: date) -> list[Verdict]:
    last = {
        (verdict.entity_type, verdict.entity_id, verdict.event_date): verdict
        for verdict in verdicts
        if verdict.holds_on(night)
    }
    return sorted(last.values(), key=lambda verdict: verdict.verdict_id)


def cosine(own: Reasons, other: Reasons) -> float:
    """Cosine of two days' reasons.

    A reason is the same if feature, term of the profile and direction are.
    """
    first, second = _lengths(own), _lengths(other)
    norms = math.hypot(*first.values()) * math.hypot(*second.values())
    if not norms:
        return 0.0
    return sum(length * second.get(key, 0.0) for key, length in first.items()) / norms


def _lengths(reasons: Reasons) -> dict[tuple[str, str | None, str], float]:
    return {
        (reason["feature"], reason["term"], reason["direction"]): math.sqrt(reason["contribution"])
        for reason in reasons
    }


def judge(line: Mapping[str, Any], verdicts: Iterable[Verdict]) -> Judgement:
    """What verdicts say of a line, or of one that may become one.

    With b alike that were called bad and g that were called benign, each counted by its likeness,
    the place moves by log10((b + a) / (g + a)), a being `PRIOR_VERDICTS`.

    Parameters
    ----------
    line : with ``reasons`` and ``evidence``
    """
    alike = [
        (found, verdict)
        for verdict in verdicts
        if verdict.covers(line) and (found := verdict.likeness(line)) >= ALIKE
    ]
    if not alike:
        return Judgement()
    benign = sum(found for found, verdict in alike if verdict.is_benign)
    bad = sum(found for found, verdict in alike if not verdict.is_benign)
    shift = math.log10((bad + PRIOR_VERDICTS) / (benign + PRIOR_VERDICTS))
    own = [verdict for _, verdict in alike if verdict.entity_id == line["entity_id"]]
    last = max(own, key=lambda verdict: verdict.event_date, default=None)
    is_answered = (
        last is not None
        and last.is_benign
        and last.anomaly_score is not None
        and line["anomaly_score"] < last.anomaly_score + RAISED_BY
    )
    return Judgement(
        shift=max(-MOST_SHIFT, min(shift, MOST_SHIFT)),
        verdict_ids=tuple(verdict.verdict_id for _, verdict in alike),
        answered_by=last.verdict_id if last is not None and is_answered else None,
    )
