"""Histograms of every feature by night and slice: what any two nights can be compared by."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts.features import FEATURE_NAMES
from shoal.kernels.histograms import MISSING, bins_of
from shoal.models.vectors import BUILTIN, VALUES, feature_matrix

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

    def count(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield count_batch(batch)

    builtin = (
        entity_days.where(F.col("feature_set") == BUILTIN)
        .select(*_GROUP, F.array(*FEATURE_NAMES).alias("features"))
        .mapInPandas(count, _COUNTED)
    )
    ready = (
        entity_days.where(F.col("feature_set") == VALUES)
        .select(
            *_GROUP, F.col("values.name").alias("names"), F.col("values.value").alias("features")
        )
        .mapInPandas(count_pairs, _COUNTED)
    )
    of_slices = builtin.unionByName(ready)
    of_all = of_slices.withColumn("slice", F.lit(ALL))
    counted = of_slices.unionByName(of_all).groupBy(*_CELL).agg(F.sum("n").alias("n"))
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


def count_batch(batch: pd.DataFrame) -> pd.DataFrame:
    """Group function of the built-in features: rows in, counts of their bins out."""
    found = []
    for key, group in batch.groupby(_GROUP, sort=True):
        bins = bins_of(feature_matrix(group["features"]))
        # A number for each pair of feature and bin, so that all are counted in one pass.
        cells = np.arange(bins.shape[1], dtype=np.int64) << 32 | (bins.astype(np.int64) - MISSING)
        numbers, counts = np.unique(cells, return_counts=True)
        own = pd.DataFrame(
            {
                **dict(zip(_GROUP, key, strict=True)),
                "feature": np.asarray(FEATURE_NAMES, dtype=object)[numbers >> 32],
                "bin": ((numbers & 0xFFFFFFFF) + MISSING).astype(np.int32),
                "n": counts,
            }
        )
        found.append(own)
    if not found:
        return pd.DataFrame(columns=[*_CELL, "n"])
    return pd.concat(found, ignore_index=True)[[*_CELL, "n"]]


def count_pairs(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Batch function of ready tables: rows with names and values of their own in, counts out."""
    for batch in batches:
        sizes = batch["names"].map(len).to_numpy()
        if not sizes.sum():
            continue
        values = np.concatenate([np.asarray(own, dtype=np.float64) for own in batch["features"]])
        places, names = pd.factorize(np.concatenate(batch["names"].to_list()))
        groups = batch[_GROUP].drop_duplicates(ignore_index=True)
        of_row = batch[_GROUP].merge(groups.assign(code=groups.index), on=_GROUP)["code"].to_numpy()
        codes = np.repeat(of_row, sizes) * len(names) + places
        cells = codes << 32 | (bins_of(values).astype(np.int64) - MISSING)
        numbers, counts = np.unique(cells, return_counts=True)
        own = groups.iloc[(numbers >> 32) // len(names)].reset_index(drop=True)
        own["feature"] = names[(numbers >> 32) % len(names)]
        own["bin"] = ((numbers & 0xFFFFFFFF) + MISSING).astype(np.int32)
        own["n"] = counts
        yield own[[*_CELL, "n"]]
