"""Events from any CSV, JSON or Parquet, by a map of its columns to event columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.sources import columns as c
from shoal.sources.files import RawFile, read_lines
from shoal.sources.json_text import add_json, is_json, json_field, why_no_object
from shoal.sources.mapping import EventRule, parse_events
from shoal.sources.tables import (
    CORRUPT,
    OTHER_LENGTH,
    cell_texts,
    fault_of_header,
    read_tables,
    record_columns,
)


@dataclass(frozen=True)
class MappedColumn:
    """Where the text of an event column comes from: a column, or a text that is always the same.

    With ``any_of`` it is whether the column's text is one of these, whatever their case.
    """

    column: str | None = None
    value: str | None = None
    any_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class MappedEvent:
    """One type of record: what tells it (``when``: texts by column), and what it becomes."""

    code: str
    table: str
    columns: Mapping[str, MappedColumn]
    action: str | None = None
    when: Mapping[str, tuple[str, ...]] | None = None

    @property
    def wanted(self) -> list[str]:
        """Columns that a file must have."""
        named = [mapped.column for mapped in self.columns.values() if mapped.column is not None]
        return sorted({*named, *(self.when or {})})


def parse_mapped(
    spark: SparkSession,
    files: Sequence[RawFile],
    *,
    source_name: str,
    events: Sequence[MappedEvent],
    file_format: str,
    is_cut: bool = False,
) -> DataFrame:
    """Read files by a map; row or line → record, in the shape of PARSED_COLUMNS.

    A record is of the first type that it fits; one that fits none is ignored as
    ``{source_name}-other``.

    Parameters
    ----------
    spark : SparkSession
    files : sequence of RawFile
    source_name : str
    events : sequence of MappedEvent
    file_format : {'csv', 'json', 'parquet'}
        JSON is read by the line; its columns are paths such as ``process/name``.
    is_cut : bool
        The files are known to end too early: their whole records are read instead of none.
    """
    if file_format == "json":
        lines = read_lines(spark, files, source_name=source_name, is_cut=is_cut)
        paths = sorted({path for event in events for path in event.wanted})
        texts = {path: json_field(path) for path in paths}
        fault = F.when(~is_json(), why_no_object(F.col("value")))
        return _parse(lines.transform(add_json, paths), texts, events, source_name, fault)
    parsed = c.no_records(spark)
    tables = read_tables(spark, files, file_format=file_format, is_cut=is_cut)
    for rows, names in tables:
        parsed = parsed.unionByName(_parse_table(rows, names, events, source_name))
    return parsed


def _parse_table(
    rows: DataFrame, names: Sequence[str], events: Sequence[MappedEvent], source_name: str
) -> DataFrame:
    """Rows of one header; row → record."""
    wanted = sorted({name for event in events for name in event.wanted})
    header_fault = fault_of_header(names, wanted)
    cells = cell_texts(rows, names)
    records = rows.select(
        "*",
        *record_columns(cells, source_name, (source_name,)),
    )
    missing = F.lit(None).cast("string")
    texts = {name: missing if header_fault else cells[name] for name in wanted}
    fault = F.when(F.lit(header_fault is not None), F.lit(header_fault)).when(
        F.col(CORRUPT).isNotNull(), OTHER_LENGTH
    )
    return _parse(records, texts, events, source_name, F.substring(fault, 1, c.PATH_LENGTH))


def _parse(
    records: DataFrame,
    texts: Mapping[str, Column],
    events: Sequence[MappedEvent],
    source_name: str,
    fault: Column,
) -> DataFrame:
    rules = {
        event.code: EventRule(
            table=event.table,
            texts={target: _text(mapped, texts) for target, mapped in event.columns.items()},
            action=event.action,
        )
        for event in events
    }
    record_type = F.lit(f"{source_name}-other")
    for event in reversed(events):
        fits = [_is_any_of(texts[name], some) for name, some in (event.when or {}).items()]
        fit = reduce(lambda left, right: left & right, fits, F.lit(True))
        record_type = F.when(fit, event.code).otherwise(record_type)
    words = {
        target: repr(mapped.column)
        for event in reversed(events)
        for target, mapped in event.columns.items()
        if mapped.column is not None
    }
    return parse_events(
        records.withColumn("record_type", record_type), rules, fault=fault, words=words
    )


def _text(mapped: MappedColumn, texts: Mapping[str, Column]) -> Column:
    if mapped.column is None:
        return F.lit(mapped.value)
    text = texts[mapped.column]
    if mapped.any_of:
        return F.when(text.isNotNull(), _is_any_of(text, mapped.any_of).cast("string"))
    return text


def _is_any_of(text: Column, some: Sequence[str]) -> Column:
    return F.coalesce(F.lower(text).isin([one.lower() for one in some]), F.lit(False))
