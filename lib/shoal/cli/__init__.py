"""The command line: ``shoal STEP …`` for machines, ``shoal outliers`` and the rest for people.

``jobs/*.py`` call :func:`main` with the step's name, so that ``spark-submit`` and the command do
the same.
"""

import logging
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from shoal import __version__
from shoal.cli.command import in_words
from shoal.cli.feedback import feedback_app
from shoal.cli.lists import lists_app
from shoal.cli.models import models_app
from shoal.cli.steps import steps_app
from shoal.cli.tables import tables_app
from shoal.cli.trials import trials_app
from shoal.errors import ShoalError
from shoal.log import plain, plain_lines

log = logging.getLogger("shoal")

app = typer.Typer(
    name="shoal",
    help="Finds the hosts, users and addresses that stray from their peers, night by night.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(steps_app)
app.add_typer(lists_app)
app.add_typer(feedback_app)
app.add_typer(trials_app)
app.add_typer(models_app, name="models")
app.add_typer(tables_app, name="tables")


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


@app.command()
def version() -> None:
    """Print Shoal's version."""
    print(__version__)
