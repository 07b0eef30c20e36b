"""Spans: the consecutive nights that every step runs at once. A single night is a span of one.

What a query or a commit costs hardly depends on the number of its nights while these are small, so
that a backfill is many times faster by spans; and what the nights of a span hold is the same as if
they had run one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise, takewhile
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.contracts import ENTITY_FEATURES, Table
from shoal.errors import DataError
from shoal.lake import Night, read_nights
from shoal.models.peer_models import PeerModels
from shoal.models.registry import StatusChange, load_models
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan, plan_night
from shoal.spark.days import Windows
from shoal.spark.nights import hide_nights, read_published

SPAN_NIGHTS = 28
"""Longest span: Spark plans and compiles a step once for all of them, and beyond a month that is
little of its time."""


@dataclass(frozen=True)
class Outcome:
    """How a fit ended, and why.

    Attributes
    ----------
    models, candidates : rows of the tables of that name
    comparison : with the champion, as ``model_status`` has it
    """

    change: StatusChange
    reason: str
    models: Sequence[Mapping[str, Any]] = ()
    candidates: Sequence[Mapping[str, Any]] = ()
    comparison: Sequence[tuple[str, str, float | None, float | None]] = ()


@dataclass(frozen=True)
class Span:
    """Nights in date order, and what steps have found out about them.

    Attributes
    ----------
    entities : number of entities by night
    models : models by night
    fitted : by night, fits that are to be promoted or rejected when the night before is published
    """

    plans: tuple[NightPlan, ...]
    entities: Mapping[date, int] | None = None
    models: Mapping[date, PeerModels] | None = None
    fitted: Mapping[date, Sequence[Outcome]] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        """Its nights."""
        return [plan.event_date for plan in self.plans]

    @property
    def run_ids(self) -> dict[date, str]:
        """The identity of each night."""
        return {plan.event_date: plan.run_id for plan in self.plans}

    @property
    def nights(self) -> list[Night]:
        """Its nights as those after it see them."""
        return [plan.night for plan in self.plans]

    def run_id_column(self) -> Column:
        """The identity of the night that a row is of."""
        pairs = [F.lit(part) for pair in self.run_ids.items() for part in pair]
        return F.element_at(F.create_map(*pairs), F.col("event_date"))

    def __str__(self) -> str:
        first, last = self.days[0], self.days[-1]
        return str(first) if first == last else f"{first}..{last} ({len(self.plans)} nights)"

    def models_of(self, plan: NightPlan) -> PeerModels:
        """Models of a night, once they are known."""
        if self.models is None:
            raise AssertionError("models are asked for before with_models")
        return self.models[plan.event_date]

    def past(self, days: int) -> list[Night]:
        """Published nights of the ``days`` before any of its nights, its own left out."""
        found = {night.event_date: night for plan in self.plans for night in plan.nights_back(days)}
        return [night for day, night in sorted(found.items()) if day not in self.run_ids]

    def looked_back_on(self, days: int) -> list[Night]:
        """Published nights of the ``days`` before any of its nights, and its own after them."""
        return [*self.past(days), *self.nights]

    def windows(self, days: int) -> Windows:
        """Each of its nights with those of the ``days`` before it."""
        past_days = [night.event_date for night in self.looked_back_on(days)]
        return Windows.of(self.days, past_days, days)

    def first(self, n_nights: int) -> "Span":
        """Its first nights."""
        return replace(self, plans=self.plans[:n_nights])

    def ended(self, number: int, outcomes: Sequence[Outcome]) -> "Span":
        """The span with the fits of one of its nights ended, cut after it if not as expected."""
        plan = self.plans[number]
        ended = replace(plan, expected=tuple(outcome.change for outcome in outcomes))
        plans = (*self.plans[:number], ended, *self.plans[number + 1 :])
        fitted = {**self.fitted, plan.event_date: outcomes}
        span = replace(self, plans=plans, fitted=fitted)
        return span if ended.serving == plan.serving else span.first(number + 1)


def span_of_night(context: Context, event_date: date) -> Span:
    """A span of one night, planned from what is published before it."""
    return Span((plan_night(context, event_date),))


def first_span(plans: Sequence[NightPlan]) -> Span:
    """The nights at the start of ``plans`` that are to run at once.

    A span ends where the next night's last published one is none of it, and before other labels are
    in force.
    """

    def goes_on(pair: tuple[NightPlan, NightPlan]) -> bool:
        before, plan = pair
        follows = bool(plan.earlier) and plan.earlier[-1].event_date == before.event_date
        return follows and plan.labels == before.labels

    later = takewhile(goes_on, pairwise(plans[:SPAN_NIGHTS]))
    return Span((plans[0], *(plan for _, plan in later)))


def begin_writing(context: Context, span: Span) -> None:
    """Hide nights that are published with other inputs, before any of their tables change."""
    if not any(_is_foreign(plan.stored, span) for plan in span.plans):
        return
    # An earlier step may have hidden them already.
    stored = read_nights(context.warehouse, span.days[0], span.days[-1])
    if foreign := [night.event_date for night in stored if _is_foreign(night, span)]:
        hide_nights(context.warehouse, {day: span.run_ids[day] for day in foreign})


def _is_foreign(night: Night | None, span: Span) -> bool:
    if night is None or night.state != "published":
        return False
    return night.run_id != span.run_ids.get(night.event_date, night.run_id)


def with_entities(context: Context, span: Span) -> Span:
    """The span with the number of entities of each night.

    Raises
    ------
    DataError
        If the features of a night have not been built from the inputs as they are now.
    """
    if span.entities is None:
        span = replace(span, entities=count_entities(context, span))
    known = span.entities or {}
    for day in span.days:
        if not known[day]:
            raise DataError(
                f"{ENTITY_FEATURES.name} has no rows of {day} for the inputs as they are now "
                f"(run_id {span.run_ids[day]}): run `shoal features --date {day}` first"
            )
    return span


def count_entities(context: Context, span: Span) -> dict[date, int]:
    """Entities of each night, by its own features."""
    rows = read_own(context, ENTITY_FEATURES, span).groupBy("event_date").count().collect()
    found = {row[0]: int(row[1]) for row in rows}
    return {day: found.get(day, 0) for day in span.days}


def with_models(context: Context, span: Span) -> Span:
    """The span with the models of each night.

    Raises
    ------
    DataError
        If a model that a night is due to fit has not been fitted.
    """
    if span.models is not None:
        return span
    wanted = {plan.event_date: plan.models for plan in span.plans}
    return replace(span, models=load_models(context.warehouse, wanted))


def read_own(context: Context, table: Table, span: Span) -> DataFrame:
    """Rows that an earlier step of these very nights wrote."""
    return read_published(context.warehouse, table, span.nights)
