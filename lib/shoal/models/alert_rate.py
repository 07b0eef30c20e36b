"""How many a night alarms, against how many it should, and what that says of the model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.models.histograms import ALL

ALERT_P, STRANGE_P = 0.05, 0.01
"""p-values of an alarm, and of what is strange: so many are expected by chance."""
DAYS_BACK = 28
CLUSTERING = 2.0
"""Variance of a night's counts over that of independent entities: those of a role move together."""
LIMIT_SD = 3.0
"""Standard deviations beyond which a rate is out of its control limit."""
MIN_NIGHTS = 4
"""Earlier nights from which on their median is what is usual."""
LARGER = 2.0
"""How many times the expected a rate is at least when it has drifted: 5 percent to 10."""
CUSUM_SLACK, CUSUM_LIMIT = 0.5, 5.0
"""Of the one-sided CUSUM, in standard deviations: half of the shift to be found, and where it is
called (Montgomery, Introduction to Statistical Quality Control, section 9.1)."""
UNITS_APART = 20.0
"""Ratio of usual sizes from which on a feature changed its unit, rather than moved."""
MORE_MISSING = 0.3
"""Rise of the share of entities without a value from which on data went missing."""
_GROUP = ["event_date", "entity_type", "slice"]
VERDICTS = {
    "none": "nothing moved",
    "individuals": "individuals moved: more are strange than chance brings, peers are as usual",
    "population": "the population moved: features of whole groups left their quiet range",
    "data": "the data changed: a source fell silent, or a field's meaning changed",
    "model": "the model aged: alarms rise while features are as last week; fit it anew",
}


@dataclass(frozen=True)
class Rates:
    """What a night's scores of a slice add up to."""

    scored: int
    alerts: int
    strange: int
    log_density: float


def aggregate_rates(scores: DataFrame) -> DataFrame:
    """Aggregate rows of ``entity_scores`` to a night's slices, and all of a type (``ALL``)."""
    levels = {"alerts": ALERT_P, "strange": STRANGE_P}
    counted = scores.groupBy(*_GROUP).agg(
        F.count(F.lit(1)).alias("scored"),
        *(F.count_if(F.col("p_value") <= level).alias(name) for name, level in levels.items()),
        F.sum("log_density").alias("log_density"),
    )
    sums = [F.sum(name).alias(name) for name in ("scored", *levels, "log_density")]
    whole = counted.groupBy("event_date", "entity_type").agg(F.lit(ALL).alias("slice"), *sums)
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
        | _judged(day, known, min_entities=min_entities)
        for (kind, name), known in sorted(rates.items())
        for day in sorted(days)
        if day in known
    ]


def _judged(day: date, known: Mapping[date, Rates], *, min_entities: int) -> dict[str, Any]:
    own = known[day]
    rate = own.alerts / own.scored
    row = {
        "scored": own.scored,
        "alert_rate": rate,
        "expected_rate": ALERT_P,
        "p01_rate": own.strange / own.scored,
        "log_likelihood": own.log_density / own.scored,
    }
    if own.scored < min_entities:
        detail = f"{own.scored} entities scored, {min_entities} needed"
        return row | {"status": "insufficient_data", "detail": detail}
    nights = [known[d] for d in _nights_until(day, known) if known[d].scored >= min_entities]
    usual = _usual_rate(nights[:-1])
    cusum = _cusum(nights, usual)
    row |= {"expected_rate": usual, "cusum": cusum}
    is_beyond = rate >= LARGER * ALERT_P and rate > ALERT_P + LIMIT_SD * _sd(own.scored, ALERT_P)
    if is_beyond:
        detail = f"{rate:.1%} alarm where {ALERT_P:.0%} are expected"
        return row | {"status": "drift", "detail": detail}
    if cusum >= CUSUM_LIMIT and rate > usual:
        detail = f"{rate:.1%} alarm, and night after night more than the usual {usual:.1%}"
        return row | {"status": "drift", "detail": detail}
    return row | {"status": "ok", "detail": None}


def _nights_until(day: date, known: Mapping[date, Rates]) -> list[date]:
    since = day - timedelta(days=DAYS_BACK)
    return [night for night in sorted(known) if since <= night <= day]


def _usual_rate(nights: Sequence[Rates]) -> float:
    """Median rate of earlier nights, ``ALERT_P`` at least: some fleets always have more."""
    if len(nights) < MIN_NIGHTS:
        return ALERT_P
    return max(ALERT_P, float(np.median([own.alerts / own.scored for own in nights])))


def _cusum(nights: Sequence[Rates], usual: float) -> float:
    """Upper CUSUM of the nights' rates at the last of them, in standard deviations.

    0 where there are too few nights to know what is usual.
    """
    total = 0.0
    for own in nights if len(nights) > MIN_NIGHTS else ():
        above = (own.alerts / own.scored - usual) / _sd(own.scored, usual)
        total = max(0.0, total + above - CUSUM_SLACK)
    return total


def _sd(scored: int, expected: float) -> float:
    """Standard deviation of the rate of so many entities."""
    return float(np.sqrt(CLUSTERING * expected * (1 - expected) / scored))


def verdict_of(
    row: Mapping[str, Any], stopped: Sequence[str], drifts: Sequence[Mapping[str, Any]]
) -> str:
    """Which of ``VERDICTS`` a type's night deserves.

    Data before population before model: what explains the others is told.

    Parameters
    ----------
    row : of ``drift_alert_rate``, of all of the type
    stopped : sources that should have had events
    drifts : rows of ``drift_features`` of the type's night that tell a drift
    """
    if stopped or any(_is_of_data(drift) for drift in drifts):
        return "data"
    if any(drift["comparison"] == "same_weekday" for drift in drifts):
        return "population"
    if row["status"] == "drift":
        return "model"
    if row["p01_rate"] > STRANGE_P + LIMIT_SD * _sd(row["scored"], STRANGE_P):
        return "individuals"
    return "none"


def _is_of_data(drift: Mapping[str, Any]) -> bool:
    """Whether a feature went missing, or has another unit: another size of the same shape."""
    more_missing = drift["missing_share"] - drift["reference_missing_share"] >= MORE_MISSING
    ratio = drift["size_ratio"]
    is_unit = ratio is not None and not (1 / UNITS_APART < ratio < UNITS_APART)
    return bool(more_missing or is_unit)
