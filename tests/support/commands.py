"""Running Shoal as its users do: in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """The environment of a user's shell, with the package on the path."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}{os.pathsep}{ROOT}"}


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


def overrides(settings: Sequence[str]) -> list[str]:
    """``--set`` for each setting."""
    return [part for setting in settings for part in ("--set", setting)]
