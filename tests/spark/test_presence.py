"""Who was there: silent entities, and what a score stands on; on made rows."""

from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession

from shoal.models.scoring import add_standing, silent_entities

NIGHT = date(2024, 1, 29)
KEYS = "event_date date, entity_type string, entity_id string, slice string"


def days_of(spark: SparkSession, ages: dict[str, list[int]]) -> DataFrame:
    rows = [
        (NIGHT - timedelta(days=age), "host", name, f"slice {age}")
        for name, own in ages.items()
        for age in own
    ]
    return spark.createDataFrame(rows, KEYS)


def test_who_was_there_on_the_weekday_in_both_weeks_before_is_missed(spark: SparkSession) -> None:
    presence = days_of(
        spark,
        {
            "there": [0, 7, 14],
            "silent": [3, 7, 14],
            "new": [7],
            "of another weekday": [1, 8, 15],
            "gone for good": [14, 21],
        },
    )
    [row] = silent_entities(presence, [NIGHT]).collect()
    assert (row.entity_id, row.slice, row.reason) == ("silent", "slice 7", "silent")
    assert row.detail == "there on 2024-01-15 and 2024-01-22, without an event on the day"


def test_nights_at_once_miss_whom_each_alone_misses(spark: SparkSession) -> None:
    presence = days_of(spark, {"a": [0, 1, 2, 7, 8, 9, 14, 15, 16], "b": [1, 7, 8, 14, 15]})
    nights = [NIGHT - timedelta(days=age) for age in (2, 1, 0)]
    rows = silent_entities(presence, nights).collect()
    assert [(row.event_date, row.entity_id) for row in rows] == [(NIGHT, "b")]


def test_what_a_score_stands_on(spark: SparkSession) -> None:
    presence = days_of(spark, {"old": [0, 1, 5, 28, 29], "new": [0], "unscored": [0]})
    judged = spark.createDataFrame(
        [
            (NIGHT, "host", "old", "x", 0.01, 0.001, 0.04),
            (NIGHT, "host", "new", "x", 0.01, 0.001, 0.2),
            (NIGHT, "host", "unscored", "x", None, None, None),
        ],
        f"{KEYS}, p_value double, p_value_low double, p_value_high double",
    )
    rows = add_standing(judged, presence, max_p_value=0.05).collect()
    found = {row.entity_id: (row.history_days, row.peers, row.is_undecided) for row in rows}
    assert found == {"old": (3, 1, False), "new": (0, 1, True), "unscored": (0, 2, None)}
