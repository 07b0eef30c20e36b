"""Logging: a rich console on a terminal, JSON lines otherwise. Handlers live only here."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from rich.console import Console
from rich.logging import RichHandler


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
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
    logger = logging.getLogger("shoal")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
