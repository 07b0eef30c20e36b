"""A sample of the kill points; ``python tests/e2e/kill_points.py`` checks them all."""

import shutil
from pathlib import Path

import pytest
from tests.e2e.kill_points import (
    KILLED_NIGHT,
    Fleet,
    check_point,
    prepare,
    reader_sees,
    run_night,
)
from tests.support.commands import start
from tests.support.equality import differences

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, Path, Path, list[str]]:
    """A fleet, its warehouse before the night, the same after it, and the night's commits."""
    fleet, base = prepare(tmp_path_factory.mktemp("killed"))
    whole = base.parent / "whole"
    shutil.copytree(base, whole)
    _, commits = run_night(fleet, whole, 0)
    return fleet, base, whole, commits


@pytest.mark.timeout(600)
@pytest.mark.parametrize("table", ["events_network", "entity_features", "nights"])
def test_a_killed_night_is_completed_by_the_same_command(
    night: tuple[Fleet, Path, Path, list[str]], table: str
) -> None:
    fleet, base, whole, commits = night
    assert check_point(fleet, base, whole, commits.index(table) + 1) == []


@pytest.mark.timeout(600)
def test_the_same_night_started_twice_is_run_once(
    night: tuple[Fleet, Path, Path, list[str]],
) -> None:
    fleet, base, whole, _ = night
    twice = base.parent / "twice"
    shutil.copytree(base, twice)
    arguments = ["0", "nightly", *fleet.arguments(twice), "--date", str(KILLED_NIGHT)]
    processes = [start("tests/support/killed.py", *arguments) for _ in range(2)]
    ended = [process.communicate(timeout=280)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes, ended
    assert set(codes) <= {0, 5}, ended
    assert differences(whole, twice) == []
    assert reader_sees(twice) == reader_sees(whole)
