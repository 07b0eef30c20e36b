"""Which features a fit takes, without Spark."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.support.fits import fit_request

from shoal.errors import DataError
from shoal.models.fit import known_features

NAMES = ["asked", "answered", "visited", "constant", "unknown"]
FAMILIES = {"asked": "dns", "answered": "dns", "visited": "web", "constant": "web"}


def sample(**columns: list[float]) -> pd.DataFrame:
    rows = np.column_stack([columns.get(name, [0.0] * 20) for name in NAMES])
    return pd.DataFrame({"features": list(rows)})


def test_features_of_a_log_that_nobody_has_are_left_out_whole() -> None:
    request = replace(fit_request(NAMES, feature_set="builtin"), families=FAMILIES)
    found = sample(visited=[0.0] * 19 + [1.0], unknown=[np.nan] * 20)
    names, chosen = known_features(found, request)
    # What never changes stays within a log that somebody has: its first change is a finding.
    assert names == ["visited", "constant"]
    assert chosen.tolist() == [2, 3]


def test_nothing_is_left_out_of_a_ready_table_but_what_is_unknown() -> None:
    request = fit_request(NAMES, feature_set="values")
    names, _ = known_features(sample(unknown=[np.nan] * 20), request)
    assert names == NAMES[:-1]


def test_a_window_that_knows_nothing_is_refused() -> None:
    empty = {name: [np.nan] * 20 for name in NAMES}
    with pytest.raises(DataError, match="no feature is known"):
        known_features(sample(**empty), fit_request(NAMES, feature_set="builtin"))
