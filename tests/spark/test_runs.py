"""Leases: one holder at a time, stale ones taken over, releases honoured."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import functions as F

from shoal.contracts import RUNS
from shoal.errors import DataError, LeaseHeldError, TryAgainError
from shoal.spark import runs
from shoal.spark.runs import Lease, Leases, RunLog, leased, read_leases, utc_now
from shoal.spark.tables import CONFLICTS, Warehouse

NIGHT = "night/2024-01-01"
OTHER_NIGHT = "night/2024-01-02"


def run_log(warehouse: Warehouse) -> RunLog:
    return RunLog(warehouse, {})


STARTED: list[Lease] = []


def lease_of(run_log: RunLog, key: str = NIGHT) -> Lease:
    STARTED.append(Lease(run_log, [key], 600))
    return STARTED[-1]


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    yield
    while STARTED:
        STARTED.pop().release()


def recorded(warehouse: Warehouse) -> list[tuple[int, str, str]]:
    """Sequence, key and state of all lease rows in order."""
    rows = warehouse.read(RUNS).where("step = 'lease'")
    found = rows.select("lease_sequence", "lease_key", "state").collect()
    return sorted((row[0], row[1], row[2]) for row in found)


@dataclass
class Clock:
    """Shifts the time that Shoal sees."""

    ahead: timedelta = timedelta()

    def now(self) -> Any:
        return utc_now() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(runs, "utc_now", clock.now)
    return clock


@pytest.fixture
def after_next_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen once between a run's look at the leases and its write."""
    actions: list[Callable[[], Any]] = []

    def read_then_act(warehouse: Warehouse) -> Leases:
        leases = read_leases(warehouse)
        if actions:
            actions.pop()()
        return leases

    monkeypatch.setattr(runs, "read_leases", read_then_act)
    return actions.append


def test_second_run_is_refused_until_the_first_lets_go(warehouse: Warehouse) -> None:
    first, second = run_log(warehouse), run_log(warehouse)
    with leased(first, [NIGHT], ttl_s=600) as lease:
        with pytest.raises(LeaseHeldError, match=f"{NIGHT} is held by"):
            lease_of(second).acquire()
        with leased(second, [OTHER_NIGHT], ttl_s=600):
            pass
        lease.check()
    first.flush()
    with leased(second, [NIGHT], ttl_s=600):
        assert read_leases(warehouse).newest[NIGHT].attempt_id == second.attempt_id


def test_of_two_at_the_same_moment_exactly_one_holds(warehouse: Warehouse) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def contend() -> None:
        lease = lease_of(run_log(warehouse))
        start.wait()
        try:
            lease.acquire()
            outcomes.append("held")
        except LeaseHeldError:
            outcomes.append("refused")

    threads = [threading.Thread(target=contend) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused"]


def test_a_run_that_committed_after_the_look_keeps_the_lease(
    warehouse: Warehouse, after_next_read: Callable[[Callable[[], Any]], None]
) -> None:
    late, early = run_log(warehouse), run_log(warehouse)
    late.add("fit", "done")
    after_next_read(lease_of(early).acquire)
    with pytest.raises(LeaseHeldError, match=NIGHT):
        lease_of(late).acquire()
    assert recorded(warehouse) == [(1, NIGHT, "held")]
    late.flush()
    late.flush()
    assert warehouse.read(RUNS).where("step = 'fit'").count() == 1


def test_a_lease_of_another_night_in_between_is_no_obstacle(
    warehouse: Warehouse, after_next_read: Callable[[Callable[[], Any]], None]
) -> None:
    after_next_read(lease_of(run_log(warehouse), OTHER_NIGHT).acquire)
    lease_of(run_log(warehouse)).acquire()
    assert recorded(warehouse) == [(1, OTHER_NIGHT, "held"), (2, NIGHT, "held")]


def test_two_leases_of_one_run_do_not_take_each_others_row_for_their_own(
    warehouse: Warehouse, after_next_read: Callable[[Callable[[], Any]], None]
) -> None:
    shared = run_log(warehouse)
    after_next_read(lease_of(shared, "ingest").acquire)
    lease_of(shared).acquire()
    assert recorded(warehouse) == [(1, "ingest", "held"), (2, NIGHT, "held")]


@pytest.mark.parametrize("went_in", [True, False])
def test_a_commit_reported_as_conflict_is_looked_up(
    warehouse: Warehouse, went_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = warehouse.append_exclusive
    calls = []

    def report_conflict(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 1 or went_in:
            original(*arguments)
        if len(calls) == 1:
            raise CONFLICTS[0]("another writer came first")

    monkeypatch.setattr(warehouse, "append_exclusive", report_conflict)
    lease_of(run_log(warehouse)).acquire()
    assert len(calls) == (1 if went_in else 2)
    assert recorded(warehouse) == [(1, NIGHT, "held")]


def test_numbers_go_on_after_days_without_a_run(warehouse: Warehouse, clock: Clock) -> None:
    clock.ahead = timedelta(days=-10)
    lease_of(run_log(warehouse)).acquire()
    clock.ahead = timedelta()
    lease_of(run_log(warehouse)).acquire()
    assert recorded(warehouse) == [(1, NIGHT, "held"), (2, NIGHT, "held")]


def test_a_table_that_lost_its_leases_is_told_from_a_lost_race(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_ATTEMPTS", 2)
    lease_of(run_log(warehouse)).acquire()
    warehouse.delete_where(RUNS, "step = 'lease'")
    with pytest.raises(DataError, match="runs ends with lease 0"):
        lease_of(run_log(warehouse)).acquire()


def test_a_release_frees_its_lease_whatever_the_clocks_say(
    warehouse: Warehouse, clock: Clock
) -> None:
    first, second = run_log(warehouse), run_log(warehouse)
    with leased(first, [NIGHT], ttl_s=600):
        clock.ahead = timedelta(minutes=-5)
    first.flush()
    with leased(second, [NIGHT], ttl_s=600):
        pass
    second.flush()
    assert recorded(warehouse) == [
        (1, NIGHT, "held"), (1, NIGHT, "released"), (2, NIGHT, "held"), (2, NIGHT, "released"),
    ]  # fmt: skip
    assert read_leases(warehouse).newest[NIGHT].state == "released"


def test_a_release_goes_out_with_the_next_lease_and_only_once(warehouse: Warehouse) -> None:
    """Nightly lets go of ingest and goes on for hours: others may ingest meanwhile."""
    first = run_log(warehouse)
    with leased(first, ["ingest"], ttl_s=600):
        pass
    first.add("fit", "done")
    with leased(first, [NIGHT], ttl_s=600):
        lease_of(run_log(warehouse), "ingest").acquire()
        assert warehouse.read(RUNS).where("step = 'fit'").count() == 0
    first.flush()
    assert recorded(warehouse) == [
        (1, "ingest", "held"), (1, "ingest", "released"), (2, NIGHT, "held"),
        (2, NIGHT, "released"), (3, "ingest", "held"),
    ]  # fmt: skip
    assert warehouse.read(RUNS).where("step = 'fit'").count() == 1


def test_a_renewal_moves_the_end_and_its_release_frees_it(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_log(warehouse)
    lease = lease_of(first)
    lease.acquire()
    clock.ahead = timedelta(seconds=500)
    waits = iter([False, True])
    monkeypatch.setattr(lease._stop, "wait", lambda _: next(waits))
    lease._keep_alive(0)
    clock.ahead = timedelta(seconds=1000)
    lease.check()
    with pytest.raises(LeaseHeldError):
        lease_of(run_log(warehouse)).acquire()
    lease.release()
    first.flush()
    lease_of(run_log(warehouse)).acquire()
    assert [row[0] for row in recorded(warehouse)] == [1, 2, 2, 3]


@pytest.mark.parametrize("sees_own_end", [True, False])
def test_a_run_that_slept_while_others_ran_does_not_renew(
    warehouse: Warehouse, clock: Clock, sees_own_end: bool
) -> None:
    asleep, other = run_log(warehouse), run_log(warehouse)
    lease = lease_of(asleep)
    lease.acquire()
    clock.ahead = timedelta(seconds=700)
    with leased(other, [NIGHT], ttl_s=600):
        pass
    other.flush()
    clock.ahead = timedelta(seconds=700 if sees_own_end else 0)
    lease._keep_alive(0)
    clock.ahead = timedelta()
    with pytest.raises(TryAgainError, match=f"lost the lease of {NIGHT}"):
        lease.check()
    newest = read_leases(warehouse).newest[NIGHT]
    assert (newest.sequence, newest.attempt_id) == (2, other.attempt_id)


def test_a_run_past_its_end_does_not_renew_even_if_nobody_came(
    warehouse: Warehouse, clock: Clock
) -> None:
    lease = lease_of(run_log(warehouse))
    lease.acquire()
    clock.ahead = timedelta(seconds=700)
    lease._keep_alive(0)
    with pytest.raises(TryAgainError, match=f"lost the lease of {NIGHT}"):
        lease.check()
    assert recorded(warehouse) == [(1, NIGHT, "held")]


@pytest.mark.usefixtures("in_new_york")
def test_the_end_of_a_lease_does_not_move_with_the_drivers_time_zone(warehouse: Warehouse) -> None:
    lease_of(run_log(warehouse)).acquire()
    until = read_leases(warehouse).newest[NIGHT].until
    assert abs(until - utc_now() - timedelta(seconds=600)) < timedelta(seconds=120)
    with pytest.raises(LeaseHeldError):
        lease_of(run_log(warehouse)).acquire()


def test_the_largest_number_is_read_without_scanning_the_table(warehouse: Warehouse) -> None:
    lease_of(run_log(warehouse)).acquire()
    top = warehouse.read(RUNS).agg(F.max("lease_sequence"))
    assert top.inputFiles() == []
