"""The rate of alarms, and the verdict of a night."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from shoal.models.alert_rate import (
    ALERT_P,
    OF_ALL,
    VERDICTS,
    Rates,
    judge_rates,
    verdict_of,
)

LAST = date(2026, 9, 30)
N = 400


def nights(rates: list[float], n: int = N) -> dict[date, Rates]:
    """Nights up to LAST with such shares of alarms."""
    days = [LAST - timedelta(days=back) for back in range(len(rates))][::-1]
    return {
        day: Rates(n, round(rate * n), round(rate * n / 5), -10.0 * n, 0.5 * n, "host-1")
        for day, rate in zip(days, rates, strict=True)
    }


def judged(rates: list[float], n: int = N) -> dict[str, Any]:
    known = {("host", "*"): nights(rates, n)}
    [row] = judge_rates(known, [LAST], min_entities=20)
    return row


def test_as_many_as_expected_are_ok() -> None:
    row = judged([ALERT_P] * 28)
    assert (row["status"], row["detail"], row["cusum"]) == ("ok", None, 0)
    assert (row["alert_rate"], row["p01_rate"], row["log_likelihood"]) == (0.05, 0.01, -10)


@pytest.mark.parametrize("rate", [0.12, 0.2])
def test_a_rate_that_climbs_is_drift(rate: float) -> None:
    row = judged([*[ALERT_P] * 27, rate])
    assert row["status"] == "drift"
    assert row["detail"] == f"{rate:.1%} alarm where 5% are expected"


def test_a_little_more_every_night_is_drift_in_the_end() -> None:
    found = {n: judged([*[ALERT_P] * 15, *[0.08] * n]) for n in range(1, 13)}
    first = next(n for n, row in found.items() if row["status"] == "drift")
    assert 2 <= first <= 10
    assert found[first]["cusum"] >= OF_ALL.cusum
    assert "night after night more than the usual 5.0%" in found[first]["detail"]
    # Once it is as expected again nothing is called, although the sum takes time to fall.
    assert judged([*[ALERT_P] * 15, *[0.08] * 12, ALERT_P])["status"] == "ok"


def test_a_fleet_that_always_holds_more_that_is_strange_has_not_drifted() -> None:
    row = judged([0.08] * 28)
    assert (row["status"], row["expected_rate"]) == ("ok", 0.08)
    assert judged([*[0.08] * 20, *[0.11] * 8], n=1000)["status"] == "drift"


@pytest.mark.parametrize("seed", range(10))
def test_sixty_quiet_nights_are_quiet(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = [float(rate) for rate in rng.binomial(N, ALERT_P, 88) / N]
    calls = [judged(rates[: n + 1])["status"] for n in range(28, 88)]
    assert calls.count("drift") == 0


def test_one_night_out_of_control_is_called_once() -> None:
    row = judged([*[ALERT_P] * 20, 0.3, 0.06])
    assert (row["status"], row["cusum"] < 1) == ("ok", True)


def test_a_slice_is_one_of_many_and_has_wider_limits() -> None:
    known = {("host", name): nights([*[ALERT_P] * 27, 0.15], 60) for name in ("*", "web")}
    of_all, of_slice = judge_rates(known, [LAST], min_entities=20)
    assert (of_all["slice"], of_all["status"]) == ("*", "ok")
    known = {("host", name): nights([*[ALERT_P] * 27, 0.2], 60) for name in ("*", "web")}
    of_all, of_slice = judge_rates(known, [LAST], min_entities=20)
    assert (of_all["status"], of_slice["status"]) == ("drift", "ok")


def test_few_entities_say_so() -> None:
    row = judged([ALERT_P] * 28, n=19)
    assert row["status"] == "insufficient_data"
    assert row["detail"] == "19 entities scored, 20 needed"


def test_few_nights_say_so() -> None:
    row = judged([0.2] * 14)
    assert (row["status"], row["detail"]) == ("insufficient_data", "13 earlier nights, 14 needed")
    assert judged([0.2] * 15)["status"] == "drift"


def test_weekdays_and_weekends_have_a_rate_of_their_own() -> None:
    days = [LAST - timedelta(days=back) for back in range(28)][::-1]
    rates = [0.09 if day.weekday() >= 5 else 0.05 for day in days]
    assert judged(rates)["expected_rate"] == 0.05
    sunday = LAST - timedelta(days=3)
    known = {("host", "*"): nights(rates, 1000)}
    [row] = judge_rates(known, [sunday], min_entities=20)
    assert (row["expected_rate"], row["status"]) == (0.09, "ok")


def test_likelihood_and_entropy_stand_beside_those_of_the_same_model() -> None:
    known = nights([ALERT_P] * 20)
    early = [day for day in known if day < LAST - timedelta(days=3)]
    known |= {day: replace(known[day], model_version="host-0") for day in early}
    known |= {LAST: replace(known[LAST], log_density=-30.0 * N)}
    [row] = judge_rates({("host", "*"): known}, [LAST], min_entities=20)
    assert (row["log_likelihood"], row["usual_log_likelihood"]) == (-30.0, -10.0)
    assert row["responsibility_entropy"] == 0.5


def drift(**changes: Any) -> dict[str, Any]:
    usual = {
        "slice": "*",
        "comparison": "same_weekday",
        "missing_share": 0.1,
        "reference_missing_share": 0.1,
        "size_ratio": 3.0,
        "shape_octaves": 0.2,
    }
    return usual | changes


CALM = {"status": "ok", "scored": N, "p01_rate": 0.01}
ALARMED = {"status": "drift", "scored": N, "p01_rate": 0.06}


@pytest.mark.parametrize(
    ("row", "stopped", "drifts", "expected"),
    [
        (CALM, [], [], "none"),
        (CALM | {"p01_rate": 0.05}, [], [], "individuals"),
        (CALM, [], [drift()], "population"),
        (ALARMED, [], [drift()], "population"),
        (ALARMED, [], [], "model"),
        (CALM, ["zeek"], [], "data"),
        (ALARMED, [], [drift(), drift(size_ratio=1000.0)], "data"),
        (CALM, [], [drift(size_ratio=1 / 60)], "data"),
        (CALM, [], [drift(size_ratio=60.0, shape_octaves=2.0)], "population"),
        (CALM, [], [drift(size_ratio=1000.0, slice="role=web_server")], "population"),
        (CALM | {"status": "insufficient_data"}, [], [], "unknown"),
        (CALM | {"status": "insufficient_data"}, ["zeek"], [], "data"),
        (CALM, [], [drift(size_ratio=None, missing_share=0.9)], "data"),
        # A Monday after a Sunday is no drift of the population.
        (CALM, [], [drift(comparison="previous_night")], "none"),
    ],
)
def test_verdicts(
    row: dict[str, Any], stopped: list[str], drifts: list[dict[str, Any]], expected: str
) -> None:
    assert verdict_of(row, stopped, drifts) == expected
    assert VERDICTS[expected]


def test_clusters_or_components_that_moved_are_a_population_that_did() -> None:
    assert verdict_of(CALM, [], [], has_moved=True) == "population"
    assert verdict_of(CALM, ["zeek"], [], has_moved=True) == "data"
