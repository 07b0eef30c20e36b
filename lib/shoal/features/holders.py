"""Which host held an address at what time, by leases and logons.

Both tell what a client says of itself, so a label of the address goes before them.
"""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.features.names import Names, short_host

MOST_HOLDERS = 4
"""An address that changes hands more often in a day is shared (a gateway, a terminal server)."""
_ADDRESS_DAY = ["event_date", "source_ip"]
_SIGHTED = {"lease": "host_name", "auth": "source_host_name"}
"""Tables that tell who has an address, and the column that does so; the first known one rules."""
HOLDER_TABLES = frozenset(_SIGHTED)


def aggregate_holders(events: Mapping[str, DataFrame], names: Names) -> DataFrame:
    """Aggregate leases and logons to who held each address, from when until when.

    A host holds an address from when it is seen with it until another one is; the day's first
    holder had it before that, too. Of an address with leases its logons tell nothing, and of one
    with more than ``MOST_HOLDERS`` changes a day nobody is told.

    Parameters
    ----------
    events : normalised events by table; of them ``lease`` and ``auth`` are read

    Returns
    -------
    address × time: ``event_date``, ``source_ip``, ``holder``, ``from_ts`` and ``until_ts``, null
    where nothing bounds it. No two rows of an address overlap.
    """
    sightings = [
        events[table]
        .where(F.col("source_ip").isNotNull() & F.col(column).isNotNull())
        .select(
            *_ADDRESS_DAY,
            "event_ts",
            short_host(F.col(column), names).alias("holder"),
            F.lit(rank).alias("rank"),
        )
        for rank, (table, column) in enumerate(_SIGHTED.items())
        if table in events
    ]
    of_address = Window.partitionBy(*_ADDRESS_DAY)
    in_order = of_address.orderBy("event_ts", "holder")
    changes = (
        reduce(DataFrame.unionByName, sightings)
        .withColumn("best", F.min("rank").over(of_address))
        .where(F.col("rank") == F.col("best"))
        .withColumn("last_holder", F.lag("holder").over(in_order))
        .where(F.col("last_holder").isNull() | (F.col("last_holder") != F.col("holder")))
        # Of two at one moment neither is known to be the last.
        .groupBy(*_ADDRESS_DAY, "event_ts")
        .agg(F.max("holder").alias("holder"), F.count(F.lit(1)).alias("changes"))
    )
    held_from = F.when(F.row_number().over(of_address.orderBy("event_ts")) > 1, F.col("event_ts"))
    return (
        changes.withColumn("all_changes", F.sum("changes").over(of_address))
        .where(F.col("all_changes") <= MOST_HOLDERS)
        .select(
            *_ADDRESS_DAY,
            "holder",
            held_from.alias("from_ts"),
            F.lead("event_ts").over(of_address.orderBy("event_ts")).alias("until_ts"),
        )
    )


def add_holder(events: DataFrame, holders: DataFrame) -> DataFrame:
    """Add ``holder``, the host that held an event's ``source_ip``; event in and out.

    Null where nobody is known to.
    """
    at = F.col("event_ts")
    is_then = (F.col("from_ts").isNull() | (F.col("from_ts") <= at)) & (
        F.col("until_ts").isNull() | (at < F.col("until_ts"))
    )
    own = holders.withColumnsRenamed({name: f"holder_{name}" for name in _ADDRESS_DAY})
    is_own = reduce(
        lambda found, name: found & (events[name] == own[f"holder_{name}"]),
        _ADDRESS_DAY,
        is_then,
    )
    return events.join(own, is_own, how="left").drop(
        *(f"holder_{name}" for name in _ADDRESS_DAY), "from_ts", "until_ts"
    )
