"""Rules that hide lines of the list: whose, and by what they are matched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from shoal.contracts import SUPPRESSIONS
from shoal.lake import Reader, rows_of

SCOPES = {
    "entity": "name of the entity",
    "slice": "its group of peers",
    "feature": "feature of the strongest reason",
    "value": "dimension=value of its evidence, or of what a group shares",
    "reason": "features of its reasons, strongest first, with a comma between them",
}
"""What the pattern of a rule is held against."""


@dataclass(frozen=True)
class Suppression:
    """A row of ``suppressions``.

    Attributes
    ----------
    pattern : as in a shell: ``*`` any text, ``?`` any character; case does not matter
    expiry_date : first night that is not hidden any more
    """

    suppression_id: str
    entity_type: str
    scope: str
    pattern: str
    reason: str
    owner: str
    effective_date: date
    expiry_date: date

    def holds_on(self, night: date) -> bool:
        """Whether a night heeds it."""
        return self.effective_date <= night < self.expiry_date

    def matches(self, line: Mapping[str, Any]) -> bool:
        """Whether a line, with its reasons and evidence, is one that the rule hides."""
        if line["entity_type"] != self.entity_type or line["event_date"] >= self.expiry_date:
            return False
        pattern = self.pattern.lower()
        return any(fnmatchcase(text.lower(), pattern) for text in _texts(line, self.scope))


def read_suppressions(reader: Reader) -> list[Suppression]:
    """All rules, those that began first first."""
    names = [field.name for field in fields(Suppression)]
    rules = [Suppression(**row) for row in rows_of(reader.fetch(SUPPRESSIONS, names))]
    return sorted(rules, key=lambda rule: (rule.effective_date, rule.suppression_id))


def hiding_rule(line: Mapping[str, Any], rules: Sequence[Suppression]) -> str | None:
    """The first rule that hides a line, by its identity."""
    return next((rule.suppression_id for rule in rules if rule.matches(line)), None)


def _texts(line: Mapping[str, Any], scope: str) -> Iterable[str]:
    reasons = line.get("reasons") or []
    if scope == "entity":
        return [str(line["entity_id"])]
    if scope == "slice":
        return [str(line["slice"])]
    if scope == "feature":
        return [str(reason["feature"]) for reason in reasons[:1]]
    if scope == "reason":
        return [",".join(str(reason["feature"]) for reason in reasons)]
    values = [*(line.get("evidence") or []), *(line.get("shared") or [])]
    return [f"{item['dimension']}={item['value']}" for item in values]
