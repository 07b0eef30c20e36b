"""Who may come on the list, by every kind of threshold and by slice."""

from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter
from pyspark.sql import SparkSession

from shoal.config.schema import Outliers, Threshold
from shoal.models.thresholds import ListPolicy

NIGHTS = (date(2026, 3, 5), date(2026, 3, 6))
SCHEMA = (
    "event_date date, entity_type string, entity_id string, slice string, p_value double, "
    "anomaly_score double, log_density double, centroid_distance double, "
    "centroid_distance_z double, centroid_distance_p95_ratio double"
)


def strange(spark: SparkSession, threshold: dict[str, Any], **slices: Any) -> list[str]:
    """Entities of the first night beyond a threshold, of a slice of ten and one of four.

    The n-th strangest of a slice is the n-th by every column.
    """
    rows = []
    for night in NIGHTS:
        for name, size in (("web", 10), ("dc", 4)):
            for place in range(1, size + 1):
                score = 4.0 / place + (name == "dc") * 0.01
                rows.append(
                    (night, "host", f"{name}-{place:02d}", name, 10**-score, score,
                     10.0 * place, 20.0 - place, 6.0 - place, 3.5 / place)
                )  # fmt: skip
    parse = TypeAdapter(Threshold).validate_python
    policy = ListPolicy.of(
        Outliers(
            threshold=parse(threshold),
            slice_thresholds={name: parse(value) for name, value in slices.items()},
        )
    )
    scores = spark.createDataFrame(rows, SCHEMA).withColumn("is_strange", policy.is_strange())
    found = scores.where("is_strange").select("event_date", "entity_id").collect()
    by_night = [sorted(name for day, name in found if day == night) for night in NIGHTS]
    assert by_night[0] == by_night[1]
    return by_night[0]


def first(web: int, dc: int) -> list[str]:
    """So many of the strangest of each slice."""
    return [f"dc-{n:02d}" for n in range(1, dc + 1)] + [f"web-{n:02d}" for n in range(1, web + 1)]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        ({"kind": "capacity"}, first(3, 3)),  # p of 10 ** -(4 / 3) is .046
        ({"kind": "percentile", "percentile": 99}, first(2, 2)),
        ({"kind": "cluster_p95"}, first(3, 3)),
        ({"kind": "mean_sd", "sd": 3.5}, first(2, 2)),
        ({"kind": "top_n", "n": 3}, first(1, 2)),
        ({"kind": "top_percent", "percent": 25}, first(2, 2)),  # 3.5 of 14: 4
        ({"kind": "fixed", "value": 3.9}, first(1, 1)),
        ({"kind": "fixed", "column": "log_density", "value": 25}, first(2, 2)),
        ({"kind": "fixed", "column": "centroid_distance", "value": 17.5}, first(2, 2)),
    ],
)
def test_every_kind(spark: SparkSession, threshold: dict[str, Any], expected: list[str]) -> None:
    assert strange(spark, threshold) == expected


def test_a_slice_has_its_own_and_the_others_are_ranked_without_it(spark: SparkSession) -> None:
    assert strange(spark, {"kind": "top_n", "n": 2}, dc={"kind": "top_n", "n": 1}) == first(2, 1)


def test_a_line_says_the_rule_of_its_slice() -> None:
    policy = ListPolicy.of(
        Outliers.model_validate(
            {"capacity": 9, "slice_thresholds": {"dc": {"kind": "mean_sd", "sd": 3.0}}}
        )
    )
    assert policy.told("web") == "capacity 9, p <= 0.05"
    assert policy.told("dc") == "capacity 9, mean + 3 sd of its cluster"
