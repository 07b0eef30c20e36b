"""The gate: what it keeps out, and what it lets through, on fits of made fleets."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from tests.support.fits import FIT_SETTINGS, stored_model

from shoal.kernels.peer_fit import build_week_references, cross_fit_scores, fit_sample
from shoal.models.gate import GateRows, open_gate
from shoal.models.peer_models import PeerModels, peer_model

FIRST = date(2026, 3, 2)
NAMES = ("a", "b", "c", "d")
SLICES = ("db", "pc", "web")
ENTITIES = np.asarray([f"host-{number:02d}" for number in range(90)])
SLICE_OF = np.repeat(SLICES, 30)
POISON = np.array([9.0, -9.0, 0.0, 9.0])


def night(day: int, strayed: np.ndarray) -> np.ndarray:
    """Rows of all entities; those that strayed lie far out, all in one place."""
    rng = np.random.default_rng(day)
    middles = np.repeat([[0.0] * 4, [6.0, 0.0, 0.0, 0.0], [0.0, 6.0, 0.0, 0.0]], 30, axis=0)
    rows = middles + rng.normal(size=(90, 4))
    return np.where(strayed[:, np.newaxis], POISON + rng.normal(0.0, 0.5, (90, 4)), rows)


def frame(first: int, last: int, strayed: np.ndarray, *, since: int = 14) -> pd.DataFrame:
    nobody = np.zeros(90, bool)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "entity_id": ENTITIES,
                    "event_date": FIRST + timedelta(days=day),
                    "slice": SLICE_OF,
                    "features": list(night(day, strayed if day >= since else nobody)),
                    "terms": None,
                    "counts": None,
                }
            )
            for day in range(first, last)
        ],
        ignore_index=True,
    )


def fitted(rows: pd.DataFrame, version: str) -> PeerModels:
    values = np.stack(rows["features"].to_list())
    groups = rows["entity_id"].to_numpy(dtype=str)
    found = fit_sample(
        values, groups, feature_names=NAMES, is_count=np.zeros(4, dtype=bool),
        settings=FIT_SETTINGS,
    )  # fmt: skip
    scores = cross_fit_scores(values, groups, found.cross_fit)
    is_weekend = np.asarray([day.weekday() >= 5 for day in rows["event_date"]])
    row = stored_model(found.geometry, build_week_references(scores, is_weekend))
    return PeerModels.of([peer_model(row | {"model_version": version})])


NOBODY = np.zeros(90, bool)


@pytest.fixture(scope="module", name="champion")
def fixture_champion() -> PeerModels:
    return fitted(frame(0, 14, NOBODY), "champion")


def gate_of(champion, candidate, rows, **asked):
    known = GateRows(rows, NAMES, FIRST + timedelta(days=13))
    return open_gate(known, champion, candidate, entity_type="host", **asked)


def some(*entities: int) -> np.ndarray:
    return np.isin(np.arange(90), entities)


def test_a_candidate_that_is_no_worse_is_let_through(champion):
    rows = frame(7, 28, NOBODY)
    gate = gate_of(champion, fitted(rows, "candidate"), rows)
    assert not gate.objections
    known = {(name, measure): values for name, measure, *values in gate.rows()}
    assert known["*", "entities"][0] == 90
    assert min(known["*", "recall of planted anomalies"]) > 0.95
    assert known["*", "rank correlation of scores"][1] > 0.5
    assert known["pc", "entities"][0] == 30


def test_one_that_learnt_from_those_who_stray_is_kept_out(champion):
    strayed = some(*range(0, 90, 6))
    rows = frame(7, 28, strayed)
    gate = gate_of(champion, fitted(rows, "poisoned"), rows)
    assert sorted(gate.objections) == list(SLICES)
    assert "pc: 5 of 30 entities that were strange are ordinary to it" in gate.in_words()
    # The same attack, and a model that has not learnt it.
    assert not gate_of(champion, champion, rows).objections


def test_where_one_slice_is_poisoned_only_that_one_is_kept_out(champion):
    rows = frame(7, 28, some(*range(30, 36)))
    gate = gate_of(champion, fitted(rows, "poisoned"), rows)
    assert list(gate.objections) == ["pc"]
    assert gate.in_words().startswith("pc: 6 of 30 entities")


def test_a_slice_that_moved_as_a_whole_is_learnt(champion):
    rows = frame(7, 28, SLICE_OF == "web")
    assert not gate_of(champion, fitted(rows, "moved"), rows).objections


def test_half_of_the_data_missing_keeps_out(champion):
    rows = frame(7, 28, NOBODY)
    is_recent = rows["event_date"] >= FIRST + timedelta(days=14)
    fewer = rows[~is_recent | (rows["entity_id"] < "host-45")]
    gate = gate_of(champion, fitted(fewer, "fewer"), fewer)
    assert "recent nights have 45 entities, those before them 90" in gate.in_words()
    holes = rows.copy()
    values = np.stack(rows["features"].to_list())
    values[is_recent & (np.arange(len(rows)) % 2 == 0), 2] = np.nan
    holes["features"] = list(values)
    gate = gate_of(champion, fitted(holes, "holes"), holes)
    assert "c is known of 50% of the recent rows only" in gate.in_words()


def test_who_was_found_malicious_must_stay_found(champion):
    rows = frame(7, 28, some(3), since=27)
    confirmed = {("host-03", FIRST + timedelta(days=27))}
    blind = fitted(frame(7, 28, some(*range(0, 90, 6))), "blind")
    gate = gate_of(champion, blind, rows, confirmed=confirmed)
    assert "recall of confirmed ones falls from 1.00 to 0.00" in gate.in_words()
    assert not gate_of(champion, champion, rows, confirmed=confirmed).objections


def test_one_that_alarms_all_the_time_or_finds_nothing_is_kept_out(champion):
    rows = frame(7, 28, NOBODY)
    narrow = fitted(frame(7, 28, NOBODY).assign(
        features=list(0.3 * np.stack(rows["features"].to_list()))), "narrow")  # fmt: skip
    words = gate_of(champion, narrow, rows).in_words()
    assert "of rows alarm, of the champion" in words
    wide = fitted(frame(7, 28, NOBODY).assign(
        features=list(20.0 * np.stack(rows["features"].to_list()))), "wide")  # fmt: skip
    words = gate_of(champion, wide, rows).in_words()
    assert "recall of planted anomalies falls from" in words


def test_the_order_of_the_rows_has_no_say(champion):
    rows = frame(7, 28, some(*range(30, 36)))
    candidate = fitted(rows, "poisoned")
    one = gate_of(champion, candidate, rows)
    other = gate_of(champion, candidate, rows.sample(frac=1.0, random_state=3))
    assert one.rows() == other.rows()
    assert one.objections == other.objections
