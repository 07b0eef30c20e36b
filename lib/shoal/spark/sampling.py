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


def bound_groups(rows: DataFrame, group: Sequence[str], *, max_rows: int) -> DataFrame:
    """At most about ``max_rows`` rows of each group: all rows of its entities of smallest hash.

    What `hash_sample` does for one group, before the rows of a group meet in one task.
    """
    sizes = rows.groupBy(*group).agg(F.count(F.lit(1)).alias("group_rows"))
    bounded = rows.join(F.broadcast(sizes), list(group), how="inner")
    share = F.floor(F.lit(_BUCKETS * max_rows) / F.col("group_rows"))
    return bounded.where(_bucket() < share).select(*rows.columns)


def _bucket() -> Column:
    return F.pmod(F.xxhash64("entity_id"), F.lit(_BUCKETS))
