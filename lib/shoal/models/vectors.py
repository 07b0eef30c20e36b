"""Feature rows as vectors in a model's order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.kernels.profiles import ProfileAxes, Profiles
from shoal.spark.udf import series_udf

BUILTIN = "builtin"
VALUES = "values"


@dataclass(frozen=True, eq=False)
class VectorRule:
    """The features of a model, and the rows that are to have them.

    Attributes
    ----------
    is_own : condition on the row
    names : features in the model's order, the coordinates of its profile last
    profile : axes of those, if it has any
    """

    is_own: Column
    feature_set: str
    names: Sequence[str]
    profile: ProfileAxes | None = None

    @property
    def columns(self) -> Sequence[str]:
        """Features that are not coordinates of a profile."""
        n_profile = len(self.profile.names) if self.profile else 0
        return self.names[: len(self.names) - n_profile]


def add_vector(entity_days: DataFrame, rules: Sequence[VectorRule]) -> DataFrame:
    """Add ``features array<double>`` and ``bad_feature``; grain entity × day in and out.

    Returns
    -------
    ``features``: null where the row doesn't know the feature, an empty vector where no rule is the
    row's. ``bad_feature``: the name of the first feature that is NaN or infinite, null if there is
    none.
    """
    vector = F.array().cast("array<double>")
    names = F.array().cast("array<string>")
    which = F.lit(None).cast("int")
    for number, rule in enumerate(rules):
        vector = F.when(rule.is_own, _vector(rule.feature_set, rule.columns)).otherwise(vector)
        labels = F.array(*(F.lit(name) for name in rule.names)).cast("array<string>")
        names = F.when(rule.is_own, labels).otherwise(names)
        which = F.when(rule.is_own, F.lit(number)).otherwise(which)
    if any(rule.profile for rule in rules):
        axes = [rule.profile for rule in rules]
        vector = F.concat(vector, profile_coordinates(which, axes))

    def is_bad(value: Column) -> Column:
        return value.isNotNull() & (F.isnan(value) | (F.abs(value) == F.lit(float("inf"))))

    labelled = F.arrays_zip(F.col("features"), names.alias("name"))
    bad = F.filter(labelled, lambda pair: is_bad(pair["features"]))
    return entity_days.withColumn("features", vector).withColumn(
        "bad_feature", F.get(F.transform(bad, lambda pair: pair["name"]), F.lit(0))
    )


def profile_coordinates(which: Column, axes: Sequence[ProfileAxes | None]) -> Column:
    """Coordinates of each row's ``profile`` on the axes it is to have; null without a profile.

    One function for all axes: Spark runs Python for every row, whichever of them it needs.

    Parameters
    ----------
    which : place in ``axes``, or null; no coordinates where there are no axes
    """

    def encode(which: pd.Series, terms: pd.Series, counts: pd.Series) -> pd.Series:
        found = np.full(len(which), None, dtype=object)
        found[:] = [[]] * len(which)
        for number in which.dropna().unique():
            own, places = axes[int(number)], np.flatnonzero(which == number)
            if own is not None:
                rows = pd.DataFrame({"terms": terms, "counts": counts}).iloc[places]
                matrix = own.coordinates(profiles_of(rows)).tolist()
                known = [[None if math.isnan(value) else value for value in row] for row in matrix]
                for place, row in zip(places, known, strict=True):
                    found[place] = row
        return pd.Series(found)

    return series_udf(encode, "array<double>")(which, *profile_arrays())


def teaching_rows(
    entity_days: DataFrame, rules: Sequence[VectorRule], *, min_events: int
) -> DataFrame:
    """Rows that a model may learn from, those of the rules: enough events, finite features.

    Grain entity × day in and out, with ``features``. A ready feature table has no events to count:
    its rows always suffice.
    """
    may_teach = F.lit(False)
    for rule in rules:
        is_counted = rule.feature_set == BUILTIN
        suffices = F.col("event_count") >= min_events if is_counted else F.lit(True)
        may_teach = may_teach | (rule.is_own & suffices)
    rows = add_vector(entity_days.where(may_teach), rules)
    return rows.where(F.col("bad_feature").isNull())


def _vector(feature_set: str, wanted: Sequence[str]) -> Column:
    if feature_set == BUILTIN:
        return F.array(*wanted).cast("array<double>")
    # One map a row, not one a feature: a wide table would otherwise be read once a column.
    maps = F.array(F.map_from_entries("values"))
    return F.get(F.transform(maps, lambda known: _look_up(known, wanted)), F.lit(0))


def _look_up(known: Column, wanted: Sequence[str]) -> Column:
    names = F.array(*(F.lit(name) for name in wanted)).cast("array<string>")
    return F.transform(names, lambda name: F.try_element_at(known, name))


def table_values(rows: pa.Table, feature_set: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Features ``(n_rows, n_names)`` of rows of ``entity_features`` at hand; null as NaN."""
    found = np.full((len(rows), len(names)), np.nan)
    if feature_set == BUILTIN:
        for place, name in enumerate(names):
            found[:, place] = rows[name].cast(pa.float64()).to_numpy()
        return found
    values = rows["values"].combine_chunks()
    sizes = values.value_lengths().fill_null(0).to_numpy()
    own = values.flatten()
    labels = own.field("name").dictionary_encode()
    place_of = {name: place for place, name in enumerate(names)}
    places = np.asarray([place_of.get(name, -1) for name in labels.dictionary.to_pylist()])
    columns = places[labels.indices.to_numpy()] if len(own) else np.zeros(0, dtype=int)
    is_asked = columns >= 0
    row = np.repeat(np.arange(len(rows)), sizes)
    numbers = own.field("value").to_numpy(zero_copy_only=False)
    found[row[is_asked], columns[is_asked]] = numbers[is_asked]
    return found


def profile_parts(rows: pa.Table) -> tuple[list[list[str] | None], list[list[int] | None]]:
    """Terms and counts of the profiles of rows of ``entity_features`` at hand."""
    known = rows["profile"].to_pylist()
    terms = [None if own is None else [str(item["term"]) for item in own] for own in known]
    counts = [None if own is None else [int(item["count"]) for item in own] for own in known]
    return terms, counts


def feature_matrix(features: pd.Series) -> NDArray[np.float64]:
    """Rows ``(n_rows, n_features)`` of one feature vector or more, null as NaN."""
    return np.stack([np.asarray(row, dtype=float) for row in features])


def profile_arrays() -> list[Column]:
    """The profile as two arrays, ``terms`` and ``counts``, as Python takes them in."""
    return [F.col("profile.term").alias("terms"), F.col("profile.count").alias("counts")]


def profiles_of(rows: pd.DataFrame) -> Profiles:
    """Profiles of rows with the columns of `profile_arrays`."""
    return Profiles.of(rows["terms"].tolist(), rows["counts"].tolist())


def feature_column(feature_set: str, name: str) -> Column:
    """One feature of ``entity_features``: a named column, or an entry of ``values``."""
    if feature_set == BUILTIN:
        return F.col(name)
    return F.try_element_at(F.map_from_entries("values"), F.lit(name))
