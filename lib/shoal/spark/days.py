"""On which days something was seen, and which of them a day looks back on."""

from collections.abc import Sequence
from dataclasses import dataclass
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

    def seen_before(self, day: date, age_days: int) -> Column:
        """Whether a group was seen ``age_days`` or more before a day that looks back on it."""
        limit = self.number(day) - age_days
        return self._any(frozenset(n for n in dict(self.days)[day] if n <= limit))

    def reach(self, day: date) -> int:
        """Days from the first one looked back on to a day; 0 if there is none."""
        past = dict(self.days)[day]
        return self.number(day) - min(past) if past else 0

    def _any(self, numbers: frozenset[int]) -> Column:
        masks: dict[int, int] = {}
        for number in numbers:
            word, bit = divmod(number, _WORD_BITS)
            masks[word] = masks.get(word, 0) | 1 << bit
        found = F.lit(False)
        for word, mask in sorted(masks.items()):
            found = found | (F.col(f"seen_{word}").bitwiseAND(F.lit(mask).cast("long")) != 0)
        return found
