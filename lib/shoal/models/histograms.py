"""Histograms of every feature by night and slice: what any two nights can be compared by."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts.features import FEATURE_NAMES
from shoal.kernels.histograms import MISSING, bins_of
from shoal.models.vectors import BUILTIN, VALUES

ALL = "*"
"""Slice of all entities of a type."""
_GROUP = ["event_date", "entity_type", "slice"]
_CELL = [*_GROUP, "feature", "bin"]
_COUNTED = "event_date date, entity_type string, slice string, feature string, bin int, n bigint"


def aggregate_histograms(entity_days: DataFrame) -> DataFrame:
    """Aggregate rows of ``entity_features`` to a histogram a feature; entity × day → night × slice.

    Returns
    -------
    night × entity type × slice × feature, slices and all of the type (``ALL``): the columns of
    ``feature_histograms``. A feature that no entity of the group knows has none.
    """

    names = F.col("values.name").alias("names")
    values = F.array(*FEATURE_NAMES).cast("array<double>").alias("values")
    builtin = entity_days.where(F.col("feature_set") == BUILTIN).select(*_GROUP, values)
    ready = entity_days.where(F.col("feature_set") == VALUES).select(
        *_GROUP, names, F.col("values.value").alias("values")
    )
    of_slices = builtin.mapInArrow(count_builtin, _COUNTED).unionByName(
        ready.mapInArrow(count_ready, _COUNTED)
    )
    in_both = of_slices.withColumn("slice", F.explode(F.array("slice", F.lit(ALL))))
    counted = in_both.groupBy(*_CELL).agg(F.sum("n").alias("n"))
    is_missing = F.col("bin") == int(MISSING)
    bins = F.collect_list(F.when(~is_missing, F.struct("bin", F.col("n").alias("count"))))
    return (
        counted.groupBy(*_GROUP, "feature")
        .agg(
            F.sum("n").alias("entities"),
            F.coalesce(F.sum(F.when(is_missing, F.col("n"))), F.lit(0)).alias("missing"),
            F.sort_array(bins).alias("bins"),
        )
        .where(F.size("bins") > 0)
    )


def count_builtin(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batch function of the built-in features: rows in, counts of their bins out."""
    for batch in batches:
        places = np.tile(np.arange(len(FEATURE_NAMES)), batch.num_rows)
        yield _count(batch, places, pa.array(FEATURE_NAMES))


def count_ready(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batch function of ready tables: rows with names and values of their own in, counts out."""
    for batch in batches:
        names = batch["names"].flatten().dictionary_encode()
        yield _count(batch, names.indices.to_numpy(), names.dictionary)


def _count(batch: pa.RecordBatch, places: NDArray[np.integer], names: pa.Array) -> pa.RecordBatch:
    """Count the bins of a batch.

    Parameters
    ----------
    batch : rows with ``values``, a list each
    places : of the feature of each of these in ``names``, one list after the other
    """
    keys = batch.select(_GROUP)
    groups = keys.to_pandas().groupby(_GROUP, sort=False).ngroup().to_numpy()
    sizes = batch["values"].value_lengths().to_numpy(zero_copy_only=False)
    bins = bins_of(batch["values"].flatten().to_numpy(zero_copy_only=False))
    # A number for each triple of group, feature and bin, so that all are counted in one pass.
    series = np.repeat(groups.astype(np.int64), sizes) * len(names) + places
    counts = pd.Series(series << 32 | (bins.astype(np.int64) - MISSING)).value_counts(sort=False)
    cells = counts.index.to_numpy()
    first = np.unique(groups, return_index=True)[1]
    own = keys.take(pa.array(first[(cells >> 32) // len(names)]))
    columns = {
        **{name: own[name] for name in _GROUP},
        "feature": names.take(pa.array((cells >> 32) % len(names))),
        "bin": pa.array(((cells & 0xFFFFFFFF) + MISSING).astype(np.int32)),
        "n": pa.array(counts.to_numpy()),
    }
    return pa.RecordBatch.from_pydict(columns)
