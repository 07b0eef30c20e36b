"""Verdicts and rules: kept whole, named when wrong, and heeded by the lists."""

import csv
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from pyspark.sql import DataFrame
from tests.support.commands import shoal

from shoal.contracts import ENTITY_FEATURES, OUTLIERS, SUPPRESSIONS
from shoal.errors import DataError, UsageError
from shoal.hunt.feedback import (
    Finding,
    make_suppression,
    preview,
    read_findings,
    record_suppression,
    record_verdicts,
    told_suppressions,
    told_verdicts,
)
from shoal.hunt.lists import list_outliers
from shoal.lake import FolderLake, Lake, fetch_published, published_nights, rows_of
from shoal.models.verdicts import Verdict
from shoal.pipelines import fit
from shoal.pipelines.context import Context

HOSTILE = "=cmd()|\x1b[31m<script>\u202e"


@pytest.fixture
def lake(windows_nights: Context, tmp_path: Path) -> FolderLake:
    """Published nights of one's own."""
    shutil.copytree(str(windows_nights.warehouse.path), tmp_path / "tables")
    return FolderLake(str(tmp_path / "tables"))


def line_of(lake: Lake) -> dict[str, object]:
    return list_outliers(lake, None).lines[0]


def finding_of(line: dict[str, object], verdict: str = "benign", reason: str = "known") -> Finding:
    return Finding(
        str(line["entity_id"]),
        verdict,
        reason,
        line["event_date"],
        str(line["entity_type"]),  # type: ignore[arg-type]
    )


def test_a_verdict_is_kept_with_who_and_why_and_only_once(lake: FolderLake) -> None:
    line = line_of(lake)
    [name] = record_verdicts(lake, [finding_of(line, reason=HOSTILE)], owner="ann")
    assert record_verdicts(lake, [finding_of(line, reason=HOSTILE)], owner="ann") == []
    [kept] = told_verdicts(lake)
    assert kept["verdict_id"] == name
    assert (kept["owner"], kept["reason"], kept["verdict"]) == ("ann", HOSTILE, "benign")
    assert (kept["entity_id"], kept["event_date"]) == (line["entity_id"], line["event_date"])
    last = published_nights(lake)[-1].event_date
    assert kept["effective_date"] == last + timedelta(days=1)
    assert told_verdicts(lake, since=last + timedelta(days=1)) == []


def test_of_a_file_all_is_written_or_nothing(lake: FolderLake, tmp_path: Path) -> None:
    night = published_nights(lake)[-1]
    entities = rows_of(
        fetch_published(lake, ENTITY_FEATURES, [night], ["entity_type", "entity_id"])
    )
    path = tmp_path / "verdicts.csv"

    def write(*names: str) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["entity_id", "entity_type", "event_date", "verdict", "reason"])
            for row, name in zip(entities, names, strict=False):
                writer.writerow([name, row["entity_type"], night.event_date, "malicious", HOSTILE])

    known = [row["entity_id"] for row in entities]
    write(*known[:2], f"{known[2]}x")
    with pytest.raises(DataError, match=r"3: no entity .* did you mean .*nothing was written"):
        record_verdicts(lake, read_findings(path), owner="ann")
    assert told_verdicts(lake) == []
    write(*known)
    assert len(record_verdicts(lake, read_findings(path), owner="ann")) == len(known)
    assert {row["entity_id"] for row in told_verdicts(lake)} == set(known)
    path.write_text("entity_id,verdict\nx,benign\n")
    with pytest.raises(DataError, match="has no column event_date, reason; it needs"):
        read_findings(path)
    path.write_text("entity_id,event_date,verdict,reason\nx,yesterday,benign,y\n")
    with pytest.raises(DataError, match=r"line 2: .*'yesterday'"):
        read_findings(path)


@pytest.mark.parametrize(
    ("finding", "told"),
    [
        (Finding("x", "bening", "y"), "'bening' is not one of .*did you mean 'benign'"),
        (Finding("x", "benign", "y", scope="al"), "scope 'al' is not one of day, entity, pattern"),
        (Finding("x", "benign", " "), "needs a reason"),
        (Finding("x", "benign", "y", date(1999, 1, 1)), "1999-01-01 is not published; nearest: 2"),
    ],
)
def test_what_is_wrong_with_a_verdict_is_said(
    lake: FolderLake, finding: Finding, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        record_verdicts(lake, [finding], owner="ann")


def test_several_at_once_lose_nothing(lake: FolderLake, tmp_path: Path) -> None:
    line = line_of(lake)
    conf = tmp_path / "conf.yaml"
    conf.write_text(yaml.safe_dump({"storage": {"path": lake.path}}))

    def say(number: int) -> str:
        return shoal(
            "verdict", str(line["entity_id"]), "--type", str(line["entity_type"]),
            "--date", str(line["event_date"]), "--is", "suspicious", "--why", f"reason {number}",
            "--conf", str(conf),
        ).stdout  # fmt: skip

    with ThreadPoolExecutor(max_workers=4) as pool:
        said = list(pool.map(say, range(4)))
    assert said == ["1 verdict written\n"] * 4
    told = json.loads(shoal("verdicts", "--format", "json", "--conf", str(conf)).stdout)
    assert sorted(row["reason"] for row in told) == [f"reason {number}" for number in range(4)]


def test_a_rule_hides_lines_of_all_nights_and_says_how_many(lake: FolderLake) -> None:
    nights = published_nights(lake)
    lines = rows_of(fetch_published(lake, OUTLIERS, nights))
    line = line_of(lake)
    kind, feature = str(line["entity_type"]), line["reasons"][0]["feature"]  # type: ignore[index]
    of_type = [row for row in lines if row["entity_type"] == kind]
    expected = [row for row in of_type if row["reasons"][0]["feature"] == feature]
    record_verdicts(lake, [finding_of(line, "malicious")], owner="ann")
    rule = make_suppression(
        lake, entity_type=kind, scope="feature", pattern=feature, reason="a rollout",
        owner="ann", until=date(2030, 1, 1),
    )  # fmt: skip
    seen = preview(lake, rule)
    assert (seen.nights, seen.lines, seen.hidden) == (len(nights), len(of_type), len(expected))
    assert seen.confirmed_bad == 1
    assert not len(lake.fetch(SUPPRESSIONS))
    assert record_suppression(lake, rule)
    again = FolderLake(lake.path)
    assert not record_suppression(again, rule)

    before, after = list_outliers(lake, None, with_hidden=True), list_outliers(again, None)
    hidden = [row for row in before.lines if row["suppressed_by"] == rule.suppression_id]
    assert {row["entity_id"] for row in hidden} == {
        row["entity_id"] for row in expected if row["event_date"] == nights[-1].event_date
    }
    assert [row for row in before.lines if row not in hidden] == list(after.lines)
    assert after.hidden == len(hidden)
    assert after.total + after.hidden == before.total
    # Nothing is gone from the table.
    assert len(fetch_published(again, OUTLIERS, nights)) == len(lines)
    [told] = told_suppressions(again)
    assert told["state"] == ("broad" if seen.is_broad else "in force")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"pattern": "**"}, "would hide everything"),
        ({"scope": "entiti"}, "scope 'entiti' is not one of .* did you mean 'entity'"),
        ({"reason": ""}, "needs a reason"),
        ({"until": date(2020, 9, 1)}, "ends on 2020-09-01, before its first night"),
    ],
)
def test_a_rule_that_makes_no_sense_is_none(
    lake: FolderLake, wanted: dict[str, object], told: str
) -> None:
    facts: dict[str, object] = {
        "entity_type": "host", "scope": "entity", "pattern": "a*", "reason": "x", "owner": "ann",
        "until": date(2030, 1, 1), **wanted,
    }  # fmt: skip
    with pytest.raises(UsageError, match=told):
        make_suppression(lake, **facts)  # type: ignore[arg-type]


def test_a_rule_without_use_and_one_that_is_over_are_told(lake: FolderLake) -> None:
    first = published_nights(lake)[-1].event_date + timedelta(days=1)
    for pattern, until in (("nobody*", date(2030, 1, 1)), ("other*", first + timedelta(days=1))):
        rule = make_suppression(
            lake, entity_type="host", scope="entity", pattern=pattern, reason="x", owner="ann",
            until=until,
        )  # fmt: skip
        assert record_suppression(lake, rule)
        lake = FolderLake(lake.path)
    past = {**vars(rule), "suppression_id": "old", "pattern": "old*", "expiry_date": first}
    lake.append_rows(SUPPRESSIONS, [past])
    states = {row["pattern"]: row["state"] for row in told_suppressions(lake)}
    assert states == {"nobody*": "stale", "other*": "stale", "old*": "over"}


def test_models_learn_from_no_day_that_was_found_malicious(
    windows_nights: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = published_nights(windows_nights.warehouse)
    taught: list[set[tuple[date, str]]] = []

    def fit_models(rows: DataFrame, _: object) -> None:
        taught.append({(row["event_date"], row["entity_id"]) for row in rows.collect()})

    monkeypatch.setattr(fit, "fit_models", fit_models)
    fit._fit_on(windows_nights, nights, "host", [])
    [every] = taught
    day, name = sorted(every)[0]
    bad = Verdict("v", day, "host", name, "malicious", "day", None, None, None, day, None)
    of_a_user = Verdict("v", day, "user", name, "malicious", "day", None, None, None, day, None)
    fit._fit_on(windows_nights, nights, "host", [bad, of_a_user])
    assert taught[1] == every - {(day, name)}
