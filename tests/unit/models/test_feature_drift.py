"""Drift of features, without Spark: made histograms in, verdicts out."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wasserstein_distance

from shoal.kernels.histograms import MISSING, bins_of
from shoal.models.feature_drift import (
    MIN_PAIRS,
    QUIET_DAYS,
    compare_group,
    judge_group,
)

LAST = date(2026, 9, 30)  # a Wednesday
DAYS = [LAST - timedelta(days=n) for n in range(36)][::-1]
N_ENTITIES = 60


def histogram(day: date, feature: str, values: Any) -> dict[str, Any]:
    found, counts = np.unique(bins_of(values), return_counts=True)
    bins = dict(zip(found.tolist(), counts.tolist(), strict=True))
    missing = bins.pop(int(MISSING), 0)
    return {
        "event_date": day,
        "entity_type": "host",
        "slice": "s",
        "feature": feature,
        "entities": len(values),
        "missing": missing,
        "bins": [{"bin": number, "count": count} for number, count in sorted(bins.items())],
    }


def ordinary(day: date, rng: np.random.Generator, *, n: int = N_ENTITIES) -> np.ndarray:
    """Counts that are less on weekends, and have a day's own level."""
    level = 0.3 if day.weekday() >= 5 else 1.0
    return np.round(level * np.exp(0.2 * rng.normal()) * rng.lognormal(3.0, 0.5, n))


def judged(rows: list[dict[str, Any]], days: list[date] | None = None) -> pd.DataFrame:
    compared = compare_group(pd.DataFrame(rows), days or [LAST], min_entities=20)
    groups = [own for _, own in compared.groupby(["event_date", "entity_type", "comparison"])]
    return pd.concat([judge_group(own) for own in groups]).set_index(
        ["comparison", "feature", "event_date"]
    )


def rows_with(last: Any, *, name: str = "count", seed: int = 0) -> list[dict[str, Any]]:
    """Five quiet weeks, and a last day of one's own."""
    rng = np.random.default_rng(seed)
    rows = [histogram(day, name, ordinary(day, rng)) for day in DAYS[:-1]]
    return [*rows, histogram(LAST, name, last(rng))]


def test_distances_are_those_of_the_values_up_to_the_width_of_a_bin() -> None:
    rng = np.random.default_rng(1)
    values = {day: ordinary(day, rng) for day in DAYS}
    found = judged([histogram(day, "count", own) for day, own in values.items()])
    for comparison, lag in (("previous_night", 1), ("same_weekday", 7)):
        before = LAST - timedelta(days=lag)
        row = found.loc[comparison, "count", LAST]
        exact = wasserstein_distance(values[before], values[LAST])
        assert row["wasserstein"] == pytest.approx(exact, abs=0.05 * values[LAST].mean())
        assert row["reference_date"] == before
        assert row["status"] == "ok"
    # Pairs of weekdays only: of the 28 nights before, those whose night a week before is one, too.
    assert found.loc["same_weekday", "count", LAST]["quiet_pairs"] == 20
    assert found.loc["previous_night", "count", LAST]["quiet_pairs"] == 16


def test_the_same_day_again_is_no_distance() -> None:
    same = np.arange(N_ENTITIES, dtype=float)
    found = judged([histogram(day, "count", same) for day in DAYS])
    assert found["wasserstein"].tolist() == [0, 0]
    assert found["psi"].tolist() == pytest.approx([0, 0])
    assert set(found["status"]) == {"ok"}


@pytest.mark.parametrize(
    ("last", "size_ratio"),
    [
        (lambda rng: 6 * ordinary(LAST, rng), 6.0),
        (lambda rng: 1000 * ordinary(LAST, rng), 1000.0),
        (lambda _: np.zeros(N_ENTITIES), None),
    ],
    ids=["six times as many", "another unit", "fallen silent"],
)
def test_what_leaves_its_quiet_range_has_drifted(last: Any, size_ratio: float | None) -> None:
    found = judged(rows_with(last))
    for comparison in ("previous_night", "same_weekday"):
        row = found.loc[comparison, "count", LAST]
        assert row["status"] == "drift"
        is_in_octaves = row["wasserstein_octaves"] > row["wasserstein_octaves_null"]
        assert is_in_octaves or row["wasserstein"] > row["wasserstein_null"]
        assert "none by more than" in row["detail"]
        if size_ratio is None:
            assert row["size_ratio"] is None or np.isnan(row["size_ratio"])
        else:
            assert row["size_ratio"] == pytest.approx(size_ratio, rel=0.6)


@pytest.mark.parametrize("seed", range(5))
def test_a_weekend_is_held_against_weekends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    days = [day for day in DAYS if day <= date(2026, 9, 27)]  # to a Sunday
    rows = [histogram(day, "count", ordinary(day, rng)) for day in days]
    found = judged(rows, [date(2026, 9, 25), date(2026, 9, 26), date(2026, 9, 27)])
    assert set(found["status"]) <= {"ok", "insufficient_data"}
    assert set(found.loc["same_weekday"]["status"]) == {"ok"}


def test_among_many_quiet_features_none_is_told_to_have_drifted() -> None:
    rows = [row for n in range(200) for row in rows_with(
        lambda rng: ordinary(LAST, rng), name=f"f{n}", seed=n)]  # fmt: skip
    found = judged(rows)
    assert len(found) == 400
    assert (found["status"] == "drift").sum() == 0


def test_one_entity_that_never_did_is_not_the_population() -> None:
    rows = [histogram(day, "rare", np.zeros(N_ENTITIES)) for day in DAYS[:-1]]
    one, many = np.zeros(N_ENTITIES), np.zeros(N_ENTITIES)
    one[0], many[:30] = 5.0, 5.0
    assert set(judged([*rows, histogram(LAST, "rare", one)])["status"]) == {"ok"}
    assert set(judged([*rows, histogram(LAST, "rare", many)])["status"]) == {"drift"}


def test_few_entities_and_few_pairs_say_so() -> None:
    rng = np.random.default_rng(0)
    small = [histogram(day, "count", ordinary(day, rng, n=19)) for day in DAYS]
    found = judged(small)
    assert set(found["status"]) == {"insufficient_data"}
    assert found.index.get_level_values("feature").unique().tolist() == ["*"]
    assert found["detail"].tolist() == ["19 and 19 entities are too few"] * 2

    young = [histogram(day, "count", ordinary(day, rng)) for day in DAYS[-9:]]
    row = judged(young).loc["same_weekday", "count", LAST]
    assert row["status"] == "insufficient_data"
    assert row["detail"] == f"1 quiet pairs of nights, {MIN_PAIRS} needed"
    assert row["wasserstein"] > 0  # measured, all the same


def test_a_feature_that_hardly_anybody_has_is_not_compared() -> None:
    rng = np.random.default_rng(0)
    known = np.full(N_ENTITIES, np.nan)
    known[:10] = 3.0
    rows = [histogram(day, "new", known + rng.integers(0, 3)) for day in DAYS]
    assert compare_group(pd.DataFrame(rows), [LAST], min_entities=20).empty


def test_what_is_said_of_a_day_does_not_hang_on_the_days_after_it() -> None:
    """A range of nights reads more histograms than each of its nights alone."""
    rng = np.random.default_rng(0)
    rows = [histogram(day, "count", ordinary(day, rng)) for day in DAYS[:-1]]
    rows += [histogram(day, "still", np.full(N_ENTITIES, 2.0)) for day in DAYS[:-1]]
    later = [histogram(LAST, name, 900 * rng.random(N_ENTITIES)) for name in ("count", "still")]
    day = DAYS[-2]
    alone = judged(rows, [day])
    assert set(alone.index.get_level_values("feature")) == {"count"}
    pd.testing.assert_frame_equal(alone, judged([*rows, *later], [day]))


def test_quiet_pairs_are_no_older_than_four_weeks() -> None:
    rng = np.random.default_rng(0)
    older = [LAST - timedelta(days=n) for n in range(60)][::-1]
    found = judged([histogram(day, "count", ordinary(day, rng)) for day in older])
    assert found.loc["same_weekday", "count", LAST]["quiet_pairs"] == QUIET_DAYS // 7 * 5


def test_a_holiday_is_like_a_sunday_and_the_days_after_it_are_no_drift() -> None:
    rng = np.random.default_rng(8)
    holiday = LAST - timedelta(days=8)
    rows = []
    for day in DAYS:
        is_free = day == holiday or day.weekday() >= 5
        values = (0.1 if is_free else 1.0) * np.exp(0.2 * rng.normal()) * rng.lognormal(3, 0.5, 60)
        rows.append(histogram(day, "count", values))
    after = [holiday + timedelta(days=n) for n in range(9)]
    found = judged(rows, after)
    assert holiday.weekday() < 5
    assert "drift" not in set(found["status"])
    assert len(found) == 2 * len(after)
    row = found.loc["same_weekday", "count", holiday]
    assert row["wasserstein_octaves"] > 1.5 * row["wasserstein_octaves_null"]


def test_what_has_drifted_is_told_until_it_is_a_week_old() -> None:
    rng = np.random.default_rng(9)
    rows = [
        histogram(day, "count", (8 if day > LAST - timedelta(days=9) else 1) * ordinary(day, rng))
        for day in DAYS
    ]
    days = [LAST - timedelta(days=n) for n in range(8, -1, -1)]
    found = judged(rows, days)["status"]
    told = [day for day in days if found["same_weekday", "count", day] == "drift"]
    assert told[:7] == days[:7]
    first = [day for day in days if found["previous_night", "count", day] == "drift"]
    # Eight times as large, its ordinary days move further than the quiet ones before did.
    assert first[0] == days[0]
    assert len(first) < 4


def test_another_unit_keeps_its_shape_and_another_use_does_not() -> None:
    unit = judged(rows_with(lambda rng: 1000 * ordinary(LAST, rng)))
    use = judged(rows_with(lambda rng: 1000.0 ** rng.uniform(0, 2, N_ENTITIES)))
    for found, is_same in ((unit, True), (use, False)):
        row = found.loc["same_weekday", "count", LAST]
        assert (row["shape_octaves"] < 0.125 * np.log2(row["size_ratio"])) == is_same
        assert row["status"] == "drift"
