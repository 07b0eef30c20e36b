"""Entities: what they did in a day, the features of it, and what they are."""

from pyspark.sql import types as T

from shoal.contracts.activity import DIMENSIONS, OTHER_DIMENSIONS
from shoal.contracts.events import FEATURE_VALUES
from shoal.contracts.features import FEATURES
from shoal.contracts.table import (
    DATE,
    DOUBLE,
    LONG,
    LONGS,
    STRING,
    STRINGS,
    TIMESTAMP,
    Column,
    Table,
    struct,
)

HOUR_SLOTS = 24
GAP_BINS = 32
"""Bins of the gap histogram: bin 0 is under 1 s, bin i is [2^((i-1)/2), 2^(i/2)) s, the last is
open; half an octave each, so that a beacon with 10 % jitter falls into one or two bins."""

EVENT_DATE = Column("event_date", DATE, "UTC day", is_nullable=False)
RUN_ID = Column("run_id", STRING, "hash of night, configuration and input versions; see nights")
ENTITY = (
    Column("entity_type", STRING, "host, user, source_address, container, image, or configured"),
    Column("entity_id", STRING, "the entity, lower-cased"),
)
ENTITY_KEY = ("event_date", "entity_type", "entity_id")

LARGEST_SUM = 2**62
"""Sums of activity stop here: a long connection's squared duration must not stop a night."""
_AT_MOST = ", at most 2^62"

ENTITY_ACTIVITY = Table(
    name="entity_activity",
    doc="What every entity did in a day, by dimension: mergeable integer measures. "
    "The only table that reads events; features, rarity, reasons and drill-down read this.",
    grain="entity × day × dimension × value",
    key=(*ENTITY_KEY, "dimension", "value"),
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column(
            "dimension",
            STRING,
            ", ".join([*OTHER_DIMENSIONS, *(dimension.name for dimension in DIMENSIONS)]),
        ),
        Column(
            "value",
            STRING,
            "value of the dimension; empty for total; parts of a pair are joined by >, and a > "
            "or a backslash within a part follows a backslash",
        ),
        Column("event_count", LONG, "events"),
        Column("failed_count", LONG, "of these, failed connections and refused logons"),
        Column("bytes_in", LONG, f"bytes from destination to source{_AT_MOST}"),
        Column("bytes_out", LONG, f"bytes from source to destination{_AT_MOST}"),
        Column("packets", LONG, f"packets both ways{_AT_MOST}"),
        Column("timed_count", LONG, "events that have a duration"),
        Column("duration_us", LONG, f"sum of durations, microseconds{_AT_MOST}"),
        Column("duration_ms2", LONG, f"sum of squared durations, square milliseconds{_AT_MOST}"),
        Column("first_ts", TIMESTAMP, "first event"),
        Column("last_ts", TIMESTAMP, "last event"),
        Column("hour_counts", LONGS, "events by hour of the day in the site's time zone, 24 slots"),
        Column(
            "gap_counts",
            LONGS,
            "gaps between successive events by half-octave bins from 1 s, 32 slots; "
            "only for peer_address and web_address, empty elsewhere",
        ),
        Column("text_count", LONG, "events that have a text: command line, name asked for, URL"),
        Column("text_length", LONG, "sum of their texts' lengths, characters"),
        Column("text_entropy_mbit", LONG, "sum of their texts' entropies, millibits a byte"),
        Column("sample_event_ids", STRINGS, "two of its events, the smallest and the largest id"),
        RUN_ID,
    ),
    partition=("event_date",),
    version=2,
    is_night=True,
    retention_days=400,
)

PROFILE = T.ArrayType(
    struct(term=(STRING, "dimension=value"), count=(LONG, "events with that value"))
)

ENTITY_FEATURES = Table(
    name="entity_features",
    doc="One row of numbers for every entity's day. Built-in features are columns; rows of a "
    "ready feature table stand in `values`.",
    grain="entity × day",
    key=ENTITY_KEY,
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column("feature_set", STRING, "builtin: the named columns; values: the array"),
        Column("slice", STRING, "group of peers: role and side, see the README"),
        *(Column(f.name, DOUBLE, f"{f.doc} ({f.unit})") for f in FEATURES),
        Column("values", FEATURE_VALUES, "features of a ready feature table, by name"),
        Column("profile", PROFILE, "what the day was made of, sparse: see PROFILE_DIMENSIONS"),
        RUN_ID,
    ),
    partition=("event_date",),
    version=4,
    is_night=True,
    retention_days=400,
)

ENTITY_LABELS = Table(
    name="entity_labels",
    doc="What an entity is: role, tenant, site, … from outside Shoal.",
    grain="entity × label",
    key=("entity_type", "entity_id", "label"),
    columns=(
        *ENTITY,
        Column("label", STRING, "role, tenant, operating_system, asset_class, site, image, …"),
        Column("value", STRING, "its value"),
        Column("source", STRING, "where the label came from"),
        Column("effective_date", DATE, "first night that uses it"),
    ),
)
