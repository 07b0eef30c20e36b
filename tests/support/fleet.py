"""A small fleet's raw logs, always the same for a day."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from tests.support.commands import overrides
from tests.support.nights import QUICK

HOSTS = 24
CONF = "conf/local.yaml"


class Fleet:
    """A small fleet's raw logs, and the arguments to run its nights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)

    def write_day(self, day: date, hosts: Sequence[int] = range(HOSTS), name: str = "") -> None:
        """Write one day of Sysmon process and network events of some hosts."""
        lines: list[dict[str, object]] = []
        for host in hosts:
            for number in range(8 + (host * 7 + day.toordinal()) % 5):
                at = datetime(day.year, day.month, day.day, number, host, tzinfo=UTC)
                lines += [_process(host, number, at), _connection(host, number, at)]
        self.write(name or str(day), lines)

    def write(self, name: str, events: Sequence[Mapping[str, object]]) -> None:
        """Write a file of events."""
        text = "".join(f"{json.dumps(event)}\n" for event in events)
        (self.logs / f"{name}.jsonl").write_text(text, encoding="utf-8")

    def options(self, warehouse: Path) -> list[str]:
        """Settings of a warehouse, for ``--set``."""
        source = f"[{{name: fleet, kind: windows_json, paths: ['{self.logs}']}}]"
        return [
            f"storage.path={warehouse}",
            f"sources={source}",
            "entities=[host]",
            "spark.master=local[2]",
            "spark.shuffle_partitions=1",
            "fit.every_days=1",
            "fit.n_components=2",
            "log.format=json",
            f"spark.conf={json.dumps(QUICK['conf'])}",
        ]

    def arguments(self, warehouse: Path) -> list[str]:
        """Options of every command on a warehouse."""
        return ["--conf", CONF, *overrides(self.options(warehouse))]


def _process(host: int, number: int, at: datetime) -> dict[str, object]:
    return {
        **sysmon(host, 1, at),
        "Image": f"C:\\Windows\\p{(host + number) % 6}.exe",
        "ParentImage": "C:\\Windows\\explorer.exe",
        "CommandLine": f"p{number} -x {host}",
        "User": f"CORP\\user{host % 8}",
    }


def _connection(host: int, number: int, at: datetime) -> dict[str, object]:
    return {
        **sysmon(host, 3, at),
        "Image": "C:\\Windows\\agent.exe",
        "SourceIp": f"10.0.0.{host}",
        "SourcePort": 50000 + number,
        "DestinationIp": f"10.1.{number % 3}.{host % 9}",
        "DestinationPort": 443 if number % 3 else 8080,
        "Protocol": "tcp",
        "Initiated": "true",
        "User": f"CORP\\user{host % 8}",
    }


def sysmon(host: int, code: int, at: datetime) -> dict[str, object]:
    """What every event of Sysmon has: here of one host."""
    return {
        "EventID": code,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": f"ws{host}.corp.local",
        "UtcTime": at.strftime("%Y-%m-%d %H:%M:%S.000"),
        "RecordNumber": at.minute,
    }
