"""The adapter from functions on pandas series to Spark columns."""

from collections.abc import Callable
from typing import Any, cast

import pandas as pd
from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf


def series_udf(function: Callable[..., pd.Series], returns: str) -> Callable[..., Column]:
    """Return a function of columns that applies ``function``, of as many series, batch by batch.

    pyspark's overloads of ``pandas_udf`` don't follow a plain function through, hence the cast.
    """
    return cast(Callable[..., Column], pandas_udf(cast(Any, function), cast(Any, returns)))
