"""Rows of ``drift_components``: how far the components of a mixture moved, and whether that is new.

Two fits of the same nights differ, and so do two weeks of a fleet on which nothing has happened:
what is usual is learnt from the comparisons of the weeks before.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from shoal.kernels.components import (
    Components,
    ComponentShift,
    Space,
    component_shifts,
    components_in,
    mean_of,
)
from shoal.kernels.moments import Moments
from shoal.kernels.quiet import MIN_PAIRS, quiet_p_value
from shoal.models.peer_models import PeerModel
from shoal.models.vectors import feature_matrix
from shoal.models.weeks import is_measure

NONE = -1
"""Stands for a component that a row has none of; of both: all of them."""
WEEK, PREVIOUS_VERSION, GOLDEN = "week", "previous_version", "golden"
MIN_WEEK_NIGHTS = 4
"""Nights that a week has at least."""
ROWS_A_DIMENSION = 5
"""Entity-nights of a component for each dimension, below which its covariance is not believed."""
CARRIERS = 3
"""Features told of each component."""
UNUSUAL = 0.001
"""p-value up to which a distance is a drift."""
SMALLEST = {"mean_shift": 0.05, "weight_change": 0.01}
"""What is nothing, whatever the earlier comparisons say: standard deviations, and a share."""
DAYS_BACK = 13
"""Days before a night that its week and the week before it reach."""
_MOMENTS = (
    "event_date date, entity_type string, component_id int, model_version string, "
    "row_weight double, sums array<double>, squares array<double>"
)


def aggregate_moments(
    entity_days: DataFrame, models: Mapping[str, PeerModel], winsorize_sd: float
) -> DataFrame:
    """Sum the rows of each night by component; entity × day → night × component.

    Parameters
    ----------
    entity_days : rows with ``model_version``, one of ``models``, and ``features`` in its order

    Returns
    -------
    The columns of ``component_moments`` without ``run_id``
    """

    def add_up(group: pd.DataFrame) -> pd.DataFrame:
        return moments_group(group, models, winsorize_sd)

    wanted = entity_days.select("event_date", "model_version", "entity_id", "features")
    return wanted.groupBy("event_date", "model_version").applyInPandas(add_up, _MOMENTS)


def moments_group(
    group: pd.DataFrame, models: Mapping[str, PeerModel], winsorize_sd: float
) -> pd.DataFrame:
    """Group function of the moments: the rows of one night in, a row a component out."""
    rows = group.sort_values("entity_id")
    version = rows["model_version"].iloc[0]
    model = models[version]
    prepared = model.geometry.preparation.project_winsorized(
        feature_matrix(rows["features"]), winsorize_sd
    )
    moments = Moments.of(model.geometry.mixture, prepared)
    return pd.DataFrame(
        {
            "event_date": rows["event_date"].iloc[0],
            "entity_type": model.entity_type,
            "component_id": np.arange(len(moments.rows), dtype=np.int32),
            "model_version": version,
            "row_weight": moments.rows,
            "sums": moments.sums.tolist(),
            "squares": moments.squares.reshape(len(moments.rows), -1).tolist(),
        }
    )


def night_moments(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[date, str], Moments]:
    """Night and model version → its moments, from rows of ``component_moments``."""
    ordered = sorted(rows, key=lambda row: (row["event_date"], row["component_id"]))
    groups: dict[tuple[date, str], list[Mapping[str, Any]]] = {}
    for row in ordered:
        groups.setdefault((row["event_date"], row["model_version"]), []).append(row)
    found = {}
    for key, own in groups.items():
        sums = np.asarray([row["sums"] for row in own], dtype=np.float64)
        squares = np.asarray([row["squares"] for row in own], dtype=np.float64)
        shape = (*sums.shape, sums.shape[1])
        weights = np.asarray([row["row_weight"] for row in own], dtype=np.float64)
        found[key] = Moments(weights, sums, squares.reshape(shape))
    return found


def week_rows(
    day: date, model: PeerModel, moments: Mapping[tuple[date, str], Moments]
) -> list[dict[str, Any]]:
    """The week up to a night against the week before it, in the components of one model."""
    version = model.model_version
    weeks = [
        [moments[key] for n in days if (key := (day - timedelta(days=n), version)) in moments]
        for days in (range(7, 14), range(7))
    ]
    facts = {"reference_model_version": version, "analysis_model_version": version}
    if min(len(week) for week in weeks) < MIN_WEEK_NIGHTS:
        nights = " and ".join(str(len(week)) for week in weeks)
        return [facts | insufficient(f"{nights} nights of both weeks, {MIN_WEEK_NIGHTS} needed")]
    before, now = (sum(week[1:], start=week[0]) for week in weeks)
    min_rows = ROWS_A_DIMENSION * before.sums.shape[1]
    known = np.intersect1d(before.known(min_rows), now.known(min_rows))
    if not len(known):
        return [facts | insufficient(f"no component has {min_rows} entity-nights in both weeks")]
    preparation = model.geometry.preparation
    two = (components_in(preparation, *week.estimates(known)) for week in (before, now))
    return [facts | row for row in shift_rows(*two, ids=known)]


def version_rows(reference: PeerModel, analysis: PeerModel) -> list[dict[str, Any]]:
    """A model against an earlier one, in the space of the earlier."""
    facts = {
        "reference_model_version": reference.model_version,
        "analysis_model_version": analysis.model_version,
    }
    one, other = reference.geometry, analysis.geometry
    # Axes of profiles are each model's own.
    profiles = {
        name
        for model in (reference, analysis)
        for name in (model.profile.names if model.profile else ())
    }
    space = Space.between(one.preparation, other.preparation, sorted(profiles))
    if not space.names:
        return [facts | insufficient("the two models have no feature in common")]
    return [facts | row for row in shift_rows(space.components(one), space.components(other))]


def shift_rows(
    reference: Components, analysis: Components, *, ids: NDArray[np.intp] | None = None
) -> list[dict[str, Any]]:
    """One row of all components, and one of each, without a verdict.

    Parameters
    ----------
    ids : numbers of the components, where some have been left out
    """
    shifts = component_shifts(reference, analysis, top=CARRIERS)
    pairs = [shift for shift in shifts if shift.is_pair]
    names = np.arange(len(reference.weights)) if ids is None else ids
    others = np.arange(len(analysis.weights)) if ids is None else ids
    overall = {
        "reference_component_id": NONE,
        "analysis_component_id": NONE,
        "mean_shift": mean_of([s.mean_shift for s in pairs], pairs),
        "hellinger": mean_of([s.hellinger for s in shifts], shifts),
        "weight_change": sum(abs(s.weight_shift) for s in shifts) / 2.0,
    }
    return [overall, *(_shift_row(shift, names, others) for shift in shifts)]


def _shift_row(
    shift: ComponentShift, names: NDArray[np.intp], others: NDArray[np.intp]
) -> dict[str, Any]:
    is_old, is_new = shift.reference >= 0, shift.analysis >= 0
    return {
        "reference_component_id": int(names[shift.reference]) if is_old else NONE,
        "analysis_component_id": int(others[shift.analysis]) if is_new else NONE,
        "reference_weight": shift.reference_weight,
        "analysis_weight": shift.analysis_weight,
        "mean_shift": shift.mean_shift if shift.is_pair else None,
        "hellinger": shift.hellinger,
        "features": [
            (feature.feature, feature.shift_sd, feature.before, feature.now)
            for feature in shift.features
        ],
        "detail": None if is_old and is_new else ("born" if is_new else "died"),
    }


def insufficient(detail: str) -> dict[str, Any]:
    """The row of all components where there is no verdict, and why."""
    return {
        "reference_component_id": NONE,
        "analysis_component_id": NONE,
        "status": "insufficient_data",
        "detail": detail,
    }


def judge_components(
    rows: Sequence[dict[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give the rows of some nights their verdict.

    A mixture has drifted where its means or its weights moved further than in all comparisons of
    their kind in the four weeks before; then those of its components have that moved further than
    they do on the mean.

    Parameters
    ----------
    rows : of ``drift_components`` without a verdict
    earlier : rows of all components of the nights before
    """
    known = list(earlier)
    overall: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["event_date"]):
        if row.get("weight_change") is not None:
            overall[_key(row)] = row | _verdict(row, known)
            known.append(overall[_key(row)])
    sizes = Counter(_key(row) for row in rows)
    judged = []
    for row in rows:
        whole = overall.get(_key(row), row)
        if "status" in row or row.get("weight_change") is not None:
            judged.append(whole)
            continue
        change = abs(row["analysis_weight"] - row["reference_weight"])
        is_beyond = (row["mean_shift"] or 0.0) > whole["mean_shift"] or (
            change > 2.0 * whole["weight_change"] / (sizes[_key(row)] - 1)
        )
        is_calm = whole["status"] == "drift" and not is_beyond
        judged.append(row | {"status": "ok" if is_calm else whole["status"]})
    return judged


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["event_date"], row["entity_type"], row["comparison"]


def _verdict(row: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    like = [
        one
        for one in known
        if _key(one)[1:] == _key(row)[1:]
        and is_measure(row["event_date"], one["event_date"], has_drifted=one["status"] == "drift")
    ]
    verdict: dict[str, Any] = {"quiet_pairs": len(like)}
    if len(like) < MIN_PAIRS:
        detail = f"{len(like)} earlier comparisons, {MIN_PAIRS} needed"
        return verdict | {"status": "insufficient_data", "detail": detail}
    quiet = {name: np.asarray([float(one[name]) for one in like]) for name in SMALLEST}
    p_value = min(
        quiet_p_value(float(row[name]), quiet[name], step) for name, step in SMALLEST.items()
    )
    p_value = min(1.0, len(SMALLEST) * p_value)
    return verdict | {
        "p_value": p_value,
        "status": "drift" if p_value <= UNUSUAL else "ok",
        "detail": (
            f"means moved by {row['mean_shift']:.3g} sd, weights by {row['weight_change']:.3f}; of "
            f"{len(like)} earlier ones none by more than {quiet['mean_shift'].max():.3g} and "
            f"{quiet['weight_change'].max():.3f}"
        ),
    }
