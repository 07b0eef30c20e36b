"""Feature rows as vectors in a model's order."""

from collections.abc import Mapping, Sequence

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


def _vector(feature_set: str, wanted: Sequence[str]) -> Column:
    columns = [feature_column(feature_set, name) for name in wanted]
    return F.array(*columns).cast("array<double>")


def feature_column(feature_set: str, name: str) -> Column:
    """One feature of ``entity_features``: a named column, or an entry of ``values``."""
    if feature_set == BUILTIN:
        return F.col(name)
    return F.try_element_at(F.map_from_entries("values"), F.lit(name))
