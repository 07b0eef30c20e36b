"""A simulated fleet → raw log files, labels and the truth about them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from shoal.errors import UsageError
from shoal.pipelines.context import Context
from shoal.simulate.write import (
    Request,
    chunks_of,
    simulation_of,
    write_chunk,
    write_labels,
    write_truth,
)

log = logging.getLogger(__name__)

LABELS = "labels.csv"
TRUTH = "truth.csv"


def simulate(context: Context, request: Request, folder: Path) -> dict[str, int]:
    """Write a fleet's logs under ``windows/`` and ``zeek/`` of a folder, by day.

    Beside them stand ``labels.csv``, which the setting ``labels`` reads, and ``truth.csv``, which
    `shoal evaluate` does.

    A task writes the files of one day and some machines, so the folder must be one that all
    workers see.

    Raises
    ------
    UsageError
        If the folder holds anything, or the fleet is too small.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"--out {folder} is not empty: name a new folder, or remove it first")
    simulation = simulation_of(request)
    chunks = chunks_of(simulation, request.first_day)
    absolute = folder.absolute()

    def write(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            written = [
                write_chunk(simulation_of(request), day, chunk, absolute)
                for day, chunk in (chunks[number] for number in batch["id"])
            ]
            yield pd.DataFrame({"records": written})

    with context.step("simulate", subject=f"{request.hosts} hosts, {request.days} days") as rows:
        # One task a chunk: they are alike in size, and a lost one costs little.
        tasks = context.spark.range(0, len(chunks), 1, len(chunks))
        found = tasks.mapInPandas(write, "records bigint").toPandas()
        rows["records"] = int(found["records"].sum())
        rows["labels"] = write_labels(simulation, folder / LABELS)
        rows["acts"] = write_truth(simulation, folder / TRUTH)
    return rows
