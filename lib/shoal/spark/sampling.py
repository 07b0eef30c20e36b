"""Samples that don't depend on partitioning: by hash of the entity, never by chance."""

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_BUCKETS = 1_000_000


def hash_sample(rows: DataFrame, *, max_rows: int) -> pd.DataFrame:
    """Collect at most about ``max_rows`` rows: all rows of the entities whose hash is smallest.

    Returns
    -------
    Rows sorted by ``entity_id`` and ``event_date``, so that whatever is fitted on them does not
    depend on how they were partitioned.
    """
    total = rows.count()
    bucket = F.pmod(F.xxhash64("entity_id"), F.lit(_BUCKETS))
    if total > max_rows:
        rows = rows.where(bucket < int(_BUCKETS * max_rows / total))
    collected = rows.toPandas()
    return collected.sort_values(["entity_id", "event_date"], ignore_index=True)
