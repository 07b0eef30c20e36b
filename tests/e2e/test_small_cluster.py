"""A night through spark-submit on a local cluster, with what ``make dist`` builds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import WholeNight
from tests.e2e.kill_points import KILLED_NIGHT, reader_sees
from tests.support.commands import ROOT
from tests.support.equality import differences

from shoal.spark.session import _delta_jars


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that ``make dist`` builds, built here from the same wheel."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    wheel = next(folder.glob("shoal-*.whl"))
    return wheel.rename(wheel.with_name("shoal.zip"))


def delta_packages() -> list[str]:
    """Options that bring Delta's jars, where set-up has not put them beside Spark's own."""
    packages = _delta_jars().get("spark.jars.packages")
    return ["--packages", packages] if packages else []


def submit(shipped: Path, job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a job as a platform does: driver and two executors, code from the zip alone."""
    home = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PATH": f"{home}{os.pathsep}{environment['PATH']}"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    command = [
        str(home / "spark-submit"), "--master", "local-cluster[2,1,1024]",
        *delta_packages(),
        "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1",
        "--conf", "spark.ui.enabled=false", "--py-files", str(shipped),
        str(job), *arguments,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=shipped.parent, env=environment, capture_output=True, text=True, timeout=560
    )


def test_a_night_on_a_local_cluster_equals_that_of_one_process(
    shipped: Path, night: WholeNight, tmp_path: Path
) -> None:
    cluster = night.before(tmp_path)
    conf = night.fleet.arguments(cluster)
    conf[1] = str(ROOT / conf[1])
    done = submit(shipped, ROOT / "jobs" / "nightly.py", *conf, "--date", str(KILLED_NIGHT))
    assert done.returncode == 0, done.stderr[-3000:]
    assert reader_sees(cluster) == reader_sees(night.whole)
    assert differences(night.whole, cluster) == []


def test_executors_import_what_was_shipped(shipped: Path) -> None:
    done = submit(shipped, ROOT / "tests" / "support" / "where_from.py")
    assert done.returncode == 0, done.stderr[-3000:]
    places = [line for line in done.stdout.splitlines() if line.startswith("shoal from ")]
    assert len(places) == 2
    assert all("shoal.zip" in place for place in places)


def test_a_jobs_exit_code_passes_through(shipped: Path) -> None:
    conf = ["--conf", str(ROOT / "conf" / "local.yaml"), "--set", "fitt.n_components=3"]
    done = submit(shipped, ROOT / "jobs" / "nightly.py", *conf)
    assert done.returncode == 2
    # spark-submit sends what its Python says to standard output, errors too.
    assert "fitt: unknown key; did you mean 'fit'?" in done.stdout
