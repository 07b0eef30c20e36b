"""Measures of text."""

from functools import lru_cache

import numpy as np
import pandas as pd
import tldextract
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


@lru_cache(maxsize=1)
def _suffixes() -> tldextract.TLDExtract:
    """The public suffix list as it comes with the library: nothing is fetched, nothing cached."""
    return tldextract.TLDExtract(
        cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True
    )


def registered_domains_of(names: pd.Series) -> pd.Series:
    """What of each name can be registered; the name itself if nothing can, null where it is."""
    extract = _suffixes()
    known = {
        name: extract(name).top_domain_under_public_suffix or name for name in set(names.dropna())
    }
    return names.map(known).astype(object).where(names.notna(), None)


def registered_domain(name: Column) -> Column:
    """Column of ``example.co.uk`` for ``www.example.co.uk``: a public suffix and one label more.

    An address, a bare name and a suffix stay what they are.
    """
    return series_udf(registered_domains_of, "string")(name)
