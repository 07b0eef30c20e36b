"""What hunters say of the lists: ``shoal verdict`` and ``shoal suppress``, and what was said."""

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.command import answer
from shoal.cli.options import (
    DEFAULT_CONF,
    ConfOption,
    DateOption,
    FormatOption,
    SetOption,
    TypeOption,
    one_day,
    optional_day,
    wanted_form,
)
from shoal.errors import UsageError

if TYPE_CHECKING:
    from shoal.config import Settings
    from shoal.lake import Lake

feedback_app = typer.Typer()

OwnerOption = Annotated[str | None, typer.Option(help="Who says so; who is logged in by default.")]
_RULE_DAYS = 90
"""Days after which a rule ends that is given no end."""


@feedback_app.command()
def verdict(
    entity: Annotated[str | None, typer.Argument(help="Name of the entity.")] = None,
    found: Annotated[
        str | None, typer.Option("--is", help="benign, suspicious or malicious.")
    ] = None,
    why: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None,
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    scope: Annotated[str, typer.Option(help="day, entity or pattern.")] = "pattern",
    until: Annotated[
        str | None, typer.Option(help="First night that heeds it no longer; never.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="CSV of entity_id, event_date, verdict, reason instead of one."),
    ] = None,
    owner: OwnerOption = None,
) -> None:  # fmt: skip
    """Say what was found about an entity's night, or about those of a file."""
    from shoal.hunt.feedback import Finding, read_findings, record_verdicts
    from shoal.report.text import counted

    if (file is None) == (entity is None):
        raise UsageError("name either an entity, or a --file")
    if file is not None:
        findings = read_findings(Path(file))
    elif found is None or why is None:
        raise UsageError("a verdict needs --is and --why")
    else:
        at = optional_day("--date", day)
        findings = [Finding(str(entity), found, why, at, entity_type, scope)]
    end = optional_day("--until", until)

    def work(_: "Settings", lake: "Lake") -> str:
        names = record_verdicts(lake, findings, owner=owner or getpass.getuser(), until=end)
        known = len(findings) - len(names)
        told = f", {known:,} known already" if known else ""
        return f"{counted(len(names), 'verdict')} written{told}"

    print(answer("verdict", conf, overrides, work))


@feedback_app.command()
def verdicts(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    since: Annotated[str | None, typer.Option(help="Of days from this one on.")] = None,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print what was found so far, newest first."""
    from shoal.hunt.feedback import told_verdicts
    from shoal.report.pages import verdicts_page

    wanted = wanted_form(form)
    first = optional_day("--since", since)

    def work(_: "Settings", lake: "Lake") -> str:
        return verdicts_page(told_verdicts(lake, first), wanted)

    print(answer("verdicts", conf, overrides, work))


@feedback_app.command()
def quality(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    last: Annotated[int, typer.Option(help="Published nights, counted back.", min=1)] = 90,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print how good the lists were by the verdicts so far: at each capacity, and by slice."""
    from shoal.hunt.quality import list_quality
    from shoal.report.pages import tables_page

    wanted = wanted_form(form)

    def work(_: "Settings", lake: "Lake") -> str:
        return tables_page(list_quality(lake, last=last), wanted)

    print(answer("quality", conf, overrides, work))


@feedback_app.command()
def suppress(
    pattern: Annotated[str, typer.Argument(help="What it hides; * is any text.")],
    why: Annotated[str, typer.Option(help="Why; it is kept.")],
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None,
    scope: Annotated[
        str, typer.Option(help="entity, slice, feature, value or reason.")
    ] = "entity",
    entity_type: Annotated[str, typer.Option("--type", help="Entity type.")] = "host",
    until: Annotated[
        str | None, typer.Option(help="First night that it hides no longer; in 90 days.")
    ] = None,
    is_preview: Annotated[
        bool, typer.Option("--preview", help="Only say what it would have hidden.")
    ] = False,
    owner: OwnerOption = None,
) -> None:  # fmt: skip
    """Hide lines of the list by a rule, and say what it would have hidden so far."""
    from shoal.hunt.feedback import make_suppression, preview, record_suppression

    today = datetime.now(UTC).date()
    end = one_day("--until", until) if until else today + timedelta(days=_RULE_DAYS)

    def work(_: "Settings", lake: "Lake") -> str:
        rule = make_suppression(
            lake, entity_type=entity_type, scope=scope, pattern=pattern, reason=why,
            owner=owner or getpass.getuser(), until=end,
        )  # fmt: skip
        told = str(preview(lake, rule))
        if is_preview:
            return told
        is_new = record_suppression(lake, rule)
        state = "written" if is_new else "was there already"
        return f"{told}\nrule {rule.suppression_id} {state}, until {rule.expiry_date}"

    print(answer("suppress", conf, overrides, work))


@feedback_app.command()
def suppressions(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print the rules that hide lines: what each hides, and which are too broad or of no use."""
    from shoal.hunt.feedback import told_suppressions
    from shoal.report.pages import suppressions_page

    wanted = wanted_form(form)

    def work(_: "Settings", lake: "Lake") -> str:
        return suppressions_page(told_suppressions(lake), wanted)

    print(answer("suppressions", conf, overrides, work))


@feedback_app.command()
def sample(
    conf: ConfOption = DEFAULT_CONF, overrides: SetOption = None, day: DateOption = None,
    entity_type: TypeOption = None,
    size: Annotated[int, typer.Option(help="Entities of each kind.", min=1)] = 5,
    form: FormatOption = "table",
) -> None:  # fmt: skip
    """Print who is worth a verdict and on no list: just under it, unlikely, or by chance."""
    from shoal.hunt.sample import sample_night
    from shoal.report.pages import sample_page

    wanted = wanted_form(form)
    at = optional_day("--date", day)

    def work(_: "Settings", lake: "Lake") -> str:
        night, found = sample_night(lake, at, size=size, entity_type=entity_type)
        return sample_page(night.event_date, found, wanted)

    print(answer("sample", conf, overrides, work))
