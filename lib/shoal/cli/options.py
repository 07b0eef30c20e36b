"""Options that several commands have, and how they are read."""

from datetime import date
from typing import Annotated

import typer

from shoal.errors import UsageError
from shoal.report.text import FORMS, Form

ConfOption = Annotated[str, typer.Option("--conf", help="Configuration file (YAML).")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override, e.g. fit.n_components=4. Repeatable.")
]
DateOption = Annotated[
    str | None, typer.Option("--date", help="Event day (UTC), yesterday by default.")
]
StartOption = Annotated[str | None, typer.Option("--start", help="First day of a range.")]
EndOption = Annotated[str | None, typer.Option("--end", help="Last day of a range.")]
StrictOption = Annotated[bool, typer.Option(help="Leave with 3 if faults were recorded.")]
FormatOption = Annotated[str, typer.Option("--format", help="table, json, csv or md.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Entity type.")]

DEFAULT_CONF = "conf/local.yaml"


def wanted_form(text: str) -> Form:
    """The form that ``--format`` names.

    Raises
    ------
    UsageError
        If there is no such form.
    """
    for form in FORMS:
        if text == form:
            return form
    raise UsageError(f"--format {text!r} is not one of {', '.join(FORMS)}")


def optional_day(option: str, text: str | None) -> date | None:
    """The day that an option names, if it is given; see `one_day`."""
    return one_day(option, text) if text else None


def one_day(option: str, text: str) -> date:
    """The day that an option names.

    Raises
    ------
    UsageError
        If it is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a date, e.g. 2024-04-20") from error
