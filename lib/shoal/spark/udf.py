"""The adapter from functions on pandas series to Spark columns."""

from collections.abc import Callable
from typing import Any, cast

import pandas as pd
from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf


def series_udf(
    function: Callable[[pd.Series], pd.Series], returns: str
) -> Callable[[Column], Column]:
    """Return a column function that applies ``function`` batch by batch.

    pyspark's overloads of ``pandas_udf`` don't follow a plain function through, hence the cast.
    """
    return cast(Callable[[Column], Column], pandas_udf(cast(Any, function), cast(Any, returns)))
