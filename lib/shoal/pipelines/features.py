"""Events of some nights → ``entity_activity`` and ``entity_features``."""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.config import Settings
from shoal.contracts import CONFIG_CHANGES, ENTITY_ACTIVITY, ENTITY_FEATURES
from shoal.contracts.activity import HORIZONS
from shoal.contracts.events import COMMON, EVENT_TABLES
from shoal.contracts.table import STRING
from shoal.errors import ConfigError, did_you_mean
from shoal.features.activity import SiteHours, aggregate_activity
from shoal.features.aliases import aliases_of
from shoal.features.changes import aggregate_changes, priority_of
from shoal.features.daily import aggregate_features
from shoal.features.entities import BUILTIN_COLUMNS
from shoal.features.history import aggregate_history
from shoal.features.holders import HOLDER_TABLES, aggregate_holders
from shoal.features.kinds import ADDRESS_TABLES, TABLE_KINDS
from shoal.features.names import Names
from shoal.features.novelty import aggregate_novelty, compare_with_past, value_days
from shoal.features.slices import add_slice
from shoal.pipelines.context import Context
from shoal.pipelines.labels import labels_in_force
from shoal.pipelines.span import Span, begin_writing, count_entities
from shoal.spark.days import Windows
from shoal.spark.nights import read_published
from shoal.spark.session import persisted
from shoal.spark.tables import Warehouse


def build_features(context: Context, span: Span) -> Span:
    """Write the activity and features of the span's nights; return it with their entities."""
    with context.night_step("features", span.run_ids, subject=str(span)) as rows:
        begin_writing(context, span)
        _write_activity(context, span)
        _write_features(context, span)
        entities = count_entities(context, span)
        for day, count in entities.items():
            rows[day]["entities"] = count
    return replace(span, entities=entities)


def _write_activity(context: Context, span: Span) -> None:
    settings, warehouse = context.settings, context.warehouse
    known = {kind for plan in span.plans for file in plan.files for kind in file.kinds}
    # What no file has events of need not be looked for; of nothing at all there is no activity.
    kinds = [kind for kind in TABLE_KINDS if kind in known]
    if not settings.event_entity_types or not kinds:
        warehouse.replace_days(warehouse.frame(ENTITY_ACTIVITY, []), ENTITY_ACTIVITY, span.days)
        return
    names = _names(settings)
    aliases = aliases_of(labels_in_force(context.warehouse, span.days[0]), names)
    events = {kind: _own_events(warehouse, kind, span) for kind in kinds}
    with _holders(warehouse, span, known, names) as holders:
        activity = aggregate_activity(
            events,
            entity_columns=_entity_columns(settings),
            sites=_site_hours(settings),
            names=names,
            aliases=None if aliases.isEmpty() else aliases,
            holders=holders,
            address_databases=settings.address_databases,
        ).withColumn("run_id", span.run_id_column())
        warehouse.replace_days(activity, ENTITY_ACTIVITY, span.days)


@contextmanager
def _holders(
    warehouse: Warehouse, span: Span, known: Set[str], names: Names
) -> Iterator[DataFrame | None]:
    """Which host held an address at what time; None if nobody asks, or nothing tells."""
    tell = known & HOLDER_TABLES
    if not tell or not known & ADDRESS_TABLES:
        yield None
        return
    events = {kind: _own_events(warehouse, kind, span) for kind in tell}
    with persisted(aggregate_holders(events, names)) as holders:
        yield None if holders.isEmpty() else holders


def _write_features(context: Context, span: Span) -> None:
    settings, warehouse = context.settings, context.warehouse
    days_back = max(settings.features.novelty_days, *HORIZONS)
    activity = read_published(warehouse, ENTITY_ACTIVITY, span.looked_back_on(days_back))
    with aggregated(
        activity,
        _with_slices(context, activity, span),
        span.windows(days_back),
        novelty_days=settings.features.novelty_days,
        rare_share=settings.features.rare_share,
        profile_terms=settings.features.profile_terms,
        home_networks=settings.home_networks,
        address_databases=settings.address_databases,
    ) as found:
        frame = found.features.withColumn("feature_set", F.lit("builtin"))
        if settings.feature_entity_types:
            frame = frame.unionByName(_ready_rows(warehouse, span), allowMissingColumns=True)
        warehouse.replace_days(_conformed(frame, span), ENTITY_FEATURES, span.days)
        priority = priority_of(F.col("slice"), context.settings.drift.priorities)
        changes = found.changes.withColumns({"priority": priority, "run_id": span.run_id_column()})
        warehouse.replace_days(
            changes.select(*CONFIG_CHANGES.column_names), CONFIG_CHANGES, span.days
        )


@dataclass(frozen=True, eq=False)
class Aggregated:
    """What the activity of some days comes to.

    Attributes
    ----------
    features : as `aggregate_features` yields
    changes : as `aggregate_changes` yields
    """

    features: DataFrame
    changes: DataFrame


@contextmanager
def aggregated(
    activity: DataFrame,
    peers: DataFrame,
    windows: Windows,
    *,
    novelty_days: int,
    rare_share: float,
    profile_terms: int,
    home_networks: Sequence[str],
    address_databases: Sequence[str] = (),
) -> Iterator[Aggregated]:
    """Features of the days of windows, and what changed on them; what is read twice is kept.

    Parameters
    ----------
    activity : the days and those they look back on, grain entity × day × dimension × value
    peers : the ``slice`` of every entity of ``activity``, and its ``image`` if it has one
    """
    own = activity.where(F.col("event_date").isin([day for day, _ in windows.days]))
    with (
        persisted(value_days(activity, peers, windows)) as values,
        persisted(
            compare_with_past(values, windows, novelty_days=novelty_days, rare_share=rare_share)
        ) as seen,
    ):
        features = aggregate_features(
            own,
            aggregate_novelty(seen, own),
            aggregate_history(values, activity, windows),
            peers.select("entity_type", "entity_id", "slice"),
            profile_terms=profile_terms,
            home_networks=home_networks,
            address_databases=address_databases,
        )
        yield Aggregated(features, aggregate_changes(values, seen, windows))


def _with_slices(context: Context, activity: DataFrame, span: Span) -> DataFrame:
    """Every entity of the activity with its group of peers, which no night of a span changes.

    And its image, if it is a container.
    """
    settings = context.settings
    image = F.when(
        (F.col("entity_type") == "container") & (F.col("dimension") == "image"), F.col("value")
    )
    entities = (
        activity.where(F.col("dimension").isin("total", "image"))
        .groupBy("entity_type", "entity_id")
        .agg(F.max(image).alias("image"))
    )
    return add_slice(
        entities,
        labels_in_force(context.warehouse, span.days[0]),
        label=settings.slices.label,
        by_side=settings.slices.by_side,
        home_networks=settings.home_networks,
    )


def _conformed(frame: DataFrame, span: Span) -> DataFrame:
    """The contract's columns; those that neither set of features has are null."""
    absent = {
        column.name: F.lit(None).cast(column.type)
        for column in ENTITY_FEATURES.columns
        if column.name not in frame.columns
    }
    return frame.withColumns({**absent, "run_id": span.run_id_column()}).select(
        *ENTITY_FEATURES.column_names
    )


def _own_events(warehouse: Warehouse, kind: str, span: Span) -> DataFrame:
    """Events of each night from the files that its plan counts in, and no others.

    With ``file_age``: 0 for the file that changed longest ago.
    """
    files = warehouse.spark.createDataFrame(
        [
            (plan.event_date, file.file_id, age)
            for plan in span.plans
            for age, file in enumerate(plan.files)
        ],
        "event_date date, file_id string, file_age int",
    )
    events = warehouse.read(EVENT_TABLES[kind]).where(F.col("event_date").isin(span.days))
    return events.join(F.broadcast(files), ["event_date", "file_id"], how="inner")


def _ready_rows(warehouse: Warehouse, span: Span) -> DataFrame:
    """Rows of ready feature tables; of several for one entity's day the newest file's holds."""
    rows = _own_events(warehouse, "feature", span)
    newest = F.max_by(F.struct("slice", "feature_values"), F.struct("file_age", "event_id"))
    return (
        rows.groupBy("event_date", "entity_type", "entity_id")
        .agg(newest.alias("row"))
        .select(
            "event_date",
            "entity_type",
            "entity_id",
            F.lit("values").alias("feature_set"),
            F.coalesce(F.col("row.slice"), F.lit("all")).alias("slice"),
            F.col("row.feature_values").alias("values"),
        )
    )


def _entity_columns(settings: Settings) -> dict[str, str]:
    """Column that names the entity, by type."""
    known = {column.name: column.type for column in COMMON}
    for name, column in settings.entity_columns.items():
        if known.get(column) != STRING:
            texts = [name for name, kind in known.items() if kind == STRING]
            raise ConfigError(
                f"entity_columns.{name}: events of all kinds have no text column {column!r}"
                f"{did_you_mean(column, texts)}; they have {', '.join(texts)}"
            )
    return {name: BUILTIN_COLUMNS[name] for name in settings.entities} | settings.entity_columns


def _names(settings: Settings) -> Names:
    return Names(
        [domain.lower() for domain in settings.aliases.host_domains],
        {
            short.lower(): [name.lower() for name in spellings]
            for short, spellings in settings.aliases.user_domains.items()
        },
    )


def _site_hours(settings: Settings) -> Sequence[SiteHours]:
    return [
        SiteHours(site.timezone, tuple(prefix.lower() for prefix in site.host_prefixes))
        for site in settings.sites
    ]
