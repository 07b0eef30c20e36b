"""Candidates tried over Spark, and what analysts are told of them."""

from functools import partial

import numpy as np
import pytest
from pyspark.sql import SparkSession

from shoal.contracts.features import FEATURE_NAMES
from shoal.errors import DataError
from shoal.kernels.selection import SelectionSettings, select, selection_data
from shoal.models.candidates import try_side_by_side
from shoal.pipelines.context import Context
from shoal.pipelines.models import explain_models, list_models, meaning_of_models, pin_golden


def test_side_by_side_or_one_after_the_other_is_the_same(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(0.0, 4.0, size=(90, 3)), 4, axis=0) + rng.normal(size=(360, 3))
    groups = np.repeat([f"host-{n}" for n in range(90)], 4)
    settings = SelectionSettings(n_components=(1, 2, 3))
    data = selection_data(rows, groups, settings)
    alone = select(data, settings)
    together = select(data, settings, try_all=partial(try_side_by_side, spark, 9_000))
    for one, other in zip(alone, together, strict=True):
        assert (one.n_components, one.covariance_type) == (
            other.n_components,
            other.covariance_type,
        )
        assert (one.is_chosen, one.reason) == (other.is_chosen, other.reason)
        for name in ("bic", "aic", "held_out", "loss_error", "stability", "jaccard"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9)


def test_models_tell_what_serves_and_why(windows_nights: Context) -> None:
    (models,) = list_models(windows_nights).values()
    serving = models[models["status"] == "serving"]
    assert 0 < len(serving) <= len(windows_nights.settings.entity_types)
    version = serving["version"].iloc[0]
    kind = version.partition("-")[0]
    (shown,) = list_models(windows_nights, kind).values()
    assert set(shown["version"].str.partition("-")[0]) == {kind}
    for tables in (
        explain_models(windows_nights, kind),
        explain_models(windows_nights, version=version),
    ):
        title, candidates = next(iter(tables.items()))
        assert title.startswith(f"{version}: ")
        assert candidates["reason"].str.len().min() > 0
        assert any(name.endswith("k-means") for name in tables)
        chosen = candidates[candidates["held out"] == candidates["held out"].max()].iloc[0]
        assert chosen["loss"] == 0.0


def test_components_are_told_in_features(windows_nights: Context) -> None:
    tables = meaning_of_models(windows_nights)
    axes = {name: table for name, table in tables.items() if "axes of the profile" in name}
    assert len(tables) - len(axes) >= 2
    for name, table in tables.items():
        assert len(table)
        if name in axes:
            assert table["term"].str.match("(program|port)=").all()
        else:
            is_coordinate = table["feature"].str.startswith("profile_")
            assert set(table["feature"][~is_coordinate]) <= set(FEATURE_NAMES)
    version = next(iter(tables)).partition(":")[0]
    again = meaning_of_models(windows_nights, version=version)
    assert list(again) == [name for name in tables if name.startswith(f"{version}:")]


def test_what_is_not_there_is_named(windows_nights: Context) -> None:
    with pytest.raises(DataError, match=r"no model of 'hosts'.*did you mean 'host'"):
        list_models(windows_nights, "hosts")
    with pytest.raises(DataError, match="`model_candidates` has no row of host-1"):
        explain_models(windows_nights, version="host-1")
    for ask in (meaning_of_models, pin_golden):
        with pytest.raises(DataError, match="no model 'host-1' was promoted"):
            ask(windows_nights, version="host-1")
