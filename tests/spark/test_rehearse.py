"""A policy tried on past nights chooses as those nights did."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from shoal.contracts import OUTLIERS
from shoal.contracts.scores import BESIDE_LANES
from shoal.hunt.feedback import Finding, record_verdicts
from shoal.lake import FolderLake, fetch_published, published_nights, rows_of
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.rehearse import rehearse


@pytest.fixture
def own(spark: SparkSession, windows_nights: Context, tmp_path: Path) -> Context:
    """Published nights of one's own."""
    shutil.copytree(str(windows_nights.warehouse.path), tmp_path / "tables")
    storage = windows_nights.settings.storage.model_copy(update={"path": str(tmp_path / "tables")})
    return open_context(spark, windows_nights.settings.model_copy(update={"storage": storage}))


def test_the_policy_that_there_was_chooses_what_was_chosen(own: Context) -> None:
    nights = published_nights(own.warehouse)
    lines = rows_of(fetch_published(own.warehouse, OUTLIERS, nights))
    among = [line for line in lines if line["lane"] not in BESIDE_LANES]
    first, last = among[0], among[-1]
    record_verdicts(
        FolderLake(str(own.warehouse.path)),
        [
            Finding(first["entity_id"], "malicious", "x", first["event_date"],
                    first["entity_type"]),
            Finding(last["entity_id"], "benign", "x", last["event_date"], last["entity_type"]),
        ],
        owner="ann",
    )  # fmt: skip
    own = open_context(own.spark, own.settings)
    short, by_night = rehearse(own, last=99).values()
    assert by_night["night"].tolist() == [night.event_date for night in nights]
    counts = Counter(line["event_date"] for line in among)
    for row in by_night.to_dict("records"):
        assert row["lines"] == row["published"] == row["in_both"] == counts[row["night"]]
        assert row["beside"] == row["beside_published"]
    assert len(among) > 1
    assert short["in_common"].tolist() == [1.0, 1.0]
    assert short["bad_listed"].tolist() == ["1 of 1"] * 2
    assert short["benign_listed"].tolist() == ["1 of 1"] * 2


def test_a_smaller_capacity_keeps_the_strangest(own: Context) -> None:
    short, by_night = rehearse(own, last=99, capacity=1).values()
    assert (by_night["lines"] <= 1).all()
    assert (by_night["in_both"] == by_night["lines"]).all()
    assert by_night["lines"].sum() > 0
    assert by_night["lines"].sum() < by_night["published"].sum()
    rehearsed, published = short.to_dict("records")
    assert 0 < rehearsed["in_common"] < published["in_common"] == 1
    last = rehearse(own, last=1).popitem()[1]
    assert last["night"].tolist() == by_night["night"].tolist()[-1:]
