"""The nights a command is asked for."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Dates:
    """The nights to run: one, or a range in which days without data are skipped."""

    start: date
    end: date
    is_range: bool
