"""Who took part in an event: entities, by built-in rule and by configured column."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.features.values import cut

BUILTIN_COLUMNS = {
    "host": "host_name",
    "user": "account",
    "source_address": "source_ip",
    "container": "container_id",
    "image": "image",
}
"""Column that names each built-in type of entity; account and image are made by the rollup."""
ITSELF = {"host": "host", "user": "user", "source_address": "logon_source", "image": "image"}
"""Dimension whose only value would be the entity itself."""


def image_name() -> Column:
    """Image without its tag and digest: what the containers of all its versions have in common."""
    return F.regexp_replace(F.col("container_image"), r"(@.*|:[^:/@]*(@.*)?)$", "")


def explode_entities(events: DataFrame, entity_columns: Mapping[str, str]) -> DataFrame:
    """One event, or several alike, in → one row for each entity that took part.

    Adds ``entity_type``, ``entity_id`` and ``peer_address``, the far side of a connection as the
    entity sees it. A connection that a machine's own log reports is the machine's: as one of its
    address a network sensor reports it, and it would count twice.

    Parameters
    ----------
    events : with ``table``, both addresses and ``network_direction``, null where there are none
    entity_columns : column that names the entity, by type
    """
    outward = F.col("destination_ip")
    is_inbound = F.col("network_direction") == "inbound"
    far_side = F.when(is_inbound, F.col("source_ip")).otherwise(outward)
    is_network = F.col("table") == "network"
    is_machines_own = is_network & F.col("host_name").isNotNull()

    def entity(name: str, column: str) -> Column:
        is_address = name == "source_address"
        named = F.when(~is_machines_own, F.col(column)) if is_address else F.col(column)
        peer = outward if is_address else far_side
        return F.struct(
            F.lit(name).alias("entity_type"),
            named.alias("entity_id"),
            F.when(is_network, peer).alias("peer_address"),
        )

    entities = F.array(*(entity(name, column) for name, column in entity_columns.items()))
    return (
        events.withColumn("entity", F.explode(entities))
        .select("*", "entity.*")
        .drop("entity")
        .where(F.col("entity_id").isNotNull() & (F.col("entity_id") != ""))
        .withColumn("entity_id", cut(F.lower("entity_id")))
    )


def is_itself(entity_types: Sequence[str]) -> Column:
    """Whether a row's dimension would only repeat its entity."""
    found = F.lit(False)
    for kind in entity_types:
        if kind in ITSELF:
            found = found | ((F.col("entity_type") == kind) & (F.col("dimension") == ITSELF[kind]))
    return found
