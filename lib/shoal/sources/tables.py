"""Tables in files, CSV and Parquet: each read by its own header, its columns told by place."""

from collections.abc import Iterator, Sequence

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shoal.errors import UnreadableFileError
from shoal.sources import columns as c
from shoal.sources.files import (
    READ_OPTIONS,
    RawFile,
    escape_path,
    file_id_column,
    source_file_column,
)
from shoal.spark.tables import quote_identifier

CORRUPT = "corrupt"
_LISTED_NAMES = 20
OTHER_LENGTH = "the row has another number of cells than the header"


def read_tables(
    spark: SparkSession, files: Sequence[RawFile], *, file_format: str, is_cut: bool = False
) -> Iterator[tuple[DataFrame, list[str]]]:
    """Read files of any headers: for each header its rows and the names of its columns.

    Column i stands in ``c{i}``; ``corrupt`` holds the text of a row of other length, null for all
    else. A file without a header has no rows. Of CSV that is known to end too early (``is_cut``)
    the rows before that are read instead of none.

    Raises
    ------
    UnreadableFileError
        If a Parquet file holds a type that Spark doesn't know (pandas' nanoseconds).
    """
    grouped: dict[T.StructType, list[RawFile]] = {}
    for file in files:
        grouped.setdefault(_schema_of(spark, file, file_format=file_format), []).append(file)
    for schema, alike in grouped.items():
        if schema.fields:
            names = [field.metadata["name"] for field in schema]
            yield (
                _read_rows(spark, alike, schema=schema, file_format=file_format, is_cut=is_cut),
                names,
            )


def fault_of_header(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Why a file with these columns cannot be read by those wanted, if so."""
    missing = [name for name in wanted if name not in names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if any("\0" in name for name in names):
        return f"the header holds {c.NO_TEXT}"
    if missing:
        return f"the file has no column {_listed(missing)}; it has {_listed(names)}"
    return f"the header repeats {_listed(repeated)}" if repeated else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_LISTED_NAMES])
    return shown + (", …" if len(names) > _LISTED_NAMES else "")


def cell_texts(rows: DataFrame, names: Sequence[str]) -> dict[str, Column]:
    """Text of the cells by name of column; a boolean of Parquet as 1 or 0."""
    return {name: _text(rows, position) for position, name in enumerate(names)}


def _text(rows: DataFrame, position: int) -> Column:
    column = F.col(f"c{position}")
    if isinstance(rows.schema[f"c{position}"].dataType, T.BooleanType):
        column = column.cast("int")
    return F.trim(column.cast("string"))


def record_columns(
    texts: dict[str, Column], source_name: str, meaning: Sequence[str]
) -> list[Column]:
    """RECORD_COLUMNS and ``value`` of rows with these cells.

    ``meaning`` tells readings of the same row apart.
    """
    return [
        F.lit(source_name).alias("source_name"),
        source_file_column().alias("source_file"),
        file_id_column(source_name).alias("file_id"),
        _row_id(texts, meaning).alias("event_id"),
        _row_text(texts).alias("value"),
    ]


def _row_text(texts: dict[str, Column]) -> Column:
    """A row as it is shown in quarantine."""
    return F.coalesce(CORRUPT, F.concat_ws(",", *map(_or_empty, texts.values())))


def _row_id(texts: dict[str, Column], meaning: Sequence[str]) -> Column:
    """Hash of a row's content by name, so that neither place nor order of columns matters."""
    cells = [_or_empty(texts[name]) for name in sorted(texts)]
    names = "\x1f".join((*meaning, *sorted(texts)))
    return c.content_id(F.concat_ws("\x1f", F.lit(names), _or_empty(F.col(CORRUPT)), *cells))


def _or_empty(text: Column) -> Column:
    """Text, or an empty one for null, which ``concat_ws`` would leave out with its comma."""
    return F.coalesce(text, F.lit(""))


def _schema_of(spark: SparkSession, file: RawFile, *, file_format: str) -> T.StructType:
    """Columns of one file as c0, c1, …, each with its name as metadata.

    Positions stand for names, for names may hold any character or repeat.
    """
    path = escape_path(file.source_file)
    if file_format == "parquet":
        try:
            fields = spark.read.options(**READ_OPTIONS).parquet(path).schema.fields
        except PySparkException as error:
            raise UnreadableFileError(
                file.source_file,
                f"{error.getCondition()}; write it anew as Parquet (from pandas, times in "
                "microseconds: coerce_timestamps='us')",
            ) from error
        return T.StructType(
            [
                T.StructField(f"c{i}", field.dataType, True, {"name": field.name})
                for i, field in enumerate(fields)
            ]
        )
    first = spark.read.options(**READ_OPTIONS, **_csv_options(header="false")).csv(path).head(1)
    names = [str(name or "").strip() for name in first[0]] if first else []
    return T.StructType(
        [
            T.StructField(f"c{i}", T.StringType(), True, {"name": name})
            for i, name in enumerate(names)
        ]
    )


def _csv_options(*, header: str) -> dict[str, str]:
    # Without column pruning a row of other length is told whichever columns are asked for; a row
    # of more than maxColumns cells fails the read, and the default is 20,480.
    return {"header": header, "escape": '"', "columnPruning": "false", "maxColumns": "200000"}


def _read_rows(
    spark: SparkSession,
    files: Sequence[RawFile],
    *,
    schema: T.StructType,
    file_format: str,
    is_cut: bool,
) -> DataFrame:
    """Read files of one schema; adds ``corrupt``, the text of a row of other length."""
    paths = [escape_path(file.source_file) for file in files]
    if file_format == "parquet":
        names = [field.metadata["name"] for field in schema]
        rows = spark.read.options(**READ_OPTIONS).parquet(*paths)
        return rows.select(
            *(rows[quote_identifier(name)].alias(f"c{i}") for i, name in enumerate(names)),
            F.lit(None).cast("string").alias(CORRUPT),
            F.col("_metadata"),
        )
    with_corrupt = T.StructType([*schema.fields, T.StructField(CORRUPT, T.StringType())])
    options = {**_csv_options(header="true"), "columnNameOfCorruptRecord": CORRUPT}
    options |= {"ignoreCorruptFiles": "true"} if is_cut else {}
    rows = spark.read.schema(with_corrupt).options(**READ_OPTIONS, **options).csv(paths)
    return rows.select("*", F.col("_metadata"))
