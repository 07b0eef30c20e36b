"""*Equal* as the design defines it, read by another engine than the one that wrote.

Same keys; non-floats exact; floats to the contract's tolerance; volatile columns and log tables
left out.
"""

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from shoal.contracts import TABLES, Table


def read_rows(
    warehouse: Path, table: Table, *, leave_out: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Rows of a table by delta-rs, compared columns only, sorted by key."""
    names = [c.name for c in table.compared_columns if c.name not in leave_out]
    rows = DeltaTable(str(warehouse / table.name)).to_pyarrow_table(columns=names).to_pylist()
    key = [name for name in table.key if name in names]
    return sorted(rows, key=lambda row: tuple(repr(row[name]) for name in key))


def differences(
    left: Path, right: Path, tables: Iterable[Table] = TABLES, *, leave_out: Collection[str] = ()
) -> list[str]:
    """What differs between two warehouses, in words; empty if they are equal."""
    found = []
    for table in tables:
        if table.is_log:
            continue
        first, second = (read_rows(path, table, leave_out=leave_out) for path in (left, right))
        if len(first) != len(second):
            found.append(f"{table.name}: {len(first)} rows against {len(second)}")
            continue
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            names = [n for n in one if not same(one[n], other[n], table.tolerance)]
            if names:
                name = names[0]
                found.append(
                    f"{table.name} row {number} {[one[k] for k in table.key if k in one]}: "
                    f"{name} {str(one[name])[:80]} against {str(other[name])[:80]}"
                )
                break
    return found


def same(left: Any, right: Any, tolerance: float) -> bool:
    """Whether two values are equal; floats to ``tolerance``, absolute or relative."""
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k], tolerance) for k in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(
            same(a, b, tolerance) for a, b in zip(left, right, strict=True)
        )
    return bool(left == right)
