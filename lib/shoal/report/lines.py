"""Lines of the list in words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.contracts.scores import BESIDE_LANES
from shoal.report.text import counted, number, shown

WHOLE_BAR = 4.0
"""Score that fills a bar, where none is larger."""
_COUNT_LIKE = {"bytes": "bytes", "seconds": "s", "share": "", "circle": "", "0 to 1": ""}


def reason_text(reason: Mapping[str, Any]) -> str:
    """``port distinct 212 service ports (expected 3.1; 0 of 41 peers as high)``."""
    name = shown(str(reason["feature"])).replace("_", " ")
    if reason.get("term"):
        kind, _, value = str(reason["term"]).partition("=")
        name = f"{kind} {shown(value)} share"
    unit = reason.get("unit") or ""
    word = _COUNT_LIKE.get(unit, unit)
    unit_text = f" {word}" if word and word.rstrip("s") not in name else ""
    expected = number(reason["expected"])
    shared = _shared_text(reason)
    return f"{name} {number(reason['value'])}{unit_text} (expected {expected}{shared})"


def _shared_text(reason: Mapping[str, Any]) -> str:
    sharing, peers = reason.get("peers_sharing"), reason.get("peers")
    if peers is None:
        return ""
    if peers == 0:
        return "; no peers tonight"
    side = "as high" if reason["direction"] == "high" else "as low"
    return f"; {sharing:,} of {peers:,} peers {side}"


def evidence_text(item: Mapping[str, Any]) -> str:
    """``program_port java>tcp/4444: 12 events, new, 1 entity has it``."""
    sharing = item["entities_sharing"]
    parts = [counted(item["event_count"], "event")]
    if item.get("is_new"):
        parts.append("new for it")
    others = sharing - 1
    parts.append(f"{others:,} other{'s' if others > 1 else ''}" if others else "nobody else")
    return f"{value_text(item)}: {', '.join(parts)}"


def value_text(item: Mapping[str, Any]) -> str:
    """A value of a dimension: ``program port java>tcp/4444``."""
    return f"{str(item['dimension']).replace('_', ' ')} {shown(str(item['value']))}"


def summary(line: Mapping[str, Any], *, reasons: int | None = 2) -> str:
    """The strongest reasons of a line, or all of them, in one string."""
    return "; ".join(reason_text(reason) for reason in (line.get("reasons") or [])[:reasons])


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line with reasons and evidence as text, for table, CSV and Markdown."""
    return {
        **line,
        "why": summary(line),
        "evidence_text": "; ".join(evidence_text(e) for e in (line.get("evidence") or [])[:3]),
    }


def list_heading(night: str, lines: Sequence[Mapping[str, Any]], scored: int, *, total: int) -> str:
    """A night, and its list in short; see `list_in_short`."""
    return f"{night}: {list_in_short(lines, scored, total=total)}"


def list_in_short(lines: Sequence[Mapping[str, Any]], scored: int, *, total: int) -> str:
    """How many were scored, and how many of the strays chance alone would bring.

    Parameters
    ----------
    lines : the lines shown
    total : lines of the whole night; of a part of them nothing is said about chance, which
        counts entities of every type and slice
    """
    began = f"{scored:,} entity-days scored"
    if not total:
        return f"{began}, none strange enough for the list"
    if len(lines) < total:
        return f"{began}, {len(lines):,} of {total:,} lines shown"
    # Those lanes tell of more than one night: no night's chance brings their lines.
    beside = Counter(line["lane"] for line in lines if line["lane"] in BESIDE_LANES)
    chances = [
        line["expected_by_chance"]
        for line in lines
        if line["lane"] not in BESIDE_LANES and line["expected_by_chance"] is not None
    ]
    told = ", ".join(f"{count:,} {lane}" for lane, count in sorted(beside.items()))
    listed = f"{began}, {total:,} listed" + (f" ({told})" if told else "")
    if not chances:
        return listed
    chance = max(chances)
    return f"{listed}, {f'{chance:.1f}' if chance >= 0.05 else 'under 0.1'} expected by chance"
