"""Measures of text."""

import numpy as np
import pandas as pd
from pyspark.sql import Column

from shoal.spark.udf import series_udf


def text_entropy_bits(text: str) -> float:
    """Shannon entropy of the UTF-8 bytes of ``text``, bits a byte; 0 for the empty string."""
    raw = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    if raw.size == 0:
        return 0.0
    counts = np.bincount(raw)
    shares = counts[counts > 0] / raw.size
    return float(-(shares * np.log2(shares)).sum())


def entropy_mbit_of(texts: pd.Series) -> pd.Series:
    """Entropy of each text in whole millibits, null where the text is."""
    bits = [None if text is None else round(1000 * text_entropy_bits(text)) for text in texts]
    return pd.Series(bits, dtype="Int64")


def entropy_mbit(text: Column) -> Column:
    """Column of entropies in millibits (integers, so that sums are exact)."""
    return series_udf(entropy_mbit_of, "bigint")(text)
