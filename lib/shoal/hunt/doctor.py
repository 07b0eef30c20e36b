"""Is this installation, its configuration, its tables and its last night sound; in sentences."""

import glob
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from shoal.config import Settings
from shoal.contracts import DRIFT_ALERT_RATE, RUNS, TABLES
from shoal.contracts.drift import OF_THE_FLEET
from shoal.contracts.scores import SILENT
from shoal.errors import ShoalError
from shoal.lake import Lake, Night, Reader, fetch_published, read_nights, rows_of
from shoal.lake.folder import has_scheme
from shoal.models.alert_rate import VERDICTS
from shoal.models.histograms import ALL
from shoal.models.registry import golden_models, golden_nights, read_changes, valid_from

OLDEST_JAVA = 17
LATE_DAYS = 2
"""Days after which the last night should be out."""
_JAVA = re.compile(r'version "(\d+)')
_REQUIRED = re.compile(r"^([A-Za-z0-9._-]+)")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    state : ``missing`` is what keeps Shoal from working, ``look`` what somebody should see to
    """

    about: str
    state: Literal["ok", "look", "missing"]
    said: str


def examine(settings: Settings, lake: Lake, *, today: date | None = None) -> list[Check]:
    """Look at everything; what a fault keeps from being looked at is said to be that."""
    day = today or datetime.now(UTC).date()
    found = [*_installation(), *_configuration(settings)]
    tables = _tables(lake)
    found += tables
    if any(one.state == "missing" for one in tables):
        found.append(Check("nights", "missing", "the tables have to be made first"))
        return found
    every = read_nights(lake)
    nights = [night for night in every if night.state == "published"]
    looks = [partial(_nights, every, nights, day), partial(_last_run, lake)]
    if nights:
        looks += [partial(_models, settings, lake, nights[-1]), partial(_drift, lake, nights[-1])]
    for look in looks:
        try:
            found += look()
        except ShoalError as error:
            found.append(Check("nights", "missing", str(error)))
    return found


def _installation() -> Iterator[Check]:
    lacking = []
    for requirement in requires("shoal") or []:
        name = _REQUIRED.match(requirement)
        if name is None or "extra ==" in requirement:
            continue
        try:
            version(name[1])
        except PackageNotFoundError:
            lacking.append(name[1])
    python = ".".join(map(str, sys.version_info[:3]))
    if lacking:
        yield Check("packages", "missing", f"not installed: {', '.join(lacking)}; `make setup`")
    else:
        yield Check("packages", "ok", f"Shoal {version('shoal')} on Python {python}")
    yield _java()


def _java() -> Check:
    wanted = f"Java {OLDEST_JAVA} or newer"
    command = shutil.which("java")
    if command is None:
        return Check("Java", "missing", f"none on the path: install {wanted}, or `make setup`")
    try:
        done = subprocess.run(  # noqa: S603 - a program of the path, without anybody's text
            [command, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("Java", "missing", f"{command} does not run: {error}")
    told = _JAVA.search(done.stderr + done.stdout)
    if told is None or int(told[1]) < OLDEST_JAVA:
        name = told[1] if told else "of no version that it tells"
        return Check("Java", "missing", f"{command} is Java {name}, {wanted} is needed")
    return Check("Java", "ok", f"{command} is Java {told[1]}")


def _configuration(settings: Settings) -> Iterator[Check]:
    if not settings.sources:
        yield Check("sources", "look", "none is configured: there is nothing to read")
    for source in settings.sources:
        about = f"source {source.name}"
        local = [path for path in source.paths if not has_scheme(path)]
        absent = [path for path in local if not _is_there(path)]
        if absent:
            yield Check(about, "look", f"nothing is at {', '.join(absent)}")
        elif local:
            yield Check(about, "ok", f"{len(local)} of its paths are there")
        else:
            yield Check(about, "ok", "its paths are not on this machine's disks")
    for label in settings.labels:
        path = label if isinstance(label, str) else label.path
        if not has_scheme(path) and not _is_there(path):
            yield Check("labels", "missing", f"no file {path}")
    for path in settings.address_databases:
        if not Path(path).is_file():
            yield Check("address databases", "missing", f"no file {path}")
    if settings.slices.label and not settings.labels:
        yield Check(
            "labels",
            "look",
            f"slices are by the label {settings.slices.label}, and no labels are configured: "
            "everybody is everybody's peer",
        )


def _is_there(pattern: str) -> bool:
    return bool(glob.glob(pattern))  # noqa: PTH207 - Path's own takes no absolute pattern


def _tables(lake: Lake) -> list[Check]:
    faults = []
    for table in TABLES:
        try:
            lake.check(table)
        except ShoalError as error:
            faults.append(Check(f"table {table.name}", "missing", str(error)))
    if len(faults) == len(TABLES):
        return [Check("tables", "missing", "there is none: run `shoal tables apply`")]
    return faults or [Check("tables", "ok", f"all {len(TABLES)}, in this Shoal's versions")]


def _nights(every: Sequence[Night], nights: Sequence[Night], today: date) -> Iterator[Check]:
    hidden = [night for night in every if night.state != "published"]
    if hidden:
        days = ", ".join(str(night.event_date) for night in hidden[:5])
        yield Check(
            "nights", "look",
            f"{len(hidden)} begun and not published ({days}): run `shoal nightly` for them again",
        )  # fmt: skip
    if not nights:
        yield Check("nights", "look", "none is published yet: run `shoal nightly`")
        return
    last = nights[-1]
    age = (today - last.event_date).days
    told = f"{len(nights)} published, the last of {last.event_date}"
    if age > LATE_DAYS:
        yield Check("nights", "look", f"{told}, {age} days ago: is the schedule running?")
    else:
        yield Check("nights", "ok", told)
    missing = _gaps(nights)
    if missing:
        days = ", ".join(str(day) for day in missing[:5])
        yield Check("nights", "look", f"{len(missing)} of the last 28 days have no night: {days}")
    yield _unscored(last)


def _gaps(nights: Sequence[Night]) -> list[date]:
    known = {night.event_date for night in nights}
    last = nights[-1].event_date
    window = [last - timedelta(days=n) for n in range(28)]
    return sorted(day for day in window if day not in known and day > nights[0].event_date)


def _unscored(last: Night) -> Check:
    scored = last.row_counts.get("entity_scores", 0)
    unscored = last.row_counts.get("unscored", 0)
    silent = last.row_counts.get(SILENT, 0)
    told = (
        f"{scored:,} entities scored, {unscored:,} not, {silent:,} of them silent; "
        f"{last.row_counts.get('outliers', 0):,} lines"
    )
    if scored == 0:
        return Check("last night", "look", f"{told}: nobody has a score, see `unscored.reason`")
    if unscored > scored:
        return Check("last night", "look", f"{told}: most have none, see `unscored.reason`")
    return Check("last night", "ok", told)


def _last_run(reader: Reader) -> Iterator[Check]:
    rows = rows_of(
        reader.fetch(RUNS, ["step", "state", "message", "faults", "exit_code", "written_ts"])
    )
    commands = [row for row in rows if row["step"].startswith("command ")]
    if not commands:
        return
    last = max(commands, key=lambda row: row["written_ts"])
    name = last["step"].removeprefix("command ")
    when = f"{last['written_ts']:%Y-%m-%d %H:%M} UTC"
    if last["state"] == "failed":
        yield Check(
            "last run", "look",
            f"`shoal {name}` of {when} ended with {last['exit_code']}: {last['message']}",
        )  # fmt: skip
    elif last["faults"]:
        faults = "; ".join(last["faults"])
        yield Check("last run", "look", f"`shoal {name}` of {when} met faults: {faults}")
    else:
        yield Check("last run", "ok", f"`shoal {name}` of {when} is done, without faults")


def _models(settings: Settings, reader: Reader, last: Night) -> Iterator[Check]:
    for kind in settings.entity_types:
        model = last.model_versions.get(kind)
        if model is None:
            yield Check(f"model of {kind}", "look", "none served the last night")
            continue
        age = (last.event_date - valid_from(model)).days
        if age >= 2 * settings.fit.every_days:
            yield Check(
                f"model of {kind}", "look",
                f"{model} is {age} days old, fit.every_days is {settings.fit.every_days}: see "
                "`shoal models`",
            )  # fmt: skip
        else:
            yield Check(f"model of {kind}", "ok", f"{model}, {age} days old")
    changes = read_changes(reader)
    frozen = golden_models(changes, last.event_date, golden_nights(settings))
    lacking = [kind for kind in last.model_versions if kind not in frozen]
    if lacking:
        yield Check(
            "frozen model", "look",
            f"none yet of {', '.join(sorted(lacking))}: who moves slowly is not told",
        )  # fmt: skip


def _drift(reader: Reader, last: Night) -> Iterator[Check]:
    columns = ["entity_type", "verdict"]
    rows = fetch_published(reader, DRIFT_ALERT_RATE, [last], columns, slice=[ALL])
    for row in sorted(rows_of(rows), key=lambda row: row["entity_type"]):
        verdict = row["verdict"]
        state: Literal["ok", "look"] = "ok" if verdict in VERDICTS.keys() - OF_THE_FLEET else "look"
        yield Check(f"drift of {row['entity_type']}", state, VERDICTS.get(verdict, verdict))
