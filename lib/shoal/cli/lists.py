"""What people ask of published nights: lists, one entity, clusters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.command import answer, replace_file, run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    DateOption,
    FormatOption,
    SetOption,
    TypeOption,
    optional_day,
    wanted_form,
)
from shoal.errors import DataError, UsageError

if TYPE_CHECKING:
    from shoal.config import Settings
    from shoal.hunt.report import NightReport
    from shoal.lake import Reader
    from shoal.pipelines.context import Context

lists_app = typer.Typer()

HiddenOption = Annotated[
    bool, typer.Option("--hidden", help="Lines that a rule or an earlier verdict hides, too.")
]
EntityArgument = Annotated[str, typer.Argument(help="Name of the entity, as on the list.")]


@lists_app.command()
def outliers(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    slice_name: Annotated[str | None, typer.Option("--slice", help="Group of peers.")] = None,
    lane: Annotated[
        str | None, typer.Option(help="stray, microcluster, standing or moved.")
    ] = None,
    feature: Annotated[str | None, typer.Option(help="Of one of the reasons.")] = None,
    technique: Annotated[
        str | None, typer.Option(help="ATT&CK technique behind a reason, e.g. T1071.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Of the entity, e.g. site=lyon.")] = None,
    priority: Annotated[
        int | None, typer.Option(help="Of the slice's labels, at least: drift.priorities.")
    ] = None,
    is_open: Annotated[bool, typer.Option("--open", help="Lines without a verdict.")] = False,
    top: Annotated[int | None, typer.Option(help="At most so many lines.")] = None,
    with_hidden: HiddenOption = False,
    gray: Annotated[
        int, typer.Option(help="Entities just under the line that are told as well.", min=0)
    ] = 0,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print a night's list, the last published night's by default."""
    from shoal.hunt.lists import Wanted, list_outliers
    from shoal.report.pages import list_page

    shape = wanted_form(form)
    at = optional_day("--date", day)
    if label is not None and "=" not in label:
        raise UsageError(f"--label {label!r} is not name=value, e.g. role=database")
    wanted = Wanted(entity_type, slice_name, lane, feature, technique, label, priority, is_open)

    def work(settings: "Settings", reader: "Reader") -> str:
        found = list_outliers(
            reader, at, wanted, limit=top, with_hidden=with_hidden, gray=gray,
            priorities=settings.drift.priorities,
        )  # fmt: skip
        return list_page(
            found.night.event_date, found.lines, found.scored, shape,
            total=found.total, hidden=found.hidden, gray=found.gray,
        )  # fmt: skip

    print(answer("outliers", conf, overrides, work))


@lists_app.command()
def export(
    form: Annotated[str, typer.Option("--to", help="ocsf, ecs or lines (of JSON).")],
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    out: Annotated[
        str | None, typer.Option("--out", help="File to write; printed without.")
    ] = None,
    with_hidden: HiddenOption = False,
) -> None:  # fmt: skip
    """Write a night's list for another system, a JSON document a line."""
    from shoal.hunt.lists import list_outliers
    from shoal.report.exports import FORMS, export_lines

    if form not in FORMS:
        raise UsageError(f"--to {form!r} is not one of {', '.join(FORMS)}")
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        return export_lines(list_outliers(reader, at, with_hidden=with_hidden).lines, form)

    text = answer("export", conf, overrides, work)
    if out is None:
        print(text, end="")
    else:
        replace_file(Path(out), text)


@lists_app.command()
def report(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    out: Annotated[
        str | None, typer.Option("--out", help="File to write; shoal-<night>.html by default.")
    ] = None,
) -> None:  # fmt: skip
    """Write a night as one page of HTML that needs no network."""
    from shoal.hunt.report import night_report, report_page

    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> "NightReport":
        return night_report(reader, at)

    found = answer("report", conf, overrides, work)
    page = report_page(found)
    path = Path(out or f"shoal-{found.night.event_date}.html")
    replace_file(path, page)
    print(f"{path}: {len(page.encode()):,} bytes")


@lists_app.command()
def explain(
    entity: EntityArgument,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None, form: FormatOption = "table",
) -> None:  # fmt: skip
    """Explain one entity's night from stored rows."""
    from shoal.hunt.explain import explain_entity
    from shoal.report.pages import entity_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(settings: "Settings", reader: "Reader") -> str:
        top = settings.outliers.reasons
        _, found = explain_entity(reader, entity, at, entity_type=entity_type, top=top)
        return entity_page(found, wanted)

    print(answer("explain", conf, overrides, work))


@lists_app.command()
def events(
    entity: EntityArgument,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    dimension: Annotated[
        str | None, typer.Option(help="Of its activity, e.g. program, instead of its evidence.")
    ] = None,
    value: Annotated[str | None, typer.Option(help="Of its activity, e.g. curl.")] = None,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print raw events behind an entity's line, or behind an activity of its night."""
    from shoal.hunt.events import events_behind
    from shoal.report.pages import events_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        found = events_behind(
            reader, entity, at, entity_type=entity_type, dimension=dimension, value=value
        )
        return events_page(found, wanted)

    print(answer("events", conf, overrides, work))


@lists_app.command()
def timeline(
    entity: EntityArgument,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 28,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print an entity's last nights: its scores, its clusters, its lines."""
    from shoal.hunt.timeline import entity_timeline
    from shoal.report.pages import timeline_page

    wanted = wanted_form(form)
    until = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        found = entity_timeline(reader, entity, entity_type=entity_type, until=until, last=last)
        return timeline_page(found, wanted)

    print(answer("timeline", conf, overrides, work))


@lists_app.command()
def peers(
    entity: EntityArgument,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    top: Annotated[int, typer.Option(help="At most so many.", min=1)] = 10,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print who behaved most like an entity, and whether they are what it is."""
    from shoal.hunt.peers import nearest_peers
    from shoal.report.pages import peers_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        found = nearest_peers(reader, entity, at, entity_type=entity_type, top=top)
        return peers_page(found.event_date, found.entity, found.nearest, found.verdict, wanted)

    print(answer("peers", conf, overrides, work))


@lists_app.command()
def rare(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: Annotated[str, typer.Option("--type", help="Entity type.")] = "host",
    dimensions: Annotated[
        list[str] | None, typer.Option("--dimension", help="Of entity_activity. Repeatable.")
    ] = None,
    most: Annotated[int, typer.Option(help="Entities that show it, at most.", min=1)] = 3,
    past_days: Annotated[int, typer.Option(help="Days before that lack it.", min=1)] = 28,
    top: Annotated[int, typer.Option(help="Lines of a table, at most.", min=1)] = 50,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print what appeared on a night on few entities, and nobody had before."""
    from shoal.hunt.rare import rare_values
    from shoal.report.pages import rare_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        night, found = rare_values(
            reader, at, entity_type=entity_type, dimensions=dimensions or (), most=most,
            past_days=past_days,
        )  # fmt: skip
        return rare_page(night.event_date, found, wanted, top=top)

    print(answer("rare", conf, overrides, work))


@lists_app.command()
def packages(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: Annotated[str, typer.Option("--type", help="Entity type.")] = "host",
    dimension: Annotated[str, typer.Option(help="Of entity_activity.")] = "package",
    top: Annotated[int, typer.Option(help="Lines of a table, at most.", min=1)] = 20,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print whose set of packages is unlike its peers': what few have, what most have."""
    from shoal.hunt.packages import package_outliers
    from shoal.report.pages import packages_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        night, found = package_outliers(reader, at, entity_type=entity_type, dimension=dimension)
        return packages_page(night.event_date, found, wanted, top=top)

    print(answer("packages", conf, overrides, work))


@lists_app.command()
def risk(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    last: Annotated[int, typer.Option(help="Days, counted back.", min=1)] = 28,
    half_life: Annotated[float, typer.Option(help="Days after which half counts.", min=0.1)] = 7.0,
    top: Annotated[int, typer.Option(help="Lines of a table, at most.", min=1)] = 20,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print who was strange again and again: scores of days summed up, old ones counting less."""
    from shoal.hunt.risk import risk_over_days
    from shoal.report.pages import risk_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", reader: "Reader") -> str:
        night, found = risk_over_days(
            reader, at, entity_type=entity_type, last=last, half_life=half_life
        )
        return risk_page(night.event_date, found, wanted, top=top)

    print(answer("risk", conf, overrides, work))


@lists_app.command()
def nights(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 28,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print the last published nights: entities, lists, new models, drift."""
    from shoal.hunt.history import list_nights
    from shoal.report.pages import nights_page

    wanted = wanted_form(form)

    def work(settings: "Settings", reader: "Reader") -> str:
        found = list_nights(reader, entity_types=settings.entity_types, last=last)
        return nights_page(found, wanted)

    print(answer("nights", conf, overrides, work))


@lists_app.command()
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
    event_date = optional_day("--date", day)

    def work(context: "Context") -> str:
        found = compare_clusters(
            context, event_date, entity_type=entity_type, label=label, last=last
        )
        return tables_page(found, wanted)

    print(run_command("clusters", conf, overrides, work, is_recorded=False))


@lists_app.command()
def doctor(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, form: FormatOption = "table",
) -> None:  # fmt: skip
    """Say whether the installation, the configuration, the tables and the last night are sound."""
    from shoal.hunt.doctor import examine
    from shoal.report.pages import doctor_page

    wanted = wanted_form(form)
    found = answer("doctor", conf, overrides, examine)
    print(doctor_page([vars(one) for one in found], wanted))
    if lacking := [one.about for one in found if one.state == "missing"]:
        raise DataError(f"missing: {', '.join(lacking)}")
