"""A hunt as a hunter does it, every step by the command line."""

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.cells import cell_len
from tests.support.commands import shoal, shoal_here
from tests.support.equality import same
from tests.support.fleet import HOSTS, Fleet, sysmon
from tests.support.nights import made_warehouse, settings_for

from shoal.contracts import MODEL_STATUS, OUTLIERS
from shoal.contracts.events import EVENT_TABLES
from shoal.lake import FolderLake, fetch_published, published_nights, rows_of

FIRST = date(2024, 3, 4)
QUIET_NIGHTS = 4
TONIGHT = FIRST + timedelta(days=QUIET_NIGHTS)
TOMORROW = TONIGHT + timedelta(days=1)
INTRUDER, TOOL = "ws7.corp.local", "mimi<script>.exe"


class Hunt:
    """A fleet in which one host has a tool tonight and tomorrow, and its nights up to tonight."""

    def __init__(self, spark: SparkSession, empty_tables: Path, folder: Path) -> None:
        self.fleet = Fleet(folder)
        self.folder = folder
        for number in range(QUIET_NIGHTS + 2):
            day = FIRST + timedelta(days=number)
            self.fleet.write_day(day)
            if day >= TONIGHT:
                self.fleet.write(f"{day}-tool", tool_events(day))
        self.tables = folder / "tables"
        made_warehouse(empty_tables, settings_for(self.tables))
        self.here("nightly", "--start", str(FIRST), "--end", str(TONIGHT))

    def arguments(self, tables: Path | None = None) -> list[str]:
        """Options of every command; a list is long enough to have lines on quiet nights."""
        options = self.fleet.arguments(tables or self.tables)
        return [*options, "--set", "outliers.max_p_value=0.3"]

    def here(self, *command: str, tables: Path | None = None) -> str:
        """Run a command in the session there is."""
        code, said = shoal_here(*command, *self.arguments(tables))
        assert code == 0, said
        return said

    def say(self, *command: str, tables: Path | None = None) -> str:
        """What a hunter sees of a command: fits a terminal, and has no control character."""
        told = self.here(*command, tables=tables)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told)
        if "--format" not in command:
            assert max(map(cell_len, told.splitlines())) <= 80
        return told

    def lines(self, day: date, tables: Path | None = None, *options: str) -> list[dict[str, Any]]:
        """A night's list."""
        told = self.say("outliers", "--date", str(day), "--format", "json", *options, tables=tables)
        found: list[dict[str, Any]] = json.loads(told)
        return found


def tool_events(day: date) -> list[dict[str, object]]:
    """Launches of a tool, and its connections to a port and a network of its own."""
    events = []
    for number in range(12):
        at = datetime(day.year, day.month, day.day, 2, number, tzinfo=UTC)
        image = {"Image": f"C:\\Temp\\{TOOL}", "User": "CORP\\user7"}
        parent = {"ParentImage": "C:\\Windows\\System32\\cmd.exe", "CommandLine": f"{TOOL} =1+1"}
        events.append(sysmon(7, 1, at) | image | parent)
        events.append(
            sysmon(7, 3, at) | image
            | {"SourceIp": "10.0.0.7", "SourcePort": 50000 + number, "Protocol": "tcp",
               "DestinationIp": "203.0.113.9", "DestinationPort": 4444, "Initiated": "true"}
        )  # fmt: skip
    return events


@pytest.fixture(scope="module")
def hunt(spark: SparkSession, empty_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Hunt:
    return Hunt(spark, empty_tables, tmp_path_factory.mktemp("hunt"))


def test_from_the_list_to_the_raw_event_and_to_tomorrows_list(hunt: Hunt) -> None:
    # The list: the host is on it, and says why.
    told = hunt.say("outliers", "--date", str(TONIGHT))
    itself = shoal("outliers", "--date", str(TONIGHT), *hunt.arguments())
    assert (itself.stdout, itself.stderr) == (told, "")
    assert told.startswith(f"{TONIGHT}: {HOSTS} entity-days scored, ")
    assert re.search(rf"1\. {re.escape(INTRUDER)} +host", told)
    assert re.search(r" {5}- .* peers as high\)", told)
    [line] = [line for line in hunt.lines(TONIGHT) if line["entity_id"] == INTRUDER]
    assert (line["rank"], line["lane"], line["change"]) == (1, "stray", "new")

    # Explained: the same score, the reasons and what it did.
    told = hunt.say("explain", INTRUDER.upper(), "--date", str(TONIGHT))
    assert f"entity id: {INTRUDER}\n" in told
    found = json.loads(hunt.say("explain", INTRUDER, "--format", "json"))
    [explained] = found
    assert [reason["feature"] for reason in explained["reasons"]] == [
        reason["feature"] for reason in line["reasons"]
    ]
    assert any(TOOL in row["value"] for row in explained["activity"])

    # Its evidence: raw events, which stand in the file that they name.
    assert any(TOOL in item["value"] for item in line["evidence"])
    told = hunt.say("events", INTRUDER, "--dimension", "program", "--value", TOOL)
    assert f"process_command_line: {TOOL} =1+1\n" in told
    events = json.loads(hunt.say("events", INTRUDER, "--format", "json"))
    assert {event["kind"] for event in events} == {"process", "network"}
    for event in events:
        assert event["host_name"] == INTRUDER
        raw = Path(event["source_file"].removeprefix("file:")).read_text(encoding="utf-8")
        assert TOOL in raw or "p0" in raw
    timeline = hunt.say("timeline", INTRUDER)
    assert str(TONIGHT) in timeline

    # A verdict, and one on a name that is spelt wrong.
    code, said = shoal_here("verdict", "wss7.corp.local", "--is", "benign", "--why", "x",
                            *hunt.arguments())  # fmt: skip
    assert code == 3
    assert f"did you mean '{INTRUDER}'?" in said
    without = hunt.folder / "without"
    shutil.copytree(hunt.tables, without)
    said = hunt.say("verdict", INTRUDER, "--date", str(TONIGHT), "--is", "benign",
                    "--why", "a test of the red team")  # fmt: skip
    assert said == "1 verdict written\n"

    # Tomorrow the host does the same, and is told no more; without the verdict it would be.
    for tables in (hunt.tables, without):
        hunt.here("nightly", "--date", str(TOMORROW), tables=tables)
    [again] = [line for line in hunt.lines(TOMORROW, without) if line["entity_id"] == INTRUDER]
    assert (again["rank"], again["days_in_row"]) == (1, 2)
    assert INTRUDER not in {line["entity_id"] for line in hunt.lines(TOMORROW)}
    told = hunt.say("outliers", "--date", str(TOMORROW))
    assert "1 hidden by rules or verdicts, see --hidden" in " ".join(told.split())
    [hidden] = [
        line for line in hunt.lines(TOMORROW, None, "--hidden") if line["entity_id"] == INTRUDER
    ]
    [verdict] = json.loads(hunt.say("verdicts", "--format", "json"))
    assert hidden["suppressed_by"] == verdict["verdict_id"]
    assert hidden["verdict_shift"] < 0.0
    # The score is what it was: a verdict moves places, not measures.
    assert hidden["anomaly_score"] == pytest.approx(again["anomaly_score"])
    # The night's identity says that it heeded something; tonight is what it was.
    told_now, told_then = hunt.lines(TONIGHT), hunt.lines(TONIGHT, without)
    assert told_now[0].pop("verdict") == "benign"
    assert told_then[0].pop("verdict") is None
    assert told_now == told_then


def test_a_line_is_explained_the_same_after_refits_from_stored_rows_alone(
    hunt: Hunt, tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    shutil.copytree(hunt.tables, tables)
    for table in EVENT_TABLES.values():
        shutil.rmtree(tables / table.name)
    lake = FolderLake(str(tables))
    listed = {}
    for night in published_nights(lake):
        listed[night.event_date] = rows_of(fetch_published(lake, OUTLIERS, [night]))
    first = next(day for day, lines in listed.items() if lines)
    later = [
        change
        for change in rows_of(lake.fetch(MODEL_STATUS))
        if change["status"] == "promoted" and change["effective_date"] > first
    ]
    assert len(later) >= 2
    for line in listed[first]:
        told = hunt.say("explain", line["entity_id"], "--date", str(first), "--format", "json",
                        tables=tables)  # fmt: skip
        [found] = json.loads(told)
        assert found["model_version"] not in {change["model_version"] for change in later}
        assert same(found["reasons"], line["reasons"], 1e-9)


def test_who_is_just_under_the_line_is_told_on_request_with_reasons(hunt: Hunt) -> None:
    lines = hunt.lines(TONIGHT)
    with_gray = hunt.lines(TONIGHT, None, "--gray", "3")
    gray = with_gray[len(lines) :]
    assert with_gray[: len(lines)] == lines
    assert len(gray) == 3
    scores = [row["anomaly_score"] for row in gray]
    assert scores == sorted(scores, reverse=True)
    assert not {row["entity_id"] for row in gray} & {line["entity_id"] for line in lines}
    for row in gray:
        [explained] = json.loads(
            hunt.say("explain", row["entity_id"], "--date", str(TONIGHT), "--format", "json")
        )
        features = [reason["feature"] for reason in explained["reasons"]]
        assert [reason["feature"] for reason in row["reasons"]] == features
    told = hunt.say("outliers", "--date", str(TONIGHT), "--gray", "3")
    assert "\n\nJust under the line:\n\n" in told
