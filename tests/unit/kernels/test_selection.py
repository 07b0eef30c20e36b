"""Selection: entities decide, the simpler wins a tie, and an attack chooses nothing."""

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import DataError
from shoal.kernels.gaussians import Mixture
from shoal.kernels.selection import (
    Candidate,
    SelectionSettings,
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


def test_unstable_components_lose_to_stable_ones():
    rows, names = entity_days(4)
    data = selection_data(rows, names, SETTINGS)
    trials = [
        try_candidate(data, Candidate(k, "spherical", seed), SETTINGS)
        for k in (3, 4) for seed in (0, 1, 2)
    ]  # fmt: skip
    assert chosen(choose(trials)).n_components in (3, 4)
    rng = np.random.default_rng(0)
    shuffled = [
        replace(trial, labels=rng.permutation(trial.labels))
        if trial.candidate.n_components == chosen(choose(trials)).n_components else trial
        for trial in trials
    ]  # fmt: skip
    best = max(choose(trials), key=lambda verdict: verdict.held_out)
    tied = [v for v in choose(shuffled) if v.loss <= v.loss_error]
    if len(tied) > 1:
        assert chosen(choose(shuffled)) != chosen(choose(trials))
    assert best.held_out == max(v.held_out for v in choose(shuffled))


def test_components_that_coincide_are_found():
    means = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0]])
    mixture = Mixture(np.full(3, 1 / 3), means, np.ones(3), "spherical")
    assert near_duplicates(mixture) == [(0, 1)]
    wide = Mixture(np.full(2, 0.5), means[:2], np.array([1.0, 9.0]), "spherical")
    assert near_duplicates(wide) == []
