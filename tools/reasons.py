"""Whether the reasons of found intrusions name what was planted, as a Markdown table.

A fleet is simulated and run twice, with its intrusions and without them, all else the same. A
reason of a line tells of the intrusion if without that the feature would have been less than half
as far from what was expected. Held against that are the reasons of lines that an intrusion was
found by, and, for what chance alone would say, features of the same lines drawn at random.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from ablation import read_planted
from detection import ROOT, fleet_folder, markdown, run_fleet

from shoal.contracts import ENTITY_FEATURES, OUTLIERS
from shoal.lake import FolderLake, fetch_published, published_nights, rows_of
from shoal.models.listing import night_entity
from shoal.models.registry import load_versions, version_served

Key = tuple[date, str, str]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=9301)
    parser.add_argument("--hosts", type=int, default=300, help="machines of the fleet")
    parser.add_argument("--strength", default="middle", help="of the intrusions")
    parser.add_argument("--sources", choices=("basic", "all"), default="all", help="of it")
    parser.add_argument("--last", type=int, default=14, help="nights that are judged")
    parser.add_argument("--work", type=Path, default=ROOT / "warehouse/detection")
    asked = parser.parse_args()
    options = ("--hosts", str(asked.hosts), "--strength", asked.strength,
               "--sources", asked.sources)  # fmt: skip
    folders = []
    for own in (options, (*options, "--no-planted")):
        run_fleet(asked.work, asked.seed, own)
        folders.append(fleet_folder(asked.work, asked.seed, own))
    planted = read_planted(folders[0] / "logs/truth.csv")
    lakes = [FolderLake(str(folder / "tables")) for folder in folders]
    print(table(*lakes, planted, last=asked.last))
    return 0


def table(
    lake: FolderLake, twin: FolderLake, planted: Sequence[Mapping[str, str]], *, last: int
) -> str:
    """By kind of intrusion: lines, and for how many one of the first reasons tells of it."""
    kinds: dict[tuple[date, str], str] = {}
    for row in planted:
        for name in (row["host"], row["source_address"]):
            kinds[date.fromisoformat(row["event_date"]), name] = row["kind"]
    nights = published_nights(lake)[-last:]
    lines = [
        line
        for line in rows_of(fetch_published(lake, OUTLIERS, nights))
        if line["entity_type"] in ("host", "source_address")
        and (line["event_date"], line["entity_id"]) in kinds
    ]
    with_it, without = features_of(lake, lines), features_of(twin, lines)
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[bool, bool, bool, float]]] = defaultdict(list)
    for line in lines:
        own, other = with_it[night_entity(line)], without.get(night_entity(line))
        told = [tells(reason, own, other) for reason in line["reasons"]]
        changed = share_changed(lake, line, own, other, rng)
        kind = kinds[line["event_date"], line["entity_id"]]
        found[kind].append((any(told[:1]), any(told[:3]), any(told), changed))
    rows = [row_of(kind, own) for kind, own in sorted(found.items())]
    every = [one for own in found.values() for one in own]
    heads = ["found lines", "lines", "first reason", "first three", "all reasons", "drawn"]
    return markdown(heads, [*rows, row_of("all", every)])


def row_of(kind: str, own: Sequence[tuple[bool, bool, bool, float]]) -> list[object]:
    """A row of the table."""
    return [kind, len(own), *(f"{share:.2f}" for share in np.mean(own, axis=0))]


def features_of(lake: FolderLake, lines: Sequence[Mapping[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Features of lines' nights."""
    found = {}
    for night in published_nights(lake):
        names = {line["entity_id"] for line in lines if line["event_date"] == night.event_date}
        if names:
            rows = fetch_published(lake, ENTITY_FEATURES, [night], entity_id=names)
            found |= {night_entity(row): row for row in rows_of(rows)}
    return found


def tells(
    reason: Mapping[str, Any], own: Mapping[str, Any], other: Mapping[str, Any] | None
) -> bool:
    """Whether an intrusion has made at least half of what a reason tells."""
    if other is None:  # Without the intrusion it would not have been there.
        return True
    value, twin = (_value(row, reason) for row in (own, other))
    if value is None or twin is None:
        return value is not None
    return abs(twin - reason["expected"]) < 0.5 * abs(value - reason["expected"])


def _value(row: Mapping[str, Any], reason: Mapping[str, Any]) -> float | None:
    if not reason["term"]:
        return row[reason["feature"]]
    kind = reason["term"].partition("=")[0]
    counts = {
        item["term"]: item["count"]
        for item in row["profile"] or []
        if item["term"].partition("=")[0] == kind
    }
    return counts.get(reason["term"], 0) / sum(counts.values()) if counts else None


def share_changed(
    lake: FolderLake,
    line: Mapping[str, Any],
    own: Mapping[str, Any],
    other: Mapping[str, Any] | None,
    rng: np.random.Generator,
) -> float:
    """How often one of three features drawn at random would tell of the intrusion.

    What is expected of them is not at hand, so that any change counts: more than the truth.
    """
    version = version_served(line["entity_type"], line["model_version"])
    if (line["entity_type"], line["model_version"]) not in _NAMES:
        [model] = load_versions(lake, [version]).of_types()
        _NAMES[line["entity_type"], line["model_version"]] = list(model.columns)
    names = _NAMES[line["entity_type"], line["model_version"]]
    changed = np.array([other is None or own[name] != other[name] for name in names])
    drawn = [rng.choice(len(names), 3, replace=False) for _ in range(100)]
    return float(np.mean([changed[places].any() for places in drawn]))


_NAMES: dict[tuple[str, str], list[str]] = {}


if __name__ == "__main__":
    sys.exit(main())
