"""Rows of ``drift_clusters``: two nights' clusters by their counts, and what they amount to."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.divergences import variation_of_information
from shoal.kernels.matching import (
    ContingencyScores,
    cluster_jaccard,
    contingency_scores,
    gate_of,
    match_centers,
)
from shoal.kernels.quiet import LARGER, MIN_PAIRS, quiet_p_value
from shoal.kernels.shapes import BORN, MATCHED, Shape, cluster_shapes
from shoal.models.weeks import is_measure, pair_kinds

Array = NDArray[np.float64]
Night = tuple[str, date]
"""Model version and night: what is clustered once, however many comparisons it is in."""
NONE = -1
"""Stands for a cluster that a row has none of on one of its nights; of both: all of them."""
OVERALL = "overall"
PREVIOUS, WEEKDAY, GOLDEN = "previous_night", "same_weekday", "golden"
"""Comparisons: what a night's clusters are held against."""
UNUSUAL = 0.001
"""p-value up to which two nights' agreement is a drift."""


@dataclass(frozen=True, eq=False)
class NightClusters:
    """Clusters of a night that have entities.

    Attributes
    ----------
    ids : ``(n_clusters,)`` number of the model's centre that each started from
    centers : ``(n_clusters, n_dimensions)``
    radius : root mean square of the rows' distances to their centres
    null_jaccard : ``(n_clusters,)`` agreement of the night's two halves, NaN if not known
    null_adjusted_rand : the same of all clusters
    """

    ids: NDArray[np.intp]
    centers: Array
    radius: float
    null_jaccard: Array
    null_adjusted_rand: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The clusters as `shoal.models.cluster_drift.fit_group` gives them."""
        return cls(
            np.asarray(row["cluster_ids"], dtype=np.intp),
            np.asarray(row["centers"], dtype=np.float64),
            row["radius"],
            np.asarray(row["null_jaccard"], dtype=np.float64),
            row["null_adjusted_rand"],
        )


@dataclass(eq=False)
class PairCounts:
    """Entities of a comparison by their clusters on both nights."""

    both: dict[tuple[int, int, int], int] = field(default_factory=dict)
    vanished: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    appeared: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, reference: int | None, analysis: int | None, warm: int | None, n: int) -> None:
        """Count entities; those of one night only have no cluster on the other."""
        if reference is not None and analysis is not None and warm is not None:
            self.both[reference, analysis, warm] = n
        elif reference is not None:
            self.vanished[reference] += n
        elif analysis is not None:
            self.appeared[analysis] += n

    def table(self, before: Sequence[int], now: Sequence[int]) -> NDArray[np.int64]:
        """Entities by cluster of either night, in the order of their ids."""
        table = np.zeros((len(before), len(now)), dtype=np.int64)
        rows = {cluster: place for place, cluster in enumerate(before)}
        columns = {cluster: place for place, cluster in enumerate(now)}
        for (reference, analysis, _), n in self.both.items():
            table[rows[reference], columns[analysis]] += n
        return table

    def warm_table(self, before: Sequence[int], n_warm: int) -> NDArray[np.int64]:
        """The same with the night clustered from the earlier one's centres on."""
        table = np.zeros((len(before), n_warm), dtype=np.int64)
        rows = {cluster: place for place, cluster in enumerate(before)}
        for (reference, _, warm), n in self.both.items():
            table[rows[reference], warm] += n
        return table


def insufficient(detail: str) -> dict[str, Any]:
    """The overall row where there is no verdict, and why."""
    return {
        "shape": OVERALL,
        "reference_cluster_id": NONE,
        "analysis_cluster_id": NONE,
        "status": "insufficient_data",
        "detail": detail,
    }


def comparison_rows(
    counts: PairCounts,
    reference: NightClusters,
    analysis: NightClusters,
    warm: Array,
    *,
    min_entities: int,
) -> list[dict[str, Any]]:
    """Rows of a comparison, without a verdict where there are enough entities for one.

    Parameters
    ----------
    warm : ``(n_reference, n_dimensions)`` centres of the night from the reference night's on
    """
    before, now = reference.ids.tolist(), analysis.ids.tolist()
    table = counts.table(before, now)
    facts = {
        "entities_both": int(table.sum()),
        "entities_reference_only": sum(counts.vanished.values()),
        "entities_analysis_only": sum(counts.appeared.values()),
    }
    if table.sum() < min_entities:
        detail = f"{int(table.sum())} entities on both nights, {min_entities} needed"
        return [facts | insufficient(detail)]
    gate = gate_of(len(before), len(now), max(reference.radius, analysis.radius))
    matching = match_centers(reference.centers, analysis.centers, gate=gate)
    warm_table = counts.warm_table(before, len(warm))
    warm_jaccard = cluster_jaccard(warm_table, match_centers(reference.centers, warm))
    agreement, warm_agreement = contingency_scores(table), contingency_scores(warm_table)
    rows = [_overall(table, matching, agreement, warm_agreement, analysis)]
    jaccard = cluster_jaccard(table, matching)
    for shape in cluster_shapes(table, matching):
        row = _shape_row(shape, table, counts, before, now)
        old, new = shape.reference, shape.analysis
        if old >= 0:
            row |= {"jaccard": _known(jaccard[old]), "warm_jaccard": _known(warm_jaccard[old])}
        if new >= 0:
            row["null_jaccard"] = _known(analysis.null_jaccard[new])
        if old >= 0 and new >= 0:
            shift = np.linalg.norm(reference.centers[old] - analysis.centers[new])
            row["center_distance"] = float(shift)
        rows.append(row)
    return [facts | row for row in rows]


def _overall(
    table: NDArray[np.int64],
    matching: NDArray[np.intp],
    agreement: ContingencyScores,
    warm: ContingencyScores,
    analysis: NightClusters,
) -> dict[str, Any]:
    return {
        "shape": OVERALL,
        "reference_cluster_id": NONE,
        "analysis_cluster_id": NONE,
        "reference_size": int(table.sum()),
        "analysis_size": int(table.sum()),
        "common_size": int(sum(table[i, j] for i, j in enumerate(matching) if j >= 0)),
        "adjusted_rand": float(agreement.adjusted_rand),
        "adjusted_mutual_information": float(agreement.adjusted_mutual_information),
        "variation_of_information": variation_of_information(table),
        "warm_adjusted_rand": float(warm.adjusted_rand),
        "null_adjusted_rand": analysis.null_adjusted_rand,
    }


def _shape_row(
    shape: Shape,
    table: NDArray[np.int64],
    counts: PairCounts,
    before: Sequence[int],
    now: Sequence[int],
) -> dict[str, Any]:
    old, new = shape.reference, shape.analysis
    of_old = table[old] if old >= 0 else np.zeros(len(now), dtype=np.int64)
    of_new = table[:, new] if new >= 0 else np.zeros(len(before), dtype=np.int64)
    return {
        "shape": shape.kind,
        "reference_cluster_id": before[old] if old >= 0 else NONE,
        "analysis_cluster_id": now[new] if new >= 0 else NONE,
        "reference_size": int(of_old.sum()) if old >= 0 else None,
        "analysis_size": int(of_new.sum()) if new >= 0 else None,
        "common_size": int(table[old, new]) if old >= 0 and new >= 0 else 0,
        "came_from": _moves(of_new, before, but=old),
        "went_to": _moves(of_old, now, but=new),
        "appeared": counts.appeared.get(now[new], 0) if new >= 0 else 0,
        "vanished": counts.vanished.get(before[old], 0) if old >= 0 else 0,
        "detail": _words(shape, before, now),
    }


def _moves(counts: NDArray[np.int64], ids: Sequence[int], *, but: int) -> list[tuple[int, int]]:
    """Cluster and entities, most first, without the matched one."""
    moved = [(ids[i], int(n)) for i, n in enumerate(counts) if n and i != but]
    return sorted(moved, key=lambda move: (-move[1], move[0]))


def _words(shape: Shape, before: Sequence[int], now: Sequence[int]) -> str | None:
    if shape.kind == MATCHED:
        return None
    if shape.kind == "split":
        return f"split into {_listed(now[part] for part in shape.parts)}"
    if shape.kind == "merged":
        others = _listed(before[part] for part in shape.parts)
        return f"merged with {others} into {now[shape.analysis]}"
    return "new tonight" if shape.kind == BORN else "not there tonight"


def _listed(ids: Any) -> str:
    return " and ".join(str(number) for number in ids)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def judge_clusters(
    rows: Sequence[dict[str, Any]], earlier: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Give every row of some comparisons its verdict.

    The overall agreement has drifted where it is worse than that of all quiet pairs before it, of
    the same comparison and the same kinds of day, whichever clustering of the night is asked, and
    worse than that of its own halves. Then those clusters have drifted that are worse than theirs.

    Parameters
    ----------
    rows : of ``drift_clusters`` without a verdict, of all nights from the first to be judged on
    earlier : overall rows of the nights before
    """
    known = list(earlier)
    verdicts = {}
    for row in sorted(rows, key=lambda row: row["event_date"]):
        if row["shape"] == OVERALL and "status" not in row:
            quiet = [_distance(one) for one in known if _is_like(one, row)]
            verdicts[_key(row)] = _verdict(row, np.asarray(quiet))
            known.append(row | verdicts[_key(row)])
    judged = []
    for row in rows:
        if "status" in row:
            judged.append(row)
            continue
        verdict = verdicts[_key(row)]
        if row["shape"] != OVERALL:
            is_worse = verdict["status"] == "drift" and _is_worse_than_halves(row)
            status = "ok" if verdict["status"] == "drift" and not is_worse else verdict["status"]
            verdict = {"status": status}
        judged.append(row | verdict)
    return judged


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["event_date"], row["entity_type"], row["comparison"]


def _is_like(one: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether one is a quiet pair of nights before, of the same kinds of day."""
    has_drifted = one["status"] == "drift"
    return (
        is_measure(row["event_date"], one["event_date"], has_drifted=has_drifted)
        and (one["entity_type"], one["comparison"]) == (row["entity_type"], row["comparison"])
        and pair_kinds(one["event_date"], one["reference_date"])
        == pair_kinds(row["event_date"], row["reference_date"])
    )


def _distance(row: Mapping[str, Any]) -> float:
    return 1.0 - max(float(row["adjusted_rand"]), float(row["warm_adjusted_rand"]))


def _verdict(row: Mapping[str, Any], quiet: Array) -> dict[str, Any]:
    if len(quiet) < MIN_PAIRS:
        detail = f"{len(quiet)} quiet pairs of nights, {MIN_PAIRS} needed"
        return {"quiet_pairs": len(quiet), "status": "insufficient_data", "detail": detail}
    distance = _distance(row)
    p_value = quiet_p_value(distance, quiet, step=2.0 / row["entities_both"])
    is_drift = p_value <= UNUSUAL and distance > 1.0 - row["null_adjusted_rand"]
    detail = (
        f"agreement {1.0 - distance:.2f}; of {len(quiet)} quiet pairs of nights none below "
        f"{1.0 - quiet.max():.2f}, of the night's halves {row['null_adjusted_rand']:.2f}"
    )
    return {
        "quiet_pairs": len(quiet),
        "p_value": p_value,
        "status": "drift" if is_drift else "ok",
        "detail": detail,
    }


def _is_worse_than_halves(row: Mapping[str, Any]) -> bool:
    if row.get("jaccard") is None:
        return bool(row["shape"] == BORN and row["analysis_size"])
    best = max(row["jaccard"], row["warm_jaccard"] or 0.0)
    null = row.get("null_jaccard")
    one = 1.0 / max(row["reference_size"], 1)
    return bool(1.0 - best > LARGER * (1.0 - (1.0 if null is None else null)) + one)
