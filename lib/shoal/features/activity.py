"""The rollup: events → ``entity_activity``. Nothing else reads events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts.entities import GAP_BINS, HOUR_SLOTS, LARGEST_SUM
from shoal.features.aliases import resolve_aliases
from shoal.features.dimensions import explode_dimensions, gap_bin
from shoal.features.entities import explode_entities, image_name
from shoal.features.kinds import TABLE_KINDS, TableKind
from shoal.features.names import Names, unify_names
from shoal.features.places import country, owner
from shoal.features.text import entropy_mbit
from shoal.features.values import cut

_ENDS_OF_CONNECTIONS = ("source_ip", "destination_ip", "network_direction")
"""Columns that tell an address's part in an event, null where a table has none."""
_WITH_GAPS = {"network": ("peer_address", "peer_address"), "web": ("web_address", "destination_ip")}
"""Dimension, and column of its values, whose gaps between events are counted, by table."""
_AS_WRITTEN = Names()
_KEYS = ["event_date", "entity_type", "entity_id", "dimension", "value"]
_COUNTS = [
    "event_count",
    "failed_count",
    "timed_count",
    "text_count",
    "text_length",
    "text_entropy_mbit",
]
_ENDS = ("smallest", "largest")
"""Of the ids of the events behind a row, which two are kept as samples."""
_SIGN = -(2**63)
"""The bit by which longs are negative: without it they are in the order of unsigned ones."""
_SIZES = ["bytes_in", "bytes_out", "packets", "duration_us", "duration_ms2"]
_MEASURES = [
    *_COUNTS,
    *_SIZES,
    "first_ts",
    "last_ts",
    *(f"{end}_id_{half}" for end in _ENDS for half in ("high", "low")),
]


@dataclass(frozen=True)
class SiteHours:
    """Hosts whose names start with one of ``prefixes`` live by ``timezone``."""

    timezone: str
    prefixes: tuple[str, ...]


def aggregate_activity(
    events: Mapping[str, DataFrame],
    *,
    entity_columns: Mapping[str, str],
    sites: Sequence[SiteHours] = (),
    names: Names = _AS_WRITTEN,
    aliases: DataFrame | None = None,
    holders: DataFrame | None = None,
    address_databases: Sequence[str] = (),
) -> DataFrame:
    """Aggregate events to entity × day × dimension × value.

    Parameters
    ----------
    events : normalised events by table, a key of ``TABLE_KINDS``
    entity_columns : column that names the entity, by type
    sites : time zones by host name; all other hosts live by UTC
    names : domains that hosts' and accounts' names are shortened by
    aliases : as `shoal.features.aliases.aliases_of` yields, if there are any
    holders : as `shoal.features.holders.aggregate_holders` yields, if there are any
    address_databases : paths of what `shoal.features.places` looks addresses up in

    Returns
    -------
    Rows of ``entity_activity`` without ``run_id``. All measures are integers, so that no sum
    depends on the order of rows.
    """
    shown, with_gaps = [], []
    for table, frame in events.items():
        kind = TABLE_KINDS[table]
        own = unify_names(frame, names)
        # A connection that a sensor saw stays its address's: the host may report it, too.
        if table != "network":
            own = resolve_aliases(own, aliases, holders)
        measured = _add_measures(own, table, kind, sites, entity_columns)
        # An event shows some ten values for each of three entities: events alike are counted
        # before they are multiplied, not after.
        alike = _merge(measured, _alike(measured))
        entities = _add_places(explode_entities(alike, entity_columns), table, address_databases)
        by_value = explode_dimensions(entities, table, kind, list(entity_columns))
        shown.append(by_value.select(*_KEYS, "hour", *_MEASURES))
        if table in _WITH_GAPS:
            dimension, column = _WITH_GAPS[table]
            usual = explode_entities(measured.where(F.col("event_action").isNull()), entity_columns)
            gapped = _with_gaps(usual, dimension, column)
            with_gaps.append(gapped.select(*_KEYS, "hour", "gap_bin", *_MEASURES))
    # Apart: most rows have no gap, and summing 32 bins of nothing for them costs a third more.
    activity = _aggregate(reduce(DataFrame.unionByName, shown))
    if with_gaps:
        gapped = reduce(DataFrame.unionByName, with_gaps)
        activity = activity.unionByName(_aggregate(gapped, gap_bins=GAP_BINS))
    return activity


def _add_measures(
    events: DataFrame,
    table: str,
    kind: TableKind,
    sites: Sequence[SiteHours],
    entity_columns: Mapping[str, str],
) -> DataFrame:
    """One event in → the same event with its traits and the integers that activity sums."""
    has = set(events.columns)

    def column(name: str, kind_of: str) -> Column:
        return F.col(name) if name in has else F.lit(None).cast(kind_of)

    def size(name: str) -> Column:
        return F.coalesce(column(name, "long"), F.lit(0).cast("long"))

    text = F.lit(None).cast("string") if kind.text is None else F.col(kind.text)
    entropy = F.lit(None).cast("long") if kind.text is None else entropy_mbit(text)
    is_failed = F.coalesce(column("is_failed", "boolean"), F.lit(False))
    duration_ms = size("duration_us") / 1000
    measures = {
        "event_count": F.lit(1).cast("long"),
        "failed_count": is_failed.cast("long"),
        "timed_count": column("duration_us", "long").isNotNull().cast("long"),
        "text_count": text.isNotNull().cast("long"),
        "text_length": F.coalesce(F.length(text), F.lit(0)).cast("long"),
        "text_entropy_mbit": F.coalesce(entropy, F.lit(0).cast("long")),
        "bytes_in": size("bytes_in"),
        "bytes_out": size("bytes_out"),
        "packets": _clipped(size("packets_in").cast("double") + size("packets_out")),
        "duration_us": size("duration_us"),
        "duration_ms2": _clipped(F.round(duration_ms * duration_ms)),
        "first_ts": F.col("event_ts"),
        "last_ts": F.col("event_ts"),
        **{f"{end}_id_{half}": number for end in _ENDS for half, number in _id_halves().items()},
    }
    own = {"host_name", "account", "image", *_ENDS_OF_CONNECTIONS}
    configured = set(entity_columns.values()) - own
    traits = (set(kind.traits) | configured) - own
    return events.select(
        "event_date",
        F.lit(table).alias("table"),
        "event_action",
        "host_name",
        "account",
        image_name().alias("image"),
        *(column(name, "string").alias(name) for name in _ENDS_OF_CONNECTIONS),
        *(column(name, "string").alias(name) for name in sorted(traits)),
        *(trait.alias(name) for name, trait in kind.derived().items()),
        _hour(sites).alias("hour"),
        *(measure.alias(name) for name, measure in measures.items()),
    )


def _add_places(entity_events: DataFrame, table: str, databases: Sequence[str]) -> DataFrame:
    """Rows of an entity in and out; with what only the address databases know of their ends."""
    if table == "network":
        peer = F.col("peer_address")
        places = {"peer_owner": owner(peer, databases), "peer_country": country(peer, databases)}
    elif table == "auth":
        places = {"logon_country": country(F.col("source_ip"), databases)}
    else:
        places = {}
    return entity_events.withColumns(places)


def _alike(measured: DataFrame) -> list[str]:
    """What events have in common that no value of any dimension tells apart."""
    return [name for name in measured.columns if name not in _MEASURES]


def _id_halves() -> dict[str, Column]:
    """An event's id, 32 hexadecimal digits, as two longs; the first in the order of the text.

    Text has no fixed size, and for the least of texts Spark sorts all rows where it would hash
    them: all that follows takes half as long again.
    """
    high, low = (
        F.conv(F.substring("event_id", start, 16), 16, -10).cast("long") for start in (1, 17)
    )
    return {"high": high.bitwiseXOR(F.lit(_SIGN)), "low": low}


def _id_text(high: str, low: str) -> Column:
    halves = (F.col(high).bitwiseXOR(F.lit(_SIGN)), F.col(low))
    return F.lower(F.concat(*(F.lpad(F.hex(half), 16, "0") for half in halves)))


def _clipped(measure: Column) -> Column:
    return F.least(measure, F.lit(float(LARGEST_SUM))).cast("long")


def _hour(sites: Sequence[SiteHours]) -> Column:
    hour = F.hour("event_ts")
    for site in sites:
        for prefix in site.prefixes:
            local = F.hour(F.from_utc_timestamp("event_ts", site.timezone))
            hour = F.when(F.col("host_name").startswith(prefix), local).otherwise(hour)
    return hour


def _with_gaps(entity_events: DataFrame, dimension: str, column: str) -> DataFrame:
    """One event of an entity in → its row of ``dimension``, with the gap since the last one."""
    order = Window.partitionBy("event_date", "entity_type", "entity_id", column).orderBy("first_ts")
    gap_us = F.unix_micros("first_ts") - F.lag(F.unix_micros("first_ts")).over(order)
    return (
        entity_events.where(F.col(column).isNotNull())
        .withColumn("gap_bin", gap_bin(gap_us))
        .withColumn("dimension", F.lit(dimension))
        .withColumn("value", cut(F.col(column)))
    )


def _merge(rows: DataFrame, keys: Sequence[str], *more: Column) -> DataFrame:
    """Sum the measures of rows by ``keys``; ``more`` are further aggregates."""
    return rows.groupBy(*keys).agg(
        *(F.sum(name).alias(name) for name in _COUNTS),
        *(bounded_sum(F.col(name)).alias(name) for name in _SIZES),
        F.min("first_ts").alias("first_ts"),
        F.max("last_ts").alias("last_ts"),
        F.min("smallest_id_high").alias("smallest_id_high"),
        F.min_by("smallest_id_low", "smallest_id_high").alias("smallest_id_low"),
        F.max("largest_id_high").alias("largest_id_high"),
        F.max_by("largest_id_low", "largest_id_high").alias("largest_id_low"),
        *more,
    )


def bounded_sum(sizes: Column) -> Column:
    """Sum that stops at ``LARGEST_SUM``.

    Measures are never negative, so a part of the sum overflows only if the whole does, whatever
    the order; ``try_sum`` is then null, which ``least`` passes over.
    """
    return F.least(F.try_sum(sizes), F.lit(LARGEST_SUM))


def _aggregate(rows: DataFrame, *, gap_bins: int = 0) -> DataFrame:
    """Aggregate rows by key and hour to one row a key, with a histogram of hours, and of gaps."""

    def histogram(slot_column: str, slots: int) -> list[Column]:
        events = F.col("event_count")
        counts = (F.sum(F.when(F.col(slot_column) == slot, events)) for slot in range(slots))
        return [F.coalesce(count, F.lit(0).cast("long")) for count in counts]

    hours = F.array(*histogram("hour", HOUR_SLOTS))
    gaps = F.array(*histogram("gap_bin", gap_bins)).cast("array<bigint>")
    return _merge(rows, _KEYS, hours.alias("hour_counts"), gaps.alias("gap_counts")).select(
        *_KEYS,
        *("event_count", "failed_count", "bytes_in", "bytes_out", "packets", "timed_count"),
        *("duration_us", "duration_ms2", "first_ts", "last_ts", "hour_counts"),
        "gap_counts",
        *("text_count", "text_length", "text_entropy_mbit"),
        F.array_distinct(
            F.array(*(_id_text(f"{end}_id_high", f"{end}_id_low") for end in _ENDS))
        ).alias("sample_event_ids"),
    )
