"""Who took part in an event, and what it shows: entities, dimensions and their values."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.entities import GAP_BINS

VALUE_LENGTH = 256
_SEPARATOR = ">"
_ESCAPE = "\\"


def explode_entities(events: DataFrame, entity_types: Sequence[str]) -> DataFrame:
    """One event, or several alike, in → one row for each entity that took part.

    Adds ``peer_address``, the far side of a connection as the entity sees it. A connection that a
    machine's own log reports is the machine's: as one of its address a network sensor reports it,
    and it would count twice.
    """
    outward = F.col("destination_ip")
    is_inbound = F.col("network_direction") == "inbound"
    far_side = F.when(is_inbound, F.col("source_ip")).otherwise(outward)
    is_machines_own = (F.col("kind") == "network") & F.col("host_name").isNotNull()
    known = {
        "host": (F.col("host_name"), far_side),
        "user": (F.col("user_id"), far_side),
        "source_address": (F.when(~is_machines_own, F.col("source_ip")), outward),
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
        .withColumn("entity_id", cut(F.col("entity_id")))
    )


def explode_dimensions(entity_events: DataFrame) -> DataFrame:
    """Rows of an entity in → one row for each dimension they show, the peer address apart."""
    own = {"host": "host", "user": "user", "source_address": "logon_source"}
    is_itself = reduce(
        lambda left, right: left | right,
        [
            (F.col("entity_type") == kind) & (F.col("dimension") == dimension)
            for kind, dimension in own.items()
        ],
    )
    return (
        entity_events.withColumn("pair", F.explode(F.array(*_dimensions())))
        .select("*", "pair.dimension", "pair.value")
        .where(F.col("value").isNotNull() & ~is_itself)
        .withColumn("value", cut(F.col("value")))
    )


def _dimensions() -> list[Column]:
    """The (dimension, value) pairs of an entity's event; the value is null where it has none."""
    kind, program = F.col("kind"), F.col("process_name")
    port = F.concat_ws("/", F.coalesce("network_transport", F.lit("ip")), "destination_port")
    port = F.when((kind == "network") & F.col("destination_port").isNotNull(), port)
    network = peer_network(F.col("peer_address"))
    launched = F.when(kind == "process", joined(F.col("process_parent_name"), program))
    values = {
        "total": F.lit(""),
        "category": kind,
        "user": F.col("user_id"),
        "host": F.col("host_name"),
        "program": F.when(kind != "auth", program),
        "parent_child": launched,
        "port": port,
        "program_port": joined(program, port),
        "service": F.when(kind == "network", F.col("network_protocol")),
        "logon_type": F.when(kind == "auth", F.col("logon_type").cast("string")),
        "logon_source": F.when(kind == "auth", F.col("source_ip")),
        "peer_network": network,
        "program_network": joined(program, network),
    }
    return [
        F.struct(F.lit(dimension).alias("dimension"), value.alias("value"))
        for dimension, value in values.items()
    ]


def joined(left: Column, right: Column) -> Column:
    r"""``left>right``, null if either is; ``>`` and ``\`` within a part are escaped by ``\``.

    Doubling the separator would not do: ``a>`` with ``b`` and ``a`` with ``>b`` look the same.
    """
    return F.concat(escaped(left), F.lit(_SEPARATOR), escaped(right))


def program_of_pair(dimension: Column, value: Column) -> Column:
    """The program of a joined pair, as :func:`joined` escapes it: the child, or who talks."""
    part = r"((?:\\.|[^\\>])*)"
    child = F.regexp_extract(value, f">{part}$", 1)
    return F.when(dimension == "parent_child", child).otherwise(
        F.regexp_extract(value, f"^{part}>", 1)
    )


def escaped(text: Column) -> Column:
    """A part of a pair, so that no two pairs are joined to one value."""
    for special in (_ESCAPE, _SEPARATOR):
        text = F.replace(text, F.lit(special), F.lit(_ESCAPE + special))
    return text


def gap_bin(gap_us: Column) -> Column:
    """Half-octave bin of a gap in microseconds; see ``GAP_BINS``. Null stays null."""
    seconds = gap_us.cast("double") / 1_000_000
    # log2 of an exact bound may round below it; a nudge far under the clock's own noise settles it
    half_octaves = F.floor(2 * F.log2(F.greatest(seconds, F.lit(1.0))) + 1e-9).cast("int")
    lasting = F.least(half_octaves + 1, F.lit(GAP_BINS - 1))
    # Not otherwise: greatest and least pass over a null, the gap before a first event.
    return F.when(seconds < 1, F.lit(0)).when(seconds >= 1, lasting)


def peer_network(address: Column) -> Column:
    """The /16 of an IPv4 address, the /32 of an IPv6 address in its short spelling."""
    v4 = F.concat(F.substring_index(address, ".", 2), F.lit(".0.0/16"))
    groups = F.substring_index(address, ":", 2)
    # fe80:: and fe80:0:1:: lie in one network, written fe80::/32.
    v6 = F.concat(F.regexp_replace(groups, ":0*$", ""), F.lit("::/32"))
    return F.when(address.contains(":"), v6).otherwise(v4)


def cut(value: Column) -> Column:
    """Bound a value's length; what is cut off stays told apart by its hash."""
    digest = F.lower(F.hex(F.xxhash64(value)))
    short = F.concat(F.substring(value, 1, VALUE_LENGTH - 20), F.lit("#"), digest)
    return F.when(F.length(value) > VALUE_LENGTH, short).otherwise(value)
