"""Text of logs is the attacker's: through every page and export, in every form."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from rich.cells import cell_len

from shoal.report.exports import FORMS as EXPORT_FORMS
from shoal.report.exports import export_lines
from shoal.report.html import render_page
from shoal.report.pages import (
    doctor_page,
    entity_page,
    events_page,
    list_page,
    nights_page,
    packages_page,
    peers_page,
    rare_page,
    risk_page,
    sample_page,
    suppressions_page,
    tables_page,
    timeline_page,
    verdicts_page,
)
from shoal.report.text import FORMS, Form

DAY = date(2026, 9, 28)
NOON = datetime(2026, 9, 28, 12, tzinfo=UTC)
HOSTILE = {
    "terminal": "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\r\nrank 1\x00\x08",
    "script": "</td><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}",
    "formula": "=cmd()|' /C calc'!A0",
    "full-width formula": "\uff1dcmd()",
    "path": "../../../etc/passwd\\..\\x:${HOME}`id`$(id)",
    "right to left": "exe.\u202egnp.\u2066x\u200f",
    "lone surrogate": "a\udcffb",
    "sql": "x'); DROP TABLE outliers; --",
    "1 MB": "x" * 1_000_000,
}


def line_of(text: str) -> dict[str, Any]:
    """A line in which all text is that of a log."""
    reason = {
        "feature": "event_count", "term": None, "value": 250.0, "expected": 121.0, "unit": "events",
        "peers": 11, "peers_sharing": 0, "direction": "high", "contribution": 9.0,
    }  # fmt: skip
    item = {
        "dimension": "program", "value": text, "event_count": 12, "entities_sharing": 1,
        "is_new": True, "first_ts": NOON, "last_ts": NOON, "sample_event_ids": ["e1"],
    }  # fmt: skip
    return {
        "event_date": DAY, "entity_type": "host", "entity_id": text, "slice": text, "lane": "stray",
        "change": "new", "rank": 1, "severity": "high", "anomaly_score": 3.2, "p_value": 10**-3.2,
        "self_p_value": 0.01, "golden_score": None, "days_in_row": 1, "case_id": "0a1b2c",
        "model_version": "host-1", "suppressed_by": None, "calibration": "own", "shared": None,
        "expected_by_chance": 0.1, "policy": "capacity 20", "verdict_shift": None,
        "verdict_ids": None, "group_p_value": None, "novelty": 1, "verdict": None, "priority": 1,
        "reasons": [reason, {**reason, "feature": "profile_share", "term": f"program={text}"}],
        "evidence": [item],
    }  # fmt: skip


def group_of(text: str) -> list[dict[str, Any]]:
    shared = [{"dimension": "program", "value": text}]
    group = {"lane": "microcluster", "shared": shared, "group_p_value": 0.001}
    return [line_of(text) | group, line_of(f"{text}2") | group]


def listed(text: str, form: Form) -> str:
    gray = {
        "event_date": DAY, "entity_type": "host", "entity_id": text, "slice": text,
        "severity": "low", "anomaly_score": 1.0, "reasons": line_of(text)["reasons"],
    }  # fmt: skip
    return list_page(DAY, [line_of(text)], 10, form, total=1, gray=[gray])


def entity(text: str, form: Form) -> str:
    names = ("event_date", "entity_type", "entity_id", "slice", "rank", "lane", "days_in_row",
             "change", "case_id", "anomaly_score", "p_value", "severity", "model_version",
             "reasons")  # fmt: skip
    line = line_of(text)
    return entity_page({name: line[name] for name in names} | {"activity": line["evidence"]}, form)


def night(text: str) -> dict[str, Any]:
    return {
        "event_date": DAY, "scored": 10, "unscored": 0, "lines": 1, "news": 1, "by_chance": 0.1,
        "new_models": text, "moved": text, "host_rand": 0.9,
    }  # fmt: skip


def timeline(text: str, form: Form) -> str:
    row = line_of(text) | {"cluster_id": 0, "reason": text, "is_missing": False}
    return timeline_page([row, {**row, "anomaly_score": None}], form)


def rare(text: str, form: Form) -> str:
    value = {
        "dimension": "program", "value": text, "entities": 1, "entity_ids": [text],
        "event_count": 1, "first_ts": NOON, "last_ts": NOON, "sample_event_ids": [],
    }  # fmt: skip
    return rare_page(DAY, [value], form)


def peers(text: str, form: Form) -> str:
    row = {"entity_id": text, "slice": text, "cluster_id": 0, "anomaly_score": 1.0, "distance": 1.0}
    return peers_page(DAY, row, [row], text, form)


def verdicts(text: str, form: Form) -> str:
    row = {"event_date": DAY, "entity_type": "host", "entity_id": text, "verdict": "benign",
           "scope": "pattern", "owner": text, "reason": text}  # fmt: skip
    return verdicts_page([row], form)


def rules(text: str, form: Form) -> str:
    row = {"suppression_id": "a", "entity_type": "host", "scope": "entity", "pattern": text,
           "state": "in force", "hidden": 1, "lines": 2, "confirmed_bad": 0, "expiry_date": DAY,
           "owner": text, "reason": text}  # fmt: skip
    return suppressions_page([row], form)


def sample(text: str, form: Form) -> str:
    row = line_of(text) | {"sampled_as": "control", "log_density": -3.0}
    return sample_page(DAY, [row], form)


def packages(text: str, form: Form) -> str:
    share = [{"value": text, "share": 0.0}]
    row = {"entity_id": text, "slice": text, "surprise": 3.0, "unusual": share, "missing": share,
           "peers": 9}  # fmt: skip
    return packages_page(DAY, [row], form)


def risk(text: str, form: Form) -> str:
    row = {"entity_type": "host", "entity_id": text, "slice": text, "risk": 3.0,
           "strange_nights": 2, "highest_score": 2.0, "last_strange": DAY}  # fmt: skip
    return risk_page(DAY, [row], form)


def events(text: str, form: Form) -> str:
    row = {"kind": "process", "dimension": "program", "value": text, "event_ts": NOON,
           "event_id": "e1", "process_command_line": text}  # fmt: skip
    return events_page([row], form)


PAGES: dict[str, Callable[[str, Form], str]] = {
    "outliers": listed,
    "group": lambda text, form: list_page(DAY, group_of(text), 10, form, total=1),
    "explain": entity,
    "nights": lambda text, form: nights_page([night(text)], form),
    "timeline": timeline,
    "rare": rare,
    "peers": peers,
    "verdicts": verdicts,
    "suppressions": rules,
    "sample": sample,
    "packages": packages,
    "risk": risk,
    "events": events,
    "doctor": lambda text, form: doctor_page([{"about": text, "state": "ok", "said": text}], form),
    "tables": lambda text, form: tables_page({"Rows": pd.DataFrame([{"name": text}])}, form),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("page", PAGES)
def test_pages_harm_nobody(page: str, kind: str) -> None:
    for form in FORMS:
        told = PAGES[page](HOSTILE[kind], form)
        told.encode("utf-8", "strict")
        # Nothing that a terminal acts on, or that turns what stands beside it round.
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u202a-\u202e\u2066-\u2069]", told)
        if form == "table":
            assert max(map(cell_len, told.splitlines())) <= 80
            assert len(told) < 20_000
        if form == "json":
            json.loads(told)
        if form == "csv":
            csv.field_size_limit(10_000_000)
            for row in csv.reader(io.StringIO(told)):
                for value in row:
                    assert not value.lstrip().startswith(("=", "@", "\uff1d"))
        if form == "md":
            assert not re.search(r"(?<!\\)<", told)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_report_has_no_element_of_theirs(kind: str) -> None:
    def tags_of(text: str) -> _Tags:
        page = render_page(
            event_date=DAY, lines=[line_of(text), *group_of(text)],
            timelines={("host", text): [(DAY, 3.0)]}, nights_shown=14, facts={"scored": text},
            types=[{"name": text, "verdict": "none", "detail": text, "agreement": text,
                    "pictures": []}],
            tables={"Rows": [{"name": text}]},
        )  # fmt: skip
        page.encode("utf-8", "strict")
        assert len(page) < 200_000
        found = _Tags()
        found.feed(page)
        return found

    hostile, harmless = tags_of(HOSTILE[kind]), tags_of("ws-1")
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("form", EXPORT_FORMS)
def test_exports_are_json_a_line_each(form: str, kind: str) -> None:
    told = export_lines([line_of(HOSTILE[kind])], form)
    assert told.isascii()
    [line] = told.splitlines()
    assert isinstance(json.loads(line), dict)
