"""`make detection`: what the lists find on fleets that nobody has looked at, as Markdown tables.

Each seed is a fleet of its own: simulated, its month of nights run with the defaults of
`conf/demo.yaml`, its last 14 lists held against the truth. Fleets with intrusions say what is
found; clean ones say whether a p-value means what it says and whether small groups of peers crowd
the list. No label is seen by a model, and no setting is made for a seed. `--ablation` tells of the
first seed what is found with each family of features left out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from shoal.models.evaluation import LEVELS, SMALL_SLICE
from shoal.report.text import render

ROOT = Path(__file__).resolve().parent.parent
DAYS = ("--start", "2026-09-01", "--end", "2026-09-28")
PATTERNS = {"windows": "*.jsonl.gz", "zeek": "*.log.gz"}
Tables = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Run the fleets asked for and print their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[9301, 9302, 9303])
    parser.add_argument("--clean-seeds", type=int, nargs="*", default=[9401])
    parser.add_argument("--hosts", type=int, default=300, help="machines of a fleet")
    parser.add_argument("--clean-hosts", type=int, default=600, help="machines of a clean fleet")
    parser.add_argument("--strength", default="middle", help="of the intrusions")
    parser.add_argument("--sources", choices=("basic", "all"), default="all", help="of them")
    parser.add_argument(
        "--ablation", action="store_true", help="of the first seed, each family left out"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "warehouse/detection")
    asked = parser.parse_args()
    options = ("--hosts", str(asked.hosts), "--strength", asked.strength,
               "--sources", asked.sources)  # fmt: skip
    if asked.ablation:
        run_fleet(asked.work, asked.seeds[0], options)
        folder = fleet_folder(asked.work, asked.seeds[0], options)
        fleet = ("--conf", str(folder / "fleet.yaml"), "--truth", str(folder / "logs/truth.csv"))
        print(python(str(ROOT / "tools/ablation.py"), *fleet))
        return 0
    clean = ("--hosts", str(asked.clean_hosts), "--volume", "0.5", "--no-planted", "--no-benign")
    found = {seed: run_fleet(asked.work, seed, options) for seed in asked.seeds}
    quiet = [run_fleet(asked.work, seed, clean) for seed in asked.clean_seeds]
    for text in (*recall_tables(found), *calibration_tables(quiet)):
        print(f"{text}\n")
    return 0


def run_fleet(work: Path, seed: int, options: Sequence[str]) -> Tables:
    """What `shoal evaluate` says of a fleet; what has been run before is not run again."""
    folder = fleet_folder(work, seed, options)
    done = folder / "evaluation.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        logs, conf = folder / "logs", folder / "fleet.yaml"
        conf.write_text(yaml.safe_dump(configuration(folder, logs)), encoding="utf-8")
        shoal(conf, "simulate", "--out", str(logs), "--seed", str(seed), *options)
        shoal(conf, "tables", "apply")
        shoal(conf, "nightly", *DAYS)
        told = shoal(conf, "evaluate", "--truth", str(logs / "truth.csv"), "--format", "json")
        done.write_text(told, encoding="utf-8")
        for raw in ("windows", "zeek"):
            shutil.rmtree(logs / raw)
    tables: Tables = json.loads(done.read_text(encoding="utf-8"))
    return tables


def fleet_folder(work: Path, seed: int, options: Sequence[str]) -> Path:
    """Where a fleet has its logs, tables and results."""
    return work / "-".join(str(part).strip("-") for part in (seed, *options))


def configuration(folder: Path, logs: Path) -> dict[str, Any]:
    """The demo's configuration, for other logs."""
    demo = yaml.safe_load((ROOT / "conf/demo.yaml").read_text(encoding="utf-8"))
    sources = [source for source in demo["sources"] if source["name"] != "sample"]
    return {
        "extends": str(ROOT / "conf/demo.yaml"),
        "storage": {"path": str(folder / "tables")},
        "sources": [
            {**source, "paths": [str(logs / source["name"])], "pattern": PATTERNS[source["name"]]}
            for source in sources
        ],
        "labels": [str(logs / "labels.csv")],
    }


def shoal(conf: Path, *command: str) -> str:
    """Run one of Shoal's commands; what it prints."""
    return python("-m", "shoal", *command, "--conf", str(conf))


def python(*command: str) -> str:
    """Run a module or a script with Shoal at hand; what it prints."""
    print(f"$ python {' '.join(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def titled(tables: Tables, start: str) -> list[dict[str, Any]]:
    """The table whose title starts so."""
    return next(rows for title, rows in tables.items() if title.startswith(start))


def recall_tables(found: dict[int, Tables]) -> list[str]:
    """By seed: how the lists compare; over all seeds: what was found of each kind."""
    lists, kinds = [], defaultdict(lambda: [0, 0])
    for seed, tables in found.items():
        by_method = {row["method"]: row for row in titled(tables, "Lists of")}
        own, use = by_method["shoal"], titled(tables, "Use of the list")[0]
        recalls = [by_method[name]["recall_all"] for name in by_method]
        shares = (*recalls, own["precision"], own["benign_lines"])
        lists.append([seed, *(f"{share:.2f}" for share in shares), use["lines"],
                      use["different_entities"], use["news"], use["groups"]])  # fmt: skip
        for row in titled(tables, "Planted host-nights"):
            kinds[row["kind"], row["strength"]][0] += row["listed"]
            kinds[row["kind"], row["strength"]][1] += row["active"]
    if not found:
        return []
    heads = ["seed", *(f"recall: {name}" for name in by_method), "precision", "benign", "lines",
             "entities", "news", "groups"]  # fmt: skip
    by_kind = [[kind, how, of[0], of[1], f"{of[0] / of[1]:.2f}"] for (kind, how), of in
               sorted(kinds.items())]  # fmt: skip
    return [
        markdown(heads, lists),
        markdown(["kind", "strength", "listed", "active", "recall"], by_kind),
    ]


def calibration_tables(quiet: Sequence[Tables]) -> list[str]:
    """Over all clean seeds: shares of p-values by group, and lines of small slices."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    small: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    levels = [f"p<={level:g}" for level in LEVELS]
    lines = groups = nights = 0
    for tables in quiet:
        for row in titled(tables, "p-values"):
            own = sums[row["group"]]
            own["nights"] += row["entity_nights"]
            for level in levels:
                own[level] += row[level] * row["entity_nights"]
        use = titled(tables, "Use of the list")[0]
        lines, groups, nights = lines + use["lines"], groups + use["groups"], nights + use["nights"]
        for row in titled(tables, "Slices under"):
            small[row["slice"]]["share"] += row["share_of_entities"] / len(quiet)
            small[row["slice"]]["lines"] += row["share_of_lines"] * use["lines"]
    if not quiet:
        return []
    shares = [
        [name, f"{own['nights']:.0f}", *(f"{own[level] / own['nights']:.4f}" for level in levels)]
        for name, own in sums.items()
    ]
    crowds = [
        [name, f"{own['share']:.3f}", f"{own['lines'] / lines:.3f}"]
        for name, own in sorted(small.items(), key=lambda item: -item[1]["lines"])
        if own["lines"] > own["share"] * lines
    ]
    return [
        markdown(["clean entity-nights of", "count", *levels], shares),
        markdown(
            [
                f"slices under {SMALL_SLICE} with more lines than their share",
                "of entities",
                "of lines",
            ],
            crowds,
        ),
        f"Groups told a week on clean fleets: {7 * groups / nights:.2f}",
    ]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as README.md has them."""
    return render([dict(zip(heads, row, strict=True)) for row in rows], heads, "md")


if __name__ == "__main__":
    sys.exit(main())
