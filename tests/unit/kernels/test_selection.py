"""Selection: entities decide, the simpler wins a tie, and an attack chooses nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import DataError
from shoal.kernels.gaussians import Mixture
from shoal.kernels.selection import (
    Candidate,
    SelectionSettings,
    Trial,
    candidates,
    carries,
    choose,
    near_duplicates,
    select,
    selection_data,
    try_candidate,
)

SETTINGS = SelectionSettings(n_components=range(1, 13))


def entity_days(seed, n_entities=60, n_days=28, n_dimensions=4, k=3, spread=0.5):
    """Rows of entities in ``k`` shoals, each entity with a habit of its own, and its names."""
    rng = np.random.default_rng(seed)
    centers = 4.0 * np.eye(k, n_dimensions)
    habits = centers[np.arange(n_entities) % k] + spread * rng.normal(
        size=(n_entities, n_dimensions)
    )
    rows = np.repeat(habits, n_days, axis=0)
    names = np.repeat([f"host-{number:03}" for number in range(n_entities)], n_days)
    return rows + rng.normal(size=rows.shape), names


def chosen(verdicts):
    (found,) = [verdict for verdict in verdicts if verdict.is_chosen]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_three_shoals_of_entities_that_repeat_are_three_or_four_components(seed):
    rows, names = entity_days(seed)
    found = chosen(select(selection_data(rows, names, SETTINGS), SETTINGS))
    assert found.n_components in (3, 4)


def test_rows_as_entities_choose_more_components_than_there_are_shoals():
    """What the unit is for: the same rows, each taken for an entity of its own."""
    rows, names = entity_days(0, spread=1.0)
    settings = replace(SETTINGS, covariance_types=("spherical",), trim=0.0)
    by_entity = select(selection_data(rows, names, settings), settings)
    by_row = select(selection_data(rows, np.arange(len(rows)).astype(str), settings), settings)
    assert chosen(by_entity).n_components <= 4 < chosen(by_row).n_components


def test_neither_the_order_of_rows_nor_the_names_order_has_a_say():
    rows, names = entity_days(1)
    order = np.random.default_rng(0).permutation(len(rows))
    settings = replace(SETTINGS, n_components=(1, 2, 3))
    one = select(selection_data(rows, names, settings), settings)
    other = select(selection_data(rows[order], names[order], settings), settings)
    assert chosen(one).n_components == chosen(other).n_components
    np.testing.assert_allclose([v.held_out for v in one], [v.held_out for v in other], rtol=1e-6)


def test_a_tight_attack_gets_no_component_of_its_own():
    """On all rows BIC gives the attack one of its own (field notes)."""
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(940, 3)), rng.normal(5.0, 0.05, size=(60, 3))])
    names = np.arange(1000).astype(str)
    trimmed = chosen(select(selection_data(rows, names, SETTINGS), SETTINGS))
    assert trimmed.n_components == 1
    untrimmed = replace(SETTINGS, trim=0.0)
    by_bic = min(select(selection_data(rows, names, untrimmed), untrimmed), key=lambda v: v.bic)
    assert by_bic.n_components > 1


def test_simpler_covariances_stand_in_where_entities_are_few():
    rows, names = entity_days(0, n_entities=30)
    tried = {(c.n_components, c.covariance_type) for c in candidates_of(rows, names)}
    assert tried == {(1, "diag"), (1, "spherical"), (2, "diag"), (2, "spherical")}
    rows, names = entity_days(0, n_entities=9)
    assert {(c.n_components, c.covariance_type) for c in candidates_of(rows, names)} == {
        (1, "spherical")
    }


def candidates_of(rows, names):
    return candidates(selection_data(rows, names, SETTINGS), SETTINGS)


def test_ten_entities_carry_a_row_of_parameters():
    assert carries(40, 4, 1, "full")
    assert not carries(39, 4, 1, "full")
    assert carries(80, 4, 2, "full")
    assert not carries(79, 4, 2, "full")
    assert carries(40, 4, 4, "tied")
    assert carries(20, 4, 2, "diag")
    assert not carries(19, 4, 2, "diag")


def test_every_entity_is_held_out_once_and_its_rows_count_as_one():
    rows, names = entity_days(2, n_entities=31)
    data = selection_data(rows, names, SETTINGS)
    trials = [try_candidate(data, Candidate(2, "diag", seed), SETTINGS) for seed in range(3)]
    seen = np.isfinite([trial.held_out for trial in trials]).sum(axis=0)
    assert (seen == 1).all()
    mixture = Mixture(np.ones(1), np.zeros((1, 4)), np.ones((1, 4)), "diag")
    n_entities = [31 - np.isfinite(trial.held_out).sum() for trial in trials]
    one = [try_candidate(data, Candidate(1, "diag", seed), SETTINGS) for seed in range(3)]
    for trial, n in zip(one, n_entities, strict=True):
        assert trial.bic - trial.aic == pytest.approx(mixture.n_parameters() * (np.log(n) - 2.0))


def test_a_candidate_that_fails_is_told_and_stops_no_other():
    rows, names = entity_days(3)
    data = selection_data(rows, names, SETTINGS)
    trials = [
        try_candidate(data, Candidate(k, "diag", seed), SETTINGS) for k in (1, 2) for seed in (0, 1)
    ]
    broken = [replace(trials[-1], fault="it collapsed"), *trials[:-1]]
    verdicts = choose(broken)
    assert [verdict.is_chosen for verdict in verdicts] == [True, False]
    assert verdicts[1].reason == "no fit: it collapsed"
    with pytest.raises(DataError, match="no mixture can be fitted: it collapsed"):
        choose(broken[:1])


def trials_of(k, *, held_out=0.0, bic=0.0, is_stable=True, near_duplicates=0):
    """Three seeds of a candidate on thirty entities, each held out once."""
    rng = np.random.default_rng(k)
    noise = 0.1 * np.random.default_rng(0).normal(size=30)
    labels = np.arange(60) % k
    return [
        Trial(
            candidate=Candidate(k, "diag", seed), bic=bic, aic=0.0,
            held_out=np.where(np.arange(30) % 3 == seed, held_out + noise * (k > 2), np.nan),
            labels=labels if is_stable else rng.permutation(labels),
            outside_share=0.01, smallest_weight=1 / k,
            responsibility_entropy=0.0, near_duplicates=near_duplicates, is_converged=True,
            seconds=0.0,
        )
        for seed in range(3)
    ]  # fmt: skip


def test_of_a_tie_the_fewest_components_win_then_the_lowest_bic():
    assert chosen(choose(trials_of(2) + trials_of(3))).n_components == 2
    twins = [replace(t, bic=-9.0, candidate=replace(t.candidate, covariance_type="full"))
             for t in trials_of(2)]  # fmt: skip
    assert chosen(choose(trials_of(2) + twins)).covariance_type == "full"
    worse = choose(trials_of(2, held_out=-1.0) + trials_of(3))
    assert chosen(worse).n_components == 3
    assert worse[0].reason == "loses to 3 × diag"


@pytest.mark.parametrize("fault", [{"is_stable": False}, {"near_duplicates": 1}])
def test_components_of_chance_or_twice_the_same_lose_a_tie(fault):
    verdicts = choose(trials_of(2, **fault) + trials_of(3))
    assert chosen(verdicts).n_components == 3
    assert re.match("components differ between seeds|some components all but", verdicts[0].reason)
    # But where nothing better is at hand they are taken.
    assert chosen(choose(trials_of(2, **fault))).n_components == 2


def test_components_that_coincide_are_found():
    means = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0]])
    mixture = Mixture(np.full(3, 1 / 3), means, np.ones(3), "spherical")
    assert near_duplicates(mixture) == [(0, 1)]
    wide = Mixture(np.full(2, 0.5), means[:2], np.array([1.0, 9.0]), "spherical")
    assert near_duplicates(wide) == []


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy"])
def test_a_mixture_that_does_not_fit_is_said_to(draw):
    rng = np.random.default_rng(8)
    rows = getattr(rng, draw)(size=(600, 4))
    settings = replace(SETTINGS, n_components=(1,), covariance_types=("full",))
    data = selection_data(np.clip(rows, -50, 50), np.arange(600).astype(str), settings)
    [verdict] = select(data, settings)
    assert ("does not fit" in verdict.reason) == (draw == "standard_cauchy")
    if draw == "normal":
        assert 0.003 < verdict.outside_share < 0.03
    else:
        assert verdict.outside_share > 0.1
