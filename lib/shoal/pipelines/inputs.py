"""What the tables hold for some nights, each table read once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import functions as F

from shoal.contracts import DRIFT_ALERT_RATE, INGEST_FILES
from shoal.lake import Night, read_nights
from shoal.models.alert_rate import AGED
from shoal.models.histograms import ALL
from shoal.models.registry import StatusChange, read_changes
from shoal.models.suppressions import Suppression, read_suppressions
from shoal.models.verdicts import Verdict, read_verdicts
from shoal.pipelines.labels import labels_in_force
from shoal.spark.hashing import hash_sum
from shoal.spark.nights import read_published
from shoal.spark.tables import Warehouse


@dataclass(frozen=True)
class DayFile:
    """A raw file with events of a day.

    Attributes
    ----------
    kinds : of its events, all its days together
    """

    content_hash: str
    file_id: str
    quarantined_count: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Inputs:
    """What the tables hold for some nights, each table read once.

    Attributes
    ----------
    labels : (first night, sum of hashes, number) of the labels by the night they hold from
    source_days : days that each source has events of, by name
    aged : published night → entity types whose model was found to have aged
    verdicts, rules : all that analysts have said, whatever the night
    """

    files: dict[date, list[DayFile]]
    nights: dict[date, Night]
    labels: list[tuple[date | None, int, int]]
    changes: list[StatusChange]
    source_days: dict[str, set[date]]
    aged: dict[date, frozenset[str]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    rules: list[Suppression] = field(default_factory=list)


def days_with_data(warehouse: Warehouse, start: date, end: date) -> list[date]:
    """UTC days from ``start`` to ``end`` that any raw file has events of, in order."""
    return sorted(set().union(*days_by_source(warehouse, start, end).values()))


def read_inputs(warehouse: Warehouse, days: Sequence[date], *, since: date) -> Inputs:
    """Read what nights stand on: those of ``days``, and nights from ``since`` on behind them."""
    last = max(days)
    nights = {night.event_date: night for night in read_nights(warehouse, since, last)}
    published = [night for night in nights.values() if night.state == "published"]
    return Inputs(
        files=_files_by_day(warehouse, days),
        nights=nights,
        labels=_labels_by_start(warehouse, last),
        verdicts=read_verdicts(warehouse),
        rules=read_suppressions(warehouse),
        changes=read_changes(warehouse),
        source_days=days_by_source(warehouse, since, last),
        aged=aged_models(warehouse, published),
    )


def aged_models(warehouse: Warehouse, nights: Sequence[Night]) -> dict[date, frozenset[str]]:
    """Night → entity types whose model was found to have aged on it, of nights with one."""
    rows = (
        read_published(warehouse, DRIFT_ALERT_RATE, nights)
        .where((F.col("slice") == ALL) & (F.col("verdict") == AGED))
        .select("event_date", "entity_type")
        .collect()
    )
    found: dict[date, set[str]] = {}
    for day, kind in rows:
        found.setdefault(day, set()).add(kind)
    return {day: frozenset(kinds) for day, kinds in found.items()}


def _files_by_day(warehouse: Warehouse, days: Sequence[date]) -> dict[date, list[DayFile]]:
    """Files with events of each day, those changed last at the end.

    A file that was touched, renamed or copied has the same content: it changes no night's identity.
    """
    day = F.explode("event_days").alias("day")
    names = ["modified_ts", "source_file", "file_id", "content_hash", "quarantined_count"]
    rows = (
        warehouse.read(INGEST_FILES)
        .where(F.col("status") == "read")
        .select(day, *names, F.map_keys("events_by_table").alias("kinds"))
        .where(F.col("day").isin(list(days)))
        .collect()
    )
    found: dict[date, list[DayFile]] = {}
    for row in sorted(rows, key=lambda row: tuple(row[name] for name in names[:3])):
        file = DayFile(
            row["content_hash"], row["file_id"], row["quarantined_count"], tuple(row["kinds"])
        )
        found.setdefault(row["day"], []).append(file)
    return found


def days_by_source(warehouse: Warehouse, start: date, end: date) -> dict[str, set[date]]:
    """Days from ``start`` to ``end`` that each source has events of."""
    day = F.explode("event_days").alias("day")
    rows = (
        warehouse.read(INGEST_FILES)
        .select("source_name", day)
        .where(F.col("day").between(F.lit(start), F.lit(end)))
        .distinct()
        .collect()
    )
    found: dict[str, set[date]] = {}
    for name, at in rows:
        found.setdefault(name, set()).add(at)
    return found


def _labels_by_start(warehouse: Warehouse, until: date) -> list[tuple[date | None, int, int]]:
    """Sum of hashes and number of the labels that hold from each night on, whatever their order."""
    start = F.col("effective_date")
    rows = (
        labels_in_force(warehouse, until)
        .groupBy(start)
        .agg(hash_sum("entity_type", "entity_id", "label", "value"), F.count(F.lit(1)))
        .collect()
    )
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


def labels_hash(inputs: Inputs, day: date) -> str:
    """Hash of the labels in force."""
    own = [(total, n) for start, total, n in inputs.labels if start is None or start <= day]
    return f"{sum(t for t, _ in own)}/{sum(n for _, n in own)}" if own else "none"
