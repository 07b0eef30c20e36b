"""Rows that drift is measured on: a hash sample of entities, in the features of the models."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.models.peer_models import PeerModel
from shoal.models.vectors import teaching_rows
from shoal.spark.sampling import hash_share


@dataclass(frozen=True, eq=False)
class WantedNights:
    """A model, and the nights that are wanted in its features."""

    model: PeerModel
    nights: frozenset[date]


def is_of(nights: Iterable[tuple[str, date]]) -> Column:
    """Whether a row of `drift_rows` is of one of some model versions' nights."""
    days: dict[str, set[date]] = {}
    for version, night in nights:
        days.setdefault(version, set()).add(night)
    found = F.lit(False)
    for version, own in sorted(days.items()):
        is_night = F.col("event_date").isin(sorted(own))
        found = found | ((F.col("model_version") == version) & is_night)
    return found


def drift_rows(
    features: DataFrame, wanted: Mapping[str, WantedNights], *, share: float, min_events: int
) -> DataFrame:
    """Rows of ``entity_features`` in the features of models, once for every model.

    The same entities on all nights: what one night does to a cluster is seen in their moves.

    Parameters
    ----------
    wanted : by model version
    share : of the entities, by their hash

    Returns
    -------
    Entity × day × model with ``model_version`` and ``features`` in that model's order
    """
    columns = ("event_date", "entity_type", "entity_id", "model_version", "features")
    if not wanted:
        nobody = features.where(F.lit(False)).withColumn("model_version", F.lit(""))
        return nobody.withColumn("features", F.array().cast("array<double>")).select(*columns)
    versions = [
        F.when(
            (F.col("entity_type") == own.model.entity_type)
            & F.col("event_date").isin(sorted(own.nights)),
            F.lit(version),
        )
        for version, own in sorted(wanted.items())
    ]
    known = F.filter(F.array(*versions), lambda version: version.isNotNull())
    rules = [
        own.model.vector_rule(F.col("model_version") == version)
        for version, own in sorted(wanted.items())
    ]
    sampled = features.where(hash_share(share))
    tagged = sampled.withColumn("model_version", F.explode(known))
    return teaching_rows(tagged, rules, min_events=min_events).select(*columns)
