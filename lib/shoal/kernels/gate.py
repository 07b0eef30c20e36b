"""Whether a new model may take the place of the one that serves: both on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from shoal.kernels.arrays import Array
from shoal.kernels.matching import cluster_jaccard, match_clusters

ALERT_P, STRANGE_P, ORDINARY_P = 0.05, 0.001, 0.05
"""p-values of an alarm, of what is strange beyond doubt, and of what is ordinary."""
FOUND_P = 0.01
"""p-value up to which what was planted is found."""
LIST_SHARE = 0.02
"""Share of the rows that stands for a night's list."""
ENTITIES, ALERTS, FORGIVEN = "entities", "alert rate", "entities forgiven"
PLANTED, CONFIRMED = "recall of planted anomalies", "recall of confirmed ones"
MIN_ENTITIES = 20
"""Entities of a slice below which nothing is said of it alone."""
MIN_PLANTED = 30
"""Planted rows below which a share of them says nothing."""
LOST_RECALL = 0.1
"""Fall of the recall of what is planted that keeps a candidate out."""
MOST_ALERTS, MORE_ALERTS = 0.1, 1.5
"""Rate of alarms, and rise of it, that together keep a candidate out."""
FORGIVEN_SHARE = 0.5
"""Share of an entity's strange rows that are ordinary to the candidate, if it was forgiven."""
MIN_FORGIVEN, FEW_FORGIVEN, MOST_FORGIVEN = 3, 0.02, 0.2
"""Entities that were forgiven, as a number and as shares, that a candidate may have learnt from
those who stray: fewer are individuals, and more are a population that moved."""


class Measure(NamedTuple):
    """What the champion and the candidate score by one measure; ``None`` where it has none."""

    name: str
    champion: float | None
    candidate: float | None


@dataclass(frozen=True, eq=False)
class Judged:
    """What one model says of rows ``(n_rows,)``, in the order of the other's.

    Attributes
    ----------
    p_values, planted_p_values : of the rows, and of the same planted rows
    clusters : centre that each row is nearest to
    """

    p_values: Array
    planted_p_values: Array
    clusters: NDArray[np.intp]


def compare_judged(
    entities: NDArray[np.str_],
    is_recent: NDArray[np.bool_],
    is_confirmed: NDArray[np.bool_],
    champion: Judged,
    candidate: Judged,
) -> list[Measure]:
    """Measures of two models on the same rows.

    Parameters
    ----------
    entities : ``(n_rows,)``
    is_recent : rows of nights that the champion has not learnt from
    is_confirmed : rows that somebody found malicious
    """
    both = (champion, candidate)
    alerts = [float(np.mean(own.p_values <= ALERT_P)) for own in both]
    recall: list[float | None] = [None, None]
    if len(champion.planted_p_values) >= MIN_PLANTED:
        recall = [float(np.mean(own.planted_p_values <= FOUND_P)) for own in both]
    confirmed: list[float | None] = [None, None]
    if is_confirmed.any():
        confirmed = [float(np.mean(own.p_values[is_confirmed] <= FOUND_P)) for own in both]
    forgiven = forgiven_entities(
        entities[is_recent], champion.p_values[is_recent], candidate.p_values[is_recent]
    )
    table = np.zeros((champion.clusters.max() + 1, candidate.clusters.max() + 1), dtype=np.int64)
    np.add.at(table, (champion.clusters, candidate.clusters), 1)
    jaccard = cluster_jaccard(table, match_clusters(table))
    weights = table.sum(axis=1)
    return [
        Measure(ENTITIES, float(len(np.unique(entities))), None),
        Measure(ALERTS, *alerts),
        Measure(PLANTED, *recall),
        Measure(CONFIRMED, *confirmed),
        Measure(FORGIVEN, None, float(len(forgiven))),
        Measure("rank correlation of scores", None, _correlation(champion, candidate)),
        Measure("overlap of lists", None, _overlap(champion.p_values, candidate.p_values)),
        Measure(
            "Jaccard of matched clusters",
            None,
            float(np.average(np.nan_to_num(jaccard), weights=weights)),
        ),
    ]


def forgiven_entities(
    entities: NDArray[np.str_], champion: Array, candidate: Array
) -> NDArray[np.str_]:
    """Entities whose strange rows are mostly ordinary to the candidate, by p-values of rows."""
    strange = champion <= STRANGE_P
    names, places = np.unique(entities[strange], return_inverse=True)
    forgiven = np.bincount(places, candidate[strange] > ORDINARY_P, minlength=len(names))
    share = forgiven / np.maximum(np.bincount(places, minlength=len(names)), 1)
    return np.asarray(names[share > FORGIVEN_SHARE], dtype=np.str_)


def has_moved(measures: Sequence[Measure]) -> bool:
    """Whether so many were strange and no longer are that it is the population that moved."""
    entities, forgiven = _forgiven(measures)
    return forgiven > MOST_FORGIVEN * entities


def without_forgiven(
    measures: Sequence[Measure], moved: Sequence[Sequence[Measure]]
) -> list[Measure]:
    """Measures of all without the entities that were forgiven in slices that have moved."""
    n_moved = sum(_forgiven(own)[1] for own in moved)
    return [
        measure._replace(candidate=max(0.0, (measure.candidate or 0.0) - n_moved))
        if measure.name == FORGIVEN
        else measure
        for measure in measures
    ]


def _forgiven(measures: Sequence[Measure]) -> tuple[float, float]:
    """Entities, and those of them that were forgiven."""
    known = {measure.name: measure for measure in measures}
    return known[ENTITIES].champion or 0.0, known[FORGIVEN].candidate or 0.0


def objections(measures: Sequence[Measure]) -> list[str]:
    """Why a candidate is to be kept out, by its measures; nothing if it may serve."""
    known = {measure.name: measure for measure in measures}
    found = []
    alerts = known[ALERTS]
    if alerts.champion is not None and alerts.candidate is not None:
        limit = max(MOST_ALERTS, MORE_ALERTS * alerts.champion)
        if alerts.candidate > limit:
            found.append(
                f"{alerts.candidate:.1%} of rows alarm, of the champion {alerts.champion:.1%}"
            )
    for name, lost in ((PLANTED, LOST_RECALL), (CONFIRMED, 0.0)):
        recall = known[name]
        if recall.champion is None or recall.candidate is None:
            continue
        if recall.candidate < recall.champion - lost:
            found.append(f"{name} falls from {recall.champion:.2f} to {recall.candidate:.2f}")
    entities, forgiven = _forgiven(measures)
    if max(MIN_FORGIVEN, FEW_FORGIVEN * entities) <= forgiven <= MOST_FORGIVEN * entities:
        found.append(
            f"{forgiven:.0f} of {entities:.0f} entities that were strange are ordinary to it: it "
            "may have learnt from them"
        )
    return found


def plant(
    values: Array, rng: np.random.Generator, *, n_rows: int, n_features: int
) -> tuple[Array, NDArray[np.intp]]:
    """Rows with a few features far beyond all others: what every model is to find.

    Parameters
    ----------
    values : ``(n_rows, n_columns)`` native rows; NaN is unknown

    Returns
    -------
    Rows, as many as asked for or as there are, and their places among the values: ``n_features`` of
    those that vary lie beyond the largest value by three times their range; none if nothing varies
    """
    known = np.isfinite(values)
    top = np.max(np.where(known, values, -np.inf), axis=0)
    bottom = np.min(np.where(known, values, np.inf), axis=0)
    varying = np.flatnonzero(known.any(axis=0) & (top > bottom))
    n_planted = min(n_rows, len(values)) if len(varying) else 0
    places = np.sort(rng.choice(len(values), size=n_planted, replace=False))
    planted = values[places].copy()
    for row in planted:
        chosen = rng.choice(varying, size=min(n_features, len(varying)), replace=False)
        row[chosen] = top[chosen] + 3.0 * (top - bottom)[chosen]
    return planted, places


def _correlation(champion: Judged, candidate: Judged) -> float | None:
    one, other = champion.p_values, candidate.p_values
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


def _overlap(champion: Array, candidate: Array) -> float:
    """Jaccard index of the strangest rows of both."""
    n = max(1, round(LIST_SHARE * len(champion)))
    one, other = (set(np.argsort(p, kind="stable")[:n].tolist()) for p in (champion, candidate))
    return len(one & other) / len(one | other)
