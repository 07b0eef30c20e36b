"""A command from its configuration to its end: session, row in ``runs``, errors in words."""

import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shoal.config import load_settings
from shoal.errors import DataError, ShoalError
from shoal.log import set_up_logging

if TYPE_CHECKING:
    from shoal.config import Settings
    from shoal.lake import Lake
    from shoal.pipelines.context import Context

log = logging.getLogger("shoal")

T = TypeVar("T")

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_CAUSE = re.compile(r"^Caused by: (?:[\w$]+\.)*(\w+(?:Exception|Error): .*)$", re.MULTILINE)
_LONGEST = 500


def run_command(
    command: str,
    conf: str,
    overrides: Sequence[str] | None,
    work: Callable[["Context"], Any],
    *,
    is_recorded: bool = True,
    strict: bool = False,
) -> Any:
    """Load the configuration, open the session and do the work of one command."""
    settings = _set_up(conf, overrides)
    return _in_session(command, settings, work, is_recorded=is_recorded, strict=strict)


def _set_up(conf: str, overrides: Sequence[str] | None) -> "Settings":
    settings = load_settings(conf, overrides or [])
    set_up_logging(settings.log.level, settings.log.format)
    return settings


def _in_session(
    command: str,
    settings: "Settings",
    work: Callable[["Context"], Any],
    *,
    is_recorded: bool,
    strict: bool,
) -> Any:
    # pyspark is slow to import: help and faults of the configuration come first
    from shoal.pipelines.context import open_context
    from shoal.spark.session import start_session

    started = time.monotonic()
    spark = start_session(settings, name=f"shoal {command}")
    try:
        context = open_context(spark, settings, sys.argv[1:])
        if not is_recorded:
            return work(context)
        return _recorded(context, command, work, started=started, strict=strict)
    finally:
        spark.stop()


def answer(
    command: str,
    conf: str,
    overrides: Sequence[str] | None,
    work: Callable[["Settings", "Lake"], T],
) -> T:
    """Do a work that reads a little, or adds rows: without a session where delta-rs can."""
    settings = _set_up(conf, overrides)
    if settings.storage.path is not None:
        from deltalake.exceptions import DeltaError
        from pyarrow import ArrowException

        from shoal.lake import FolderLake, folder_of

        path = folder_of(settings.storage.path)
        try:
            return work(settings, FolderLake(path))
        except (DeltaError, ArrowException, OSError) as error:
            log.warning("%s can't be read as it is (%s): asking Spark", path, in_words(error))
    found: T = _in_session(
        command,
        settings,
        lambda context: work(settings, context.warehouse),
        is_recorded=False,
        strict=False,
    )
    return found


def replace_file(path: Path, text: str) -> None:
    """Write a file whole: whoever reads it meanwhile has the old one, or none.

    Raises
    ------
    DataError
        If it can't be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path} can't be written: {error.strerror}") from error


def _recorded(
    context: "Context",
    command: str,
    work: Callable[["Context"], Any],
    *,
    started: float,
    strict: bool,
) -> Any:
    """Do the work and leave a row in ``runs`` about how it ended."""
    try:
        result = work(context)
        for fault in context.faults:
            log.warning("fault: %s", fault)
        if strict and context.faults:
            raise DataError("faults were recorded: " + "; ".join(context.faults))
    except Exception as error:
        code, message = 4, in_words(error)
        if isinstance(error, ShoalError):
            code, message = error.exit_code, str(error)
        _add_end(context, command, "failed", code, message, started)
        try:
            context.run_log.flush()
        except Exception as second:
            # The first error is the one to tell.
            log.warning("runs could not be written: %s", in_words(second))
        raise
    _add_end(context, command, "done", 0, "done", started)
    context.run_log.flush()
    return result


def _add_end(
    context: "Context", command: str, state: str, code: int, message: str, started: float
) -> None:
    context.run_log.add(
        f"command {command}",
        state,
        faults=context.faults,
        exit_code=code,
        message=message[:1000],
        seconds=time.monotonic() - started,
    )


def in_words(error: Exception) -> str:
    """What went wrong, in one line; of Java's error the cause, which stands below its stack."""
    text = str(error).strip()
    if no_room := _NO_ROOM.search(text):
        return f"{no_room[0]}: make room, and run the same command again"
    causes = _CAUSE.findall(text)
    if causes:
        return str(causes[-1])[:_LONGEST]
    first = next(iter(text.splitlines()), "no message")
    return f"{type(error).__name__}: {first}"[:_LONGEST]
