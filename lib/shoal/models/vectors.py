"""Feature rows as vectors in a model's order."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

BUILTIN = "builtin"
VALUES = "values"


def add_vector(
    entity_days: DataFrame, names_by_type: Mapping[str, tuple[str, Sequence[str]]]
) -> DataFrame:
    """Add ``features array<double>`` and ``bad_feature``; grain entity × day in and out.

    Parameters
    ----------
    names_by_type : entity type → (feature set, feature names in the model's order); rows of other
        types get an empty vector

    Returns
    -------
    ``features``: null where the row doesn't know the feature. ``bad_feature``: the name of the
    first feature that is NaN or infinite, null if there is none.
    """
    vector = F.array().cast("array<double>")
    names = F.array().cast("array<string>")
    for entity_type, (feature_set, wanted) in sorted(names_by_type.items()):
        is_type = F.col("entity_type") == F.lit(entity_type)
        vector = F.when(is_type, _vector(feature_set, wanted)).otherwise(vector)
        labels = F.array(*(F.lit(name) for name in wanted)).cast("array<string>")
        names = F.when(is_type, labels).otherwise(names)

    def is_bad(value: Column) -> Column:
        return value.isNotNull() & (F.isnan(value) | (F.abs(value) == F.lit(float("inf"))))

    labelled = F.arrays_zip(F.col("features"), names.alias("name"))
    bad = F.filter(labelled, lambda pair: is_bad(pair["features"]))
    return entity_days.withColumn("features", vector).withColumn(
        "bad_feature", F.get(F.transform(bad, lambda pair: pair["name"]), F.lit(0))
    )


def teaching_rows(
    entity_days: DataFrame,
    entity_type: str,
    feature_set: str,
    names: Sequence[str],
    *,
    min_events: int,
) -> DataFrame:
    """Rows of one type that a model may learn from: enough events, finite features.

    Grain entity × day in and out, with ``entity_id``, ``event_date``, ``slice`` and ``features``.
    A ready feature table has no events to count: its rows always suffice.
    """
    own = entity_days.where(F.col("entity_type") == F.lit(entity_type))
    rows = add_vector(own, {entity_type: (feature_set, names)}).where(F.col("bad_feature").isNull())
    if feature_set == BUILTIN:
        rows = rows.where(F.col("event_count") >= min_events)
    return rows.select("entity_id", "event_date", "slice", "features")


def _vector(feature_set: str, wanted: Sequence[str]) -> Column:
    if feature_set == BUILTIN:
        return F.array(*wanted).cast("array<double>")
    # One map a row, not one a feature: a wide table would otherwise be read once a column.
    maps = F.array(F.map_from_entries("values"))
    return F.get(F.transform(maps, lambda known: _look_up(known, wanted)), F.lit(0))


def _look_up(known: Column, wanted: Sequence[str]) -> Column:
    names = F.array(*(F.lit(name) for name in wanted)).cast("array<string>")
    return F.transform(names, lambda name: F.try_element_at(known, name))


def feature_matrix(features: pd.Series) -> NDArray[np.float64]:
    """Rows ``(n_rows, n_features)`` of one feature vector or more, null as NaN."""
    return np.stack([np.asarray(row, dtype=float) for row in features])


def feature_column(feature_set: str, name: str) -> Column:
    """One feature of ``entity_features``: a named column, or an entry of ``values``."""
    if feature_set == BUILTIN:
        return F.col(name)
    return F.try_element_at(F.map_from_entries("values"), F.lit(name))
