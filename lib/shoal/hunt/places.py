"""Where the entities of a night are, in the space of their type's model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.contracts import ENTITY_FEATURES
from shoal.lake import Night, Reader, fetch_published
from shoal.models.peer_models import PeerModel


@dataclass(frozen=True, eq=False)
class Places:
    """Entities of one type on a night.

    Attributes
    ----------
    names, slices : of each
    coordinates : ``(n_entities, n_components)``, features scaled on the past, on the model's axes
    """

    names: Sequence[str]
    slices: Sequence[str]
    coordinates: NDArray[np.float64]


def night_places(reader: Reader, night: Night, model: PeerModel) -> Places:
    """Everybody of a model's entity type on a night."""
    columns = ["entity_id", "slice", *model.stored_columns]
    rows = fetch_published(
        reader, ENTITY_FEATURES, [night], columns, entity_type=[model.entity_type]
    )
    values, _ = model.vectors(rows)
    preparation = model.geometry.preparation
    coordinates = preparation.project(preparation.standardize(values))
    return Places(rows["entity_id"].to_pylist(), rows["slice"].to_pylist(), coordinates)
