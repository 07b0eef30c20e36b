"""Kill a night at every point and run it again: ``python tests/e2e/kill_points.py [POINT …]``.

A small warehouse is made whole up to a night; then that night is run and killed right before each
of its commits, looked at as a reader would, run again, and compared with the night that nobody
killed. Prints a table; leaves with 1 if any point is not sound.
"""

import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

from deltalake import DeltaTable
from tests.support.commands import shoal, start
from tests.support.equality import differences
from tests.support.fleet import Fleet

from shoal.contracts import ENTITY_SCORES, NIGHTS

FIRST = date(2024, 3, 4)
KILLED_NIGHT = FIRST + timedelta(days=1)


def prepare(folder: Path) -> tuple[Fleet, Path]:
    """A fleet, and a warehouse with one night published and the next day's log waiting."""
    fleet, base = Fleet(folder), folder / "base"
    fleet.write_day(FIRST)
    shoal("tables", "apply", *fleet.arguments(base))
    shoal("nightly", *fleet.arguments(base), "--date", str(FIRST))
    fleet.write_day(KILLED_NIGHT)
    return fleet, base


def run_night(fleet: Fleet, warehouse: Path, kill_at: int | str) -> tuple[int, list[str]]:
    """Run the second night, killed before a commit (its number, or a table's first).

    Return its exit code and the tables of its commits, in order.
    """
    arguments = ["nightly", *fleet.arguments(warehouse), "--date", str(KILLED_NIGHT)]
    process = start("tests/support/killed.py", str(kill_at), *arguments)
    out, err = process.communicate(timeout=280)
    commits = [line.split()[2] for line in out.splitlines() if line.startswith("commit ")]
    if kill_at == 0 and process.returncode != 0:
        raise AssertionError(err)
    return process.returncode, commits


def reader_sees(warehouse: Path) -> dict[str, int]:
    """Rows of ``entity_scores`` by published night, as a reader joins them."""
    nights = DeltaTable(str(warehouse / NIGHTS.name)).to_pyarrow_table().to_pylist()
    visible = {(n["event_date"], n["run_id"]) for n in nights if n["state"] == "published"}
    scores = DeltaTable(str(warehouse / ENTITY_SCORES.name)).to_pyarrow_table(
        columns=["event_date", "run_id"]
    )
    found = {str(day): 0 for day, _ in visible}
    for row in scores.to_pylist():
        if (row["event_date"], row["run_id"]) in visible:
            found[str(row["event_date"])] += 1
    return found


def check_point(fleet: Fleet, base: Path, whole: Path, point: int) -> list[str]:
    """Kill at one point, look, run again, compare; return what was not sound."""
    warehouse = base.parent / f"killed-{point}"
    shutil.copytree(base, warehouse)
    before, after = reader_sees(base), reader_sees(whole)
    code, _ = run_night(fleet, warehouse, point)
    faults = [] if code == -9 else [f"exit {code} instead of the kill"]
    seen = reader_sees(warehouse)
    if seen not in (before, after):
        faults.append(f"a reader saw {seen}")
    run_night(fleet, warehouse, 0)
    faults += differences(whole, warehouse)
    shutil.rmtree(warehouse)
    return faults


def main(points: list[int]) -> int:
    """Check the points given, or all of them, two at a time, and print the table."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(max_workers=2) as pool:
        fleet, base = prepare(Path(name))
        whole = Path(name) / "whole"
        shutil.copytree(base, whole)
        _, commits = run_night(fleet, whole, 0)
        points = points or list(range(1, len(commits) + 1))
        unsound = 0
        print(f"{'before commit':>13}  {'table':<17}  after the kill and a second run", flush=True)
        found = pool.map(lambda point: check_point(fleet, base, whole, point), points)
        for point, faults in zip(points, found, strict=True):
            unsound += bool(faults)
            verdict = "; ".join(faults) if faults else "equal, and no half night seen"
            print(f"{point:>13}  {commits[point - 1]:<17}  {verdict}", flush=True)
        print(f"{len(points)} points, {unsound} not sound")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
