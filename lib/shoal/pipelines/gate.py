"""The gate of a refit: its candidate beside the champion, and what is let through of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from pyspark.sql import functions as F

from shoal.contracts import ENTITY_FEATURES, MODELS, VERDICTS
from shoal.contracts.models import GLOBAL_SLICE
from shoal.contracts.scores import MALICIOUS
from shoal.errors import DataError
from shoal.models.gate import Gate, GateRows, open_gate
from shoal.models.peer_models import PARENT, PROFILE_COLUMNS, PeerModel, PeerModels, peer_model
from shoal.models.registry import StatusChange, golden_nights
from shoal.models.vectors import VectorRule, profile_arrays, teaching_rows
from shoal.pipelines.context import Context
from shoal.pipelines.plan import NightPlan
from shoal.pipelines.span import Outcome
from shoal.spark.nights import read_published
from shoal.spark.sampling import hash_sample

SAMPLE_ROWS = 6_000
"""Entity-nights that both models are held against each other on."""
_OF_VERSION = ("model_version", "valid_from_date", "config_hash")
"""Columns of ``models`` that all rows of a version share, wherever they come from."""
Row = Mapping[str, Any]


def pass_gate(
    context: Context,
    plan: NightPlan,
    outcome: Outcome,
    changes: Sequence[StatusChange],
    fitted: Mapping[str, Sequence[Row]],
) -> Outcome:
    """Hold a fit against the model that serves; what is worse than that does not serve.

    A champion of few nights is no measure: the gate is open until one has as many as a golden model
    has. Where only some slices are worse, and the champion has models of these, those go on in the
    new version.

    Parameters
    ----------
    changes : of all models, those of fits that are not promoted yet among them
    fitted : version → rows of ``models`` that are not written yet
    """
    change = outcome.change
    champion = plan.in_force.get(change.entity_type)
    if change.status != "promoted" or champion is None:
        return outcome
    if champion.model_version == change.model_version:
        return outcome
    nights = {c.model_version: c.training_nights or 0 for c in changes if c.status == "promoted"}
    if nights.get(champion.model_version, 0) < golden_nights(context.settings):
        return outcome
    rows = fitted.get(champion.model_version) or _stored(context, champion.model_version)
    try:
        both = [_models(own) for own in (rows, outcome.models)]
    except DataError as error:
        return replace(outcome, reason=f"{outcome.reason}; not compared with the champion: {error}")
    old, new = (models.find(change.entity_type, GLOBAL_SLICE) for models in both)
    if old is None or new is None or old.feature_set != new.feature_set:
        return replace(outcome, reason=f"{outcome.reason}; the champion has other features")
    gate = open_gate(
        _gate_rows(context, plan, old, new, rows[0]["training_end_date"]),
        *both,
        entity_type=change.entity_type,
        confirmed=_confirmed(context, plan, change.entity_type),
    )
    return _let_through(outcome, gate, champion.model_version, rows)


def _let_through(outcome: Outcome, gate: Gate, champion: str, rows: Sequence[Row]) -> Outcome:
    """The fit, the fit with some slices of the champion, or none of it."""
    outcome = replace(outcome, comparison=gate.rows())
    stored = {row["slice"]: row for row in rows}
    kept = sorted(set(gate.objections) - {GLOBAL_SLICE})
    are_few = 2 * len(kept) < len(gate.measures) - 1 or not kept
    is_kept = all(name in stored and stored[name]["calibration"] != PARENT for name in kept)
    if gate.objections.get(GLOBAL_SLICE) or not (are_few and is_kept):
        reason = f"kept out, {champion} goes on: {gate.in_words()}"
        return replace(outcome, change=replace(outcome.change, status="rejected"), reason=reason)
    if not kept:
        return replace(outcome, reason=f"{outcome.reason}; no worse than {champion}")
    own = {row["slice"]: row for row in outcome.models}
    for name in kept:
        own[name] = {
            **_with_profile(stored[name], stored[GLOBAL_SLICE]),
            **{column: own[GLOBAL_SLICE][column] for column in _OF_VERSION},
            "status": "kept_champion",
            "reason": f"of {champion}: {'; '.join(gate.objections[name])}",
        }
    return replace(
        outcome,
        models=list(own.values()),
        reason=f"{outcome.reason}; {', '.join(kept)} as in {champion}: {gate.in_words()}",
    )


def _with_profile(row: Row, whole: Row) -> Row:
    """A slice's row with the axes of its profile, which only that of its type has."""
    is_of_whole = list(row["feature_names"]) == list(whole["feature_names"])
    if len(row["profile_terms"] or []) or not is_of_whole:
        return row
    return {**row, **{column: whole[column] for column in PROFILE_COLUMNS}}


def _stored(context: Context, version: str) -> list[Row]:
    rows = context.warehouse.read(MODELS).where(F.col("model_version") == F.lit(version))
    return [row.asDict(recursive=True) for row in rows.collect()]


def _models(rows: Sequence[Row]) -> PeerModels:
    return PeerModels.of([peer_model(row) for row in rows])


def _gate_rows(
    context: Context, plan: NightPlan, old: PeerModel, new: PeerModel, learnt_until: date
) -> GateRows:
    """A hash sample of the candidate's window, with the features of both."""
    settings = context.settings
    names = list(dict.fromkeys([*old.columns, *new.columns]))
    nights = plan.nights_back(settings.fit.window_days)
    is_own = F.col("entity_type") == F.lit(new.entity_type)
    rule = VectorRule(is_own, new.feature_set, names)
    features = read_published(context.warehouse, ENTITY_FEATURES, nights)
    rows = teaching_rows(features, [rule], min_events=settings.score.min_events).select(
        "entity_id", "event_date", "slice", "features", *profile_arrays()
    )
    return GateRows(hash_sample(rows, max_rows=SAMPLE_ROWS).rows, names, learnt_until)


def _confirmed(context: Context, plan: NightPlan, entity_type: str) -> set[tuple[str, date]]:
    """Entities and nights that somebody has found malicious before the night."""
    rows = (
        context.warehouse.read(VERDICTS)
        .where(
            (F.col("entity_type") == F.lit(entity_type))
            & (F.col("verdict") == MALICIOUS)
            & (F.col("effective_date") <= F.lit(plan.event_date))
        )
        .select("entity_id", "event_date")
        .collect()
    )
    return {(row[0], row[1]) for row in rows}
