"""Lines of the list in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.report.text import number, plain

_COUNT_LIKE = {"bytes": "bytes", "seconds": "s", "share": "", "circle": "", "0 to 1": ""}


def reason_text(reason: Mapping[str, Any]) -> str:
    """``destination ports 212 (peers like it 3.1; 0 of 41 peers as high)``."""
    name = plain(str(reason["feature"])).replace("_", " ")
    unit = reason.get("unit") or ""
    shown = _COUNT_LIKE.get(unit, unit)
    unit_text = f" {shown}" if shown and shown.rstrip("s") not in name else ""
    sharing, peers = reason.get("peers_sharing"), reason.get("peers")
    side = "as high" if reason["direction"] == "high" else "as low"
    shared = f"; {sharing:,} of {peers:,} peers {side}" if peers else "; no peers tonight"
    expected = number(reason["expected"])
    return f"{name} {number(reason['value'])}{unit_text} (expected {expected}{shared})"


def evidence_text(item: Mapping[str, Any]) -> str:
    """``program_port java>tcp/4444: 12 events, new, 1 entity has it``."""
    sharing = item["entities_sharing"]
    parts = [f"{item['event_count']:,} events"]
    if item.get("is_new"):
        parts.append("new for it")
    parts.append("nobody else" if sharing == 1 else f"{sharing - 1:,} others")
    name = str(item["dimension"]).replace("_", " ")
    return f"{name} {plain(str(item['value']))}: {', '.join(parts)}"


def summary(line: Mapping[str, Any], *, reasons: int = 2) -> str:
    """The strongest reasons of a line in one string."""
    return "; ".join(reason_text(reason) for reason in (line.get("reasons") or [])[:reasons])


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line with reasons and evidence as text, for table, CSV and Markdown."""
    return {
        **line,
        "why": summary(line),
        "evidence_text": "; ".join(evidence_text(e) for e in (line.get("evidence") or [])[:3]),
    }


def list_heading(night: str, lines: Sequence[Mapping[str, Any]], scored: int) -> str:
    """How many were scored, and how many of the lines chance alone would bring."""
    if not lines:
        return f"{night}: {scored:,} entity-days scored, none strange enough for the list"
    chance = max(float(line["expected_by_chance"]) for line in lines)
    expected = f"{chance:.1f}" if chance >= 0.05 else "under 0.1"
    return (
        f"{night}: {scored:,} entity-days scored, {len(lines)} listed, "
        f"{expected} expected by chance"
    )
