"""Fixtures that all tests share."""

import os
from pathlib import Path

# Before numpy is imported: on few cores its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder; those of a folder share a session, so they share a process."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in {"spark", "e2e"}:
            item.add_marker(folder)
            item.add_marker(pytest.mark.xdist_group(folder))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the project that may not be shipped with it.

    Where the folder exists a test must find it whole; where it is absent the test cannot run.
    """
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not on this machine: real data that may not be shipped")
    return SHARED


@pytest.fixture(scope="session")
def windows_sample() -> Path:
    """The real Windows sample that the project ships."""
    return ROOT / "tests" / "data" / "windows_otrf"
