"""Published nights held against a truth, and the nights themselves in a row."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyspark.sql import functions as F
from tests.spark.conftest import WINDOWS_NIGHTS

from shoal.contracts import DRIFT_CLUSTERS, ENTITY_FEATURES, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.errors import DataError
from shoal.hunt.history import list_nights
from shoal.lake import published_nights
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.evaluate import TRUTH_COLUMNS, evaluate
from shoal.spark.nights import read_published
from shoal.spark.tables import Warehouse

LAST = WINDOWS_NIGHTS[1].isoformat()


def write_truth(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([TRUTH_COLUMNS, *rows])
    return path


def busiest_host(context: Context) -> str:
    """The host with most events on the last night. Of this few machines none is ever listed."""
    last = published_nights(context.warehouse)[-1:]
    rows = read_published(context.warehouse, ENTITY_FEATURES, last).where("entity_type = 'host'")
    row = rows.orderBy(F.col("event_count").desc(), "entity_id").first()
    assert row is not None
    return str(row["entity_id"])


def test_lists_are_held_against_the_truth_beside_rules(
    windows_nights: Context, tmp_path: Path
) -> None:
    truth = write_truth(
        tmp_path / "truth.csv",
        [
            (LAST, busiest_host(windows_nights), "", "beacon", "true", "middle", "beacon-00"),
            (LAST, "nobody", "", "miner", "true", "weak", "miner-00"),
            ("1999-01-01", "nobody", "", "miner", "true", "weak", "miner-01"),
        ],
    )
    tables = evaluate(windows_nights, truth, last=1)
    [methods] = [rows for title, rows in tables.items() if title.startswith("Lists of 1 nights")]
    methods = methods.set_index("method")
    assert methods.index.tolist() == [
        "shoal", "rare program or port", "event count", "isolation forest",
    ]  # fmt: skip
    recalls = methods[["recall_middle", "recall_weak", "recall_all"]]
    assert recalls.loc["shoal"].tolist() == [0.0, 0.0, 0.0]
    assert recalls.loc["event count"].tolist() == [1.0, 0.0, 0.5]
    stories = tables["Where each intrusion stands"].set_index("story")
    assert stories["listed"].to_dict() == {"beacon-00": 0, "miner-00": 0}
    assert tables["Where what only looks like one stands"].empty


def test_what_is_withheld_is_counted_by_why(windows_nights: Context, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "truth.csv", [])
    withheld = evaluate(windows_nights, truth, last=3)["Withheld from the list"]
    counted = dict(zip(withheld["reason"], withheld["entity_nights"], strict=True))
    nights = published_nights(windows_nights.warehouse)
    unscored = read_published(windows_nights.warehouse, UNSCORED, nights).count()
    scored = read_published(windows_nights.warehouse, ENTITY_SCORES, nights).count()
    strays = read_published(windows_nights.warehouse, OUTLIERS, nights).count()
    assert unscored
    assert sum(n for why, n in counted.items() if why.startswith("not scored")) == unscored
    # Every score may be listed here (p <= 1): what is not, had no room.
    crowded = sum(n for why, n in counted.items() if "no room" in why)
    assert crowded == scored - strays


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("event_date,host\n2020-09-14,h\n", "has no column source_address, kind, is_planted"),
        (",".join(TRUTH_COLUMNS) + "\nyesterday,h,a,k,true,weak,s\n", "event_date: Invalid iso"),
    ],
    ids=["missing", "columns", "date"],
)
def test_a_truth_that_can_not_be_used_says_why(
    windows_nights: Context, tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "truth.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        evaluate(windows_nights, path, last=1)


def test_without_a_published_night_there_is_nothing_to_tell(
    windows_nights: Context, warehouse: Warehouse, tmp_path: Path
) -> None:
    path = {"storage": windows_nights.settings.storage.model_copy(update={"path": warehouse.path})}
    empty = open_context(warehouse.spark, windows_nights.settings.model_copy(update=path), [])
    unpublished = "no night is published yet: run `shoal nightly`"
    with pytest.raises(DataError, match=unpublished):
        evaluate(empty, write_truth(tmp_path / "truth.csv", []), last=1)
    with pytest.raises(DataError, match=unpublished):
        list_nights(empty.warehouse, entity_types=["host"], last=3)


def test_nights_are_counted_from_their_tables(windows_nights: Context) -> None:
    every = list_nights(
        windows_nights.warehouse, entity_types=windows_nights.settings.entity_types, last=99
    )
    nights = published_nights(windows_nights.warehouse)
    assert [row["event_date"] for row in every] == [night.event_date for night in nights]
    kinds = windows_nights.settings.entity_types
    assert list_nights(windows_nights.warehouse, entity_types=kinds, last=1) == every[-1:]
    lists = read_published(windows_nights.warehouse, OUTLIERS, nights)
    for row, night in zip(every, nights, strict=True):
        own = lists.where((F.col("event_date") == night.event_date) & (F.col("lane") != "standing"))
        lines = own.collect()
        assert row["lines"] == len({line["rank"] for line in lines})
        news = {line["rank"] for line in lines if line["change"] in ("new", "raised")}
        assert row["news"] == len(news)
        assert row["by_chance"] == max((line["expected_by_chance"] for line in lines), default=0.0)
    assert any(row["lines"] for row in every)
    drift = read_published(windows_nights.warehouse, DRIFT_CLUSTERS, nights)
    is_wanted = (F.col("shape") == "overall") & (F.col("comparison") == "previous_night")
    overall = drift.where(is_wanted).collect()
    for row in every:
        own = {d["entity_type"]: d for d in overall if d["event_date"] == row["event_date"]}
        for kind in ("host", "user"):
            agreement = own[kind]["adjusted_rand"] if kind in own else None
            assert row[f"{kind}_rand"] == agreement
