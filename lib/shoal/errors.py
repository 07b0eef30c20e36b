"""Every error Shoal raises on purpose, with the exit code that a command leaves with.

A message names what was wrong, the value got, what is allowed and what to do.
"""

import difflib
from collections.abc import Iterable


class ShoalError(Exception):
    """Base of all expected failures; ``exit_code`` is what the process leaves with."""

    exit_code = 4


class UsageError(ShoalError):
    """Arguments that make no sense together."""

    exit_code = 2


class ConfigError(ShoalError):
    """A configuration that cannot be used; the message lists every fault."""

    exit_code = 2


class ContractError(ShoalError):
    """A table or DataFrame that differs from its contract."""

    exit_code = 2


class DataError(ShoalError):
    """Data missing, unreadable or unfit for what was asked."""

    exit_code = 3


class HistoryGoneError(DataError):
    """What tables once held, and no longer do."""


class UnreadableFileError(DataError):
    """A raw file that no reader can read to its end.

    ``source_file`` is its plain path; ``is_cut`` says that it ends too early, so that what stands
    before the end is as it was written.
    """

    def __init__(self, source_file: str, reason: str, *, is_cut: bool = False) -> None:
        super().__init__(f"{source_file!r} cannot be read: {reason}")
        self.source_file = source_file
        self.reason = reason
        self.is_cut = is_cut


class TryAgainError(ShoalError):
    """Somebody else is at work, or a passing fault: the same command may succeed later."""

    exit_code = 5


class LeaseHeldError(TryAgainError):
    """Another run holds the lease of this night or of ingest."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for a near miss among ``allowed``, else ``""``."""
    close = difflib.get_close_matches(name, sorted(allowed), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
