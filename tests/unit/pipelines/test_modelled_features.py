"""Which built-in features a model may look at."""

import pytest

from shoal.contracts.features import FEATURE_BY_NAME, FEATURE_NAMES
from shoal.errors import ConfigError
from shoal.pipelines.fit import modelled_features


def test_shares_of_counts_that_are_there_already_are_told_but_not_modelled() -> None:
    names = modelled_features([])
    assert "process_share" in FEATURE_NAMES
    assert "process_share" not in names
    assert {"process_count", "event_count", "network_failed_share"} <= set(names)


def test_a_feature_or_a_family_is_left_out_by_its_name() -> None:
    left = set(modelled_features([])) - set(modelled_features(["dns", "new_port_count"]))
    assert "new_port_count" in left
    others = {name for name in left if FEATURE_BY_NAME[name].known.family != "dns"}
    assert others == {"new_port_count"}
    assert len(left) > 5


def test_a_misspelt_feature_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'dsn' is no feature.*did you mean 'dns'"):
        modelled_features(["dsn"])
