"""Log formats: raw text in, records in the shape of PARSED_COLUMNS out.

``SOURCES`` holds the formats read line by line (:func:`shoal.sources.files.read_lines`); ready
feature tables have a reader of their own, :func:`shoal.sources.features.parse_features`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pyspark.sql import DataFrame

from shoal.sources.auditd import parse_auditd
from shoal.sources.ecs import parse_ecs
from shoal.sources.osquery import parse_osquery
from shoal.sources.suricata import parse_suricata
from shoal.sources.tetragon import parse_tetragon
from shoal.sources.windows_json import parse_windows_json
from shoal.sources.zeek import parse_zeek

SOURCES: Mapping[str, Callable[[DataFrame], DataFrame]] = MappingProxyType(
    {
        "ecs": parse_ecs,
        "auditd": parse_auditd,
        "osquery": parse_osquery,
        "suricata": parse_suricata,
        "tetragon": parse_tetragon,
        "windows_json": parse_windows_json,
        "zeek": parse_zeek,
    }
)
"""Parse function by the source's kind: line → record."""

__all__ = [
    "SOURCES",
    "parse_auditd",
    "parse_ecs",
    "parse_osquery",
    "parse_suricata",
    "parse_tetragon",
    "parse_windows_json",
    "parse_zeek",
]
