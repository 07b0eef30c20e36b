"""How well it works: fleets that do not exist, and lists held against the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.command import run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    FormatOption,
    SetOption,
    one_day,
    wanted_form,
)
from shoal.errors import UsageError
from shoal.report.text import Form

if TYPE_CHECKING:
    from shoal.pipelines.context import Context

trials_app = typer.Typer()

SLICES_SHOWN = 12
"""Small slices that an evaluation shows on a screen; other forms have all."""

CURVE_POINTS, MAX_CURVE_POINTS = 4, 20
"""Points that a curve is told in, on a screen and in other forms."""


@trials_app.command()
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


@trials_app.command()
def rehearse(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    capacity: Annotated[
        int | None, typer.Option(help="Lines a night; the configuration's without.", min=1)
    ] = None,
    last: Annotated[
        int, typer.Option("--nights", help="Published nights, counted back.", min=1)
    ] = 30,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Try a policy for lists on past nights: with --capacity, or --set outliers.… and the like."""
    from shoal.pipelines.rehearse import rehearse as rehearse_nights
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)

    def work(context: "Context") -> str:
        return tables_page(rehearse_nights(context, last=last, capacity=capacity), wanted)

    print(run_command("rehearse", conf, overrides, work, is_recorded=False))


@trials_app.command()
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
