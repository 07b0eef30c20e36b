"""Label files → ``entity_labels``: what entities are, as the files under ``labels`` say."""

import logging
from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_LABELS
from shoal.errors import DataError
from shoal.pipelines.context import Context
from shoal.spark.hashing import hash_sum
from shoal.spark.session import persisted
from shoal.spark.tables import quote_literal

log = logging.getLogger(__name__)

_REQUIRED = ("entity_type", "entity_id", "label", "value")
_SHOWN = 3


def load_labels(context: Context) -> None:
    """Bring ``entity_labels`` to what the label files say; rows of other sources stay.

    A file is a CSV with a header: ``entity_type, entity_id, label, value`` and, if a label is not
    to hold for all nights, ``effective_date`` (its first one). Nothing is committed for a file
    that says what the table holds.

    Raises
    ------
    DataError
        If a file is missing, lacks a column, or holds rows without a value or with two values for
        one label; it names the file and the first of them.
    """
    for path in context.settings.labels:
        own = f"source = {quote_literal(path)}"
        held = context.warehouse.read(ENTITY_LABELS).where(F.col("source") == F.lit(path))
        with persisted(_read_texts(context, path)) as texts:
            _require_sound(texts, path)
            rows = _as_labels(texts, path)
            if _fingerprint(rows) != _fingerprint(held):
                context.warehouse.replace_where(rows, ENTITY_LABELS, own)
                log.info("labels of %s loaded", path)


def _read_texts(context: Context, path: str) -> DataFrame:
    """Rows of a label file as they are written, with ``date_text``."""
    reader = context.spark.read.option("header", True).option("enforceSchema", False)
    try:
        found = reader.csv(path)
    except AnalysisException as error:
        raise DataError(f"labels: {path} cannot be read: check the paths under labels") from error
    missing = [name for name in _REQUIRED if name not in found.columns]
    if missing:
        raise DataError(
            f"labels: {path} has no column {', '.join(missing)}; its header is "
            f"{', '.join(found.columns)}, needed are {', '.join(_REQUIRED)}"
        )
    dates = F.col("effective_date") if "effective_date" in found.columns else F.lit(None)
    return found.select(
        *(F.trim(name).alias(name) for name in _REQUIRED),
        F.trim(dates.cast("string")).alias("date_text"),
    )


def _as_labels(texts: DataFrame, path: str) -> DataFrame:
    return texts.select(
        "entity_type",
        F.lower("entity_id").alias("entity_id"),
        "label",
        "value",
        F.lit(path).alias("source"),
        F.col("date_text").try_cast("date").alias("effective_date"),
    )


def _require_sound(rows: DataFrame, path: str) -> None:
    is_empty = F.lit(False)
    for name in _REQUIRED:
        is_empty = is_empty | F.coalesce(F.col(name) == "", F.lit(True))
    is_undated = F.col("date_text").isNotNull() & F.col("date_text").try_cast("date").isNull()
    key = (F.col("entity_type"), F.lower("entity_id").alias("entity_id"), F.col("label"))
    faults = {
        "a row without a value in each needed column": rows.where(is_empty),
        "an effective_date that is no date, e.g. 2024-04-20": rows.where(is_undated),
        "two rows for one label of an entity": rows.groupBy(*key).count().where("count > 1"),
    }
    for what, found in faults.items():
        examples = found.limit(_SHOWN).collect()
        if examples:
            raise DataError(f"labels: {path} holds {what}: {_shown(examples)}")


def _shown(rows: Sequence[Row]) -> str:
    return "; ".join(",".join("" if v is None else str(v) for v in row) for row in rows)


def _fingerprint(labels: DataFrame) -> tuple[object, ...]:
    """Count and order-free hash of label rows."""
    row = labels.agg(F.count(F.lit(1)), hash_sum(*ENTITY_LABELS.column_names)).collect()[0]
    return tuple(row)
