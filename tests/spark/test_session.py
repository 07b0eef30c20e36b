"""The session that Shoal starts."""

from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.support.nights import settings_for

from shoal.spark.session import start_session


@pytest.mark.usefixtures("in_new_york")
def test_times_arrive_as_utc_whatever_the_machines_zone(
    spark: SparkSession, tmp_path: Path
) -> None:
    assert start_session(settings_for(tmp_path)) is spark
    row = spark.sql("SELECT timestamp'2024-07-01 23:30:00' AS at").collect()[0]
    assert row["at"] == datetime(2024, 7, 1, 23, 30)
