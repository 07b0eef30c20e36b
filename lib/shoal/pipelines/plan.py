"""What a night stands on: its inputs, the models that serve it, and the ``run_id`` of both.

Every step plans anew from tables alone and arrives at the same ``run_id``, because a model's
version is known before it is fitted: it is a hash of what it will be fitted on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings, config_hash
from shoal.contracts import ENTITY_LABELS, INGEST_FILES, Table
from shoal.errors import DataError
from shoal.models.registry import ServingModel, model_version, serving_models
from shoal.pipelines.context import Context
from shoal.spark.nights import Night, hide_night, published_nights, read_nights
from shoal.spark.tables import Warehouse


@dataclass(frozen=True)
class NightPlan:
    """A night's inputs and identity.

    Attributes
    ----------
    file_ids : raw files with events of the day, those changed last at the end
    look_back_date : first day that any step of this night may look back on
    earlier : published nights that any step of this one may look back on, by date
    serving : entity type → model in force before any fit of this night
    due : entity type → version of the model that this night is due to fit
    """

    event_date: date
    run_id: str
    input_hash: str
    file_ids: tuple[str, ...]
    look_back_date: date
    earlier: tuple[Night, ...]
    serving: dict[str, ServingModel]
    due: dict[str, str]

    def nights_back(self, days: int) -> list[Night]:
        """Published nights of the ``days`` before this one."""
        since = self.event_date - timedelta(days=days)
        return [night for night in self.earlier if night.event_date >= since]


def plan_night(context: Context, event_date: date) -> NightPlan:
    """Plan a night from the tables.

    Raises
    ------
    DataError
        If no raw file has an event of the day.
    """
    settings, warehouse = context.settings, context.warehouse
    files = _files_of_day(warehouse, event_date)
    if not files:
        raise DataError(
            f"no events of {event_date} in the ledger ingest_files: run `shoal ingest`, or check "
            "the paths under sources"
        )
    days_back = max(
        settings.features.novelty_days, settings.fit.window_days, settings.score.self_days
    )
    look_back_date = event_date - timedelta(days=days_back)
    earlier = published_nights(warehouse, look_back_date, event_date - timedelta(days=1))
    serving = serving_models(warehouse, event_date)
    meaning = config_hash(settings)
    due = _due_models(settings, event_date, earlier, serving, meaning)
    contents = sorted({content for content, _ in files})
    input_hash = _hash(
        [contents, [night.run_id for night in earlier], _labels_hash(warehouse, event_date)]
    )
    in_force = {kind: model.model_version for kind, model in serving.items()} | due
    run_id = _hash([event_date.isoformat(), meaning, input_hash, sorted(in_force.items())])
    return NightPlan(
        event_date=event_date,
        run_id=run_id,
        input_hash=input_hash,
        file_ids=tuple(file_id for _, file_id in files),
        look_back_date=look_back_date,
        earlier=tuple(earlier),
        serving=serving,
        due=due,
    )


def days_with_data(warehouse: Warehouse, start: date, end: date) -> list[date]:
    """UTC days from ``start`` to ``end`` that any raw file has events of, in order."""
    day = F.explode("event_days").alias("day")
    rows = (
        warehouse.read(INGEST_FILES)
        .select(day)
        .where(F.col("day").between(F.lit(start), F.lit(end)))
        .distinct()
        .collect()
    )
    return sorted(row[0] for row in rows)


def faults_of_inputs(context: Context, plan: NightPlan) -> list[str]:
    """What is wrong with a night's inputs, from tables: a rerun finds the same."""
    ids = context.spark.createDataFrame([(f,) for f in plan.file_ids], "file_id string")
    bad = (
        context.warehouse.read(INGEST_FILES)
        .where(F.col("quarantined_count") > 0)
        .join(F.broadcast(ids), ["file_id"], how="left_semi")
        .agg(F.sum("quarantined_count"), F.count(F.lit(1)))
        .collect()[0]
    )
    hidden = [
        str(night.event_date)
        for night in read_nights(context.warehouse, plan.look_back_date, plan.event_date)
        if night.state != "published" and night.event_date < plan.event_date
    ]
    faults = []
    if bad[1]:
        faults.append(f"{plan.event_date}: {bad[0]:,} records of its {bad[1]} files in quarantine")
    if hidden:
        faults.append(f"{plan.event_date}: earlier nights without publication: {', '.join(hidden)}")
    return faults


def begin_writing(context: Context, plan: NightPlan) -> None:
    """Hide the night if it is published with other inputs, before any of its tables change."""
    for night in read_nights(context.warehouse, plan.event_date, plan.event_date):
        if night.run_id != plan.run_id and night.state == "published":
            hide_night(context.warehouse, plan.event_date, plan.run_id)


def read_own_day(context: Context, table: Table, plan: NightPlan, *, made_by: str) -> DataFrame:
    """Rows that an earlier step of this very night wrote.

    Raises
    ------
    DataError
        If the step has not run, or ran on other inputs.
    """
    rows = context.warehouse.read_days(table, plan.event_date, plan.event_date)
    own = rows.where(F.col("run_id") == plan.run_id)
    if own.limit(1).count() == 0:
        raise DataError(
            f"{table.name} has no rows of {plan.event_date} for the inputs as they are now "
            f"(run_id {plan.run_id}): run `shoal {made_by} --date {plan.event_date}` first"
        )
    return own


def _files_of_day(warehouse: Warehouse, event_date: date) -> list[tuple[str, str]]:
    """Content hash and id of the files with events of a day, those changed last at the end.

    A file that was touched, renamed or copied has the same content: it changes no night's identity.
    """
    rows = (
        warehouse.read(INGEST_FILES)
        .where(F.col("status") == "read")
        .where(F.array_contains("event_days", F.lit(event_date)))
        .select("modified_ts", "source_file", "file_id", "content_hash")
        .collect()
    )
    return [(row["content_hash"], row["file_id"]) for row in sorted(rows)]


def _due_models(
    settings: Settings,
    event_date: date,
    earlier: Sequence[Night],
    serving: dict[str, ServingModel],
    meaning: str,
) -> dict[str, str]:
    """Models that the night is to fit: where none serves, or the one that does is old."""
    since = event_date - timedelta(days=settings.fit.window_days)
    run_ids = [night.run_id for night in earlier if night.event_date >= since]
    due = {}
    for entity_type in settings.entity_types:
        model = serving.get(entity_type)
        is_old = model is None or (event_date - model.effective_date).days >= (
            settings.fit.every_days
        )
        if run_ids and is_old:
            due[entity_type] = model_version(entity_type, event_date, run_ids, meaning)
    return due


def _labels_hash(warehouse: Warehouse, event_date: date) -> str:
    """Hash of the labels in force, whatever their order."""
    in_force = F.col("effective_date").isNull() | (F.col("effective_date") <= F.lit(event_date))
    labels = warehouse.read(ENTITY_LABELS).where(in_force)
    row_hash = F.xxhash64("entity_type", "entity_id", "label", "value").cast("decimal(38,0)")
    row = labels.agg(F.sum(row_hash), F.count(F.lit(1))).first()
    return "none" if row is None or not row[1] else f"{row[0]}/{row[1]}"


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
