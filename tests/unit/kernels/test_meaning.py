"""Components told in features."""

import numpy as np

from shoal.kernels.centroids import fit_kmeans
from shoal.kernels.meaning import loadings, traits
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.peer_model import PeerGeometry
from shoal.kernels.preparation import fit_preparation

NAMES = ("bytes", "packets", "hours", "ports")


def geometry() -> PeerGeometry:
    """Bytes and packets say the same; a fifth of the rows have many ports."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=500)
    ports = np.where(np.arange(500) % 5 == 0, 60.0, 10.0) + rng.normal(size=500)
    noise = 0.05 * rng.normal(size=500)
    values = np.column_stack([100 + 9 * size, 7 * size + noise, rng.normal(size=500), ports])
    preparation = fit_preparation(values, feature_names=NAMES, is_count=[False] * 4)
    rows = preparation.project_winsorized(values, 8.0)
    mixture = fit_mixture(rows, n_components=2).mixture
    centers = fit_kmeans(rows, n_clusters=2)
    return PeerGeometry.fitted(preparation, mixture, centers, preparation.standardize(values))


def test_loadings_name_the_features_behind_a_component():
    found = loadings(geometry(), top=2)
    by_component = {}
    for item in found:
        by_component.setdefault(item.component, {})[item.feature] = item.loading
    both = [own for own in by_component.values() if set(own) == {"bytes", "packets"}]
    assert len(both) == 1
    np.testing.assert_allclose(list(both[0].values()), np.sqrt(0.5), atol=0.02)
    assert all(abs(item.loading) >= 0.1 for item in found)


def test_traits_say_where_a_component_lies_in_its_own_units():
    found = traits(geometry(), top=1)
    assert [item.component for item in found] == [0, 1]
    small = min(found, key=lambda item: item.weight)
    assert (small.feature, round(small.weight, 1)) == ("ports", 0.2)
    assert abs(small.value - 60.0) < 1.0
    assert small.deviation > 3.0
