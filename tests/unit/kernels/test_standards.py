"""Standards: slices compare in their own units, and small ones share references and tails."""

import numpy as np
import pytest

from shoal.kernels.peer_fit import CrossFitScores, build_references
from shoal.kernels.peer_model import Standard, WeekReferences
from shoal.kernels.standards import (
    LEAST_TAIL_RATIO,
    SMALLEST_SPREAD,
    rows_behind_small_slices,
    standardized,
    standards_of,
    with_tail_ratios,
)


def test_slices_of_other_location_and_scale_look_alike_in_their_own_units():
    rng = np.random.default_rng(3)
    slices = np.repeat(["big", "wild", "lone"], (2000, 400, 5))
    groups = np.concatenate(
        [np.repeat(np.arange(n) + 1000 * k, 20) for k, n in enumerate((100, 20))]
    )
    groups = np.concatenate([groups, np.repeat(9999, 5)]).astype(str)
    center, scale = (
        np.repeat([0.0, -9.0, -50.0], (2000, 400, 5)),
        np.repeat([1.0, 4.0, 1.0], (2000, 400, 5)),
    )
    scores = CrossFitScores(rng.normal(center, scale), np.exp(rng.normal(-center / 9, 0.2)))
    whole, standards = standards_of(scores, groups, slices, scores)
    assert set(standards) == {"big", "wild", "lone"}
    alike = standardized(scores, slices, standards)
    for name in ("big", "wild"):
        own = alike.log_density[slices == name]
        assert abs(np.median(own)) < 1.0
        assert 0.7 < np.median(own) - np.quantile(own, 0.25) < 1.3
    # One entity says little about its slice: it stays near all, and so stays strange.
    assert np.median(alike.log_density[slices == "lone"]) < -20.0
    assert whole.density_scale > 0.0


def test_small_slices_are_calibrated_on_their_own_kind_where_that_is_enough():
    slices = np.repeat(["big", "small", "tiny"], (60, 6, 3))
    groups = np.arange(69).astype(str)
    small = ["small", "tiny", "unheard of"]
    behind = rows_behind_small_slices(slices, groups, small=small, min_entities=9)
    assert slices[behind].tolist() == ["small"] * 6 + ["tiny"] * 3
    assert rows_behind_small_slices(slices, groups, small=small, min_entities=10).all()
    assert rows_behind_small_slices(slices, groups, small=[], min_entities=2).all()


def week_references(scores):
    of_all = build_references(scores)
    return WeekReferences(of_all, of_all)


def test_a_slice_with_a_heavier_tail_has_higher_p_values():
    rng = np.random.default_rng(5)
    slices = np.repeat(["calm", "heavy", "rare"], (4000, 400, 4))
    tail = np.where(slices == "heavy", rng.standard_t(2, 4404), rng.normal(size=4404))
    alike = CrossFitScores(-tail, tail)
    references = week_references(alike)
    known = {name: Standard() for name in ("calm", "heavy", "rare")}
    every = np.ones(len(slices), dtype=bool)
    standards = with_tail_ratios(known, alike, slices, every, ~every, references)
    assert standards["heavy"].tail_ratio > 1.5
    assert LEAST_TAIL_RATIO <= standards["calm"].tail_ratio < 1.0
    assert 0.9 < standards["rare"].tail_ratio < 1.4
    row = np.asarray([5.0]), np.asarray([5.0])
    heavy, _ = standards["heavy"].log_p(-row[0], row[1], references.weekday)
    plain, _ = Standard().log_p(-row[0], row[1], references.weekday)
    assert np.exp(heavy - plain) == pytest.approx(standards["heavy"].tail_ratio, rel=0.01)
    for name in ("calm", "heavy"):
        usual, _ = standards[name].log_p(
            np.asarray([99.0]), np.asarray([-99.0]), references.weekday
        )
        assert usual == pytest.approx(0.0)


def test_a_slice_that_calibrates_itself_has_the_tail_of_its_references():
    rng = np.random.default_rng(6)
    slices, every = np.repeat("own", 40), np.ones(40, dtype=bool)
    for scores in (CrossFitScores(rng.normal(size=40), rng.normal(size=40)),
                   CrossFitScores(np.zeros(40), np.ones(40))):  # fmt: skip
        references = week_references(scores)
        own = with_tail_ratios({"own": Standard()}, scores, slices, every, ~every, references)[
            "own"
        ]
        assert own.tail_ratio == 1.0


def test_equal_scores_have_a_scale():
    scores = CrossFitScores(np.zeros(20), np.ones(20))
    whole, _ = standards_of(scores, np.arange(20).astype(str), np.repeat("a", 20), scores)
    assert whole.density_scale == whole.departure_scale == SMALLEST_SPREAD
