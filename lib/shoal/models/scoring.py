"""Scoring a night: every entity's day against the model of its peers, in log space."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.window import Window

from shoal.contracts import ENTITY_SCORES, UNSCORED
from shoal.contracts.activity import HORIZONS, WEEKS_BEFORE
from shoal.contracts.scores import SEVERITIES, SILENT
from shoal.errors import DataError
from shoal.kernels.calibration import p_value_interval
from shoal.kernels.centroids import ClusterSpread
from shoal.kernels.peer_model import Measures
from shoal.models.peer_models import PeerModel, PeerModels
from shoal.models.vectors import feature_matrix, profile_arrays, profiles_of
from shoal.models.weeks import is_weekend

KEYS = ["event_date", "entity_type", "entity_id"]
_PEERS = ["event_date", "entity_type", "slice"]
_ENTITY = ["entity_type", "entity_id"]
INTERVAL = ("p_value_low", "p_value_high")
ABOUT_PAST = ("history_days", "peers", "is_undecided")
HISTORY_DAYS = max(HORIZONS)
"""Days in which those of an entity are counted that it was there on."""
MOVED_WITHIN = 7
"""Nights among which those are counted on which an entity moved against the frozen model."""
MOVED_SCORE, MOVED_P = 2.0, 0.01
"""Far for the frozen model, and not for the one that serves: one in a hundred."""
MOVED_SHIFT = 1.0
"""Rise of ``golden_score`` above that of peers: ten times rarer."""
RAISED_BY = 1.0
"""Rise of ``anomaly_score`` that counts as news: ten times rarer among its peers."""
MIN_SHIFTED = 5
"""Peers of a slice below which the median of all stands for theirs."""
_LOOKED_BACK_ON = ("p_value", "anomaly_score", "golden_score", "golden_shift")
SCORE_DECIMALS = 6
"""Digits of a score in which two runs agree."""
_JUDGED = T.StructType(
    [
        *ENTITY_SCORES.subset(
            [
                n
                for n in ENTITY_SCORES.column_names
                if n not in {"run_id", "self_p_value", "severity", "golden_shift", *ABOUT_PAST}
            ]
        ).fields,
        *UNSCORED.subset(["reason", "detail"]).fields,
    ]
)


def judge_entities(
    entity_days: DataFrame, models: Mapping[date, PeerModels], *, min_events: int
) -> DataFrame:
    """Score every entity's day, or say why not.

    Parameters
    ----------
    entity_days : entity × day with ``slice``, ``event_count``, ``features``, ``bad_feature``, and
        ``profile`` where a frozen model looks at it
    models : those that serve each night

    Returns
    -------
    entity × day: the columns of ``entity_scores`` known here, null where ``reason`` says why
    there is no score.
    """

    def judge(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield judge_batch(batch, models, min_events=min_events)

    wanted = entity_days.select(
        *KEYS,
        "slice",
        "event_count",
        "features",
        "bad_feature",
        *(profile_arrays() if _looks_at_profiles(models) else []),
    )
    return wanted.mapInPandas(judge, _JUDGED)


def judge_batch(
    batch: pd.DataFrame, models: Mapping[date, PeerModels], *, min_events: int
) -> pd.DataFrame:
    """Group function of :func:`judge_entities`, without Spark."""
    known = batch[[*KEYS, "slice"]].reset_index(drop=True)
    # Filled as arrays: assigning to parts of a frame costs more than scoring does.
    judged = {
        name: np.full(len(batch), None, dtype=object)
        for name in _JUDGED.fieldNames()
        if name not in known
    }
    few = (batch["event_count"] < min_events).to_numpy()
    bad = batch["bad_feature"].notna().to_numpy()
    judged["reason"][few] = "too_few_events"
    judged["detail"][few] = [
        f"{count:.0f} events, {min_events} needed" for count in batch["event_count"][few]
    ]
    judged["reason"][bad] = "non_finite_feature"
    judged["detail"][bad] = batch["bad_feature"][bad].to_numpy()
    for (night, entity_type, slice_name), group in known[~(few | bad)].groupby(_PEERS):
        rows = group.index.to_numpy()
        day = cast(date, night)
        serving, of_entity = models[day], (str(entity_type), str(slice_name))
        model, golden = serving.find(*of_entity), serving.find_golden(*of_entity)
        if model is None:
            judged["reason"][rows] = "no_model"
            judged["detail"][rows] = "no model of this entity type serves the night"
            continue
        values = feature_matrix(batch["features"].iloc[rows])
        columns = score_columns(model, values, is_weekend=is_weekend(day))
        if golden is not None:
            profiles = profiles_of(batch.iloc[rows]) if golden.profile else None
            own = golden.reorder(values, model.feature_names, profiles)
            columns |= golden_columns(golden, own, is_weekend=is_weekend(day))
        for name, column in columns.items():
            judged[name][rows] = column
    return known.assign(**judged)[_JUDGED.fieldNames()]


def _looks_at_profiles(models: Mapping[date, PeerModels]) -> bool:
    """Whether a frozen model needs profiles; the others find their coordinates in ``features``."""
    frozen = [serving.golden for serving in models.values() if serving.golden]
    return any(model.profile for golden in frozen for model in golden.of_types())


def score_columns(
    model: PeerModel, values: NDArray[np.float64], *, is_weekend: bool
) -> dict[str, Any]:
    """Score columns of native rows ``(n_rows, n_features)`` of a day in the model's feature order.

    Raises
    ------
    DataError
        If a density, departure or p-value is not finite: such a night must not be written.
    """
    measures, log_p, extrapolated = _measure(model, values, is_weekend)
    first, second = measures.top_two()
    rows = np.arange(len(values))
    interval = p_value_interval(np.exp(log_p), model.reference_entities)
    return {
        "cluster_id": first,
        "second_cluster_id": [int(c) if c >= 0 else None for c in second],
        "responsibility": measures.responsibilities()[rows, first],
        "responsibility_entropy": measures.entropy(),
        "log_density": measures.log_density,
        "residual_distance": measures.residual_distance,
        "departure": measures.departure,
        "centroid_id": measures.centroid_ids,
        "centroid_distance": measures.centroid_distance,
        **_by_own_spread(model.spread, measures),
        "p_value": np.exp(log_p),
        **dict(zip(INTERVAL, interval, strict=True)),
        "anomaly_score": _anomaly_score(log_p),
        "reference_entities": model.reference_entities,
        "reference_days": model.reference_days,
        "calibration": np.where(extrapolated, "extrapolated", model.calibration),
        "model_version": model.model_version,
    }


def _by_own_spread(spread: ClusterSpread | None, measures: Measures) -> dict[str, Any]:
    if spread is None:
        return {}
    nearest, distance = measures.centroid_ids, measures.centroid_distance
    return {
        "centroid_distance_z": spread.z(nearest, distance),
        "centroid_distance_p95_ratio": spread.p95_ratio(nearest, distance),
    }


def golden_columns(
    model: PeerModel, values: NDArray[np.float64], *, is_weekend: bool
) -> dict[str, Any]:
    """What a frozen model says of native rows in its own feature order."""
    _, log_p, _ = _measure(model, values, is_weekend)
    return {"golden_score": _anomaly_score(log_p), "golden_version": model.model_version}


def _measure(
    model: PeerModel, values: NDArray[np.float64], is_weekend: bool
) -> tuple[Measures, NDArray[np.float64], NDArray[np.bool_]]:
    """Measures of rows, their log p-values, and whether those lie beyond the references."""
    measures = model.geometry.measure(values)
    log_p, extrapolated = model.log_p(
        measures.log_density, measures.departure, is_weekend=is_weekend
    )
    _require_finite(model, measures, log_p)
    return measures, log_p, extrapolated


def _anomaly_score(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(-log_p / math.log(10), 0.0)


def _require_finite(model: PeerModel, measures: Measures, log_p: NDArray[np.float64]) -> None:
    faulty = ~(
        np.isfinite(measures.log_density) & np.isfinite(measures.departure) & np.isfinite(log_p)
    )
    if faulty.any():
        raise DataError(
            f"model {model.model_version}, slice {model.slice}: {int(faulty.sum())} of "
            f"{len(faulty)} rows have no finite score; the night is not written"
        )


def is_moved() -> Column:
    """Whether a row is far for the frozen model and not for the one that learns, unlike its peers.

    That is how a model looks that somebody has taught step by step.
    """
    return (
        (F.col("golden_score") >= MOVED_SCORE)
        & (F.col("golden_shift") >= MOVED_SHIFT)
        & (F.col("p_value") > MOVED_P)
    )


def add_past(
    judged: DataFrame, past_scores: DataFrame, *, past_days: int, max_p_value: float
) -> DataFrame:
    """Add what the scores of an entity's past nights say; grain entity × day in and out.

    A night's past are the ``past_days`` before it: earlier rows of ``judged``, several nights of
    them maybe, and rows of published nights before those.

    Parameters
    ----------
    judged : ``entity_type``, ``entity_id``, ``event_date``, ``p_value``, ``anomaly_score``,
        ``golden_score`` and ``golden_shift``, null where there is no score
    past_scores : rows of ``entity_scores``

    Returns
    -------
    ``past_nights``; ``as_strange_nights``, those of them at least as strange as the row;
    ``moved_nights``, of the last week and the row those that moved against the frozen model;
    ``strange_nights``, those with a ``p_value`` of at most ``max_p_value``; ``last_score``, that of
    the newest.

    Scores are compared to 6 decimals, as far as two runs agree: else a night like any other would
    be the strangest ever by a last digit.
    """
    past = past_scores.select(*KEYS, *_LOOKED_BACK_ON)
    both = judged.withColumn("is_judged", F.lit(True)).unionByName(past, allowMissingColumns=True)
    window = (
        Window.partitionBy(*_ENTITY).orderBy(F.unix_date("event_date")).rangeBetween(-past_days, -1)
    )
    week = window.rangeBetween(1 - MOVED_WITHIN, 0)
    score = F.round("anomaly_score", SCORE_DECIMALS)
    scored_date = F.when(F.col("anomaly_score").isNotNull(), F.col("event_date"))
    return (
        both.withColumns(
            {
                "past": F.collect_list(score).over(window),
                "strange_nights": F.count_if(F.col("p_value") <= max_p_value).over(window),
                "moved_nights": F.count_if(is_moved()).over(week),
                "last_score": F.max_by("anomaly_score", scored_date).over(window),
            }
        )
        .where("is_judged")
        .withColumn("past_nights", F.size("past"))
        .withColumn("as_strange_nights", F.size(F.filter("past", lambda other: other >= score)))
        .drop("past", "is_judged")
    )


def add_golden_shift(judged: DataFrame) -> DataFrame:
    """Add ``golden_shift``, how much stranger the frozen model finds a row than its peers.

    A fleet drifts, and with it what a frozen model says of all: the median of a night's slice is
    taken off, or that of its entity type where the slice has too few to have one of its own. Null
    where there is no ``golden_score``.
    """
    shift = F.col("golden_score") - F.col("anomaly_score")
    peers = Window.partitionBy(*_PEERS)
    usual = F.when(F.count(shift).over(peers) >= MIN_SHIFTED, F.median(shift).over(peers))
    of_type = F.median(shift).over(Window.partitionBy("event_date", "entity_type"))
    return judged.withColumn("golden_shift", shift - F.coalesce(usual, of_type))


def add_self_p_value(scores: DataFrame, *, prior_nights: float) -> DataFrame:
    """Add ``self_p_value``, the share of an entity's own nights that are at least as strange.

    Shrunk towards what its peers say: the posterior mean of a share whose prior is the beta
    distribution of mean ``p_value`` that weighs as much as ``prior_nights`` (Gelman et al.,
    Bayesian Data Analysis, 2.4). Without a past it is the peers' own.
    """
    as_strange = F.col("as_strange_nights") + prior_nights * F.col("p_value")
    share = as_strange / (F.col("past_nights") + prior_nights)
    return scores.withColumn("self_p_value", share)


def add_standing(judged: DataFrame, presence: DataFrame, *, max_p_value: float) -> DataFrame:
    """Add what a score stands on; grain entity × day in and out.

    Parameters
    ----------
    presence : entity × day with features, of the days and the ``HISTORY_DAYS`` before them

    Returns
    -------
    ``history_days``, days before on which the entity was there; ``peers``, others of its slice with
    a score of the day; ``is_undecided``, whether those behind its p-value are too few to say on
    which side of ``max_p_value`` it lies.
    """
    before = (
        Window.partitionBy(*_ENTITY)
        .orderBy(F.unix_date("event_date"))
        .rangeBetween(-HISTORY_DAYS, -1)
    )
    known = presence.select(*KEYS, F.count("*").over(before).alias("history_days"))
    low, high = INTERVAL
    scored = F.count("p_value").over(Window.partitionBy(*_PEERS))
    return (
        judged.join(known, KEYS, how="left")
        .withColumn("peers", scored - F.when(F.col("p_value").isNotNull(), 1).otherwise(0))
        .withColumn("is_undecided", F.lit(max_p_value).between(F.col(low), F.col(high)))
    )


def silent_entities(presence: DataFrame, days: Sequence[date]) -> DataFrame:
    """Entities that were there on a day's weekday in both weeks before it, and not on the day.

    Parameters
    ----------
    presence : entity × day with features and ``slice``, of the days and the two weeks before them

    Returns
    -------
    entity × day: the keys, ``slice`` of the week before, ``reason``, ``detail``
    """
    week_before, two_before = (
        presence.withColumn("event_date", F.date_add("event_date", n)) for n in WEEKS_BEFORE
    )
    shortest, longest = WEEKS_BEFORE
    detail = F.concat(
        F.lit("there on "), F.date_sub("event_date", longest), F.lit(" and "),
        F.date_sub("event_date", shortest), F.lit(", without an event on the day"),
    )  # fmt: skip
    return (
        week_before.where(F.col("event_date").isin(list(days)))
        .join(two_before, KEYS, how="left_semi")
        .join(presence, KEYS, how="left_anti")
        .select(*KEYS, "slice", F.lit(SILENT).alias("reason"), detail.alias("detail"))
    )


def add_severity(scores: DataFrame) -> DataFrame:
    """Add ``severity``, a fixed map of ``anomaly_score``."""
    severity = F.lit(SEVERITIES[-1][1])
    for threshold, name in reversed(SEVERITIES[:-1]):
        severity = F.when(F.col("anomaly_score") >= threshold, F.lit(name)).otherwise(severity)
    return scores.withColumn("severity", severity)
