"""Whole nights in the session that the tests of one process share."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from shoal.config import Settings, validate
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.dates import Dates
from shoal.pipelines.nightly import nightly

QUICK = {
    "master": "local[2]",
    "shuffle_partitions": 1,
    "driver_memory": "2g",
    "conf": {
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        # Interpreted: for rows this few, compiling a query costs more than running it.
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    },
}


def settings_for(path: Path, **sections: Any) -> Settings:
    """Settings of a warehouse in ``path``."""
    raw = {"storage": {"path": str(path)}, "spark": QUICK, **sections}
    return validate(raw, origin="test")


def zeek_settings(path: Path, logs: Path, **sections: Any) -> Settings:
    """The same for a folder of Zeek logs, everything else by default."""
    source = {"name": "zeek", "kind": "zeek", "paths": [str(logs)]}
    return settings_for(path, sources=[source], entities=["source_address"], **sections)


def made_warehouse(empty_tables: Path, settings: Settings) -> None:
    """Make the tables of a warehouse that is not there."""
    path = Path(settings.storage.path or "")
    if not path.exists():
        shutil.copytree(empty_tables, path)


def run_nights(
    spark: SparkSession, empty_tables: Path, settings: Settings, start: date, end: date
) -> Context:
    """Run the nights of a range as the command does; tables that are not there are made first."""
    made_warehouse(empty_tables, settings)
    context = open_context(spark, settings, ["nightly"])
    try:
        nightly(context, Dates(start, end, is_range=True))
    finally:
        context.run_log.flush()
    return context
