"""The steps of a night, each a command, and the whole of it: ``shoal nightly``."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.command import run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    DateOption,
    EndOption,
    SetOption,
    StartOption,
    StrictOption,
    one_day,
)
from shoal.errors import DataError, UsageError
from shoal.pipelines.dates import Dates

if TYPE_CHECKING:
    from shoal.pipelines.context import Context
    from shoal.pipelines.span import Span

steps_app = typer.Typer()


@steps_app.command()
def ingest(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Read raw files that the ledger does not know yet."""
    from shoal.pipelines.ingest import ingest as ingest_files
    from shoal.sources.records import DayWindow

    dates = parse_dates(day, start, end)

    def work(context: "Context") -> None:
        late_days = context.settings.ingest.late_days
        window = None if dates.is_range else DayWindow.around(dates.start, late_days)
        ingest_files(context, window)

    run_command("ingest", conf, overrides, work, strict=strict)


@steps_app.command()
def features(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Aggregate a night's events to activity and features."""
    from shoal.pipelines.features import build_features

    dates = parse_dates(day, start, end)
    run_command("features", conf, overrides, _each_day(dates, build_features), strict=strict)


@steps_app.command()
def fit(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
    force: Annotated[bool, typer.Option("--force", help="Fit also what is not due.")] = False,
) -> None:  # fmt: skip
    """Fit the models that are due to serve from a night on, on the nights before it."""
    from shoal.pipelines.fit import fit as fit_night

    dates = parse_dates(day, start, end)

    def fit_one(context: "Context", span: "Span") -> None:
        fit_night(context, span, only_due=not force)

    run_command("fit", conf, overrides, _each_day(dates, fit_one), strict=strict)


@steps_app.command()
def score(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Score a night's entities and write its list."""
    from shoal.pipelines.score import score as score_night

    dates = parse_dates(day, start, end)
    run_command("score", conf, overrides, _each_day(dates, score_night), strict=strict)


@steps_app.command()
def drift(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Compare a night's clusters with those of the night before."""
    from shoal.pipelines.drift import drift as drift_night

    dates = parse_dates(day, start, end)
    run_command("drift", conf, overrides, _each_day(dates, drift_night), strict=strict)


@steps_app.command()
def publish(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Make a night visible whose steps have all run."""
    from shoal.pipelines.nightly import publish as publish_night

    dates = parse_dates(day, start, end)
    run_command("publish", conf, overrides, _each_day(dates, publish_night), strict=strict)


@steps_app.command()
def nightly(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Run whole nights: ingest, features, fit if due, score, drift, publish."""
    from shoal.pipelines.nightly import nightly as run_nights

    dates = parse_dates(day, start, end)
    run_command(
        "nightly", conf, overrides, lambda context: run_nights(context, dates), strict=strict
    )


def parse_dates(day: str | None, start: str | None, end: str | None) -> Dates:
    """The nights asked for: ``--date``, or ``--start`` with ``--end``, else yesterday (UTC)."""
    if day and (start or end):
        raise UsageError("give --date, or --start and --end, not both")
    if start or end:
        if not (start and end):
            raise UsageError("--start and --end go together")
        first, last = one_day("--start", start), one_day("--end", end)
        if last < first:
            raise UsageError(f"--end {last} is before --start {first}")
        return Dates(first, last, is_range=True)
    one = one_day("--date", day) if day else (datetime.now(UTC) - timedelta(days=1)).date()
    return Dates(one, one, is_range=False)


def _each_day(
    dates: Dates, step: Callable[["Context", "Span"], Any]
) -> Callable[["Context"], None]:
    """A step over the days of a range that have data, or over one date, one by one.

    Not at once as ``nightly``: each night stands on what is published before it, and a step alone
    publishes nothing.
    """

    def work(context: "Context") -> None:
        from shoal.pipelines.inputs import days_with_data
        from shoal.pipelines.span import span_of_night

        days = [dates.start]
        if dates.is_range:
            days = days_with_data(context.warehouse, dates.start, dates.end)
        if not days:
            raise DataError(f"no events from {dates.start} to {dates.end} have been ingested")
        with context.leased([f"night/{day}" for day in days]):
            for day in days:
                step(context, span_of_night(context, day))

    return work
