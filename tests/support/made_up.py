"""Tables that are made up, for what only reads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from shoal.contracts import Table


@dataclass
class MadeUp:
    """Tables as lists of rows."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    def fetch(
        self, table: Table, columns: Sequence[str] | None = None, /, **wanted: Collection[Any]
    ) -> pa.Table:
        own = [
            {name: row.get(name) for name in columns or row}
            for row in self.rows.get(table.name, [])
            if all(row[name] in values for name, values in wanted.items())
        ]
        return pa.Table.from_pylist(own)

    def as_of(self, moment: datetime) -> "MadeUp":
        raise NotImplementedError
