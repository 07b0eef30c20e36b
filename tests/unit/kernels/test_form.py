"""The form of a fit: as configured, or chosen for what the configuration leaves open."""

import numpy as np
import pytest
from tests.unit.kernels.test_peer_fit import fit, hosts, two_shoals

from shoal.kernels.form import _days_of_each

OPEN = {"n_components": None, "covariance_type": None, "n_clusters": None}


def test_what_is_open_is_chosen_and_what_is_configured_stays():
    values, groups = two_shoals(120, 5, seed=0)
    fitted = fit(values, groups, **OPEN)
    assert fitted.form.n_components == 2
    assert fitted.form.n_clusters == 2
    chosen = [verdict for verdict in fitted.selection.mixtures if verdict.is_chosen]
    assert [v.covariance_type for v in chosen] == [fitted.form.covariance_type]
    assert fitted.geometry.mixture.n_components == 2
    assert fitted.geometry.mixture.covariance_type == fitted.form.covariance_type
    partly = fit(values, groups, **OPEN | {"covariance_type": "diag", "n_clusters": 3})
    assert partly.form.covariance_type == "diag"
    assert partly.form.n_clusters == 3
    assert {verdict.covariance_type for verdict in partly.selection.mixtures} == {"diag"}
    assert partly.selection.clusters == []
    assert not fit(values, groups, n_components=2).selection.mixtures


def test_ten_entities_have_one_spherical_gaussian():
    values, groups = two_shoals(10, 5, seed=1)
    fitted = fit(values, groups, **OPEN)
    assert (fitted.form.n_components, fitted.form.covariance_type) == (1, "spherical")
    assert fitted.form.n_clusters == 1


@pytest.mark.parametrize("max_rows", [10, 25, 60, 1000])
def test_few_days_of_all_entities_rather_than_all_days_of_few(max_rows):
    groups = np.repeat(hosts(10), 10)[np.random.default_rng(0).permutation(100)]
    drawn = _days_of_each(groups, max_rows)
    assert len(drawn) <= max(max_rows, 10)
    assert (np.diff(drawn) > 0).all()
    _, counts = np.unique(groups[drawn], return_counts=True)
    assert len(counts) == 10
    assert counts.max() - counts.min() == 0
