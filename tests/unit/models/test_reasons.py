"""Reasons in the units of the log, and the peers that share them; no JVM."""

import math
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shoal.contracts.features import FEATURE_BY_NAME, FEATURES
from shoal.kernels.profiles import Profiles
from shoal.kernels.reasons import Explanations
from shoal.models import reasons
from shoal.models.reasons import PeerQuestion, count_sharing, reasons_of

NIGHT = date(2026, 1, 1)
NO_PROFILE = Profiles.of([None], [None])


def model_of(names: list[str], feature_set: str, is_logged: list[bool]) -> Any:
    """What reasons read of a model."""
    preparation = SimpleNamespace(is_logged=np.array(is_logged))
    geometry = SimpleNamespace(preparation=preparation)
    return SimpleNamespace(
        feature_names=tuple(names),
        feature_set=feature_set,
        slice="all",
        geometry=geometry,
        profile=None,
        n_profile=0,
    )


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Make every model expect the given values, in native units."""

    def replace(expected: list[float]) -> None:
        contributions = np.full((1, len(expected)), 9.0)
        found = Explanations(
            contributions, contributions > 0, contributions, np.array([expected]), np.array([9.0])
        )
        monkeypatch.setattr(reasons, "explain_rows", lambda *_, **__: found)

    return replace


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_has_bounds_that_fit_its_unit(feature: object) -> None:
    smallest, largest = feature.bounds  # type: ignore[attr-defined]
    if feature.unit in {"share", "0 to 1"}:  # type: ignore[attr-defined]
        assert (smallest, largest) == (0.0, 1.0)
    elif feature.unit == "circle":  # type: ignore[attr-defined]
        assert (smallest, largest) == (-1.0, 1.0)
    elif feature.unit == "doublings":  # type: ignore[attr-defined]
        assert (smallest, largest) == (-math.inf, math.inf)
    else:
        assert smallest == 0.0
        assert largest >= 8.0


@pytest.mark.parametrize(
    ("name", "expected", "shown"),
    [
        ("event_count", -0.28, 0.0),
        ("event_count", 812.5, 812.5),
        ("program_top_share", 9.1, 1.0),
        ("program_top_share", -0.1, 0.0),
        ("beacon_regularity_max", 1.2, 1.0),
        ("hour_cos", -1.7, -1.0),
        ("active_hours", 31.0, 24.0),
    ],
)
def test_what_is_expected_is_possible(
    expect: Callable[[list[float]], None], name: str, expected: float, shown: float
) -> None:
    expect([expected])
    model = model_of([name], "builtin", [False])
    [[reason]] = reasons_of(model, np.array([[3.0]]), [NO_PROFILE], 1)
    assert reason["expected"] == shown
    assert reason["unit"] == FEATURE_BY_NAME[name].unit


def test_of_a_ready_feature_only_the_logged_one_is_never_negative(
    expect: Callable[[list[float]], None],
) -> None:
    # event_count: the name of a built-in feature says nothing about a ready table's column
    expect([-4.0, -5.0, 6.0])
    model = model_of(["event_count", "b", "c"], "values", [False, True, True])
    [found] = reasons_of(model, np.array([[1.0, 1.0, 1.0]]), [NO_PROFILE], 3)
    assert [reason["expected"] for reason in found] == [-4.0, 0.0, 6.0]
    assert [reason["unit"] for reason in found] == ["", "", ""]


def peers(rows: list[tuple[str, str, str, list[float | None], dict[str, int] | None]]) -> Any:
    columns = ["event_date", "entity_type", "entity_id", "slice", "features", "terms", "counts"]
    flat = [
        (NIGHT, *row, terms and list(terms), terms and list(terms.values())) for *row, terms in rows
    ]
    return pd.DataFrame(flat, columns=columns)


BATCH = peers(
    [
        ("host", "a", "x", [1.0, 9.0], {"program=sh": 1, "program=ls": 3}),
        ("host", "b", "x", [2.0, None], {"program=ls": 2, "port=443": 5}),
        ("host", "c", "x", [3.0, 7.0], None),
        ("host", "d", "y", [9.0, 9.0], {"program=sh": 1}),
        ("user", "a", "x", [9.0], None),
    ]
)


@pytest.mark.parametrize(
    ("question", "sharing", "of"),
    [
        (PeerQuestion(NIGHT, "host", "x", "a", 0, 2.0, True), 2, 2),
        (PeerQuestion(NIGHT, "host", "x", "a", 0, 2.0, False), 1, 2),
        (PeerQuestion(NIGHT, "host", "x", "c", 0, 3.0, True), 0, 2),
        (PeerQuestion(NIGHT, "host", "x", "c", 1, 7.0, True), 1, 1),
        (PeerQuestion(NIGHT, "host", "x", "elsewhere", 1, 8.0, False), 1, 2),
        (PeerQuestion(NIGHT, "host", "y", "d", 0, 0.0, True), 0, 0),
        (PeerQuestion(NIGHT, "user", "x", "b", 0, 9.0, True), 1, 1),
        (PeerQuestion(NIGHT, "host", "x", "c", 0, 0.25, True, "program=sh"), 1, 2),
        (PeerQuestion(NIGHT, "host", "x", "c", 0, 0.25, False, "program=sh"), 2, 2),
        (PeerQuestion(NIGHT, "host", "x", "a", 0, 0.5, True, "port=443"), 1, 1),
    ],
)
def test_peers_share_type_and_slice_and_know_the_feature(
    question: PeerQuestion, sharing: int, of: int
) -> None:
    counted = count_sharing(BATCH, [question])
    assert counted.to_dict("records") == [{"question": 0, "peers_sharing": sharing, "peers": of}]


def test_parts_of_batches_add_up_and_answer_by_place() -> None:
    questions = [
        PeerQuestion(NIGHT, "host", "nobody", "a", 0, 0.0, True),
        PeerQuestion(NIGHT, "host", "x", "a", 0, 2.0, True),
        PeerQuestion(NIGHT, "user", "x", "b", 0, 9.0, True),
        PeerQuestion(NIGHT, "host", "x", "b", 1, 7.0, True),
    ]
    whole = count_sharing(BATCH, questions).set_index("question").sort_index()
    parts = pd.concat([count_sharing(BATCH[i : i + 1], questions) for i in range(len(BATCH))])
    assert list(whole.index) == [1, 2, 3]
    pd.testing.assert_frame_equal(parts.groupby("question").sum(), whole)


def test_a_batch_without_peers_answers_nothing() -> None:
    counted = count_sharing(BATCH[:0], [PeerQuestion(NIGHT, "host", "x", "a", 0, 0.0, True)])
    assert counted.empty
    assert list(counted.columns) == ["question", "peers_sharing", "peers"]
