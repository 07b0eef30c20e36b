"""Hashes of many rows that don't depend on their order."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def hash_sum(*names: str) -> Column:
    """Aggregate of a hash of each row; null of no row. Decimals, so that no sum overflows."""
    return F.sum(F.xxhash64(*names).cast("decimal(38,0)"))
