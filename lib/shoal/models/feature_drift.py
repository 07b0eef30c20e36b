"""Drift of features: a night's histograms against those of a day and of a week before.

A move is measured in the unit of the feature and in octaves: in its unit, what falls silent moves
no further than a busy day, and in octaves, what doubles no further than one entity that wakes. What
is usual is learnt from quiet pairs: earlier nights as far apart, of the same kind of day. Cut-offs
from textbooks are noise (field notes).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.stats import false_discovery_control

from shoal.contracts import DRIFT_FEATURES
from shoal.contracts.features import FEATURES
from shoal.kernels.quiet import MIN_PAIRS
from shoal.models.feature_series import FeatureSeries
from shoal.models.histograms import ALL
from shoal.models.weeks import QUIET_DAYS

COMPARISONS = {"previous_night": 1, "same_weekday": 7}
"""Days between a night and the one that it is held against."""
DAYS_BACK = QUIET_DAYS + max(COMPARISONS.values())
MOST_FALSE = 0.001
"""False discoveries among what is told to have drifted (Benjamini & Hochberg 1995)."""
CHANGES = tuple(feature.name for feature in FEATURES if feature.unit == "doublings")
"""Features that compare a day with its past themselves: a week after a holiday they have moved."""
_MEASURED = [
    "event_date", "entity_type", "slice", "feature", "comparison", "reference_date",
    "wasserstein", "wasserstein_null", "wasserstein_octaves", "wasserstein_octaves_null",
    "size_ratio", "shape_octaves", "psi", "missing_share", "reference_missing_share",
    "reference_entities", "analysis_entities", "quiet_pairs", "p_value",
]  # fmt: skip
_JUDGED = [name for name in DRIFT_FEATURES.column_names if name != "run_id"]
_GROUP = ["entity_type", "slice"]


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
    ``run_id``. Of features that are the same for all of a slice on both nights, and of those that
    are changes themselves, there are none, and
    of nights that have too few entities one row says so, of the feature ``*``.
    """

    def compare(group: pd.DataFrame) -> pd.DataFrame:
        return compare_group(group, days, min_entities=min_entities)

    compared = histograms.where(~F.col("feature").isin(*CHANGES))
    measured = compared.groupBy(*_GROUP).applyInPandas(compare, DRIFT_FEATURES.subset(_MEASURED))
    return measured.groupBy("event_date", "entity_type", "comparison").applyInPandas(
        judge_group, DRIFT_FEATURES.subset(_JUDGED)
    )


def compare_group(group: pd.DataFrame, days: Sequence[date], *, min_entities: int) -> pd.DataFrame:
    """Group function of the distances: histograms of one slice in, its comparisons out."""
    rows = _too_small(group, days, min_entities)
    for feature, own in group.groupby("feature", sort=True):
        series = FeatureSeries(
            dict(zip(own["event_date"], own["entities"].astype(int), strict=True)),
            dict(zip(own["event_date"], own["missing"].astype(int), strict=True)),
            {
                day: {int(b["bin"]): int(b["count"]) for b in bins}
                for day, bins in zip(own["event_date"], own["bins"], strict=True)
            },
            min_entities,
        )
        rows += [
            {"feature": feature, "comparison": name, **row}
            for name, lag in COMPARISONS.items()
            for row in series.compare(days, lag)
        ]
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
