"""Label files → ``entity_labels``: what entities are, as the files under ``labels`` say."""

import logging
from collections.abc import Sequence
from datetime import date

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from shoal.config import LabelTable
from shoal.contracts import ENTITY_LABELS
from shoal.errors import DataError
from shoal.pipelines.context import Context
from shoal.spark.hashing import hash_sum
from shoal.spark.session import persisted
from shoal.spark.tables import Warehouse, quote_identifier, quote_literal

log = logging.getLogger(__name__)

_REQUIRED = ("entity_type", "entity_id", "label", "value")
_SHOWN = 3


def load_labels(context: Context) -> None:
    """Bring ``entity_labels`` to what the label files say; rows of other sources stay.

    A file is a CSV with a header: ``entity_type, entity_id, label, value`` and, if a label is not
    to hold for all nights, ``effective_date`` (its first one); or any CSV, with a map of its
    columns. Nothing is committed for a file that says what the table holds.

    Raises
    ------
    DataError
        If a file is missing, lacks a column, or holds rows without a value or with two values for
        one label; it names the file and the first of them.
    """
    for labels in context.settings.labels:
        path = labels if isinstance(labels, str) else labels.path
        source = path if isinstance(labels, str) else f"{path}#{labels.entity_type}"
        own = f"source = {quote_literal(source)}"
        held = context.warehouse.read(ENTITY_LABELS).where(F.col("source") == F.lit(source))
        found = _read(context, path)
        texts = _listed(found, path) if isinstance(labels, str) else _mapped(found, labels)
        with persisted(texts) as rows:
            _require_sound(rows, path)
            new = _as_labels(rows, source)
            if _fingerprint(new) != _fingerprint(held):
                context.warehouse.replace_where(new, ENTITY_LABELS, own)
                log.info("labels of %s loaded", source)


def labels_in_force(warehouse: Warehouse, day: date) -> DataFrame:
    """Rows of ``entity_labels`` that hold on a night."""
    start = F.col("effective_date")
    return warehouse.read(ENTITY_LABELS).where(start.isNull() | (start <= F.lit(day)))


def _read(context: Context, path: str) -> DataFrame:
    reader = context.spark.read.options(header=True, enforceSchema=False, escape='"')
    try:
        return reader.csv(path)
    except AnalysisException as error:
        raise DataError(f"labels: {path} cannot be read: check the paths under labels") from error


def _require_columns(found: DataFrame, needed: Sequence[str], path: str) -> None:
    missing = [name for name in needed if name not in found.columns]
    if missing:
        raise DataError(
            f"labels: {path} has no column {', '.join(missing)}; its header is "
            f"{', '.join(found.columns)}, needed are {', '.join(needed)}"
        )


def _listed(found: DataFrame, path: str) -> DataFrame:
    """Rows of a file in the shape of the table, as they are written, with ``date_text``."""
    _require_columns(found, _REQUIRED, path)
    dates = F.col("effective_date") if "effective_date" in found.columns else F.lit(None)
    return found.select(
        *(F.trim(name).alias(name) for name in _REQUIRED),
        F.trim(dates.cast("string")).alias("date_text"),
    )


def _mapped(found: DataFrame, labels: LabelTable) -> DataFrame:
    """The same rows from a CSV of one row an entity, one for each label that it has a value of."""
    _require_columns(found, [labels.id_column, *labels.labels.values()], labels.path)

    def cell(name: str) -> Column:
        return F.trim(F.col(quote_identifier(name)))

    pairs = F.array(
        *(
            F.struct(F.lit(label).alias("label"), cell(name).alias("value"))
            for label, name in labels.labels.items()
        )
    )
    return (
        found.select(cell(labels.id_column).alias("entity_id"), F.explode(pairs).alias("pair"))
        .where(F.col("entity_id").isNotNull() & (F.col("pair.value") != ""))
        .select(
            F.lit(labels.entity_type).alias("entity_type"),
            "entity_id",
            "pair.label",
            "pair.value",
            F.lit(None).cast("string").alias("date_text"),
        )
        .distinct()
    )


def _as_labels(texts: DataFrame, source: str) -> DataFrame:
    return texts.select(
        "entity_type",
        F.lower("entity_id").alias("entity_id"),
        "label",
        "value",
        F.lit(source).alias("source"),
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
