"""What is new for an entity, and how few of its peers show it, all from ``entity_activity``."""

from collections.abc import Callable
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.activity import DIMENSION_NAMES, HORIZONS, PROGRAM_PAIRS
from shoal.features.activity import bounded_sum
from shoal.features.daily import ENTITY, KEY, beacon_regularity
from shoal.features.values import escaped, program_of_pair
from shoal.spark.days import Windows

PAIR = [*ENTITY, "dimension", "value"]
SURPRISE_SHRINKAGE = 10
"""Entities of all by whom a slice's share of a value is smoothed: one of four is not a quarter."""
FEW_PEERS_MBIT = 3322
"""Surprise of a value that a tenth of the peers show; of more, few do."""
_VALUE = ["entity_type", "dimension", "value"]
_SHARED = ("entities_sharing", "population", "slice_sharing", "slice_population")
_SHOWN = ("slice_within", "fleet_within", "is_rare_day")
NOT_NEW = {"new": "own_within", "peer_new": "slice_within", "fleet_new": "fleet_within"}
"""For whom a value is new, and the column that says within how many days it is not."""


def aggregate_novelty(seen: DataFrame, own: DataFrame) -> DataFrame:
    """Count and weigh each entity's values that are new for it, or that few peers show, by day.

    Surprise is summed in whole millibits, so that no sum depends on the order of rows.

    Parameters
    ----------
    seen : as :func:`compare_with_past` yields; read more than once, so better kept
    own : activity of the days
    """
    beacon = beacon_regularity(F.col("gap_counts"), F.col("hour_counts"))
    peers = own.where(F.col("dimension") == "peer_address").select(
        *KEY, "dimension", "value", "bytes_out", beacon.alias("regularity")
    )
    by_dimension = (
        seen.transform(_add_excess)
        .join(peers, [*KEY, "dimension", "value"], how="left")
        .groupBy(*KEY, "dimension")
        .agg(
            F.max("has_past").alias("has_past"),
            *(measure.alias(name) for name, measure in _measures().items()),
            *(measure.alias(name) for name, measure in _shown_before().items()),
            *(F.max(column).alias(column) for column in NOT_NEW.values()),
        )
    )
    # By dimension first, then side by side: two hundred sums under conditions are too long a
    # function for the JVM to compile.
    entry = F.struct("dimension", F.struct(*_measures()))
    is_total = F.col("dimension") == "total"
    grouped = by_dimension.groupBy(*KEY).agg(
        F.max("has_past").alias("has_past"),
        F.map_from_entries(F.collect_list(entry)).alias("measures"),
        *(F.sum(F.when(~is_total, F.col(name))).alias(name) for name in _shown_before()),
        # Of the total, which every day has: whether there was a day before that anybody was there.
        *(F.max(F.when(is_total, F.col(c))).isNotNull().alias(c) for c in NOT_NEW.values()),
    )
    features = {**_of_dimensions(), **_of_pairs(), **_of_rare_peers()}
    need_past = {
        name: F.when(F.col("has_past"), column) if name.startswith("new_") else column
        for name, column in features.items()
    }
    of_days = {**need_past, **_of_windows()}
    return grouped.select(*KEY, *(column.alias(name) for name, column in of_days.items()))


def _measures() -> dict[str, Column]:
    """Aggregates of the values of one dimension."""
    surprise = F.col("surprise_mbit")
    is_rare = surprise > FEW_PEERS_MBIT
    # Zeros, not nulls: a bounded sum takes null for one that has overflowed.
    sent = F.coalesce(F.when(is_rare, F.col("bytes_out")), F.lit(0))
    return {
        "new_count": F.count_if("is_new"),
        "rare_count": F.count_if("is_rare"),
        "surprise_sum": F.sum(surprise),
        "surprise_max": F.max(surprise),
        "new_surprise_sum": F.sum(F.when(F.col("is_new"), surprise)),
        "excess_sum": F.sum("excess_mbit"),
        "excess_max": F.max("excess_mbit"),
        "rare_bytes_out": bounded_sum(sent),
        "rare_regularity": F.max(F.when(is_rare, F.col("regularity"))),
    }


def _shown_before() -> dict[str, Column]:
    """Aggregates of the values of one dimension, by how long ago they were shown before."""
    counts = {
        f"{whose}_value_count_{days}d": F.count_if(F.col(within).isNull() | (F.col(within) > days))
        for whose, within in NOT_NEW.items()
        for days in HORIZONS
    }
    return {**counts, "rare_day_value_count": F.count_if("is_rare_day")}


def _of_windows() -> dict[str, Column]:
    """Counts of values of any dimension; not known without a past of who they are held against."""
    features = {
        f"{whose}_value_count_{days}d": F.when(
            F.col(within), F.coalesce(F.col(f"{whose}_value_count_{days}d"), F.lit(0))
        )
        for whose, within in NOT_NEW.items()
        for days in HORIZONS
    }
    rare_days = F.coalesce(F.col("rare_day_value_count"), F.lit(0))
    return {**features, "rare_day_value_count": F.when(F.col("fleet_within"), rare_days)}


def _measure(dimension: str, name: str) -> Column:
    return F.coalesce(F.col("measures")[dimension][name], F.lit(0))


def _of_dimensions() -> dict[str, Column]:
    """Counts of values, and their surprises in bits; of no value there is none."""
    features = {}
    for name in DIMENSION_NAMES:
        features[f"new_{name}_count"] = _measure(name, "new_count")
        features[f"rare_{name}_count"] = _measure(name, "rare_count")
        features[f"{name}_surprise_sum"] = _measure(name, "surprise_sum") / 1000
        features[f"{name}_surprise_max"] = _measure(name, "surprise_max") / 1000
        features[f"new_{name}_surprise_sum"] = _measure(name, "new_surprise_sum") / 1000
    return features


def _of_pairs() -> dict[str, Column]:
    return {
        f"{name}_excess_surprise_{aggregate}": _measure(name, f"excess_{aggregate}") / 1000
        for name in PROGRAM_PAIRS
        for aggregate in ("sum", "max")
    }


def _of_rare_peers() -> dict[str, Column]:
    return {
        "rare_peer_bytes_out_sum": _measure("peer_address", "rare_bytes_out"),
        "rare_peer_beacon_regularity_max": _measure("peer_address", "rare_regularity"),
    }


def _add_excess(seen: DataFrame) -> DataFrame:
    """Add ``excess_mbit``: how far the surprise of a pair exceeds that of its program."""
    programs = seen.where(F.col("dimension") == "program").select(
        *KEY,
        escaped(F.col("value")).alias("pair_program"),
        F.col("surprise_mbit").alias("program_mbit"),
    )
    is_pair = F.col("dimension").isin(*PROGRAM_PAIRS)
    program = F.when(is_pair, program_of_pair(F.col("dimension"), F.col("value")))
    known = F.coalesce(F.col("program_mbit"), F.lit(0).cast("long"))
    excess = F.greatest(F.col("surprise_mbit") - known, F.lit(0).cast("long"))
    return (
        seen.withColumn("pair_program", program)
        .join(programs, [*KEY, "pair_program"], how="left")
        .withColumn("excess_mbit", F.when(is_pair, excess))
        .drop("pair_program", "program_mbit")
    )


def value_days(activity: DataFrame, peers: DataFrame, windows: Windows) -> DataFrame:
    """The days that each entity showed each value on, grain entity × dimension × value.

    Parameters
    ----------
    activity : the days and those they look back on, grain entity × day × dimension × value
    peers : the ``slice`` of every entity of ``activity``, and its ``image`` if it has one

    Returns
    -------
    with ``slice``, and the days as `Windows.seen` has them: of the entity itself, and
    of those whose past stands for its own (``kin``): of a container all of its image.
    """
    own = (
        activity.where(F.col("dimension").isin(*DIMENSION_NAMES, "total"))
        .groupBy(*PAIR)
        .agg(*windows.seen())
        .join(peers, ENTITY, how="inner")
    )
    of_image = ["entity_type", "image", "dimension", "value"]
    kin = own.where(F.col("image").isNotNull()).groupBy(*of_image)
    pairs = zip(windows.words("kin"), windows.words(), strict=True)
    return (
        own.join(kin.agg(*windows.seen_by_any("kin")), of_image, how="left")
        .withColumns({name: F.coalesce(name, word) for name, word in pairs})
        .drop("image")
    )


def compare_with_past(
    values: DataFrame, windows: Windows, *, novelty_days: int, rare_share: float
) -> DataFrame:
    """Hold each day's values against the window before it.

    All days are compared in one pass: a value is grouped once with the days it was seen on, and
    counted among its peers once for every day.

    Parameters
    ----------
    values : as :func:`value_days` yields; read more than once, so better kept
    novelty_days : what is new or rare for a day is so in this many days before it
    rare_share : a value is rare if at most this share of entities, or one, shows it

    Returns
    -------
    entity × day × dimension × value (of the dimensions compared, and ``total``) with
    ``entities_sharing`` (of the type, in the window or the day), ``population``, ``has_past``,
    ``is_new`` (false without a past), ``is_rare`` and ``surprise_mbit``: −log2, in thousandths of
    a bit, of the share of its slice that shows the value, smoothed by the share of all entities;
    ``own_within``, ``slice_within``, ``fleet_within``: the shortest of ``HORIZONS`` in which the
    entity, its slice or any of its type showed it before, null if none; ``is_rare_day``: any of its
    type showed it on at most ``rare_share`` of the days looked back on, or one.
    """
    novel = windows.narrowed(novelty_days)
    totals = values.where(F.col("dimension") == "total")
    had_past = totals.select(
        *ENTITY,
        _by_day(windows, lambda day: novel.in_past(day, "kin")).alias("past_by_day"),
    )
    place = F.col("seen.place")
    return (
        values.select(*PAIR, "slice", F.explode(_days_seen(windows, novel)).alias("seen"))
        .join(_sharing(values, windows, novel, rare_share), [*_VALUE, "slice"], how="inner")
        .join(F.broadcast(_population(totals, novel)), ["entity_type", "slice"], how="inner")
        .join(had_past, ENTITY, how="inner")
        .select(
            F.col("seen.event_date").alias("event_date"),
            *PAIR,
            F.col("seen.in_past").alias("in_past"),
            F.col("seen.own_within").alias("own_within"),
            *(F.get(f"{name}_by_day", place).alias(name) for name in (*_SHARED, *_SHOWN, "past")),
        )
        .withColumnRenamed("past", "has_past")
        .withColumn("is_new", F.col("has_past") & ~F.col("in_past"))
        .withColumn("is_rare", _is_few(rare_share))
        .withColumn("surprise_mbit", _surprise_mbit())
        .drop("in_past", "slice_sharing", "slice_population")
    )


def _sharing(values: DataFrame, windows: Windows, novel: Windows, rare_share: float) -> DataFrame:
    """Who shows a value, of each slice and of all.

    How many in a day's window or on the day, and when it was shown before.
    """
    in_slice = values.groupBy(*_VALUE, "slice").agg(
        _entities_by_day(novel).alias("slice_sharing_by_day"), *windows.seen_by_any()
    )
    in_all = in_slice.groupBy(*_VALUE).agg(
        _sum_by_day("slice_sharing_by_day", windows).alias("entities_sharing_by_day"),
        *windows.seen_by_any(),
    )
    shown = in_all.select(
        *_VALUE,
        "entities_sharing_by_day",
        _by_day(windows, lambda day: windows.within(day, HORIZONS)).alias("fleet_within_by_day"),
        _by_day(windows, lambda day: _is_rare_day(windows, day, rare_share)).alias(
            "is_rare_day_by_day"
        ),
    )
    return (
        in_slice.withColumn(
            "slice_within_by_day", _by_day(windows, lambda day: windows.within(day, HORIZONS))
        )
        .drop(*windows.words())
        .join(shown, _VALUE, how="inner")
    )


def _population(totals: DataFrame, windows: Windows) -> DataFrame:
    """Entities of each slice, and of all of the type, by day."""
    in_slice = totals.groupBy("entity_type", "slice").agg(
        _entities_by_day(windows).alias("slice_population_by_day")
    )
    in_all = in_slice.groupBy("entity_type").agg(
        _sum_by_day("slice_population_by_day", windows).alias("population_by_day")
    )
    return in_slice.join(in_all, ["entity_type"], how="inner")


def _by_day(windows: Windows, column: Callable[[date], Column]) -> Column:
    return F.array(*(column(day) for day, _ in windows.days))


def _entities_by_day(windows: Windows) -> Column:
    return _by_day(
        windows,
        lambda day: F.count_if(windows.in_day(day) | windows.in_past(day)).cast("long"),
    )


def _sum_by_day(counts: str, windows: Windows) -> Column:
    return F.array(*(F.sum(F.get(counts, F.lit(n))) for n in range(len(windows.days))))


def _is_rare_day(windows: Windows, day: date, rare_share: float) -> Column:
    """Whether the day is one of the few that a group was seen on."""
    limit = max(1.0, rare_share * (len(dict(windows.days)[day]) + 1))
    return windows.past_days_seen(day) + 1 <= F.lit(limit)


def _is_few(rare_share: float) -> Column:
    return F.col("entities_sharing") <= F.greatest(
        F.lit(1.0), F.lit(rare_share) * F.col("population")
    )


def _surprise_mbit() -> Column:
    share_of_all = F.col("entities_sharing") / F.col("population")
    share = (F.col("slice_sharing") + SURPRISE_SHRINKAGE * share_of_all) / (
        F.col("slice_population") + SURPRISE_SHRINKAGE
    )
    return F.round(-1000 * F.log2(share)).cast("long")


def _days_seen(windows: Windows, novel: Windows) -> Column:
    """The days that a value was seen on, each with its place in order and when it was before."""
    days = [
        F.when(
            windows.in_day(day),
            F.struct(
                F.lit(place).alias("place"),
                F.lit(day).alias("event_date"),
                novel.in_past(day, "kin").alias("in_past"),
                windows.within(day, HORIZONS, "kin").alias("own_within"),
            ),
        )
        for place, (day, _) in enumerate(windows.days)
    ]
    return F.filter(F.array(*days), lambda day: day.isNotNull())
