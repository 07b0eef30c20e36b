"""What the components of a model mean, in the features that people know."""

from dataclasses import dataclass

import numpy as np

from shoal.kernels.peer_model import PeerGeometry

SMALLEST_LOADING = 0.1
"""Loading below which a feature has no say in a principal component."""


@dataclass(frozen=True)
class Loading:
    """A feature's part in a principal component.

    Attributes
    ----------
    loading : cosine of the angle between the feature's axis and the component's, −1 to 1
    """

    component: int
    feature: str
    loading: float


@dataclass(frozen=True)
class Trait:
    """How a component of the mixture differs from the middle of all.

    Attributes
    ----------
    deviation : of the component's mean from the feature's centre, standard units
    value : the same mean in the feature's own units
    """

    component: int
    weight: float
    feature: str
    deviation: float
    value: float


def loadings(geometry: PeerGeometry, *, top: int) -> list[Loading]:
    """The strongest loadings of each principal component, strongest first."""
    preparation = geometry.preparation
    return [
        Loading(number, preparation.feature_names[index], float(axis[index]))
        for number, axis in enumerate(preparation.pca_components)
        for index in np.argsort(-np.abs(axis), kind="stable")[:top]
        if abs(axis[index]) >= SMALLEST_LOADING
    ]


def traits(geometry: PeerGeometry, *, top: int) -> list[Trait]:
    """The features in which each component of the mixture lies furthest out, furthest first."""
    preparation, mixture = geometry.preparation, geometry.mixture
    middles = preparation.pca_mean + mixture.means @ preparation.pca_components
    native = preparation.to_native(middles)
    return [
        Trait(
            number,
            float(mixture.weights[number]),
            preparation.feature_names[index],
            float(middle[index]),
            float(native[number, index]),
        )
        for number, middle in enumerate(middles)
        for index in np.argsort(-np.abs(middle), kind="stable")[:top]
    ]
