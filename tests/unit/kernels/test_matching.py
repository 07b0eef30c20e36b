"""Matching of centres, and agreement of clusterings from their counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
)

from shoal.errors import DataError
from shoal.kernels import matching
from shoal.kernels.matching import cluster_jaccard, contingency_scores, match_centers

TABLES = arrays(
    np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 9)
)


@given(st.permutations(range(6)), st.floats(0.0, 0.4))
def test_matching_undoes_a_permutation(permutation, noise):
    reference = np.arange(12.0).reshape(6, 2) * 3.0
    analysis = reference[list(permutation)] + noise
    matched = match_centers(reference, analysis)
    assert [permutation[j] for j in matched] == list(range(6))


def test_matching_is_best_in_sum_not_greedy():
    # Greedy pairs 1.0 with 0.6, which leaves 0.0 with 10: 10.4 in sum instead of 9.6.
    assert match_centers([[1.0], [0.0]], [[0.6], [10.0]]).tolist() == [1, 0]


def test_rectangular_matching_leaves_the_farthest_out():
    few, many = [[0.0], [10.0]], [[10.1], [50.0], [0.2]]
    assert match_centers(few, many).tolist() == [2, 0]
    assert match_centers(many, few).tolist() == [1, -1, 0]
    assert match_centers(few, np.zeros((0, 1))).tolist() == [-1, -1]
    with pytest.raises(DataError, match="analysis must have shape"):
        match_centers(few, [[1.0, 2.0]])


def test_beyond_the_gate_nothing_is_a_pair_and_nothing_is_given_up_for_it():
    # Without a gate 0.0 would go to 3.0 so that 4.0 need not go to 30.0.
    reference, analysis = [[0.0], [4.0]], [[3.0], [-30.0]]
    assert match_centers(reference, analysis).tolist() == [1, 0]
    assert match_centers(reference, analysis, gate=5.0).tolist() == [-1, 0]
    assert match_centers(reference, analysis, gate=0.5).tolist() == [-1, -1]


@given(TABLES)
def test_scores_equal_scikit_learn_on_expanded_labels(table):
    n = int(table.sum())
    if n == 0:
        with pytest.raises(DataError, match="no row"):
            contingency_scores(table)
        return
    reference = np.repeat(np.arange(table.shape[0]), table.sum(axis=1))
    analysis = np.concatenate([np.repeat(np.arange(table.shape[1]), row) for row in table])
    scores = contingency_scores(table)
    assert scores.n == n
    ours = (
        scores.adjusted_rand,
        scores.adjusted_mutual_information,
        scores.normalized_mutual_information,
    )
    theirs = (
        adjusted_rand_score(reference, analysis),
        adjusted_mutual_info_score(reference, analysis),
        normalized_mutual_info_score(reference, analysis),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(
    "table", [[[0, 7], [3, 0]], [[5]], [[5, 0], [0, 0]], np.eye(4), [[10**9, 0], [0, 10**9]]]
)
def test_same_partition_scores_exactly_one(table):
    scores = contingency_scores(table)
    assert scores.adjusted_rand == 1.0
    assert scores.adjusted_mutual_information == 1.0
    assert scores.normalized_mutual_information == 1.0


def test_counts_beyond_64_bit_squares_stay_exact():
    big = 4 * 10**9
    assert contingency_scores([[big, 0, 0]]).adjusted_rand == 1.0
    assert contingency_scores([[big, big]]).adjusted_rand == 0.0
    assert contingency_scores([[1, 2], [3, 4]]).n == 10


def test_chance_of_many_rows_agrees_with_the_exact_sum(monkeypatch):
    table = np.random.default_rng(0).integers(500, 3000, size=(6, 4))
    exact = contingency_scores(table).adjusted_mutual_information
    monkeypatch.setattr(matching, "MAX_EXACT_CHANCE", 0)
    quick = contingency_scores(table).adjusted_mutual_information
    raw = contingency_scores(table).normalized_mutual_information
    assert quick == pytest.approx(exact, abs=1e-6)
    assert abs(raw - exact) > 1e-4  # the correction is there to be seen


def test_one_side_unsplit_says_nothing():
    scores = contingency_scores([[5, 5]])
    assert (scores.adjusted_rand, scores.normalized_mutual_information) == (0.0, 0.0)


@pytest.mark.parametrize("table", [[[1, -1]], [[0.5, 1.0]], [1, 2], [[0, 0]], np.zeros((0, 3))])
def test_unusable_tables_are_refused(table):
    with pytest.raises(DataError):
        contingency_scores(table)


def test_jaccard_of_matched_unmatched_and_empty_clusters():
    table = [[6, 2, 0], [1, 1, 0], [0, 4, 0], [0, 0, 0]]
    jaccard = cluster_jaccard(table, np.array([0, -1, 1, 2]))
    np.testing.assert_allclose(jaccard, (6 / 9, 0.0, 4 / 7, np.nan))


def test_jaccard_refuses_a_matching_of_another_table():
    for wrong in ([0], [0, 2], [0, -2]):
        with pytest.raises(DataError, match="does not fit"):
            cluster_jaccard([[1, 0], [0, 1]], np.array(wrong))
