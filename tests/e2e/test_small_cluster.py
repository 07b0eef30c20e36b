"""Nights on a small cluster, a master and two workers, with what ``make dist`` builds."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support.commands import ROOT, overrides
from tests.support.equality import differences, read_rows
from tests.support.nights import run_nights
from tests.support.small_cluster import SmallCluster, small_cluster, submit

from shoal.config import load_settings
from shoal.contracts import ENTITY_SCORES, OUTLIERS
from shoal.pipelines.context import open_context
from shoal.pipelines.simulate import simulate
from shoal.simulate.write import Request
from shoal.spark.session import _delta_jars

CONF = "conf/local.yaml"
DAYS = (date(2026, 9, 1), date(2026, 9, 2))
REQUEST = Request(hosts=40, days=2, start=DAYS[0], seed=3, volume=0.3)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that ``make dist`` builds, built here from the same wheel."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    wheel = next(folder.glob("shoal-*.whl"))
    return wheel.rename(wheel.with_name("shoal.zip"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCluster]:
    """A master and two workers for the tests of this file."""
    with small_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


def delta_packages() -> list[str]:
    """Options that bring Delta's jars, where set-up has not put them beside Spark's own."""
    packages = _delta_jars().get("spark.jars.packages")
    return ["--packages", packages] if packages else []


def test_a_fleet_simulated_again_and_run_on_a_small_cluster_gives_equal_tables(
    cluster: SmallCluster,
    shipped: Path,
    spark: SparkSession,
    empty_tables: Path,
    tmp_path: Path,
) -> None:
    logs, here, there = tmp_path / "logs", tmp_path / "here", tmp_path / "there"
    options = ["--conf", str(ROOT / CONF), *overrides(fleet_options(logs, there, partitions=5))]
    settings = load_settings(str(ROOT / CONF), fleet_options(logs, here, partitions=1))
    context = open_context(spark, settings)
    simulate(context, REQUEST, logs)
    run_nights(spark, empty_tables, settings, *DAYS)
    written = contents(logs)
    shutil.rmtree(logs)
    simulate(context, REQUEST, logs)
    assert contents(logs) == written

    shutil.copytree(empty_tables, there)
    before = cluster.applications()
    job, days = ROOT / "jobs" / "nightly.py", ["--start", str(DAYS[0]), "--end", str(DAYS[1])]
    done = submit(cluster.url, shipped, delta_packages(), job, *options, *days)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = [after - known for after, known in zip(cluster.applications(), before, strict=True)]
    assert [len(own) for own in ran] == [1, 1]
    assert ran[0] == ran[1]
    assert len(read_rows(there, ENTITY_SCORES)) > REQUEST.hosts
    assert read_rows(there, OUTLIERS)
    assert differences(here, there) == []


def fleet_options(logs: Path, warehouse: Path, *, partitions: int) -> list[str]:
    """Settings of a simulated fleet's warehouse, for ``--set``."""
    sources = (
        f"{{name: windows, kind: windows_json, paths: ['{logs}/windows']}}, "
        f"{{name: zeek, kind: zeek, paths: ['{logs}/zeek'], pattern: 'conn*'}}"
    )
    return [
        f"storage.path={warehouse}",
        f"sources=[{sources}]",
        f"labels=['{logs}/labels.csv']",
        "entities=[host, source_address]",
        "fit.candidates=[1, 2]",
        f"spark.shuffle_partitions={partitions}",
    ]


def contents(folder: Path) -> dict[str, tuple[bytes, float]]:
    """Bytes and time of change of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), _changed(path)) for path in files}


def _changed(path: Path) -> float:
    # Of a table of labels or truth only what it says counts.
    return path.stat().st_mtime if path.suffix == ".gz" else 0.0


def test_executors_import_what_was_shipped(cluster: SmallCluster, shipped: Path) -> None:
    job = ROOT / "tests" / "support" / "where_from.py"
    done = submit(cluster.url, shipped, delta_packages(), job)
    assert done.returncode == 0, done.stderr[-3000:]
    places = [line for line in done.stdout.splitlines() if line.startswith("shoal from ")]
    assert len(places) == 2
    assert all("shoal.zip" in place for place in places)


def test_a_jobs_exit_code_passes_through(cluster: SmallCluster, shipped: Path) -> None:
    conf = ["--conf", str(ROOT / "conf" / "local.yaml"), "--set", "fitt.n_components=3"]
    job = ROOT / "jobs" / "nightly.py"
    done = submit(cluster.url, shipped, delta_packages(), job, *conf)
    assert done.returncode == 2
    # spark-submit sends what its Python says to standard output, errors too.
    assert "fitt: unknown key; did you mean 'fit'?" in done.stdout
