"""The sparse profile in models: as coordinates of a vector, in a fit, and as a reason."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.support.fits import fit_request

from shoal.kernels.profiles import ProfileAxes, Profiles
from shoal.models.fit import FitResult, fit_models
from shoal.models.peer_models import PeerModel, peer_model
from shoal.models.reasons import reasons_of
from shoal.models.scoring import score_columns
from shoal.models.vectors import BUILTIN, VALUES, VectorRule, add_vector

DAY = date(2026, 3, 2)
SCHEMA = (
    "entity_type string, entity_id string, event_date date, slice string, "
    "features array<double>, profile array<struct<term:string,count:bigint>>"
)
MIXES = ({"nginx": 0.7, "cron": 0.3}, {"word": 0.5, "chrome": 0.4, "cron": 0.1})


def mix(rng: np.random.Generator, shares: Mapping[str, float]) -> dict[str, int]:
    """A day's launches in these shares, none left out."""
    return {f"program={name}": int(rng.poisson(300 * share)) + 1 for name, share in shares.items()}


@pytest.fixture(scope="module")
def fitted(spark: SparkSession) -> FitResult:
    """A model of 60 hosts on six days, of two roles that differ in what they run alone."""
    rng = np.random.default_rng(0)
    rows = [
        (
            "host", f"host-{number:02}", DAY + timedelta(days=day), "all",
            rng.normal(size=2).tolist(), list(mix(rng, MIXES[number % 2]).items()),
        )
        for number in range(60)
        for day in range(6)
    ]  # fmt: skip
    request = fit_request(["a", "b"], feature_set=BUILTIN, profile_axes=10)
    return fit_models(spark.createDataFrame(rows, SCHEMA), request)


@pytest.fixture(scope="module")
def model(fitted: FitResult) -> PeerModel:
    """The global one, as it is stored."""
    [row] = [row for row in fitted.models if row["slice"] == "*"]
    return peer_model({**row, "model_version": "host-1"})


def test_a_vector_ends_with_the_coordinates_by_the_axes_of_its_own_rule(
    spark: SparkSession,
) -> None:
    one = ProfileAxes(("program=sh",), ("program",), np.array([[1.0, 0.0]]))
    other = ProfileAxes(("port=53", "port=80"), ("port",), np.eye(3)[:2])
    rows = [
        ("host", "h", DAY, "all", None, [("program=sh", 1), ("program=ls", 3), ("port=80", 9)]),
        ("user", "u", DAY, "all", None, [("program=sh", 1), ("port=80", 1), ("port=53", 3)]),
        ("host", "quiet", DAY, "all", None, None),
        ("image", "i", DAY, "all", None, [("program=sh", 1)]),
        ("nobody", "n", DAY, "all", None, [("program=sh", 1)]),
    ]
    frame = spark.createDataFrame(rows, SCHEMA).drop("features").withColumns(
        {"a": F.lit(7.0), "b": F.lit(8.0)}
    )  # fmt: skip
    rules = [
        VectorRule(F.col("entity_type") == "host", BUILTIN, ["a", *one.names], one),
        VectorRule(F.col("entity_type") == "user", BUILTIN, ["b", "a", *other.names], other),
        VectorRule(F.col("entity_type") == "image", BUILTIN, ["a"]),
    ]
    found = {row["entity_id"]: row for row in add_vector(frame.repartition(3), rules).collect()}
    assert {row["bad_feature"] for row in found.values()} == {None}
    assert found["h"]["features"] == pytest.approx([7.0, 0.5, np.sqrt(0.75)])
    assert found["u"]["features"] == pytest.approx([8.0, 7.0, np.sqrt(0.75), 0.5, 0.0])
    # Unknown, not zero, and nothing that would keep a row from being scored.
    assert found["quiet"]["features"] == [7.0, None, None]
    assert found["i"]["features"] == [7.0]
    assert found["n"]["features"] == []


def test_a_ready_feature_table_has_no_profile_to_look_at(spark: SparkSession) -> None:
    rule = VectorRule(F.lit(True), VALUES, ["x"])
    frame = spark.createDataFrame(
        [([("x", 1.5)],)], "values array<struct<name:string,value:double>>"
    )
    [row] = add_vector(frame, [rule]).collect()
    assert row["features"] == [1.5]


def test_a_fit_stores_the_axes_with_the_global_model(fitted: FitResult, model: PeerModel) -> None:
    assert model.profile is not None
    assert model.profile.terms == tuple(f"program={n}" for n in ("chrome", "cron", "nginx", "word"))
    assert model.feature_names == ("a", "b", *model.profile.names)
    assert all(row["profile_terms"] == [] for row in fitted.models if row["slice"] != "*")


def night(model: PeerModel, *rows: dict[str, int]) -> tuple[Any, list[Profiles]]:
    """Vectors of entities with usual numbers and these profiles."""
    assert model.profile is not None
    own = [Profiles.of([list(row)], [list(row.values())]) for row in rows]
    coordinates = [model.profile.coordinates(profile)[0] for profile in own]
    return np.column_stack([np.zeros((len(rows), 2)), coordinates]), own


def test_a_mix_that_nobody_has_is_strange_though_each_program_is_usual(model: PeerModel) -> None:
    rng = np.random.default_rng(1)
    usual = [mix(rng, MIXES[number % 2]) for number in range(40)]
    between = mix(rng, {"nginx": 0.55, "chrome": 0.25, "cron": 0.2})
    unseen = mix(rng, {"nginx": 0.5, "cron": 0.2, "miner": 0.3})
    values, profiles = night(model, *usual, between, unseen)
    scores = score_columns(model, values, is_weekend=False)["anomaly_score"]
    assert scores[40:].min() > 2.0
    assert np.median(scores[:40]) < 1.0
    assert scores[40:].min() > scores[:40].max()
    for place, entity in ((40, between), (41, unseen)):
        [[first, *_]] = reasons_of(model, values[[place]], [profiles[place]], 3)
        assert (first["feature"], first["unit"]) == ("profile_share", "share")
        assert first["value"] == pytest.approx(entity.get(first["term"], 0) / sum(entity.values()))
        assert first["value"] ** 0.5 - first["expected"] ** 0.5 > 0.2
        assert first["direction"] == "high"
        assert first["contribution"] > 10.0


def test_of_a_profile_what_there_is_more_of_is_told(model: PeerModel) -> None:
    values, [profile] = night(model, {"program=cron": 300, "program=nginx": 2})
    [[first, *_]] = reasons_of(model, values, [profile], 3)
    assert (first["term"], first["direction"]) == ("program=cron", "high")
    assert first["value"] > 0.9 > 0.5 > first["expected"]


def test_without_axes_the_profile_has_no_say(spark: SparkSession, fitted: FitResult) -> None:
    rng = np.random.default_rng(2)
    rows: list[Any] = [
        ("host", f"host-{n:02}", DAY, "all", rng.normal(size=1).tolist(), [("program=x", n + 1)])
        for n in range(40)
    ]
    request = fit_request(["a"], feature_set=BUILTIN)
    frame: DataFrame = spark.createDataFrame(rows, SCHEMA)
    found = fit_models(frame, request)
    assert {tuple(row["feature_names"]) for row in found.models} == {("a",)}
    assert {tuple(row["profile_terms"]) for row in found.models} == {()}
