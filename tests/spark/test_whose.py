"""Whose an event is: names of many spellings, labels, and who held an address."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from tests.spark.test_features_step import DAY, columns_of, events_of

from shoal.features.activity import aggregate_activity
from shoal.features.aliases import aliases_of
from shoal.features.holders import MOST_HOLDERS, aggregate_holders
from shoal.features.names import Names

NAMES = Names(["corp.example.com"], {"corp": ["corp.example.com", "old"]})
H = 3600
Rows = Sequence[dict[str, Any]]


def lease(address: str, hour: float, host: str) -> dict[str, Any]:
    return {"s": int(hour * H), "source_ip": address, "host_name": host}


def seen(address: str, hour: float, **more: Any) -> dict[str, Any]:
    return {"s": int(hour * H), "source_ip": address, "host_name": None, "user_name": None, **more}


def events(spark: SparkSession, **tables: Rows) -> Mapping[str, DataFrame]:
    return {table: events_of(spark, table, rows) for table, rows in tables.items()}


def held(spark: SparkSession, **tables: Rows) -> set[tuple[Any, ...]]:
    rows = aggregate_holders(events(spark, **tables), NAMES).collect()
    return {(r["source_ip"], r["holder"], hour(r["from_ts"]), hour(r["until_ts"])) for r in rows}


def hour(ts: datetime | None) -> float | None:
    return None if ts is None else (ts.replace(tzinfo=UTC) - midnight()) / timedelta(hours=1)


def midnight() -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)


def counts(activity: DataFrame, dimension: str) -> dict[tuple[str, str], int]:
    rows = activity.where(f"dimension = '{dimension}'").collect()
    return {(r["entity_id"], r["value"]): r["event_count"] for r in rows}


def test_an_address_is_its_holders_until_another_one_is_seen_with_it(spark: SparkSession) -> None:
    leases = [
        lease("10.0.0.5", 8, "a"), lease("10.0.0.5", 10, "a"), lease("10.0.0.5", 12, "b"),
        lease("10.0.0.5", 20, "a.corp.example.com"),
    ]  # fmt: skip
    assert held(spark, lease=leases) == {
        ("10.0.0.5", "a", None, 12.0), ("10.0.0.5", "b", 12.0, 20.0), ("10.0.0.5", "a", 20.0, None),
    }  # fmt: skip


def test_of_an_address_with_leases_logons_tell_nothing(spark: SparkSession) -> None:
    logons = [
        {"source_ip": "10.0.0.5", "source_host_name": "liar"},
        {"source_ip": "10.0.0.6", "source_host_name": "b"},
        {"source_ip": "10.0.0.6"},
        {"source_host_name": "c"},
    ]
    found = held(spark, lease=[lease("10.0.0.5", 8, "a")], auth=logons)
    assert found == {("10.0.0.5", "a", None, None), ("10.0.0.6", "b", None, None)}


def test_a_shared_address_is_nobodys(spark: SparkSession) -> None:
    def passed_on(times: int) -> Rows:
        return [lease("10.0.0.1", n, f"h{n}") for n in range(times)]

    assert len(held(spark, lease=passed_on(MOST_HOLDERS))) == MOST_HOLDERS
    assert held(spark, lease=passed_on(MOST_HOLDERS + 1)) == set()
    # Two at one moment count as two, and an end nobody can tell.
    at_once = [lease("10.0.0.1", 1, "a"), lease("10.0.0.1", 1, "b")]
    assert held(spark, lease=at_once) == {("10.0.0.1", "b", None, None)}


def test_what_a_sensor_saw_is_the_holders_where_no_label_says_more(spark: SparkSession) -> None:
    queries = [
        seen("10.0.0.5", 9, dns_question_name="x.example.com"),
        seen("10.0.0.5", 13, dns_question_name="y.example.com"),
        seen("10.0.0.7", 9, dns_question_name="z.example.com"),
        seen("10.0.0.9", 9, dns_question_name="w.example.com"),
    ]
    labels = spark.createDataFrame(
        [
            ("source_address", "10.0.0.7", "host", "Printer.corp.example.com"),
            ("host", "a", "user", "corp\\ann"),
        ],
        "entity_type string, entity_id string, label string, value string",
    )
    leases = [
        lease("10.0.0.5", 8, "a"), lease("10.0.0.5", 12, "b"), lease("10.0.0.7", 8, "other")
    ]  # fmt: skip
    activity = aggregate_activity(
        events(spark, dns=queries),
        entity_columns=columns_of("host", "user"),
        names=NAMES,
        aliases=aliases_of(labels, NAMES),
        holders=aggregate_holders(events(spark, lease=leases), NAMES),
    )
    totals = activity.where("dimension = 'total'").collect()
    # Of the last address nobody knows anything; the first holder's user is known by a label.
    assert {(r["entity_type"], r["entity_id"], r["event_count"]) for r in totals} == {
        ("host", "a", 1), ("host", "b", 1), ("host", "printer", 1), ("user", "corp\\ann", 1),
    }  # fmt: skip


def test_spellings_of_one_machine_and_one_account_are_one(spark: SparkSession) -> None:
    logons = [
        {"host_name": "ws1", "user_name": "ann", "user_domain": "corp"},
        {"host_name": "ws1.corp.example.com", "user_name": "ann"}
        | {"user_domain": "corp.example.com", "target_host_name": "files.corp.example.com"},
        {"host_name": "ws1.elsewhere.example", "user_name": "ann", "user_domain": "old"},
        {"host_name": "ws1", "user_name": "ann", "user_domain": "other"},
    ]
    activity = aggregate_activity(
        events(spark, auth=logons), entity_columns=columns_of("host", "user"), names=NAMES
    )
    assert counts(activity, "total") == {
        ("ws1", ""): 3, ("ws1.elsewhere.example", ""): 1, ("corp\\ann", ""): 3,
        ("other\\ann", ""): 1,
    }  # fmt: skip
    assert counts(activity, "target_host") == {("ws1", "files"): 1, ("corp\\ann", "files"): 1}


def test_an_account_that_is_known_by_its_id_alone_is_named_by_a_label(spark: SparkSession) -> None:
    sid = "s-1-5-21-1-2-3-1001"
    logons = [
        {"user_name": None, "user_id": sid},
        {"user_name": None, "user_id": "s-1-5-18"},
        {"user_name": "bob", "user_id": sid},
    ]
    labels = spark.createDataFrame(
        [("user_id", sid, "user", "CORP\\Ann")],
        "entity_type string, entity_id string, label string, value string",
    )
    activity = aggregate_activity(
        events(spark, auth=logons),
        entity_columns=columns_of("user"),
        aliases=aliases_of(labels, NAMES),
    )
    assert counts(activity, "total") == {("corp\\ann", ""): 1, ("bob", ""): 1}
