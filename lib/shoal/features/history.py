"""Weeks behind an entity's day: what it spreads over them, what it or its peers have and lack."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.activity import (
    HORIZONS,
    LASTING_DIMENSIONS,
    WEEKS_BEFORE,
    WINDOWED_DIMENSIONS,
)
from shoal.features.daily import ENTITY, KEY
from shoal.spark.days import Windows

COMMON_SHARE = 0.9
"""Share of a slice's entities from which on what they show within a week is what peers have."""
MIN_PEERS = 10
"""Entities of a slice below which nothing is said to be what peers have."""
_WEEK = HORIZONS[0]
_SLICE = ["event_date", "entity_type", "slice"]
_MEASURES = ("event_count", "bytes_out")


def aggregate_history(values: DataFrame, activity: DataFrame, windows: Windows) -> DataFrame:
    """Features of the weeks up to and with each day.

    Parameters
    ----------
    values : as `shoal.features.novelty.value_days` yields; read more than once, so better kept
    activity : the days and those they look back on, grain entity × day × dimension × value

    Returns
    -------
    entity × day of those days; also of days without activity, which are no entity's days
    """
    told = {"total", *WINDOWED_DIMENSIONS, *LASTING_DIMENSIONS}
    reached = (
        values.where(F.col("dimension").isin(sorted(told)))
        .select(
            *ENTITY, "slice", "dimension", "value", F.explode(_days_reached(windows)).alias("day")
        )
        .select("*", "day.*")
        .drop("day")
    )
    return (
        _aggregate_spread(reached)
        .join(_count_missing(reached), KEY, how="left")
        .join(_compare_amounts(activity, windows), KEY, how="left")
    )


def _days_reached(windows: Windows) -> Column:
    """The days in whose longest horizon a value was seen, with what that tells."""
    days = []
    for day, _ in windows.days:
        within = {n: windows.in_day(day) | windows.narrowed(n - 1).in_past(day) for n in HORIZONS}
        days.append(
            F.when(
                within[HORIZONS[-1]],
                F.struct(
                    F.lit(day).alias("event_date"),
                    *(within[n].alias(f"in_{n}d") for n in HORIZONS),
                    # On the same weekday of both weeks before: usual for the day.
                    windows.days_ago(day, *WEEKS_BEFORE).alias("is_usual"),
                    windows.in_day(day).alias("in_day"),
                    windows.seen_before(day, _WEEK).alias("is_old"),
                ),
            )
        )
    return F.filter(F.array(*days), lambda day: day.isNotNull())


def _aggregate_spread(reached: DataFrame) -> DataFrame:
    """Distinct values within each horizon, and usual ones that a day lacks."""
    counts = {f"in_{n}d": F.count_if(f"in_{n}d") for n in HORIZONS}
    counts["is_usual"] = F.count_if("is_usual")
    counts["is_lost"] = F.count_if(F.col("is_usual") & ~F.col("in_day"))
    by_dimension = reached.groupBy(*KEY, "dimension").agg(
        *(column.alias(name) for name, column in counts.items())
    )
    entry = F.struct("dimension", F.struct(*counts))
    measures = F.map_from_entries(F.collect_list(entry)).alias("measures")

    def of(dimension: str, name: str) -> Column:
        return F.coalesce(F.col("measures")[dimension][name], F.lit(0))

    features = {
        f"{dimension}_distinct_{n}d": of(dimension, f"in_{n}d")
        for dimension in WINDOWED_DIMENSIONS
        for n in HORIZONS
    }
    # Not known, rather than none, of who was not there itself: else the first days on which
    # anything can be missed would look like none before.
    was_there = of("total", "is_usual") > 0
    features |= {
        f"lost_{dimension}_count": F.when(was_there, of(dimension, "is_lost"))
        for dimension in LASTING_DIMENSIONS
    }
    return (
        by_dimension.groupBy(*KEY)
        .agg(measures)
        .select(*KEY, *(column.alias(name) for name, column in features.items()))
    )


def _count_missing(reached: DataFrame) -> DataFrame:
    """Values that nearly all peers showed within the week and the entity did not.

    Null for who was not there a week ago, and where peers are few.
    """
    week = reached.where("in_7d")
    lasting = F.col("dimension").isin(list(LASTING_DIMENSIONS))
    population = (
        week.where(F.col("dimension") == "total").groupBy(*_SLICE).agg(F.count("*").alias("peers"))
    )
    common = (
        week.where(lasting)
        .groupBy(*_SLICE, "dimension", "value")
        .agg(F.count("*").alias("sharing"))
        .join(population, _SLICE, how="inner")
        .where((F.col("peers") >= MIN_PEERS) & (F.col("sharing") >= COMMON_SHARE * F.col("peers")))
        .select(*_SLICE, "dimension", "value")
    )
    had = week.join(F.broadcast(common), [*_SLICE, "dimension", "value"], how="left_semi")
    known = population.where(F.col("peers") >= MIN_PEERS).select(*_SLICE)
    asked = known.join(common.groupBy(*_SLICE).agg(*_of_lasting("asked")), _SLICE, how="left")
    entities = week.where((F.col("dimension") == "total") & F.col("is_old")).select(*KEY, "slice")
    missing = {
        f"missing_{name}_count": F.coalesce(f"asked_{name}", F.lit(0))
        - F.coalesce(f"had_{name}", F.lit(0))
        for name in LASTING_DIMENSIONS
    }
    return (
        entities.join(F.broadcast(asked), _SLICE, how="inner")
        .join(had.groupBy(*KEY).agg(*_of_lasting("had")), KEY, how="left")
        .select(*KEY, *(column.alias(name) for name, column in missing.items()))
    )


def _of_lasting(prefix: str) -> list[Column]:
    return [
        F.count_if(F.col("dimension") == name).alias(f"{prefix}_{name}")
        for name in LASTING_DIMENSIONS
    ]


def _compare_amounts(activity: DataFrame, windows: Windows) -> DataFrame:
    """Amounts of a day beside those of the weeks before it, over the days with activity."""
    is_total = F.col("dimension") == "total"
    is_network = (F.col("dimension") == "category") & (F.col("value") == "network")
    totals = (
        activity.where(is_total | is_network)
        .groupBy(*KEY)
        .agg(
            F.max(F.when(is_total, F.col("event_count"))).cast("double").alias("event_count"),
            F.coalesce(F.max(F.when(is_network, F.col("bytes_out"))), F.lit(0))
            .cast("double")
            .alias("bytes_out"),
        )
        .withColumn("number", F.datediff("event_date", F.lit(windows.first_date)))
    )
    features: dict[str, Column] = {}
    by_entity = Window.partitionBy(*ENTITY).orderBy("number")
    by_weekday = Window.partitionBy(*ENTITY, F.col("number") % 7).orderBy("number")
    longest = HORIZONS[-1]
    for n in HORIZONS:
        within = by_entity.rangeBetween(1 - n, 0)
        features[f"active_days_{n}d"] = F.count("*").over(within)
        for name in _MEASURES:
            features[f"{name}_mean_{n}d"] = F.avg(name).over(within)
    for name in _MEASURES:
        before = F.avg(name).over(by_entity.rangeBetween(-longest, -1))
        weekday = F.avg(name).over(by_weekday.rangeBetween(-longest, -1))
        features[f"{name}_change_{longest}d"] = _doublings(F.col(name), before)
        features[f"{name}_change_weekday"] = _doublings(F.col(name), weekday)
    days = [day for day, _ in windows.days]
    return totals.select(*KEY, *(column.alias(name) for name, column in features.items())).where(
        F.col("event_date").isin(days)
    )


def _doublings(amount: Column, usual: Column) -> Column:
    """How often an amount is the double of the usual one; null without one."""
    return F.round(F.log2((amount + 1) / (usual + 1)), 9)
