"""Running Shoal as its users do: in a process of its own, or in the session there is."""

import contextlib
import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

from pyspark.sql import SparkSession

from shoal.cli import main

ROOT = Path(__file__).resolve().parents[2]
# A command of a test ends before Java's second compiler, a fifth of what it costs, could pay.
QUICK_JAVA = "-XX:TieredStopAtLevel=1"


def environment() -> dict[str, str]:
    """The environment of a user's shell, with the package on the path and a quick Java."""
    path = f"{ROOT / 'lib'}{os.pathsep}{ROOT}"
    return {**os.environ, "PYTHONPATH": path, "SPARK_SUBMIT_OPTS": QUICK_JAVA}


def shoal(
    *arguments: str, expect: int | None = 0, timeout: int = 280
) -> subprocess.CompletedProcess[str]:
    """Run ``shoal ARGUMENTS`` in the project's folder and check its exit code."""
    command = [sys.executable, "-m", "shoal", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout
    )
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a Python script of the tests and don't wait."""
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def shoal_here(*arguments: str) -> tuple[int, str]:
    """Run a command in the session there is, which it does not stop; its exit code and words."""
    said = io.StringIO()
    with (
        _kept_logging(),
        mock.patch.object(SparkSession, "stop"),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(said),
    ):
        code = main(list(arguments))
    return code, said.getvalue()


def overrides(settings: Sequence[str]) -> list[str]:
    """``--set`` for each setting."""
    return [part for setting in settings for part in ("--set", setting)]


@contextlib.contextmanager
def _kept_logging() -> Iterator[None]:
    """Leave logging as it was: a command sends it to the standard error of its time."""
    logger = logging.getLogger("shoal")
    before = (list(logger.handlers), logger.level, logger.propagate)
    try:
        yield
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
