"""Everything that arrives broken gives a clear row or message, and nothing beside it is lost."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support.bad_inputs import CASES, BadInputs, Case


@pytest.fixture(scope="module")
def bad_inputs(
    spark: SparkSession, empty_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> BadInputs:
    """The runs that the cases share."""
    return BadInputs(spark, empty_tables, tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_what_arrives_broken_is_told(bad_inputs: BadInputs, case: Case) -> None:
    bad_inputs.check(case)
