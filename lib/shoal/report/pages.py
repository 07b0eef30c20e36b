"""Pages of the command line: a night's list, an entity explained, nights, an evaluation."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import pandas as pd

from shoal.contracts.scores import MICROCLUSTER, MOVED, STRAY, techniques_of
from shoal.report.lines import (
    WHOLE_BAR,
    evidence_text,
    flat,
    list_heading,
    reason_text,
    summary,
    value_text,
)
from shoal.report.text import Form, cell, counted, number, render, screen_cell, shown, wrapped

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
    gray: Sequence[Mapping[str, Any]] = (),
) -> str:
    """A night's list, or ``lines`` of its ``total``; as ``table`` in blocks of 80 columns.

    Parameters
    ----------
    gray : entities just under the line; in the other forms rows without a rank
    hidden : lines beside the total that a rule or an earlier verdict hides
    """
    if form != "table":
        every = [*lines, *gray]
        rows = every if form == "json" else [flat(line) for line in every]
        return render(rows, _LIST_COLUMNS, form)
    heading = list_heading(night.isoformat(), lines, scored, total=total)
    if hidden:
        heading += f"; {hidden:,} hidden by rules or verdicts, see --hidden"
    blocks = [wrapped(heading)]
    for _, told in groupby(lines, key=lambda line: line["rank"]):
        members = list(told)
        is_group = members[0]["lane"] == MICROCLUSTER
        block = _group_block(members) if is_group else _line_block(members[0])
        others = [line for line in lines if line not in members and is_of_case(line, members[0])]
        blocks.append("\n".join([block, *_case_text(others)]))
    if gray:
        blocks += ["Just under the line:", *(_gray_block(row) for row in gray)]
    return "\n\n".join(blocks)


def is_of_case(line: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two lines are of one case."""
    return bool(line["case_id"] == other["case_id"])


def _case_text(others: Sequence[Mapping[str, Any]]) -> list[str]:
    if not others:
        return []
    names = ", ".join(f"{line['entity_type']} {shown(line['entity_id'])}" for line in others)
    return [wrapped(f"     of one case with {names}")]


def _gray_block(row: Mapping[str, Any]) -> str:
    head = f"   - {shown(row['entity_id'])}  {row['entity_type']}, {shown(row['slice'])}"
    facts = f"     {row['severity']}, score {number(row['anomaly_score'])}"
    reasons = [f"     - {reason_text(reason)}" for reason in row["reasons"][:3]]
    return "\n".join(wrapped(text) for text in (head, facts, *reasons))


def _group_block(members: Sequence[Mapping[str, Any]]) -> str:
    """The one line of a group: who is in it, and what they share."""
    first = members[0]
    days = first["days_in_row"]
    since = "new" if first["change"] == "new" else f"night {days} in a row"
    head = f"{first['rank']:>3}. {len(members)} {shown(first['entity_type'])}s together [group]"
    chance = number(first["group_p_value"])
    facts = f"     chance of such a group on a night {chance}, {since}, case {first['case_id']}"
    names = ", ".join(shown(member["entity_id"]) for member in members)
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
    if line.get("priority", 1) > 1:
        lane += f" [priority {line['priority']}]"
    if line.get("verdict"):
        lane += f" [found {line['verdict']}]"
    score = number(line["anomaly_score"])
    if line["lane"] == MOVED:
        score += f", {number(line['golden_score'])} by the frozen model"
    flag = " (beyond the reference)" if line["calibration"] == "extrapolated" else ""
    head = (
        f"{line['rank']:>3}. {shown(line['entity_id'])}  "
        f"{line['entity_type']}, {shown(line['slice'])}{lane}"
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
        wrapped(f"{night['event_date']:%a %Y-%m-%d} moved: {screen_cell(night['moved'])}")
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
        f"{name.replace('_', ' ')}: {screen_cell(v)}"
        for name, v in found.items()
        if name not in lists
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


def events_page(events: Sequence[Mapping[str, Any]], form: Form) -> str:
    """Raw events, one or more; as ``table`` a block each."""
    if form != "table":
        names = dict.fromkeys(name for event in events for name in event)
        return render(events, [*names], form)
    blocks = []
    for event in events:
        head = f"{cell(event['event_ts'])}  {event['kind']}  > {value_text(event)}"
        fields = [
            f"    {name}: {screen_cell(value)}"
            for name, value in event.items()
            if name not in _HEAD_OF_EVENT
        ]
        blocks.append("\n".join(wrapped(text) for text in (head, *fields)))
    return "\n\n".join(blocks)


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
    told = f", {shown(slices[-1])}" if slices else ""
    head = f"{shown(last['entity_id'])}  {last['entity_type']}{told}: {len(nights)} nights"
    return "\n".join([wrapped(head), "", *(_timeline_line(night, whole) for night in nights)])


def _timeline_line(night: Mapping[str, Any], whole: float) -> str:
    day = f"{night['event_date']:%a %Y-%m-%d}"
    score = night["anomaly_score"]
    if score is None:
        said = "not there" if night["is_missing"] else f"no score: {shown(str(night['reason']))}"
        return _one_line(f"{day}     - {said}")
    line = f"{day} {score:5.2f} {bar(score / whole, _BAR_WIDTH)} c{night['cluster_id']}"
    if night["rank"] is None:
        return line
    why = summary(night, reasons=1)
    lane = "" if night["lane"] == STRAY else f" {night['lane']}"
    return _one_line(f"{line}  #{night['rank']}{lane} {why}")


def _one_line(text: str) -> str:
    first, *rest = wrapped(text, WIDTH - 2).split("\n")
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
    told = values[:top]
    cut = f", {len(told):,} shown" if len(told) < len(values) else ""
    head = f"{night}: {counted(len(values), 'value')} appeared that nobody had before{cut}"
    return "\n".join([head, *([""] if told else []), *map(_rare_line, told)])


def _rare_line(value: Mapping[str, Any]) -> str:
    names = ", ".join(shown(name) for name in value["entity_ids"])
    return wrapped(
        f"{value_text(value)}: {names}, {counted(value['event_count'], 'event')} "
        f"from {value['first_ts']:%H:%M:%S}"
    )


def packages_page(
    night: date, rows: Sequence[Mapping[str, Any]], form: Form, *, top: int | None = None
) -> str:
    """Whose packages are unlike their peers'; on a screen the first of it."""
    flat_rows = [
        {**row, **{kind: _shares_text(row[kind]) for kind in ("unusual", "missing")}}
        for row in rows
    ]
    if form != "table":
        columns = ["entity_id", "slice", "surprise", "unusual", "missing", "peers"]
        return render(rows if form == "json" else flat_rows, columns, form)
    blocks = [f"{night}: {counted(len(rows), 'set')} held against those of their peers"]
    for row in flat_rows[:top]:
        head = (
            f"{shown(row['entity_id'])}  {shown(row['slice'])}: {number(row['surprise'])} nats "
            f"beyond the mean, {counted(row['peers'], 'peer')}"
        )
        facts = [f"  {kind}: {row[kind]}" for kind in ("unusual", "missing") if row[kind]]
        blocks.append("\n".join(wrapped(text) for text in (head, *facts)))
    return "\n\n".join(blocks)


def _shares_text(items: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{shown(item['value'])} ({100 * item['share']:.0f} %)" for item in items)


def risk_page(
    night: date, rows: Sequence[Mapping[str, Any]], form: Form, *, top: int | None = None
) -> str:
    """Who was strange again and again; on a screen the first of it."""
    columns = ["entity_type", "entity_id", "slice", "risk", "strange_nights", "highest_score",
               "last_strange"]  # fmt: skip
    if form != "table":
        return render(rows, columns, form)
    who = "entity was" if len(rows) == 1 else "entities were"
    lines = [f"{night}: {len(rows):,} {who} strange on a night that counts", ""]
    for row in rows[:top]:
        strange = counted(row["strange_nights"], "night")
        lines.append(
            wrapped(
                f"{row['risk']:6.2f}  {row['entity_type']} {shown(row['entity_id'])}, "
                f"{shown(row['slice'])}: {strange}, highest {number(row['highest_score'])}, "
                f"last {row['last_strange']}"
            )
        )
    return "\n".join(lines).rstrip()


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
    head = wrapped(f"{shown(entity['entity_id'])} on {night}: {shown(verdict)}")
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
        f"{verdict['event_date']} {shown(verdict['entity_type'])} {shown(verdict['entity_id'])}: "
        f"{verdict['verdict']} ({verdict['scope']}), {shown(verdict['owner'])}: "
        f"{shown(verdict['reason'])}"
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
        f"{shown(rule['pattern'])}"
    )
    facts = (
        f"  hides {rule['hidden']:,} of {rule['lines']:,} lines, {rule['confirmed_bad']:,} of them "
        f"confirmed bad; until {rule['expiry_date']}, {shown(rule['owner'])}: "
        f"{shown(rule['reason'])}"
    )
    return "\n".join(wrapped(text) for text in (head, facts))


def doctor_page(findings: Sequence[Mapping[str, Any]], form: Form) -> str:
    """What was looked at, a line each: what is missing first."""
    if form != "table":
        return render(findings, ["about", "state", "said"], form)
    order = ("missing", "look", "ok")
    ordered = sorted(findings, key=lambda one: order.index(one["state"]))
    return "\n".join(
        wrapped(f"{one['state']:<8}{shown(one['about'])}: {shown(one['said'])}") for one in ordered
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
                    f"{shown(row['entity_id'])}  {shown(row['entity_type'])}, "
                    f"{shown(row['slice'])}"
                )
                for row in rows
            ),
        ]
    )
