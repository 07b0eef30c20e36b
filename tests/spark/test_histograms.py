"""Histograms of features, counted by Spark as one by one, and what is made of them."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from shoal.contracts import ENTITY_FEATURES
from shoal.contracts.features import FEATURE_NAMES
from shoal.kernels.histograms import MISSING, bins_of
from shoal.models.feature_drift import compare_features
from shoal.models.histograms import aggregate_histograms

FIRST = date(2026, 9, 1)
_COLUMNS = ["event_date", "entity_type", "entity_id", "feature_set", "slice", "values"]


def entity_days(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    names = [*_COLUMNS, *FEATURE_NAMES]
    schema = ENTITY_FEATURES.subset(names)
    for field in schema.fields:
        field.nullable = True
    return spark.createDataFrame([tuple(row.get(name) for name in names) for row in rows], schema)


def builtin(day: int, name: str, slice_name: str, **features: float | None) -> dict[str, Any]:
    return {
        "event_date": FIRST + timedelta(days=day), "entity_type": "host", "entity_id": name,
        "feature_set": "builtin", "slice": slice_name, **features,
    }  # fmt: skip


def ready(name: str, **features: float | None) -> dict[str, Any]:
    return {
        "event_date": FIRST, "entity_type": "flow", "entity_id": name, "feature_set": "values",
        "slice": "all", "values": [{"name": n, "value": v} for n, v in features.items()],
    }  # fmt: skip


def test_counts_are_those_of_the_values(spark: SparkSession) -> None:
    rows = [
        builtin(0, "a", "x", event_count=5.0, bytes_out_share=0.25),
        builtin(0, "b", "x", event_count=5.0, bytes_out_share=None),
        builtin(0, "c", "y", event_count=0.0, bytes_out_share=float("nan")),
        builtin(1, "a", "x", event_count=7e9, bytes_out_share=-1.0),
        ready("f", speed=3.0, odd=None),
        ready("g", speed=-3.0, odd=2.0),
    ]
    found = {
        (r["event_date"].day, r["slice"], r["feature"]): (
            r["entities"], r["missing"], {b["bin"]: b["count"] for b in r["bins"]}
        )
        for r in aggregate_histograms(entity_days(spark, rows).repartition(3)).collect()
    }  # fmt: skip
    five, quarter, zero, speed = (int(bins_of(v)) for v in (5.0, 0.25, 0.0, 3.0))
    assert found == {
        (1, "x", "event_count"): (2, 0, {five: 2}),
        (1, "y", "event_count"): (1, 0, {zero: 1}),
        (1, "*", "event_count"): (3, 0, {zero: 1, five: 2}),
        (1, "x", "bytes_out_share"): (2, 1, {quarter: 1}),
        (1, "*", "bytes_out_share"): (3, 2, {quarter: 1}),
        (2, "x", "event_count"): (1, 0, {int(bins_of(7e9)): 1}),
        (2, "*", "event_count"): (1, 0, {int(bins_of(7e9)): 1}),
        (2, "x", "bytes_out_share"): (1, 0, {int(bins_of(-1.0)): 1}),
        (2, "*", "bytes_out_share"): (1, 0, {int(bins_of(-1.0)): 1}),
        (1, "all", "speed"): (2, 0, {-speed: 1, speed: 1}),
        (1, "*", "speed"): (2, 0, {-speed: 1, speed: 1}),
        (1, "all", "odd"): (2, 1, {int(bins_of(2.0)): 1}),
        (1, "*", "odd"): (2, 1, {int(bins_of(2.0)): 1}),
    }
    assert MISSING not in {b for _, _, bins in found.values() for b in bins}


@pytest.mark.parametrize("factor", [1.0, 1000.0], ids=["as ever", "another unit"])
def test_a_last_day_is_held_against_the_weeks_before(spark: SparkSession, factor: float) -> None:
    """From rows of features, all entities of two slices, to a status."""
    rng = np.random.default_rng(0)
    n_days, n_entities = 36, 40
    rows = [
        builtin(
            day, f"h{n}", "x" if n % 2 else "y",
            event_count=float(np.round(rng.lognormal(4, 0.5))),
            duration_mean_s=float(rng.lognormal(0, 0.5)) * (factor if day == n_days - 1 else 1),
        )
        for day in range(n_days)
        for n in range(n_entities)
    ]  # fmt: skip
    histograms = aggregate_histograms(entity_days(spark, rows))
    last = FIRST + timedelta(days=n_days - 1)
    found = compare_features(histograms, [last], min_entities=20).collect()
    assert len(found) == 2 * 2 * 3  # comparisons, features, slices
    moved = {(r["slice"], r["feature"]) for r in found if r["status"] == "drift"}
    if factor == 1.0:
        assert moved == set()
    else:
        assert moved == {(name, "duration_mean_s") for name in ("x", "y", "*")}
        ratios = [r["size_ratio"] for r in found if r["status"] == "drift"]
        assert ratios == pytest.approx([1000.0] * 6, rel=0.5)
