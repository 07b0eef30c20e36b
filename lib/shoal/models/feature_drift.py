"""Drift of features: a night's histograms against those of a day and of a week before.

A move is measured in the unit of the feature and in octaves: in its unit, what falls silent moves
no further than a busy day, and in octaves, what doubles no further than one entity that wakes. What
is usual is learnt from quiet pairs: earlier nights as far apart, of the same kind of day. Cut-offs
from textbooks are noise (field notes).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy.stats import false_discovery_control

from shoal.contracts import DRIFT_FEATURES
from shoal.kernels.divergences import population_stability_index, wasserstein
from shoal.kernels.histograms import octaves_of, side_by_side
from shoal.kernels.quiet import MIN_PAIRS, quiet_p_value
from shoal.models.histograms import ALL
from shoal.models.weeks import QUIET_DAYS, pair_kinds

COMPARISONS = {"previous_night": 1, "same_weekday": 7}
"""Days between a night and the one that it is held against."""
DAYS_BACK = QUIET_DAYS + max(COMPARISONS.values())
MOST_FALSE = 0.001
"""False discoveries among what is told to have drifted (Benjamini & Hochberg 1995)."""
SAME_HOLDERS = 1.2
"""Ratio of entities with a value up to which these are taken for the same."""
_MEASURED = [
    "event_date", "entity_type", "slice", "feature", "comparison", "reference_date",
    "wasserstein", "wasserstein_null", "wasserstein_octaves", "wasserstein_octaves_null",
    "size_ratio", "psi", "missing_share", "reference_missing_share",
    "reference_entities", "analysis_entities", "quiet_pairs", "p_value",
]  # fmt: skip
_JUDGED = [name for name in DRIFT_FEATURES.column_names if name != "run_id"]
_GROUP = ["entity_type", "slice"]


@dataclass(frozen=True)
class FeatureDays:
    """Histograms of one feature of one slice, by night."""

    entities: Mapping[date, int]
    missing: Mapping[date, int]
    bins: Mapping[date, Mapping[int, int]]


def compare_features(
    histograms: DataFrame, days: Sequence[date], *, min_entities: int
) -> DataFrame:
    """Hold the histograms of each day against those of the day and the week before.

    Parameters
    ----------
    histograms : rows of ``feature_histograms`` of the days and ``DAYS_BACK`` days before them
    days : nights that are judged
    min_entities : entities on either night below which nothing is said

    Returns
    -------
    night × entity type × slice × feature × comparison: the columns of ``drift_features`` without
    ``run_id``. Of features that are the same for all of a slice on both nights there are none, and
    of nights that have too few entities one row says so, of the feature ``*``.
    """

    def compare(group: pd.DataFrame) -> pd.DataFrame:
        return compare_group(group, days, min_entities=min_entities)

    measured = histograms.groupBy(*_GROUP).applyInPandas(compare, DRIFT_FEATURES.subset(_MEASURED))
    return measured.groupBy("event_date", "entity_type", "comparison").applyInPandas(
        judge_group, DRIFT_FEATURES.subset(_JUDGED)
    )


def compare_group(group: pd.DataFrame, days: Sequence[date], *, min_entities: int) -> pd.DataFrame:
    """Group function of the distances: histograms of one slice in, its comparisons out."""
    rows = _too_small(group, days, min_entities)
    for feature, own in group.groupby("feature", sort=True):
        known = FeatureDays(
            dict(zip(own["event_date"], own["entities"].astype(int), strict=True)),
            dict(zip(own["event_date"], own["missing"].astype(int), strict=True)),
            {
                day: {int(b["bin"]): int(b["count"]) for b in bins}
                for day, bins in zip(own["event_date"], own["bins"], strict=True)
            },
        )
        rows += [{"feature": feature, **row} for row in compare_days(known, days, min_entities)]
    key = dict(zip(_GROUP, group[_GROUP].iloc[0], strict=True))
    return pd.DataFrame(rows, columns=_MEASURED).assign(**key)[_MEASURED]


def _too_small(
    group: pd.DataFrame, days: Sequence[date], min_entities: int
) -> list[dict[str, Any]]:
    """A row for each comparison of nights that are there and not both large enough."""
    largest = group.groupby("event_date")["entities"].max()
    sizes = {night: int(size) for night, size in largest.items()}
    return [
        {
            "feature": ALL,
            "event_date": day,
            "comparison": name,
            "reference_date": before,
            "reference_entities": sizes[before],
            "analysis_entities": sizes[day],
        }
        for day in days
        for name, lag in COMPARISONS.items()
        if day in sizes
        and (before := day - timedelta(days=lag)) in sizes
        and min(sizes[day], sizes[before]) < min_entities
    ]


def compare_days(
    known: FeatureDays, days: Sequence[date], min_entities: int
) -> list[dict[str, Any]]:
    """Comparisons of one feature on nights that are both large enough."""
    nights = sorted(known.bins)
    place = {night: number for number, night in enumerate(nights)}
    values, counts = side_by_side([known.bins[night] for night in nights])
    octaves = octaves_of(values)
    enough = {n for n in nights if known.entities[n] - known.missing[n] >= min_entities}
    found = []
    for name, lag in COMPARISONS.items():
        pairs = [
            (night, before)
            for night in nights
            if (before := night - timedelta(days=lag)) in enough and night in enough
        ]
        places = [(place[night], place[before]) for night, before in pairs]
        distances = np.stack([_distances(on, counts, places) for on in (values, octaves)], axis=1)
        by_night = dict(zip((night for night, _ in pairs), distances, strict=True))
        for day in days:
            before = day - timedelta(days=lag)
            # What is one value for all on both nights is not told: nothing of it has moved.
            if day in by_night and len({*known.bins[day], *known.bins[before]}) > 1:
                sizes = {
                    "event_date": day,
                    "comparison": name,
                    "reference_date": before,
                    "reference_entities": known.entities[before],
                    "analysis_entities": known.entities[day],
                    "missing_share": known.missing[day] / known.entities[day],
                    "reference_missing_share": known.missing[before] / known.entities[before],
                }
                two = values, counts[place[before]], counts[place[day]]
                found.append(sizes | _measured(day, before, lag, by_night, known, two))
    return found


def _distances(
    values: NDArray[np.float64], counts: NDArray[np.int64], pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    if not pairs:
        return np.zeros(0)
    now, before = np.asarray(pairs).T
    return np.asarray(wasserstein(values, counts[before], counts[now]), dtype=np.float64)


def _measured(
    day: date,
    before: date,
    lag: int,
    by_night: Mapping[date, NDArray[np.float64]],
    known: FeatureDays,
    two: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
) -> dict[str, Any]:
    """Distance of two nights, what it usually is, and how rare more than it is."""
    usual = [
        distances
        for night, distances in by_night.items()
        if 0 < (day - night).days <= QUIET_DAYS
        and pair_kinds(night, night - timedelta(days=lag)) == pair_kinds(day, before)
    ]
    quiet = np.asarray(usual).reshape(-1, 2)
    in_units, in_octaves = by_night[day].tolist()
    row = {
        "wasserstein": in_units,
        "wasserstein_octaves": in_octaves,
        "size_ratio": _size_ratio(two),
        "psi": population_stability_index(*two),
        "quiet_pairs": len(quiet),
    }
    if len(quiet) < MIN_PAIRS:
        return row
    row["wasserstein_null"], row["wasserstein_octaves_null"] = quiet.max(axis=0).tolist()
    # What one entity does by taking the usual value for another one: less than that is nothing.
    one = 1 / min(known.entities[day], known.entities[before])
    steps = [one * _usual_size(on, *two[1:]) for on in (two[0], octaves_of(two[0]))]
    both = zip(by_night[day].tolist(), quiet.T, steps, strict=True)
    row["p_value"] = min(1.0, 2 * min(quiet_p_value(*one_of) for one_of in both))
    return row


def _usual_size(
    values: NDArray[np.float64], before: NDArray[np.int64], now: NDArray[np.int64]
) -> float:
    weights = (before + now) * (values != 0)
    return float(np.average(np.abs(values), weights=weights)) if weights.any() else 0.0


def _size_ratio(
    two: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
) -> float | None:
    """Median of what is not zero, now over before; null if other entities have it."""
    values, before, now = two
    is_size = values != 0
    n_before, n_now = before[is_size].sum(), now[is_size].sum()
    if not n_before or not n_now or max(n_before, n_now) > SAME_HOLDERS * min(n_before, n_now):
        return None
    sizes = np.abs(values[is_size])
    order = np.argsort(sizes)
    medians = [
        float(sizes[order][np.searchsorted(np.cumsum(counts[is_size][order]), n / 2)])
        for counts, n in ((before, n_before), (now, n_now))
    ]
    return medians[1] / medians[0]


def judge_group(group: pd.DataFrame) -> pd.DataFrame:
    """Group function of the verdicts: all features and slices of a night's comparison."""
    rows = group.sort_values(["slice", "feature"]).reset_index(drop=True)
    is_known = rows["p_value"].notna().to_numpy()
    is_drift = np.zeros(len(rows), dtype=np.bool_)
    if is_known.any():
        adjusted = false_discovery_control(rows.loc[is_known, "p_value"].to_numpy(dtype=float))
        is_drift[is_known] = adjusted <= MOST_FALSE
    status = np.where(is_drift, "drift", np.where(is_known, "ok", "insufficient_data"))
    rows["status"] = status
    rows["detail"] = [
        _detail(row, own) for (_, row), own in zip(rows.iterrows(), status.tolist(), strict=True)
    ]
    return rows[_JUDGED]


def _detail(row: pd.Series, status: str) -> str | None:
    if status == "drift":
        return (
            f"moved by {row['wasserstein']:.4g} and {row['wasserstein_octaves']:.2g} octaves; of "
            f"{row['quiet_pairs']:.0f} quiet pairs of nights none by more than "
            f"{row['wasserstein_null']:.4g} and {row['wasserstein_octaves_null']:.2g}"
        )
    if status == "ok":
        return None
    if pd.isna(row["wasserstein"]):
        return (
            f"{row['reference_entities']:.0f} and {row['analysis_entities']:.0f} entities are too "
            "few"
        )
    return f"{row['quiet_pairs']:.0f} quiet pairs of nights, {MIN_PAIRS} needed"
