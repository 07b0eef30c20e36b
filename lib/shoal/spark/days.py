"""On which days something was seen, and which of them a day looks back on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

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

    def narrowed(self, n_days: int) -> "Windows":
        """The same days, looking back on no more than the ``n_days`` before them."""
        return replace(
            self,
            days=tuple(
                (day, frozenset(n for n in past if self.number(day) - n <= n_days))
                for day, past in self.days
            ),
        )

    def number(self, day: date) -> int:
        """Number of a day."""
        return (day - self.first_date).days

    def seen(self) -> list[Column]:
        """Aggregates that collect the days of a group's rows."""
        number = F.datediff("event_date", F.lit(self.first_date))
        return [
            F.bit_or(
                F.when(
                    F.floor(number / _WORD_BITS) == word,
                    F.call_function("shiftleft", F.lit(1).cast("long"), number % _WORD_BITS),
                ).otherwise(F.lit(0).cast("long"))
            ).alias(name)
            for word, name in enumerate(self.words())
        ]

    def words(self, of: str = "seen") -> list[str]:
        """Columns that hold the days."""
        last = max(self.number(day) for day, _ in self.days)
        return [f"{of}_{word}" for word in range(last // _WORD_BITS + 1)]

    def seen_by_any(self, of: str = "seen") -> list[Column]:
        """Aggregates that collect the days on which any of several groups was seen."""
        return [
            F.bit_or(word).alias(name)
            for word, name in zip(self.words(), self.words(of), strict=True)
        ]

    def in_day(self, day: date) -> Column:
        """Whether a group was seen on a day."""
        return self._any(frozenset([self.number(day)]))

    def in_past(self, day: date, of: str = "seen") -> Column:
        """Whether a group was seen on a day that ``day`` looks back on."""
        return self._any(dict(self.days)[day], of)

    def days_ago(self, day: date, *ages: int) -> Column:
        """Whether a group was seen on each of the days that lie so many days before one."""
        past = dict(self.days)[day]
        numbers = [self.number(day) - age for age in ages]
        if not past.issuperset(numbers):
            return F.lit(False)
        parts = [f"({self._condition(frozenset([number]))})" for number in numbers]
        return F.expr(" AND ".join(parts))

    def past_days_seen(self, day: date) -> Column:
        """How many of the days that ``day`` looks back on a group was seen on."""
        masks = self._masks(dict(self.days)[day])
        counts = [f"bit_count(seen_{word} & {mask}L)" for word, mask in masks.items()]
        return F.expr(" + ".join(counts) or "0")

    def seen_before(self, day: date, age_days: int) -> Column:
        """Whether a group was seen ``age_days`` or more before a day that looks back on it."""
        limit = self.number(day) - age_days
        return self._any(frozenset(n for n in dict(self.days)[day] if n <= limit))

    def reach(self, day: date) -> int:
        """Days from the first one looked back on to a day; 0 if there is none."""
        past = dict(self.days)[day]
        return self.number(day) - min(past) if past else 0

    def within(self, day: date, horizons: Sequence[int], of: str = "seen") -> Column:
        """The shortest of some horizons in which a group was seen before a day; null if none."""
        past = dict(self.days)[day]
        cases = [
            f"WHEN {condition} THEN {days}"
            for days in sorted(horizons)
            if (
                condition := self._condition(
                    frozenset(n for n in past if self.number(day) - n <= days), of
                )
            )
        ]
        return F.expr(f"CASE {' '.join(cases)} END" if cases else "CAST(NULL AS int)")

    def _any(self, numbers: frozenset[int], of: str = "seen") -> Column:
        return F.expr(self._condition(numbers, of) or "false")

    def _condition(self, numbers: frozenset[int], of: str = "seen") -> str:
        """SQL, of Shoal's own names and numbers; empty for no day.

        As text, for a call to the JVM for each part of so many conditions takes longer than their
        rows.
        """
        masks = self._masks(numbers).items()
        return " OR ".join(f"({of}_{word} & {mask}L) != 0" for word, mask in masks)

    @staticmethod
    def _masks(numbers: frozenset[int]) -> dict[int, int]:
        """The bits of days, by word."""
        masks: dict[int, int] = {}
        for number in sorted(numbers):
            word, bit = divmod(number, _WORD_BITS)
            masks[word] = masks.get(word, 0) | 1 << bit
        return masks
