"""Groups of peers."""

import ipaddress
from collections.abc import Sequence

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.spark.udf import series_udf

UNGROUPED = "all"


def add_slice(
    entities: DataFrame,
    labels: DataFrame,
    *,
    label: str | None,
    by_side: bool,
    home_networks: Sequence[str],
) -> DataFrame:
    """Add ``slice``: ``label=value`` where the entity has it, and the side of an address.

    Grain entity in and out. ``labels`` are rows of ``entity_labels`` in force.
    """
    roles = (
        labels.where(F.col("label") == F.lit(label or ""))
        .groupBy("entity_type", "entity_id")
        .agg(F.min("value").alias("label_value"))
    )
    value = F.col("label_value")
    role_part = F.when(value.isNotNull(), F.concat(F.lit(f"{label}="), value))
    is_address = F.col("entity_type") == "source_address"
    inside = is_inside(F.col("entity_id"), home_networks)
    side = F.when(is_address, F.when(inside, F.lit("inside")).otherwise(F.lit("outside")))
    parts = [role_part, side] if by_side else [role_part]
    joined = F.concat_ws("|", *parts)
    return (
        entities.join(roles, ["entity_type", "entity_id"], how="left")
        .withColumn("slice", F.when(joined == "", F.lit(UNGROUPED)).otherwise(joined))
        .drop("label_value")
    )


def is_inside(address: Column, home_networks: Sequence[str]) -> Column:
    """Whether an address lies in one of the home networks; false for what is no address."""
    networks = list(home_networks)

    def inside(addresses: pd.Series) -> pd.Series:
        return addresses_inside(addresses, networks)

    return series_udf(inside, "boolean")(address)


def addresses_inside(addresses: pd.Series, home_networks: Sequence[str]) -> pd.Series:
    """Group function of :func:`is_inside`; the same address is looked up once."""
    networks = [ipaddress.ip_network(network) for network in home_networks]
    known = {address: _in_any(address, networks) for address in set(addresses.dropna())}
    return addresses.map(lambda address: known.get(address, False)).astype(bool)


def _in_any(text: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
