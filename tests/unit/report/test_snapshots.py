"""Pages as they stand on a terminal of 80 columns without colours, of rows that are made up.

``PYTHONPATH=lib:. python tests/unit/report/test_snapshots.py`` writes them anew: read what changed.
"""

from pathlib import Path

import pytest
from tests.unit.report.test_hostile import PAGES

FOLDER = Path(__file__).parent / "pages"
NAME = "ws-lyon-0012"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_as_it_was_read(page: str) -> None:
    expected = (FOLDER / f"{page}.txt").read_text(encoding="utf-8")
    assert PAGES[page](NAME, "table") + "\n" == expected


if __name__ == "__main__":
    for page, told in PAGES.items():
        (FOLDER / f"{page}.txt").write_text(told(NAME, "table") + "\n", encoding="utf-8")
