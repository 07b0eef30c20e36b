"""Features of an entity's day, all from ``entity_activity``."""

import math
from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.activity import DIMENSIONS, FLAGS, KINDS, PROFILE_DIMENSIONS
from shoal.contracts.entities import GAP_BINS, HOUR_SLOTS
from shoal.contracts.features import FEATURE_NAMES, TEXTS, TOP_DIMENSIONS
from shoal.features.places import aggregate_travel
from shoal.features.slices import is_inside

ENTITY = ["entity_type", "entity_id"]
KEY = ["event_date", *ENTITY]
BEACON_MIN_GAPS = 24
_BEACONS = {"peer_address": "beacon_regularity_max", "web_address": "web_beacon_regularity_max"}
_TOTALS = ("event_count", "hour_counts")
_PARTS = (
    "event_count",
    "failed_count",
    "bytes_in",
    "bytes_out",
    "packets",
    "timed_count",
    "duration_us",
    "duration_ms2",
    "text_count",
    "text_length",
    "text_entropy_mbit",
)


def aggregate_features(
    activity: DataFrame,
    novelty: DataFrame,
    history: DataFrame,
    peers: DataFrame,
    *,
    profile_terms: int,
    home_networks: Sequence[str],
    address_databases: Sequence[str] = (),
) -> DataFrame:
    """Aggregate days of activity to one row of features an entity and day.

    Parameters
    ----------
    activity : the days, grain entity × day × dimension × value
    novelty : as `shoal.features.novelty.aggregate_novelty` yields for them
    history : as `shoal.features.history.aggregate_history` yields for them
    peers : the ``slice`` of every entity
    profile_terms : most terms kept in ``profile``
    home_networks : addresses outside these are external
    address_databases : paths of what `shoal.features.places` looks addresses up in

    Returns
    -------
    entity × day: the keys, ``slice``, every built-in feature as double, and ``profile``.
    """
    measured = (
        _aggregate_parts(activity, profile_terms)
        .join(_aggregate_values(activity, home_networks), KEY, how="left")
        .join(novelty, KEY, how="left")
        .join(history, KEY, how="left")
        .transform(_with_travel, activity, address_databases)
        .join(peers, ENTITY, how="inner")
    )
    doubles = [F.col(name).cast("double").alias(name) for name in FEATURE_NAMES]
    return measured.select(*KEY, "slice", *doubles, "profile")


def _with_travel(measured: DataFrame, activity: DataFrame, databases: Sequence[str]) -> DataFrame:
    if not databases:
        return measured.withColumn("travel_speed_max_kmh", F.lit(None).cast("double"))
    return measured.join(aggregate_travel(activity, databases), KEY, how="left")


def _by_value(dimension: str, measures: Sequence[str]) -> Column:
    """Aggregate of a dimension with few values: its measures by value, as a map."""
    entry = F.struct(F.col("value"), F.struct(*measures).alias("measures"))
    rows = F.collect_list(F.when(F.col("dimension") == dimension, entry))
    return F.map_from_entries(rows)


def _aggregate_parts(activity: DataFrame, profile_terms: int) -> DataFrame:
    """Features of the day's totals, and of its kinds of events and flags."""
    total = F.max(F.when(F.col("dimension") == "total", F.struct(*_TOTALS)))
    grouped = activity.groupBy(*KEY).agg(
        total.alias("total"),
        _by_value("category", _PARTS).alias("kinds"),
        _by_value("flag", ["event_count"]).alias("flags"),
        _profile(profile_terms).alias("profile"),
    )
    features = {**_of_totals(), **_of_connections(), **_of_kinds(), **_of_flags()}
    return grouped.select(
        *KEY, *(column.alias(name) for name, column in features.items()), "profile"
    )


def _of_totals() -> dict[str, Column]:
    """How much there was, and when."""
    hours = F.col("total.hour_counts")
    return {
        "event_count": F.col("total.event_count"),
        "active_hours": F.size(F.filter(hours, lambda count: count > 0)),
        "hour_top_share": _share(F.array_max(hours), F.col("total.event_count")),
        "hour_cos": _hour_circle(hours, math.cos),
        "hour_sin": _hour_circle(hours, math.sin),
    }


def _of_connections() -> dict[str, Column]:
    """Sizes and durations of connections alone: a request's bytes are its connection's, too."""
    timed = _part("kinds", "network", "timed_count")
    mean_s = _share(_part("kinds", "network", "duration_us"), timed) / 1e6
    mean_square = _share(_part("kinds", "network", "duration_ms2"), timed) / 1e6
    # As doubles: the sum of two sums may be more than a long holds.
    bytes_out = _part("kinds", "network", "bytes_out").cast("double")
    bytes_in = _part("kinds", "network", "bytes_in").cast("double")
    packets = _part("kinds", "network", "packets")
    return {
        "bytes_out_sum": bytes_out,
        "bytes_in_sum": bytes_in,
        "bytes_out_share": _share(bytes_out, bytes_out + bytes_in),
        "packet_sum": packets,
        "packet_bytes_mean": _share(bytes_out + bytes_in, packets),
        "duration_mean_s": mean_s,
        # Not greatest alone: it passes over the null of a day without durations.
        "duration_sd_s": F.when(
            timed > 0, F.sqrt(F.greatest(mean_square - mean_s * mean_s, F.lit(0.0)))
        ),
    }


def _part(column: str, name: str, measure: str) -> Column:
    """Measure of one value of :func:`_by_value`; 0 if the day has none."""
    return F.coalesce(F.col(column)[name][measure], F.lit(0))


def _of_kinds() -> dict[str, Column]:
    """Counts, shares, failures and texts by kind of event."""
    features = {"logon_failed_count": _part("kinds", "auth", "failed_count")}
    for kind in KINDS:
        count = _part("kinds", kind.name, "event_count")
        features[f"{kind.name}_count"] = count
        features[f"{kind.name}_share"] = _share(count, F.col("total.event_count"))
        if kind.has_failures:
            failed = _part("kinds", kind.name, "failed_count")
            features[kind.failed_share] = _share(failed, count)
        if kind.text:
            texts = _part("kinds", kind.name, "text_count")
            length = _share(_part("kinds", kind.name, "text_length"), texts)
            entropy = _share(_part("kinds", kind.name, "text_entropy_mbit"), texts) / 1000
            features[f"{TEXTS[kind.name]}_length_mean"] = length
            features[f"{TEXTS[kind.name]}_entropy_mean"] = entropy
    return features


def _of_flags() -> dict[str, Column]:
    features = {}
    for flag in FLAGS:
        count = _part("flags", flag.name, "event_count")
        features[f"{flag.name}_count"] = count
        of_kind = _part("kinds", flag.kind, "event_count")
        features[f"{flag.name}_share"] = _share(count, of_kind)
    return features


def _aggregate_values(activity: DataFrame, home_networks: Sequence[str]) -> DataFrame:
    """Features of the dimensions' values: how many, how concentrated, how regular."""
    count = F.col("event_count")
    regularity = beacon_regularity(F.col("gap_counts"), F.col("hour_counts"))
    told = [dimension.name for dimension in DIMENSIONS] + list(_BEACONS)
    peer = F.when(F.col("dimension") == "peer_address", F.col("value"))
    outside = F.when(~F.col("is_inside"), count).otherwise(F.lit(0))
    by_dimension = (
        activity.where(F.col("dimension").isin(told))
        .withColumn("is_inside", is_inside(peer, home_networks))
        .groupBy(*KEY, "dimension")
        .agg(
            F.count(F.lit(1)).alias("distinct"),
            _share(F.max(count), F.sum(count)).alias("top_share"),
            F.max(F.when(F.col("dimension").isin(list(_BEACONS)), regularity)).alias("regularity"),
            _share(F.sum(outside), F.sum(count)).alias("outside_share"),
        )
    )
    measures = F.col("measures")
    distinct = {
        f"{d.name}_distinct": F.coalesce(measures[d.name]["distinct"], F.lit(0)) for d in DIMENSIONS
    }
    tops = {f"{name}_top_share": measures[name]["top_share"] for name in TOP_DIMENSIONS}
    beacons = {
        feature: F.coalesce(measures[name]["regularity"], F.lit(0.0))
        for name, feature in _BEACONS.items()
    }
    entry = F.struct("dimension", F.struct("distinct", "top_share", "regularity", "outside_share"))
    external = {"external_peer_share": measures["peer_address"]["outside_share"]}
    features = {**distinct, **tops, **beacons, **external}
    return (
        by_dimension.groupBy(*KEY)
        .agg(F.map_from_entries(F.collect_list(entry)).alias("measures"))
        .select(*KEY, *(column.alias(name) for name, column in features.items()))
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
    """The terms of an entity's day, most events first.

    Of a day with more than ``profile_terms`` those with few events are kept by their hash: the same
    ones on every machine, and a new one as likely as any.
    """
    is_term = F.col("dimension").isin(*PROFILE_DIMENSIONS)
    # What stays on a machine is there or is not: how often a snapshot lists it says nothing.
    count = F.when(F.col("dimension") == "package", F.lit(1).cast("long")).otherwise(
        F.col("event_count")
    )
    name = F.concat_ws("=", "dimension", "value")
    term = F.struct((-count).alias("rank"), F.xxhash64(name).alias("hash"), name.alias("term"))
    ordered = F.sort_array(F.collect_list(F.when(is_term, term)))
    kept = F.slice(ordered, 1, profile_terms)
    terms = F.transform(
        kept, lambda item: F.struct(item["term"].alias("term"), (-item["rank"]).alias("count"))
    )
    return F.when(F.count_if(is_term) > 0, terms)
