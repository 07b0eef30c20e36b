"""`make drift`: planted changes of a fleet, and what the nights after them say, as a table.

One quiet fleet runs for four weeks; from there each change goes its own way with the same tables:
so all are judged by the same past. The quiet one goes on for a month more. Only defaults are used,
and nothing that judges a night knows of the change.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import yaml
from deltalake import DeltaTable
from detection import ROOT, configuration, markdown, shoal

START = date(2026, 9, 1)
FIRST = 28
"""Day of the changes, and of the first night that is not of the fleet that all share."""
CALM = ("none", "individuals", "unknown")
"""Verdicts that say nothing of the fleet: it has individuals on any night."""
MOST_FALSE = 1
"""Nights on which a verdict may be heard though nothing is to be told: of 60, or of a week."""
TABLES = ("drift_clusters", "drift_components", "drift_features", "drift_alert_rate")


@dataclass(frozen=True)
class Case:
    """A change, the nights run from its day on, and the verdict that it deserves.

    Attributes
    ----------
    change : as `shoal simulate --change` knows it, or none
    told : nights within which the verdict is to be heard
    """

    name: str
    change: str | None
    nights: int
    verdict: str
    told: int = 2


BASE = Case("base", None, FIRST, "none")
"""The weeks that all cases share."""
CASES = (
    Case("roll-out", "roll_out", 2, "population"),
    Case("role changed", "role_change", 2, "population"),
    Case("source silent", "silent_source", 2, "data"),
    Case("seconds to milliseconds", "unit_change", 2, "data"),
    Case("holiday, and the week after", "holiday", 8, "none", 8),
    Case("slow boil", "slow_boil", 28, "", 14),
    Case("quiet", None, 32, "none", 32),
)


def main() -> int:
    """Run the cases asked for and print their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=9501)
    parser.add_argument("--hosts", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--work", type=Path, default=ROOT / "warehouse/drift")
    asked = parser.parse_args()
    fleet = Fleet(asked.work / f"{asked.seed}-{asked.hosts}", asked.seed, asked.hosts)
    fleet.run_base()
    for case in CASES:
        if case.name in asked.only:
            fleet.run_case(case)
    cases = [case for case in CASES if case.name in asked.only]
    for text in fleet.tables(cases):
        print(f"{text}\n")
    return 0


@dataclass(frozen=True)
class Fleet:
    """A fleet in a folder: its first weeks, and what became of it case by case."""

    folder: Path
    seed: int
    hosts: int

    def run_base(self) -> None:
        """The weeks that all cases share; what has been run before is not run again."""
        self._run(BASE, 0)

    def run_case(self, case: Case) -> None:
        """Go on from there."""
        self._run(case, FIRST)

    def _run(self, case: Case, first: int) -> None:
        folder = self._folder(case)
        done = folder / "done"
        if done.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        conf, logs, until = folder / "fleet.yaml", folder / "logs", first + case.nights
        conf.write_text(yaml.safe_dump(configuration(folder, logs)), encoding="utf-8")
        change = ("--change", case.change, "--change-day", str(first)) if case.change else ()
        shoal(
            conf, "simulate", "--out", str(logs), "--seed", str(self.seed), "--hosts",
            str(self.hosts), "--days", str(until), "--from-day", str(first), "--start", str(START),
            "--no-planted", "--no-benign", *change,
        )  # fmt: skip
        if first:
            shutil.copytree(self._folder(BASE) / "tables", folder / "tables")
        else:
            shoal(conf, "tables", "apply")
        last = START + timedelta(days=until - 1)
        days = ("--start", str(START + timedelta(days=first)), "--end", str(last))
        shoal(conf, "nightly", *days)
        for raw in ("windows", "zeek"):
            shutil.rmtree(logs / raw, ignore_errors=True)
        done.touch()

    def _folder(self, case: Case) -> Path:
        return self.folder / case.name.replace(" ", "-").replace(",", "")

    def read(self, case: Case, table: str) -> pd.DataFrame:
        """Rows of a table of the published nights."""
        own = self._folder(case) / "tables"
        nights = DeltaTable(own / "nights").to_pandas(columns=["run_id", "state"])
        run_ids = nights.loc[nights["state"] == "published", "run_id"]
        rows = DeltaTable(own / table).to_pandas()
        return rows[rows["run_id"].isin(run_ids)]

    def tables(self, cases: Sequence[Case]) -> list[str]:
        """What was said of every case, and how often a table has raised a false alarm."""
        changes = [case for case in cases if case.verdict]
        texts = [
            markdown(
                ["change", "verdict deserved", "told", "verdicts by night"],
                [self._verdict_row(case) for case in changes],
            )
        ]
        if boiled := [case for case in cases if not case.verdict]:
            texts.append(
                markdown(
                    [
                        "slowly boiled",
                        "told first on night",
                        "nights told of 14",
                        "lanes",
                        "the same without it",
                    ],
                    [row for case in boiled for row in self._boiled_rows(case)],
                )
            )
        if quiet := [case for case in cases if case.verdict == "none"]:
            texts.append(
                markdown(
                    ["nights on which nothing is to be told", "nights", *TABLES, "verdicts"],
                    [self._alarm_row(case) for case in quiet],
                )
            )
        return texts

    def _verdicts(self, case: Case) -> dict[int, set[str]]:
        rates = self.read(case, "drift_alert_rate")
        rates = rates[rates["slice"] == "*"]
        found: dict[int, set[str]] = {}
        for day, verdict in zip(rates["event_date"], rates["verdict"], strict=True):
            found.setdefault((day - START).days - FIRST + 1, set()).add(verdict)
        return {night: verdicts for night, verdicts in sorted(found.items()) if night > 0}

    def _verdict_row(self, case: Case) -> list[str]:
        verdicts = self._verdicts(case)
        early = [verdicts.get(night, set()) for night in range(1, case.told + 1)]
        if case.verdict == "none":
            is_told = sum(not found <= set(CALM) for found in early) <= MOST_FALSE
        else:
            is_told = any(case.verdict in found for found in early)
        said = [f"{night}: {' and '.join(sorted(found - {'none', 'unknown'}))}" for night, found in
                verdicts.items() if found - {"none", "unknown"}]  # fmt: skip
        return [case.name, case.verdict, "yes" if is_told else "no", "; ".join(said) or "none"]

    def _boiled_rows(self, case: Case) -> list[list[str]]:
        """Nights of two weeks that each boiled machine, or its address, is on the list.

        Beside those of the same machine in the quiet fleet.
        """
        truth = pd.read_csv(self._folder(case) / "logs/truth.csv")
        quiet = next(other for other in CASES if other.change is None)
        rows = []
        for (host, address), _ in truth.groupby(["host", "source_address"]):
            boiled = self._listed(case, {host, address}, case.told)
            calm = "not run"
            if (self._folder(quiet) / "done").exists():
                calm = str(len(self._listed(quiet, {host, address}, case.told)))
            first = str(min(boiled, default="never"))
            lanes = ", ".join(sorted(set(boiled.values())))
            rows.append([host, first, str(len(boiled)), lanes, calm])
        return rows

    def _listed(self, case: Case, names: set[str], nights: int) -> dict[int, str]:
        lines = self.read(case, "outliers")
        own = lines[lines["entity_id"].isin(names)]
        numbers = [(day - START).days - FIRST + 1 for day in own["event_date"]]
        found = dict(zip(numbers, own["lane"], strict=True))
        return {night: lane for night, lane in sorted(found.items()) if 0 < night <= nights}

    def _alarm_row(self, case: Case) -> list[str]:
        """Alarms by entity type and night, of the nights before the case too where it is quiet."""
        since = START + timedelta(days=FIRST if case.change else 0)
        counts, nights = [], 0
        for table in TABLES:
            rows = self.read(case, table)
            rows = rows[rows["event_date"] >= since]
            alarms = rows[rows["status"] == "drift"]
            counts.append(str(alarms.groupby(["event_date", "entity_type"]).ngroups))
            nights = max(nights, rows["event_date"].nunique())
        rates = self.read(case, "drift_alert_rate")
        rates = rates[(rates["event_date"] >= since) & (rates["slice"] == "*")]
        wrong = rates[~rates["verdict"].isin(CALM)]
        return [case.name, str(nights), *counts, str(len(wrong))]


if __name__ == "__main__":
    sys.exit(main())
