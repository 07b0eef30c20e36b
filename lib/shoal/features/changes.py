"""Configuration drift: what an entity gained against its own past, and what it lost of it."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.activity import CONFIGURATION_DIMENSIONS, WEEKS_BEFORE
from shoal.features.daily import ENTITY, KEY
from shoal.spark.days import Windows

ROLL_OUT_SHARE = 1 / 3
"""Share of a slice from which on the same change is a roll-out."""
MIN_ROLL_OUT = 3
"""Entities below which it is none, however small the slice."""
_CHANGE = ["event_date", "entity_type", "slice", "dimension", "value", "change"]


def priority_of(slice_name: Column, priorities: Mapping[str, int]) -> Column:
    """The largest priority of the labels that a slice is made of; 1 if it has none."""
    own = F.split(slice_name, r"\|")
    known = [
        F.when(F.array_contains(own, F.lit(label)), F.lit(priority)).otherwise(F.lit(None))
        for label, priority in sorted(priorities.items())
    ]
    # The second null is for the function, which wants two columns at least.
    largest = F.greatest(*known, F.lit(None), F.lit(None)) if known else F.lit(None)
    return F.coalesce(largest, F.lit(1)).cast("int")


def aggregate_changes(values: DataFrame, seen: DataFrame, windows: Windows) -> DataFrame:
    """Find what each entity gained and lost on each day.

    Gained is what it did not show within the novelty window, lost what it showed on the weekday in
    both weeks before and does not show today, being there itself.

    Parameters
    ----------
    values : as `shoal.features.novelty.value_days` yields
    seen : as `shoal.features.novelty.compare_with_past` yields for the days

    Returns
    -------
    entity × day × dimension × value, of what stays on a machine: ``change``, ``slice``,
    ``entities_sharing`` (of the slice, with the same change), ``slice_entities`` (there that day)
    and ``is_rollout``
    """
    is_configuration = F.col("dimension").isin(list(CONFIGURATION_DIMENSIONS))
    there = (
        seen.where(F.col("dimension") == "total")
        .select(*KEY)
        .join(values.select(*ENTITY, "slice").distinct(), ENTITY, how="inner")
    )
    gained = (
        seen.where(is_configuration & F.col("is_new"))
        .select(*KEY, "dimension", "value", F.lit("gained").alias("change"))
        .join(there, KEY, how="inner")
    )
    lost_days = F.filter(
        F.array(
            *(
                F.when(windows.days_ago(day, *WEEKS_BEFORE) & ~windows.in_day(day), F.lit(day))
                for day, _ in windows.days
            )
        ),
        lambda day: day.isNotNull(),
    )
    lost = (
        values.where(is_configuration)
        .select(*ENTITY, "dimension", "value", F.explode(lost_days).alias("event_date"))
        .withColumn("change", F.lit("lost"))
        .join(there, KEY, how="inner")
    )
    changes = gained.unionByName(lost)
    slices = there.groupBy("event_date", "entity_type", "slice").agg(
        F.count(F.lit(1)).alias("slice_entities")
    )
    sharing = F.count(F.lit(1)).over(Window.partitionBy(*_CHANGE))
    return (
        changes.withColumn("entities_sharing", sharing)
        .join(slices, ["event_date", "entity_type", "slice"], how="inner")
        .withColumn(
            "is_rollout",
            (F.col("entities_sharing") >= MIN_ROLL_OUT)
            & (F.col("entities_sharing") >= ROLL_OUT_SHARE * F.col("slice_entities")),
        )
    )
