"""spark-submit this: prints where the driver and an executor import Shoal from."""

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession


def place(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import shoal

    for _ in batches:
        yield pd.DataFrame({"place": [str(shoal.__file__)]})


if __name__ == "__main__":
    import shoal

    spark = SparkSession.builder.getOrCreate()
    print("shoal from", shoal.__file__)
    for row in spark.range(1).mapInPandas(place, "place string").collect():
        print("shoal from", row[0])
    spark.stop()
