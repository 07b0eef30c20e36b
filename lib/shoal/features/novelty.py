"""What is new for an entity, and rare among its peers, on each of some days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.features import NOVEL_DIMENSIONS

ENTITY = ["entity_type", "entity_id"]
KEY = ["event_date", *ENTITY]
PAIR = [*ENTITY, "dimension", "value"]
_WORD_BITS = 60


@dataclass(frozen=True)
class Windows:
    """Which days each day looks back on.

    Days are numbered from the first looked back on, and the days on which a value was seen are the
    bits of one or more longs: a few longs a value, however many days there are.

    Attributes
    ----------
    days : (day, numbers of the days it looks back on)
    first_date : day number 0
    """

    days: tuple[tuple[date, frozenset[int]], ...]
    first_date: date

    @classmethod
    def of(cls, days: Sequence[date], past_days: Sequence[date], n_days: int) -> "Windows":
        """Each of ``days`` looks back on those of ``past_days`` in the ``n_days`` before it."""
        first = min([*days, *past_days])
        numbered = {(day - first).days: day for day in past_days}
        return cls(
            tuple(
                (
                    day,
                    frozenset(n for n, past in numbered.items() if 0 < (day - past).days <= n_days),
                )
                for day in days
            ),
            first,
        )

    def number(self, day: date) -> int:
        """Number of a day."""
        return (day - self.first_date).days

    def seen(self) -> list[Column]:
        """Aggregates that collect the days of a group's rows."""
        number = F.datediff("event_date", F.lit(self.first_date))
        last = max(self.number(day) for day, _ in self.days)
        return [
            F.bit_or(
                F.when(
                    F.floor(number / _WORD_BITS) == word,
                    F.call_function("shiftleft", F.lit(1).cast("long"), number % _WORD_BITS),
                ).otherwise(F.lit(0).cast("long"))
            ).alias(f"seen_{word}")
            for word in range(last // _WORD_BITS + 1)
        ]

    def in_day(self, day: date) -> Column:
        """Whether a group was seen on a day."""
        return self._any(frozenset([self.number(day)]))

    def in_past(self, day: date) -> Column:
        """Whether a group was seen on a day that ``day`` looks back on."""
        return self._any(dict(self.days)[day])

    def _any(self, numbers: frozenset[int]) -> Column:
        masks: dict[int, int] = {}
        for number in numbers:
            word, bit = divmod(number, _WORD_BITS)
            masks[word] = masks.get(word, 0) | 1 << bit
        found = F.lit(False)
        for word, mask in sorted(masks.items()):
            found = found | (F.col(f"seen_{word}").bitwiseAND(F.lit(mask).cast("long")) != 0)
        return found


def aggregate_novelty(activity: DataFrame, windows: Windows, *, rare_share: float) -> DataFrame:
    """Count each entity's values that are new for it, and that few peers show, by day."""
    seen = compare_with_past(activity, windows, rare_share=rare_share)
    counts = []
    for dimension in NOVEL_DIMENSIONS:
        is_dimension = F.col("dimension") == dimension
        is_new = is_dimension & F.col("is_new")
        counts.append(F.count_if(is_new).alias(f"new_{dimension}_count"))
        counts.append(F.count_if(is_dimension & F.col("is_rare")).alias(f"rare_{dimension}_count"))
    grouped = seen.groupBy(*KEY).agg(F.max("has_past").alias("has_past"), *counts)
    without_past = {
        f"new_{name}_count": F.when(F.col("has_past"), F.col(f"new_{name}_count"))
        for name in NOVEL_DIMENSIONS
    }
    return grouped.withColumns(without_past).drop("has_past")


def compare_with_past(activity: DataFrame, windows: Windows, *, rare_share: float) -> DataFrame:
    """Hold each day's values against the window before it.

    All days are compared in one pass over the activity of all windows: a value is grouped once
    with the days it was seen on, and counted among its peers once for every day.

    Returns
    -------
    entity × day × dimension × value (novelty dimensions and ``total``) with ``entities_sharing``
    (of the type, in the window or the day), ``population``, ``has_past``, ``is_new`` (false without
    a past) and ``is_rare``.
    """
    days = [day for day, _ in windows.days]
    dimensions = [*NOVEL_DIMENSIONS, "total"]
    pairs = activity.where(F.col("dimension").isin(dimensions)).groupBy(*PAIR).agg(*windows.seen())
    peers = [F.count_if(windows.in_day(day) | windows.in_past(day)).cast("long") for day in days]
    sharing = pairs.groupBy("entity_type", "dimension", "value").agg(
        F.array(*peers).alias("sharing_by_day")
    )
    totals = pairs.where(F.col("dimension") == "total")
    population = totals.groupBy("entity_type").agg(F.array(*peers).alias("population_by_day"))
    had_past = totals.select(
        *ENTITY, F.array(*(windows.in_past(day) for day in days)).alias("past_by_day")
    )
    is_rare = F.col("entities_sharing") <= F.greatest(
        F.lit(1.0), F.lit(rare_share) * F.col("population")
    )
    place = F.col("seen.place")
    return (
        pairs.select(*PAIR, F.explode(_days_seen(windows)).alias("seen"))
        .join(sharing, ["entity_type", "dimension", "value"], how="inner")
        .join(F.broadcast(population), ["entity_type"], how="inner")
        .join(had_past, ENTITY, how="inner")
        .select(
            F.col("seen.event_date").alias("event_date"),
            *PAIR,
            F.col("seen.in_past").alias("in_past"),
            F.get("sharing_by_day", place).alias("entities_sharing"),
            F.get("population_by_day", place).alias("population"),
            F.get("past_by_day", place).alias("has_past"),
        )
        .withColumn("is_new", F.col("has_past") & ~F.col("in_past"))
        .withColumn("is_rare", is_rare)
        .drop("in_past")
    )


def _days_seen(windows: Windows) -> Column:
    """The days that a value was seen on, each with its place in order and whether also before."""
    days = [
        F.when(
            windows.in_day(day),
            F.struct(
                F.lit(place).alias("place"),
                F.lit(day).alias("event_date"),
                windows.in_past(day).alias("in_past"),
            ),
        )
        for place, (day, _) in enumerate(windows.days)
    ]
    return F.filter(F.array(*days), lambda day: day.isNotNull())
