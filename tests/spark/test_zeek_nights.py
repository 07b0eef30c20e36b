"""Whole nights over three real days of Zeek: detection, partitioning, order of the files.

The settings are the defaults: nothing here is made for these logs but where they lie.
"""

import gzip
import random
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.spark.conftest import run_nights, settings_for

from shoal.contracts import ENTITY_SCORES, INGEST_FILES, MODELS, OUTLIERS
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import Context
from shoal.spark.tables import apply_contracts, open_warehouse

BEACON = "73.54.23.243"
DAYS = (date(2024, 4, 19), date(2024, 4, 20), date(2024, 4, 21))
CONNECTIONS = 105_918


def zeek_settings(path: Path, logs: Path, **sections: Any) -> Any:
    source = {"name": "zeek", "kind": "zeek", "paths": [str(logs)], "pattern": "conn*"}
    return settings_for(path, sources=[source], entities=["source_address"], **sections)


@pytest.fixture(scope="module")
def zeek_nights(
    spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Context:
    """The three days ingested, scored and published."""
    settings = zeek_settings(tmp_path_factory.mktemp("zeek") / "w", shared_data / "zeek_rita")
    apply_contracts(open_warehouse(spark, settings))
    return run_nights(spark, settings, DAYS[0], DAYS[-1])


def test_every_connection_is_an_event(zeek_nights: Context) -> None:
    warehouse = zeek_nights.warehouse
    assert warehouse.read(EVENT_TABLES["network"]).count() == CONNECTIONS
    files = warehouse.read(INGEST_FILES).collect()
    assert sum(row.read_count for row in files) == CONNECTIONS
    for row in files:
        parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
        assert row.read_count == sum(parts), row.source_file


@pytest.mark.parametrize("day", DAYS[1:])
def test_the_beacon_is_in_the_top_20_of_its_day(zeek_nights: Context, day: date) -> None:
    listed = zeek_nights.warehouse.read_days(OUTLIERS, day, day)
    rank = {row["entity_id"]: row["rank"] for row in listed.collect()}
    assert BEACON in rank
    assert rank[BEACON] <= 20
    reasons = listed.where(listed.entity_id == BEACON).collect()[0]["reasons"]
    assert "beacon_regularity_max" in [reason["feature"] for reason in reasons]


SAMPLED_DAYS = DAYS[:2]
# So few that a fifth of the sources carry full covariances, the case that MLlib fits.
SMALL_MODEL = {
    "fit": {"n_components": 2, "max_pca_components": 2},
    "outliers": {"max_p_value": 0.5},  # a full list of so few
}


def write_sample(shared: Path, folder: Path, *, seed: int | None, n_files: int) -> None:
    """Connections of a fifth of the sources, in their order in one file or shuffled into several.

    By source, so that entities stay whole; the header is that of the real files.
    """
    folder.mkdir(parents=True)
    for day in SAMPLED_DAYS:
        header: list[str] = []
        lines: list[str] = []
        for path in sorted((shared / "zeek_rita" / str(day)).glob("conn.*.gz")):
            text = gzip.decompress(path.read_bytes()).decode()
            header = [line for line in text.splitlines() if line.startswith("#")]
            lines += [
                line
                for line in text.splitlines()
                if not line.startswith("#") and zlib.crc32(line.split("\t")[3].encode()) % 5 == 0
            ]
        assert len(lines) > 500
        if seed is not None:
            random.Random(seed).shuffle(lines)
        for number in range(n_files):
            own = "\n".join([*header[:-1], *lines[number::n_files], header[-1]]) + "\n"
            name = f"conn.{day}-{(7 * number) % n_files}.log.gz"
            (folder / name).write_bytes(gzip.compress(own.encode()))


def scores_and_list(
    spark: SparkSession, folder: Path, logs: Path, *, partitions: int
) -> tuple[dict[str, float], list[str]]:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        settings = zeek_settings(folder, logs, **SMALL_MODEL)
        apply_contracts(open_warehouse(spark, settings))
        context = run_nights(spark, settings, SAMPLED_DAYS[0], SAMPLED_DAYS[-1])
        day = SAMPLED_DAYS[-1]
        scores = context.warehouse.read_days(ENTITY_SCORES, day, day).collect()
        listed = context.warehouse.read_days(OUTLIERS, day, day).orderBy("rank").collect()
        fitted_by = context.warehouse.read(MODELS).where("slice = '*'").collect()[0]["fitted_by"]
        assert fitted_by == "mllib on all rows"
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
    return (
        {row["entity_id"]: row["anomaly_score"] for row in scores},
        [row["entity_id"] for row in listed],
    )


def test_partitions_and_the_order_of_files_have_no_say(
    spark: SparkSession, shared_data: Path, tmp_path: Path
) -> None:
    found = []
    for partitions, seed, n_files in ((1, None, 1), (2, 1, 3), (8, 2, 5)):
        logs = tmp_path / f"logs-{partitions}"
        write_sample(shared_data, logs, seed=seed, n_files=n_files)
        folder = tmp_path / f"warehouse-{partitions}"
        found.append(scores_and_list(spark, folder, logs, partitions=partitions))
    (scores, listed), *others = found
    assert len(scores) > 100
    assert len(listed) == 20
    for other_scores, other_listed in others:
        assert other_scores.keys() == scores.keys()
        for entity, score in scores.items():
            assert other_scores[entity] == pytest.approx(score, abs=1e-6), entity
        assert other_listed == listed
