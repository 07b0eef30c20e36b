"""What became of each cluster between two nights: matched, split, merged, died or born."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MATCHED, SPLIT, MERGED, DIED, BORN = "matched", "split", "merged", "died", "born"

PART_SHARE = 0.25
"""Share of a cluster from which on some of its entities are a part, and not a few that moved."""
MOSTLY = 0.5
"""Share of the other cluster that such a part is: it is made of it."""
MIN_PART = 3
"""Entities of a part at least."""


@dataclass(frozen=True)
class Shape:
    """What became of a reference cluster, or where an analysis cluster comes from.

    Attributes
    ----------
    kind : ``MATCHED``, ``SPLIT``, ``MERGED``, ``DIED`` or ``BORN``
    reference, analysis : cluster of either night, −1 where it has none
    parts : analysis clusters that it split into, or reference clusters that merged with it
    """

    kind: str
    reference: int
    analysis: int
    parts: tuple[int, ...] = ()


def cluster_shapes(table: ArrayLike, matching: NDArray[np.intp]) -> list[Shape]:
    """Name what became of every reference cluster, then the analysis clusters that are new.

    A cluster splits where two or more analysis clusters each hold a part of it and are made of it;
    clusters merge where they are so split when seen from the other night.

    Parameters
    ----------
    table : ``(n_reference, n_analysis)`` entities in reference cluster i and analysis cluster j
    matching : ``(n_reference,)`` from `shoal.kernels.matching.match_centers`
    """
    counts = np.asarray(table, dtype=np.int64)
    parts, sources = _parts(counts), _parts(counts.T)
    merged_into = {
        cluster: target
        for target, clusters in enumerate(sources)
        if len(clusters) > 1
        for cluster in clusters
    }
    shapes = []
    for cluster, match in enumerate(matching.tolist()):
        if len(parts[cluster]) > 1:
            shapes.append(Shape(SPLIT, cluster, match, parts[cluster]))
        elif cluster in merged_into:
            target = merged_into[cluster]
            others = tuple(other for other in sources[target] if other != cluster)
            shapes.append(Shape(MERGED, cluster, target, others))
        else:
            shapes.append(Shape(MATCHED if match >= 0 else DIED, cluster, match))
    taken = {shape.analysis for shape in shapes}
    taken |= {part for shape in shapes if shape.kind == SPLIT for part in shape.parts}
    new = [cluster for cluster in range(counts.shape[1]) if cluster not in taken]
    return shapes + [Shape(BORN, -1, cluster) for cluster in new]


def _parts(counts: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Columns that each row divides into: a part of the row, and made of it."""
    of_row = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    of_column = counts / np.maximum(counts.sum(axis=0, keepdims=True), 1)
    is_part = (of_row >= PART_SHARE) & (of_column >= MOSTLY) & (counts >= MIN_PART)
    return [tuple(np.flatnonzero(row).tolist()) for row in is_part]
