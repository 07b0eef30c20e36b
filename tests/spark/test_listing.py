"""Who comes on the list, in which lane, and which peers share its reasons."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.support.equality import same

from shoal.hunt.explain import explain_entity
from shoal.hunt.lists import list_outliers
from shoal.kernels.reasons import Explanations
from shoal.models import reasons
from shoal.models.listing import EarlierLine, Said, choose_lines, pool_of
from shoal.models.reasons import add_peer_counts, add_reasons
from shoal.models.scoring import add_golden_shift, add_past, add_self_p_value
from shoal.models.suppressions import Suppression
from shoal.models.thresholds import ListPolicy
from shoal.models.verdicts import MOST_SHIFT, Verdict
from shoal.pipelines.context import Context

NIGHT = date(2024, 2, 1)
SCORES = (
    "event_date date, entity_type string, entity_id string, slice string, p_value double, "
    "anomaly_score double, self_p_value double, golden_score double, golden_shift double"
)
POLICY = ListPolicy(capacity=3, max_p_value=0.05)


def scores_of(
    spark: SparkSession,
    scores: Mapping[str, float],
    *,
    back: int = 0,
    self_p: float | None = 0.9,
    golden: Mapping[str, float] | None = None,
) -> DataFrame:
    """Scores of a night ``back`` nights ago by entity, and those of a frozen model."""
    day = NIGHT - timedelta(days=back)
    frozen = golden or {}
    rows = [
        (day, "host", name, "all", 10**-s, s, self_p, frozen.get(name), None)
        for name, s in scores.items()
    ]
    return spark.createDataFrame(rows, SCORES)


def past_of(spark: SparkSession, scores: Mapping[str, float], nights: int) -> DataFrame:
    frame = scores_of(spark, {})
    for back in range(1, nights + 1):
        frame = frame.unionAll(scores_of(spark, scores, back=back))
    return frame


def lines_of(
    scores: DataFrame,
    past: DataFrame | None = None,
    earlier: Mapping[Any, EarlierLine] | None = None,
    *,
    scored: int = 1,
    nights: int = 1,
) -> list[dict[str, Any]]:
    """The lists of the last ``nights``, of scores whose past is ``past`` and each other."""
    past = past if past is not None else scores.where("false")
    with_past = add_past(scores, past, past_days=28, max_p_value=POLICY.max_p_value)
    days = {NIGHT - timedelta(days=back): scored for back in range(nights)}
    pool = pool_of(with_past, POLICY, [])
    return choose_lines(pool, POLICY, earlier or {}, days)


def lanes(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["entity_id"], line["lane"]) for line in lines]


def test_the_standing_never_crowd_out_the_strays(spark: SparkSession) -> None:
    standing = {f"standing{i}": 5.0 for i in range(10)}
    strays = {f"stray{i}": 2.0 for i in range(5)}
    lines = lines_of(scores_of(spark, standing | strays), past_of(spark, standing, 11))
    assert lanes(lines) == [
        *((f"stray{i}", "stray") for i in range(3)),
        *((f"standing{i}", "standing") for i in range(3)),
    ]
    assert [line["rank"] for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("past_score", "nights", "self_p", "lane"),
    [
        (2.0, 5, 0.9, "standing"),
        (2.0, 4, 0.9, "stray"),
        (2.0, 5, 0.1, "stray"),
        (2.0, 5, None, "stray"),
        (1.0, 9, 0.9, "stray"),
    ],
    ids=["standing", "too few nights", "strange for itself", "no past of its own", "not strange"],
)
def test_who_stands(
    spark: SparkSession, past_score: float, nights: int, self_p: float | None, lane: str
) -> None:
    past = past_of(spark, {"h": past_score}, nights)
    assert lanes(lines_of(scores_of(spark, {"h": 2.5}, self_p=self_p), past)) == [("h", lane)]


def test_who_has_risen_since_its_newest_night_does_not_stand(spark: SparkSession) -> None:
    past = past_of(spark, {"risen": 2.0, "same": 3.0}, 6)
    # The one before the newest was higher; only the newest counts.
    older = scores_of(spark, {"risen": 9.0, "same": 0.5}, back=7)
    tonight = scores_of(spark, {"risen": 3.0, "same": 3.0})
    lines = lines_of(tonight, past.unionAll(older))
    assert lanes(lines) == [("risen", "stray"), ("same", "standing")]


def test_who_moves_against_the_frozen_model_alone_is_told_after_three_nights(
    spark: SparkSession,
) -> None:
    """Usual for the model that learns: those whose peers moved as well are no news."""
    usual = dict.fromkeys(("alone", "once", "peer1", "peer2", "peer3", "peer4", "peer5"), 0.5)
    far = dict.fromkeys(usual, 2.2)  # the whole fleet has drifted somewhat
    nights = scores_of(spark, {})
    for back in range(4):
        golden = far | {"alone": 4.0} | ({"once": 5.0} if back == 0 else {})
        nights = nights.unionAll(scores_of(spark, usual, back=back, golden=golden))
    shifted = add_golden_shift(nights.drop("golden_shift"))
    is_tonight = F.col("event_date") == NIGHT
    lines = lines_of(shifted.where(is_tonight), shifted.where(~is_tonight))
    assert lanes(lines) == [("alone", "moved")]
    assert lines[0]["policy"] == "moved on 3 of 7 nights"
    assert lines[0]["expected_by_chance"] is None
    assert lines[0]["golden_shift"] == pytest.approx(4.0 - 2.2)
    # Two nights of it are none.
    since = F.col("event_date") > NIGHT - timedelta(days=2)
    assert lines_of(shifted.where(is_tonight), shifted.where(~is_tonight & since)) == []
    # Without a frozen model nobody moves.
    bare = scores_of(spark, usual)
    assert lines_of(add_golden_shift(bare.drop("golden_shift"))) == []


def test_who_has_moved_and_finds_no_room_among_the_strays_is_told_all_the_same(
    spark: SparkSession,
) -> None:
    tonight = {f"stray{number}": 3.0 for number in range(4)} | {"taught": 1.5}
    nights = scores_of(spark, {})
    for back in range(4):
        golden = dict.fromkeys(tonight, 2.2) | {"taught": 4.0}
        nights = nights.unionAll(scores_of(spark, tonight, back=back, golden=golden))
    shifted = add_golden_shift(nights.drop("golden_shift"))
    is_tonight = F.col("event_date") == NIGHT
    with_past = add_past(
        shifted.where(is_tonight), shifted.where(~is_tonight), past_days=28, max_p_value=0.001
    )
    pool = pool_of(with_past, POLICY, [])
    lines = choose_lines(pool, POLICY, {}, {NIGHT: 5})
    assert lanes(lines) == [*((f"stray{n}", "stray") for n in range(3)), ("taught", "moved")]
    assert [line["rank"] for line in lines] == [1, 2, 3, 4]


def test_what_the_last_list_knew_goes_on(spark: SparkSession) -> None:
    earlier = {
        ("host", "a"): EarlierLine(3, 2.0, "case-a"),
        ("host", "b"): EarlierLine(1, 2.5, "case-b"),
    }
    tonight = scores_of(spark, {"a": 3.0, "b": 2.6, "c": 2.4})
    lines = lines_of(tonight, earlier=earlier, scored=50)
    assert [(line["change"], line["days_in_row"]) for line in lines] == [
        ("raised", 4), ("unchanged", 2), ("new", 1),
    ]  # fmt: skip
    assert [line["case_id"] for line in lines][:2] == ["case-a", "case-b"]
    assert lines[0]["expected_by_chance"] == pytest.approx(50 * 10**-3.0)
    assert not {"strange_nights", "last_score", "past_nights", "place"} & set(lines[0])


def test_nights_at_once_are_listed_one_after_the_other(spark: SparkSession) -> None:
    """Each has its own capacity, and knows the list of the night before it."""
    nights = [{"a": 3.0, "b": 2.0}, {"a": 2.9, "c": 5.0}, {"b": 4.0, "a": 4.5}]
    frames = [scores_of(spark, night, back=2 - at) for at, night in enumerate(nights)]
    lines = lines_of(
        frames[2].unionAll(frames[0]).unionAll(frames[1]),
        earlier={("host", "b"): EarlierLine(7, 2.0, "case-b")},
        nights=3,
    )
    found = [(x["event_date"].day, x["entity_id"], x["days_in_row"], x["change"]) for x in lines]
    first = (NIGHT - timedelta(days=2)).day
    assert found == [
        (first, "a", 1, "new"), (first, "b", 8, "unchanged"),
        (first + 1, "c", 1, "new"), (first + 1, "a", 2, "unchanged"),
        (NIGHT.day, "a", 3, "raised"), (NIGHT.day, "b", 1, "new"),
    ]  # fmt: skip
    assert lines[1]["case_id"] == "case-b" != lines[-1]["case_id"]


def said_of(verdict: str, *, of: str = "somebody", **others: Any) -> Verdict:
    """A verdict on a day carried by the reason ``of`` its name."""
    facts = {
        "verdict_id": f"{verdict} {of}", "event_date": NIGHT - timedelta(days=1),
        "entity_type": "host", "entity_id": of, "verdict": verdict, "scope": "pattern",
        "anomaly_score": 3.0, "reasons": reasons_by(of), "evidence": None,
        "effective_date": NIGHT, "expiry_date": None, **others,
    }  # fmt: skip
    return Verdict(**facts)


def reasons_by(name: str) -> list[dict[str, Any]]:
    return [{"feature": name, "term": None, "direction": "high", "contribution": 9.0}]


def heeding_pool(
    spark: SparkSession, scores: Mapping[str, float], carried_by: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The pool of a night that heeds something, each entity carried by a reason."""
    tonight = scores_of(spark, scores)
    with_past = add_past(tonight, tonight.where("false"), past_days=28, max_p_value=0.05)
    pool = pool_of(with_past, POLICY, [], is_heeding=True)
    return [{**row, "reasons": reasons_by(carried_by[row["entity_id"]])} for row in pool]


def test_verdicts_move_places_and_let_in_who_is_just_under_the_line(spark: SparkSession) -> None:
    scores = {"a": 3.0, "b": 2.5, "c": 1.5, "d": 1.0, "e": 0.2}
    carried = {"a": "patch", "b": "else", "c": "patch", "d": "beacon", "e": "beacon"}
    pool = heeding_pool(spark, scores, carried)
    assert [row["entity_id"] for row in pool] == ["a", "b", "c", "d"]  # e is too far from the line
    said = Said([said_of("benign", of="patch"), said_of("malicious", of="beacon")])
    lines = choose_lines(pool, POLICY, {}, {NIGHT: 5}, said={NIGHT: said})
    # c falls below the line; the scores stay what they are.
    assert lanes(lines) == [("b", "stray"), ("a", "stray"), ("d", "stray")]
    assert [line["anomaly_score"] for line in lines] == [2.5, 3.0, 1.0]
    assert [line["verdict_ids"] for line in lines] == [
        None, ["benign patch"], ["malicious beacon"],
    ]  # fmt: skip
    assert lines[0]["verdict_shift"] is None
    assert -MOST_SHIFT < lines[1]["verdict_shift"] < 0.0 < lines[2]["verdict_shift"] < MOST_SHIFT
    # A night that heeds nothing is as it was.
    assert lanes(choose_lines(pool, POLICY, {}, {NIGHT: 5})) == [
        ("a", "stray"), ("b", "stray"), ("c", "stray"),
    ]  # fmt: skip


def test_what_is_hidden_comes_last_and_takes_nobodys_place(spark: SparkSession) -> None:
    scores = {f"h{n}": 9.0 - n for n in range(7)}
    pool = heeding_pool(spark, scores, {name: name for name in scores})
    rule = Suppression(
        "rule", "host", "entity", "h0", "known", "ann", NIGHT, NIGHT + timedelta(days=1)
    )
    said = Said([said_of("benign", of="h2", anomaly_score=6.5)], [rule])
    lines = choose_lines(pool, POLICY, {}, {NIGHT: 7}, said={NIGHT: said})
    found = [(line["rank"], line["entity_id"], line["suppressed_by"]) for line in lines]
    assert found == [
        (1, "h1", None), (2, "h3", None), (3, "h4", None), (4, "h0", "rule"),
        (5, "h2", "benign h2"),
    ]  # fmt: skip
    # Ten times rarer than it was when it was called benign, it is told again.
    said = Said([said_of("benign", of="h2", anomaly_score=5.5)])
    lines = choose_lines(pool, POLICY, {}, {NIGHT: 7}, said={NIGHT: said})
    assert ("h2", None) in [(line["entity_id"], line["suppressed_by"]) for line in lines]


def test_a_slice_has_no_more_lines_than_it_may_and_others_take_their_places(
    spark: SparkSession,
) -> None:
    names = {f"web{n}": 9.0 - n / 10 for n in range(30)} | {
        f"db{n}": 3.0 - n / 10 for n in range(4)
    }
    of_web = F.when(F.col("entity_id").startswith("web"), F.lit("web")).otherwise(F.lit("db"))
    tonight = scores_of(spark, names).withColumn("slice", of_web)
    with_past = add_past(tonight, tonight.where("false"), past_days=28, max_p_value=0.05)
    policy = replace(POLICY, slice_capacity={"web": 1, "other": 0})
    lines = choose_lines(pool_of(with_past, policy, []), policy, {}, {NIGHT: 34})
    assert [line["entity_id"] for line in lines] == ["web0", "db0", "db1"]
    assert lines[0]["policy"] == "capacity 3 (1 of the slice), p <= 0.05"
    none = replace(POLICY, slice_capacity={"web": 0, "db": 1})
    lines = choose_lines(pool_of(with_past, none, []), none, {}, {NIGHT: 34})
    assert [line["entity_id"] for line in lines] == ["db0"]


def test_equal_scores_go_by_key_whatever_the_partitions(spark: SparkSession) -> None:
    tonight = scores_of(spark, {"d": 2.0, "b": 2.0 + 1e-9, "c": 2.0 - 1e-9, "a": 2.0, "e": 0.1})
    for n in (1, 3):
        assert [line["entity_id"] for line in lines_of(tonight.repartition(n))] == ["a", "b", "c"]


def test_self_p_value_goes_from_what_peers_say_to_what_its_own_past_says(
    spark: SparkSession,
) -> None:
    # By a last digit stranger than its past: as strange, all the same.
    tonight = scores_of(spark, {"a": 0.3 + 1e-9, "b": 2.0, "new": 2.0})
    past = past_of(spark, {"a": 0.3, "b": 0.3}, 9)
    with_past = add_past(tonight, past, past_days=28, max_p_value=0.05)
    scored = add_self_p_value(with_past, prior_nights=5)
    found = {row["entity_id"]: row["self_p_value"] for row in scored.collect()}
    as_peers = 5 * 10**-0.3
    expected = {"a": (9 + as_peers) / 14, "b": 5 * 0.01 / 14, "new": 0.01}
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_past_of_a_night_is_its_window_whether_stored_or_scored_at_once(
    spark: SparkSession,
) -> None:
    stored = past_of(spark, {"a": 2.0}, 9).where(F.col("event_date") < NIGHT - timedelta(days=2))
    # An entity without a score that night has a row, and that night is none of its past.
    none = scores_of(spark, {"a": 0.0}, back=2).select(
        *(F.lit(None).cast(f.dataType).alias(f.name) if "p_value" in f.name or "score" in f.name
          else F.col(f.name) for f in scores_of(spark, {}).schema)
    )  # fmt: skip
    nights = none.unionAll(scores_of(spark, {"a": 1.0}, back=1)).unionAll(
        scores_of(spark, {"a": 1.5})
    )
    found = add_past(nights, stored, past_days=5, max_p_value=0.05).orderBy("event_date")
    rows = [
        (r["past_nights"], r["as_strange_nights"], r["strange_nights"], r["last_score"])
        for r in found.collect()
    ]
    assert rows == [(5, 0, 5, 2.0), (4, 4, 4, 2.0), (4, 3, 3, 1.0)]


@pytest.fixture
def one_reason(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Models that give every row one reason: its first feature is high, 1 expected."""

    def explain(_: Any, values: Any, **__: Any) -> Any:
        ranked = np.array([[4.0, -np.inf]])
        return Explanations(ranked, ranked > 0, ranked, np.ones_like(values), np.array([4.0]))

    monkeypatch.setattr(reasons, "explain_rows", explain)
    model = SimpleNamespace(
        feature_set="builtin",
        feature_names=("event_count", "auth_count"),
        geometry=None,
        profile=None,
        n_profile=0,
    )
    return lambda kinds: SimpleNamespace(
        find=lambda kind, _: model if kind in kinds else None, find_golden=lambda *_: None
    )


def test_peers_are_those_scored_tonight_in_the_slice(
    spark: SparkSession, one_reason: Callable[..., Any]
) -> None:
    days = [
        ("host", "me", "x", [7.0, 1.0], 2),
        ("host", "as-high", "x", [7.0, None], None),
        ("host", "lower", "x", [6.0, 1.0], 1),
        ("host", "unknown", "x", [None, 1.0], 1),
        ("host", "unscored", "x", [9.0, 1.0], 1),
        ("host", "nan", "x", [float("nan"), 1.0], 1),
        ("host", "elsewhere", "y", [9.0, 1.0], 1),
        ("user", "me", "x", [9.0], 1),
    ]
    novelty = ", ".join(f"new_{name}_count double" for name in reasons.DIMENSION_NAMES)
    schema = (
        "event_date date, entity_type string, entity_id string, slice string, "
        f"features array<double>, {novelty}, profile array<struct<term:string,count:bigint>>"
    )
    unseen = [None] * (len(reasons.DIMENSION_NAMES) - 1)  # The first dimension's alone is known.
    rows = [(NIGHT, *day[:4], day[4] and float(day[4]), *unseen, None) for day in days]
    # Another night that is listed at once: who is as high then is no peer of tonight.
    rows.append(
        (NIGHT - timedelta(days=1), "host", "other-night", "x", [9.0, 1.0], 1.0, *unseen, None)
    )
    entity_days = spark.createDataFrame(rows, schema).repartition(3)
    scores = entity_days.where("entity_id NOT IN ('unscored', 'nan')")
    lines = [
        {"event_date": NIGHT, "entity_type": k, "entity_id": "me", "slice": "x"}
        for k in ("user", "host")
    ]
    models = {NIGHT: one_reason({"host"})}
    explained = add_reasons(lines, entity_days, models, top=3)
    user, host = add_peer_counts(explained, entity_days, scores, models)
    assert user["reasons"] == []
    assert (host["novelty"], user["novelty"]) == (2, 1)
    [reason] = host["reasons"]
    assert (reason["peers_sharing"], reason["peers"]) == (1, 2)
    assert (reason["feature"], reason["value"], reason["expected"]) == ("event_count", 7.0, 1.0)


def test_without_peers_the_counts_are_zero(
    spark: SparkSession, one_reason: Callable[..., Any]
) -> None:
    novelty = ", ".join(f"0.0D AS new_{name}_count" for name in reasons.DIMENSION_NAMES)
    alone = spark.sql(
        f"SELECT DATE '{NIGHT}' AS event_date, 'host' AS entity_type, 'me' AS entity_id, "
        f"'x' AS slice, "
        f"array(7.0D, 1.0D) AS features, {novelty}, "
        "CAST(NULL AS array<struct<term:string,count:bigint>>) AS profile"
    )
    line = {"event_date": NIGHT, "entity_type": "host", "entity_id": "me", "slice": "x"}
    models = {NIGHT: one_reason({"host"})}
    explained = add_reasons([line], alone, models, top=3)
    [found] = add_peer_counts(explained, alone, alone, models)
    assert (found["reasons"][0]["peers_sharing"], found["reasons"][0]["peers"]) == (0, 0)
    assert add_reasons([], alone, models, top=3) == []
    assert add_peer_counts([], alone, alone, models) == []


def test_an_entity_is_explained_as_it_was_listed(windows_nights: Context) -> None:
    lines = list_outliers(windows_nights.warehouse, None, limit=1).lines
    [line] = lines
    _, found = explain_entity(
        windows_nights.warehouse,
        line["entity_id"],
        line["event_date"],
        entity_type=line["entity_type"],
        top=windows_nights.settings.outliers.reasons,
    )
    assert same(found["reasons"], line["reasons"], 1e-9)
    assert line["reasons"]
    for reason in found["reasons"]:
        assert 0 <= reason["peers_sharing"] <= reason["peers"]
        assert reason["peers"] > 0
