"""Fixtures that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Before numpy is imported: on few cores its threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
from pyspark.sql import SparkSession
from tests.support.nights import settings_for
from xdist.scheduler import LoadScopeScheduling

from shoal.spark.session import start_session
from shoal.spark.tables import apply_contracts, open_warehouse

# How long a test takes is asserted by none: the machine may be busy.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


def folder_of(path: str) -> str:
    """``unit``, ``spark`` or ``e2e``, of a path or node id below ``tests``."""
    return path.partition("tests/")[2].partition("/")[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by its folder."""
    if (folder := folder_of(item.nodeid)) != "unit":
        item.add_marker(folder)


LONGEST_FIRST = ("tests/spark", "tests/spark/nights", "tests/e2e")
"""Folders whose tests are dealt out before all others: what comes last must be short."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they are dealt out; of a folder it stays."""
    places = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(scope_of(item.nodeid).folder, len(places)))


class Scope(NamedTuple):
    """The folder and the file of a test."""

    folder: str
    file: str


def scope_of(nodeid: str) -> Scope:
    """Where a test is."""
    file = nodeid.partition("::")[0]
    return Scope(file.rpartition("/")[0], file)


class FolderScheduling(LoadScopeScheduling):
    """Tests of one folder share nights, so they run in one process.

    Of a folder within it the nights are others: it goes to whichever process is free; and so does
    each file of those folders whose files have nights of their own.
    """

    def _split_scope(self, nodeid: str) -> str:
        scope = scope_of(nodeid)
        has_own = scope.folder in ("tests/spark/nights", "tests/e2e")
        return scope.file if has_own else scope.folder


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    """Use it."""
    return FolderScheduling(config, log)


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


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The Spark session of a process."""
    session = start_session(settings_for(tmp_path_factory.mktemp("unused")), name="tests")
    yield session
    session.stop()


@pytest.fixture(scope="module", autouse=True)
def forgotten_tables() -> Iterator[None]:
    """Delta keeps the state of every table it has seen for an hour: 30 MB a warehouse."""
    yield
    if (session := SparkSession.getActiveSession()) is not None:
        session._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def empty_tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with all tables and no row, to copy from: making one takes seconds."""
    path = tmp_path_factory.mktemp("empty") / "warehouse"
    apply_contracts(open_warehouse(spark, settings_for(path)))
    return path
