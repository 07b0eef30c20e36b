"""What entities gained and lost, and which of it is a roll-out."""

from datetime import timedelta

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from tests.spark.test_features_step import DAY, days_of_programs

from shoal.features.changes import aggregate_changes, priority_of
from shoal.features.novelty import compare_with_past, value_days
from shoal.spark.days import Windows


def changes_of(spark: SparkSession, programs: dict[int, dict[str, str]]) -> list[Row]:
    """Changes of the last day; a letter is a program."""
    days = [DAY + timedelta(days=day - 1) for day in programs]
    activity = days_of_programs(spark, programs).localCheckpoint()
    peers = activity.select("entity_type", "entity_id").distinct()
    windows = Windows.of(days[-1:], days, 28)
    values = value_days(
        activity, peers.withColumns({"slice": F.lit("all"), "image": F.lit(None)}), windows
    )
    seen = compare_with_past(values, windows, novelty_days=14, rare_share=0.1)
    return aggregate_changes(values, seen, windows).collect()


def told(rows: list[Row]) -> set[tuple[str, str, str, int, bool]]:
    return {
        (r["entity_id"], r["change"], r["value"], r["entities_sharing"], r["is_rollout"])
        for r in rows
        if r["dimension"] == "program"
    }


def test_gains_and_losses_against_the_own_past(spark: SparkSession) -> None:
    usual = dict.fromkeys("abcd", "x")
    rows = changes_of(
        spark,
        {
            # Two weeks and one week ago, on the day's weekday; and the day.
            1: {**usual, "a": "xy"},
            8: {**usual, "a": "xy", "b": "xz"},
            15: {**usual, "a": "xv", "new": "x"},
        },
    )
    # z of b was there on one of the weeks only; who has no past has gained nothing.
    assert told(rows) == {("a", "gained", "v", 1, False), ("a", "lost", "y", 1, False)}
    assert {r["slice_entities"] for r in rows} == {5}


def test_who_is_not_there_has_lost_nothing(spark: SparkSession) -> None:
    usual = {"a": "x", "b": "xy"}
    assert changes_of(spark, {1: usual, 8: usual, 15: {"a": "x"}}) == []


def test_what_many_of_a_slice_gain_is_a_roll_out(spark: SparkSession) -> None:
    hosts = [f"h{n}" for n in range(9)]
    before = dict.fromkeys(hosts, "x")
    after = before | {"h0": "xnm", "h1": "xnm", "h2": "xn"}
    rows = changes_of(spark, {1: before, 8: before, 15: after})
    assert told(rows) == {
        *((host, "gained", "n", 3, True) for host in hosts[:3]),
        *((host, "gained", "m", 2, False) for host in hosts[:2]),
    }


def test_a_change_where_others_are_built_comes_first(spark: SparkSession) -> None:
    slices = ["role=build_runner|inside", "role=web_server", "inside|role=ci", "role=build_runner2"]
    frame = spark.createDataFrame([(name,) for name in slices], "slice string")
    given = {"role=build_runner": 3, "role=ci": 2, "inside": 1, "role=web_server": 0}
    found = frame.select(priority_of(F.col("slice"), given)).collect()
    assert [row[0] for row in found] == [3, 0, 2, 1]
    assert [row[0] for row in frame.select(priority_of(F.col("slice"), {})).collect()] == [1] * 4
