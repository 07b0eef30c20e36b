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
