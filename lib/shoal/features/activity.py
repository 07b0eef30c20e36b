"""The rollup: events → ``entity_activity``. Nothing else reads events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.entities import GAP_BINS, HOUR_SLOTS
from shoal.features.text import entropy_mbit

VALUE_LENGTH = 256
_SEPARATOR = ">"


@dataclass(frozen=True)
class SiteHours:
    """Hosts whose names start with one of ``prefixes`` live by ``timezone``."""

    timezone: str
    prefixes: tuple[str, ...]


def aggregate_activity(
    events: Mapping[str, DataFrame],
    *,
    entity_types: Sequence[str],
    sites: Sequence[SiteHours] = (),
) -> DataFrame:
    """Aggregate events to entity × day × dimension × value.

    Parameters
    ----------
    events : normalised events by kind: ``process``, ``network``, ``auth``, ``file``
    entity_types : built-in types to aggregate for
    sites : time zones by host name; all other hosts live by UTC

    Returns
    -------
    Rows of ``entity_activity`` without ``run_id``. All measures are integers, so that no sum
    depends on the order of rows.
    """
    prepared = [
        _add_dimensions(_add_measures(frame, kind, sites), kind) for kind, frame in events.items()
    ]
    united = reduce(lambda left, right: left.unionByName(right), prepared)
    entity_events = _explode_entities(united, entity_types)
    by_value = _explode_dimensions(entity_events).withColumn("gap_bin", F.lit(None).cast("int"))
    return _aggregate(by_value.unionByName(_peer_rows_with_gaps(entity_events)))


def _add_measures(events: DataFrame, kind: str, sites: Sequence[SiteHours]) -> DataFrame:
    """One event in → the same event with the integers that activity sums."""
    has = set(events.columns)

    def column(name: str, kind_of: str) -> Column:
        return F.col(name) if name in has else F.lit(None).cast(kind_of)

    command_line = column("process_command_line", "string")
    duration_ms = F.col("duration_us").cast("double") / 1000
    return events.select(
        "event_date",
        "event_ts",
        "event_id",
        "host_name",
        F.lit(kind).alias("kind"),
        F.when(F.col("user_domain").isNotNull(), F.concat_ws("\\", "user_domain", "user_name"))
        .otherwise(F.col("user_name"))
        .alias("user_id"),
        "process_name",
        column("process_parent_name", "string").alias("process_parent_name"),
        column("source_ip", "string").alias("source_ip"),
        column("destination_ip", "string").alias("destination_ip"),
        column("destination_port", "int").alias("destination_port"),
        column("network_transport", "string").alias("network_transport"),
        column("network_protocol", "string").alias("network_protocol"),
        column("network_direction", "string").alias("network_direction"),
        column("logon_type", "int").alias("logon_type"),
        column("file_name", "string").alias("file_name"),
        _hour(sites).alias("hour"),
        F.coalesce(column("is_failed", "boolean"), F.lit(False)).cast("long").alias("failed"),
        F.coalesce(column("bytes_in", "long"), F.lit(0)).alias("bytes_in"),
        F.coalesce(column("bytes_out", "long"), F.lit(0)).alias("bytes_out"),
        (
            F.coalesce(column("packets_in", "long"), F.lit(0))
            + F.coalesce(column("packets_out", "long"), F.lit(0))
        ).alias("packets"),
        column("duration_us", "long").alias("duration_us"),
        F.length(command_line).cast("long").alias("command_line_length"),
        (entropy_mbit(command_line) if kind == "process" else F.lit(None).cast("long")).alias(
            "command_line_entropy_mbit"
        ),
    ).withColumn("duration_ms2", F.round(duration_ms * duration_ms).cast("long"))


def _hour(sites: Sequence[SiteHours]) -> Column:
    hour = F.hour("event_ts")
    for site in sites:
        for prefix in site.prefixes:
            local = F.hour(F.from_utc_timestamp("event_ts", site.timezone))
            hour = F.when(F.col("host_name").startswith(prefix), local).otherwise(hour)
    return hour


def _add_dimensions(events: DataFrame, kind: str) -> DataFrame:
    """Add ``dimensions``: the (dimension, value) pairs of an event, but for its peer address.

    The peer is the far side as the entity sees it, so it is added per entity type later.
    """
    program = F.col("process_name")
    pairs = [_pair("total", F.lit("")), _pair("category", F.lit(kind))]
    pairs += [_pair("user", F.col("user_id")), _pair("host", F.col("host_name"))]
    if kind in {"process", "network", "file"}:
        pairs.append(_pair("program", program))
    if kind == "process":
        pairs.append(_pair("parent_child", _joined(F.col("process_parent_name"), program)))
    if kind == "network":
        port = F.concat_ws("/", F.coalesce("network_transport", F.lit("ip")), "destination_port")
        port = F.when(F.col("destination_port").isNotNull(), port)
        pairs += [_pair("port", port), _pair("program_port", _joined(program, port))]
        pairs.append(_pair("service", F.col("network_protocol")))
    if kind == "auth":
        pairs.append(_pair("logon_type", F.col("logon_type").cast("string")))
        pairs.append(_pair("logon_source", F.col("source_ip")))
    return events.withColumn("dimensions", F.array(*pairs))


def _pair(dimension: str, value: Column) -> Column:
    return F.struct(F.lit(dimension).alias("dimension"), value.alias("value"))


def _joined(left: Column, right: Column) -> Column:
    """``left>right``, null if either is; a separator inside a name is doubled, so no forgeries."""
    doubled = _SEPARATOR * 2
    return F.concat(
        F.replace(left, F.lit(_SEPARATOR), F.lit(doubled)),
        F.lit(_SEPARATOR),
        F.replace(right, F.lit(_SEPARATOR), F.lit(doubled)),
    )


def _explode_entities(events: DataFrame, entity_types: Sequence[str]) -> DataFrame:
    """One event in → one row for each entity that took part in it."""
    outward = F.col("destination_ip")
    far_side = F.when(F.col("network_direction") == "inbound", F.col("source_ip")).otherwise(
        outward
    )
    known = {
        "host": (F.col("host_name"), far_side),
        "user": (F.col("user_id"), far_side),
        "source_address": (F.col("source_ip"), outward),
    }
    entities = F.array(
        *(
            F.struct(
                F.lit(name).alias("entity_type"),
                known[name][0].alias("entity_id"),
                F.when(F.col("kind") == "network", known[name][1]).alias("peer_address"),
            )
            for name in entity_types
        )
    )
    return (
        events.withColumn("entity", F.explode(entities))
        .select("*", "entity.*")
        .drop("entity")
        .where(F.col("entity_id").isNotNull() & (F.col("entity_id") != ""))
        .withColumn("entity_id", _cut(F.col("entity_id")))
    )


def _explode_dimensions(entity_events: DataFrame) -> DataFrame:
    """One event of an entity in → one row for each dimension it shows, peer address apart."""
    network = peer_network(F.col("peer_address"))
    program = F.col("process_name")
    of_peer = F.array(
        _pair("peer_network", network), _pair("program_network", _joined(program, network))
    )
    pair = F.explode(F.concat("dimensions", of_peer))
    own = {"host": "host", "user": "user", "source_address": "logon_source"}
    is_itself = reduce(
        lambda left, right: left | right,
        [
            (F.col("entity_type") == kind) & (F.col("dimension") == dimension)
            for kind, dimension in own.items()
        ],
    )
    return (
        entity_events.withColumn("pair", pair)
        .select("*", "pair.dimension", "pair.value")
        .where(F.col("value").isNotNull() & ~is_itself)
        .withColumn("value", _cut(F.col("value")))
        .drop("pair", "dimensions", "peer_address")
    )


def _peer_rows_with_gaps(entity_events: DataFrame) -> DataFrame:
    """One connection of an entity in → its peer-address row, with the gap since the last one."""
    order = Window.partitionBy("event_date", "entity_type", "entity_id", "peer_address").orderBy(
        "event_ts"
    )
    gap_us = F.unix_micros("event_ts") - F.lag(F.unix_micros("event_ts")).over(order)
    return (
        entity_events.where(F.col("peer_address").isNotNull())
        .withColumn("gap_bin", gap_bin(gap_us))
        .withColumn("dimension", F.lit("peer_address"))
        .withColumn("value", _cut(F.col("peer_address")))
        .drop("dimensions", "peer_address")
    )


def gap_bin(gap_us: Column) -> Column:
    """Half-octave bin of a gap in microseconds; see ``GAP_BINS``. Null stays null."""
    seconds = gap_us.cast("double") / 1_000_000
    # log2 of an exact bound may round below it; a nudge far under the clock's own noise settles it
    half_octaves = F.floor(2 * F.log2(F.greatest(seconds, F.lit(1.0))) + 1e-9).cast("int")
    return F.when(seconds < 1, F.lit(0)).otherwise(F.least(half_octaves + 1, F.lit(GAP_BINS - 1)))


def peer_network(address: Column) -> Column:
    """The /16 of an IPv4 address, the first two groups of an IPv6 address."""
    is_v6 = address.contains(":")
    v4 = F.concat(F.substring_index(address, ".", 2), F.lit(".0.0/16"))
    v6 = F.concat(F.substring_index(address, ":", 2), F.lit("::/32"))
    return F.when(is_v6, v6).otherwise(v4)


def _cut(value: Column) -> Column:
    """Bound a value's length; what is cut off stays told apart by its hash."""
    digest = F.lower(F.hex(F.xxhash64(value)))
    short = F.concat(F.substring(value, 1, VALUE_LENGTH - 20), F.lit("#"), digest)
    return F.when(F.length(value) > VALUE_LENGTH, short).otherwise(value)


def _aggregate(rows: DataFrame) -> DataFrame:
    keys = ["event_date", "entity_type", "entity_id", "dimension", "value"]
    is_timed = F.col("duration_us").isNotNull()
    has_command = F.col("command_line_length").isNotNull()
    zero = F.lit(0).cast("long")
    hours = [F.count_if(F.col("hour") == slot).alias(f"hour_{slot}") for slot in range(HOUR_SLOTS)]
    gaps = [F.count_if(F.col("gap_bin") == slot).alias(f"gap_{slot}") for slot in range(GAP_BINS)]
    totals = rows.groupBy(*keys).agg(
        F.count(F.lit(1)).alias("event_count"),
        F.sum("failed").alias("failed_count"),
        F.sum("bytes_in").alias("bytes_in"),
        F.sum("bytes_out").alias("bytes_out"),
        F.sum("packets").alias("packets"),
        F.count_if(is_timed).alias("timed_count"),
        F.coalesce(F.sum("duration_us"), zero).alias("duration_us"),
        F.coalesce(F.sum("duration_ms2"), zero).alias("duration_ms2"),
        F.min("event_ts").alias("first_ts"),
        F.max("event_ts").alias("last_ts"),
        F.count_if(has_command).alias("command_line_count"),
        F.coalesce(F.sum("command_line_length"), zero).alias("command_line_length"),
        F.coalesce(F.sum("command_line_entropy_mbit"), zero).alias("command_line_entropy_mbit"),
        F.min("event_id").alias("smallest_event_id"),
        F.max("event_id").alias("largest_event_id"),
        *hours,
        *gaps,
    )
    no_gaps = F.array().cast("array<bigint>")
    samples = F.array_distinct(F.array("smallest_event_id", "largest_event_id"))
    return totals.select(
        *keys,
        "event_count",
        "failed_count",
        "bytes_in",
        "bytes_out",
        "packets",
        "timed_count",
        "duration_us",
        "duration_ms2",
        "first_ts",
        "last_ts",
        F.array(*(f"hour_{slot}" for slot in range(HOUR_SLOTS))).alias("hour_counts"),
        F.when(
            F.col("dimension") == "peer_address",
            F.array(*(f"gap_{slot}" for slot in range(GAP_BINS))),
        )
        .otherwise(no_gaps)
        .alias("gap_counts"),
        "command_line_count",
        "command_line_length",
        "command_line_entropy_mbit",
        samples.alias("sample_event_ids"),
    )
