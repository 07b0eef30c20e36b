"""Files of a simulation: a task writes what a chunk of machines logged on one day."""

import csv
import gzip
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from shoal.simulate.act_traces import leave_traces, manner_of
from shoal.simulate.acts import perform
from shoal.simulate.behaviour import HostDay, ordinary_day
from shoal.simulate.changes import (
    Change,
    add_change,
    as_sensed,
    calendar_date,
    changed_host,
    writes_network,
)
from shoal.simulate.fleet import DOMAIN, Host, build_fleet
from shoal.simulate.formats import ZEEK_HEADER, windows_lines, zeek_lines
from shoal.simulate.records import Manner, Sources
from shoal.simulate.story import STRENGTHS, Act, Simulation, Strength, plan_simulation
from shoal.simulate.traces import add_traces
from shoal.simulate.zeek_logs import LOGS

HOSTS_A_FILE = 150
"""Machines of a file: part of what is written, whatever the number of tasks."""
TRUTH_COLUMNS = (
    "event_date",
    "host",
    "source_address",
    "role",
    "kind",
    "is_planted",
    "strength",
    "story",
)
LABEL_COLUMNS = ("entity_type", "entity_id", "label", "value")


@dataclass(frozen=True)
class Request:
    """What to simulate: all that tells one simulation from another.

    Attributes
    ----------
    has_planted, has_benign : whether there are intrusions, and what only looks like them
    volume : how much goes on on an ordinary day, relative to the catalogue of roles
    sources : which logs there are
    change : of the whole fleet
    first_day : the first one that is written, counted from 0; the days before are only planned
    """

    hosts: int
    days: int
    start: date
    seed: int
    strengths: tuple[Strength, ...] = STRENGTHS
    has_planted: bool = True
    has_benign: bool = True
    volume: float = 1.0
    sources: Sources = "basic"
    change: Change | None = None
    first_day: int = 0


@lru_cache(maxsize=2)
def simulation_of(request: Request) -> Simulation:
    """Plan a simulation; every task does so for itself and arrives at the same."""
    return plan_simulation(
        build_fleet(request.hosts, request.seed, request.volume),
        request.start,
        request.days,
        strengths=request.strengths,
        has_planted=request.has_planted,
        has_benign=request.has_benign,
        sources=request.sources,
        change=request.change,
    )


def chunks_of(simulation: Simulation, first_day: int = 0) -> list[tuple[int, int]]:
    """(day, chunk of machines) of every pair of files, from a day on."""
    count = -(-len(simulation.fleet.hosts) // HOSTS_A_FILE)
    days = range(first_day, simulation.days)
    return [(day, chunk) for day in days for chunk in range(count)]


def write_chunk(simulation: Simulation, day: int, chunk: int, folder: Path) -> int:
    """Write the Windows and the Zeek files of a chunk; return how many records.

    The same bytes and time of change whenever it is done, so that a task may be done twice.
    """
    hosts = simulation.fleet.hosts[chunk * HOSTS_A_FILE : (chunk + 1) * HOSTS_A_FILE]
    logs = [log_of(simulation, host, day) for host in hosts if host.is_there(day)]
    if not logs:
        return 0
    day_name = simulation.date_of(day).isoformat()
    windows = _in_order(line for log in logs for line in windows_lines(log))
    until = simulation.date_of(day) + timedelta(days=1)
    _write_gz(folder / "windows" / day_name / f"events.{chunk:03d}.jsonl.gz", windows, until)
    records = len(windows)
    if not writes_network(simulation.change, day):
        return records
    for log in logs:
        log.connections = as_sensed(simulation.change, log)
    logs_written = LOGS if simulation.sources == "all" else {"conn": (ZEEK_HEADER, zeek_lines)}
    for name, (header, lines_of) in logs_written.items():
        lines = _in_order(line for log in logs for line in lines_of(log))
        path = folder / "zeek" / day_name / f"{name}.{chunk:03d}.log.gz"
        _write_gz(path, [header, *lines], until)
        records += len(lines)
    return records


def log_of(simulation: Simulation, host: Host, day: int) -> HostDay:
    """All that a machine does on a day: what is ordinary, and what was planned beside it."""
    change, event_date = simulation.change, simulation.date_of(day)
    host = changed_host(change, host, day)
    log = ordinary_day(simulation.fleet, host, day, calendar_date(change, event_date, day))
    log.event_date = event_date
    add_change(change, log)
    launches, connections = len(log.processes), len(log.connections)
    acts, begins = simulation.acts_of(host, day), []
    manners: dict[int, Manner] = {}
    for act in acts:
        begins.append(len(log.connections))
        perform(act, log)
        manners |= dict.fromkeys(range(begins[-1], len(log.connections)), manner_of(act))
    if simulation.sources == "all":
        add_traces(log, launches, connections, manners)
        for act, begin in zip(acts, begins, strict=True):
            leave_traces(act, log, begin)
    return log


def write_truth(simulation: Simulation, path: Path) -> int:
    """Write one row a machine, day and act; return how many."""
    rows = [_truth_row(simulation, act) for act in simulation.acts]
    _write_csv(path, TRUTH_COLUMNS, sorted(rows))
    return len(rows)


def write_labels(simulation: Simulation, path: Path) -> int:
    """Write what is known of machines, addresses and people from outside; return how many rows."""
    rows: list[tuple[str, ...]] = []
    for host in simulation.fleet.hosts:
        for kind, name in (("host", host.name), ("source_address", host.address)):
            rows.append((kind, name, "role", host.label))
            rows.append((kind, name, "site", host.site.name))
        if simulation.sources == "all":
            # The sensor knows addresses alone; whose they are tells a lease.
            rows.append(("source_address", host.address, "host", host.name))
        people = [(user, host.label) for user in host.users]
        people.append((host.service_account, "service_account"))
        for user, role in people:
            rows.append(("user", f"{DOMAIN}\\{user}", "role", role))
    # A replacement has the people of the machine before, who were there first.
    unique = {row[:3]: row for row in reversed(rows)}
    _write_csv(path, LABEL_COLUMNS, sorted(unique.values()))
    return len(unique)


def _truth_row(simulation: Simulation, act: Act) -> tuple[str, ...]:
    host = simulation.fleet.host(act.host)
    return (
        simulation.date_of(act.day).isoformat(),
        host.name,
        host.address,
        host.label,
        act.kind,
        "true" if act.is_planted else "false",
        act.strength or "",
        act.story,
    )


def _in_order(lines: Iterable[tuple[float, str]]) -> list[str]:
    return [line for _, line in sorted(lines)]


def _write_gz(path: Path, lines: Sequence[str], changed: date) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    # No name and no time in the header: the same lines are the same bytes.
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())
    _replace(path, buffer.getvalue())
    moment = datetime(changed.year, changed.month, changed.day, tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    _replace(path, buffer.getvalue().encode())


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename: a reader never sees half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
