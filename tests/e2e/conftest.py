"""One small fleet's night, whole, that all end-to-end tests compare with."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.conftest import ROOT
from tests.e2e.kill_points import FIRST, KILLED_NIGHT
from tests.support.fleet import CONF, Fleet
from tests.support.nights import run_nights

from shoal.config import load_settings


@dataclass(frozen=True)
class WholeNight:
    """A night that nobody disturbed.

    Attributes
    ----------
    base : warehouse before the night
    whole : the same after it
    """

    fleet: Fleet
    base: Path
    whole: Path

    def before(self, folder: Path) -> Path:
        """A copy of the warehouse before the night."""
        return Path(shutil.copytree(self.base, folder / "warehouse"))


@pytest.fixture(scope="session")
def night(
    spark: SparkSession, empty_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> WholeNight:
    """The fleet's second night, run in the session of the tests: others run it as commands."""
    folder = tmp_path_factory.mktemp("fleet")
    fleet, base, whole = Fleet(folder), folder / "base", folder / "whole"

    def run(day: date, warehouse: Path) -> None:
        settings = load_settings(str(ROOT / CONF), fleet.options(warehouse))
        run_nights(spark, empty_tables, settings, day, day)

    fleet.write_day(FIRST)
    run(FIRST, base)
    fleet.write_day(KILLED_NIGHT)
    shutil.copytree(base, whole)
    run(KILLED_NIGHT, whole)
    return WholeNight(fleet, base, whole)
