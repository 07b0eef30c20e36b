"""Pages of the command line: a night's list, an entity explained, nights, an evaluation."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import pandas as pd

from shoal.contracts.scores import MICROCLUSTER, MOVED, STRAY, techniques_of
from shoal.log import plain
from shoal.report.lines import (
    WHOLE_BAR,
    evidence_text,
    flat,
    list_heading,
    reason_text,
    summary,
    value_text,
)
from shoal.report.text import Form, cell, counted, number, render, wrapped

_LIST_COLUMNS = (
    "event_date",
    "rank",
    "severity",
    "anomaly_score",
    "entity_type",
    "entity_id",
    "slice",
    "lane",
    "change",
    "days_in_row",
    "case_id",
    "group_p_value",
    "why",
    "evidence_text",
)
_SHARED_SHOWN = 6
_TECHNIQUES_SHOWN = 3
WIDTH = 80
"""Columns of a terminal that pages fit in."""


def list_page(
    night: date,
    lines: Sequence[Mapping[str, Any]],
    scored: int,
    form: Form,
    *,
    total: int,
    hidden: int = 0,
) -> str:
    """A night's list, or ``lines`` of its ``total``; as ``table`` in blocks of 80 columns.

    Parameters
    ----------
    hidden : lines beside the total that a rule or an earlier verdict hides
    """
    if form != "table":
        rows = lines if form == "json" else [flat(line) for line in lines]
        return render(rows, _LIST_COLUMNS, form)
    heading = list_heading(night.isoformat(), lines, scored, total=total)
    if hidden:
        heading += f"; {hidden:,} hidden by rules or verdicts, see --hidden"
    blocks = [wrapped(heading)]
    for _, told in groupby(lines, key=lambda line: line["rank"]):
        members = list(told)
        is_group = members[0]["lane"] == MICROCLUSTER
        blocks.append(_group_block(members) if is_group else _line_block(members[0]))
    return "\n\n".join(blocks)


def _group_block(members: Sequence[Mapping[str, Any]]) -> str:
    """The one line of a group: who is in it, and what they share."""
    first = members[0]
    days = first["days_in_row"]
    since = "new" if first["change"] == "new" else f"night {days} in a row"
    head = f"{first['rank']:>3}. {len(members)} {plain(first['entity_type'])}s together [group]"
    chance = number(first["group_p_value"])
    facts = f"     chance of such a group on a night {chance}, {since}, case {first['case_id']}"
    names = ", ".join(plain(member["entity_id"]) for member in members)
    shared = [
        f"     > {value_text(item)}: new in the fleet"
        for item in (first.get("shared") or [])[:_SHARED_SHOWN]
    ]
    return "\n".join(wrapped(text) for text in (head, facts, f"     {names}", *shared))


def _line_block(line: Mapping[str, Any]) -> str:
    days = line["days_in_row"]
    since = "new" if line["change"] == "new" else f"{line['change']}, night {days} in a row"
    lane = "" if line["lane"] == STRAY else f" [{line['lane']}]"
    if rule := line.get("suppressed_by"):
        lane += f" [hidden by {rule}]"
    score = number(line["anomaly_score"])
    if line["lane"] == MOVED:
        score += f", {number(line['golden_score'])} by the frozen model"
    flag = " (beyond the reference)" if line["calibration"] == "extrapolated" else ""
    head = (
        f"{line['rank']:>3}. {plain(line['entity_id'])}  "
        f"{line['entity_type']}, {plain(line['slice'])}{lane}"
    )
    techniques = ", ".join(techniques_of(line.get("reasons") or [])[:_TECHNIQUES_SHOWN])
    facts = f"     {line['severity']}, score {score}{flag}, {since}"
    if techniques:
        facts += f", ATT&CK {techniques}"
    if shift := line.get("verdict_shift"):
        given = counted(len(line["verdict_ids"]), "verdict")
        facts += f", {'raised' if shift > 0 else 'lowered'} by {given} on days like it"
    reasons = [f"     - {reason_text(reason)}" for reason in line.get("reasons") or []]
    evidence = [f"     > {evidence_text(item)}" for item in line.get("evidence") or []]
    return "\n".join(wrapped(text) for text in (head, facts, *reasons, *evidence[:4]))


def nights_page(nights: Sequence[Mapping[str, Any]], form: Form) -> str:
    """Published nights, one or more, a row each."""
    if form != "table":
        return render(nights, list(nights[0]), form)
    rows = [
        {
            "night": f"{night['event_date']:%a %Y-%m-%d}",
            "scored": night["scored"],
            "no_score": night["unscored"],
            **{name: night[name] for name in ("lines", "news", "by_chance", "new_models")},
            **{
                name: None if value is None else round(value, 2)
                for name, value in night.items()
                if name.endswith("_rand")
            },
        }
        for night in nights
    ]
    table = render(rows, list(rows[0]), form, width=WIDTH)
    moved = [
        wrapped(f"{night['event_date']:%a %Y-%m-%d} moved: {cell(night['moved'])}")
        for night in nights
        if night["moved"]
    ]
    return "\n\n".join([table, "\n".join(moved)]) if moved else table


def entity_page(found: Mapping[str, Any], form: Form) -> str:
    """One entity's night."""
    if form != "table":
        facts = {k: v for k, v in found.items() if k not in {"reasons", "activity"}}
        row = found if form == "json" else {**facts, "why": summary(found, reasons=None)}
        return render([row], list(row), form)
    lists = {"reasons", "activity"}
    facts_text = [
        f"{name.replace('_', ' ')}: {cell(v)}" for name, v in found.items() if name not in lists
    ]
    parts = ["\n".join(wrapped(text) for text in facts_text)]
    if found.get("reasons"):
        parts.append(
            "\n".join(["why", *(wrapped(f"  - {reason_text(r)}") for r in found["reasons"])])
        )
        if techniques := ", ".join(techniques_of(found["reasons"])):
            parts.append(wrapped(f"ATT&CK techniques behind these features: {techniques}"))
    if found.get("activity"):
        names = ["dimension", "value", "event_count", "first_ts", "last_ts"]
        parts.append(render(found["activity"], names, "table", width=WIDTH))
    return "\n\n".join(parts)


_HEAD_OF_EVENT = ("event_ts", "kind", "dimension", "value")
_LONG_FIELD = 400
"""Characters of a field that a terminal shows; the other forms have it whole."""


def events_page(events: Sequence[Mapping[str, Any]], form: Form) -> str:
    """Raw events, one or more; as ``table`` a block each."""
    if form != "table":
        names = dict.fromkeys(name for event in events for name in event)
        return render(events, [*names], form)
    blocks = []
    for event in events:
        head = f"{cell(event['event_ts'])}  {event['kind']}  > {value_text(event)}"
        fields = [
            f"    {name}: {_shortened(cell(value))}"
            for name, value in event.items()
            if name not in _HEAD_OF_EVENT
        ]
        blocks.append("\n".join(wrapped(text) for text in (head, *fields)))
    return "\n\n".join(blocks)


def _shortened(text: str) -> str:
    left = len(text) - _LONG_FIELD
    return text if left <= 0 else f"{text[:_LONG_FIELD]}… ({left:,} characters more)"


def tables_page(tables: Mapping[str, pd.DataFrame], form: Form) -> str:
    """Titled tables, one after the other; as ``json`` one object of lists of rows."""
    records = {title: _records(rows) for title, rows in tables.items()}
    if form == "json":
        return json.dumps(records, indent=2, default=str)
    return "\n\n\n".join(_one(title, rows, form) for title, rows in records.items())


def _one(title: str, rows: list[dict[str, Any]], form: Form) -> str:
    if not rows:
        return f"{title}: none"
    body = render(rows, list(rows[0]), form, width=WIDTH if form == "table" else None)
    return f"{wrapped(title)}\n\n{body}"


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): _plain(v) for k, v in row.items()} for row in rows.to_dict("records")]


def _plain(value: Any) -> Any:
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value


_BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def timeline_page(nights: Sequence[Mapping[str, Any]], form: Form) -> str:
    """An entity's nights, a line each, with a bar for the score."""
    if form != "table":
        rows = [{**night, "why": summary(night, reasons=1)} for night in nights]
        columns = [name for name in rows[0] if name != "reasons"]
        return render(rows, columns, form)
    last = nights[-1]
    scores = [night["anomaly_score"] or 0.0 for night in nights]
    whole = max([WHOLE_BAR, *scores])
    slices = [night["slice"] for night in nights if night["slice"]]
    told = f", {plain(slices[-1])}" if slices else ""
    head = f"{plain(last['entity_id'])}  {last['entity_type']}{told}: {len(nights)} nights"
    return "\n".join([wrapped(head), "", *(_timeline_line(night, whole) for night in nights)])


def _timeline_line(night: Mapping[str, Any], whole: float) -> str:
    day = f"{night['event_date']:%a %Y-%m-%d}"
    score = night["anomaly_score"]
    if score is None:
        said = "not there" if night["is_missing"] else f"no score: {night['reason']}"
        return f"{day}     - {said}"
    line = f"{day} {score:5.2f} {bar(score / whole, _BAR_WIDTH)} c{night['cluster_id']}"
    if night["rank"] is None:
        return line
    why = summary(night, reasons=1)
    lane = "" if night["lane"] == STRAY else f" {night['lane']}"
    first, *rest = wrapped(f"{line}  #{night['rank']}{lane} {why}").split("\n")
    return first if not rest else f"{first} …"


def bar(share: float, width: int) -> str:
    """A bar of so many columns, filled to a share, in eighths of a column."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)


def rare_page(
    night: date, values: Sequence[Mapping[str, Any]], form: Form, *, top: int | None = None
) -> str:
    """What appeared on a night; on a screen the first of it."""
    rows = [{**value, "entity_ids": ", ".join(value["entity_ids"])} for value in values]
    columns = ["dimension", "value", "entity_ids", "event_count", "first_ts"]
    if form != "table":
        return render(values if form == "json" else rows, columns, form)
    shown = values[:top]
    cut = f", {len(shown):,} shown" if len(shown) < len(values) else ""
    head = f"{night}: {len(values):,} values appeared that nobody had before{cut}"
    return "\n".join([head, *([""] if shown else []), *map(_rare_line, shown)])


def _rare_line(value: Mapping[str, Any]) -> str:
    names = ", ".join(plain(name) for name in value["entity_ids"])
    return wrapped(
        f"{value_text(value)}: {names}, {counted(value['event_count'], 'event')} "
        f"from {value['first_ts']:%H:%M:%S}"
    )


def peers_page(
    night: date,
    entity: Mapping[str, Any],
    nearest: Sequence[Mapping[str, Any]],
    verdict: str,
    form: Form,
) -> str:
    """Who behaves like an entity."""
    columns = ["entity_id", "slice", "cluster_id", "anomaly_score", "distance"]
    if form != "table":
        return render([{**entity, "distance": 0.0}, *nearest], columns, form)
    head = wrapped(f"{plain(entity['entity_id'])} on {night}: {plain(verdict)}")
    return f"{head}\n\n{render(nearest, columns, form, width=WIDTH)}" if nearest else head


def verdicts_page(verdicts: Sequence[Mapping[str, Any]], form: Form) -> str:
    """What was found, a line each."""
    columns = ["event_date", "entity_type", "entity_id", "verdict", "scope", "owner", "reason"]
    if form != "table":
        return render(verdicts, columns, form)
    if not verdicts:
        return "no verdicts yet: `shoal verdict ENTITY --is benign --why …`"
    return "\n".join(_verdict_line(verdict) for verdict in verdicts)


def _verdict_line(verdict: Mapping[str, Any]) -> str:
    return wrapped(
        f"{verdict['event_date']} {plain(verdict['entity_type'])} {plain(verdict['entity_id'])}: "
        f"{verdict['verdict']} ({verdict['scope']}), {plain(verdict['owner'])}: "
        f"{plain(verdict['reason'])}"
    )


def suppressions_page(rules: Sequence[Mapping[str, Any]], form: Form) -> str:
    """The rules that hide lines, and what they hide."""
    columns = ["suppression_id", "entity_type", "scope", "pattern", "state", "hidden", "lines"]
    others = ["confirmed_bad", "expiry_date", "owner", "reason"]
    if form != "table":
        return render(rules, [*columns, *others], form)
    if not rules:
        return "no rules: `shoal suppress PATTERN --why …`"
    return "\n\n".join(_rule_block(rule) for rule in rules)


def _rule_block(rule: Mapping[str, Any]) -> str:
    head = (
        f"{rule['suppression_id']} [{rule['state']}] {rule['entity_type']} {rule['scope']} "
        f"{plain(rule['pattern'])}"
    )
    facts = (
        f"  hides {rule['hidden']:,} of {rule['lines']:,} lines, {rule['confirmed_bad']:,} of them "
        f"confirmed bad; until {rule['expiry_date']}, {plain(rule['owner'])}: "
        f"{plain(rule['reason'])}"
    )
    return "\n".join(wrapped(text) for text in (head, facts))


def doctor_page(findings: Sequence[Mapping[str, Any]], form: Form) -> str:
    """What was looked at, a line each: what is missing first."""
    if form != "table":
        return render(findings, ["about", "state", "said"], form)
    order = ("missing", "look", "ok")
    ordered = sorted(findings, key=lambda one: order.index(one["state"]))
    return "\n".join(
        wrapped(f"{one['state']:<8}{plain(one['about'])}: {plain(one['said'])}") for one in ordered
    )


def sample_page(night: date, rows: Sequence[Mapping[str, Any]], form: Form) -> str:
    """Who is worth a verdict."""
    columns = ["sampled_as", "entity_type", "entity_id", "slice", "anomaly_score", "p_value"]
    if form != "table":
        return render(rows, columns, form)
    return "\n".join(
        [
            f"{night}: {len(rows)} to look at, none of them on the list",
            "",
            *(
                wrapped(
                    f"{row['sampled_as']:<10} {number(row['anomaly_score']):>6}  "
                    f"{plain(row['entity_id'])}  {plain(row['entity_type'])}, "
                    f"{plain(row['slice'])}"
                )
                for row in rows
            ),
        ]
    )
