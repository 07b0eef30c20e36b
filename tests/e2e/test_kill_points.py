"""A night killed and run again; ``make kill-points`` does it at every point of a night."""

from datetime import timedelta
from pathlib import Path

from tests.e2e.conftest import WholeNight
from tests.e2e.kill_points import KILLED_NIGHT, reader_sees, run_night
from tests.support.commands import shoal_here, start
from tests.support.equality import differences


def test_a_night_killed_again_and_again_is_completed_by_the_same_command(
    night: WholeNight, tmp_path: Path
) -> None:
    warehouse = night.before(tmp_path)
    # In ingest, and right before the night is published.
    for table in ("events_network", "nights"):
        code, _ = run_night(night.fleet, warehouse, table)
        assert code == -9
        assert reader_sees(warehouse) == reader_sees(night.base)
    arguments = ["nightly", *night.fleet.arguments(warehouse), "--date", str(KILLED_NIGHT)]
    code, said = shoal_here(*arguments)
    assert code == 0, said
    assert differences(night.whole, warehouse) == []
    assert reader_sees(warehouse) == reader_sees(night.whole)


def test_nights_started_at_once_are_each_run_once_and_whole(
    night: WholeNight, tmp_path: Path
) -> None:
    warehouse = night.before(tmp_path)
    options = night.fleet.arguments(warehouse)
    days = (KILLED_NIGHT, KILLED_NIGHT, KILLED_NIGHT - timedelta(days=1))
    processes = [
        start("tests/support/killed.py", "0", "nightly", *options, "--date", str(day))
        for day in days
    ]
    ended = [process.communicate(timeout=800)[1] for process in processes]
    *twice, other = [process.returncode for process in processes]
    assert other == 0, ended
    assert 0 in twice, ended
    assert set(twice) <= {0, 5}, ended
    assert reader_sees(warehouse) == reader_sees(night.whole)
    assert differences(night.whole, warehouse) == []
