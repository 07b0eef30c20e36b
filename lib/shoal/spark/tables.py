"""Delta tables: made from contracts, read conformed, written whole days at a time."""

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

import pyarrow as pa
from delta import exceptions as delta_errors
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.config import Settings
from shoal.contracts import TABLES, Table
from shoal.contracts.table import VERSION_PROPERTY
from shoal.errors import ContractError, HistoryGoneError, TryAgainError
from shoal.lake.folder import folder_of

log = logging.getLogger(__name__)

_MISSING = {
    "TABLE_OR_VIEW_NOT_FOUND",
    "SCHEMA_NOT_FOUND",
    "DELTA_TABLE_NOT_FOUND",
    "DELTA_MISSING_DELTA_TABLE",
    "DELTA_PATH_DOES_NOT_EXIST",
    "DELTA_TABLE_ONLY_OPERATION",
}
_PY4J = "py4j.protocol"
_ATTEMPTS = 6
_AT_ONCE = 6

# Delta's Python classes mirror Java's names but not Java's hierarchy.
CONFLICTS = (
    delta_errors.DeltaConcurrentModificationException,
    delta_errors.ConcurrentWriteException,
    delta_errors.ConcurrentAppendException,
    delta_errors.ConcurrentDeleteReadException,
    delta_errors.ConcurrentDeleteDeleteException,
    delta_errors.ConcurrentTransactionException,
)
"""What Delta raises when another writer came first; the same commit may succeed later."""


@dataclass
class Warehouse:
    """Where the tables lie, and how they are read and written.

    Attributes
    ----------
    spark : SparkSession
    path : folder of path tables, or ``None``
    schema : ``catalog.schema`` of catalog tables, or ``None``
    guard : asked before every commit of data; raises where this run may no longer write
    """

    spark: SparkSession
    path: str | None = None
    schema: str | None = None
    guard: Callable[[], None] | None = None
    _checked: set[str] = field(default_factory=set)

    def identifier(self, table: Table) -> str:
        """SQL name of a table, quoted."""
        if self.path is not None:
            return f"delta.{quote_identifier(self.location(table))}"
        parts = [*(self.schema or "").split("."), table.name]
        return ".".join(quote_identifier(part) for part in parts)

    def location(self, table: Table) -> str:
        """Where people find the table: its folder or its name."""
        if self.path is not None:
            return f"{self.path.rstrip('/')}/{table.name}"
        return f"{self.schema}.{table.name}"

    def read(self, table: Table) -> DataFrame:
        """Read a whole table, its columns as the contract has them."""
        self.check(table)
        return self._load(table).select(*table.column_names)

    def fetch(
        self, table: Table, columns: Sequence[str] | None = None, /, **wanted: Collection[Any]
    ) -> pa.Table:
        """Rows whose columns have one of the wanted values each: see `shoal.lake.Reader`."""
        return fetch(self.read(table), columns or table.column_names, wanted)

    def read_days(self, table: Table, start: date, end: date) -> DataFrame:
        """Read the days ``start`` to ``end``, both included, of a table with ``event_date``."""
        day = F.col("event_date")
        return self.read(table).where(day.between(F.lit(start), F.lit(end)))

    def as_of(self, moment: datetime) -> "PastWarehouse":
        """The tables as they were at a moment: see `shoal.lake.Reader`."""
        return PastWarehouse(self, moment)

    def frame(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> DataFrame:
        """Rows that the driver holds, few enough for one file; absent columns are null."""
        ordered = [tuple(row.get(name) for name in table.column_names) for row in rows]
        return self.spark.createDataFrame(ordered, table.schema).coalesce(1)

    def replace_where(self, frame: DataFrame, table: Table, condition: str) -> None:
        """Replace the rows that meet ``condition`` (made of literals only) in one commit."""
        self._write(frame, table, {"replaceWhere": condition})

    def replace_days(self, frame: DataFrame, table: Table, days: Sequence[date]) -> None:
        """Replace days of a table partitioned by ``event_date``, all in one commit."""
        literals = ", ".join(quote_literal(day) for day in days)
        self.replace_where(frame, table, f"event_date IN ({literals})")

    def append_once(self, frame: DataFrame, table: Table, application: str, version: int) -> None:
        """Append, unless ``application`` has already appended this or a later ``version``."""
        self._write(frame, table, {"txnAppId": application, "txnVersion": str(version)})

    def append_exclusive(
        self, frame: DataFrame, table: Table, application: str, version: int
    ) -> None:
        """Append once as a compare-and-swap: a concurrent commit of ``application`` raises.

        Raises
        ------
        CONFLICTS
            If another writer of the same application committed meanwhile; nothing is retried.
        """
        options = {"txnAppId": application, "txnVersion": str(version)}
        self._write(frame, table, options, is_retried=False)

    def append_rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows that the driver holds in one commit; absent columns are null."""
        self.append(self.frame(table, rows), table)

    def append(self, frame: DataFrame, table: Table) -> None:
        """Append rows."""
        self._write(frame, table, {})

    def delete_where(self, table: Table, condition: str) -> None:
        """Delete the rows that meet ``condition``, made of literals of Shoal's own."""
        self._before_commit(table)
        statement = f"DELETE FROM {self.identifier(table)} WHERE {condition}"  # noqa: S608
        retry_conflicts(lambda: self.spark.sql(statement), what=table.name)

    def version(self, table: Table) -> int:
        """Latest Delta version of a table."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.identifier(table)} LIMIT 1")
        return int(history.select("version").first()[0])  # type: ignore[index]

    def versions(self, tables: Sequence[Table]) -> dict[str, int]:
        """Latest Delta version of each table, by name."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            found = list(pool.map(self.version, tables))
        return {table.name: version for table, version in zip(tables, found, strict=True)}

    def check(self, table: Table) -> None:
        """Raise :class:`ContractError` unless the table exists in its contract's version."""
        if table.name in self._checked:
            return
        table.require_version(self.contract_version(table), self.location(table))
        self._checked.add(table.name)

    def contract_version(self, table: Table) -> int | None:
        """Contract version stored with a table, ``None`` if there is no such table."""
        try:
            rows = self.spark.sql(
                f"SHOW TBLPROPERTIES {self.identifier(table)} ('{VERSION_PROPERTY}')"
            ).collect()
        except PySparkException as error:
            if is_missing_table(error):
                return None
            raise
        return int(rows[0][1]) if rows and str(rows[0][1]).isdigit() else 0

    def _before_commit(self, table: Table) -> None:
        self.check(table)
        # The log of attempts is written whatever became of the lease.
        if self.guard is not None and not table.is_log:
            self.guard()

    def _load(self, table: Table) -> DataFrame:
        if self.path is not None:
            return self.spark.read.format("delta").load(self.location(table))
        return self.spark.table(self.identifier(table))

    def _write(
        self, frame: DataFrame, table: Table, options: dict[str, str], *, is_retried: bool = True
    ) -> None:
        self._before_commit(table)
        conformed = conform(frame, table)
        mode = "overwrite" if "replaceWhere" in options else "append"

        def commit() -> None:
            writer = conformed.write.format("delta").mode(mode).options(**options)
            if self.path is not None:
                writer.save(self.location(table))
            else:
                writer.saveAsTable(self.identifier(table))

        if is_retried:
            retry_conflicts(commit, what=table.name)
        else:
            commit()


@dataclass(frozen=True)
class PastWarehouse:
    """The tables of a warehouse as they were at a moment (UTC)."""

    warehouse: Warehouse
    moment: datetime

    def fetch(
        self, table: Table, columns: Sequence[str] | None = None, /, **wanted: Collection[Any]
    ) -> pa.Table:
        """Rows whose columns have one of the wanted values each: see `shoal.lake.Reader`."""
        name, at = self.warehouse.identifier(table), f"{self.moment:%Y-%m-%d %H:%M:%S.%f}"
        try:
            frame = self.warehouse.spark.sql(
                f"SELECT * FROM {name} TIMESTAMP AS OF '{at}'"  # noqa: S608 - quoted, and a time
            )
            return fetch(frame, columns or table.column_names, wanted)
        except Exception as error:
            # What fails while Arrow is collected is py4j's own, which Connect doesn't have.
            if not isinstance(error, PySparkException) and type(error).__module__ != _PY4J:
                raise
            raise HistoryGoneError(f"{table.name} as of {self.moment}: {error}") from error

    def as_of(self, moment: datetime) -> "PastWarehouse":
        """The tables at another moment."""
        return PastWarehouse(self.warehouse, moment)


def fetch(
    frame: DataFrame, columns: Sequence[str], wanted: Mapping[str, Collection[Any]]
) -> pa.Table:
    """Rows of a frame whose columns have one of the wanted values each."""
    for name, values in wanted.items():
        frame = frame.where(F.col(name).isin(list(values)))
    return frame.select(*columns).toArrow()


def open_warehouse(spark: SparkSession, settings: Settings) -> Warehouse:
    """Return the warehouse that a configuration names."""
    storage = settings.storage
    if storage.path is not None:
        # Spark takes delta.`a/b` for a table only if the path is absolute.
        return Warehouse(spark, path=folder_of(storage.path))
    name = storage.schema_name or ""
    return Warehouse(spark, schema=f"{storage.catalog}.{name}" if storage.catalog else name)


def apply_contracts(
    warehouse: Warehouse, tables: Sequence[Table] = TABLES
) -> list[tuple[Table, str]]:
    """Create missing tables and bring older ones to their contract's version.

    Returns
    -------
    What was done to each table: ``created``, ``altered`` or ``unchanged``.

    Raises
    ------
    ContractError
        If a table is newer than this Shoal, or differs in ways that only ever growing forbids.
    """
    if warehouse.schema is not None:
        names = ".".join(quote_identifier(part) for part in warehouse.schema.split("."))
        warehouse.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {names}")
    # Tables are independent and each waits mostly on its log: side by side is 3 times as fast.
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(zip(tables, pool.map(partial(_apply_one, warehouse), tables), strict=True))


def _apply_one(warehouse: Warehouse, table: Table) -> str:
    found = warehouse.contract_version(table)
    if found is None:
        warehouse.spark.sql(_create_statement(warehouse, table))
        return "created"
    if found == table.version:
        return "unchanged"
    if found > table.version:
        raise ContractError(
            f"table {warehouse.location(table)} has contract version {found}, newer than this "
            f"Shoal's {table.version}: use the Shoal that made it, or a newer one"
        )
    name, faults = warehouse.identifier(table), list[str]()
    added = _added(warehouse._load(table).schema, table.schema, (), faults)
    if faults:
        raise ContractError(
            f"table {warehouse.location(table)}, contract version {table.version}: "
            f"{'; '.join(faults)}: types never change; copy the table by hand"
        )
    if added:
        warehouse.spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({', '.join(added)})")
    warehouse.spark.sql(
        f"ALTER TABLE {name} SET TBLPROPERTIES ('{VERSION_PROPERTY}' = '{table.version}')"
    )
    return "altered"


def _added(
    found: T.DataType, wanted: T.DataType, path: tuple[str, ...], faults: list[str]
) -> list[str]:
    """DDL of the columns, and of the fields within columns, that a type lacks of the wanted one.

    What can't come about by adding goes to ``faults``.
    """
    if isinstance(found, T.ArrayType) and isinstance(wanted, T.ArrayType):
        return _added(found.elementType, wanted.elementType, (*path, "element"), faults)
    if isinstance(found, T.StructType) and isinstance(wanted, T.StructType):
        own = {field.name: field.dataType for field in found.fields}
        added = []
        for field in wanted.fields:
            if field.name in own:
                added += _added(own[field.name], field.dataType, (*path, field.name), faults)
            else:
                within = "".join(f"{quote_identifier(part)}." for part in path)
                added.append(within + _column_ddl(field))
        return added
    if not same_type(found, wanted):
        faults.append(
            f"column {'.'.join(path)}: type {found.simpleString()}, wanted {wanted.simpleString()}"
        )
    return []


def _create_statement(warehouse: Warehouse, table: Table) -> str:
    columns = ",\n  ".join(_column_ddl(field) for field in table.schema.fields)
    partition = ", ".join(quote_identifier(name) for name in table.partition)
    comment = f"{table.doc} Grain: {table.grain}. Key: {', '.join(table.key)}."
    return (
        f"CREATE TABLE {warehouse.identifier(table)} (\n  {columns}\n) USING delta\n"
        + (f"PARTITIONED BY ({partition})\n" if partition else "")
        + f"COMMENT {quote_literal(comment)}\n"
        + f"TBLPROPERTIES ('{VERSION_PROPERTY}' = '{table.version}')"
    )


def _column_ddl(field: T.StructField) -> str:
    comment = quote_literal(field.metadata.get("comment", ""))
    null = "" if field.nullable else " NOT NULL"
    return f"{quote_identifier(field.name)} {_type_ddl(field.dataType)}{null} COMMENT {comment}"


def _type_ddl(kind: T.DataType) -> str:
    """DDL of a type, with the comments of struct fields, which simpleString leaves out."""
    if isinstance(kind, T.ArrayType):
        return f"ARRAY<{_type_ddl(kind.elementType)}>"
    if isinstance(kind, T.StructType):
        inner = ", ".join(
            f"{quote_identifier(f.name)}: {_type_ddl(f.dataType)} "
            f"COMMENT {quote_literal(f.metadata.get('comment', ''))}"
            for f in kind.fields
        )
        return f"STRUCT<{inner}>"
    return kind.simpleString()


def conform(frame: DataFrame, table: Table) -> DataFrame:
    """Return the contract's columns in order, or raise naming every difference."""
    found = {f.name: f.dataType for f in frame.schema.fields}
    faults = [f"column {name} is missing" for name in table.column_names if name not in found]
    faults += [
        f"column {name} is not in the contract" for name in found if name not in table.column_names
    ]
    faults += [
        f"column {c.name} is {found[c.name].simpleString()}, not {c.type.simpleString()}"
        for c in table.columns
        if c.name in found and not same_type(found[c.name], c.type)
    ]
    if faults:
        raise ContractError(f"table {table.name}: " + "; ".join(faults))
    return frame.select(*table.column_names)


def same_type(left: T.DataType, right: T.DataType) -> bool:
    """Whether two types are equal but for nullability and comments."""
    return left.simpleString() == right.simpleString()


def quote_identifier(name: str) -> str:
    """Backtick-quote a name for SQL."""
    return "`" + name.replace("`", "``") + "`"


def quote_literal(value: str | date) -> str:
    """Quote a literal for SQL. Values are Shoal's own or the configuration's, never a log's."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_missing_table(error: PySparkException) -> bool:
    """Whether an error says that a table is not there."""
    return (error.getCondition() or "") in _MISSING


def retry_conflicts(commit: Callable[[], object], *, what: str) -> None:
    """Run an idempotent commit again after a conflict, with backoff.

    Raises
    ------
    TryAgainError
        If others keep winning.
    """
    for attempt in range(_ATTEMPTS):
        try:
            commit()
            return
        except CONFLICTS as error:
            if attempt == _ATTEMPTS - 1:
                raise TryAgainError(
                    f"table {what}: {_ATTEMPTS} attempts met commits of other writers; "
                    "run the same command again"
                ) from error
            log.info("table %s: another writer came first, trying again", what)
            # Jitter only spaces the attempts; no result depends on it.
            time.sleep(0.5 * 2**attempt + random.random())
