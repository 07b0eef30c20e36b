"""How good lists are, where the truth is known: hits at capacity, beside rules that anybody has.

Nothing here is seen by a model or a list: the truth is read after the nights have been run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.ensemble import IsolationForest

from shoal.contracts.scores import MICROCLUSTER

ENTITY = ["entity_type", "entity_id"]
NIGHT_ENTITY = ["event_date", *ENTITY]
FOREST_NIGHTS = 7
"""Nights that one forest serves, as a model does by default."""
LEVELS = (0.05, 0.01, 0.001)
SMALL_SLICE = 50


@dataclass(frozen=True, eq=False)
class Hits:
    """What some lists found.

    Attributes
    ----------
    truth : the planted and benign host-nights, each with ``is_listed``
    lines : the lines, each with ``is_planted`` and ``is_benign``; one that is neither is chance
    """

    truth: pd.DataFrame
    lines: pd.DataFrame

    def recall(self, strength: str | None = None) -> float:
        """Share of planted host-nights that a line names; NaN without any."""
        planted = self.truth[self.truth["is_planted"]]
        if strength is not None:
            planted = planted[planted["strength"] == strength]
        return float(planted["is_listed"].mean())

    @property
    def precision(self) -> float:
        """Share of lines that name a planted host-night."""
        return float(self.lines["is_planted"].mean())

    @property
    def benign_share(self) -> float:
        """Share of lines that name what only looks like an intrusion."""
        return float(self.lines["is_benign"].mean())


def compare_lists(lines: pd.DataFrame, truth: pd.DataFrame) -> Hits:
    """Hold lines against the truth.

    Parameters
    ----------
    lines : ``event_date``, ``line``, ``entity_type``, ``entity_id``; several rows of one line are
        a group told as one
    truth : ``event_date``, ``host``, ``source_address``, ``is_planted``, ``strength``, …; one row
        a host, night and act
    """
    met = lines.merge(
        _named(truth)[[*NIGHT_ENTITY, "host", "is_planted"]], on=NIGHT_ENTITY, how="left"
    )
    found = met.dropna(subset=["host"])[["event_date", "host"]].drop_duplicates()
    listed = truth.merge(found.assign(is_listed=True), on=["event_date", "host"], how="left")
    # By type: a column without a row has none, and would select columns where masks select rows.
    listed = listed.assign(
        is_listed=listed["is_listed"].eq(True).astype(bool),
        is_planted=listed["is_planted"].astype(bool),
    )
    by_line = (
        met.assign(is_benign=met["is_planted"].eq(False), is_planted=met["is_planted"].eq(True))
        .groupby(["event_date", "line"])[["is_planted", "is_benign"]]
        .any()
        .reset_index()
    )
    by_line["is_benign"] &= ~by_line["is_planted"]
    return Hits(listed, by_line)


def _named(truth: pd.DataFrame) -> pd.DataFrame:
    """Two rows for each of the truth: the machine and its address as entities."""
    kinds = ("host", "source_address")
    return pd.concat([truth.assign(entity_type=kind, entity_id=truth[kind]) for kind in kinds])


def top_lines(scores: pd.DataFrame, capacity: int) -> pd.DataFrame:
    """The ``capacity`` strangest of each night by ``score``, ties by name, as lines."""
    ordered = scores.sort_values(
        ["event_date", "score", *ENTITY], ascending=[True, False, True, True]
    )
    top = ordered.groupby("event_date").head(capacity)
    place = top.groupby("event_date").cumcount() + 1
    return top[NIGHT_ENTITY].assign(line=place)


def forest_scores(
    features: pd.DataFrame, names: Sequence[str], nights: Sequence[date]
) -> pd.DataFrame:
    """Scores of an isolation forest on the features that the models see.

    Per entity type, fitted on the nights before, anew every ``FOREST_NIGHTS``. Types are made
    comparable by the share of the reference that is stranger.

    Parameters
    ----------
    features : entity × day with the named columns, the nights and all before them
    """
    found = []
    for _, own in features.groupby("entity_type"):
        for first in range(0, len(nights), FOREST_NIGHTS):
            served = set(nights[first : first + FOREST_NIGHTS])
            reference = own[own["event_date"] < nights[first]]
            rows = own[own["event_date"].isin(served)]
            if reference.empty or rows.empty:
                continue
            forest = IsolationForest(n_estimators=200, random_state=0)
            forest.fit(_filled(reference, names))
            usual = np.sort(-forest.score_samples(_filled(reference, names)))
            strange = -forest.score_samples(_filled(rows, names))
            rank = np.searchsorted(usual, strange) / len(usual)
            # Beyond the reference the forest's own score goes on ordering.
            found.append(rows[NIGHT_ENTITY].assign(score=rank + 1e-3 * strange))
    return pd.concat(found) if found else features[NIGHT_ENTITY].head(0).assign(score=0.0)


def _filled(rows: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    return rows[list(names)].fillna(-1.0).to_numpy(dtype=float)


def calibration(scores: pd.DataFrame) -> pd.DataFrame:
    """Share of entity-nights at or below each of ``LEVELS``, overall and by type and slice.

    Parameters
    ----------
    scores : ``event_date``, ``entity_type``, ``entity_id``, ``slice``, ``p_value`` of nights and
        entities of which nothing is planted

    Returns
    -------
    ``group``, ``entities``, ``entity_nights`` and one column a level; slices of fewer than
    ``SMALL_SLICE`` entities a night stand together.
    """
    scores = scores.assign(
        size=scores.groupby(["event_date", "entity_type", "slice"])["entity_id"].transform("size")
    )
    is_small = scores["size"] < SMALL_SLICE
    slices = scores["entity_type"] + ", " + scores["slice"]
    groups: list[tuple[str, pd.DataFrame]] = [("all", scores)]
    groups += [(str(name), own) for name, own in scores.groupby("entity_type")]
    groups += [(str(name), own) for name, own in scores[~is_small].groupby(slices)]
    groups.append((f"slices under {SMALL_SLICE}", scores[is_small]))
    rows = [
        {
            "group": name,
            "entities": own["entity_id"].nunique(),
            "entity_nights": len(own),
            **{f"p<={level:g}": float((own["p_value"] <= level).mean()) for level in LEVELS},
        }
        for name, own in groups
        if len(own)
    ]
    return pd.DataFrame(rows)


def by_kind(hits: Hits) -> pd.DataFrame:
    """Planted host-nights listed and active, by kind and strength."""
    planted = hits.truth[hits.truth["is_planted"]]
    return (
        planted.groupby(["kind", "strength"])["is_listed"]
        .agg(listed="sum", active="size")
        .reset_index()
    )


def stories(hits: Hits, lines: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Each planted or benign story: how much of it was listed, how soon, and where it stood.

    Parameters
    ----------
    lines, scores : as for :func:`compare_lists` and :func:`calibration`

    Returns
    -------
    ``is_planted``, ``story``, ``strength``, ``host_nights``, ``listed``, ``told_after`` (nights
    from its first to its first on the list), ``best_rank`` and ``lowest_p`` of its machines and
    their addresses.
    """
    key = ["is_planted", "kind", "story", "strength"]
    stood = _named(hits.truth).merge(lines, on=NIGHT_ENTITY, how="left")
    stood = stood.merge(scores[[*NIGHT_ENTITY, "p_value"]], on=NIGHT_ENTITY, how="left")
    told = hits.truth[hits.truth["is_listed"]].groupby(key)["event_date"].min()
    found = (
        hits.truth.groupby(key)
        .agg(
            host_nights=("host", "size"),
            listed=("is_listed", "sum"),
            first_date=("event_date", "min"),
        )
        .join(told.rename("first_listed"))
        .join(stood.groupby(key).agg(best_rank=("line", "min"), lowest_p=("p_value", "min")))
        .reset_index()
        .sort_values(["is_planted", "kind", "story"], ascending=[False, True, True])
    )
    found["is_planted"] = found["is_planted"].astype(bool)
    found["told_after"] = [
        (told - first).days if isinstance(told, date) else None
        for told, first in zip(found["first_listed"], found["first_date"], strict=True)
    ]
    return found[
        ["is_planted", "story", "strength", "host_nights", "listed", "told_after", "best_rank",
         "lowest_p"]
    ]  # fmt: skip


def small_slices(lines: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Share of the lines of each small slice against its share of the entities, unlikeliest first.

    Parameters
    ----------
    lines : lines with ``entity_type`` and ``slice``
    scores : as for :func:`calibration`

    Returns
    -------
    ``slice``, ``entities`` a night, ``share_of_entities``, ``share_of_lines`` and ``chance`` of as
    many lines or more if lines fell on entities alike.
    """
    keys = ["entity_type", "slice"]
    sizes = scores.groupby([*keys, "event_date"]).size().groupby(keys).mean()
    small = sizes[sizes < SMALL_SLICE]
    share = (scores.groupby(keys).size() / max(len(scores), 1)).reindex(small.index)
    count = lines.groupby(keys).size().reindex(small.index).fillna(0).astype(int)
    found = pd.DataFrame(
        {
            "slice": [f"{kind}, {name}" for kind, name in small.index],
            "entities": small.to_numpy(),
            "share_of_entities": share.to_numpy(),
            "share_of_lines": count.to_numpy() / max(len(lines), 1),
            "chance": binom.sf(count.to_numpy() - 1, max(len(lines), 1), share.to_numpy()),
        }
    )
    return found.sort_values(["chance", "slice"], ignore_index=True)


def method_table(methods: Mapping[str, Hits], strengths: Sequence[str]) -> pd.DataFrame:
    """Recall by strength, precision and share of benign lines of each way to make a list."""
    return pd.DataFrame(
        [
            {
                "method": name,
                **{f"recall_{s}": hits.recall(s) for s in strengths},
                "recall_all": hits.recall(),
                "precision": hits.precision,
                "benign_lines": hits.benign_share,
            }
            for name, hits in methods.items()
        ]
    )


def usefulness(lines: pd.DataFrame) -> pd.DataFrame:
    """How much of some nights' lists was worth reading again.

    Parameters
    ----------
    lines : ``event_date``, ``line``, ``lane``, ``change``, ``expected_by_chance`` and the entity;
        the members of a group share their line
    """
    told = lines.drop_duplicates(["event_date", "line"])
    return pd.DataFrame(
        [
            {
                "nights": lines["event_date"].nunique(),
                "lines": len(told),
                "by_chance_alone": lines.groupby("event_date")["expected_by_chance"].max().sum(),
                "different_entities": len(lines.drop_duplicates(ENTITY)),
                "news": int(told["change"].isin(["new", "raised"]).sum()),
                "groups": int((told["lane"] == MICROCLUSTER).sum()),
            }
        ]
    )
