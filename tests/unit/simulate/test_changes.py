"""Changes of a whole simulated fleet: each from its day on, and nothing else with it."""

import gzip
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from shoal.simulate.acts import BOILING_GROWTH
from shoal.simulate.changes import CHANGED_ROLE, CHANGES, Change, boiled_hosts
from shoal.simulate.write import (
    Request,
    chunks_of,
    log_of,
    simulation_of,
    write_chunk,
    write_labels,
    write_truth,
)

# A Tuesday.
PLAIN = Request(hosts=60, days=12, start=date(2026, 9, 1), seed=5,
                has_planted=False, has_benign=False)  # fmt: skip
DAY = 8


def changed(kind):
    return simulation_of(replace(PLAIN, change=Change(kind, DAY)))


def counts(simulation, host, day):
    log = log_of(simulation, host, day)
    return len(log.processes), len(log.connections)


def files(folder):
    return {
        path.relative_to(folder): gzip.decompress(path.read_bytes())
        for path in folder.rglob("*.gz")
    }


@pytest.mark.parametrize("kind", CHANGES)
def test_until_its_day_nothing_has_changed(kind, tmp_path):
    plain, other = simulation_of(PLAIN), changed(kind)
    write_chunk(plain, DAY - 1, 0, tmp_path / "plain")
    write_chunk(other, DAY - 1, 0, tmp_path / "changed")
    assert files(tmp_path / "plain") == files(tmp_path / "changed")
    write_labels(plain, tmp_path / "plain.csv")
    write_labels(other, tmp_path / "changed.csv")
    assert (tmp_path / "plain.csv").read_text() == (tmp_path / "changed.csv").read_text()


def test_a_roll_out_reaches_every_machine():
    for host in changed("roll_out").fleet.hosts:
        log = log_of(changed("roll_out"), host, DAY + 1)
        assert sum(process.program.startswith("edr_sensor") for process in log.processes) == 24
        assert sum(connection.port == 8443 for connection in log.connections) >= 144


def test_machines_of_a_role_do_what_those_of_another_do():
    simulation = changed("role_change")
    [host, *_] = simulation.fleet.by_role(CHANGED_ROLE)
    before, now = (log_of(simulation, host, day).processes for day in (DAY - 1, DAY))
    assert ("php-fpm", "systemd") in {(one.program, one.parent) for one in before}
    assert ("python3", "airflow") in {(one.program, one.parent) for one in now}
    assert "php-fpm" not in {one.program for one in now}


def test_a_silent_sensor_writes_nothing_and_the_machines_go_on(tmp_path):
    write_chunk(changed("silent_source"), DAY, 0, tmp_path / "silent")
    write_chunk(simulation_of(PLAIN), DAY, 0, tmp_path / "plain")
    silent, plain = files(tmp_path / "silent"), files(tmp_path / "plain")
    assert silent == {name: text for name, text in plain.items() if name.parts[0] == "windows"}
    assert len(plain) == 2


def test_another_unit_is_that_of_the_sensor_alone(tmp_path):
    write_chunk(changed("unit_change"), DAY, 0, tmp_path / "other")
    write_chunk(simulation_of(PLAIN), DAY, 0, tmp_path / "plain")
    other, plain = files(tmp_path / "other"), files(tmp_path / "plain")
    [windows, zeek] = sorted(plain, key=str)
    assert other[windows] == plain[windows]
    seconds = [
        np.array([float(line.split("\t")[8]) for line in found[zeek].decode().splitlines()
                  if line[0] != "#" and line.split("\t")[8] != "-"])
        for found in (plain, other)
    ]  # fmt: skip
    assert len(seconds[0]) > 100
    np.testing.assert_allclose(seconds[1], 1000.0 * seconds[0], atol=1e-3)


def test_on_a_holiday_people_do_what_they_do_on_sundays():
    simulation, plain = changed("holiday"), simulation_of(PLAIN)
    office = simulation.fleet.by_role("office_workstation")

    def launches(of, day):
        return sum(counts(of, host, day)[0] for host in office)

    assert launches(simulation, DAY) < 0.4 * launches(plain, DAY)
    assert launches(simulation, DAY + 1) == launches(plain, DAY + 1)
    assert log_of(simulation, office[0], DAY).event_date == plain.date_of(DAY)


def test_what_is_boiled_does_more_of_the_same(tmp_path):
    simulation, plain = changed("slow_boil"), simulation_of(PLAIN)
    hosts = boiled_hosts(simulation.fleet)
    for nth in (0, 3):
        more, usual = (
            np.sum([counts(of, host, DAY + nth) for host in hosts], axis=0)
            for of in (simulation, plain)
        )
        np.testing.assert_allclose(more / usual, BOILING_GROWTH ** (nth + 1), rtol=0.15)
    log, ordinary = (log_of(of, hosts[0], DAY + 3) for of in (simulation, plain))
    assert {p.program for p in log.processes} == {p.program for p in ordinary.processes}
    assert {c.peer for c in log.connections} == {c.peer for c in ordinary.connections}
    calm = next(host for host in simulation.fleet.hosts if host not in hosts)
    assert counts(simulation, calm, DAY + 3) == counts(plain, calm, DAY + 3)
    assert write_truth(simulation, tmp_path / "truth.csv") == len(hosts) * (PLAIN.days - DAY)
    assert "slow_boil-00" in (tmp_path / "truth.csv").read_text()


def test_only_the_days_asked_for_are_written():
    assert [day for day, _ in chunks_of(simulation_of(PLAIN), DAY)] == [8, 9, 10, 11]
    assert len(chunks_of(simulation_of(PLAIN))) == PLAIN.days
