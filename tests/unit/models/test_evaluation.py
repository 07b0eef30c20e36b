"""Lists held against the truth, on lists small enough to count by hand."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shoal.contracts.scores import MICROCLUSTER, STRAY
from shoal.models import evaluation as ev

FIRST = date(2026, 9, 15)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def act(
    number: int, host: str, kind: str, *, strength: str = "", story: str = ""
) -> dict[str, Any]:
    return {
        "event_date": day(number),
        "host": host,
        "source_address": f"10.0.0.{host[1:]}",
        "kind": kind,
        "is_planted": bool(strength),
        "strength": strength,
        "story": story or f"{kind}-00",
    }


TRUTH = pd.DataFrame(
    [
        act(0, "h1", "beacon", strength="weak"),
        act(1, "h1", "beacon", strength="weak"),
        act(1, "h2", "miner", strength="middle"),
        act(2, "h3", "group", strength="middle"),
        act(2, "h4", "group", strength="middle"),
        act(2, "h5", "patch_night"),
        act(2, "h6", "patch_night"),
    ]
)


def lines_of(rows: Sequence[tuple[int, int, str, str, str]]) -> pd.DataFrame:
    names = ["number", "line", "entity_type", "entity_id", "lane"]
    lines = pd.DataFrame(rows, columns=names)
    return lines.assign(
        event_date=[day(number) for number in lines["number"]],
        slice="all",
        change=["new" if number else "unchanged" for number in lines["number"]],
        expected_by_chance=lines["line"] * 0.5,
    )


LINES = lines_of(
    [
        (0, 1, "host", "h9", STRAY),
        (1, 1, "source_address", "10.0.0.1", STRAY),
        (1, 2, "host", "h1", STRAY),
        (2, 1, "host", "h3", MICROCLUSTER),
        (2, 1, "host", "h4", MICROCLUSTER),
        (2, 2, "host", "h5", STRAY),
    ]
)


def test_a_machine_is_found_by_its_name_or_its_address_and_counts_once() -> None:
    hits = ev.compare_lists(LINES, TRUTH)
    assert hits.truth["is_listed"].tolist() == [False, True, False, True, True, True, False]
    assert hits.recall() == pytest.approx(3 / 5)
    assert hits.recall("middle") == pytest.approx(2 / 3)
    assert hits.recall("weak") == pytest.approx(1 / 2)


def test_a_group_is_one_line_of_the_list() -> None:
    hits = ev.compare_lists(LINES, TRUTH)
    assert len(hits.lines) == 5
    assert hits.precision == pytest.approx(3 / 5)
    assert hits.benign_share == pytest.approx(1 / 5)


def test_a_line_that_is_both_is_an_intrusion() -> None:
    both = pd.concat([TRUTH, pd.DataFrame([act(2, "h5", "beacon", strength="weak")])])
    hits = ev.compare_lists(LINES, both)
    assert (hits.precision, hits.benign_share) == (pytest.approx(4 / 5), 0.0)


def test_without_anything_planted_all_tables_are_there_and_empty() -> None:
    hits = ev.compare_lists(LINES, TRUTH.head(0).astype(object))
    assert np.isnan(hits.recall("weak"))
    assert (hits.precision, hits.benign_share) == (0.0, 0.0)
    assert ev.by_kind(hits).empty
    assert ev.stories(hits, LINES, scores_of([(0, "host", "h1", 0.2)])).empty


def scores_of(rows: Sequence[tuple[int, str, str, float]], slice_name: str = "s") -> pd.DataFrame:
    scores = pd.DataFrame(rows, columns=["number", "entity_type", "entity_id", "p_value"])
    return scores.assign(event_date=[day(n) for n in scores["number"]], slice=slice_name)


def test_where_each_story_stands() -> None:
    scores = scores_of(
        [
            (0, "host", "h1", 0.2),
            (1, "host", "h1", 0.03),
            (1, "source_address", "10.0.0.1", 0.01),
            (1, "host", "h2", 0.4),
        ]
    )
    found = ev.stories(ev.compare_lists(LINES, TRUTH), LINES, scores).set_index("story")
    assert found.index.tolist() == ["beacon-00", "group-00", "miner-00", "patch_night-00"]
    assert found["is_planted"].tolist() == [True, True, True, False]
    beacon, miner = found.loc["beacon-00"], found.loc["miner-00"]
    assert (beacon["host_nights"], beacon["listed"], beacon["told_after"]) == (2, 1, 1)
    assert (beacon["best_rank"], beacon["lowest_p"]) == (1, 0.01)
    assert (miner["listed"], miner["lowest_p"]) == (0, 0.4)
    assert pd.isna(miner["told_after"])
    assert pd.isna(miner["best_rank"])
    assert found.loc["group-00", "told_after"] == 0


def test_use_of_the_list() -> None:
    [use] = ev.usefulness(LINES).to_dict("records")
    assert use == {
        "nights": 3,
        "lines": 5,
        "by_chance_alone": 0.5 + 1.0 + 1.0,
        "different_entities": 6,
        "news": 4,
        "groups": 1,
    }


def test_small_slices_are_held_against_chance() -> None:
    few = scores_of([(n, "host", f"f{i}", 0.5) for n in range(2) for i in range(4)], "few")
    many = scores_of([(n, "host", f"m{i}", 0.5) for n in range(2) for i in range(96)], "many")
    lines = lines_of([(0, i, "host", f"f{i}", STRAY) for i in range(3)]).assign(slice="few")
    [row] = ev.small_slices(lines, pd.concat([few, many])).to_dict("records")
    assert (row["slice"], row["entities"]) == ("host, few", 4)
    assert (row["share_of_entities"], row["share_of_lines"]) == (pytest.approx(0.04), 1.0)
    assert row["chance"] == pytest.approx(0.04**3)


def test_calibration_counts_what_is_at_or_below_each_level() -> None:
    p_values = np.arange(1, 1001) / 1000
    scores = scores_of([(0, "host", f"h{i}", p) for i, p in enumerate(p_values)])
    found = ev.calibration(scores).set_index("group")
    assert found.index.tolist() == ["all", "host", "host, s"]
    for group in found.index:
        assert found.loc[group, ["p<=0.05", "p<=0.01", "p<=0.001"]].tolist() == [0.05, 0.01, 0.001]


def test_rules_list_the_highest_of_each_night_ties_by_name() -> None:
    scores = pd.DataFrame(
        [(day(0), "host", name, score) for name, score in [("b", 2), ("a", 2), ("c", 9), ("d", 0)]]
        + [(day(1), "host", "d", 1)],
        columns=["event_date", "entity_type", "entity_id", "score"],
    )
    top = ev.top_lines(scores, 2)
    assert list(zip(top["event_date"], top["line"], top["entity_id"], strict=True)) == [
        (day(0), 1, "c"),
        (day(0), 2, "a"),
        (day(1), 1, "d"),
    ]


def test_a_forest_scores_nights_by_those_before_them_whatever_the_order_of_nights() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (day(n), "host", f"h{i}", *rng.normal(9.0 if (n, i) == (5, 3) else 0.0, 1.0, 2))
        for n in range(6)
        for i in range(40)
    ]
    features = pd.DataFrame(rows, columns=["event_date", "entity_type", "entity_id", "x", "y"])
    scores = ev.forest_scores(features, ["x", "y"], [day(4), day(5)])
    assert sorted(set(scores["event_date"])) == [day(4), day(5)]
    strangest = scores.sort_values("score").iloc[-1]
    assert (strangest["event_date"], strangest["entity_id"]) == (day(5), "h3")
    assert ev.forest_scores(features, ["x", "y"], [day(0)]).empty
