"""Ready feature tables: an id, a date, perhaps a slice, and numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.contracts.events import FEATURE_VALUES
from shoal.errors import UsageError
from shoal.sources import columns as c
from shoal.sources.files import RawFile
from shoal.sources.tables import (
    CORRUPT,
    OTHER_LENGTH,
    cell_texts,
    fault_of_header,
    read_tables,
    record_columns,
)

_NUMBER = r"(?i)^[+-]?((\d{1,400}(\.\d{0,400})?|\.\d{1,400})(e[+-]?\d{1,4})?|inf|infinity|nan)$"


@dataclass(frozen=True)
class _Roles:
    """Which column of a file says what."""

    entity_type: str
    id_column: str
    date_column: str
    slice_column: str | None
    feature_columns: tuple[str, ...] | None

    def features_of(self, names: Sequence[str]) -> list[str]:
        """Return the feature columns of a file with these columns, by name."""
        if self.feature_columns is not None:
            return sorted(set(self.feature_columns))
        own = {self.id_column, self.date_column, self.slice_column}
        return sorted(name for name in names if name not in own)

    def fault_of(self, names: Sequence[str]) -> str | None:
        """Return why a file with these columns cannot be read, if so."""
        wanted = [self.id_column, self.date_column, *self.features_of(names)]
        wanted += [self.slice_column] if self.slice_column else []
        return fault_of_header(names, wanted)

    @property
    def meaning(self) -> tuple[str, ...]:
        """What a row says about whom: two sources may read one table as entities of two types."""
        return (self.entity_type, self.id_column, self.date_column, self.slice_column or "")


def parse_features(
    spark: SparkSession,
    files: Sequence[RawFile],
    *,
    source_name: str,
    entity_type: str,
    id_column: str,
    date_column: str,
    slice_column: str | None = None,
    feature_columns: Sequence[str] | None = None,
    file_format: str = "csv",
) -> DataFrame:
    """Read ready feature tables; row → record, in the shape of PARSED_COLUMNS.

    Each file is read by its own header. An empty cell is left out of ``feature_values``;
    ``inf`` and ``nan`` stay, for scoring to say so. The id is lower-cased as all entities are.
    The hash of a row's content by name is its event_id, whatever the order of columns.

    Parameters
    ----------
    spark : SparkSession
    files : sequence of RawFile
    source_name, entity_type : str
    id_column, date_column, slice_column : str
        Columns of the entity, of its day (``2024-04-19``, or a time, whose UTC day counts) and of
        its group of peers.
    feature_columns : sequence of str, optional
        By default every other column of a file.
    file_format : {'csv', 'parquet'}

    Raises
    ------
    UsageError
        If ``file_format`` is none of these.
    UnreadableFileError
        If a Parquet file holds a type that Spark doesn't know (pandas' nanoseconds).
    """
    if file_format not in {"csv", "parquet"}:
        raise UsageError(f"file_format must be 'csv' or 'parquet', got {file_format!r}")
    roles = _Roles(
        entity_type=entity_type,
        id_column=id_column,
        date_column=date_column,
        slice_column=slice_column,
        feature_columns=None if feature_columns is None else tuple(feature_columns),
    )
    parsed = c.no_records(spark)
    for rows, names in read_tables(spark, files, file_format=file_format):
        parsed = parsed.unionByName(
            _parse_rows(rows, names=names, roles=roles, source_name=source_name)
        )
    return parsed


def _parse_rows(
    rows: DataFrame, *, names: Sequence[str], roles: _Roles, source_name: str
) -> DataFrame:
    """Rows of one schema; row → record."""
    fault = roles.fault_of(names)
    texts = cell_texts(rows, names)
    usable = {} if fault else texts
    missing = F.lit(None).cast("string")
    features = {name: texts[name] for name in roles.features_of(names)} if not fault else {}
    records = rows.select(
        *record_columns(texts, source_name, roles.meaning),
        F.col(CORRUPT).isNotNull().alias("is_corrupt"),
        c.clean_lower(usable.get(roles.id_column, missing)).alias("entity_id"),
        _midnight(usable.get(roles.date_column, missing)).alias("event_ts"),
        c.clean(usable.get(roles.slice_column or "", missing)).alias("slice"),
        _values(features).alias("feature_values"),
        _not_numbers(features).alias("not_numbers"),
    )
    event_fields = {
        **{name: F.col(name) for name in ("event_ts", "entity_id", "slice", "feature_values")},
        "entity_type": F.lit(roles.entity_type),
        "event_code": F.lit("feature-row"),
    }
    return records.transform(_add_outcome, fault=fault, roles=roles).transform(
        c.project, event_fields=event_fields
    )


def _values(features: dict[str, Column]) -> Column:
    """Feature values by name; cells without a value are left out."""
    pairs = [
        F.struct(F.lit(name).alias("name"), text.try_cast("double").alias("value"))
        for name, text in features.items()
    ]
    if not pairs:
        return F.array().cast(FEATURE_VALUES)
    return F.filter(F.array(*pairs), lambda pair: pair["value"].isNotNull())


def _not_numbers(features: dict[str, Column]) -> Column:
    """Names of the features whose text is not a number."""
    faults = [
        F.when((text != "") & ~text.rlike(_NUMBER), F.lit(name)) for name, text in features.items()
    ]
    return F.array_compact(F.array(*faults)) if faults else F.array().cast("array<string>")


def _midnight(text: Column) -> Column:
    """Midnight UTC of a date, or of the UTC day of a time."""
    as_time = F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}$"), F.concat(text, F.lit(" 00:00:00")))
    return F.date_trunc("day", c.utc_timestamp(F.coalesce(as_time, text)))


def _add_outcome(records: DataFrame, *, fault: str | None, roles: _Roles) -> DataFrame:
    """Add outcome, event_table, ignored_type and reason."""
    not_numbers = F.col("not_numbers")
    reason = (
        F.when(F.lit(fault is not None), F.lit(fault))
        .when(F.col("is_corrupt"), OTHER_LENGTH)
        .when(F.col("entity_id").isNull(), f"no id in column {roles.id_column!r}")
        .when(F.col("event_ts").isNull(), f"no usable date in column {roles.date_column!r}")
        .when(F.col("slice") == "*", "the slice '*' is the name of all of them together")
        .when(
            F.size(not_numbers) > 0,
            F.concat(F.lit("not a number in column "), F.array_join(not_numbers, ", ")),
        )
    )
    return records.withColumns(
        {
            "reason": F.substring(reason, 1, c.PATH_LENGTH),
            "event_table": F.lit("feature"),
            "ignored_type": F.lit(None).cast("string"),
        }
    ).withColumn("outcome", F.when(F.col("reason").isNotNull(), "quarantined").otherwise("event"))
