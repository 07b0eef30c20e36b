"""A real Spark cluster on this machine: a master and workers, each a process."""

import ctypes
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import QUICK_JAVA

_SECONDS = 120
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class SmallCluster:
    """A standalone cluster at work.

    Attributes
    ----------
    url : of the master, for ``--master``
    work : one folder a worker, with a folder for each application that it took part in
    """

    url: str
    work: tuple[Path, ...]

    def applications(self) -> list[set[str]]:
        """Applications that each worker has run an executor of."""
        return [{path.parent.name for path in folder.glob("app-*/*/")} for folder in self.work]


class _Daemon:
    """A process of Spark's, and the lines of its log as they come."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
        environment |= {"SPARK_LOCAL_DIRS": str(folder / "local")}
        environment |= {"SPARK_DAEMON_JAVA_OPTS": QUICK_JAVA}
        self._process = subprocess.Popen(
            [str(Path(sys.executable).parent / "spark-class"), *arguments],
            cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The next line of the log that matches."""
        seen = []
        while True:
            try:
                line = self._lines.get(timeout=_SECONDS)
            except queue.Empty:
                line = ""
            if found := re.search(pattern, line):
                return found
            seen.append(line)
            if not line:
                raise AssertionError(f"{pattern!r} is not in the log:\n{''.join(seen)}")

    def stop(self) -> None:
        """End the process and, with it, those that it has started."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self._process.wait(timeout=20)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line)
        self._lines.put("")  # it has ended


def _die_with_parent() -> None:
    _libc.prctl(_DIE_WITH_PARENT, signal.SIGTERM, 0, 0, 0)


@contextmanager
def small_cluster(folder: Path, *, workers: int = 2) -> Iterator[SmallCluster]:
    """A master and workers of one core and 1 GiB each, at free ports of 127.0.0.1."""
    at = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    work = tuple(folder / f"worker-{number}" for number in range(workers))
    with ExitStack() as stack:

        def start(kind: str, *arguments: str) -> _Daemon:
            daemon = _Daemon(folder, f"org.apache.spark.deploy.{kind}", *at, *arguments)
            stack.callback(daemon.stop)
            return daemon

        master = start("master.Master")
        url = master.wait_for(r"Starting Spark master at (spark://\S+)")[1]
        for path in work:
            path.mkdir()
            size = ["--cores", "1", "--memory", "1g"]
            start("worker.Worker", *size, "--work-dir", str(path), url)
        for _ in work:
            master.wait_for("Registering worker 127.0.0.1")
        yield SmallCluster(url, work)


def submit(
    master: str, shipped: Path, packages: Sequence[str], job: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a job as a platform does: driver here, executors there, code from the zip alone."""
    home = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PATH": f"{home}{os.pathsep}{environment['PATH']}"}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment |= {"SPARK_SUBMIT_OPTS": QUICK_JAVA}
    command = [
        str(home / "spark-submit"), "--master", master, *packages,
        "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1",
        "--conf", "spark.ui.enabled=false",
        "--conf", f"spark.executor.extraJavaOptions={QUICK_JAVA}",
        # Of Delta's 50 partitions of a snapshot 49 are empty here, and each is a task over there.
        "--conf", "spark.databricks.delta.snapshotPartitions=1",
        "--py-files", str(shipped),
        str(job), *arguments,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=shipped.parent, env=environment, capture_output=True, text=True, timeout=560
    )
