"""A night as one page of HTML: self-contained, in light and dark, for a disk without a network."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from shoal import __version__
from shoal.contracts.attack import TECHNIQUES
from shoal.contracts.scores import MICROCLUSTER, techniques_of
from shoal.report.lines import WHOLE_BAR, evidence_text, reason_text, value_text
from shoal.report.plots import sparkline
from shoal.report.text import cell, number, screen_cell, shown


def render_page(
    *,
    event_date: date,
    lines: Sequence[Mapping[str, Any]],
    timelines: Mapping[tuple[str, str], Sequence[tuple[date, float]]],
    nights_shown: int,
    facts: Mapping[str, Any],
    types: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Render a night's page.

    Parameters
    ----------
    lines : of the list, by rank; members of a microcluster one after the other
    timelines : entity type and name → ``(date, anomaly_score)``, by date
    facts : title → what is said above the list
    types : by entity type ``name``, ``verdict``, ``detail``, ``agreement`` and ``pictures``, a
        list of a title and an SVG made by `shoal.report.plots`
    tables : title → rows, at the end of the page
    """
    loader = PackageLoader("shoal.report")
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": lambda value: shown(str(value)), "cell": screen_cell}
    script = loader.get_source(environment, "page.js")[0]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    first = event_date - timedelta(days=nights_shown - 1)
    groups = [list(group) for _, group in groupby(lines, key=lambda line: line["rank"])]
    page = environment.get_template("night.html").render(
        version=__version__,
        night=event_date,
        script=Markup(script),  # noqa: S704 - Shoal's own
        script_hash=digest,
        facts=facts,
        blocks=[_block(group, timelines, first, event_date) for group in groups],
        types=[
            {
                **own,
                "pictures": [
                    (title, Markup(svg))  # noqa: S704 - made by matplotlib of numbers alone
                    for title, svg in own["pictures"]
                ],
            }
            for own in types
        ],
        tables=tables,
    )
    return str(page)


def _block(
    members: Sequence[Mapping[str, Any]],
    timelines: Mapping[tuple[str, str], Sequence[tuple[date, float]]],
    first: date,
    last: date,
) -> dict[str, Any]:
    """What the page says of a line, or of the members of a group."""
    line = members[0]
    is_group = line["lane"] == MICROCLUSTER
    points = timelines.get((line["entity_type"], line["entity_id"]), [])
    whole = max([WHOLE_BAR, *(score for _, score in points)])
    reasons = line.get("reasons") or []
    return {
        "rank": line["rank"],
        "name": f"{len(members)} {line['entity_type']}s together" if is_group
        else line["entity_id"],
        "kind": line["entity_type"],
        "slice": line["slice"],
        "lane": line["lane"],
        "severity": line["severity"],
        "score": number(line["anomaly_score"]),
        "is_beyond": line["calibration"] == "extrapolated",
        "change": line["change"],
        "days": line["days_in_row"],
        "case": line["case_id"],
        "hidden_by": line.get("suppressed_by"),
        "members": [member["entity_id"] for member in members] if is_group else [],
        "shared": [value_text(item) for item in line.get("shared") or []],
        "reasons": [reason_text(reason) for reason in reasons],
        "evidence": [
            {"told": evidence_text(item), "first": cell(item["first_ts"]),
             "last": cell(item["last_ts"]), "ids": item.get("sample_event_ids") or []}
            for item in line.get("evidence") or []
        ],
        "techniques": [(uid, TECHNIQUES[uid]) for uid in techniques_of(reasons)],
        "spark": Markup(sparkline(points, first, last, whole)),  # noqa: S704 - numbers alone
    }  # fmt: skip
