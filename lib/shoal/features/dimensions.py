"""What an event shows: the dimensions of its table, and their values."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts.entities import GAP_BINS
from shoal.features.entities import is_itself
from shoal.features.kinds import Columns, TableKind
from shoal.features.values import cut


def explode_dimensions(
    entity_events: DataFrame, table: str, kind: TableKind, entity_types: Sequence[str]
) -> DataFrame:
    """Rows of an entity in → one row for each dimension they show, those with gaps apart."""
    return (
        entity_events.withColumn("pair", F.explode(F.array(*_pairs(table, kind))))
        .select("*", "pair.dimension", "pair.value")
        .where(F.col("value").isNotNull() & ~is_itself(entity_types))
        .withColumn("value", cut(F.col("value")))
    )


def _pairs(table: str, kind: TableKind) -> list[Column]:
    """The (dimension, value) pairs of an entity's event; the value is null where it has none."""
    action = F.col("event_action")
    values: list[tuple[str, Column]] = [
        ("total", F.lit("")),
        ("category", F.concat_ws("_", F.lit(table), action)),
        ("user", F.col("account")),
        ("host", F.col("host_name")),
        ("image", F.col("image")),
    ]

    def add(columns: Columns, condition: Column, is_flag: bool = False) -> None:
        for name, column in columns.items():
            if is_flag:
                values.append(("flag", F.when(condition & column, name)))
            else:
                values.append((name, F.when(condition, column)))

    add(kind.dimensions(), action.isNull())
    add(kind.flags(), action.isNull(), is_flag=True)
    of_actions: Mapping[str, Columns] = kind.of_actions()
    for name, columns in of_actions.items():
        add(columns, action == name)
    for name, flags in kind.flags_of_actions.items():
        add(flags(), action == name, is_flag=True)
    return [
        F.struct(F.lit(name).alias("dimension"), value.alias("value")) for name, value in values
    ]


def gap_bin(gap_us: Column) -> Column:
    """Half-octave bin of a gap in microseconds; see ``GAP_BINS``. Null stays null."""
    seconds = gap_us.cast("double") / 1_000_000
    # log2 of an exact bound may round below it; a nudge far under the clock's own noise settles it
    half_octaves = F.floor(2 * F.log2(F.greatest(seconds, F.lit(1.0))) + 1e-9).cast("int")
    lasting = F.least(half_octaves + 1, F.lit(GAP_BINS - 1))
    # Not otherwise: greatest and least pass over a null, the gap before a first event.
    return F.when(seconds < 1, F.lit(0)).when(seconds >= 1, lasting)
