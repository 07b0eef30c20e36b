"""What drift costs beside scoring: a ready table of many entities, its nights run as ever.

    python tests/benchmarks/drift.py [--entities 100000] [--features 40] [--nights 28]

The seconds are those that `runs` holds of the steps of one command; the ratio is within one run.
"""

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from shoal.config import Settings, validate
from shoal.contracts import RUNS
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.dates import Dates
from shoal.pipelines.nightly import nightly
from shoal.report.text import render
from shoal.spark.session import start_session
from shoal.spark.tables import apply_contracts

FIRST = date(2026, 3, 2)
SLICES = 8
STEPS = ("ingest", "features", "fit", "score", "drift", "publish")


def main() -> None:
    """Make the tables, run the nights, print the steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=40)
    parser.add_argument("--nights", type=int, default=28)
    parser.add_argument("--memory", default="10g", help="of the driver")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shoal-drift-") as folder:
        days = Path(folder) / "days"
        write_days(days, asked.entities, asked.features, asked.nights)
        settings = settings_of(Path(folder) / "tables", days, asked.memory)
        spark = start_session(settings, name="drift benchmark")
        apply_contracts(open_context(spark, settings).warehouse)
        context = open_context(spark, settings)
        last = FIRST + timedelta(days=asked.nights - 1)
        nightly(context, Dates(FIRST, last, is_range=True))
        context.run_log.flush()
        print(steps_of(context))
        spark.stop()


def write_days(folder: Path, n_entities: int, n_features: int, n_nights: int) -> None:
    """One Parquet file a day: groups of entities, each with sizes of its own."""
    folder.mkdir()
    group = np.arange(n_entities) % SLICES
    middles = np.random.default_rng(0).normal(3.0, 1.0, (SLICES, n_features))
    habits = np.random.default_rng(1).normal(0.0, 0.4, (n_entities, n_features))
    for day in range(n_nights):
        rng = np.random.default_rng([2, day])
        rows = np.exp(middles[group] + habits + rng.normal(0.0, 0.3, habits.shape)).round()
        table = pd.DataFrame(rows, columns=[f"f{number:02d}" for number in range(n_features)])
        table.insert(0, "slice", [f"g{number}" for number in group])
        table.insert(0, "day", FIRST + timedelta(days=day))
        table.insert(0, "id", [f"e{number:07d}" for number in range(n_entities)])
        table.to_parquet(folder / f"day-{day:02d}.parquet", index=False)


def settings_of(path: Path, days: Path, memory: str) -> Settings:
    """Defaults but for where things are."""
    source = {
        "name": "made", "kind": "features", "paths": [str(days)], "pattern": "*.parquet",
        "format": "parquet", "entity_type": "thing", "id_column": "id", "date_column": "day",
        "slice_column": "slice",
    }  # fmt: skip
    raw = {
        "storage": {"path": str(path)},
        "sources": [source],
        "entities": [],
        "spark": {"driver_memory": memory},
    }
    return validate(raw, origin="benchmark")


def steps_of(context: Context) -> str:
    """Seconds of each step over all nights, and drift as a share of scoring."""
    rows = (
        context.warehouse.read(RUNS)
        .where(F.col("step").isin(*STEPS) & (F.col("state") == "done"))
        .groupBy("step")
        .agg(F.sum("seconds").alias("seconds"))
        .collect()
    )
    seconds = {row["step"]: float(row["seconds"]) for row in rows}
    table = [{"step": step, "seconds": f"{seconds.get(step, 0.0):.0f}"} for step in STEPS]
    ratio = seconds["drift"] / seconds["score"]
    return render(table, ["step", "seconds"], "md") + f"\n\ndrift / score: {ratio:.2f}"


if __name__ == "__main__":
    main()
