"""A night on a small cluster, a master and two workers, with what ``make dist`` builds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import WholeNight
from tests.e2e.kill_points import KILLED_NIGHT, reader_sees
from tests.support.commands import ROOT
from tests.support.equality import differences
from tests.support.small_cluster import SmallCluster, small_cluster, submit

from shoal.spark.session import _delta_jars


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


def test_a_night_on_a_small_cluster_equals_that_of_one_process(
    cluster: SmallCluster, shipped: Path, night: WholeNight, tmp_path: Path
) -> None:
    warehouse = night.before(tmp_path)
    conf = night.fleet.arguments(warehouse)
    conf[1] = str(ROOT / conf[1])
    before = cluster.applications()
    job = ROOT / "jobs" / "nightly.py"
    day = str(KILLED_NIGHT)
    done = submit(cluster.url, shipped, delta_packages(), job, *conf, "--date", day)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = [after - known for after, known in zip(cluster.applications(), before, strict=True)]
    assert [len(own) for own in ran] == [1, 1]
    assert ran[0] == ran[1]
    assert reader_sees(warehouse) == reader_sees(night.whole)
    assert differences(night.whole, warehouse) == []


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
