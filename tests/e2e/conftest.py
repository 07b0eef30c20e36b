"""One small fleet's night, whole, that all end-to-end tests compare with."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.kill_points import Fleet, prepare, run_night


@dataclass(frozen=True)
class WholeNight:
    """A night that nobody disturbed.

    Attributes
    ----------
    base : warehouse before the night
    whole : the same after it
    commits : table of each commit of the night, in order
    """

    fleet: Fleet
    base: Path
    whole: Path
    commits: list[str]

    def before(self, folder: Path) -> Path:
        """A copy of the warehouse before the night."""
        return Path(shutil.copytree(self.base, folder / "warehouse"))


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> WholeNight:
    """The fleet's second night, run once in one process."""
    fleet, base = prepare(tmp_path_factory.mktemp("fleet"))
    whole = base.parent / "whole"
    shutil.copytree(base, whole)
    _, commits = run_night(fleet, whole, 0)
    return WholeNight(fleet, base, whole, commits)
