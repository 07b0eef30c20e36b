"""Leases: one holder at a time, stale ones taken over, releases honoured."""

import threading
from datetime import timedelta

import pytest

from shoal.errors import LeaseHeldError
from shoal.spark.runs import Lease, LeaseRow, RunLog, holder_name, leased, read_leases, utc_now
from shoal.spark.tables import Warehouse


def run_log(warehouse: Warehouse) -> RunLog:
    return RunLog(warehouse, {})


def test_second_run_is_refused_until_the_first_lets_go(warehouse: Warehouse) -> None:
    first, second = run_log(warehouse), run_log(warehouse)
    with leased(first, ["night/2024-01-01"], ttl_s=600):
        with pytest.raises(LeaseHeldError, match="night/2024-01-01 is held by"):
            Lease(second, ["night/2024-01-01"], 600).acquire()
        with leased(second, ["night/2024-01-02"], ttl_s=600):
            pass
    first.flush()
    with leased(second, ["night/2024-01-01"], ttl_s=600):
        newest = max(read_leases(warehouse), key=lambda row: row.sequence)
        assert newest.attempt_id == second.attempt_id


def test_of_two_at_the_same_moment_exactly_one_holds(warehouse: Warehouse) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def contend() -> None:
        lease = Lease(run_log(warehouse), ["night/2024-01-01"], 600)
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


@pytest.mark.parametrize(
    ("state", "age_s", "holder", "is_live"),
    [
        ("held", 0, "elsewhere/1/1", True),
        ("released", 0, "elsewhere/1/1", False),
        ("held", 700, "elsewhere/1/1", False),
        ("held", 0, holder_name(), True),
        ("held", 0, holder_name().rpartition("/")[0] + "/1", False),
    ],
)
def test_a_lease_lives_while_its_holder_may(
    state: str, age_s: int, holder: str, is_live: bool
) -> None:
    now = utc_now()
    row = LeaseRow("k", 1, "a", state, now + timedelta(seconds=600 - age_s), holder)
    assert row.is_live(now) is is_live
