"""How long people wait for an answer about a million entity-nights.

Tables are made up, as wide as real ones: 28 nights of 36,000 entities, 60 lines each. Each command
is a process of its own, as people start them; beside it stands one that reads nothing, and that it
is how many times as long.
"""

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from deltalake import DeltaTable, write_deltalake
from tests.support.nights import settings_for

from shoal.contracts import ENTITY_SCORES, NIGHTS, OUTLIERS, Table
from shoal.contracts.scores import SEVERITIES
from shoal.report.text import render
from shoal.spark.session import start_session
from shoal.spark.tables import apply_contracts, open_warehouse

FIRST = date(2026, 9, 1)
COMMANDS = {
    "a command that reads nothing": ("outliers", "--help"),
    "outliers": ("outliers",),
    "outliers, cut by feature": ("outliers", "--feature", "event_count"),
    "nights": ("nights",),
    "risk of 28 days": ("risk",),
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nights", type=int, default=28)
    parser.add_argument("--entities", type=int, default=36_000)
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5, help="the first warms up, and is left out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tables"
        settings = settings_for(path)
        session = start_session(settings, name="benchmark")
        apply_contracts(open_warehouse(session, settings))
        session.stop()
        for number in range(asked.nights):
            write_night(path, FIRST + timedelta(days=number), asked.entities, asked.lines)
        conf = Path(folder) / "conf.yaml"
        conf.write_text(yaml.safe_dump({"storage": {"path": str(path)}}), encoding="utf-8")
        seconds = {name: timed(command, conf, asked.runs) for name, command in COMMANDS.items()}
    base = statistics.median(next(iter(seconds.values())))
    rows = [
        {
            "command": name,
            "median": f"{statistics.median(own):.2f} s",
            "longest": f"{max(own):.2f} s",
            "times the first": f"{statistics.median(own) / base:.1f}",
        }
        for name, own in seconds.items()
    ]
    print(f"{asked.nights * asked.entities:,} entity-nights, {asked.lines} lines a night\n")
    print(render(rows, list(rows[0]), "md"))
    return 0


def timed(command: tuple[str, ...], conf: Path, runs: int) -> list[float]:
    """Seconds of each run but the first."""
    given = command if "--help" in command else (*command, "--conf", str(conf))
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "shoal", *given], check=True, stdout=subprocess.DEVNULL
        )
        found.append(time.perf_counter() - began)
    return found[1:]


def write_night(path: Path, day: date, entities: int, lines: int) -> None:
    """Append a published night's scores and list."""
    rng = np.random.default_rng(day.toordinal())
    run_id = hashlib.sha256(day.isoformat().encode()).hexdigest()[:16]
    scores = -np.log10(rng.uniform(size=entities))
    bounds = [least for least, _ in SEVERITIES]
    names = [name for _, name in SEVERITIES]
    severity = [names[next(i for i, b in enumerate(bounds) if score >= b)] for score in scores]
    own = {
        "event_date": [day] * entities,
        "entity_type": ["host"] * entities,
        "entity_id": [f"host-{number:06d}.corp.example" for number in range(entities)],
        "slice": [f"role={number % 40}" for number in range(entities)],
        "anomaly_score": scores,
        "p_value": 10.0**-scores,
        "severity": severity,
        "run_id": [run_id] * entities,
    }
    measured = [c.name for c in ENTITY_SCORES.columns if c.name not in own]
    append(path, ENTITY_SCORES, own, entities, rng, measured)
    top = np.argsort(-scores)[:lines]
    reason = {
        "feature": "event_count", "value": 250.0, "expected": 121.0, "unit": "events", "peers": 900,
        "peers_sharing": 0, "contribution": 30.0, "direction": "high", "term": None,
    }  # fmt: skip
    item = {
        "dimension": "program", "value": "x.exe", "event_count": 3, "entities_sharing": 1,
        "is_new": True, "first_ts": datetime.now(UTC), "last_ts": datetime.now(UTC),
        "sample_event_ids": ["e" * 32] * 2,
    }  # fmt: skip
    listed = {name: [values[place] for place in top] for name, values in own.items()} | {
        "rank": list(range(1, lines + 1)),
        "lane": ["stray"] * lines,
        "change": ["new"] * lines,
        "calibration": ["own"] * lines,
        "case_id": [run_id[:12]] * lines,
        "days_in_row": [1] * lines,
        "expected_by_chance": [1.0] * lines,
        "reasons": [[reason] * 5] * lines,
        "evidence": [[item] * 8] * lines,
    }
    append(path, OUTLIERS, listed, lines, rng, [])
    counts = [("entity_scores", entities), ("outliers", lines)]
    night = {
        "event_date": [day], "run_id": [run_id], "state": ["published"], "row_counts": [counts],
        "config_hash": ["c"], "input_hash": ["i"], "model_versions": [[]],
        "published_ts": [datetime.now(UTC)],
    }  # fmt: skip
    append(path, NIGHTS, night, 1, rng, [])


def append(
    path: Path,
    table: Table,
    own: dict[str, object],
    n_rows: int,
    rng: np.random.Generator,
    measured: list[str],
) -> None:
    """Append columns; numbers that are not given are drawn where they are ``measured``."""
    found = DeltaTable(str(path / table.name))
    schema = pa.schema(found.schema().to_arrow())
    columns = []
    for column in schema:
        if column.name in own:
            columns.append(pa.array(own[column.name], column.type))
        elif column.name in measured and pa.types.is_floating(column.type):
            columns.append(pa.array(rng.normal(size=n_rows), column.type))
        else:
            columns.append(pa.nulls(n_rows, column.type))
    write_deltalake(found, pa.Table.from_arrays(columns, schema=schema), mode="append")


if __name__ == "__main__":
    sys.exit(main())
