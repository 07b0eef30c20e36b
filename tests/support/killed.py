"""Run a Shoal command and SIGKILL it right before a commit: ``killed.py POINT ARGUMENTS…``.

POINT is the number of the commit, or a table, whose first commit it is; 0 kills nothing. Prints one
line per commit (number, table).
"""

import os
import signal
import sys
import threading
from typing import Any

from shoal.cli import main
from shoal.contracts import Table
from shoal.spark.tables import Warehouse

_lock = threading.Lock()
_count = 0


def _before_commit(table: Table, kill_at: str) -> None:
    global _count
    with _lock:
        _count += 1
        number = _count
    print(f"commit {number} {table.name}", flush=True)
    if kill_at in (str(number), table.name):
        os.kill(os.getpid(), signal.SIGKILL)


def run(kill_at: str, arguments: list[str]) -> int:
    """Run the command with every commit of :class:`Warehouse` counted."""
    write, delete = Warehouse._write, Warehouse.delete_where

    def counted_write(self: Warehouse, frame: Any, table: Table, *rest: Any, **named: Any) -> None:
        _before_commit(table, kill_at)
        write(self, frame, table, *rest, **named)

    def counted_delete(self: Warehouse, table: Table, condition: str) -> None:
        _before_commit(table, kill_at)
        delete(self, table, condition)

    Warehouse._write = counted_write  # type: ignore[method-assign]
    Warehouse.delete_where = counted_delete  # type: ignore[method-assign]
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
