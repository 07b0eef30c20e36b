"""The command line: ``shoal STEP …`` for machines, ``shoal outliers`` and ``explain`` for people.

``jobs/*.py`` call :func:`main` with the step's name, so that ``spark-submit`` and the command do
the same.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from shoal import __version__
from shoal.cli_models import models_app
from shoal.command import in_words, run_command
from shoal.errors import DataError, ShoalError, UsageError
from shoal.log import plain, plain_lines
from shoal.options import (
    DEFAULT_CONF,
    ConfOption,
    DateOption,
    EndOption,
    FormatOption,
    SetOption,
    StartOption,
    StrictOption,
    TypeOption,
    one_day,
    wanted_form,
)
from shoal.pipelines.dates import Dates
from shoal.report.text import Form

if TYPE_CHECKING:
    from shoal.pipelines.context import Context
    from shoal.pipelines.span import Span

log = logging.getLogger("shoal")

app = typer.Typer(
    name="shoal",
    help="Finds the hosts, users and addresses that stray from their peers, night by night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
tables_app = typer.Typer(no_args_is_help=True, help="Tables: made and described.")
app.add_typer(tables_app, name="tables")
app.add_typer(models_app, name="models")

SLICES_SHOWN = 12
"""Small slices that an evaluation shows on a screen; other forms have all."""

CURVE_POINTS, MAX_CURVE_POINTS = 4, 20
"""Points that a curve is told in, on a screen and in other forms."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; the last line printed says why it is not 0."""
    try:
        code = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
        return int(code or 0)
    except ShoalError as error:
        print(f"shoal: {plain_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except typer.Exit as stop:
        return int(stop.exit_code)
    except TyperException as error:
        return _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        print("shoal: interrupted", file=sys.stderr)
        return 4
    except Exception as error:
        log.exception("unexpected error")
        print(f"shoal: {plain(in_words(error))}", file=sys.stderr)
        return 4


def _usage(error: TyperException) -> int:
    """Say what is wrong with the command line; without a command that is the whole help."""
    text = error.format_message().strip()
    is_help = text.startswith("Usage:")
    said = text if is_help else f"shoal: {text.rstrip('.')}; see `shoal --help`"
    print(plain_lines(said), file=sys.stderr)
    return 2


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


@app.command()
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


@app.command()
def features(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Aggregate a night's events to activity and features."""
    from shoal.pipelines.features import build_features

    dates = parse_dates(day, start, end)
    run_command("features", conf, overrides, _each_day(dates, build_features), strict=strict)


@app.command()
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


@app.command()
def score(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Score a night's entities and write its list."""
    from shoal.pipelines.score import score as score_night

    dates = parse_dates(day, start, end)
    run_command("score", conf, overrides, _each_day(dates, score_night), strict=strict)


@app.command()
def drift(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Compare a night's clusters with those of the night before."""
    from shoal.pipelines.drift import drift as drift_night

    dates = parse_dates(day, start, end)
    run_command("drift", conf, overrides, _each_day(dates, drift_night), strict=strict)


@app.command()
def publish(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    start: StartOption = None, end: EndOption = None, strict: StrictOption = False,
) -> None:  # fmt: skip
    """Make a night visible whose steps have all run."""
    from shoal.pipelines.nightly import publish as publish_night

    dates = parse_dates(day, start, end)
    run_command("publish", conf, overrides, _each_day(dates, publish_night), strict=strict)


@app.command()
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


@tables_app.command("apply")
def tables_apply(conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None) -> None:
    """Create missing tables and bring older ones to their contract's version."""
    from shoal.contracts import TABLES
    from shoal.spark.tables import apply_contracts

    def work(context: "Context") -> None:
        done = apply_contracts(context.warehouse)
        counts = {state: [t.name for t, s in done if s == state] for _, state in done}
        for state, names in sorted(counts.items()):
            log.info("%s %d of %d tables", state, len(names), len(TABLES))

    run_command("tables apply", conf, overrides, work, is_recorded=False)


@tables_app.command("dictionary")
def tables_dictionary() -> None:
    """Print the data dictionary as Markdown, as it stands in the README."""
    from shoal.report.dictionary import data_dictionary

    print(data_dictionary())


@app.command()
def outliers(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    slice_name: Annotated[str | None, typer.Option("--slice", help="Group of peers.")] = None,
    lane: Annotated[
        str | None, typer.Option(help="stray, microcluster, standing or moved.")
    ] = None,
    top: Annotated[int | None, typer.Option(help="At most so many lines.")] = None,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print a night's list, the last published night's by default."""
    from shoal.pipelines.people import list_outliers
    from shoal.report.pages import list_page

    wanted = wanted_form(form)
    at = one_day("--date", day) if day else None

    def work(context: "Context") -> str:
        night, lines = list_outliers(
            context, at, entity_type=entity_type, slice_name=slice_name, lane=lane, limit=top
        )
        scored, total = (night.row_counts.get(n, 0) for n in ("entity_scores", "outliers"))
        return list_page(night.event_date, lines, scored, wanted, total=total)

    print(run_command("outliers", conf, overrides, work, is_recorded=False))


@app.command()
def explain(
    entity: Annotated[str, typer.Argument(help="Name of the entity, as on the list.")],
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None, form: FormatOption = "table",
) -> None:  # fmt: skip
    """Explain one entity's night from stored rows."""
    from shoal.pipelines.people import explain_entity
    from shoal.report.pages import entity_page

    wanted = wanted_form(form)
    at = one_day("--date", day) if day else None

    def work(context: "Context") -> str:
        _, found = explain_entity(context, entity, at, entity_type=entity_type)
        return entity_page(found, wanted)

    print(run_command("explain", conf, overrides, work, is_recorded=False))


@app.command()
def nights(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 28,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print the last published nights: entities, lists, new models, drift."""
    from shoal.pipelines.history import list_nights
    from shoal.report.pages import nights_page

    wanted = wanted_form(form)

    def work(context: "Context") -> str:
        return nights_page(list_nights(context, last=last), wanted)

    print(run_command("nights", conf, overrides, work, is_recorded=False))


@app.command()
def clusters(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: Annotated[str, typer.Option("--type", help="Entity type.")] = "host",
    label: Annotated[str, typer.Option(help="Label to hold them against.")] = "role",
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 14,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Hold clusters against labels: how well they agree, and who behaves like another label."""
    from shoal.pipelines.clusters import compare_clusters
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)
    event_date = one_day("--date", day) if day else None

    def work(context: "Context") -> str:
        found = compare_clusters(
            context, event_date, entity_type=entity_type, label=label, last=last
        )
        return tables_page(found, wanted)

    print(run_command("clusters", conf, overrides, work, is_recorded=False))


@app.command()
def simulate(
    out: Annotated[str, typer.Option("--out", help="New folder for the logs.")],
    conf: ConfOption = DEFAULT_CONF,
    overrides: SetOption = None,
    hosts: Annotated[int, typer.Option(help="Machines.")] = 300,
    days: Annotated[int, typer.Option(help="Days.", min=1)] = 28,
    start: Annotated[str, typer.Option(help="First day.")] = "2026-09-01",
    seed: Annotated[int, typer.Option(help="Other numbers, another fleet.", min=0)] = 1,
    strength: Annotated[
        str, typer.Option(help="Of what is planted: weak, middle, strong or all.")
    ] = "all",
    volume: Annotated[
        float, typer.Option(help="Of ordinary days, 1 as the roles have it.", min=0.1, max=10)
    ] = 1.0,
    planted: Annotated[bool, typer.Option(help="Plant intrusions.")] = True,
    benign: Annotated[bool, typer.Option(help="Plant what only looks like them.")] = True,
    sources: Annotated[
        str, typer.Option(help="basic, or all: names, web, TLS, files and sessions, too.")
    ] = "basic",
    change: Annotated[
        str | None, typer.Option(help="Of the whole fleet, e.g. roll_out, for drift to tell.")
    ] = None,
    change_day: Annotated[int, typer.Option(help="Its day, counted from 0.", min=0)] = 0,
    from_day: Annotated[int, typer.Option(help="First day to write, from 0.", min=0)] = 0,
) -> None:
    """Write the raw logs of a fleet that does not exist, its labels and the truth about it."""
    from shoal.pipelines.simulate import simulate as simulate_fleet
    from shoal.simulate.changes import CHANGES, Change
    from shoal.simulate.records import SOURCES
    from shoal.simulate.story import STRENGTHS
    from shoal.simulate.write import Request

    strengths = STRENGTHS if strength == "all" else tuple(s for s in STRENGTHS if s == strength)
    if not strengths:
        raise UsageError(f"--strength {strength!r} is not one of {', '.join(STRENGTHS)}, all")
    known = next((known for known in SOURCES if sources == known), None)
    if known is None:
        raise UsageError(f"--sources {sources!r} is not one of {', '.join(SOURCES)}")
    changed = next((known for known in CHANGES if change == known), None)
    if change and changed is None:
        raise UsageError(f"--change {change!r} is not one of {', '.join(CHANGES)}")
    if from_day >= days:
        raise UsageError(f"--from-day {from_day} is none of --days {days}, which count from 0")
    request = Request(
        hosts, days, one_day("--start", start), seed, strengths, planted, benign, volume, known,
        Change(changed, change_day) if changed else None, from_day,
    )  # fmt: skip

    def work(context: "Context") -> None:
        simulate_fleet(context, request, Path(out))

    run_command("simulate", conf, overrides, work, is_recorded=False)


@app.command()
def evaluate(
    conf: ConfOption = DEFAULT_CONF,
    overrides: SetOption = None,
    truth: Annotated[
        str | None, typer.Option("--truth", help="truth.csv of `shoal simulate`.")
    ] = None,
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 14,
    table: Annotated[
        str | None, typer.Option("--table", help="Labelled rows: .csv, .parquet or .npz.")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    anomalies: Annotated[
        list[str] | None, typer.Option("--anomaly", help="Label of anomalies.")
    ] = None,
    normal: Annotated[list[str] | None, typer.Option("--normal", help="Label of the rest.")] = None,
    slice_column: Annotated[
        str | None, typer.Option("--slice", help="Figures by this column, too.")
    ] = None,
    ignored: Annotated[
        list[str] | None, typer.Option("--ignore", help="Numeric column that is no feature.")
    ] = None,
    scorers: Annotated[
        list[str] | None, typer.Option("--scorer", help="shoal, gaussian, isolation_forest …")
    ] = None,
    one_class: Annotated[
        bool, typer.Option("--one-class", help="Fit on 80 % of the normal rows alone.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="Fits of each scorer.", min=1)] = 5,
    alert_rate: Annotated[
        float, typer.Option(help="Share of fitted rows beyond the threshold.", min=0.0, max=1.0)
    ] = 0.05,
    capacity: Annotated[
        int | None, typer.Option(help="Rows that are looked at; as many as anomalies.", min=1)
    ] = None,
    form: FormatOption = "table",
) -> None:
    """Hold the last nights' lists against the truth, or scorers against a labelled table."""
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)
    if (truth is None) == (table is None):
        raise UsageError("name either --truth, for published nights, or --table, for labelled rows")
    if table is not None:
        from shoal.models.labelled import Protocol
        from shoal.models.scorers import DEFAULT_SCORERS, known_scorers
        from shoal.pipelines.labelled import TableRequest, evaluate_table

        request = TableRequest(
            Path(table), label, anomalies or (), normal or (), slice_column, ignored or ()
        )
        chosen = scorers or [name for name in DEFAULT_SCORERS if name in known_scorers()]
        protocol = Protocol(one_class, range(seeds), alert_rate, capacity)
        points = CURVE_POINTS if wanted == "table" else MAX_CURVE_POINTS
        found = evaluate_table(request, chosen, protocol, curve_points=points)
        print(tables_page(found, wanted))
        return
    _evaluate_nights(conf, overrides, Path(str(truth)), last, wanted)


def _evaluate_nights(
    conf: str, overrides: list[str] | None, truth: Path, last: int, wanted: Form
) -> None:
    from shoal.pipelines.evaluate import evaluate as evaluate_nights
    from shoal.report.pages import tables_page

    def work(context: "Context") -> str:
        slices = SLICES_SHOWN if wanted == "table" else None
        found = evaluate_nights(context, truth, last=last, slices_shown=slices)
        return tables_page(found, wanted)

    print(run_command("evaluate", conf, overrides, work, is_recorded=False))


@app.command()
def version() -> None:
    """Print Shoal's version."""
    print(__version__)
