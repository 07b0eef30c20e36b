"""Tables in a folder or an object store, read and appended to by delta-rs: no JVM, no session."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from shoal.contracts import Table
from shoal.contracts.table import VERSION_PROPERTY
from shoal.errors import HistoryGoneError


@dataclass
class FolderLake:
    """Path tables, as `shoal.lake.Reader`.

    Attributes
    ----------
    path : absolute folder of the tables, or its address
    moment : as they were when, if not as they are
    """

    path: str
    moment: datetime | None = None
    _opened: dict[str, DeltaTable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The scheme that Hadoop has for S3 is its own.
        self.path = re.sub("^s3a:", "s3:", self.path).rstrip("/")

    def fetch(
        self, table: Table, columns: Sequence[str] | None = None, /, **wanted: Collection[Any]
    ) -> pa.Table:
        """Rows whose columns have one of the wanted values each: see `shoal.lake.Reader`."""
        if self.moment is None:
            return self._fetch(table, columns, wanted)
        try:
            return self._fetch(table, columns, wanted)
        except (DeltaError, OSError) as error:
            raise HistoryGoneError(f"{table.name} as of {self.moment}: {error}") from error

    def as_of(self, moment: datetime) -> "FolderLake":
        """The tables as they were at a moment: see `shoal.lake.Reader`."""
        return FolderLake(self.path, moment)

    def _fetch(
        self,
        table: Table,
        columns: Sequence[str] | None,
        wanted: Mapping[str, Collection[Any]],
    ) -> pa.Table:
        dataset = self._open(table).to_pyarrow_dataset(filesystem=self._files(table))
        conditions = [
            pc.field(name).isin(pa.array(list(values), dataset.schema.field(name).type))
            for name, values in wanted.items()
        ]
        return dataset.to_table(
            columns=list(columns or table.column_names),
            filter=reduce(and_, conditions) if conditions else None,
        )

    def check(self, table: Table) -> None:
        """Raise `ContractError` unless the table is there, in its contract's version."""
        self._open(table)

    def append_rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows in one commit; absent columns are null.

        Two who append at once both succeed: each commit has a number of its own.
        """
        found = self._open(table)
        schema = pa.schema(found.schema().to_arrow())
        complete = [{name: row.get(name) for name in table.column_names} for row in rows]
        write_deltalake(found, pa.Table.from_pylist(complete, schema=schema), mode="append")

    def _files(self, table: Table) -> SubTreeFileSystem | None:
        """Arrow's own files for a folder: delta-rs' go through Python, from threads that may
        outlive it (delta-rs #2184: two of nine processes aborted at their end)."""
        if has_scheme(self.path):
            return None
        return SubTreeFileSystem(f"{self.path}/{table.name}", LocalFileSystem())

    def _open(self, table: Table) -> DeltaTable:
        if table.name not in self._opened:
            location = f"{self.path}/{table.name}"
            try:
                found = DeltaTable(location)
            except TableNotFoundError:
                table.require_version(None, location)
                raise
            if self.moment is not None:
                found.load_as_version(self.moment)
            else:
                stored = (found.metadata().configuration or {}).get(VERSION_PROPERTY, "")
                table.require_version(int(stored) if stored.isdigit() else 0, location)
            self._opened[table.name] = found
        return self._opened[table.name]


def folder_of(path: str) -> str:
    """A configured ``storage.path`` as an absolute folder; an address stays as it is."""
    return path if has_scheme(path) else str(Path(path).absolute())


def has_scheme(path: str) -> bool:
    """Whether a path is an address, of an object store maybe."""
    return re.match("[a-z][a-z0-9+.-]*:", path) is not None
