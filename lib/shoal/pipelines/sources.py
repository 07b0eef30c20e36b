"""Configured sources → readers: which reader reads the files of a source, told what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, SparkSession

from shoal.config import ColumnRule, FeaturesSource, MappedSource, Source
from shoal.errors import ConfigError
from shoal.sources import SOURCES
from shoal.sources.features import parse_features
from shoal.sources.files import RawFile, read_lines
from shoal.sources.mapped import MappedColumn, MappedEvent, parse_mapped
from shoal.sources.mapping import check_targets
from shoal.sources.records import cut_records


@dataclass(frozen=True)
class SourceFile:
    """A raw file of a configured source.

    Attributes
    ----------
    admitted : days that an earlier reading of the file took, whatever the window is now
    cut : why only the records before its early end can be read, ``None`` if it can be read whole
    """

    source: Source
    file: RawFile
    admitted: tuple[date, ...] = ()
    cut: str | None = None


def check_sources(sources: Iterable[Source]) -> None:
    """Hold mapped sources against the tables of events.

    Raises
    ------
    ConfigError
        Naming every table or column that there is not.
    """
    faults = [
        f"source {source.name!r}: {fault}"
        for source in sources
        if isinstance(source, MappedSource)
        for event in source.events
        for fault in check_targets(event.table, list(event.columns))
    ]
    if faults:
        raise ConfigError("; ".join(faults))


def parse_files(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    """Read the files of any sources; file → record, in the shape of PARSED_COLUMNS."""
    by_source: dict[tuple[str, bool], list[RawFile]] = {}
    for item in files:
        by_source.setdefault((item.source.name, bool(item.cut)), []).append(item.file)
    sources = {item.source.name: item.source for item in files}
    parsed = [
        _parse(spark, sources[name], own, is_cut=is_cut)
        for (name, is_cut), own in by_source.items()
    ]
    cuts = [(item.source.name, item.file, item.cut) for item in files if item.cut]
    if cuts:
        parsed.append(cut_records(spark, cuts))
    return reduce(DataFrame.unionByName, parsed)


def _parse(
    spark: SparkSession, source: Source, files: Sequence[RawFile], *, is_cut: bool
) -> DataFrame:
    if isinstance(source, FeaturesSource):
        return parse_features(
            spark,
            files,
            source_name=source.name,
            entity_type=source.entity_type,
            id_column=source.id_column,
            date_column=source.date_column,
            slice_column=source.slice_column,
            feature_columns=source.feature_columns,
            file_format=source.format,
        )
    if isinstance(source, MappedSource):
        return parse_mapped(
            spark,
            files,
            source_name=source.name,
            events=_mapped_events(source),
            file_format=source.format,
            is_cut=is_cut,
        )
    lines = read_lines(spark, files, source_name=source.name, is_cut=is_cut)
    return SOURCES[source.kind](lines)


def _mapped_events(source: MappedSource) -> list[MappedEvent]:
    return [
        MappedEvent(
            code=source.code_of(event),
            table=event.table,
            columns={target: _mapped_column(rule) for target, rule in event.columns.items()},
            action=event.action,
            when={name: tuple(some) for name, some in event.when.items()},
        )
        for event in source.events
    ]


def _mapped_column(rule: ColumnRule) -> MappedColumn:
    return MappedColumn(rule.column, rule.value, tuple(rule.any_of))
