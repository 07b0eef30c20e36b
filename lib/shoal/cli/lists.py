"""What people ask of published nights: lists, one entity, clusters."""

from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.command import run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    DateOption,
    FormatOption,
    SetOption,
    TypeOption,
    one_day,
    wanted_form,
)

if TYPE_CHECKING:
    from shoal.pipelines.context import Context

lists_app = typer.Typer()


@lists_app.command()
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


@lists_app.command()
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


@lists_app.command()
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
    event_date = one_day("--date", day) if day else None

    def work(context: "Context") -> str:
        found = compare_clusters(
            context, event_date, entity_type=entity_type, label=label, last=last
        )
        return tables_page(found, wanted)

    print(run_command("clusters", conf, overrides, work, is_recorded=False))
