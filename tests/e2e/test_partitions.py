"""The same nights under other partitionings, from files in another order.

Beside the nights in processes of their own, so that the two processes that share the tests end at
about the same time.
"""

import gzip
import random
import zlib
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support.nights import run_nights, zeek_settings

from shoal.contracts import ENTITY_SCORES, MODELS, OUTLIERS

DAYS = (date(2024, 4, 19), date(2024, 4, 20))
# So few that a fifth of the sources carry full covariances, and a sample that leaves out some of
# them: the case that MLlib fits.
SMALL_MODEL = {
    "fit": {
        "n_components": 2,
        "covariance_type": "full",
        "max_pca_components": 2,
        "sample_rows": 100,
    },
    "outliers": {"max_p_value": 0.5},  # a full list of so few
}


def write_sample(shared: Path, folder: Path, *, seed: int | None, n_files: int) -> None:
    """Connections of a fifth of the sources, in their order in one file or shuffled into several.

    By source, so that entities stay whole; the header is that of the real files.
    """
    folder.mkdir(parents=True)
    for day in DAYS:
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
    spark: SparkSession, empty_tables: Path, folder: Path, logs: Path, *, partitions: int
) -> tuple[dict[str, float], list[str]]:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        settings = zeek_settings(folder, logs, **SMALL_MODEL)
        context = run_nights(spark, empty_tables, settings, *DAYS)
        day = DAYS[-1]
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
    spark: SparkSession, empty_tables: Path, shared_data: Path, tmp_path: Path
) -> None:
    found = []
    for partitions, seed, n_files in ((1, None, 1), (2, 1, 3), (8, 2, 5)):
        logs = tmp_path / f"logs-{partitions}"
        write_sample(shared_data, logs, seed=seed, n_files=n_files)
        folder = tmp_path / f"warehouse-{partitions}"
        found.append(scores_and_list(spark, empty_tables, folder, logs, partitions=partitions))
    (scores, listed), *others = found
    assert len(scores) > 100
    assert len(listed) == 20
    for other_scores, other_listed in others:
        assert other_scores.keys() == scores.keys()
        for entity, score in scores.items():
            assert other_scores[entity] == pytest.approx(score, abs=1e-6), entity
        assert other_listed == listed
