"""The other logs of a simulated fleet: of one kind with the first, and no change to them."""

import gzip
import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date

import pytest

from shoal.simulate.act_traces import tunnel_domain
from shoal.simulate.story import IN_DNS, MOST_IN_DNS, PLANTED, QUIET_DAYS, STRENGTHS
from shoal.simulate.write import (
    Request,
    log_of,
    simulation_of,
    write_chunk,
    write_labels,
    write_truth,
)

SMALL = Request(hosts=40, days=13, start=date(2026, 9, 1), seed=5)
ALL = replace(SMALL, sources="all")
LARGE = replace(ALL, hosts=300, days=28)
BASIC_HASH = "a06556c486f4b2af019c515dcb1103269fe9948acf30bc9eb64fb65bb5129a56"
"""Of SMALL's last three days, its labels and its truth, before there were other sources."""


def write_days(request, folder, days=(10, 11, 12)):
    simulation = simulation_of(request)
    for day in days:
        write_chunk(simulation, day, 0, folder)
    write_truth(simulation, folder / "truth.csv")
    write_labels(simulation, folder / "labels.csv")
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found[str(path.relative_to(folder))] = (
            gzip.decompress(content) if path.suffix == ".gz" else content
        )
    return found


def read_table(text):
    """Records of a Zeek log, by what its own header says."""
    lines = text.decode().splitlines()
    [names] = [line.split("\t")[1:] for line in lines if line.startswith("#fields\t")]
    [types] = [line.split("\t")[1:] for line in lines if line.startswith("#types\t")]
    assert len(names) == len(types)
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines if line[0] != "#"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_days(ALL, tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def tables(written):
    found = defaultdict(list)
    for name, text in written.items():
        if name.startswith("zeek/"):
            found[name.split("/")[-1].split(".")[0]] += read_table(text)
    return found


@pytest.fixture(scope="module")
def events(written):
    found = defaultdict(list)
    for name, text in written.items():
        if name.startswith("windows/"):
            for record in map(json.loads, text.splitlines()):
                found[record["EventID"]].append(record)
    return found


def test_the_basic_sources_are_what_they_were_byte_for_byte(tmp_path):
    digest = hashlib.sha256()
    for name, content in write_days(SMALL, tmp_path).items():
        digest.update(name.encode() + b"\0" + content)
    assert digest.hexdigest() == BASIC_HASH


def test_all_sources_are_the_same_bytes_for_the_same_request(written, tmp_path):
    assert write_days(ALL, tmp_path) == written
    assert sum(name.startswith("zeek/") for name in written) == 3 * 4


def test_records_share_their_connection_with_conn(tables):
    assert set(tables) == {"conn", "dns", "http", "ssl"}
    ends = ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
    connections = {row["uid"]: row for row in tables["conn"]}
    assert len(connections) == len(tables["conn"])
    for log, service in (("dns", "dns"), ("http", "http"), ("ssl", "ssl")):
        assert len(tables[log]) > 200
        for row in tables[log]:
            connection = connections[row["uid"]]
            assert connection["service"] == service
            assert [row[end] for end in ends] == [connection[end] for end in ends]


def test_names_and_clients_are_of_the_peer_and_the_program_not_of_the_machine(tables):
    names, askers, clients = defaultdict(set), defaultdict(set), defaultdict(set)
    for row in tables["dns"]:
        if (
            row["rcode_name"] == "NOERROR"
            and row["qtype_name"] == "A"
            and ".rep." not in row["query"]
        ):
            names[row["answers"]].add(row["query"])
            askers[row["query"]].add(row["id.orig_h"])
    assert {len(found) for found in names.values()} == {1}
    for row in tables["ssl"]:
        clients[row["ja3"]].add(row["id.orig_h"])
        if row["server_name"] != "-" and row["id.resp_h"] in names:
            assert {row["server_name"]} == names[row["id.resp_h"]] or "www." in row["server_name"]
    assert max(map(len, askers.values())) > 15
    assert max(map(len, clients.values())) > 15
    codes = Counter(row["rcode_name"] for row in tables["dns"])
    assert 0 < codes["NXDOMAIN"] < 0.1 * codes["NOERROR"]


def test_files_libraries_and_sessions_are_in_the_windows_log(events):
    assert {11, 7, 4634, 4672} <= set(events)
    assert all(record["TargetFilename"] for record in events[11])
    signed = Counter(record["Signed"] for record in events[7])
    assert 0 < signed["false"] < 0.1 * signed["true"]
    begun = {(r["Hostname"], r["TargetUserName"], r["LogonType"]) for r in events[4624]}
    assert {(r["Hostname"], r["TargetUserName"], r["LogonType"]) for r in events[4634]} <= begun
    assert any(r["SubjectUserName"].startswith("svc_") for r in events[4672])


def test_other_kinds_are_planted_beside_the_basic_ones():
    basic, every = simulation_of(replace(LARGE, sources="basic")), simulation_of(LARGE)
    added = [act for act in every.acts if act.kind in IN_DNS]
    assert [act for act in every.acts if act.kind not in IN_DNS] == list(basic.acts)
    assert not set(IN_DNS) & set(PLANTED)
    assert {act.strength for act in added} == set(STRENGTHS)
    assert min(act.day for act in added) >= QUIET_DAYS
    assert max(Counter(act.day for act in added).values()) <= MOST_IN_DNS
    others = {act.host for act in every.acts if act.is_planted and act.kind not in IN_DNS}
    assert not others & {act.host for act in added}


def test_a_tunnel_is_many_long_names_under_one_domain_the_more_the_stronger():
    simulation = simulation_of(LARGE)
    counts = {}
    for act in simulation.acts:
        if act.kind == "dns_tunnel":
            log = log_of(simulation, simulation.fleet.host(act.host), act.day)
            ending = f".{tunnel_domain(simulation.fleet, act)}"
            names = [q.name for q in log.traces.queries if q.name.endswith(ending)]
            assert len(set(names)) == len(names)
            counts[act.strength] = len(names)
    assert 15 <= counts["weak"] < counts["middle"] / 4 < counts["strong"] / 16


def test_ordinary_traces_are_the_same_with_and_without_an_act():
    planted, clean = simulation_of(LARGE), simulation_of(replace(LARGE, has_planted=False))
    seen = set()
    for act in planted.acts:
        if not act.is_planted or act.kind in seen:
            continue
        seen.add(act.kind)
        own, ordinary = (
            log_of(simulation, simulation.fleet.host(act.host), act.day)
            for simulation in (planted, clean)
        )
        for name in ("files", "loads", "sessions", "requests", "logoffs", "privileged"):
            assert set(getattr(ordinary.traces, name)) <= set(getattr(own.traces, name)), act.kind
        assert own.traces != ordinary.traces
    assert seen == {*PLANTED, *IN_DNS}


def test_what_is_weak_leaves_less_than_what_is_strong():
    marks = {}
    for strength in STRENGTHS:
        simulation = simulation_of(replace(LARGE, strengths=(strength,)))
        agents, written = set(), 0
        for act in simulation.acts:
            log = log_of(simulation, simulation.fleet.host(act.host), act.day)
            if act.kind == "beacon":
                agents |= {r.agent for r in log.traces.requests if r.agent.startswith("Mozilla/4")}
            if act.kind in ("miner", "lateral_movement", "java_worker"):
                # On its machines nothing is written to such places on an ordinary day.
                written += sum("/." in file.path for file in log.traces.files)
        marks[strength] = (agents, written)
    assert marks["weak"] == (set(), 0)
    assert marks["middle"][0]
    assert marks["strong"][0]
    assert 0 < marks["middle"][1] < marks["strong"][1]
