"""What a day costs of which one entity has most rows, against a day of as many rows of all alike.

As a features step does it: activity from events, into its table, and features from that.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.config import load_settings
from shoal.contracts import ENTITY_ACTIVITY
from shoal.contracts.events import EVENT_TABLES
from shoal.features.activity import aggregate_activity
from shoal.features.entities import BUILTIN_COLUMNS
from shoal.pipelines.features import aggregated
from shoal.spark.days import Windows
from shoal.spark.tables import Warehouse, apply_contracts, open_warehouse

DAY = date(2026, 3, 5)
ENTITIES = 2_000
VALUES = 50
"""Values of each dimension that an entity of a balanced day shows."""


@contextmanager
def skewed_and_balanced(
    spark: SparkSession, *, kind: str, n_rows: int, share: float, is_one_value: bool = False
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Work of a skewed day and of a balanced one.

    Both have as many rows, and as many pairs of entity and value but where all are of one value.

    Parameters
    ----------
    kind : table of the events
    share : of the rows, and of the pairs, that are of one entity
    is_one_value : whether that entity's rows all show one value
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings("conf/local.yaml", [f"storage.path={folder}/warehouse"])
        warehouse = open_warehouse(spark, settings)
        apply_contracts(warehouse, [ENTITY_ACTIVITY])
        works = []
        for name, own in (("skewed", share), ("balanced", 0.0)):
            rows = _events(spark, kind, n_rows, own, is_one_value=is_one_value)
            path = f"{folder}/{name}"
            rows.write.parquet(path)
            works.append(_features_of(warehouse, kind, path))
        yield works[0], works[1]


def _features_of(warehouse: Warehouse, kind: str, path: str) -> Callable[[], None]:
    """The features step of a day of events."""
    entity = {"network": "source_address", "process": "host"}[kind]

    def work() -> None:
        events = {kind: warehouse.spark.read.parquet(path)}
        activity = aggregate_activity(events, entity_columns={entity: BUILTIN_COLUMNS[entity]})
        own = activity.withColumn("run_id", F.lit("bench")).select(*ENTITY_ACTIVITY.column_names)
        warehouse.replace_days(own, ENTITY_ACTIVITY, [DAY])
        written = warehouse.read_days(ENTITY_ACTIVITY, DAY, DAY)
        peers = (
            written.where(F.col("dimension") == "total")
            .select("entity_type", "entity_id")
            .distinct()
            .withColumns({"slice": F.lit("all"), "image": F.lit(None).cast("string")})
        )
        with aggregated(
            written, peers, Windows.of([DAY], [DAY], 28), novelty_days=14, rare_share=0.01,
            profile_terms=2000, home_networks=["10.0.0.0/8"],
        ) as found:  # fmt: skip
            found.features.write.format("noop").mode("overwrite").save()

    return work


def _events(
    spark: SparkSession, kind: str, n_rows: int, share: float, *, is_one_value: bool
) -> DataFrame:
    """Rows of an event table; row n is of pair n modulo the number of pairs."""
    pairs = ENTITIES * VALUES
    pair = F.col("id") % pairs
    is_hot = pair < int(share * pairs)
    entity = F.when(is_hot, F.lit(0)).otherwise(pair % ENTITIES)
    of_many = F.when(F.lit(is_one_value), F.lit(0)).otherwise(pair)
    value = F.when(is_hot, of_many).otherwise(F.floor(pair / ENTITIES)).cast("int")
    # Rows of a pair come one after the other, all day long.
    second = F.col("id") * (86_400.0 / n_rows)
    columns = {
        "event_date": F.lit(DAY),
        "event_ts": F.timestamp_seconds(F.lit(1_772_668_800) + second),
        "event_id": F.md5(F.col("id").cast("string")),
        **{"network": _connection, "process": _launch}[kind](entity, value),
    }
    return spark.range(n_rows).select(
        *(columns.get(c.name, F.lit(None)).cast(c.type).alias(c.name)
          for c in EVENT_TABLES[kind].columns)
    )  # fmt: skip


def _connection(entity: Column, value: Column) -> Mapping[str, Column]:
    network = F.concat_ws(".", F.lit(11) + F.floor(value / 65_536), F.floor(value / 256) % 256,
                          value % 256, F.lit("7"))  # fmt: skip
    return {
        "source_ip": F.concat_ws(".", F.lit("10.0"), F.floor(entity / 256), entity % 256),
        "destination_ip": network,
        "destination_port": 1 + value % 65_000,
        "network_transport": F.lit("tcp"),
        "network_protocol": F.lit("ssl"),
        "network_direction": F.lit("outbound"),
        "is_failed": F.lit(False),
        "bytes_out": F.col("id") % 10_000,
        "bytes_in": F.col("id") % 7_000,
        "duration_us": F.col("id") % 1_000_000,
    }


def _launch(entity: Column, value: Column) -> Mapping[str, Column]:
    program = F.concat(F.lit("p"), value, F.lit(".exe"))
    return {
        "host_name": F.concat(F.lit("ws"), entity),
        "user_name": F.concat(F.lit("user"), entity),
        "process_name": program,
        "process_path": F.concat(F.lit("C:\\Tools\\"), program),
        "process_command_line": F.concat(program, F.lit(" --number "), F.col("id") % 100),
        "process_parent_name": F.lit("explorer.exe"),
    }
