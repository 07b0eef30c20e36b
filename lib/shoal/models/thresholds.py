"""From which score on an entity may come on the list: one rule, or others for some slices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.window import Window, WindowSpec

from shoal.config.schema import (
    CapacityThreshold,
    ClusterPercentileThreshold,
    DeviationThreshold,
    FixedThreshold,
    Outliers,
    PercentileThreshold,
    Threshold,
    TopPercentThreshold,
    TopThreshold,
)
from shoal.models.scoring import SCORE_DECIMALS


@dataclass(frozen=True)
class ListPolicy:
    """How many lines a lane of the list may have, and who may be on it.

    Attributes
    ----------
    capacity : lines of a lane, whatever the threshold lets through
    max_p_value : of the threshold by capacity
    moved_nights : nights of a week on which an entity moved that make it a line
    slice_thresholds : thresholds of slices that have one of their own
    slice_capacity : most lines of a lane that are of a slice, of slices that have a limit
    """

    capacity: int
    max_p_value: float
    moved_nights: int = 3
    threshold: Threshold = field(default_factory=CapacityThreshold)
    slice_thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    slice_capacity: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Outliers) -> Self:
        """The policy that a configuration says."""
        return cls(
            settings.capacity,
            settings.max_p_value,
            settings.moved_nights,
            settings.threshold,
            settings.slice_thresholds,
            settings.slice_capacity,
        )

    def is_strange(self) -> Column:
        """Whether a score is beyond its threshold; grain entity × day, window functions in it.

        Reads ``p_value``, ``anomaly_score``, ``slice`` and what the thresholds are about.
        """
        has_own = F.col("slice").isin(sorted(self.slice_thresholds))
        is_beyond = self._is_beyond(self.threshold, has_own)
        for name, threshold in sorted(self.slice_thresholds.items()):
            own = self._is_beyond(threshold, F.col("slice"))
            is_beyond = F.when(F.col("slice") == F.lit(name), own).otherwise(is_beyond)
        return is_beyond

    def is_by_p_value(self, slice_name: str) -> bool:
        """Whether chance says how many of a slice are on the list."""
        return self._most_p_value(self._of(slice_name)) is not None

    def admits(self, row: Mapping[str, Any], shift: float) -> bool:
        """Whether a row that verdicts have moved may be on the list.

        Where p-values decide, they are moved as well; elsewhere only places are.

        Parameters
        ----------
        row : with ``slice``, ``p_value`` and ``is_strange``
        shift : in units of ``anomaly_score``
        """
        most = self._most_p_value(self._of(row["slice"]))
        return bool(row["is_strange"] if most is None else row["p_value"] * 10**-shift <= most)

    def _most_p_value(self, threshold: Threshold) -> float | None:
        match threshold:
            case CapacityThreshold():
                return self.max_p_value
            case PercentileThreshold(percentile=percentile):
                return 1.0 - percentile / 100.0
            case _:
                return None

    def told(self, slice_name: str) -> str:
        """The rule for a slice, in words."""
        own = self.slice_capacity.get(slice_name)
        limit = "" if own is None else f" ({own} of the slice)"
        return f"capacity {self.capacity}{limit}, {self._in_words(self._of(slice_name))}"

    def _of(self, slice_name: str) -> Threshold:
        return self.slice_thresholds.get(slice_name, self.threshold)

    def _is_beyond(self, threshold: Threshold, among: Column) -> Column:
        """Whether a score is beyond a threshold; the top are those of a night and ``among``."""
        night = Window.partitionBy("event_date", among)
        match threshold:
            case CapacityThreshold() | PercentileThreshold():
                return F.col("p_value") <= F.lit(self._most_p_value(threshold))
            case ClusterPercentileThreshold():
                return F.col("centroid_distance_p95_ratio") > 1.0
            case DeviationThreshold(sd=sd):
                return F.col("centroid_distance_z") > sd
            case TopThreshold(n=n):
                return place(night) <= n
            case TopPercentThreshold(percent=percent):
                return place(night) <= F.ceil(F.count(F.lit(1)).over(night) * percent / 100.0)
            case FixedThreshold(column="log_density", value=value):
                return F.col("log_density") < value
            case FixedThreshold(column=column, value=value):
                return F.col(column) > value

    def _in_words(self, threshold: Threshold) -> str:
        match threshold:
            case CapacityThreshold():
                return f"p <= {self.max_p_value:g}"
            case PercentileThreshold(percentile=percentile):
                return f"percentile {percentile:g} of the reference"
            case ClusterPercentileThreshold():
                return "95th percentile of its cluster"
            case DeviationThreshold(sd=sd):
                return f"mean + {sd:g} sd of its cluster"
            case TopThreshold(n=n):
                return f"top {n}"
            case TopPercentThreshold(percent=percent):
                return f"top {percent:g} %"
            case FixedThreshold(column=column, value=value):
                return f"{column} {'<' if column == 'log_density' else '>'} {value:g}"


def place(night: WindowSpec, score: str = "anomaly_score") -> Column:
    """Place of a score within its night, or a part of it; ties of the rounded score by key."""
    strangest = F.round(score, SCORE_DECIMALS).desc()
    return F.row_number().over(night.orderBy(strangest, "entity_type", "entity_id"))
