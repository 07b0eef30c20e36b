"""How well scorers find what is labelled in a static table. No label is seen by a scorer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from shoal.errors import DataError
from shoal.models.scorers import fit_and_score

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

TRAINED_SHARE = 0.8
"""Share of the normal rows that a one-class fit sees."""

MAX_BOOTSTRAP = 50_000
"""Most rows of a bootstrap (as published: Livernoche et al. 2023, arXiv 2305.18593)."""


@dataclass(frozen=True)
class Protocol:
    """How a table is used.

    Attributes
    ----------
    is_one_class : fit on a part of the normal rows and score all others; else fit on a bootstrap
        of the table, anomalies and all, and score the table
    seeds : a fit each
    alert_rate : share of the fitted rows beyond the threshold at which rows are counted
    capacity : rows that somebody has time for; ``None``: as many as there are anomalies
    """

    is_one_class: bool = False
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    alert_rate: float = 0.05
    capacity: int | None = None


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows as one fit of a scorer sees them.

    Attributes
    ----------
    strangeness : ``(n_asked,)``, higher = stranger
    is_anomaly : ``(n_asked,)``
    slices : ``(n_asked,)``
    threshold : strangeness that `Protocol.alert_rate` of the fitted rows exceed
    """

    scorer: str
    seed: int
    strangeness: Array
    is_anomaly: Flags
    slices: NDArray[np.str_]
    threshold: float


def score_table(
    values: Array, is_anomaly: Flags, slices: NDArray[np.str_], scorer: str, protocol: Protocol
) -> list[Scored]:
    """Fit and score once for each seed.

    Parameters
    ----------
    values : ``(n_rows, n_features)``, finite
    is_anomaly, slices : ``(n_rows,)``; seen by no scorer

    Raises
    ------
    DataError
        If all rows are of one kind.
    """
    if is_anomaly.all() or not is_anomaly.any():
        raise DataError(
            f"{int(is_anomaly.sum())} of {len(values)} rows are anomalies: both kinds are needed"
        )
    return [
        _score_once(values, is_anomaly, slices, scorer, protocol, seed) for seed in protocol.seeds
    ]


def metrics_of(scored: Scored, capacity: int | None = None) -> dict[str, float]:
    """Figures of one fit: areas, precision at capacity, recall at few false positives."""
    is_anomaly, strangeness = scored.is_anomaly, scored.strangeness
    false_rate, recall, _ = roc_curve(is_anomaly, strangeness, drop_intermediate=False)
    n_listed = capacity or int(is_anomaly.sum())
    # Equals by chance would flatter or wrong a scorer of many ties: their mean counts.
    order = np.argsort(-strangeness, kind="stable")[:n_listed]
    last = strangeness[order[-1]]
    above = strangeness > last
    tied = strangeness == last
    hits = is_anomaly[above].sum() + is_anomaly[tied].mean() * (len(order) - above.sum())
    return {
        "auroc": float(roc_auc_score(is_anomaly, strangeness)),
        "average_precision": float(average_precision_score(is_anomaly, strangeness)),
        "precision_at_capacity": float(hits / len(order)),
        "recall_at_1pct": float(np.interp(0.01, false_rate, recall)),
        "recall_at_5pct": float(np.interp(0.05, false_rate, recall)),
    }


def metric_table(found: Sequence[Scored], capacity: int | None = None) -> pd.DataFrame:
    """A row a scorer: means over seeds, and the spread of the first between them."""
    rows = pd.DataFrame([{"scorer": own.scorer, **metrics_of(own, capacity)} for own in found])
    means = rows.groupby("scorer", sort=False).mean()
    means.insert(1, "auroc_sd", rows.groupby("scorer", sort=False)["auroc"].std())
    return means.reset_index()


def slice_table(found: Sequence[Scored]) -> pd.DataFrame:
    """A row a scorer and slice that has both kinds of rows."""
    rows = []
    for own in found:
        for name in np.unique(own.slices):
            inside = own.slices == name
            part = Scored(
                own.scorer, own.seed, own.strangeness[inside], own.is_anomaly[inside],
                own.slices[inside], own.threshold,
            )  # fmt: skip
            if part.is_anomaly.any() and not part.is_anomaly.all():
                n_anomalies = int(part.is_anomaly.sum())
                rows.append(
                    {"scorer": own.scorer, "slice": name, "rows": int(inside.sum()),
                     "anomalies": n_anomalies, **metrics_of(part)}
                )  # fmt: skip
    if not rows:
        return pd.DataFrame()
    return pd.DataFrame(rows).groupby(["scorer", "slice"], sort=False).mean().reset_index()


def confusion_table(found: Sequence[Scored]) -> pd.DataFrame:
    """A row a scorer: what the threshold of the first seed rejects and accepts, by kind."""
    rows = []
    for own in _first_seeds(found):
        is_rejected = own.strangeness > own.threshold
        rows.append(
            {
                "scorer": own.scorer,
                "anomalies_rejected": int((is_rejected & own.is_anomaly).sum()),
                "anomalies_accepted": int((~is_rejected & own.is_anomaly).sum()),
                "normal_rejected": int((is_rejected & ~own.is_anomaly).sum()),
                "normal_accepted": int((~is_rejected & ~own.is_anomaly).sum()),
            }
        )
    return pd.DataFrame(rows)


def curve_table(found: Sequence[Scored], n_points: int) -> pd.DataFrame:
    """ROC and precision–recall curves of each scorer's first seed, at evenly spaced recalls."""
    rows = []
    wanted = np.linspace(0.0, 1.0, n_points + 1)[1:]
    for own in _first_seeds(found):
        false_rate, recall, _ = roc_curve(own.is_anomaly, own.strangeness, drop_intermediate=False)
        precision, reached, _ = precision_recall_curve(own.is_anomaly, own.strangeness)
        for level in wanted:
            at_roc = int(np.argmax(recall >= level - 1e-12))
            at_precision = int(len(reached) - 1 - np.argmax(reached[::-1] >= level - 1e-12))
            rows.append(
                {
                    "scorer": own.scorer,
                    "recall": float(level),
                    "false_positive_rate": float(false_rate[at_roc]),
                    "precision": float(precision[at_precision]),
                }
            )
    return pd.DataFrame(rows)


def _first_seeds(found: Sequence[Scored]) -> list[Scored]:
    """The first fit of each scorer, in the order they come."""
    first: dict[str, Scored] = {}
    for own in found:
        first.setdefault(own.scorer, own)
    return list(first.values())


def _score_once(
    values: Array,
    is_anomaly: Flags,
    slices: NDArray[np.str_],
    scorer: str,
    protocol: Protocol,
    seed: int,
) -> Scored:
    rng = np.random.default_rng(seed)
    if protocol.is_one_class:
        normal = rng.permutation(np.flatnonzero(~is_anomaly))
        taught = normal[: int(TRAINED_SHARE * len(normal))]
        asked = np.setdiff1d(np.arange(len(values)), taught)
    else:
        taught = rng.integers(0, len(values), min(len(values), MAX_BOOTSTRAP))
        asked = np.arange(len(values))
    both = fit_and_score(scorer, seed, values[taught], np.vstack([values[taught], values[asked]]))
    of_taught, of_asked = both[: len(taught)], both[len(taught) :]
    threshold = float(np.quantile(of_taught, 1.0 - protocol.alert_rate))
    return Scored(scorer, seed, of_asked, is_anomaly[asked], slices[asked], threshold)
