"""Exported lines: what the schemas ask for, the same each time, and harmless."""

import json
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from pydantic import BaseModel

from shoal.report.exports import FORMS, ecs_alert, export_lines, ocsf_finding, risk

HOSTILE = '=cmd()|\x1b[31m<script>alert("x")</script>\u202e\udcff' + "x" * 1000
LINE: dict[str, Any] = {
    "event_date": date(2026, 9, 28),
    "entity_type": "host",
    "entity_id": "nyc-ci-002",
    "slice": "role=build_runner",
    "lane": "stray",
    "change": "raised",
    "rank": 1,
    "severity": "high",
    "anomaly_score": 3.2,
    "p_value": 10**-3.2,
    "self_p_value": 0.01,
    "golden_score": float("nan"),
    "days_in_row": 3,
    "case_id": "0a1b2c",
    "model_version": "host-20260923-bd2b41b642",
    "suppressed_by": None,
    "reasons": [
        {
            "feature": "event_count", "term": None, "value": 250.0, "expected": 121.0,
            "unit": "events", "peers": 11, "peers_sharing": 0, "direction": "high",
        },
        {
            "feature": "profile_share", "term": f"program={HOSTILE}", "value": 0.3,
            "expected": 0.0, "unit": "share", "peers": 11, "peers_sharing": 1, "direction": "high",
        },
    ],
    "evidence": [
        {
            "dimension": "program", "value": HOSTILE, "event_count": 12, "entities_sharing": 1,
            "is_new": True, "first_ts": datetime(2026, 9, 28, 4, 5, tzinfo=UTC),
            "last_ts": datetime(2026, 9, 28, 5, tzinfo=UTC), "sample_event_ids": ["e1"],
        }
    ],
}  # fmt: skip
HOSTILE_LINE = {**LINE, "entity_id": HOSTILE, "slice": HOSTILE}


def unknown_fields(model: Any, value: Any, path: str = "") -> list[str]:
    """Names in a document that a pydantic model, or one that it holds, doesn't have."""
    if isinstance(value, list):
        return [name for item in value for name in unknown_fields(model, item, path)]
    owner = next((m for m in _models_in(model)), None)
    if not isinstance(value, dict) or owner is None:
        return []
    found = []
    for name, own in value.items():
        if name not in owner.model_fields:
            found.append(f"{path}{name}")
        else:
            found += unknown_fields(owner.model_fields[name].annotation, own, f"{path}{name}.")
    return found


def _models_in(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for part in get_args(kind) for model in _models_in(part)]


@pytest.mark.parametrize("line", [LINE, HOSTILE_LINE], ids=["plain", "hostile"])
def test_a_finding_is_one_of_ocsf(line: dict[str, Any]) -> None:
    [text] = export_lines([line], "ocsf").splitlines()
    document = json.loads(text)
    found = DetectionFinding.model_validate(document)
    assert found.type_uid == 200402  # an update: it was on the list before
    assert found.severity_id == 4
    assert found.finding_info.uid == "0a1b2c"
    assert found.metadata.uid
    # What the library does not have yet: `anomaly_analyses` of OCSF 1.5, and `is_alert`.
    assert unknown_fields(DetectionFinding, document) == ["is_alert", "anomaly_analyses"]
    [analysis] = document["anomaly_analyses"]
    assert set(analysis) == {"analysis_target", "anomalies", "baselines"}
    assert set(analysis["analysis_target"]) == {"name", "type"}
    for part in ("anomalies", "baselines"):
        assert len(analysis[part]) == len(line["reasons"])
        for anomaly in analysis[part]:
            assert {"observed_attribute", "observations"} <= set(anomaly)
            assert all(set(o) == {"value", "count"} for o in anomaly["observations"])
            assert all(type(o["count"]) is int for o in anomaly["observations"])
    assert analysis["anomalies"][0]["observations"][0]["value"] == "250 events"
    assert analysis["baselines"][0]["observations"][0] == {"value": "121 events", "count": 11}


def test_a_line_that_is_new_is_created_and_one_that_is_hidden_is_suppressed() -> None:
    created = ocsf_finding({**LINE, "change": "new", "days_in_row": 1})
    assert (created["activity_id"], created["type_uid"], created["status_id"]) == (1, 200401, 1)
    hidden = ocsf_finding({**LINE, "suppressed_by": "0f"})
    assert (hidden["status_id"], hidden["is_alert"]) == (3, False)
    first = datetime.fromtimestamp(
        ocsf_finding(LINE)["finding_info"]["first_seen_time"] / 1000, UTC
    )
    assert first == datetime(2026, 9, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("host", ("host", "risk", "calculated_score_norm")),
        ("user", ("user", "risk", "calculated_score_norm")),
        ("source_address", ("source", "address")),
        ("container", ("container", "id")),
        ("thing", ("labels", "entity_id")),
    ],
)
def test_an_alert_says_whose_risk_it_is(kind: str, path: tuple[str, ...]) -> None:
    document: Any = ecs_alert({**LINE, "entity_type": kind})
    found = document
    for name in path:
        found = found[name]
    assert found in (64.0, "nyc-ci-002")
    assert document["event"]["kind"] == "alert"
    assert document["event"]["risk_score_norm"] == 64.0
    assert document["threat"]["technique"]["id"][0] == "T1020"


def test_risk_rises_to_a_hundred() -> None:
    scores = [0.0, 1.0, 3.0, 5.0, 12.0]
    assert [risk({"anomaly_score": score}) for score in scores] == [0, 20, 60, 100, 100]


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_the_same_each_time_and_harms_none(form: str) -> None:
    text = export_lines([LINE, HOSTILE_LINE], form)
    assert text == export_lines([LINE, HOSTILE_LINE], form)
    assert text.isascii()
    assert text.count("\n") == 2
    for one in text.splitlines():
        assert not any(ord(character) < 32 for character in one)
        json.loads(one)
    documents = [json.loads(one) for one in text.splitlines()]
    if form != "lines":
        ids = [d["event"]["id"] if form == "ecs" else d["metadata"]["uid"] for d in documents]
        assert len(set(ids)) == 2
        assert "\x1b" not in json.dumps(documents, ensure_ascii=False)
    assert export_lines([], form) == ""
