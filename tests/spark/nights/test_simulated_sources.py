"""A simulated fleet with all its logs: every record is read."""

import gzip
from collections import Counter
from datetime import date
from pathlib import Path

from pyspark.sql import functions as F
from tests.support.nights import settings_for

from shoal.contracts import INGEST_FILES, QUARANTINE
from shoal.contracts.events import EVENT_TABLES
from shoal.pipelines.context import open_context
from shoal.pipelines.ingest import ingest
from shoal.simulate.write import Request, simulation_of, write_chunk
from shoal.spark.tables import Warehouse

REQUEST = Request(hosts=40, days=12, start=date(2026, 9, 1), seed=5, volume=0.1, sources="all")
DAY = 10
TABLES = {"dns": "dns", "http": "web", "ssl": "tls"}


def test_all_logs_of_a_fleet_become_events(warehouse: Warehouse, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    written = write_chunk(simulation_of(REQUEST), DAY, 0, logs)
    sources = [
        {"name": "windows", "kind": "windows_json", "paths": [str(logs / "windows")],
         "pattern": "*.jsonl.gz"},
        {"name": "zeek", "kind": "zeek", "paths": [str(logs / "zeek")], "pattern": "*.log.gz"},
    ]  # fmt: skip
    context = open_context(
        warehouse.spark, settings_for(Path(str(warehouse.path)), sources=sources)
    )
    ingest(context)
    rows = warehouse.read(INGEST_FILES).collect()
    assert len(rows) == 5
    assert sum(row.read_count for row in rows) == written
    for row in rows:
        assert row.read_count == row.event_count + row.duplicate_count + row.ignored_count
        assert row.ignored_count == 0
    assert warehouse.read(QUARANTINE).count() == 0
    for log, table in TABLES.items():
        with gzip.open(next(logs.rglob(f"{log}.*.gz")), "rt", encoding="utf-8") as file:
            lines = sum(not line.startswith("#") for line in file)
        assert warehouse.read(EVENT_TABLES[table]).count() == lines > 20
    actions = Counter(
        (row.name, row.event_action)
        for name in ("file", "auth")
        for row in warehouse.read(EVENT_TABLES[name])
        .select(F.lit(name).alias("name"), "event_action")
        .collect()
    )
    assert set(actions) == {
        ("file", None), ("file", "loaded"), ("auth", None), ("auth", "logged_off"),
        ("auth", "privileged"),
    }  # fmt: skip
