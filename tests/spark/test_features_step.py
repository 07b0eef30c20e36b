"""Events → activity → features, on made events."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from shoal.contracts.entities import ENTITY_ACTIVITY, GAP_BINS, HOUR_SLOTS, LARGEST_SUM
from shoal.contracts.events import EVENT_TABLES
from shoal.features.activity import SiteHours, aggregate_activity
from shoal.features.daily import beacon_regularity
from shoal.features.dimensions import gap_bin
from shoal.features.entities import BUILTIN_COLUMNS
from shoal.features.slices import add_slice
from shoal.features.values import joined, peer_network
from shoal.pipelines.features import aggregated
from shoal.spark.days import Windows

DAY = date(2024, 1, 1)
HOUR_US = 3_600_000_000


def event_id(number: int) -> str:
    """An id, in the order of the numbers; like hashes, ids differ in their first half."""
    return f"{number:016x}{0:016}"


def events_of(spark: SparkSession, kind: str, rows: Sequence[dict[str, Any]]) -> DataFrame:
    """Events of one kind; a row names what is not usual, ``s`` is its second of the day."""
    usual = {"event_date": DAY, "host_name": "h", "user_name": "u", "user_domain": None}
    filled = []
    for number, row in enumerate(rows):
        ts = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=row.get("s", number))
        filled.append({"event_id": event_id(number), "event_ts": ts, **usual, **row})
    table = EVENT_TABLES[kind]
    values = [tuple(row.get(name) for name in table.column_names) for row in filled]
    # Contracts forbid some nulls that are of no concern here.
    schema = table.subset(table.column_names)
    for field in schema.fields:
        field.nullable = True
    return spark.createDataFrame(values, schema)


def activity_of(spark: SparkSession, kind: str, rows: Sequence[dict[str, Any]]) -> DataFrame:
    events = {kind: events_of(spark, kind, rows)}
    return aggregate_activity(events, entity_columns=columns_of("host", "user", "source_address"))


def columns_of(*entity_types: str) -> dict[str, str]:
    return {name: BUILTIN_COLUMNS[name] for name in entity_types}


def row_of(activity: DataFrame, entity_type: str, dimension: str, value: str = "") -> Row:
    is_wanted = (
        (F.col("entity_type") == entity_type)
        & (F.col("dimension") == dimension)
        & (F.col("value") == value)
    )
    [row] = activity.where(is_wanted).collect()
    return row


def features_of(
    activity: DataFrame,
    days: Sequence[date],
    *,
    past: Sequence[date] | None = None,
    novelty_days: int = 3,
    slices: Column | None = None,
    address_databases: Sequence[str] = (),
) -> DataFrame:
    """Features of some days that may look back on each other, or on ``past``."""
    # Activity is read from a table elsewhere; as a plan it would stand in each of a dozen branches.
    kept = activity.localCheckpoint()
    peers = (
        kept.select("entity_type", "entity_id")
        .distinct()
        .withColumns(
            {
                "slice": F.lit("all") if slices is None else slices,
                # Of containers named after it: web-1 is of the image web.
                "image": F.when(
                    F.col("entity_type") == "container",
                    F.split_part("entity_id", F.lit("-"), F.lit(1)),
                ),
            }
        )
    )
    with aggregated(
        kept,
        peers,
        Windows.of(days, days if past is None else past, max(28, novelty_days)),
        novelty_days=novelty_days,
        rare_share=0.1,
        profile_terms=5,
        home_networks=["10.0.0.0/8"],
        address_databases=address_databases,
    ) as found:
        return found.features.localCheckpoint()


def values_of(spark: SparkSession, rows: Sequence[tuple[Any, ...]], column: Column) -> list[Any]:
    names = [f"c{i}" for i in range(len(rows[0]))]
    return [row[0] for row in spark.createDataFrame(rows, names).select(column).collect()]


def test_a_profile_holds_packages_once_and_of_many_terms_the_same_everywhere(
    spark: SparkSession,
) -> None:
    def package(name: str, host: str, count: int = 1) -> list[dict[str, Any]]:
        return [{"package_name": name, "host_name": host}] * count

    many = [f"p{number}" for number in range(30)]
    rows = [row for name in many for host in ("a", "b") for row in package(name, host)]
    # However often a snapshot lists it, a package is there or is not.
    rows += package("bash", "c", 3) + package("nmap", "c")
    activity = activity_of(spark, "package", rows)
    profile = {
        row["entity_id"]: {term["term"]: term["count"] for term in row["profile"]}
        for row in features_of(activity, [DAY]).where("entity_type = 'host'").collect()
    }
    assert profile["c"] == {"package=bash": 1, "package=nmap": 1}
    # Five of thirty are kept, the same of both, and not the first ones by name.
    assert profile["a"] == profile["b"]
    assert len(profile["a"]) == 5
    assert set(profile["a"]) != {f"package={name}" for name in sorted(many)[:5]}


def test_samples_are_the_first_and_the_last_id_in_the_order_of_text(spark: SparkSession) -> None:
    ids = ["8" + "0" * 31, "0123456789abcdef" * 2, "f" * 32, "7" + "f" * 31, "0" * 31 + "1"]
    rows = [{"process_name": "a.exe", "event_id": event_id} for event_id in ids]
    row = row_of(activity_of(spark, "process", rows), "host", "program", "a.exe")
    assert row["sample_event_ids"] == [min(ids), max(ids)]
    one = activity_of(spark, "process", rows[:1])
    assert row_of(one, "host", "total")["sample_event_ids"] == ids[:1]


@pytest.mark.parametrize(
    ("hours", "count"), [(35 * 24, 1), (8, 10_000), (40 * 24, 3)], ids=["long", "many", "both"]
)
def test_long_durations_stop_at_the_largest_sum(
    spark: SparkSession, hours: int, count: int
) -> None:
    one = [{"duration_us": hours * HOUR_US, "destination_ip": "10.0.0.1", "s": 5}]
    many = events_of(spark, "network", one).withColumn(
        "event_id",
        F.explode(
            F.transform(
                F.sequence(F.lit(1), F.lit(count)),
                lambda i: F.rpad(F.lpad(F.hex(i), 16, "0"), 32, "0"),
            )
        ),
    )
    activity = aggregate_activity({"network": many}, entity_columns=columns_of("host"))
    for dimension, value in (("total", ""), ("peer_address", "10.0.0.1")):
        total = row_of(activity, "host", dimension, value)
        squared_ms2 = count * (hours * HOUR_US // 1000) ** 2
        assert total["event_count"] == total["timed_count"] == count
        assert total["duration_us"] == count * hours * HOUR_US
        assert total["duration_ms2"] == min(squared_ms2, LARGEST_SUM)


def test_sizes_stop_at_the_largest_sum_in_any_order(spark: SparkSession) -> None:
    huge = dict.fromkeys(("bytes_in", "bytes_out", "packets_in", "packets_out"), 2**62)
    small = dict.fromkeys(huge, 1)
    rows = [huge, small, huge, huge]
    for ordered in (rows, rows[::-1]):
        total = row_of(activity_of(spark, "network", ordered), "host", "total")
        assert [total[n] for n in ("bytes_in", "bytes_out", "packets")] == [LARGEST_SUM] * 3


def test_features_of_the_largest_sums_are_numbers(spark: SparkSession) -> None:
    rows = [{"bytes_in": 2**62, "bytes_out": 2**62, "duration_us": 40 * 24 * HOUR_US}] * 2
    activity = activity_of(spark, "network", rows)
    [features] = features_of(activity, [DAY]).where("entity_type = 'host'").collect()
    assert features["bytes_out_share"] == 0.5
    assert features["bytes_out_sum"] == float(2**62)
    assert math.isfinite(features["duration_sd_s"])


def test_without_durations_their_mean_and_spread_are_unknown(spark: SparkSession) -> None:
    activity = activity_of(spark, "network", [{"destination_ip": "10.0.0.1"}])
    names = ("duration_mean_s", "duration_sd_s", "bytes_out_share")
    found = features_of(activity, [DAY]).select(*names).collect()
    assert [tuple(row) for row in found] == [(None, None, None)] * 2


# Programs by host and day of the month; day 1 is DAY.
PROGRAMS = {
    1: {"a": "x", "b": "x"},
    2: {"a": "xy", "b": "x"},
    4: {"a": "xyz", "b": "y"},
    5: {"a": "z", "b": "xz", "c": "w"},
    6: {"a": "y", "c": "w"},
}


def days_of_programs(
    spark: SparkSession, programs: Mapping[int, Mapping[str, str]] = PROGRAMS
) -> DataFrame:
    rows = [
        {"event_date": DAY + timedelta(days=day - 1), "host_name": host, "process_name": program}
        for day, hosts in programs.items()
        for host, own in hosts.items()
        for program in own
    ]
    activity = activity_of(spark, "process", rows)
    return activity.where("entity_type = 'host'").persist()


def test_new_and_rare_are_by_each_days_own_window(spark: SparkSession) -> None:
    """Window of three days; w is new for c on no day: c has no past on the first of its two."""
    days = [DAY + timedelta(days=day - 1) for day in PROGRAMS]
    names = ("event_date", "entity_id", "new_program_count", "rare_program_count")
    rows = features_of(days_of_programs(spark), days).select(*names).collect()
    found = {(row[0].day, row[1]): (row[2], row[3]) for row in rows}
    assert found == {
        (1, "a"): (None, 0), (1, "b"): (None, 0),
        (2, "a"): (1, 1), (2, "b"): (0, 0),
        (4, "a"): (1, 1), (4, "b"): (1, 0),
        # Day 1 lies outside: x was last seen for a on day 4, for b on day 2.
        (5, "a"): (0, 0), (5, "b"): (1, 0), (5, "c"): (None, 1),
        (6, "a"): (0, 0), (6, "c"): (0, 1),
    }  # fmt: skip


@pytest.mark.parametrize("novelty_days", [3, 90], ids=["short", "of several longs"])
def test_days_at_once_have_the_features_of_each_day_alone(
    spark: SparkSession, novelty_days: int
) -> None:
    long_ago = DAY - timedelta(days=80)
    activity = days_of_programs(spark)
    activity = activity.unionByName(
        activity.where(F.col("event_date") == DAY).withColumn("event_date", F.lit(long_ago))
    )
    known = [long_ago, *(DAY + timedelta(days=day - 1) for day in PROGRAMS)]
    days = known[2:]
    at_once = features_of(activity, days, past=known, novelty_days=novelty_days).collect()
    alone = [
        row
        for place, day in enumerate(days, start=2)
        for row in features_of(
            activity.where(F.col("event_date") <= day), [day], past=known[:place],
            novelty_days=novelty_days,
        ).collect()
    ]  # fmt: skip
    assert len(at_once) == 9
    assert sorted(map(str, at_once)) == sorted(map(str, alone))


# A month of two slices of three hosts; d comes on the last day.
HISTORY_DAY = 29
HISTORY = {
    1: {"a": "p", "b": "p", "c": "p"},
    10: {"a": "q", "c": "r"},
    15: {"a": "ps", "b": "ps", "c": "p"},
    22: {"a": "pst", "b": "ps", "c": "p"},
    27: {"a": "p", "b": "p"},
    29: {"a": "pqruv", "b": "p", "c": "ps", "d": "pv"},
}


def test_windows_of_weeks(spark: SparkSession) -> None:
    days = [DAY + timedelta(days=day - 1) for day in HISTORY]
    slices = F.when(F.col("entity_id").isin("a", "b"), F.lit("ab")).otherwise(F.lit("cd"))
    activity = days_of_programs(spark, HISTORY)
    rows = features_of(activity, days[-1:], past=days, slices=slices).collect()
    a, b, c, d = sorted(rows, key=lambda row: row["entity_id"])
    weeks = (7, 14, 28)
    # Of a the values of all dimensions but user, which it had: programs. q is 19 days old, r new.
    assert [a[f"new_value_count_{n}d"] for n in weeks] == [4, 4, 3]
    assert [a[f"peer_new_value_count_{n}d"] for n in weeks] == [4, 4, 3]
    # c had r on day 10, none of its type u and v.
    assert [a[f"fleet_new_value_count_{n}d"] for n in weeks] == [4, 4, 2]
    assert [c[f"new_value_count_{n}d"] for n in weeks] == [1, 1, 1]
    assert [c[f"fleet_new_value_count_{n}d"] for n in weeks] == [0, 0, 0]
    # d has no past, its peers have: what is new for them is so for 28 days, too.
    assert [d[f"new_value_count_{n}d"] for n in weeks] == [None] * 3
    assert [d[f"peer_new_value_count_{n}d"] for n in weeks] == [1, 1, 1]
    # On one day of six at most: 28 days back and a share of 0.1 of them.
    assert (a["rare_day_value_count"], b["rare_day_value_count"]) == (2, 0)
    assert [a[f"program_distinct_{n}d"] for n in weeks] == [5, 7, 7]
    assert [b[f"program_distinct_{n}d"] for n in weeks] == [1, 2, 2]
    # s was there on this weekday in both weeks before.
    assert [row["lost_program_count"] for row in (a, b, c, d)] == [1, 1, 0, None]
    assert [a[f"active_days_{n}d"] for n in weeks] == [2, 3, 5]
    assert [a[f"event_count_mean_{n}d"] for n in weeks] == [3.0, 3.0, 2.4]
    # Over days 1, 10, 15, 22 and 27: 8 programs; over the same weekday days 1, 15 and 22: 6.
    assert a["event_count_change_28d"] == pytest.approx(math.log2(6 / (8 / 5 + 1)))
    assert a["event_count_change_weekday"] == pytest.approx(math.log2(6 / (6 / 3 + 1)))
    assert (d["event_count_change_28d"], d["bytes_out_change_weekday"]) == (None, None)
    assert (a["bytes_out_mean_28d"], a["bytes_out_change_28d"]) == (0, 0)


def test_what_nearly_all_peers_have_is_missed(spark: SparkSession) -> None:
    hosts = [f"h{n:02}" for n in range(20)]
    # The agent runs everywhere but on h00, who lost it, and a tool on 18 of 21.
    last = {h: ("x" if h == "h00" else "xa") + ("t" if h < "h18" else "") for h in hosts}
    programs = {1: dict.fromkeys(hosts, "xa"), 15: {**last, "new": "x"}}
    days = [DAY + timedelta(days=day - 1) for day in programs]
    rows = features_of(days_of_programs(spark, programs), days[-1:], past=days).collect()
    found = {row["entity_id"]: row["missing_program_count"] for row in rows}
    assert found == {**dict.fromkeys(hosts, 0), "h00": 1, "new": None}


def test_a_container_is_held_against_the_past_of_its_image(spark: SparkSession) -> None:
    programs = {1: {"web-1": "x"}, 2: {"web-2": "xy", "db-1": "x"}}
    days = [DAY + timedelta(days=day - 1) for day in programs]
    activity = days_of_programs(spark, programs).withColumn("entity_type", F.lit("container"))
    rows = features_of(activity, days[-1:], past=days).collect()
    found = {
        row["entity_id"]: (row["new_program_count"], row["new_value_count_28d"]) for row in rows
    }
    assert found == {"web-2": (1, 1), "db-1": (None, None)}


def test_events_alike_are_counted_as_one_by_one(spark: SparkSession) -> None:
    rows = [
        {"process_name": "a.exe", "process_parent_name": "p", "process_command_line": "x y"},
        {"process_name": "a.exe", "process_parent_name": "p"},
        {"process_name": "a.exe", "process_parent_name": "q", "s": 7200},
        {"process_name": "b.exe", "user_name": "other"},
    ]
    activity = activity_of(spark, "process", rows)
    row = row_of(activity, "host", "program", "a.exe")
    assert (row["event_count"], row["text_count"], row["text_length"]) == (3, 1, 3)
    assert row["sample_event_ids"] == [event_id(0), event_id(2)]
    assert row["hour_counts"] == [2, 0, 1] + [0] * (HOUR_SLOTS - 3)
    assert row["gap_counts"] == []
    assert (row["last_ts"] - row["first_ts"]).total_seconds() == 7200
    [user] = activity.where("entity_id = 'u' AND dimension = 'total'").collect()
    assert user["event_count"] == 3
    assert row_of(activity, "host", "user", "other")["event_count"] == 1
    assert set(activity.columns) == set(ENTITY_ACTIVITY.column_names) - {"run_id"}


def test_gaps_are_those_to_one_peer(spark: SparkSession) -> None:
    rows = [
        {"destination_ip": "10.0.0.1", "s": 0},
        {"destination_ip": "10.0.0.2", "s": 2},
        {"destination_ip": "10.0.0.1", "s": 4, "process_name": "other.exe"},
        {"destination_ip": "10.0.0.1", "s": 4},
    ]
    row = row_of(activity_of(spark, "network", rows), "host", "peer_address", "10.0.0.1")
    counts = [0] * GAP_BINS
    counts[0], counts[5] = 1, 1
    assert row["gap_counts"] == counts
    assert row["hour_counts"] == [3] + [0] * (HOUR_SLOTS - 1)


def test_hours_are_the_sites_own(spark: SparkSession) -> None:
    events = {"process": events_of(spark, "process", [{"host_name": "tk-1"}, {"host_name": "x"}])}
    sites = [SiteHours("Asia/Tokyo", ("tk-",))]
    activity = aggregate_activity(events, entity_columns=columns_of("host"), sites=sites)
    rows = activity.where("dimension = 'total'").collect()
    assert {row["entity_id"]: row["hour_counts"].index(1) for row in rows} == {"tk-1": 9, "x": 0}


def test_a_domain_without_a_user_is_nobody(spark: SparkSession) -> None:
    rows = [
        {"user_name": None, "user_domain": "corp"},
        {"user_name": "", "user_domain": "corp"},
        {"user_name": "u", "user_domain": "corp"},
        {"user_name": "u", "user_domain": None},
    ]
    activity = activity_of(spark, "process", rows).where("entity_type = 'user'")
    found = {row[0] for row in activity.select("entity_id").distinct().collect()}
    assert found == {"corp\\u", "u"}


def test_no_two_pairs_are_joined_to_one_value(spark: SparkSession) -> None:
    parts = ["a", "b", "a>", ">b", "a\\", "\\>b", "\\", ">", "a\\>", ""]
    pairs = [(left, right) for left in parts for right in parts]
    found = values_of(spark, pairs, joined(F.col("c0"), F.col("c1")))
    assert len(set(found)) == len(pairs)
    assert found[pairs.index(("a", "b"))] == "a>b"
    assert found[pairs.index(("a>", "b"))] == "a\\>>b"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("2001:db8:1::5", "2001:db8::/32"),
        ("2001:db8::5", "2001:db8::/32"),
        ("fe80::1", "fe80::/32"),
        ("fe80::", "fe80::/32"),
        ("fe80:0:1::", "fe80::/32"),
        ("fe80:100::1", "fe80:100::/32"),
        ("::1", "::/32"),
    ],
)
def test_networks_of_addresses(spark: SparkSession, address: str, network: str) -> None:
    assert values_of(spark, [(address,)], peer_network(F.col("c0"))) == [network]


def test_bins_of_gaps_are_half_octaves(spark: SparkSession) -> None:
    seconds = [0.0, 0.999, 1.0, 1.42, 2.0, 4.0, 1e9, None]
    found = values_of(
        spark, [(s,) for s in seconds], gap_bin((F.col("c0") * 1_000_000).cast("bigint"))
    )
    assert found == [0, 0, 1, 2, 3, 5, GAP_BINS - 1, None]


def regularity(spark: SparkSession, gaps: dict[int, int], hours: int = HOUR_SLOTS) -> float:
    gap_counts = [gaps.get(slot, 0) for slot in range(GAP_BINS)]
    hour_counts = [int(slot < hours) for slot in range(HOUR_SLOTS)]
    column = beacon_regularity(F.col("c0"), F.col("c1"))
    return float(values_of(spark, [(gap_counts, hour_counts)], column)[0])


def test_regularity_is_that_of_the_lasting_gaps(spark: SparkSession) -> None:
    assert regularity(spark, {11: 30}) == pytest.approx(1.0)
    assert regularity(spark, {11: 30}, hours=12) == pytest.approx(0.5)
    # One bin of lasting gaps is as regular as can be, however many bursts lie between.
    assert regularity(spark, {0: 30, 11: 30}) == pytest.approx(0.5)
    even = dict.fromkeys(range(1, GAP_BINS), 10)
    assert regularity(spark, even) == pytest.approx(0.0, abs=1e-12)
    two = 1 - math.log(2) / math.log(GAP_BINS - 1)
    assert regularity(spark, {0: 20, 3: 10, 9: 10}) == pytest.approx(two / 2)


def test_bursts_alone_and_few_gaps_are_not_regular(spark: SparkSession) -> None:
    assert regularity(spark, {0: 100}) == 0.0
    assert regularity(spark, {11: 23}) == 0.0


def test_surprise_is_what_few_of_the_slice_show_and_excess_what_its_program_does_not_explain(
    spark: SparkSession,
) -> None:
    # Ten web servers and ten build runners; all have sh, runners have gcc, one web server has it.
    rows = []
    for n in range(20):
        host = f"{'web' if n < 10 else 'ci'}-{n}"
        rows.append({"host_name": host, "process_name": "sh", "process_parent_name": "cron"})
        if n >= 10 or n == 3:
            rows.append({"host_name": host, "process_name": "gcc", "process_parent_name": "make"})
    rows.append({"host_name": "web-4", "process_name": "sh", "process_parent_name": "nginx"})
    rows.append({"host_name": "web-5", "process_name": "a>b", "process_parent_name": "c"})
    activity = activity_of(spark, "process", rows)
    slices = F.substring_index("entity_id", "-", 1)
    found = features_of(activity, [DAY], slices=slices).where("entity_type = 'host'")
    hosts = {row["entity_id"]: row for row in found.collect()}

    def bits(in_slice: int, in_all: int) -> float:
        return -math.log2((in_slice + 10 * in_all / 20) / (10 + 10))

    assert hosts["web-0"]["program_surprise_max"] == 0.0
    assert hosts["ci-10"]["program_surprise_max"] == pytest.approx(bits(10, 11), abs=1e-3)
    assert hosts["web-3"]["program_surprise_max"] == pytest.approx(bits(1, 11), abs=1e-3)
    assert hosts["web-3"]["program_surprise_sum"] == hosts["web-3"]["program_surprise_max"]
    # make>gcc is as surprising as gcc itself; nginx>sh is a new pair of a program that all have.
    assert hosts["web-3"]["parent_child_excess_surprise_max"] == 0.0
    assert hosts["web-4"]["parent_child_excess_surprise_max"] == pytest.approx(bits(1, 1), abs=1e-3)
    # A separator within a name is none.
    assert hosts["web-5"]["parent_child_excess_surprise_max"] == 0.0
    assert hosts["web-5"]["parent_child_surprise_max"] == pytest.approx(bits(1, 1), abs=1e-3)
    assert hosts["web-0"]["new_program_surprise_sum"] is None


def test_beacons_and_bytes_with_addresses_that_few_have_to_do_with(spark: SparkSession) -> None:
    common = [
        {"host_name": None, "source_ip": f"10.0.0.{n}", "destination_ip": "198.51.100.1",
         "bytes_out": 10, "s": 1800 * k}
        for n in range(12)
        for k in range(40)
    ]  # fmt: skip
    own = [
        {"host_name": None, "source_ip": "10.0.0.3", "destination_ip": "203.0.113.9",
         "bytes_out": 1000, "s": 600 * k}
        for k in range(100)
    ]  # fmt: skip
    activity = activity_of(spark, "network", [*common, *own])
    rows = features_of(activity, [DAY]).where("entity_type = 'source_address'").collect()
    found = {row["entity_id"]: row for row in rows}
    assert found["10.0.0.1"]["beacon_regularity_max"] > 0.5
    assert found["10.0.0.1"]["rare_peer_beacon_regularity_max"] == 0.0
    assert found["10.0.0.1"]["rare_peer_bytes_out_sum"] == 0.0
    assert found["10.0.0.3"]["rare_peer_beacon_regularity_max"] > 0.5
    assert found["10.0.0.3"]["rare_peer_bytes_out_sum"] == 100_000.0


LABELS = [
    ("host", "h", "role", "web"),
    ("host", "h", "site", "x"),
    ("host", "db-*", "role", "database"),
    ("host", "db-test-*", "role", "test"),
    ("host", "db-test-9", "role", "odd"),
    ("image", "registry/nginx*", "role", "web"),
    ("container", "c3", "role", "own"),
]
ENTITIES = [
    ("host", "h", None, "role=web"),
    ("host", "g", None, "all"),
    ("host", "db-1", None, "role=database"),
    ("host", "db-test-1", None, "role=test"),
    ("host", "db-test-9", None, "role=odd"),
    ("container", "c1", "registry/nginx", "role=web"),
    ("container", "c2", "registry/job", "image=registry/job"),
    ("container", "c3", "registry/nginx", "role=own"),
    ("image", "registry/nginx", None, "role=web"),
    ("source_address", "10.0.0.1", None, "inside"),
    ("source_address", "h", None, "outside"),
]


def sliced(spark: SparkSession) -> DataFrame:
    labels = spark.createDataFrame(
        LABELS, "entity_type string, entity_id string, label string, value string"
    )
    entities = spark.createDataFrame(
        [row[:3] for row in ENTITIES], "entity_type string, entity_id string, image string"
    )
    return add_slice(entities, labels, label="role", by_side=True, home_networks=["10.0.0.0/8"])


def test_an_entity_is_of_the_group_that_fits_it_closest(spark: SparkSession) -> None:
    found = {(row[0], row[1]): row[2] for row in sliced(spark).collect()}
    assert found == {row[:2]: row[3] for row in ENTITIES}


def test_labels_of_a_whole_fleet_are_not_sent_to_every_task(spark: SparkSession) -> None:
    hints = sliced(spark)._jdf.queryExecution().analyzed().toString()
    assert "ResolvedHint" not in hints
    assert "broadcast" not in hints.lower()


ALIASES = [
    ("source_address", "10.0.0.9", "host", "LAPTOP"),
    ("source_address", "10.0.0.9", "user", "ann"),
    ("host", "desk", "user", "bob"),
    ("host", "desk", "user", "zoe"),  # of another label file: no event counts twice
    ("mailbox", "cy@example.com", "user", "cy"),
]


def test_labels_say_whose_an_event_is_where_its_log_does_not(spark: SparkSession) -> None:
    nobody = {"host_name": None, "user_name": None}
    events = {
        "web": events_of(spark, "web", [
            {**nobody, "source_ip": "10.0.0.9"},
            {**nobody, "source_ip": "10.0.0.9", "user_name": "dan"},
            {**nobody, "source_ip": "10.0.0.8"},
        ]),
        "process": events_of(spark, "process", [{**nobody, "host_name": "desk"}]),
        "email": events_of(spark, "email", [{**nobody, "email_recipient": "cy@example.com"}]),
        "network": events_of(spark, "network", [{**nobody, "source_ip": "10.0.0.9"}]),
    }  # fmt: skip
    aliases = spark.createDataFrame(
        ALIASES, "entity_type string, entity_id string, label string, value string"
    )
    activity = aggregate_activity(
        events, entity_columns=columns_of("host", "user"), aliases=aliases
    )
    totals = activity.where("dimension = 'total'")
    found = {(row["entity_type"], row["entity_id"]): row["event_count"] for row in totals.collect()}
    # The connection that a sensor saw stays its address's: the laptop may report it, too.
    assert found == {
        ("host", "laptop"): 2, ("host", "desk"): 1, ("user", "ann"): 1, ("user", "dan"): 1,
        ("user", "bob"): 1, ("user", "cy"): 1,
    }  # fmt: skip
