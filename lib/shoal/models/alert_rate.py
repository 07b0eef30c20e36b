"""How many a night alarms, against how many it should, and what that says of the model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.models.histograms import ALL
from shoal.models.weeks import is_weekend

ALERT_P, STRANGE_P = 0.05, 0.01
"""p-values of an alarm, and of what is strange: so many are expected by chance."""
DAYS_BACK = 28
CLUSTERING = 2.0
"""Variance of a night's counts over that of independent entities: those of a role move together."""
MIN_NIGHTS = 14
"""Earlier nights below which nothing is told: models of few nights alarm as they please."""
MIN_OF_KIND = 4
"""Earlier weekdays, or days of weekends, from which on their median is what is usual for them."""
LARGER = 2.0
"""How many times the expected a rate is at least when it has drifted: 5 percent to 10."""
CUSUM_SLACK = 0.5
"""Half of the shift that the one-sided CUSUM is to find, in standard deviations (Montgomery,
Introduction to Statistical Quality Control, section 9.1)."""
UNITS_APART = 20.0
"""Ratio of usual sizes from which on a feature may have changed its unit, rather than moved."""
SAME_SHAPE = 0.125
"""Change of the shape, relative to that of the size in octaves, up to which it is the same."""
MORE_MISSING = 0.3
"""Rise of the share of entities without a value from which on data went missing."""
_GROUP = ["event_date", "entity_type", "slice"]
VERDICTS = {
    "none": "nothing moved",
    "unknown": "too few nights to tell",
    "individuals": "individuals moved: more are strange than chance brings, peers are as usual",
    "population": "the population moved: features of whole groups left their quiet range",
    "data": "the data changed: a source fell silent, or a field's meaning changed",
    "model": "the model aged: alarms rise while features are as last week; fit it anew",
}


AGED = "model"
"""The verdict that asks for a refit."""
CALM = ("none", "unknown")
"""Verdicts that ask for nothing."""


@dataclass(frozen=True)
class Limits:
    """Standard deviations beyond which one night's rate, or the CUSUM of many, is out of control.

    The CUSUM begins anew once it has called.
    """

    rate: float
    cusum: float


OF_ALL, OF_SLICES = Limits(3.0, 5.0), Limits(4.5, 9.0)
"""Of all of a type; and of its slices, of which there are many: by chance one of them is out."""


@dataclass(frozen=True)
class Rates:
    """What a night's scores of a slice add up to."""

    scored: int
    alerts: int
    strange: int
    log_density: float
    entropy: float
    model_version: str

    @property
    def alert_rate(self) -> float:
        """Share of those scored that alarm."""
        return self.alerts / self.scored


def aggregate_rates(scores: DataFrame) -> DataFrame:
    """Aggregate rows of ``entity_scores`` to a night's slices, and all of a type (``ALL``)."""
    levels = {"alerts": ALERT_P, "strange": STRANGE_P}
    counted = scores.groupBy(*_GROUP).agg(
        F.count(F.lit(1)).alias("scored"),
        *(F.count_if(F.col("p_value") <= level).alias(name) for name, level in levels.items()),
        F.sum("log_density").alias("log_density"),
        F.sum("responsibility_entropy").alias("entropy"),
        F.max("model_version").alias("model_version"),
    )
    sums = [F.sum(name).alias(name) for name in ("scored", *levels, "log_density", "entropy")]
    whole = counted.groupBy("event_date", "entity_type").agg(
        F.lit(ALL).alias("slice"), *sums, F.max("model_version").alias("model_version")
    )
    return counted.unionByName(whole)


def judge_rates(
    rates: Mapping[tuple[str, str], Mapping[date, Rates]],
    days: Iterable[date],
    *,
    min_entities: int,
) -> list[dict[str, Any]]:
    """Rows of ``drift_alert_rate`` of some days, without verdict and ``run_id``.

    Parameters
    ----------
    rates : by entity type and slice, by night: the days and up to ``DAYS_BACK`` before them
    """
    return [
        {"event_date": day, "entity_type": kind, "slice": name}
        | _judged(day, known, OF_ALL if name == ALL else OF_SLICES, min_entities=min_entities)
        for (kind, name), known in sorted(rates.items())
        for day in sorted(days)
        if day in known
    ]


def _judged(
    day: date, known: Mapping[date, Rates], limits: Limits, *, min_entities: int
) -> dict[str, Any]:
    own = known[day]
    nights = [night for night in _nights_until(day, known) if known[night].scored >= min_entities]
    row = {
        "scored": own.scored,
        "alert_rate": own.alert_rate,
        "expected_rate": ALERT_P,
        "p01_rate": own.strange / own.scored,
        "log_likelihood": own.log_density / own.scored,
        "usual_log_likelihood": _usual_likelihood(day, known),
        "responsibility_entropy": own.entropy / own.scored,
    }
    detail = None
    if own.scored < min_entities:
        detail = f"{own.scored} entities scored, {min_entities} needed"
    elif len(nights) <= MIN_NIGHTS:
        detail = f"{len(nights) - 1} earlier nights, {MIN_NIGHTS} needed"
    if detail:
        return row | {"status": "insufficient_data", "detail": detail}
    usual = _usual_rate(day, nights[:-1], known)
    cusum = _cusum(nights, known, limits.cusum)
    row |= {"expected_rate": usual, "cusum": cusum}
    rate = own.alert_rate
    largest = ALERT_P + limits.rate * _sd(own.scored, ALERT_P)
    is_beyond = rate >= LARGER * ALERT_P and rate > largest
    if is_beyond:
        detail = f"{rate:.1%} alarm where {ALERT_P:.0%} are expected"
        return row | {"status": "drift", "detail": detail}
    if cusum >= limits.cusum and rate > usual:
        detail = f"{rate:.1%} alarm, and night after night more than the usual {usual:.1%}"
        return row | {"status": "drift", "detail": detail}
    return row | {"status": "ok", "detail": None}


def _nights_until(day: date, known: Mapping[date, Rates]) -> list[date]:
    since = day - timedelta(days=DAYS_BACK)
    return [night for night in sorted(known) if since <= night <= day]


def _usual_rate(day: date, nights: Sequence[date], known: Mapping[date, Rates]) -> float:
    """Median rate of nights, ``ALERT_P`` at least: some fleets always have more.

    Of those of the kind of a day, weekday or weekend, where they are enough.
    """
    alike = [night for night in nights if is_weekend(night) == is_weekend(day)]
    measured = alike if len(alike) >= MIN_OF_KIND else nights
    return max(ALERT_P, float(np.median([known[night].alert_rate for night in measured])))


def _usual_likelihood(day: date, known: Mapping[date, Rates]) -> float | None:
    """Median of the mean log density of earlier nights that the same model served."""
    own = [
        known[night].log_density / known[night].scored
        for night in _nights_until(day, known)[:-1]
        if known[night].model_version == known[day].model_version
    ]
    return float(np.median(own)) if own else None


def _cusum(nights: Sequence[date], known: Mapping[date, Rates], limit: float) -> float:
    """Upper CUSUM of the nights' rates at the last of them, in standard deviations."""
    total = 0.0
    for night in nights:
        usual = _usual_rate(night, nights[:-1], known)
        above = (known[night].alert_rate - usual) / _sd(known[night].scored, usual)
        total = max(0.0, (0.0 if total >= limit else total) + above - CUSUM_SLACK)
    return total


def _sd(scored: int, expected: float) -> float:
    """Standard deviation of the rate of so many entities."""
    return float(np.sqrt(CLUSTERING * expected * (1 - expected) / scored))


def verdict_of(
    row: Mapping[str, Any],
    stopped: Sequence[str],
    drifts: Sequence[Mapping[str, Any]],
    *,
    has_moved: bool = False,
) -> str:
    """Which of ``VERDICTS`` a type's night deserves.

    Data before population before model: what explains the others is told.

    Parameters
    ----------
    row : of ``drift_alert_rate``, of all of the type
    stopped : sources that should have had events
    drifts : rows of ``drift_features`` of the type's night that tell a drift
    has_moved : whether its clusters or its components tell one
    """
    if stopped or any(_is_of_data(drift) for drift in drifts):
        return "data"
    if has_moved or any(drift["comparison"] == "same_weekday" for drift in drifts):
        return "population"
    if row["status"] == "insufficient_data":
        return "unknown"
    if row["status"] == "drift":
        return AGED
    if row["p01_rate"] > STRANGE_P + OF_ALL.rate * _sd(row["scored"], STRANGE_P):
        return "individuals"
    return "none"


def _is_of_data(drift: Mapping[str, Any]) -> bool:
    """Whether a feature went missing, or has another unit: for all another size, the same shape."""
    if drift["missing_share"] - drift["reference_missing_share"] >= MORE_MISSING:
        return True
    if drift["size_ratio"] is None or drift["slice"] != ALL:
        return False
    octaves = abs(math.log2(drift["size_ratio"]))
    is_apart = octaves >= math.log2(UNITS_APART)
    return bool(is_apart and drift["shape_octaves"] <= SAME_SHAPE * octaves)
