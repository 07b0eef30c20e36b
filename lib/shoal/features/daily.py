"""Features of an entity's day, all from ``entity_activity``."""

import math
from collections.abc import Callable, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.entities import GAP_BINS, HOUR_SLOTS
from shoal.contracts.features import (
    FEATURE_NAMES,
    NOVEL_DIMENSIONS,
    PROGRAM_PAIRS,
    SURPRISE_DIMENSIONS,
)
from shoal.features.activity import bounded_sum
from shoal.features.dimensions import escaped, program_of_pair
from shoal.spark.days import Windows

ENTITY = ["entity_type", "entity_id"]
KEY = ["event_date", *ENTITY]
PAIR = [*ENTITY, "dimension", "value"]
_VALUE = ["entity_type", "dimension", "value"]
_SHARED = ("entities_sharing", "population", "slice_sharing", "slice_population")
BEACON_MIN_GAPS = 24
SURPRISE_SHRINKAGE = 10
"""Entities of all by whom a slice's share of a value is smoothed: one of four is not a quarter."""
FEW_PEERS_MBIT = 3322
"""Surprise of a value that a tenth of the peers show; of more, few do."""
_CATEGORIES = ("process", "network", "file", "auth")
_DISTINCT = (
    "program",
    "parent_child",
    "user",
    "host",
    "peer_address",
    "peer_network",
    "port",
    "program_port",
    "program_network",
)
_TOP_SHARES = ("program", "peer_address", "port")


def aggregate_features(
    activity: DataFrame,
    peers: DataFrame,
    *,
    days: Sequence[date],
    past_days: Sequence[date],
    novelty_days: int,
    rare_share: float,
    profile_terms: int,
) -> DataFrame:
    """Aggregate some days of activity to one row of features an entity and day.

    Parameters
    ----------
    activity : the days and those they look back on, grain entity × day × dimension × value
    peers : the ``slice`` of every entity of ``activity``
    days : to aggregate, in order
    past_days : days of ``activity`` that may be looked back on
    novelty_days : a day looks back on those of the ``novelty_days`` before it
    rare_share : a value is rare if at most this share of entities, or one, shows it
    profile_terms : most terms kept in ``profile``

    Returns
    -------
    entity × day: the keys, ``slice``, every built-in feature as double, and ``profile``.
    """
    windows = Windows.of(days, past_days, novelty_days)
    own = activity.where(F.col("event_date").isin(list(days)))
    seen = compare_with_past(activity, peers, windows, rare_share=rare_share)
    measured = (
        _aggregate_measures(own, profile_terms)
        .join(_aggregate_novelty(seen, own), KEY, how="left")
        .join(peers, ENTITY, how="inner")
    )
    doubles = [F.col(name).cast("double").alias(name) for name in FEATURE_NAMES]
    return measured.select(*KEY, "slice", *doubles, "profile")


def _of(dimension: str, measure: str | Column) -> Column:
    column = F.col(measure) if isinstance(measure, str) else measure
    return F.when(F.col("dimension") == dimension, column)


def _category(kind: str, measure: str) -> Column:
    is_kind = (F.col("dimension") == "category") & (F.col("value") == kind)
    return F.coalesce(F.max(F.when(is_kind, F.col(measure))), F.lit(0))


def _aggregate_measures(activity: DataFrame, profile_terms: int) -> DataFrame:
    total = {
        name: F.max(_of("total", name))
        for name in (
            "event_count",
            "bytes_in",
            "bytes_out",
            "packets",
            "timed_count",
            "duration_us",
            "duration_ms2",
            "command_line_count",
            "command_line_length",
            "command_line_entropy_mbit",
            "hour_counts",
        )
    }
    beacon = _of("peer_address", beacon_regularity(F.col("gap_counts"), F.col("hour_counts")))
    grouped = activity.groupBy(*KEY).agg(
        *(column.alias(f"total_{name}") for name, column in total.items()),
        *(_category(kind, "event_count").alias(f"{kind}_count") for kind in _CATEGORIES),
        _category("auth", "failed_count").alias("logon_failed_count"),
        _category("network", "failed_count").alias("network_failed_count"),
        *(F.count(_of(name, "value")).alias(f"{name}_distinct") for name in _DISTINCT),
        *(
            _share(F.max(_of(name, "event_count")), F.sum(_of(name, "event_count"))).alias(
                f"{name}_top_share"
            )
            for name in _TOP_SHARES
        ),
        F.coalesce(F.max(beacon), F.lit(0.0)).alias("beacon_regularity_max"),
        _profile(profile_terms).alias("profile"),
    )
    return _add_derived(grouped)


def _add_derived(grouped: DataFrame) -> DataFrame:
    """Add the features that are arithmetic on the day's totals."""
    timed = F.col("total_timed_count")
    mean_s = _share(F.col("total_duration_us"), timed) / 1e6
    mean_square = _share(F.col("total_duration_ms2"), timed) / 1e6
    hours = F.col("total_hour_counts")
    busiest = F.array_max(hours)
    commands = F.col("total_command_line_count")
    # As doubles: the sum of two sums may be more than a long holds.
    bytes_out = F.col("total_bytes_out").cast("double")
    bytes_in = F.col("total_bytes_in").cast("double")
    return grouped.withColumns(
        {
            "event_count": F.col("total_event_count"),
            "network_failed_share": _share(F.col("network_failed_count"), F.col("network_count")),
            "bytes_out_sum": bytes_out,
            "bytes_in_sum": bytes_in,
            "bytes_out_share": _share(bytes_out, bytes_out + bytes_in),
            "packet_sum": F.col("total_packets"),
            "duration_mean_s": mean_s,
            # Not greatest alone: it passes over the null of a day without durations.
            "duration_sd_s": F.when(
                timed > 0, F.sqrt(F.greatest(mean_square - mean_s * mean_s, F.lit(0.0)))
            ),
            "active_hours": F.size(F.filter(hours, lambda count: count > 0)),
            "hour_top_share": _share(busiest, F.col("total_event_count")),
            "hour_cos": _hour_circle(hours, math.cos),
            "hour_sin": _hour_circle(hours, math.sin),
            "command_line_length_mean": _share(F.col("total_command_line_length"), commands),
            "command_line_entropy_mean": _share(F.col("total_command_line_entropy_mbit"), commands)
            / 1000,
        }
    )


def _share(part: Column, whole: Column) -> Column:
    """``part / whole`` as double; null where there is nothing to share."""
    return F.when(whole > 0, part.cast("double") / whole.cast("double"))


def _hour_circle(hours: Column, function: Callable[[float], float]) -> Column:
    """Mean position of the events' hours on a circle, one coordinate in [−1, 1]."""
    total = sum(
        (
            F.get(hours, slot).cast("double") * function(2 * math.pi * (slot + 0.5) / HOUR_SLOTS)
            for slot in range(HOUR_SLOTS)
        ),
        start=F.lit(0.0),
    )
    # Rounded: a sum of doubles in a fixed order is exact to repeat, but reads better so.
    return F.round(total / F.aggregate(hours, F.lit(0).cast("long"), lambda a, b: a + b), 9)


def beacon_regularity(gap_counts: Column, hour_counts: Column) -> Column:
    """How regular and lasting a peer's traffic is, 0 to 1.

    One minus the entropy of the gaps of 1 s and more over its largest possible value, times the
    share of such gaps among all (shorter ones are bursts), times the share of hours with traffic;
    0 below ``BEACON_MIN_GAPS`` gaps.
    """
    zero = F.lit(0).cast("long")
    count = F.aggregate(gap_counts, zero, lambda total, gap: total + gap)
    lasting = F.slice(gap_counts, 2, GAP_BINS - 1)
    lasting_count = F.aggregate(lasting, zero, lambda total, gap: total + gap)

    def surprise(total: Column, gap: Column) -> Column:
        share = F.try_divide(gap, lasting_count)
        return total - F.when(gap > 0, share * F.log(share)).otherwise(F.lit(0.0))

    regular = 1 - F.aggregate(lasting, F.lit(0.0), surprise) / math.log(GAP_BINS - 1)
    lasting_share = _share(lasting_count, count)
    hours = F.size(F.filter(hour_counts, lambda slot: slot > 0)) / HOUR_SLOTS
    return F.when(count >= BEACON_MIN_GAPS, regular * lasting_share * hours).otherwise(F.lit(0.0))


def _aggregate_novelty(seen: DataFrame, own: DataFrame) -> DataFrame:
    """Count and weigh each entity's values that are new for it, or that few peers show, by day.

    Surprise is summed in whole millibits, so that no sum depends on the order of rows.
    """
    aggregates = [F.max("has_past").alias("has_past")]
    for dimension in NOVEL_DIMENSIONS:
        is_dimension = F.col("dimension") == dimension
        is_new = is_dimension & F.col("is_new")
        aggregates.append(F.count_if(is_new).alias(f"new_{dimension}_count"))
        is_rare = is_dimension & F.col("is_rare")
        aggregates.append(F.count_if(is_rare).alias(f"rare_{dimension}_count"))
    for dimension in SURPRISE_DIMENSIONS:
        surprise = _of(dimension, "surprise_mbit")
        new_surprise = F.when(F.col("is_new"), surprise)
        for name, total in (
            (f"{dimension}_surprise_sum", F.sum(surprise)),
            (f"{dimension}_surprise_max", F.max(surprise)),
            (f"new_{dimension}_surprise_sum", F.sum(new_surprise)),
        ):
            aggregates.append((F.coalesce(total, F.lit(0)) / 1000).alias(name))
    for dimension in PROGRAM_PAIRS:
        excess = _of(dimension, "excess_mbit")
        for aggregate, total in (("sum", F.sum(excess)), ("max", F.max(excess))):
            name = f"{dimension}_excess_surprise_{aggregate}"
            aggregates.append((F.coalesce(total, F.lit(0)) / 1000).alias(name))
    rare_peers = _of("peer_address", F.col("surprise_mbit") > FEW_PEERS_MBIT)
    beacon = beacon_regularity(F.col("gap_counts"), F.col("hour_counts"))
    measures = own.where(F.col("dimension") == "peer_address").select(
        *KEY, "dimension", "value", "bytes_out", beacon.alias("regularity")
    )
    grouped = (
        seen.transform(_add_excess)
        .join(measures, [*KEY, "dimension", "value"], how="left")
        .groupBy(*KEY)
        .agg(
            *aggregates,
            F.coalesce(bounded_sum(F.when(rare_peers, F.col("bytes_out"))), F.lit(0)).alias(
                "rare_peer_bytes_out_sum"
            ),
            F.coalesce(F.max(F.when(rare_peers, F.col("regularity"))), F.lit(0.0)).alias(
                "rare_peer_beacon_regularity_max"
            ),
        )
    )
    without_past = {
        name: F.when(F.col("has_past"), F.col(name))
        for name in (
            *(f"new_{dimension}_count" for dimension in NOVEL_DIMENSIONS),
            *(f"new_{dimension}_surprise_sum" for dimension in SURPRISE_DIMENSIONS),
        )
    }
    return grouped.withColumns(without_past).drop("has_past")


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


def compare_with_past(
    activity: DataFrame, peers: DataFrame, windows: Windows, *, rare_share: float
) -> DataFrame:
    """Hold each day's values against the window before it.

    All days are compared in one pass over the activity of all windows: a value is grouped once
    with the days it was seen on, and counted among its peers once for every day.

    Returns
    -------
    entity × day × dimension × value (of the dimensions compared, and ``total``) with
    ``entities_sharing`` (of the type, in the window or the day), ``population``, ``has_past``,
    ``is_new`` (false without a past), ``is_rare`` and ``surprise_mbit``: −log2, in thousandths of
    a bit, of the share of its slice that shows the value, smoothed by the share of all entities.
    """
    compared = [*SURPRISE_DIMENSIONS, "total"]
    pairs = (
        activity.where(F.col("dimension").isin(compared))
        .groupBy(*PAIR)
        .agg(*windows.seen())
        .join(peers, ENTITY, how="inner")
    )
    totals = pairs.where(F.col("dimension") == "total")
    had_past = totals.select(
        *ENTITY, F.array(*(windows.in_past(day) for day, _ in windows.days)).alias("past_by_day")
    )
    place = F.col("seen.place")
    return (
        pairs.select(*PAIR, "slice", F.explode(_days_seen(windows)).alias("seen"))
        .join(_sharing(pairs, windows), [*_VALUE, "slice"], how="inner")
        .join(F.broadcast(_population(totals, windows)), ["entity_type", "slice"], how="inner")
        .join(had_past, ENTITY, how="inner")
        .select(
            F.col("seen.event_date").alias("event_date"),
            *PAIR,
            F.col("seen.in_past").alias("in_past"),
            *(F.get(f"{name}_by_day", place).alias(name) for name in (*_SHARED, "past")),
        )
        .withColumn("has_past", F.col("past"))
        .withColumn("is_new", F.col("has_past") & ~F.col("in_past"))
        .withColumn("is_rare", _is_few(rare_share))
        .withColumn("surprise_mbit", _surprise_mbit())
        .drop("in_past", "past", "slice_sharing", "slice_population")
    )


def _sharing(pairs: DataFrame, windows: Windows) -> DataFrame:
    """Entities that show a value in a day's window or on the day: of each slice, and of all."""
    in_slice = pairs.groupBy(*_VALUE, "slice").agg(
        _entities_by_day(windows).alias("slice_sharing_by_day")
    )
    return _with_whole(in_slice, windows, _VALUE, "slice_sharing_by_day", "entities_sharing_by_day")


def _population(totals: DataFrame, windows: Windows) -> DataFrame:
    """Entities of each slice, and of all of the type, by day."""
    in_slice = totals.groupBy("entity_type", "slice").agg(
        _entities_by_day(windows).alias("slice_population_by_day")
    )
    return _with_whole(
        in_slice, windows, ["entity_type"], "slice_population_by_day", "population_by_day"
    )


def _entities_by_day(windows: Windows) -> Column:
    return F.array(
        *(
            F.count_if(windows.in_day(day) | windows.in_past(day)).cast("long")
            for day, _ in windows.days
        )
    )


def _with_whole(
    in_slice: DataFrame, windows: Windows, keys: list[str], part: str, whole: str
) -> DataFrame:
    """Add the sum over all slices of a count by day."""
    sums = F.array(*(F.sum(F.get(part, F.lit(n))) for n in range(len(windows.days))))
    return in_slice.join(in_slice.groupBy(*keys).agg(sums.alias(whole)), keys, how="inner")


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


def _days_seen(windows: Windows) -> Column:
    """The days that a value was seen on, each with its place in order and whether also before."""
    days = [
        F.when(
            windows.in_day(day),
            F.struct(
                F.lit(place).alias("place"),
                F.lit(day).alias("event_date"),
                windows.in_past(day).alias("in_past"),
            ),
        )
        for place, (day, _) in enumerate(windows.days)
    ]
    return F.filter(F.array(*days), lambda day: day.isNotNull())


def _profile(profile_terms: int) -> Column:
    """The commonest programs and ports of an entity's day, most events first, then by name."""
    is_term = F.col("dimension").isin("program", "port")
    term = F.struct(
        (-F.col("event_count")).alias("rank"), F.concat_ws("=", "dimension", "value").alias("term")
    )
    ordered = F.sort_array(F.collect_list(F.when(is_term, term)))
    kept = F.slice(ordered, 1, profile_terms)
    terms = F.transform(
        kept, lambda item: F.struct(item["term"].alias("term"), (-item["rank"]).alias("count"))
    )
    return F.when(F.count_if(is_term) > 0, terms)
