"""Features of an entity's day, all from ``entity_activity``."""

import math
from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.entities import GAP_BINS, HOUR_SLOTS
from shoal.contracts.features import FEATURE_NAMES

ENTITY = ["entity_type", "entity_id"]
KEY = ["event_date", *ENTITY]
BEACON_MIN_GAPS = 24
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
    activity: DataFrame, novelty: DataFrame, peers: DataFrame, *, profile_terms: int
) -> DataFrame:
    """Aggregate days of activity to one row of features an entity and day.

    Parameters
    ----------
    activity : the days, grain entity × day × dimension × value
    novelty : as `shoal.features.novelty.aggregate_novelty` yields for them
    peers : the ``slice`` of every entity
    profile_terms : most terms kept in ``profile``

    Returns
    -------
    entity × day: the keys, ``slice``, every built-in feature as double, and ``profile``.
    """
    measured = (
        _aggregate_measures(activity, profile_terms)
        .join(novelty, KEY, how="left")
        .join(peers, ENTITY, how="inner")
    )
    doubles = [F.col(name).cast("double").alias(name) for name in FEATURE_NAMES]
    return measured.select(*KEY, "slice", *doubles, "profile")


def of_dimension(dimension: str, measure: str | Column) -> Column:
    """A measure of the rows of one dimension; null for the others."""
    column = F.col(measure) if isinstance(measure, str) else measure
    return F.when(F.col("dimension") == dimension, column)


def _category(kind: str, measure: str) -> Column:
    is_kind = (F.col("dimension") == "category") & (F.col("value") == kind)
    return F.coalesce(F.max(F.when(is_kind, F.col(measure))), F.lit(0))


def _aggregate_measures(activity: DataFrame, profile_terms: int) -> DataFrame:
    total = {
        name: F.max(of_dimension("total", name))
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
    beacon = of_dimension(
        "peer_address", beacon_regularity(F.col("gap_counts"), F.col("hour_counts"))
    )
    grouped = activity.groupBy(*KEY).agg(
        *(column.alias(f"total_{name}") for name, column in total.items()),
        *(_category(kind, "event_count").alias(f"{kind}_count") for kind in _CATEGORIES),
        _category("auth", "failed_count").alias("logon_failed_count"),
        _category("network", "failed_count").alias("network_failed_count"),
        *(F.count(of_dimension(name, "value")).alias(f"{name}_distinct") for name in _DISTINCT),
        *(
            _share(
                F.max(of_dimension(name, "event_count")), F.sum(of_dimension(name, "event_count"))
            ).alias(f"{name}_top_share")
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
