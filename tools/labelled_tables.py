"""`make labelled TABLES=folder`: the detector beside others on labelled tables, as Markdown.

Each `.npz` of the folder is fitted on a bootstrap of itself, anomalies and all, and scored, by
every scorer with its defaults, five seeds: the published protocol of the ADBench tables (Livernoche
et al. 2023, arXiv 2305.18593). No label is seen by a scorer, and no setting is made for a table.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# One thread a process: the processes are the parallelism.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from shoal.models.labelled import Protocol, metric_table
from shoal.models.scorers import DEFAULT_SCORERS, check_scorers
from shoal.pipelines.labelled import TableRequest, read_table, score_with
from shoal.report.text import render


def main() -> int:
    """Evaluate the tables of a folder and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scorers", nargs="+", default=list(DEFAULT_SCORERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    check_scorers(asked.scorers)
    paths = sorted(asked.folder.glob("*.npz"), key=lambda path: -path.stat().st_size)
    if not paths:
        parser.error(f"{asked.folder} holds no .npz")
    with ProcessPoolExecutor(asked.processes) as pool:
        running = [pool.submit(evaluate, path, asked.scorers, asked.seeds) for path in paths]
        found = pd.concat([run.result() for run in running])
    names = sorted(found["table"].unique(), key=str.lower)
    for title, metric in (("AUROC", "auroc"), ("Average precision", "average_precision")):
        print(f"{title}, %, mean of {asked.seeds} seeds\n\n{table_of(found, names, metric)}\n")
    return 0


def evaluate(path: Path, scorers: Sequence[str], n_seeds: int) -> pd.DataFrame:
    """Figures of all scorers on one table."""
    table = read_table(TableRequest(path, "label"))
    protocol = Protocol(seeds=range(n_seeds))
    found = []
    for name in scorers:
        found.append(metric_table(score_with(table, name, protocol)))
        print(f"{path.name}: {name}", file=sys.stderr, flush=True)
    return pd.concat(found).assign(table=path.stem.partition("_")[2] or path.stem)


def table_of(found: pd.DataFrame, names: Sequence[str], metric: str) -> str:
    """A row a table, a column a scorer, and the means below."""
    wide = found.pivot(index="table", columns="scorer", values=metric)
    wide = 100.0 * wide.loc[list(names), list(dict.fromkeys(found["scorer"]))]
    wide.loc["mean"] = wide.mean()
    rows = [{"table": name, **{s: f"{v:.1f}" for s, v in row.items()}} for name, row in
            wide.to_dict("index").items()]  # fmt: skip
    rows[-1] = {"table": "mean", **{s: f"{v:.2f}" for s, v in wide.loc["mean"].items()}}
    return render(rows, list(rows[0]), "md")


if __name__ == "__main__":
    sys.exit(main())
