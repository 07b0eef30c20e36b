"""What decides whether a new model may serve."""

import numpy as np
import pytest

from shoal.kernels.gate import (
    Judged,
    Measure,
    compare_judged,
    forgiven_entities,
    has_moved,
    objections,
    plant,
    without_forgiven,
)

ENTITIES = np.repeat([f"e{number:02d}" for number in range(40)], 5)
USUAL = np.tile(np.linspace(0.03, 1.0, 5), 40)
FOUND = np.full(50, 1e-4)


def judged(p_values=USUAL, planted=FOUND, clusters=None):
    labels = np.arange(200) % 3 if clusters is None else clusters
    return Judged(np.asarray(p_values), planted, labels)


def measures(champion, candidate, *, is_confirmed=None):
    nobody = np.zeros(200, dtype=bool)
    confirmed = nobody if is_confirmed is None else is_confirmed
    return compare_judged(ENTITIES, ~nobody, confirmed, champion, candidate)


def told(found):
    return {measure.name: (measure.champion, measure.candidate) for measure in found}


def test_the_same_model_is_no_worse():
    found = told(measures(judged(), judged()))
    assert found["entities"] == (40, None)
    assert found["alert rate"] == (0.2, 0.2)
    assert found["recall of planted anomalies"] == (1.0, 1.0)
    assert found["recall of confirmed ones"] == (None, None)
    assert found["entities forgiven"][1] == 0
    assert found["rank correlation of scores"][1] == pytest.approx(1.0)
    assert found["overlap of lists"][1] == found["Jaccard of matched clusters"][1] == 1.0
    assert objections(measures(judged(), judged())) == []


def test_numbers_of_clusters_mean_nothing():
    other = (np.arange(200) + 1) % 3
    assert told(measures(judged(), judged(clusters=other)))["Jaccard of matched clusters"][1] == 1.0


def test_an_entity_is_forgiven_if_most_of_its_strange_rows_are_ordinary():
    champion, candidate = np.ones(200), np.ones(200)
    champion[:10] = 1e-4
    candidate[:2], candidate[5:10] = 1e-4, 1e-4
    assert forgiven_entities(ENTITIES, champion, candidate).tolist() == ["e00"]
    # Neither strange nor ordinary is nothing to hold against it.
    assert forgiven_entities(ENTITIES, champion, np.full(200, 0.03)).size == 0


@pytest.mark.parametrize(
    ("n_forgiven", "is_kept_out"), [(2, False), (3, True), (8, True), (9, False), (40, False)]
)
def test_few_that_were_forgiven_may_have_taught_it_and_many_are_a_population(
    n_forgiven, is_kept_out
):
    strange = USUAL.copy()
    strange[: 5 * n_forgiven] = 1e-4
    found = measures(judged(strange), judged(np.full(200, 0.5)))
    assert any("may have learnt from them" in fault for fault in objections(found)) == is_kept_out
    assert has_moved(found) == (n_forgiven > 8)
    assert not any("learnt" in fault for fault in objections(without_forgiven(found, [found])))


@pytest.mark.parametrize(
    ("rates", "is_kept_out"), [((0.02, 0.09), False), ((0.02, 0.11), True), ((0.1, 0.14), False)]
)
def test_alarms_count_by_number_and_by_rise(rates, is_kept_out):
    found = [
        Measure("alert rate", *rates) if measure.name == "alert rate" else measure
        for measure in measures(judged(), judged())
    ]
    assert bool(objections(found)) == is_kept_out


def test_what_is_no_longer_found_keeps_out():
    half = np.where(np.arange(50) % 2, 1e-4, 0.5)
    [fault] = objections(measures(judged(), judged(planted=half)))
    assert fault == "recall of planted anomalies falls from 1.00 to 0.50"
    few = judged(planted=half[:20]), judged(planted=half[:20])
    assert told(measures(*few))["recall of planted anomalies"] == (None, None)
    is_confirmed = np.arange(200) == 7
    strange = np.where(is_confirmed, 1e-3, USUAL)
    [fault] = objections(measures(judged(strange), judged(), is_confirmed=is_confirmed))
    assert fault == "recall of confirmed ones falls from 1.00 to 0.00"


def test_plants_lie_beyond_all_others_in_a_few_features_that_vary():
    rng = np.random.default_rng(0)
    values = rng.normal(0.0, 1.0, (60, 6))
    values[:, 2] = 5.0
    values[::3, 4] = np.nan
    planted, places = plant(values, np.random.default_rng(1), n_rows=40, n_features=2)
    assert len(planted) == len(set(places.tolist())) == 40
    top, bottom = np.nanmax(values, axis=0), np.nanmin(values, axis=0)
    changed = ~np.isclose(planted, values[places], equal_nan=True)
    assert (changed.sum(axis=1) == 2).all()
    assert not changed[:, 2].any()
    for row, column in zip(*np.nonzero(changed), strict=True):
        expected = top[column] + 3.0 * (top[column] - bottom[column])
        assert planted[row, column] == pytest.approx(expected)
    nothing, _ = plant(np.ones((9, 2)), np.random.default_rng(1), n_rows=4, n_features=2)
    assert len(nothing) == 0
