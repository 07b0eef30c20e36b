"""Which features a fit takes, without Spark."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.support.fits import fit_request

from shoal.errors import DataError
from shoal.models.fit import choose_features

NAMES = ["asked", "answered", "visited", "constant", "unknown"]
FAMILIES = {"asked": "dns", "answered": "dns", "visited": "web", "constant": "web"}


def sample(**columns: list[float]) -> pd.DataFrame:
    rows = np.column_stack([columns.get(name, [0.0] * 20) for name in NAMES])
    return pd.DataFrame({"features": list(rows)})


def test_features_of_a_log_that_nobody_has_are_left_out_whole() -> None:
    request = replace(fit_request(NAMES, feature_set="builtin"), families=FAMILIES)
    found = sample(visited=[0.0] * 19 + [1.0], unknown=[np.nan] * 20)
    chosen = choose_features(found, request)
    # What never changes stays within a log that somebody has: its first change is a finding.
    assert chosen.names == ["visited", "constant"]
    assert chosen.places.tolist() == [2, 3]
    assert [(row["feature"], row["reason"]) for row in chosen.left_out] == [
        ("asked", "of a log that nobody has"),
        ("answered", "of a log that nobody has"),
        ("unknown", "known in too few rows"),
    ]


def test_of_features_alike_the_first_is_modelled() -> None:
    rising = [float(n) for n in range(20)]
    other = [float(n % 3) for n in range(20)]
    found = sample(asked=rising, answered=other, visited=[-2 * n for n in rising])
    chosen = choose_features(found, fit_request(NAMES, feature_set="values"))
    assert chosen.names == ["asked", "answered", "constant", "unknown"]
    assert chosen.left_out == [
        {
            "feature": "visited",
            "reason": "repeats another one",
            "repeats": "asked",
            "correlation": pytest.approx(-1),
        }
    ]


def test_nothing_is_left_out_of_a_ready_table_but_what_is_unknown() -> None:
    request = fit_request(NAMES, feature_set="values")
    assert choose_features(sample(unknown=[np.nan] * 20), request).names == NAMES[:-1]


def test_a_window_that_knows_nothing_is_refused() -> None:
    empty = {name: [np.nan] * 20 for name in NAMES}
    with pytest.raises(DataError, match="no feature is known"):
        choose_features(sample(**empty), fit_request(NAMES, feature_set="builtin"))
