"""What becomes of everything that can arrive broken: ``python tests/e2e/bad_inputs.py [WORD …]``.

Runs the cases of :mod:`tests.support.bad_inputs` (those whose name holds one of the words) and
prints what each left: place, message or row, exit code. Leaves with 1 if any is not as declared.
"""

import logging
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.support.bad_inputs import CASES, BadInputs
from tests.support.nights import settings_for

from shoal.log import plain
from shoal.spark.session import start_session
from shoal.spark.tables import apply_contracts, open_warehouse

WIDTHS = (24, 14, 50, 4)
SHOWN = 150


def print_row(*cells: str) -> None:
    """Print a row of the table, its cells folded to their columns."""
    folded = [textwrap.wrap(text, width) for text, width in zip(cells, WIDTHS, strict=True)]
    for number in range(max(map(len, folded))):
        parts = [lines[number] if number < len(lines) else "" for lines in folded]
        padded = (part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True))
        print("  ".join(padded).rstrip(), flush=True)


def shortened(text: str) -> str:
    """Text that a terminal can show, its middle left out if it is long."""
    shown = plain(text)
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN // 2]} … {shown[-SHOWN // 2 :]}"


def main(words: list[str]) -> int:
    """Run the cases and print the table."""
    cases = [case for case in CASES if not words or any(word in case.what for word in words)]
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = settings_for(folder / "empty")
        spark = start_session(settings, name="bad inputs")
        # The files are meant to be unreadable: Spark need not say so, too.
        spark.sparkContext.setLogLevel("OFF")
        apply_contracts(open_warehouse(spark, settings))
        bad_inputs = BadInputs(spark, folder / "empty", folder)
        print_row("what arrives", "where it went", "message, or the row", "exit")
        print_row(*("-" * width for width in WIDTHS))
        for case in cases:
            try:
                found = bad_inputs.check(case)
            except AssertionError as error:
                wrong += 1
                print_row(case.what, "NOT AS DECLARED", shortened(str(error)), "")
            else:
                is_said = case.column in ("", "reason")
                text = found.text if is_said else f"{case.column} {found.text}"
                shown = shortened(text.replace(name, ""))
                print_row(case.what, found.where, shown, str(found.exit_code))
        spark.stop()
    print(f"{len(cases)} cases, {wrong} not as declared")
    return 1 if wrong else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    sys.exit(main(sys.argv[1:]))
