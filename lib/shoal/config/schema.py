"""The settings of Shoal, their types, defaults and limits.

Field names of models are scikit-learn's. The sections in :data:`RUNTIME_SECTIONS` say where and
how Shoal runs; all else says what a score means.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

RUNTIME_SECTIONS = frozenset({"storage", "spark", "log", "lease"})
"""Sections that change how Shoal runs, never what its numbers mean."""

MEANING_VERSION = 8
"""Raised when the same configuration and inputs give other numbers than the Shoal before."""

BuiltinEntity = Literal["host", "user", "source_address", "container", "image"]
BUILTIN_ENTITIES: tuple[BuiltinEntity, ...] = get_args(BuiltinEntity)
DEFAULT_ENTITIES: tuple[BuiltinEntity, ...] = ("host", "user", "source_address")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Section(BaseModel):
    """Base of all sections: no unknown keys, no silent conversion of types, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Storage(Section):
    """Where tables lie: a folder, or a catalog schema."""

    path: str | None = None
    catalog: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _one_place(self) -> "Storage":
        by_catalog = self.schema_name is not None
        if by_catalog == (self.path is not None):
            raise ValueError("set either path, or schema (with catalog), not both")
        if self.catalog and not by_catalog:
            raise ValueError("catalog needs schema")
        return self


class Spark(Section):
    """How sessions are made; under spark-submit its own settings win."""

    master: str | None = None
    driver_memory: str | None = None
    shuffle_partitions: int | None = Field(default=None, ge=1)
    conf: dict[str, str] = Field(default_factory=dict)


class Log(Section):
    """Logging: a console for people, JSON lines for platforms."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "console", "json"] = "auto"


class Lease(Section):
    """How long a run may hold a night without a sign of life, and how long others wait."""

    ttl_s: int = Field(default=600, ge=30)
    ingest_wait_s: int = Field(default=900, ge=0)


class _FileSource(Section):
    name: Name
    paths: list[str] = Field(min_length=1)
    pattern: str | None = None


class LogSource(_FileSource):
    """Logs of a known format, each in a module of its own under ``shoal.sources``."""

    kind: Literal["windows_json", "zeek", "suricata", "osquery", "auditd", "tetragon", "ecs"]


class ColumnRule(Section):
    """Where the text of an event column comes from."""

    column: str | None = None
    value: str | None = None
    any_of: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnRule":
        if (self.column is None) == (self.value is None):
            raise ValueError("set either column or value")
        if self.any_of and self.column is None:
            raise ValueError("any_of needs column")
        return self


def _rule_of_name(rule: object) -> object:
    """Read a column's name alone as the rule that takes it as it is."""
    return {"column": rule} if isinstance(rule, str) else rule


class MappedEvents(Section):
    """One type of record of a mapped source: which records, and which column fills what."""

    table: str
    code: Name | None = None
    action: Name | None = None
    when: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, Annotated[ColumnRule, BeforeValidator(_rule_of_name)]]


class MappedSource(_FileSource):
    """Any CSV, JSON or Parquet, by a map of its columns to event columns."""

    kind: Literal["mapped"]
    format: Literal["csv", "json", "parquet"] = "csv"
    events: list[MappedEvents] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> "MappedSource":
        codes = [self.code_of(event) for event in self.events]
        if repeated := _repeated(codes):
            raise ValueError(f"two types of record have one code, set code; repeated: {repeated}")
        return self

    def code_of(self, event: MappedEvents) -> str:
        """``event_code`` of a type of record."""
        return event.code or f"{self.name}-{event.table}"


class FeaturesSource(_FileSource):
    """A ready feature table."""

    kind: Literal["features"]
    format: Literal["csv", "parquet"] = "csv"
    entity_type: Name
    id_column: str
    date_column: str
    slice_column: str | None = None
    feature_columns: list[str] | None = None

    @field_validator("entity_type")
    @classmethod
    def _not_built_in(cls, entity_type: str) -> str:
        if entity_type in BUILTIN_ENTITIES:
            raise ValueError(
                f"{entity_type!r} is built from events; give the ready table a type of its own"
            )
        return entity_type


Source = Annotated[LogSource | MappedSource | FeaturesSource, Field(discriminator="kind")]


class LabelTable(Section):
    """A CSV of assets or people: which column names the entity, and which say what it is."""

    path: str
    entity_type: Name
    id_column: str
    labels: dict[Name, str] = Field(min_length=1)


class Ingest(Section):
    """Reading of raw files."""

    late_days: int = Field(default=7, ge=0)


class Site(Section):
    """A site: its time zone for hours, and the hosts in it."""

    name: Name
    timezone: str = "UTC"
    host_prefixes: list[str] = Field(default_factory=list)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"{timezone!r} is not a time zone of the IANA database, e.g. Europe/Berlin"
            ) from error
        return timezone


class Aliases(Section):
    """Domains by which names that mean one machine, or one account, are told to do so."""

    host_domains: list[str] = Field(default_factory=list)
    user_domains: dict[str, list[str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_means_one(self) -> "Aliases":
        spellings = [name.lower() for names in self.user_domains.values() for name in names]
        shorts = [name.lower() for name in self.user_domains]
        if repeated := _repeated([*spellings, *shorts]):
            raise ValueError(f"user_domains: one name for two domains: {repeated}")
        return self


class Features(Section):
    """What features look back on."""

    novelty_days: int = Field(default=14, ge=1)
    rare_share: float = Field(default=0.01, gt=0, lt=1)
    profile_terms: int = Field(default=2000, ge=0, le=100_000)


def _count_or_auto(largest: int) -> BeforeValidator:
    """One fault in words, where pydantic would tell one for each part of a union."""

    def check(value: object) -> object:
        if value == "auto":
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest:
            return value
        raise ValueError(f"must be 'auto' or an integer from 1 to {largest}")

    return BeforeValidator(check)


class Fit(Section):
    """The models: scikit-learn's names for its settings."""

    every_days: int = Field(default=7, ge=1)
    golden_nights: int = Field(default=14, ge=1)
    window_days: int = Field(default=28, ge=1)
    min_entities: int = Field(default=10, ge=2)
    min_rows: int = Field(default=20, ge=5)
    sample_rows: int = Field(default=20_000, ge=100, le=200_000)
    n_components: Annotated[int | Literal["auto"], _count_or_auto(64)] = "auto"
    covariance_type: Literal["auto", "full", "tied", "diag", "spherical"] = "auto"
    n_clusters: Annotated[int | Literal["auto"], _count_or_auto(256)] = "auto"
    candidates: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=lambda: [1, 2, 3, 4, 6, 8], min_length=1
    )
    n_seeds: int = Field(default=3, ge=2, le=20)
    selection_rows: int = Field(default=2000, ge=100, le=200_000)
    trim: float = Field(default=0.1, ge=0, le=0.5)
    n_init: int = Field(default=3, ge=1, le=50)
    reg_covar: float = Field(default=1e-4, gt=0)
    tol: float = Field(default=1e-3, gt=0)
    max_iter: int = Field(default=100, ge=1)
    random_state: int = Field(default=0, ge=0)
    winsorize_sd: float = Field(default=8.0, gt=1)
    explained_variance: float = Field(default=0.95, gt=0, le=1)
    max_pca_components: int = Field(default=30, ge=1, le=50)
    profile_axes: int = Field(default=10, ge=0, le=50)
    max_network_share: float = Field(default=0.1, gt=0, lt=1)
    leave_out: list[str] = Field(default_factory=list)
    max_correlation: float = Field(default=0.99, gt=0, le=1)
    n_folds: int = Field(default=5, ge=2, le=20)


class Slices(Section):
    """How entities are grouped with their peers, and when a group is refined."""

    label: str | None = "role"
    by_side: bool = True
    min_entities: int = Field(default=50, ge=10)
    min_refined: int = Field(default=10, ge=2)
    relevance: float = Field(default=16.0, ge=0)
    max_rows: int = Field(default=20_000, ge=100)


class Score(Section):
    """Scoring."""

    min_events: int = Field(default=5, ge=1)
    self_prior_nights: float = Field(default=5.0, gt=0)
    self_days: int = Field(default=28, ge=1)


class CapacityThreshold(Section):
    """As many as the list holds, none that is likelier than ``outliers.max_p_value``."""

    kind: Literal["capacity"] = "capacity"


class PercentileThreshold(Section):
    """Stranger than so many percent of the reference."""

    kind: Literal["percentile"]
    percentile: float = Field(default=95.0, gt=0, lt=100)


class ClusterPercentileThreshold(Section):
    """Further from the centre than 95 percent of the cluster's own reference."""

    kind: Literal["cluster_p95"]


class DeviationThreshold(Section):
    """Further than the mean of the cluster's own reference and so many standard deviations."""

    kind: Literal["mean_sd"]
    sd: float = Field(default=2.0, gt=0)


class TopThreshold(Section):
    """The strangest n of a night."""

    kind: Literal["top_n"]
    n: int = Field(ge=1)


class TopPercentThreshold(Section):
    """The strangest percent of a night."""

    kind: Literal["top_percent"]
    percent: float = Field(gt=0, le=100)


class FixedThreshold(Section):
    """By hand; a log density strays below its value, the others above."""

    kind: Literal["fixed"]
    column: Literal["anomaly_score", "log_density", "centroid_distance"] = "anomaly_score"
    value: float


Threshold = Annotated[
    CapacityThreshold
    | PercentileThreshold
    | ClusterPercentileThreshold
    | DeviationThreshold
    | TopThreshold
    | TopPercentThreshold
    | FixedThreshold,
    Field(discriminator="kind"),
]


class Outliers(Section):
    """The night's list."""

    capacity: int = Field(default=20, ge=1)
    moved_nights: int = Field(default=3, ge=1, le=7)
    max_p_value: float = Field(default=0.05, gt=0, le=1)
    threshold: Threshold = CapacityThreshold()
    slice_thresholds: dict[str, Threshold] = Field(default_factory=dict)
    slice_capacity: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    reasons: int = Field(default=5, ge=1, le=50)
    evidence: int = Field(default=8, ge=0, le=100)


def _build_priorities() -> dict[str, int]:
    """What is built is run everywhere else: a change there weighs more."""
    return dict.fromkeys(("role=build_runner", "role=build_server", "role=ci_runner"), 3)


class Drift(Section):
    """What counts as drift, and which changes come first.

    ``priorities`` are by the labels that slices are made of, as ``label=value``.
    """

    min_entities: int = Field(default=20, ge=2)
    priorities: dict[str, Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=_build_priorities
    )


def _repeated(names: Iterable[str]) -> list[str]:
    counts = Counter(names)
    return sorted(name for name, count in counts.items() if count > 1)


class Settings(Section):
    """A whole configuration."""

    storage: Storage
    sources: list[Source] = Field(default_factory=list)
    entities: list[BuiltinEntity] = Field(default_factory=lambda: list(DEFAULT_ENTITIES))
    entity_columns: dict[Name, str] = Field(default_factory=dict)
    home_networks: list[str] = Field(
        default_factory=lambda: [
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8",
            "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128",
        ]
    )  # fmt: skip
    address_databases: list[str] = Field(default_factory=list)
    sites: list[Site] = Field(default_factory=list)
    labels: list[str | LabelTable] = Field(default_factory=list)
    aliases: Aliases = Aliases()
    ingest: Ingest = Ingest()
    features: Features = Features()
    fit: Fit = Fit()
    slices: Slices = Slices()
    score: Score = Score()
    outliers: Outliers = Outliers()
    drift: Drift = Drift()
    lease: Lease = Lease()
    spark: Spark = Spark()
    log: Log = Log()

    @field_validator("home_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"{error}; write a network as 10.0.0.0/8") from error
        return networks

    @field_validator("entities")
    @classmethod
    def _are_unique(cls, entities: list[BuiltinEntity]) -> list[BuiltinEntity]:
        if repeated := _repeated(entities):
            raise ValueError(f"entity types must differ; repeated: {repeated}")
        return entities

    @field_validator("entity_columns")
    @classmethod
    def _are_own_types(cls, entity_columns: dict[str, str]) -> dict[str, str]:
        if taken := sorted(set(entity_columns) & set(BUILTIN_ENTITIES)):
            raise ValueError(f"{taken[0]!r} is built in; give the column a type of its own")
        return entity_columns

    @model_validator(mode="after")
    def _unique_sources(self) -> "Settings":
        if repeated := _repeated(source.name for source in self.sources):
            raise ValueError(f"source names must differ; repeated: {repeated}")
        ready = [s.entity_type for s in self.sources if isinstance(s, FeaturesSource)]
        if repeated := _repeated(ready):
            raise ValueError(
                f"sources of kind features must differ in entity_type; repeated: {repeated}; one "
                "source takes several paths"
            )
        if taken := sorted(set(ready) & set(self.entity_columns)):
            raise ValueError(f"{taken[0]!r} is an entity type of entity_columns and of a source")
        if not self.entities and not self.entity_columns and not ready:
            raise ValueError(
                "entities and entity_columns are empty and no source of kind features brings any"
            )
        return self

    @property
    def event_entity_types(self) -> list[str]:
        """Entity types that are built from events, in the order of the configuration."""
        return [*self.entities, *self.entity_columns]

    @property
    def feature_entity_types(self) -> list[str]:
        """Entity types that come from ready feature tables, sorted."""
        return sorted({s.entity_type for s in self.sources if isinstance(s, FeaturesSource)})

    @property
    def entity_types(self) -> list[str]:
        """All entity types of this configuration, sorted."""
        return sorted({*self.event_entity_types, *self.feature_entity_types})
