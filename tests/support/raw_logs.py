"""Raw logs of a small network for every event table, always the same for a day and part.

Records are those of ``tests/data`` with other times, machines, people and values.
"""

import csv
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data"
ZEEK = ("conn", "dns", "http", "ssl", "ssh", "files", "dhcp")
MACHINES = 6
HOME = "10.0.0.1"
"""The one machine that calls home, every half hour."""
_PROGRAMS = ("cmd.exe", "chrome.exe", "powershell.exe", "a b.exe", "tool>x.exe", "svchost.exe")
_MAIL = {
    "table": "email",
    "columns": {
        "event_ts": "event_time",
        "email_sender": "sender",
        "email_reply_to": "reply_to",
        "email_recipient": "recipient",
        "user": "recipient",
        "url": "link",
        "is_failed": {"column": "accepted", "any_of": ["False"]},
    },
}


class RawLogs:
    """Folders of raw logs, one a source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for source in self.sources:
            (folder / source["name"]).mkdir(parents=True)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The section ``sources`` of settings."""
        kinds = ("zeek", "windows_json", "osquery", "tetragon")
        mail = {"kind": "mapped", "events": [_MAIL]}
        told: list[dict[str, Any]] = [{"kind": kind} for kind in kinds]
        return [
            {**source, "name": source["kind"], "paths": [str(self.folder / source["kind"])]}
            for source in (*told, mail)
        ]

    def write_day(self, day: date, part: str = "", rename: Callable[[str], str] = str) -> None:
        """Write some events of every source, a file a log; ``part`` makes them other ones."""
        texts = _texts(Random(f"{day}{part}"), day)
        for number, ((source, log, suffix), text) in enumerate(sorted(texts.items())):
            name = rename(f"{day}{part}-{number:02}")
            path = self.folder / source / f"{log}.{name}{suffix}"
            path.write_text(text, encoding="utf-8")


def _texts(rng: Random, day: date) -> dict[tuple[str, str, str], str]:
    """Text by source, log and suffix."""
    logs = {("zeek", log, ".log"): _zeek(rng, day, log) for log in ZEEK}
    return {
        **logs,
        ("windows_json", "events", ".jsonl"): _lines(_windows(rng, day)),
        ("osquery", "results", ".log"): _lines(_osquery(rng, day)),
        ("tetragon", "tetragon", ".log"): _lines(_tetragon(rng, day)),
        ("mapped", "mail", ".csv"): _mail(rng, day),
    }


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _records(path: str) -> list[dict[str, Any]]:
    lines = (DATA / path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _some_time(rng: Random, day: date) -> datetime:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    # Whole seconds: some events are at the same time.
    return start + timedelta(seconds=rng.randrange(86_400))


def _pool(rng: Random, day: date) -> int:
    """One of some numbers: low ones are common, and each day has some of its own."""
    return min(rng.randrange(9), rng.randrange(9)) + (day.day if rng.random() < 0.1 else 0)


def _machine(rng: Random) -> str:
    return f"ws{rng.randrange(MACHINES)}.example.com"


def _user(rng: Random) -> str:
    return f"user{rng.randrange(MACHINES)}"


def _address(rng: Random) -> str:
    return f"10.0.0.{rng.randrange(MACHINES)}"


def _zeek(rng: Random, day: date, log: str) -> str:
    """A log with the header and the kinds of rows of the sample."""
    sample = (DATA / "zeek" / f"{log}.10:00:00-11:00:00.log").read_text().splitlines()
    header = [line for line in sample if line.startswith("#") and not line.startswith("#close")]
    fields = next(line for line in header if line.startswith("#fields")).split("\t")[1:]
    usual = [dict(zip(fields, r.split("\t"), strict=True)) for r in sample if r[0] != "#"]
    rows = [{**rng.choice(usual), **_zeek_values(rng, day)} for _ in range(25)]
    if log in ("conn", "http"):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        home = {"id.orig_h": HOME, "id.resp_h": "203.0.113.200", "host": "home.example.net"}
        rows += [
            {**usual[0], **home, "ts": str((start + timedelta(minutes=30 * n)).timestamp())}
            for n in range(48)
        ]
    for number, row in enumerate(rows):
        row["uid"] = row["fuid"] = f"C{day:%j}{number}{rng.random()}"
    return "\n".join([*header, *("\t".join(row[f] for f in fields) for row in rows), ""])


def _zeek_values(rng: Random, day: date) -> dict[str, str]:
    source, peer = _address(rng), f"198.51.100.{_pool(rng, day)}"
    name = f"www.site{_pool(rng, day)}.com"
    return {
        "ts": f"{_some_time(rng, day).timestamp():.6f}",
        "id.orig_h": source,
        "id.resp_h": peer,
        "id.resp_p": rng.choice(["22", "80", "443", str(8000 + _pool(rng, day))]),
        "rx_hosts": source,
        "tx_hosts": peer,
        "orig_bytes": str(rng.randrange(10**6)),
        "duration": f"{rng.random() * 100:.6f}",
        "query": name,
        "host": name,
        "server_name": name,
        "uri": f"/{rng.random()}",
        "user_agent": f"agent/{_pool(rng, day)}",
        "mime_type": rng.choice(["text/html", "application/x-dosexec"]),
        "assigned_addr": source,
        "client_fqdn": _machine(rng),
    }


def _windows(rng: Random, day: date) -> list[dict[str, Any]]:
    """Records of every type of the sample, a connection and a logon, of every machine."""
    shapes = json.loads((DATA / "windows_shapes.json").read_text(encoding="utf-8"))
    [logon] = [shape["record"] for shape in shapes if shape["name"] == "cloud logon"]
    sysmon = {"Channel": "Microsoft-Windows-Sysmon/Operational"}
    connection = {
        **sysmon, "SourceName": "Microsoft-Windows-Sysmon", "EventID": 3, "SourceIp": "",
        "SourcePort": 50000, "DestinationIp": "", "DestinationPort": 443, "Protocol": "tcp",
        "Initiated": "true", "UtcTime": "", "User": "", "Image": "", "Hostname": "",
    }  # fmt: skip
    usual = [*_records("windows/flat.jsonl"), connection, logon]
    return [
        {**record, **_known(_windows_values(rng, day, host), record), "RecordNumber": number}
        for host in range(MACHINES)
        for number, record in enumerate(usual)
    ]


def _windows_values(rng: Random, day: date, host: int) -> dict[str, Any]:
    at = _some_time(rng, day)
    machine, user = f"WS{host}.example.com", _user(rng)
    return {
        "Hostname": machine,
        "Computer": machine,
        "@timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.900Z",
        "TimeGenerated": f"{at:%Y-%m-%dT%H:%M:%S}.33Z",
        "UtcTime": f"{at:%Y-%m-%d %H:%M:%S}.125",
        "User": f"EXAMPLE\\{user}",
        "TargetUserName": user,
        "SubjectUserName": user,
        "Image": f"C:\\Windows\\{rng.choice(_PROGRAMS)}",
        "ImageLoaded": f"C:\\Windows\\System32\\lib{_pool(rng, day)}.dll",
        "TargetFilename": f"C:\\Users\\{user}\\file{_pool(rng, day)}.exe",
        "QueryName": f"www.site{_pool(rng, day)}.com",
        "CommandLine": f"run {rng.random()}",
        "SourceIp": f"10.0.0.{host}",
        "DestinationIp": f"203.0.113.{_pool(rng, day)}",
        "IpAddress": rng.choice([_address(rng), f"203.0.113.{_pool(rng, day)}"]),
    }


def _known(values: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in record}


def _osquery(rng: Random, day: date) -> list[dict[str, Any]]:
    """Packages and open ports, found and changed."""
    usual = [
        record
        for record in _records("osquery/osqueryd.results.log")
        if "columns" in record and record["name"].endswith(("packages", "listening_ports"))
    ]
    found = []
    for record in (rng.choice(usual) for _ in range(20)):
        at = _some_time(rng, day)
        own = {"name": f"package{_pool(rng, day)}", "port": str(8000 + _pool(rng, day))}
        columns = {**record["columns"], **_known(own, record["columns"])}
        found.append(
            {
                **record,
                "hostIdentifier": _machine(rng),
                "calendarTime": f"{at:%a %b %d %H:%M:%S %Y} UTC",
                "unixTime": int(at.timestamp()),
                "columns": columns,
            }
        )
    return found


def _tetragon(rng: Random, day: date) -> list[dict[str, Any]]:
    """Every record of the sample, told by some node of a container that goes by its number."""
    found = []
    for record in _records("tetragon/tetragon.log"):
        kind = next(iter(record))
        own = record[kind]
        if isinstance(own, dict) and isinstance(own.get("process"), dict):
            own["process"]["docker"] = f"{_pool(rng, day):031x}"
            if kind == "process_kprobe" and "tcp" not in str(own.get("function_name")):
                own["function_name"] = f"sys_call{_pool(rng, day)}"
        at = _some_time(rng, day)
        found.append({**record, "node_name": _machine(rng), "time": f"{at:%Y-%m-%dT%H:%M:%S}.5Z"})
    return found


def _mail(rng: Random, day: date) -> str:
    rows = [["event_time", "sender", "reply_to", "recipient", "link", "accepted"]]
    for _ in range(20):
        sender = f"ann@company{_pool(rng, day)}.com"
        rows.append(
            [
                f"{_some_time(rng, day):%Y-%m-%dT%H:%M:%SZ}",
                sender,
                rng.choice([sender, "other@example.org"]),
                f"{_user(rng)}@example.com",
                rng.choice(["", f"https://www.link{_pool(rng, day)}.com/{rng.random()}"]),
                rng.choice(["True", "True", "False"]),
            ]
        )
    lines: list[str] = []
    writer = csv.writer(_Lines(lines))
    writer.writerows(rows)
    return "".join(lines)


class _Lines:
    """What a CSV writer writes to."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append
