"""Cluster drift: a night's clusters matched with an earlier night's on the entities of both.

Agreement alone says little: where K is too large the same night, clustered twice, agrees as badly
(field notes). So it stands beside what the two halves of the night agree on, and beside the night
clustered from the earlier one's centres; and it is judged by earlier pairs of nights.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.kernels.centroids import assign, continue_kmeans
from shoal.kernels.matching import cluster_jaccard, contingency_scores, match_centers
from shoal.kernels.preparation import Preparation
from shoal.models.cluster_rows import (
    Night,
    NightClusters,
    PairCounts,
    comparison_rows,
    insufficient,
)
from shoal.models.drift_rows import is_of
from shoal.models.peer_models import PeerModel
from shoal.models.vectors import feature_matrix

Array = NDArray[np.float64]
_NIGHT = ["model_version", "event_date"]
_HALF = "half"
_FITTED = (
    "model_version string, event_date date, cluster_ids array<int>, centers array<array<double>>, "
    "radius double, null_jaccard array<double>, null_adjusted_rand double"
)
_WARM = "number int, centers array<array<double>>"
_LABELLED = "model_version string, event_date date, entity_id string, own int, warm array<int>"


@dataclass(frozen=True)
class DriftSettings:
    """Below ``min_entities`` common entities there is no verdict."""

    min_entities: int
    winsorize_sd: float


@dataclass(frozen=True)
class Comparison:
    """A night and an earlier one, in the clusters of one entity type's model.

    Attributes
    ----------
    number : tells comparisons apart
    name : ``previous_night``, ``same_weekday`` or ``golden``
    """

    number: int
    name: str
    reference_date: date
    analysis_date: date
    model: PeerModel

    @property
    def reference(self) -> Night:
        """The earlier night, as what is clustered."""
        return self.model.model_version, self.reference_date

    @property
    def analysis(self) -> Night:
        """The night itself."""
        return self.model.model_version, self.analysis_date


@dataclass(frozen=True, eq=False)
class Start:
    """A model's centres, and the preparation in whose space they lie."""

    preparation: Preparation
    centers: Array


def compare_nights(
    entity_days: DataFrame, comparisons: Sequence[Comparison], settings: DriftSettings
) -> list[dict[str, Any]]:
    """Cluster the nights of each comparison in one preparation, match the centres and the members.

    Nights are clustered by k-means with the model's centres as the start, so that a difference is
    the nights' and not a random start's.

    Parameters
    ----------
    entity_days : rows of `shoal.models.drift_rows`, of all nights of the comparisons and maybe
        others, few enough for a night to meet in one task; read several times

    Returns
    -------
    Rows of ``drift_clusters`` without a verdict: for each comparison one overall, and one a
    cluster.
    """
    starts = {
        c.model.model_version: Start(c.model.geometry.preparation, c.model.geometry.centers)
        for c in comparisons
    }
    nights = {night for c in comparisons for night in (c.reference, c.analysis)}
    wanted = entity_days.where(is_of(nights)).select(*_NIGHT, "entity_id", "features", _half())
    clusters = _fit_nights(wanted, starts, settings.winsorize_sd)
    known = [c for c in comparisons if {c.reference, c.analysis} <= clusters.keys()]
    warm = _fit_warm(wanted, known, starts, clusters, settings.winsorize_sd) if known else {}
    labels = Labels.of(starts, clusters, known, warm, settings.winsorize_sd)
    counts = _count_pairs(wanted, known, labels) if known else {}
    found = []
    for comparison in comparisons:
        if comparison in known:
            rows = comparison_rows(
                counts.get(comparison.number, PairCounts()),
                clusters[comparison.reference],
                clusters[comparison.analysis],
                warm[comparison.number],
                min_entities=settings.min_entities,
            )
        else:
            part = "analysis" if comparison.reference in clusters else "reference"
            rows = [insufficient(f"no entity of this type on the {part} night")]
        facts = {
            "event_date": comparison.analysis_date,
            "entity_type": comparison.model.entity_type,
            "comparison": comparison.name,
            "reference_date": comparison.reference_date,
            "model_version": comparison.model.model_version,
        }
        found += [facts | row for row in rows]
    return found


def _half() -> Column:
    """Which half of its night an entity is of, by a hash."""
    return F.pmod(F.xxhash64("entity_id", F.lit("half")), F.lit(2)).alias(_HALF)


def _fit_nights(
    sample: DataFrame, starts: Mapping[str, Start], winsorize_sd: float
) -> dict[Night, NightClusters]:
    """Clusters of each night's sample, a task each; a night without rows has none."""

    def fit(group: pd.DataFrame) -> pd.DataFrame:
        return fit_group(group, starts, winsorize_sd)

    return {
        (row["model_version"], row["event_date"]): NightClusters.of(row.asDict())
        for row in sample.groupBy(*_NIGHT).applyInPandas(fit, _FITTED).collect()
    }


def fit_group(
    group: pd.DataFrame, starts: Mapping[str, Start], winsorize_sd: float
) -> pd.DataFrame:
    """Group function of a night's clusters: its sample in, from the model's centres on.

    Beside them how well the two halves of the night agree on all of its sample: what no drift at
    all would bring.
    """
    sample = group.sort_values("entity_id")
    start = starts[sample["model_version"].iloc[0]]
    values = feature_matrix(sample["features"])
    rows = start.preparation.project_winsorized(values, winsorize_sd)
    # A centre without a row would be moved to one of another cluster, and split that.
    ids = np.unique(assign(rows, start.centers)[0])
    centers = continue_kmeans(rows, start.centers[ids])
    distance = assign(rows, centers)[1]
    is_first = (sample[_HALF] == 0).to_numpy()
    halves = [continue_kmeans(rows[own], start.centers[ids]) for own in (is_first, ~is_first)]
    jaccard, agreement = half_agreement(rows, centers, *halves)
    row = {
        **sample[_NIGHT].iloc[0],
        "cluster_ids": ids.tolist(),
        "centers": centers.tolist(),
        "radius": float(np.sqrt(np.mean(distance**2))),
        "null_jaccard": jaccard.tolist(),
        "null_adjusted_rand": agreement,
    }
    return pd.DataFrame([row])


def half_agreement(rows: Array, centers: Array, first: Array, second: Array) -> tuple[Array, float]:
    """How well two clusterings of the same rows agree.

    Parameters
    ----------
    rows : ``(n_rows, n_dimensions)``
    centers : ``(n_clusters, n_dimensions)`` that the agreement is told for
    first, second : centres of the two clusterings

    Returns
    -------
    Jaccard index by centre (NaN where it has none), adjusted Rand index of all
    """
    one, other = (assign(rows, halves)[0] for halves in (first, second))
    table = np.zeros((len(first), len(second)), dtype=np.int64)
    np.add.at(table, (one, other), 1)
    jaccard = cluster_jaccard(table, match_centers(first, second))
    own = match_centers(centers, first)
    found = np.where(own >= 0, jaccard[own], np.nan)
    return found, float(contingency_scores(table).adjusted_rand)


def _fit_warm(
    sample: DataFrame,
    comparisons: Sequence[Comparison],
    starts: Mapping[str, Start],
    clusters: Mapping[Night, NightClusters],
    winsorize_sd: float,
) -> dict[int, Array]:
    """Centres of each comparison's night from those of its reference night on."""
    reference = {c.number: clusters[c.reference].centers for c in comparisons}

    def fit(group: pd.DataFrame) -> pd.DataFrame:
        rows = group.sort_values("entity_id")
        number = int(rows["number"].iloc[0])
        values = feature_matrix(rows["features"])
        preparation = starts[rows["model_version"].iloc[0]].preparation
        prepared = preparation.project_winsorized(values, winsorize_sd)
        centers = continue_kmeans(prepared, reference[number])
        return pd.DataFrame({"number": [number], "centers": [centers.tolist()]})

    session = sample.sparkSession
    numbers = session.createDataFrame(
        [(*c.analysis, c.number) for c in comparisons],
        "model_version string, event_date date, number int",
    )
    wanted = sample.join(F.broadcast(numbers), _NIGHT, how="inner").drop(_HALF)
    fitted = wanted.groupBy("number").applyInPandas(fit, _WARM).collect()
    return {number: np.asarray(centers, dtype=np.float64) for number, centers in fitted}


@dataclass(frozen=True, eq=False)
class Labels:
    """What assigns every row to the clusters of its night.

    Attributes
    ----------
    warm : by night, the centres of the comparisons that it is the later night of, by their number
    """

    preparations: Mapping[str, Preparation]
    clusters: Mapping[Night, NightClusters]
    warm: Mapping[Night, Sequence[Array]]
    winsorize_sd: float

    @classmethod
    def of(
        cls,
        starts: Mapping[str, Start],
        clusters: Mapping[Night, NightClusters],
        comparisons: Sequence[Comparison],
        warm: Mapping[int, Array],
        winsorize_sd: float,
    ) -> "Labels":
        """Gather them, the comparisons of a night by their number."""
        numbered = sorted(comparisons, key=lambda c: c.number)
        return cls(
            {version: start.preparation for version, start in starts.items()},
            clusters,
            {
                night: [warm[c.number] for c in numbered if c.analysis == night]
                for night in clusters
            },
            winsorize_sd,
        )

    def of_batch(self, batch: pd.DataFrame) -> pd.DataFrame:
        """Group function of the assignment, without Spark: entities' clusters on their nights."""
        parts = [self._of_night(group) for _, group in batch.groupby(_NIGHT)]
        empty = batch[[*_NIGHT, "entity_id"]].assign(own=0, warm=None)
        return pd.concat(parts).reindex(batch.index) if parts else empty

    def _of_night(self, group: pd.DataFrame) -> pd.DataFrame:
        version, night = group["model_version"].iloc[0], group["event_date"].iloc[0]
        own = self.clusters[version, night]
        values = feature_matrix(group["features"])
        rows = self.preparations[version].project_winsorized(values, self.winsorize_sd)
        warm = [assign(rows, centers)[0] for centers in self.warm[version, night]]
        by_row = np.asarray(warm, dtype=np.intp).reshape(len(warm), len(rows)).T.tolist()
        return group[[*_NIGHT, "entity_id"]].assign(
            own=own.ids[assign(rows, own.centers)[0]],
            warm=pd.Series(by_row, index=group.index, dtype=object),
        )


def _count_pairs(
    entity_days: DataFrame, comparisons: Sequence[Comparison], labels: Labels
) -> dict[int, PairCounts]:
    """Entities by comparison and by their clusters on both nights, null where they lack one."""

    def label(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield labels.of_batch(batch)

    places: dict[Night, int] = {}
    parts = []
    for comparison in sorted(comparisons, key=lambda c: c.number):
        place = places.get(comparison.analysis, 0)
        places[comparison.analysis] = place + 1
        parts.append(
            (
                comparison.model.model_version,
                comparison.number,
                comparison.reference_date,
                comparison.analysis_date,
                place,
            )
        )
    wanted = entity_days.sparkSession.createDataFrame(
        parts,
        "model_version string, number int, reference_date date, analysis_date date, place int",
    )
    night = F.struct("event_date", F.struct("own", "warm"))
    # One row an entity, with all its nights: comparisons are then many, but need no other shuffle.
    entities = (
        entity_days.select(*_NIGHT, "entity_id", "features")
        .mapInPandas(label, _LABELLED)
        .groupBy("model_version", "entity_id")
        .agg(F.map_from_entries(F.collect_list(night)).alias("nights"))
    )
    before, now = (
        F.try_element_at("nights", F.col(name)) for name in ("reference_date", "analysis_date")
    )
    counted = (
        entities.join(F.broadcast(wanted), "model_version", how="inner")
        .select(
            "number",
            before["own"].alias("reference"),
            now["own"].alias("analysis"),
            F.get(now["warm"], F.col("place")).alias("warm"),
        )
        .where(F.col("reference").isNotNull() | F.col("analysis").isNotNull())
        .groupBy("number", "reference", "analysis", "warm")
        .count()
        .collect()
    )
    found: dict[int, PairCounts] = {}
    for row in sorted(counted, key=str):
        pairs = found.setdefault(row["number"], PairCounts())
        pairs.add(row["reference"], row["analysis"], row["warm"], row["count"])
    return found
