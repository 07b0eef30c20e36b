"""Which model serves a night, and the rows that say so."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import MODEL_CANDIDATES, MODEL_STATUS, MODELS, Table
from shoal.models.peer_models import PeerModels, peer_model
from shoal.spark.tables import Warehouse, quote_literal


@dataclass(frozen=True)
class ServingModel:
    """The model version that serves an entity type on a night."""

    entity_type: str
    model_version: str
    effective_date: date


def model_version(
    entity_type: str, night: date, training_run_ids: Sequence[str], config_hash: str
) -> str:
    """Identity of a model: the same inputs and configuration give the same version."""
    text = json.dumps([entity_type, night.isoformat(), sorted(training_run_ids), config_hash])
    return f"{entity_type}-{night:%Y%m%d}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def serving_models(warehouse: Warehouse, night: date) -> dict[str, ServingModel]:
    """Entity type → the model that serves ``night``: the newest promotion in force.

    Retirements and rollbacks end a promotion; what was promoted before serves again.
    """
    rows = (
        warehouse.read(MODEL_STATUS)
        .where(F.col("effective_date") <= F.lit(night))
        .orderBy("entity_type", "effective_date", "sequence")
        .collect()
    )
    stacks: dict[str, list[ServingModel]] = {}
    for row in rows:
        stack = stacks.setdefault(row["entity_type"], [])
        if row["status"] == "promoted":
            stack.append(
                ServingModel(row["entity_type"], row["model_version"], row["effective_date"])
            )
        elif row["status"] in {"retired", "rolled_back"}:
            stack[:] = [model for model in stack if model.model_version != row["model_version"]]
    return {entity_type: stack[-1] for entity_type, stack in stacks.items() if stack}


def load_models(warehouse: Warehouse, serving: Iterable[ServingModel]) -> PeerModels:
    """Load the models of a night."""
    models = list(serving)
    if not models:
        return PeerModels({})
    versions = [model.model_version for model in models]
    days = sorted({model.effective_date for model in models})
    rows = (
        warehouse.read(MODELS)
        .where(F.col("valid_from_date").isin(days) & F.col("model_version").isin(versions))
        .collect()
    )
    return PeerModels.of([peer_model(row.asDict()) for row in rows])


def has_status(warehouse: Warehouse, version: str) -> bool:
    """Whether a version was promoted or rejected: then its rows are complete."""
    status = warehouse.read(MODEL_STATUS).where(F.col("model_version") == version)
    return status.limit(1).count() > 0


def write_model(
    warehouse: Warehouse,
    version: str,
    night: date,
    models: Sequence[Mapping[str, Any]],
    candidates: Sequence[Mapping[str, Any]],
) -> None:
    """Write a version's rows; writing them again replaces them by themselves."""
    condition = (
        f"valid_from_date = {quote_literal(night)} AND model_version = {quote_literal(version)}"
    )
    for table, rows in ((MODEL_CANDIDATES, candidates), (MODELS, models)):
        warehouse.replace_where(_frame(warehouse, table, rows), table, condition)


def write_status(
    warehouse: Warehouse, version: str, entity_type: str, night: date, status: str, reason: str
) -> None:
    """Append one change of a version's status; the same change again is skipped."""
    earlier = (
        warehouse.read(MODEL_STATUS)
        .where(F.col("entity_type") == entity_type)
        .agg(F.max("sequence"), F.max(F.when(F.col("model_version") == version, F.col("status"))))
        .first()
    )
    last = int(earlier[0] or 0) if earlier else 0
    row = {
        "model_version": version,
        "entity_type": entity_type,
        "sequence": last + 1,
        "status": status,
        "effective_date": night,
        "reason": reason,
        "actor": "nightly",
    }
    frame = _frame(warehouse, MODEL_STATUS, [row])
    warehouse.append_once(frame, MODEL_STATUS, f"shoal-status-{version}-{status}", 1)


def _frame(warehouse: Warehouse, table: Table, rows: Sequence[Mapping[str, Any]]) -> Any:
    ordered = [tuple(row.get(name) for name in table.column_names) for row in rows]
    return warehouse.spark.createDataFrame(ordered, table.schema).coalesce(1)
