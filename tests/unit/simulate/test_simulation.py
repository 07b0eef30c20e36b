"""A simulated fleet: the same for the same seed, few intrusions at a time, day like day."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from shoal.errors import UsageError
from shoal.simulate.behaviour import ordinary_day
from shoal.simulate.fleet import SITES, build_fleet, role_sizes
from shoal.simulate.formats import ZEEK_HEADER
from shoal.simulate.roles import ROLES
from shoal.simulate.story import BENIGN, MOST_ACTIVE, PLANTED, QUIET_DAYS, STRENGTHS
from shoal.simulate.write import (
    Request,
    chunks_of,
    log_of,
    simulation_of,
    write_chunk,
    write_labels,
    write_truth,
)

START = date(2026, 9, 1)
REQUEST = Request(hosts=300, days=28, start=START, seed=5)
SMALL = Request(hosts=40, days=12, start=START, seed=5)


@pytest.mark.parametrize("hosts", [40, 300, 10_000])
def test_roles_have_zipf_sizes(hosts):
    sizes = role_sizes(hosts)
    assert sum(sizes) == hosts
    assert min(sizes) >= 1
    assert sizes == sorted(sizes, reverse=True)
    assert len(ROLES) == len({role.name for role in ROLES}) == len(sizes) == 20
    if hosts > 1000:
        assert sizes[0] / sizes[9] == pytest.approx(10, rel=0.05)


def test_a_fleet_too_small_says_how_many_it_takes():
    with pytest.raises(UsageError, match="--hosts must be at least 40, got 39"):
        build_fleet(39, 1)


def test_few_intrusions_at_a_time_none_in_the_first_days_all_kinds_and_strengths():
    acts = [act for act in simulation_of(REQUEST).acts if act.is_planted]
    by_day = Counter(act.day for act in acts)
    assert max(by_day.values()) <= MOST_ACTIVE
    assert min(by_day) >= QUIET_DAYS
    assert {act.kind for act in acts} == set(PLANTED)
    assert {act.strength for act in acts} == set(STRENGTHS)
    by_host = {(act.host, act.story) for act in acts}
    assert len({host for host, _ in by_host}) == len(by_host)  # nobody is in two stories


def test_what_is_benign_does_not_depend_on_what_is_planted():
    both = simulation_of(REQUEST)
    benign = simulation_of(replace(REQUEST, has_planted=False))
    clean = simulation_of(replace(REQUEST, has_planted=False, has_benign=False))
    assert [act for act in both.acts if not act.is_planted] == list(benign.acts)
    assert {act.kind for act in benign.acts} == set(BENIGN)
    assert not clean.acts
    host = clean.fleet.hosts[20]
    assert log_of(clean, host, 3).connections == log_of(both, host, 3).connections


def test_a_day_is_the_same_whatever_else_is_simulated():
    long, short = (build_fleet(40, seed) for seed in (5, 5))
    host = long.hosts[3]
    one = ordinary_day(long, host, 4, date(2026, 9, 5))
    for day in range(3):
        ordinary_day(short, short.hosts[3], day, date(2026, 9, 1))
    other = ordinary_day(short, short.hosts[3], 4, date(2026, 9, 5))
    assert (one.processes, one.connections) == (other.processes, other.connections)
    assert one.processes != ordinary_day(build_fleet(40, 6), host, 4, date(2026, 9, 5)).processes


def test_the_same_request_writes_the_same_bytes(tmp_path):
    simulation = simulation_of(SMALL)
    written = {}
    for name in ("a", "b"):
        for day, chunk in chunks_of(simulation)[10:11]:
            assert write_chunk(simulation, day, chunk, tmp_path / name) > 1000
        write_truth(simulation, tmp_path / name / "truth.csv")
        write_labels(simulation, tmp_path / name / "labels.csv")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written[name] = [(p.relative_to(tmp_path / name), p.read_bytes()) for p in files]
        times = {p.stat().st_mtime for p in files if p.suffix == ".gz"}
        assert len(times) == 1
    assert written["a"] == written["b"]


def test_files_are_sysmon_json_lines_and_zeek_tables_in_order_of_time(tmp_path):
    simulation = simulation_of(SMALL)
    write_chunk(simulation, 11, 0, tmp_path)
    with gzip.open(next(tmp_path.rglob("*.jsonl.gz")), "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert {record["EventID"] for record in records} >= {1, 3, 4624}
    times = [record["@timestamp"] for record in records]
    assert times == sorted(times)
    assert {time[:10] for time in times} == {"2026-09-12"}
    with gzip.open(next(tmp_path.rglob("conn*.log.gz")), "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    header = ZEEK_HEADER.splitlines()
    assert lines[: len(header)] == header
    assert {line.count("\t") for line in lines[len(header) :]} == {header[5].count("\t") - 1}


def test_days_of_a_machine_are_alike_and_machines_differ():
    fleet = build_fleet(300, 8)
    machines = fleet.by_role("office_workstation")[:30]

    def day_of(host, day):
        log = ordinary_day(fleet, host, day, date(2026, 9, 1 + day))
        return Counter(process.program for process in log.processes)

    own, others = [], []
    for host, other in pairwise(machines):
        days = [day_of(host, day) for day in (0, 1)]
        own.append(_cosine(*days))
        others.append(_cosine(days[0], day_of(other, 0)))
    assert np.mean(own) > np.mean(others) + 0.05


def _cosine(left, right):
    dot = sum(left[name] * right[name] for name in left)
    size = sum(v * v for v in left.values()) ** 0.5 * sum(v * v for v in right.values()) ** 0.5
    return dot / size if size else 0.0


def test_people_work_by_the_clock_of_their_site():
    fleet = build_fleet(300, 9)
    middles = {}
    for site in SITES:
        seconds = []
        for host in fleet.by_role("office_workstation"):
            if host.site.name == site.name:
                log = ordinary_day(fleet, host, 1, date(2026, 9, 2))
                seconds += [p.second for p in log.processes if p.parent == "explorer.exe"]
        local = (np.asarray(seconds) / 3600 + site.offset_hours(date(2026, 9, 2))) % 24
        middles[site.name] = float(np.median(local))
    assert all(9 < middle < 16 for middle in middles.values()), middles


def test_weekends_are_quiet_in_offices_and_not_in_server_rooms():
    fleet = build_fleet(300, 10)

    def events(role, day):
        hosts = fleet.by_role(role)
        logs = [ordinary_day(fleet, host, day, date(2026, 9, 1 + day)) for host in hosts]
        return sum(len(log.processes) for log in logs)

    # 2026-09-05 is a Saturday.
    assert events("office_workstation", 4) < 0.6 * events("office_workstation", 3)
    assert events("container_node", 4) > 0.7 * events("container_node", 3)
