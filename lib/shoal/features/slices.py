"""Groups of peers."""

import ipaddress
from collections.abc import Sequence

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.spark.udf import series_udf

UNGROUPED = "all"
_ANY = "*"


def add_slice(
    entities: DataFrame,
    labels: DataFrame,
    *,
    label: str | None,
    by_side: bool,
    home_networks: Sequence[str],
) -> DataFrame:
    """Add ``slice``: ``label=value`` where the entity has it, and the side of an address.

    Grain entity in and out. A container without the label has that of its image, and without that
    the image itself is its group.

    Parameters
    ----------
    entities : with ``image``, null but for containers
    labels : rows of ``entity_labels`` in force; an ``entity_id`` that ends in ``*`` is a beginning
        of names, and of several that fit the longest holds
    """
    own = labels.where(F.col("label") == F.lit(label or ""))
    named = entities.transform(add_label, own, F.col("entity_type"), F.col("entity_id"), "own")
    named = named.transform(add_label, own, F.lit("image"), F.col("image"), "of_image")
    value = F.coalesce("own", "of_image")
    role_part = F.when(value.isNotNull(), F.concat(F.lit(f"{label}="), value)).when(
        F.col("image").isNotNull(), F.concat(F.lit("image="), "image")
    )
    is_address = F.col("entity_type") == "source_address"
    inside = is_inside(F.col("entity_id"), home_networks)
    side = F.when(is_address, F.when(inside, F.lit("inside")).otherwise(F.lit("outside")))
    parts = [role_part, side] if by_side else [role_part]
    joined = F.concat_ws("|", *parts)
    return named.withColumn(
        "slice", F.when(joined == "", F.lit(UNGROUPED)).otherwise(joined)
    ).select("entity_type", "entity_id", "slice", "image")


def add_label(
    entities: DataFrame, labels: DataFrame, entity_type: Column, entity_id: Column, name: str
) -> DataFrame:
    """Add the value that a label has for a type and id, as column ``name``; entity in and out."""
    is_pattern = F.col("labelled_id").endswith(_ANY)
    known = labels.select(
        F.col("entity_type").alias("labelled_type"),
        F.col("entity_id").alias("labelled_id"),
        F.col("value").alias("label_value"),
    )
    exact = (
        known.where(~is_pattern)
        .groupBy("labelled_type", "labelled_id")
        .agg(F.min("label_value").alias("exact_value"))
    )
    patterns = known.where(is_pattern).select(
        F.col("labelled_type").alias("pattern_type"),
        F.rtrim("labelled_id", F.lit(_ANY)).alias("beginning"),
        F.col("label_value").alias("pattern_value"),
    )
    fits = (F.col("pattern_type") == entity_type) & F.startswith(entity_id, F.col("beginning"))
    longest = F.max(F.struct(F.length("beginning").alias("length"), F.col("pattern_value")))
    is_same = (F.col("labelled_type") == entity_type) & (F.col("labelled_id") == entity_id)
    others = [name for name in entities.columns if name not in {"entity_type", "entity_id"}]
    return (
        entities.join(exact, is_same, how="left")
        .join(patterns, fits, how="left")
        .groupBy("entity_type", "entity_id")
        .agg(
            *(F.first(other).alias(other) for other in others),
            F.coalesce(F.first("exact_value"), longest["pattern_value"]).alias(name),
        )
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
