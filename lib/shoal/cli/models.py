"""``shoal models``: what serves and why, what differs, and what is to serve instead."""

from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.command import run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    FormatOption,
    SetOption,
    TypeOption,
    optional_day,
    wanted_form,
)
from shoal.errors import UsageError

if TYPE_CHECKING:
    from shoal.pipelines.context import Context

models_app = typer.Typer(invoke_without_command=True, help="The models, and what serves.")

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Version of a model.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept.")]


@models_app.callback()
def models(
    context: typer.Context,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    entity_type: TypeOption = None,
    why: Annotated[
        bool, typer.Option("--why", help="Every candidate of what serves, and the curves.")
    ] = False,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="What the components of what serves mean.")
    ] = False,
    model_version: Annotated[
        str | None, typer.Option("--version", help="With these: another than what serves.")
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Freeze a version: the golden model from now on."),
    ] = None,
    reason: Annotated[str, typer.Option(help="With --pin: why.")] = "",
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print the models, or why those that serve are what they are; or freeze one."""
    if context.invoked_subcommand:
        return
    from shoal.pipelines.models import explain_models, list_models, meaning_of_models, pin_golden
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)
    if model_version and not (why or meaning):
        raise UsageError("--version goes with --why or --meaning")

    def work(context: "Context") -> str:
        if pin:
            return pin_golden(context, pin, reason)
        if meaning:
            found = meaning_of_models(context, entity_type, model_version)
            return tables_page(found, wanted)
        if why:
            return tables_page(explain_models(context, entity_type, model_version), wanted)
        return tables_page(list_models(context, entity_type), wanted)

    print(run_command("models", conf, overrides, work, is_recorded=False))


@models_app.command()
def diff(
    reference: VersionArgument,
    analysis: VersionArgument,
    conf: ConfOption = DEFAULT_CONF,
    overrides: SetOption = None,
    form: FormatOption = "table",
) -> None:
    """Print how a version differs from an earlier one: form, features, components, slices."""
    from shoal.pipelines.model_versions import diff_models
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)

    def work(context: "Context") -> str:
        return tables_page(diff_models(context, reference, analysis), wanted)

    print(run_command("models diff", conf, overrides, work, is_recorded=False))


@models_app.command()
def rollback(
    version: VersionArgument,
    conf: ConfOption = DEFAULT_CONF,
    overrides: SetOption = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="First night it no longer serves, by default the next one."),
    ] = None,
    reason: ReasonOption = "",
) -> None:
    """Take a version back: what served before it serves again."""
    from shoal.pipelines.model_versions import roll_back

    day = optional_day("--from", since)

    def work(context: "Context") -> str:
        return roll_back(context, version, day, reason)

    print(run_command("models rollback", conf, overrides, work))


@models_app.command()
def promote(
    version: VersionArgument,
    conf: ConfOption = DEFAULT_CONF,
    overrides: SetOption = None,
    reason: ReasonOption = "",
) -> None:
    """Let a version serve that the gate has kept out, from the next night on."""
    from shoal.pipelines.model_versions import promote_by_hand

    def work(context: "Context") -> str:
        return promote_by_hand(context, version, reason)

    print(run_command("models promote", conf, overrides, work))
