"""``shoal tables``: made and described."""

import logging
from typing import TYPE_CHECKING

import typer

from shoal.cli.command import run_command
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    SetOption,
)

if TYPE_CHECKING:
    from shoal.pipelines.context import Context

log = logging.getLogger("shoal")

tables_app = typer.Typer(no_args_is_help=True, help="Tables: made and described.")


@tables_app.command("apply")
def tables_apply(conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None) -> None:
    """Create missing tables and bring older ones to their contract's version."""
    from shoal.contracts import TABLES
    from shoal.spark.tables import apply_contracts
    from shoal.spark.views import create_views

    def work(context: "Context") -> None:
        done = apply_contracts(context.warehouse)
        counts = {state: [t.name for t, s in done if s == state] for _, state in done}
        for state, names in sorted(counts.items()):
            log.info("%s %d of %d tables", state, len(names), len(TABLES))
        if context.warehouse.schema is not None:
            create_views(context.warehouse)

    run_command("tables apply", conf, overrides, work, is_recorded=False)


@tables_app.command("views")
def tables_views(conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None) -> None:
    """Print SQL that creates the views, for a Spark session of one's own."""
    from shoal.contracts.views import VIEWS
    from shoal.spark.views import view_statement

    def work(context: "Context") -> str:
        return "\n\n".join(f"{view_statement(context.warehouse, view)};" for view in VIEWS)

    print(run_command("tables views", conf, overrides, work, is_recorded=False))


@tables_app.command("dictionary")
def tables_dictionary() -> None:
    """Print the data dictionary as Markdown, as it stands in the README."""
    from shoal.report.dictionary import data_dictionary

    print(data_dictionary())
