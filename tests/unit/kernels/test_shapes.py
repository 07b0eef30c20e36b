"""What became of clusters between two nights."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.kernels.shapes import BORN, DIED, MATCHED, MERGED, SPLIT, Shape, cluster_shapes


def shapes(table, matching):
    return cluster_shapes(np.asarray(table), np.asarray(matching, dtype=np.intp))


def test_clusters_that_stay_are_matched_though_a_few_entities_move():
    table = [[40, 4, 0], [3, 30, 1], [0, 2, 20]]
    assert [shape.kind for shape in shapes(table, [0, 1, 2])] == [MATCHED] * 3


def test_a_split_names_its_parts_and_a_merge_its_clusters():
    table = [[30, 0, 28], [0, 25, 0], [1, 20, 0]]
    assert shapes(table, [0, 1, 2]) == [
        Shape(SPLIT, 0, 0, (0, 2)),
        Shape(MERGED, 1, 1, (2,)),
        Shape(MERGED, 2, 1, (1,)),
    ]


def test_what_has_no_match_died_and_what_is_new_was_born():
    table = [[20, 0, 0], [3, 2, 1]]
    assert shapes(table, [0, -1]) == [
        Shape(MATCHED, 0, 0),
        Shape(DIED, 1, -1),
        Shape(BORN, -1, 1),
        Shape(BORN, -1, 2),
    ]


def test_few_entities_are_no_part():
    assert [s.kind for s in shapes([[2, 2], [0, 0]], [0, 1])] == [MATCHED, MATCHED]


@given(st.permutations(range(3)), st.permutations(range(3)))
def test_permuted_ids_change_nothing_but_the_ids(rows, columns):
    table = np.array([[30, 0, 28], [0, 25, 0], [1, 20, 0]])
    matching = [columns.index(place) for place in (0, 1, 2)]
    permuted = table[np.ix_(rows, columns)]
    found = shapes(permuted, [matching[row] for row in rows])
    own = {rows[s.reference]: (s.kind, sorted(s.parts)) for s in found}
    assert own[0] == (SPLIT, sorted(columns.index(place) for place in (0, 2)))
    assert own[1] == (MERGED, [rows.index(2)])
    assert own[2] == (MERGED, [rows.index(1)])
