"""How the shoals of each night moved: its clusters, and the components of the models."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import DRIFT_CLUSTERS, ENTITY_FEATURES
from shoal.contracts.models import GLOBAL_SLICE
from shoal.lake import Night, published_nights
from shoal.models.cluster_drift import Comparison, DriftSettings, compare_nights
from shoal.models.cluster_rows import (
    GOLDEN,
    OVERALL,
    PREVIOUS,
    WEEKDAY,
    insufficient,
    judge_clusters,
)
from shoal.models.drift_rows import WantedNights, drift_rows
from shoal.models.peer_models import PeerModel
from shoal.models.registry import training_run_ids
from shoal.models.weeks import QUIET_DAYS
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan
from shoal.pipelines.span import Span
from shoal.spark.nights import read_published

WHY_NOT = {
    PREVIOUS: "no published night before this one",
    WEEKDAY: "no published night a week before this one",
    GOLDEN: "no frozen model yet, or no published night of this weekday that it was fitted on",
}
_JUDGED_BY = (
    "event_date",
    "reference_date",
    "entity_type",
    "comparison",
    "adjusted_rand",
    "warm_adjusted_rand",
    "status",
)


@dataclass(frozen=True)
class NightPair:
    """A night, and what its clusters are held against; ``None`` where there is no such night.

    Attributes
    ----------
    model : in whose space they are
    """

    comparison: str
    reference: Night | None
    night: Night
    model: PeerModel


@dataclass(frozen=True)
class ClusterDrift:
    """What became of the clusters of a span.

    Attributes
    ----------
    rows : of ``drift_clusters`` by night
    moved : nights and entity types whose clusters are not those of the week before
    """

    rows: Mapping[date, int]
    moved: set[tuple[date, str]]


def compare_clusters(
    context: Context, span: Span, pairs: Sequence[NightPair], rows: DataFrame
) -> ClusterDrift:
    """Write ``drift_clusters`` of a span.

    Parameters
    ----------
    rows : as `moving_rows` gives them for the pairs
    """
    found = [
        {
            "event_date": pair.night.event_date,
            "entity_type": pair.model.entity_type,
            "comparison": pair.comparison,
            "model_version": pair.model.model_version,
            **insufficient(WHY_NOT[pair.comparison]),
        }
        for pair in pairs
        if pair.reference is None
    ]
    comparisons = [
        Comparison(
            number, pair.comparison, pair.reference.event_date, pair.night.event_date, pair.model
        )
        for number, pair in enumerate(pairs)
        if pair.reference
    ]
    settings = DriftSettings(
        min_entities=context.settings.drift.min_entities,
        winsorize_sd=context.settings.fit.winsorize_sd,
    )
    found += compare_nights(rows, comparisons, settings) if comparisons else []
    earlier = (
        read_published(context.warehouse, DRIFT_CLUSTERS, span.past(QUIET_DAYS))
        .where((F.col("shape") == OVERALL) & F.col("adjusted_rand").isNotNull())
        .select(*_JUDGED_BY)
        .collect()
    )
    judged = judge_clusters(found, [row.asDict() for row in earlier])
    for row in judged:
        row["run_id"] = span.run_ids[row["event_date"]]
    frame = context.warehouse.frame(DRIFT_CLUSTERS, judged)
    context.warehouse.replace_days(frame, DRIFT_CLUSTERS, span.days)
    return ClusterDrift(
        Counter(row["event_date"] for row in judged),
        {
            (row["event_date"], row["entity_type"])
            for row in judged
            if row["comparison"] == WEEKDAY and row["status"] == "drift"
        },
    )


def night_pairs(context: Context, span: Span) -> list[NightPair]:
    """What each night's clusters are held against, by entity type."""
    frozen = _FrozenNights.of(context, span)
    pairs = []
    for plan in span.plans:
        earlier = {night.event_date: night for night in plan.earlier}
        week_ago = earlier.get(plan.event_date - timedelta(days=7))
        for model in span.models_of(plan).of_types():
            previous = plan.earlier[-1] if plan.earlier else None
            golden = golden_model(span, plan, model)
            night = frozen.like(plan.event_date, golden) if golden else None
            pairs += [
                NightPair(PREVIOUS, previous, plan.night, model),
                NightPair(WEEKDAY, week_ago, plan.night, model),
                NightPair(GOLDEN, night, plan.night, golden or model),
            ]
    return pairs


def golden_model(span: Span, plan: NightPlan, serving: PeerModel) -> PeerModel | None:
    """The frozen model of the type of one that serves a night; it may be that itself."""
    frozen = plan.golden.get(serving.entity_type)
    if frozen is None or frozen.model_version == serving.model_version:
        return serving if frozen else None
    return span.models_of(plan).find_golden(serving.entity_type, GLOBAL_SLICE)


def moving_rows(
    context: Context,
    span: Span,
    pairs: Sequence[NightPair],
    alone: Iterable[tuple[Night, PeerModel]],
) -> DataFrame:
    """Rows of both nights of all pairs, and of nights alone, in the features of their models."""
    wanted = [(night, pair.model) for pair in pairs for night in (pair.reference, pair.night)]
    known = [*((night, model) for night, model in wanted if night), *alone]
    nights = {night.event_date: night for night, _ in known}
    models = {model.model_version: model for _, model in known}
    by_version = {
        version: WantedNights(
            model, frozenset(n.event_date for n, m in known if m.model_version == version)
        )
        for version, model in models.items()
    }
    settings = context.settings
    # As many as a fit looks at, of each type.
    most = settings.fit.sample_rows * len(settings.entity_types)
    largest = max((span.entities or {}).values(), default=0)
    return drift_rows(
        read_published(context.warehouse, ENTITY_FEATURES, list(nights.values())),
        by_version,
        share=most / max(largest, 1),
        min_events=settings.score.min_events,
    )


@dataclass(frozen=True)
class _FrozenNights:
    """Published nights that frozen models were fitted on, by version."""

    nights: Mapping[str, list[Night]]

    @classmethod
    def of(cls, context: Context, span: Span) -> Self:
        versions = {model.model_version for plan in span.plans for model in plan.golden.values()}
        if not versions:
            return cls({})
        nights = [*published_nights(context.warehouse, end=span.days[-1]), *span.nights]
        trained_on = training_run_ids(context.warehouse, versions)
        return cls(
            {
                version: [night for night in nights if night.run_id in run_ids]
                for version, run_ids in trained_on.items()
            }
        )

    def like(self, day: date, model: PeerModel) -> Night | None:
        """The last of them before a day that is of its weekday."""
        known = [
            night
            for night in self.nights.get(model.model_version, [])
            if night.event_date < day and night.event_date.weekday() == day.weekday()
        ]
        return max(known, key=lambda night: night.event_date, default=None)
