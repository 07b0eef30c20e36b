"""Samples that don't depend on partitioning: by hash of the entity, never by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_BUCKETS = 1_000_000


@dataclass(frozen=True, eq=False)
class HashSample:
    """A sample of rows.

    Attributes
    ----------
    rows : sorted by ``entity_id`` and ``event_date``, so that whatever is fitted on them does not
        depend on how they were partitioned
    is_whole : whether no row was left out
    """

    rows: pd.DataFrame
    is_whole: bool


def hash_sample(rows: DataFrame, *, max_rows: int) -> HashSample:
    """Collect at most about ``max_rows`` rows: all rows of the entities whose hash is smallest."""
    total = rows.count()
    kept = rows.where(_bucket() < int(_BUCKETS * max_rows / total)) if total > max_rows else rows
    collected = kept.toPandas().sort_values(["entity_id", "event_date"], ignore_index=True)
    return HashSample(collected, is_whole=total <= max_rows)


def hash_share(share: float) -> Column:
    """Whether a row's entity is of a share of all, by its hash: the same entities every day."""
    return _bucket() < int(_BUCKETS * min(share, 1.0))


def bound_groups(rows: DataFrame, group: Sequence[str], *, max_rows: int) -> DataFrame:
    """At most about ``max_rows`` rows of each group: all rows of its entities of smallest hash.

    What `hash_sample` does for one group, before the rows of a group meet in one task.
    """
    sizes = rows.groupBy(*group).agg(F.count(F.lit(1)).alias("group_rows"))
    bounded = rows.join(F.broadcast(sizes), list(group), how="inner")
    share = F.floor(F.lit(_BUCKETS * max_rows) / F.col("group_rows"))
    return bounded.where(_bucket() < share).select(*rows.columns)


def cap_groups(rows: DataFrame, group: Column, *, max_share: float) -> DataFrame:
    """The rows without those of entities, by their hash, that are too much of their group.

    No group is more than about ``max_share`` of what is left beside those that are at the cap
    themselves: whoever can make up entities, such as the addresses of a network, can't outnumber
    the others.

    Parameters
    ----------
    group : of a row; null is nobody's, and not capped
    """
    total = rows.count()
    capped = F.col("capped_group")
    grouped = rows.withColumn("capped_group", group)
    sizes = grouped.where(capped.isNotNull()).groupBy(capped).agg(F.count("*").alias("group_rows"))
    others = F.lit(total) - F.col("group_rows")
    most = F.lit(max_share / (1.0 - max_share)) * others
    share = F.coalesce(F.floor(F.lit(_BUCKETS) * most / F.col("group_rows")), F.lit(_BUCKETS))
    bounded = grouped.join(F.broadcast(sizes), "capped_group", how="left")
    # By a hash of its own: a sample takes the smallest of the other, and would take all of these.
    return bounded.where(_bucket(F.lit("cap")) < share).select(*rows.columns)


def _bucket(*salt: Column) -> Column:
    return F.pmod(F.xxhash64("entity_id", *salt), F.lit(_BUCKETS))
