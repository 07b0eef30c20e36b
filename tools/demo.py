"""`make demo`: what Shoal does, told by its own commands.

They run one after the other in this process, as they would from a shell: there each would start a
Java of its own, and that alone would take a minute.
"""

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from shoal.cli import main
from shoal.report.text import wrapped

ROOT = Path(__file__).resolve().parent.parent
LOGS = "warehouse/fleet-logs"
CONF = "--conf conf/demo.yaml"
NIGHTS = "--start 2026-09-01 --end 2026-09-28"
STORY = (
    ("The tables are made from their contracts.", f"tables apply {CONF}"),
    (
        "No public log has a quiet month with known intrusions in it, so one is made: 300 "
        "machines, 28 days, raw logs, and the truth about them, which no model or list sees.",
        f"simulate {CONF} --out {LOGS} --seed 7 --volume 0.35",
    ),
    (
        "All is read, the fleet's logs and a real sample, Sysmon and Security logs of attack "
        "rehearsals: every record is an event, a duplicate, of a type that no table takes, or in "
        "quarantine. Then the month's nights are run, each judged by a model of those before it.",
        f"nightly {CONF} {NIGHTS}",
    ),
    ("Last night's list: who, why, and the activity behind it.", f"outliers {CONF}"),
    (
        "The lists of the last 14 nights against the truth, beside rules that anybody has: where "
        "each intrusion stands and each thing that only looks like one, what was withheld and "
        "why, and what chance alone would have listed.",
        f"evaluate {CONF} --truth {LOGS}/truth.csv",
    ),
    (
        "The month: lists, models, and how much of each night's groups of machines and addresses "
        "is that of the night before (adjusted Rand index; 1 is all).",
        f"nights {CONF}",
    ),
)
END = f"""
The tables lie in warehouse/demo/, plain Delta for any reader. Look further with
  .venv/bin/shoal explain NAME {CONF}
  .venv/bin/shoal outliers {CONF} --date 2026-09-20 --format json"""


def tell() -> int:
    """Run the story from the beginning; the exit code of the first command that fails."""
    os.chdir(ROOT)
    for left in ("warehouse/demo", LOGS):
        shutil.rmtree(left, ignore_errors=True)
    began = time.monotonic()
    for text, command in STORY:
        print(f"\n{wrapped(text)}\n\n$ shoal {command}\n", flush=True)
        sys.argv[1:] = shlex.split(command)
        if code := main():
            return code
        sys.stdout.flush()
    print(f"{END}\n\n{time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(tell())
