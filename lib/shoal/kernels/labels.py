"""Clusters held against labels that the models never saw."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    homogeneity_completeness_v_measure,
)

MAJORITY = 0.5
"""Share of a cluster that one label needs, for its members to behave like that label's."""


@dataclass(frozen=True)
class LabelFit:
    """How one label and the clusters fit.

    Attributes
    ----------
    cluster_id : the cluster that most of its entities are of
    completeness : share of its entities that are
    homogeneity : share of that cluster's entities that bear the label
    """

    label: str
    n_entities: int
    cluster_id: int
    completeness: float
    homogeneity: float


@dataclass(frozen=True)
class Misfit:
    """An entity that clusters with those of another label.

    Attributes
    ----------
    behaves_like : the label of most entities of its cluster
    share : share of its cluster that bears that label
    """

    entity_id: str
    label: str
    behaves_like: str
    cluster_id: int
    share: float


@dataclass(frozen=True)
class LabelAgreement:
    """Clusters and labels compared: 1 is the same grouping, 0 what chance alone would give.

    ``homogeneity`` and ``completeness`` are those of all labels (Rosenberg and Hirschberg 2007,
    EMNLP); ``adjusted_rand`` is Hubert and Arabie's (1985, Journal of Classification 2),
    ``adjusted_mutual_info`` Vinh, Epps and Bailey's (2010, JMLR 11).
    """

    n_entities: int
    n_labels: int
    n_clusters: int
    adjusted_rand: float
    adjusted_mutual_info: float
    homogeneity: float
    completeness: float
    labels: tuple[LabelFit, ...]
    misfits: tuple[Misfit, ...]


def compare_with_labels(
    entity_ids: Sequence[str], cluster_ids: Sequence[int], labels: Sequence[str]
) -> LabelAgreement:
    """Compare the cluster and the label of each entity; all three ``(n_entities,)``.

    Labels are in order of size, misfits in order of how sure their cluster is.
    """
    homogeneity, completeness, _ = homogeneity_completeness_v_measure(labels, cluster_ids)
    of_pair = Counter(zip(labels, cluster_ids, strict=True))
    of_label, of_cluster = Counter(labels), Counter(cluster_ids)

    def commonest(counts: Counter[tuple[str, int]], place: int, value: object) -> tuple[str, int]:
        own = [pair for pair in counts if pair[place] == value]
        return min(own, key=lambda pair: (-counts[pair], pair))

    fits = []
    for label, count in sorted(of_label.items(), key=lambda item: (-item[1], item[0])):
        pair = commonest(of_pair, 0, label)
        fits.append(
            LabelFit(
                label=label,
                n_entities=count,
                cluster_id=pair[1],
                completeness=of_pair[pair] / count,
                homogeneity=of_pair[pair] / of_cluster[pair[1]],
            )
        )
    leading = {cluster: commonest(of_pair, 1, cluster) for cluster in of_cluster}
    shares = {cluster: of_pair[pair] / of_cluster[cluster] for cluster, pair in leading.items()}
    misfits = [
        Misfit(entity_id, label, leading[cluster][0], cluster, shares[cluster])
        for entity_id, cluster, label in zip(entity_ids, cluster_ids, labels, strict=True)
        if leading[cluster][0] != label and shares[cluster] > MAJORITY
    ]
    return LabelAgreement(
        n_entities=len(labels),
        n_labels=len(of_label),
        n_clusters=len(of_cluster),
        adjusted_rand=float(adjusted_rand_score(labels, cluster_ids)),
        adjusted_mutual_info=float(adjusted_mutual_info_score(labels, cluster_ids)),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        labels=tuple(fits),
        misfits=tuple(sorted(misfits, key=lambda one: (-one.share, one.entity_id))),
    )
