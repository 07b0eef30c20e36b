"""What reading a table needs, whoever does it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from shoal.contracts import Table


class Reader(Protocol):
    """Reads tables: delta-rs does (`shoal.lake.FolderLake`), and Spark (the warehouse)."""

    def fetch(
        self, table: Table, columns: Sequence[str] | None = None, /, **wanted: Collection[Any]
    ) -> pa.Table:
        """Rows whose columns have one of the wanted values each, few enough for one machine.

        Parameters
        ----------
        columns : all of the contract by default
        wanted : column → values, equals only

        Raises
        ------
        ContractError
            If the table is not there, or of another contract version.
        """

    def as_of(self, moment: datetime) -> "Reader":
        """The tables as they were at a moment (UTC), which need not be of today's contract.

        Its ``fetch`` raises `HistoryGoneError` where they no longer hold that.
        """


class Lake(Reader, Protocol):
    """Reads tables, adds rows to them, and says whether they are there."""

    def check(self, table: Table) -> None:
        """Raise `ContractError` unless the table is there, in its contract's version."""

    def append_rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows in one commit; absent columns are null."""


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dictionaries, maps as dictionaries as well."""
    return list(table.to_pylist(maps_as_pydicts="strict"))
