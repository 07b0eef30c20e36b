"""Lines of a list as other systems take them in: OCSF findings, ECS alerts.

The same night gives the same documents, with the same identities, however often it is exported.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shoal import __version__
from shoal.contracts.attack import TECHNIQUES
from shoal.contracts.scores import techniques_of
from shoal.log import plain
from shoal.report.lines import evidence_text, summary
from shoal.report.text import json_value, number

OCSF_VERSION = "1.6.0"
ECS_VERSION = "8.17.0"
_CLASS, _CATEGORY = 2004, 2
"""Detection Finding, of the category Findings."""
_CREATE, _UPDATE = 1, 2
_NEW, _SUPPRESSED = 1, 3
_LEARNING_ANALYTIC = 4
_SEVERITY_IDS = {"low": 2, "medium": 3, "high": 4, "critical": 5}
_OBSERVABLES = {"host": 1, "source_address": 2, "user": 4}
_OTHER = 99
_HIGHEST_RISK = 5.0
"""anomaly_score that is the highest risk: one in a hundred thousand."""
_ECS_LEVELS = {"low": "Low", "medium": "Moderate", "high": "High", "critical": "Critical"}
_DEVIATION = "Deviation Analysis"


def document_id(line: Mapping[str, Any]) -> str:
    """Identity of a line: of its night and its entity."""
    parts = (line["event_date"].isoformat(), line["entity_type"], line["entity_id"])
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]


def risk(line: Mapping[str, Any]) -> float:
    """Risk from 0 to 100: in proportion to anomaly_score, to one in a hundred thousand."""
    return round(100.0 * min(float(line["anomaly_score"]) / _HIGHEST_RISK, 1.0), 2)


def ocsf_finding(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as an OCSF Detection Finding with ``anomaly_analyses``.

    Source: https://schema.ocsf.io/1.6.0/classes/detection_finding
    """
    start, end = _day(line["event_date"])
    activity = _CREATE if line["change"] == "new" else _UPDATE
    name, kind = plain(line["entity_id"]), plain(line["entity_type"])
    first = line["event_date"] - timedelta(days=int(line["days_in_row"]) - 1)
    reasons = line.get("reasons") or []
    return {
        "activity_id": activity,
        "category_uid": _CATEGORY,
        "class_uid": _CLASS,
        "type_uid": _CLASS * 100 + activity,
        "time": _millis(end),
        "start_time": _millis(start),
        "end_time": _millis(end),
        "severity": line["severity"].capitalize(),
        "severity_id": _SEVERITY_IDS[line["severity"]],
        "status_id": _SUPPRESSED if line.get("suppressed_by") else _NEW,
        "risk_score": round(risk(line)),
        "is_alert": line.get("suppressed_by") is None,
        "message": summary(line),
        "metadata": {
            "version": OCSF_VERSION,
            "uid": document_id(line),
            "correlation_uid": line["case_id"],
            "product": {"name": "Shoal", "vendor_name": "Shoal", "version": __version__},
        },
        "finding_info": {
            "uid": line["case_id"],
            "title": f"{kind} {name} strays from its peers {plain(line['slice'])}",
            "desc": summary(line, reasons=None),
            "types": ["Anomaly", line["lane"]],
            "created_time": _millis(_day(first)[1]),
            "modified_time": _millis(end),
            "first_seen_time": _millis(_day(first)[0]),
            "last_seen_time": _millis(end),
            "analytic": {
                "name": "Gaussian mixture of peers",
                "type": "Learning (ML/DL)",
                "type_id": _LEARNING_ANALYTIC,
                "uid": line["model_version"],
                "version": __version__,
            },
            "attacks": [_attack(uid) for uid in techniques_of(reasons)],
        },
        "resources": [{"name": name, "type": kind, "uid": name, "labels": [plain(line["slice"])]}],
        "observables": [
            {
                "name": "resources[0].name",
                "type_id": _OBSERVABLES.get(line["entity_type"], _OTHER),
                "value": name,
            }
        ],
        "evidences": [
            {"name": item["dimension"], "data": _evidence(item)}
            for item in line.get("evidence") or []
        ],
        "anomaly_analyses": [
            {
                "analysis_target": {"name": name, "type": kind},
                "anomalies": [_anomaly(reason, reason["value"], 1) for reason in reasons],
                "baselines": [
                    _anomaly(reason, reason["expected"], reason["peers"]) for reason in reasons
                ],
            }
        ],
        "unmapped": {
            name: line[name]
            for name in ("rank", "lane", "change", "p_value", "anomaly_score", "self_p_value")
        },
    }


def ecs_alert(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as an alert in the Elastic Common Schema, with ``host.risk`` or ``user.risk``.

    Source: https://www.elastic.co/guide/en/ecs/8.17/ecs-field-reference.html
    """
    start, end = _day(line["event_date"])
    reasons = line.get("reasons") or []
    kind, name = line["entity_type"], plain(line["entity_id"])
    score, techniques = risk(line), techniques_of(reasons)
    of_entity = {
        "calculated_level": _ECS_LEVELS[line["severity"]],
        "calculated_score": float(line["anomaly_score"]),
        "calculated_score_norm": score,
    }
    own: dict[str, Callable[[], dict[str, Any]]] = {
        "host": lambda: {"host": {"name": name, "risk": of_entity}},
        "user": lambda: {"user": {"name": name, "risk": of_entity}},
        "source_address": lambda: {"source": {"address": name}},
        "container": lambda: {"container": {"id": name}},
        "container_image": lambda: {"container": {"image": {"name": [name]}}},
    }
    document = {
        "@timestamp": end.isoformat(),
        "ecs": {"version": ECS_VERSION},
        "message": summary(line),
        "tags": ["shoal", line["lane"], line["change"]],
        "labels": {"slice": plain(line["slice"]), "entity_type": plain(kind), "entity_id": name},
        "event": {
            "id": document_id(line),
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "module": "shoal",
            "dataset": "shoal.outliers",
            "provider": "shoal",
            "reason": summary(line, reasons=None),
            "risk_score": float(line["anomaly_score"]),
            "risk_score_norm": score,
            "start": start.isoformat(),
            "end": end.isoformat(),
        },
        "rule": {
            "id": line["model_version"],
            "name": "Gaussian mixture of peers",
            "version": __version__,
        },
        "threat": {
            "framework": "MITRE ATT&CK",
            "technique": {"id": techniques, "name": [TECHNIQUES[uid] for uid in techniques]},
        },
    }
    return document | own.get(kind, dict)()


FORMS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "ocsf": ocsf_finding,
    "ecs": ecs_alert,
    "lines": lambda line: line,
}
"""Forms of an export: findings, alerts, or lines as the table has them."""


def export_lines(lines: Iterable[Mapping[str, Any]], form: str) -> str:
    """Lines of a list as lines of JSON, an end of line after each."""
    documents = (json_value(FORMS[form](line)) for line in lines)
    # ASCII only: control and bidirectional characters arrive as escapes.
    return "".join(
        json.dumps(document, default=str, ensure_ascii=True, allow_nan=False) + "\n"
        for document in documents
    )


def _attack(uid: str) -> dict[str, Any]:
    """A technique, or a sub-technique and what it is one of."""
    parent = uid.partition(".")[0]
    technique = {"uid": parent, "name": TECHNIQUES[parent]}
    if parent == uid:
        return {"technique": technique}
    return {"technique": technique, "sub_technique": {"uid": uid, "name": TECHNIQUES[uid]}}


def _anomaly(reason: Mapping[str, Any], value: float, count: int) -> dict[str, Any]:
    term = reason.get("term")
    return {
        "observation_type": _DEVIATION,
        "observed_attribute": plain(term) if term else reason["feature"],
        "observed_pattern": str(reason["direction"]).upper(),
        "observations": [{"value": f"{number(value)} {reason['unit']}".strip(), "count": count}],
    }


def _evidence(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "value": plain(item["value"]),
        "told": evidence_text(item),
        "event_count": item["event_count"],
        "first_time": _millis(item["first_ts"]),
        "last_time": _millis(item["last_ts"]),
        "event_ids": list(item.get("sample_event_ids") or []),
    }


def _day(day: date) -> tuple[datetime, datetime]:
    """Its beginning and its end (UTC)."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


def _millis(moment: datetime) -> int:
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
