"""What a table is: one declaration from which schema, comments and documentation derive."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import types as T

from shoal.errors import ContractError, did_you_mean

VERSION_PROPERTY = "shoal.contractVersion"
"""Table property that holds the version of the contract."""

STRING = T.StringType()
BOOLEAN = T.BooleanType()
INT = T.IntegerType()
LONG = T.LongType()
DOUBLE = T.DoubleType()
DATE = T.DateType()
TIMESTAMP = T.TimestampType()
STRINGS = T.ArrayType(STRING)
LONGS = T.ArrayType(LONG)
BOOLEANS = T.ArrayType(BOOLEAN)
VECTOR = T.ArrayType(DOUBLE)
MATRIX = T.ArrayType(VECTOR)
TENSOR = T.ArrayType(MATRIX)
STRING_MAP = T.MapType(STRING, STRING)
COUNT_MAP = T.MapType(STRING, LONG)


@dataclass(frozen=True)
class Column:
    """One column: ``is_volatile`` leaves it out when two runs are compared for equality."""

    name: str
    type: T.DataType
    doc: str
    is_nullable: bool = True
    is_volatile: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract.

    ``key`` is unique within the table; ``partition`` lists its partition columns. ``grain`` is
    one row in words. ``is_night`` tables carry ``run_id`` and are read through ``nights``.
    ``is_log`` tables record attempts, so that two equal runs may differ in them.
    ``tolerance`` is the largest difference of two floats that still count as equal.
    """

    name: str
    doc: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition: tuple[str, ...] = ()
    version: int = 1
    is_night: bool = False
    is_log: bool = False
    retention_days: int | None = None
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        missing = [name for name in (*self.key, *self.partition) if name not in names]
        if repeated or missing:
            raise ContractError(
                f"contract of table {self.name!r}: repeated columns {repeated}, "
                f"key or partition columns not declared {missing}"
            )

    def require_version(self, found: int | None, location: str) -> None:
        """Raise :class:`ContractError` unless a stored table is of this version.

        Parameters
        ----------
        found : contract version stored with it, ``None`` if there is no such table
        """
        if found == self.version:
            return
        state = "does not exist" if found is None else f"has contract version {found}"
        raise ContractError(
            f"table {location} {state}, this Shoal needs version {self.version}: "
            "run `shoal tables apply`"
        )

    @cached_property
    def schema(self) -> T.StructType:
        """Spark schema, each field with its comment."""
        return T.StructType(
            [T.StructField(c.name, c.type, c.is_nullable, {"comment": c.doc}) for c in self.columns]
        )

    @cached_property
    def column_names(self) -> list[str]:
        """Column names in declared order."""
        return [column.name for column in self.columns]

    @cached_property
    def compared_columns(self) -> list[Column]:
        """Columns that two equal runs agree in."""
        return [column for column in self.columns if not column.is_volatile]

    def column(self, name: str) -> Column:
        """Return one column, or raise :class:`ContractError` naming near misses."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(
            f"table {self.name!r} has no column {name!r}{did_you_mean(name, self.column_names)}"
        )

    def subset(self, names: Iterable[str]) -> T.StructType:
        """Spark schema of some columns, in the order given; what a UDF's output derives from."""
        return T.StructType([self.schema[self.column(name).name] for name in names])


def struct(**fields: tuple[T.DataType, str]) -> T.StructType:
    """A struct type from ``name=(type, doc)`` pairs."""
    return T.StructType(
        [T.StructField(name, kind, True, {"comment": doc}) for name, (kind, doc) in fields.items()]
    )
