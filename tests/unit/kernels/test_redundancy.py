"""Features that say what another one says."""

import numpy as np

from shoal.kernels.redundancy import repeated_features

RNG = np.random.default_rng(3)
N_ROWS = 400
BASE = RNG.lognormal(3, 1, N_ROWS)


def places(values: np.ndarray, is_count: list[bool], max_correlation: float = 0.99) -> list[tuple]:
    found = repeated_features(values, is_count, max_correlation=max_correlation)
    return [(pair.feature, pair.of) for pair in found]


def test_the_first_of_those_alike_is_kept() -> None:
    noise = RNG.normal(size=N_ROWS)
    values = np.column_stack([noise, BASE, 3 * BASE + 1, noise, -BASE])
    assert places(values, [False] * 5) == [(2, 1), (3, 0), (4, 1)]


def test_a_limit_of_one_keeps_copies() -> None:
    assert places(np.column_stack([BASE, BASE]), [True, True], 1.0) == []


def test_counts_are_held_against_each_other_by_their_logs() -> None:
    # Their squares follow counts in the log alone.
    values = np.column_stack([BASE, BASE**2])
    assert places(values, [False, False]) == []
    assert places(values, [True, True]) == [(1, 0)]


def test_what_is_like_only_what_was_left_out_is_kept() -> None:
    step = RNG.normal(size=(N_ROWS, 2)) * 0.2
    first = RNG.normal(size=N_ROWS)
    chain = np.column_stack([first, first + step[:, 0], first + step.sum(axis=1)])
    correlations = np.corrcoef(chain.T)
    limit = (correlations[0, 1] + correlations[0, 2]) / 2
    assert correlations[1, 2] > limit
    assert places(chain, [False] * 3, float(limit)) == [(1, 0)]


def test_constant_and_unknown_features_repeat_nothing() -> None:
    values = np.column_stack([np.zeros(N_ROWS), np.ones(N_ROWS), np.full(N_ROWS, np.nan), BASE])
    assert places(values, [False] * 4) == []


def test_a_few_unknown_values_hide_no_repetition() -> None:
    some = BASE.copy()
    some[:4] = np.nan
    assert places(np.column_stack([BASE, some]), [True, True], 0.95) == [(1, 0)]
