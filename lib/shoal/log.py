"""Logging: a rich console on a terminal, JSON lines otherwise. Handlers live only here."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from rich.console import Console
from rich.logging import RichHandler


def plain(text: str) -> str:
    """Show what would not print (control, format, bidirectional, unassigned) by its code."""
    return "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text)


def plain_lines(text: str) -> str:
    """As :func:`plain`, line by line."""
    return "\n".join(plain(line) for line in text.split("\n"))


class PlainText(logging.Formatter):
    """The message alone, for a terminal: names in it come from logs, and some hold controls."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the message as one line: no text in it can begin another."""
        return plain(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, and the lines of a traceback below it."""
        return plain_lines(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line; text of logs is data in it, never format."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        entry = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up_logging(level: str = "INFO", form: Literal["auto", "console", "json"] = "auto") -> None:
    """Send Shoal's log to standard error, in the form that suits who reads it."""
    is_console = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler: logging.Handler
    if is_console:
        console = Console(stderr=True, soft_wrap=True)
        handler = RichHandler(
            console=console, show_path=False, show_level=False, markup=False, highlighter=None,
            log_time_format="%H:%M:%S",
        )  # fmt: skip
        handler.setFormatter(PlainText("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
    logger = logging.getLogger("shoal")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
