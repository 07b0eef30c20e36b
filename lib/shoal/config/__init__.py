"""Configuration: YAML in, validated and immutable settings out."""

from shoal.config.load import (
    config_hash,
    load_settings,
    mask_arguments,
    resolved_json,
    runtime_hash,
    validate,
)
from shoal.config.schema import (
    ColumnRule,
    FeaturesSource,
    LabelTable,
    MappedSource,
    Settings,
    Source,
)

__all__ = [
    "ColumnRule",
    "FeaturesSource",
    "LabelTable",
    "MappedSource",
    "Settings",
    "Source",
    "config_hash",
    "load_settings",
    "mask_arguments",
    "resolved_json",
    "runtime_hash",
    "validate",
]
