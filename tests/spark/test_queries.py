"""The page of worked queries: each block runs, and engines that take the same SQL say the same."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from pyspark.sql import SparkSession
from tests.conftest import ROOT
from tests.spark.test_views import told
from tests.support.nights import settings_for

from shoal.config import Settings
from shoal.contracts.views import VIEWS
from shoal.hunt.feedback import Finding, record_verdicts
from shoal.hunt.lists import list_outliers
from shoal.lake import FolderLake
from shoal.pipelines.context import Context

PAGE = (ROOT / "notebooks/queries.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SPARK_SETUP, DUCKDB_SETUP = (code for language, _, code in BLOCKS if language == "python")
SQL = [(engine, code) for language, engine, code in BLOCKS if language == "sql"]


@pytest.fixture(scope="module")
def folder(windows_nights: Context, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published nights, the first line of which is judged."""
    path = tmp_path_factory.mktemp("queries") / "tables"
    shutil.copytree(str(windows_nights.warehouse.path), path)
    lake = FolderLake(str(path))
    line = list_outliers(lake, None).lines[0]
    finding = Finding(
        line["entity_id"], "malicious", "seen", line["event_date"], line["entity_type"]
    )
    record_verdicts(lake, [finding], owner="ann")
    return path


@pytest.fixture(scope="module")
def in_spark(spark: SparkSession, folder: Path) -> Iterator[SparkSession]:
    """A session set up as the page says, but for the configuration."""

    def settings(_: str) -> Settings:
        return settings_for(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shoal.config.load_settings", settings)
        exec(SPARK_SETUP, {"spark": spark})
    yield spark
    for name in re.findall(r"\w+", SPARK_SETUP) + [view.name for view in VIEWS]:
        spark.catalog.dropTempView(name)


@pytest.fixture(scope="module")
def in_duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection set up as the page says."""
    names: dict[str, Any] = {"folder": folder}
    exec(DUCKDB_SETUP, names)
    return names["connection"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("engine", "query"), SQL)
def test_sql_answers(
    engine: str, query: str, in_spark: SparkSession, in_duckdb: duckdb.DuckDBPyConnection
) -> None:
    answers = []
    if engine in ("", "spark"):
        answers.append([tuple(row) for row in in_spark.sql(query).collect()])
    if engine in ("", "duckdb"):
        answers.append(in_duckdb.sql(query).fetchall())
    assert all(answers)
    if len(answers) == 2 and "_ts" not in query:
        spark_said, duckdb_said = answers
        assert told(spark_said) == told(duckdb_said)


def test_polars_answers(folder: Path) -> None:
    """Blocks stand on each other's names, in order; what ends a block is its answer."""
    names: dict[str, Any] = {"pl": pl, "folder": folder}
    blocks = [code for language, _, code in BLOCKS if language == "polars"]
    assert len(blocks) == len(re.findall(r"^## ", PAGE, re.MULTILINE))
    for block in blocks:
        tree = ast.parse(block)
        answer = tree.body.pop()
        assert isinstance(answer, ast.Expr)
        exec(compile(tree, "queries.md", "exec"), names)
        found = eval(compile(ast.Expression(answer.value), "queries.md", "eval"), names)
        assert found.height > 0, block
