"""Who behaves like an entity, and whether its group of peers says so, too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from shoal.contracts import ENTITY_SCORES
from shoal.errors import DataError
from shoal.hunt.entities import KnownEntities
from shoal.hunt.places import night_places
from shoal.lake import Night, Reader, fetch_published, find_night, rows_of
from shoal.models.registry import load_global, version_served

_SCORED = ("cluster_id", "anomaly_score")


@dataclass(frozen=True)
class Peers:
    """The nearest entities of a night, nearest first.

    Attributes
    ----------
    entity : ``entity_type``, ``entity_id``, ``slice``, ``cluster_id`` and ``anomaly_score``
    nearest : the same of others, and ``distance`` in the space of the model of all, standard units
    slice_peers : others of its slice
    """

    event_date: date
    entity: Mapping[str, Any]
    nearest: Sequence[Mapping[str, Any]]
    slice_peers: int

    @property
    def verdict(self) -> str:
        """Whether the nearest are of the entity's own slice, in words.

        Of as many as there are peers of it: a fifth proxy can't be near where there are four.
        """
        if not self.nearest:
            return "nobody else of its type was there that night"
        judged = self.nearest[: max(self.slice_peers, 1)]
        [(usual, count), *_] = Counter(str(row["slice"]) for row in judged).most_common(1)
        own = str(self.entity["slice"])
        told = f"{count} of the {len(judged)} nearest are {usual}"
        if usual == own:
            return f"{told}, as it is"
        if 2 * count > len(judged):
            return f"{told}; it is {own}: it behaves like others than it is counted among"
        return f"no slice has most of the {len(judged)} nearest; it is {own}"


def nearest_peers(
    reader: Reader,
    entity_id: str,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    top: int = 10,
) -> Peers:
    """The entities of the same type whose night was most alike.

    Alike is near in the space of the type's model of all slices: features scaled on the past, on
    the axes that the model keeps.

    Raises
    ------
    DataError
        If there is no such entity on that night, or no model has scored its type.
    """
    night = find_night(reader, event_date)
    known = KnownEntities.of(reader, [night], [entity_id])
    kind, name = known.resolve(entity_id, entity_type)
    version = night.model_versions.get(kind)
    if version is None:
        raise DataError(f"no model served {kind} on {night.event_date}: nobody has a place")
    model = load_global(reader, version_served(kind, version))
    places = night_places(reader, night, model)
    names, slices = places.names, places.slices
    here = names.index(name)
    distance = np.linalg.norm(places.coordinates - places.coordinates[here], axis=1)
    order = [int(i) for i in np.lexsort((names, distance)) if i != here][:top]
    scores = _scores_of(reader, night, kind, [names[i] for i in (here, *order)])

    def told(place: int) -> dict[str, Any]:
        return {
            "entity_type": kind,
            "entity_id": names[place],
            "slice": slices[place],
            **scores.get(names[place], dict.fromkeys(_SCORED)),
        }

    nearest = [told(place) | {"distance": float(distance[place])} for place in order]
    return Peers(night.event_date, told(here), nearest, slices.count(slices[here]) - 1)


def _scores_of(
    reader: Reader, night: Night, kind: str, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found = fetch_published(
        reader,
        ENTITY_SCORES,
        [night],
        ["entity_id", *_SCORED],
        entity_type=[kind],
        entity_id=names,
    )
    return {row.pop("entity_id"): row for row in rows_of(found)}
