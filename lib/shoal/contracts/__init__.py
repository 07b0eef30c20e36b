"""Every table of Shoal, declared once."""

from shoal.contracts.drift import (
    COMPONENT_MOMENTS,
    CONFIG_CHANGES,
    DRIFT_ALERT_RATE,
    DRIFT_CLUSTERS,
    DRIFT_COMPONENTS,
    DRIFT_FEATURES,
    FEATURE_HISTOGRAMS,
)
from shoal.contracts.entities import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_LABELS
from shoal.contracts.events import EVENT_TABLES
from shoal.contracts.ledger import INGEST_FILES, QUARANTINE
from shoal.contracts.models import MODEL_CANDIDATES, MODEL_STATUS, MODELS
from shoal.contracts.nights import NIGHTS, RUNS
from shoal.contracts.scores import ENTITY_SCORES, OUTLIERS, SUPPRESSIONS, UNSCORED, VERDICTS
from shoal.contracts.table import Column, Table

TABLES: tuple[Table, ...] = (
    *EVENT_TABLES.values(),
    INGEST_FILES,
    QUARANTINE,
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_LABELS,
    MODEL_CANDIDATES,
    MODELS,
    MODEL_STATUS,
    ENTITY_SCORES,
    OUTLIERS,
    UNSCORED,
    FEATURE_HISTOGRAMS,
    COMPONENT_MOMENTS,
    DRIFT_CLUSTERS,
    DRIFT_COMPONENTS,
    DRIFT_FEATURES,
    DRIFT_ALERT_RATE,
    CONFIG_CHANGES,
    VERDICTS,
    SUPPRESSIONS,
    NIGHTS,
    RUNS,
)

__all__ = [
    "COMPONENT_MOMENTS",
    "CONFIG_CHANGES",
    "DRIFT_ALERT_RATE",
    "DRIFT_CLUSTERS",
    "DRIFT_COMPONENTS",
    "DRIFT_FEATURES",
    "ENTITY_ACTIVITY",
    "ENTITY_FEATURES",
    "ENTITY_LABELS",
    "ENTITY_SCORES",
    "EVENT_TABLES",
    "FEATURE_HISTOGRAMS",
    "INGEST_FILES",
    "MODELS",
    "MODEL_CANDIDATES",
    "MODEL_STATUS",
    "NIGHTS",
    "OUTLIERS",
    "QUARANTINE",
    "RUNS",
    "SUPPRESSIONS",
    "TABLES",
    "UNSCORED",
    "VERDICTS",
    "Column",
    "Table",
]
