"""The page of a night: what the list says, in a form that no text of a log can break out of."""

import hashlib
import re
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from shoal.report.html import render_page
from shoal.report.plots import alert_rates, migration, selection_curve, shoal_map, sparkline

DAY = date(2026, 9, 28)
HOSTILE = (
    "<script>alert(1)</script>\"' onload=alert(1) </details></style><img src=x onerror=alert(1)>"
    "{{ 7*7 }}{% raw %}\x1b[31m\u202e\udcff$x^2$" + "x" * 300
)


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def line(rank: int, name: str, **others: Any) -> dict[str, Any]:
    reason = {
        "feature": "event_count", "term": None, "value": 250.0, "expected": 121.0,
        "unit": "events", "peers": 11, "peers_sharing": 0, "direction": "high",
    }  # fmt: skip
    evidence = {
        "dimension": "program", "value": name, "event_count": 1, "entities_sharing": 1,
        "is_new": True, "first_ts": datetime(2026, 9, 28, 4, 5, tzinfo=UTC),
        "last_ts": datetime(2026, 9, 28, 5, tzinfo=UTC), "sample_event_ids": [name],
    }  # fmt: skip
    return {
        "rank": rank, "entity_type": "host", "entity_id": name, "slice": name, "lane": "stray",
        "severity": "high", "anomaly_score": 3.2, "calibration": "own", "change": "new",
        "days_in_row": 1, "case_id": "0a1b", "suppressed_by": None, "shared": None,
        "reasons": [reason, {**reason, "feature": "profile_share", "term": f"program={name}"}],
        "evidence": [evidence], **others,
    }  # fmt: skip


def page_of(lines: list[dict[str, Any]], **others: Any) -> str:
    wanted: dict[str, Any] = {
        "event_date": DAY, "lines": lines, "timelines": {}, "nights_shown": 28,
        "facts": {"In short": "3 listed"}, "types": [], "tables": {}, **others,
    }  # fmt: skip
    return render_page(**wanted)


def test_hostile_text_is_text_alone() -> None:
    types = [{"name": HOSTILE, "verdict": "none", "detail": HOSTILE, "agreement": HOSTILE,
              "pictures": []}]  # fmt: skip
    shared = [{"dimension": "program", "value": HOSTILE}]
    lines = [
        line(1, HOSTILE, lane="microcluster", shared=shared),
        line(1, HOSTILE, lane="microcluster", shared=shared),
        line(2, HOSTILE),
    ]
    tables = {"Table": [{"reason": HOSTILE, "entities": 3}]}
    hostile = page_of(lines, facts={"Run": HOSTILE}, types=types, tables=tables)
    tame = page_of(
        [{**own, "entity_id": "a", "slice": "a"} for own in lines], facts={"Run": "a"},
        types=[{**types[0], "name": "a", "detail": "a", "agreement": "a"}],
        tables={"Table": [{"reason": "a", "entities": 3}]},
    )  # fmt: skip
    found, expected = Page(hostile), Page(tame)
    assert found.tags == expected.tags
    assert found.tags.count("script") == 1
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not {"\x1b", "\u202e", "\udcff"} & set(hostile)
    said = "".join(found.text)
    assert "<script>alert(1)</script>" in said
    assert "{{ 7*7 }}" in said
    hostile.encode("utf-8")


def test_the_page_allows_its_own_script_and_loads_nothing() -> None:
    text = page_of([line(1, "web-1")])
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy.replace("&#39;", "'")
    assert "default-src 'none'" in policy.replace("&#39;", "'")
    page = Page(text)
    assert not {"link", "iframe", "object", "embed", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert name not in {"src", "srcset", "action"}
        assert name != "href" or (value or "").startswith("#")


def test_each_rank_is_a_line_that_opens() -> None:
    group = [line(1, f"pc-{n}", lane="microcluster") for n in range(4)]
    page = Page(page_of([*group, line(2, "web-1", suppressed_by="0f", days_in_row=3)]))
    assert page.tags.count("details") == page.tags.count("summary") == 2
    said = " ".join("".join(page.text).split())
    assert "4 hosts together" in said
    assert "pc-0, pc-1, pc-2, pc-3" in said
    assert "hidden by 0f" in said
    assert "new, night 3, hidden" in said
    assert "event count 250 (expected 121; 0 of 11 peers as high)" in said
    assert "1 event, new for it, nobody else" in said
    assert "None was strange enough" in "".join(Page(page_of([])).text)


def test_a_thousand_lines_are_one_page() -> None:
    text = page_of([line(rank, f"host-{rank}") for rank in range(1, 1001)])
    assert Page(text).tags.count("details") == 1000
    assert len(text) < 8e6


def test_pictures_are_in_the_colours_of_the_page_and_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    one = {"weights": np.ones(1), "means": np.zeros((1, 2)), "covariances": np.eye(2)[None]}
    rates = [
        {"event_date": DAY + timedelta(days=n), "alert_rate": n / 100, "verdict": "none",
         "expected_rate": None if n < 3 else 0.05}
        for n in range(9)
    ]  # fmt: skip
    pairs = [
        {"reference_cluster_id": 0, "analysis_cluster_id": 1, "common_size": 7,
         "came_from": [{"cluster_id": 1, "entities": 3}]},
        {"reference_cluster_id": 1, "analysis_cluster_id": -1, "common_size": None,
         "came_from": None},
    ]  # fmt: skip
    candidates = [
        {"kind": "mixture", "covariance_type": kind, "n_components": k, "bic": 10.0 * k,
         "is_chosen": k == 2 and kind == "full"}
        for kind in ("full", "diag")
        for k in (1, 2, 3)
    ]  # fmt: skip

    def drawn() -> list[str]:
        return [
            shoal_map(rng_points, {1: (0.5, 0.5), 20: (9.0, -9.0)}, **one),
            alert_rates(rates),
            migration(pairs),
            selection_curve(candidates),
        ]

    rng_points = rng.normal(size=(50, 2))
    pictures = drawn()
    assert pictures == drawn()
    for picture in pictures:
        page = Page(picture)
        assert page.tags[0] == "svg"
        assert not {"script", "image", "foreignobject"} & set(page.tags)
        assert "var(--accent)" in picture
        assert not re.search(r"#0[0-9a-f]{5}", picture)
        assert 'role="img"' in picture
        assert "<?xml" not in picture
    assert [text.strip() for text in Page(pictures[0]).text if text.strip() in {"1", "20"}]
    said = "".join(Page(pictures[2]).text)
    assert "c0 (7)" in said
    assert "c1 (10)" in said
    assert migration([]) == selection_curve([]) == ""


@pytest.mark.parametrize("points", [[], [(DAY, 0.0)], [(DAY - timedelta(days=3), 9.0), (DAY, 2.0)]])
def test_a_sparkline_has_a_bar_a_night(points: list[tuple[date, float]]) -> None:
    text = sparkline(points, DAY - timedelta(days=27), DAY, 4.0)
    heights = [float(height) for height in re.findall(r'height="([\d.]+)"/>', text)]
    assert len(heights) == len(points)
    assert all(0 < height <= 22 for height in heights)
