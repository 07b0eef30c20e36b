"""What a night's report tells, gathered from tables alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.contracts import (
    DRIFT_ALERT_RATE,
    DRIFT_CLUSTERS,
    ENTITY_SCORES,
    INGEST_FILES,
    MODEL_CANDIDATES,
    RUNS,
    UNSCORED,
)
from shoal.errors import DataError
from shoal.hunt.lists import OutlierList, list_outliers
from shoal.hunt.places import night_places
from shoal.lake import Night, Reader, fetch_published, published_nights, rows_of
from shoal.models.cluster_rows import OVERALL, PREVIOUS
from shoal.models.histograms import ALL
from shoal.models.registry import load_global, valid_from, version_served
from shoal.report.html import render_page
from shoal.report.lines import list_in_short
from shoal.report.plots import alert_rates, migration, selection_curve, shoal_map

Array = NDArray[np.float64]
_JUDGED = {
    "ok": "as usual",
    "drift": "less than usual",
    "insufficient_data": "what is usual is not known yet",
}
NIGHTS_SHOWN = 28
MOST_POINTS = 2_000
"""Entities that a map shows; of more a sample, evenly by name, and all strays."""


@dataclass(frozen=True, eq=False)
class ShoalMap:
    """A type's entities on the first two axes of its model.

    Attributes
    ----------
    points : ``(n_points, 2)``
    strays : rank → place, of those on the list
    weights, means, covariances : of the mixture on these axes
    """

    points: Array
    strays: Mapping[int, tuple[float, float]]
    weights: Array
    means: Array
    covariances: Array


@dataclass(frozen=True, eq=False)
class TypeReport:
    """What a night says of one entity type.

    Attributes
    ----------
    rates : rows of ``drift_alert_rate`` of all slices, of the last nights, by date
    agreement : the row of ``drift_clusters`` of the night as a whole, against the night before
    migration : its rows of pairs of clusters
    candidates : rows of ``model_candidates`` of the model that spoke
    shoals : ``None`` where no model spoke, or one of an earlier Shoal
    """

    entity_type: str
    model_version: str | None
    rates: Sequence[Mapping[str, Any]]
    agreement: Mapping[str, Any] | None
    migration: Sequence[Mapping[str, Any]]
    candidates: Sequence[Mapping[str, Any]]
    shoals: ShoalMap | None

    @property
    def tonight(self) -> Mapping[str, Any] | None:
        """The night's own row of ``rates``."""
        return self.rates[-1] if self.rates else None


@dataclass(frozen=True, eq=False)
class NightReport:
    """A published night.

    Attributes
    ----------
    timelines : entity type and name → ``(date, anomaly_score)`` of the last nights, by date
    coverage : by entity type, how many had a score, by which calibration, and why others had none
    sources : by source, its files that hold events of the night, and where their records went
    steps : step → seconds, of the run that was published
    """

    night: Night
    outliers: OutlierList
    types: Sequence[TypeReport]
    timelines: Mapping[tuple[str, str], Sequence[tuple[date, float]]]
    coverage: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    steps: Mapping[str, float]


def night_report(reader: Reader, event_date: date | None) -> NightReport:
    """Gather what is told of a night, of the last published one by default.

    Raises
    ------
    DataError
        If the night is not published.
    """
    outliers = list_outliers(reader, event_date, with_hidden=True)
    night = outliers.night
    first = night.event_date - timedelta(days=NIGHTS_SHOWN - 1)
    nights = published_nights(reader, start=first, end=night.event_date)
    return NightReport(
        night,
        outliers,
        _types(reader, nights, outliers),
        _timelines(reader, nights, outliers),
        _coverage(reader, night),
        _sources(reader, night.event_date),
        _steps(reader, night),
    )


def _types(reader: Reader, nights: Sequence[Night], outliers: OutlierList) -> list[TypeReport]:
    night = nights[-1]
    rates = rows_of(fetch_published(reader, DRIFT_ALERT_RATE, nights, slice=[ALL]))
    rates.sort(key=lambda row: row["event_date"])
    moves = rows_of(fetch_published(reader, DRIFT_CLUSTERS, [night], comparison=[PREVIOUS]))
    candidates = rows_of(
        reader.fetch(
            MODEL_CANDIDATES,
            valid_from_date={valid_from(version) for version in night.model_versions.values()},
            model_version=night.model_versions.values(),
        )
    )
    kinds = sorted({row["entity_type"] for row in rates} | night.model_versions.keys())
    found = []
    for kind in kinds:
        version = night.model_versions.get(kind)
        own = [row for row in moves if row["entity_type"] == kind]
        overall = [row for row in own if row["shape"] == OVERALL]
        found.append(
            TypeReport(
                kind,
                version,
                [row for row in rates if row["entity_type"] == kind],
                overall[0] if overall else None,
                [row for row in own if row["shape"] != OVERALL],
                [row for row in candidates if row["model_version"] == version],
                _map(reader, night, kind, version, outliers) if version else None,
            )
        )
    return found


def _map(
    reader: Reader, night: Night, kind: str, version: str, outliers: OutlierList
) -> ShoalMap | None:
    try:
        model = load_global(reader, version_served(kind, version))
    except DataError:
        # An earlier Shoal has fitted it: what it saw can't be drawn, all else can be told.
        return None
    if model.geometry.mixture.means.shape[1] < 2:
        return None
    found = night_places(reader, night, model)
    places = found.coordinates[:, :2]
    order = np.argsort(found.names, kind="stable")
    step = max(1, -(-len(order) // MOST_POINTS))
    where = dict(zip(found.names, places.tolist(), strict=True))
    strays = {
        line["rank"]: (where[line["entity_id"]][0], where[line["entity_id"]][1])
        for line in outliers.lines
        if line["entity_type"] == kind and line["entity_id"] in where
    }
    mixture = model.geometry.mixture
    covariances = mixture.full_covariances()
    return ShoalMap(
        places[order[::step]],
        strays,
        mixture.weights,
        mixture.means[:, :2],
        covariances[:, :2, :2],
    )


def _timelines(
    reader: Reader, nights: Sequence[Night], outliers: OutlierList
) -> dict[tuple[str, str], list[tuple[date, float]]]:
    listed = {(line["entity_type"], line["entity_id"]) for line in outliers.lines}
    if not listed:
        return {}
    rows = fetch_published(
        reader,
        ENTITY_SCORES,
        nights,
        ["event_date", "entity_type", "entity_id", "anomaly_score"],
        entity_type={kind for kind, _ in listed},
        entity_id={name for _, name in listed},
    )
    found: dict[tuple[str, str], list[tuple[date, float]]] = {entity: [] for entity in listed}
    for row in rows_of(rows):
        if (entity := (row["entity_type"], row["entity_id"])) in found:
            found[entity].append((row["event_date"], float(row["anomaly_score"])))
    return {entity: sorted(points) for entity, points in found.items()}


def _coverage(reader: Reader, night: Night) -> list[dict[str, Any]]:
    scored = rows_of(
        fetch_published(reader, ENTITY_SCORES, [night], ["entity_type", "calibration"])
    )
    unscored = rows_of(fetch_published(reader, UNSCORED, [night], ["entity_type", "reason"]))
    calibrations = Counter((row["entity_type"], row["calibration"]) for row in scored)
    reasons = Counter((row["entity_type"], row["reason"]) for row in unscored)
    return [
        {
            "entity_type": kind,
            "scored": sum(row["entity_type"] == kind for row in scored),
            "by": _counts_of(kind, calibrations),
            "not_scored": sum(row["entity_type"] == kind for row in unscored),
            "because": _counts_of(kind, reasons),
        }
        for kind in sorted({kind for kind, _ in (*calibrations, *reasons)})
    ]


def _counts_of(kind: str, counts: Mapping[tuple[str, str], int]) -> str:
    own = sorted((-n, name) for (of, name), n in counts.items() if of == kind)
    return ", ".join(f"{-n:,} {name.replace('_', ' ')}" for n, name in own)


def _sources(reader: Reader, day: date) -> list[dict[str, Any]]:
    names = ["event_count", "duplicate_count", "ignored_count", "quarantined_count"]
    rows = rows_of(reader.fetch(INGEST_FILES, ["source_name", "event_days", *names]))
    own = [row for row in rows if day in (row["event_days"] or [])]
    return [
        {
            "source": name,
            "files": sum(row["source_name"] == name for row in own),
            **{
                count.removesuffix("_count"): sum(
                    row[count] or 0 for row in own if row["source_name"] == name
                )
                for count in names
            },
        }
        for name in sorted({row["source_name"] for row in own})
    ]


def _steps(reader: Reader, night: Night) -> dict[str, float]:
    rows = reader.fetch(
        RUNS,
        ["step", "seconds"],
        event_date=[night.event_date],
        run_id=[night.run_id],
        state=["done"],
    )
    found: dict[str, float] = {}
    for row in rows_of(rows):
        found[row["step"]] = found.get(row["step"], 0.0) + float(row["seconds"] or 0.0)
    return found


def report_page(report: NightReport) -> str:
    """The report as a page of HTML."""
    night, outliers = report.night, report.outliers
    return render_page(
        event_date=night.event_date,
        lines=outliers.lines,
        timelines=report.timelines,
        nights_shown=NIGHTS_SHOWN,
        facts=_facts(report),
        types=[_type_section(own) for own in report.types],
        tables={
            "Coverage: who was scored, and why others were not": report.coverage,
            "Sources: files that hold events of the night, and where their records went": (
                report.sources
            ),
            "Seconds by step": [
                {"step": step, "seconds": round(seconds, 1)}
                for step, seconds in sorted(report.steps.items())
            ],
            "Rows by table": [
                {"table": name, "rows": n} for name, n in sorted(night.row_counts.items())
            ],
        },
    )


def _facts(report: NightReport) -> dict[str, str]:
    night, outliers = report.night, report.outliers
    hidden = sum(line["suppressed_by"] is not None for line in outliers.lines)
    facts = {
        "In short": list_in_short(outliers.lines, outliers.scored, total=outliers.total),
        "Verdicts": ", ".join(
            f"{own.entity_type} {own.tonight['verdict']}" for own in report.types if own.tonight
        ),
        "Models": ", ".join(version for _, version in sorted(night.model_versions.items())),
        "Run": f"{night.run_id}, configuration {night.config_hash[:12]}",
    }
    if night.published_ts is not None:
        facts["Published"] = f"{night.published_ts:%Y-%m-%d %H:%M} UTC"
    if hidden:
        facts["Hidden by rules or verdicts"] = f"{hidden:,} of the lines below"
    return {title: said for title, said in facts.items() if said}


def _type_section(own: TypeReport) -> dict[str, Any]:
    pictures = []
    if own.shoals is not None and len(own.shoals.points):
        drawn = shoal_map(**{f.name: getattr(own.shoals, f.name) for f in fields(ShoalMap)})
        told = "The shoals: contours hold 50, 90 and 99 % of the model; ringed: ranks on the list"
        pictures.append((told, drawn))
    if len(own.rates) > 1:
        pictures.append(
            ("Share of entities with p ≤ 0.05; dashed: expected", alert_rates(own.rates))
        )
    if drawn := migration(own.migration):
        pictures.append(("Clusters of the night before, and of tonight", drawn))
    if drawn := selection_curve(own.candidates):
        pictures.append(("How the model was chosen: the ringed one serves", drawn))
    tonight = own.tonight or {}
    agreement = own.agreement or {}
    said = ""
    if (rand := agreement.get("adjusted_rand")) is not None:
        said = (
            f"Clusters agree with those of {agreement['reference_date']} by an adjusted Rand index "
            f"of {rand:.2f}: {_JUDGED[agreement['status']]}"
        )
    return {
        "name": own.entity_type,
        "verdict": tonight.get("verdict") or "unknown",
        "detail": tonight.get("verdict_detail") or "no drift is told of this night",
        "agreement": said,
        "pictures": pictures,
    }
