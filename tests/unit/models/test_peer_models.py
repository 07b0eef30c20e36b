"""Peer models as rows and back; slices that are calibrated on their parent."""

import numpy as np
import pytest
from tests.support.fits import stored_model

from shoal.errors import DataError
from shoal.kernels.calibration import fit_tail
from shoal.kernels.gaussians import Mixture
from shoal.kernels.mixture import fit_mixture
from shoal.kernels.peer_model import PeerGeometry, References, Standard, WeekReferences
from shoal.kernels.preparation import fit_preparation
from shoal.kernels.profiles import ProfileAxes, Profiles
from shoal.models.peer_models import (
    WEEKEND_COLUMNS,
    PeerModels,
    geometry_columns,
    peer_model,
    profile_columns,
    reference_columns,
)

RNG = np.random.default_rng(0)
VALUES = np.column_stack([RNG.normal(size=(200, 3)), RNG.normal(size=(200, 3)), np.ones(200)])


def geometry():
    preparation = fit_preparation(
        VALUES, feature_names=[f"f{i}" for i in range(7)], explained_variance=0.5
    )
    q = len(preparation.pca_components)
    mixture = Mixture(np.array([0.7, 0.3]), RNG.normal(size=(2, q)), np.ones(2), "spherical")
    return PeerGeometry(preparation, mixture, mixture.means, np.ones(len(preparation.center)))


def references():
    weekday, weekend = (
        References(*(fit_tail(RNG.normal(size=50)) for _ in range(3))) for _ in "ab"
    )
    return WeekReferences(weekday, weekend)


def row(slice_name, calibration, found, standard=None):
    return stored_model(
        geometry(), found, slice_name=slice_name, calibration=calibration, standard=standard
    )


def test_a_row_scores_as_the_model_it_was_made_of():
    made, found = geometry(), references()
    model = peer_model(row("*", "own", found) | geometry_columns(made))
    again, once = model.geometry.measure(VALUES), made.measure(VALUES)
    np.testing.assert_allclose(again.log_density, once.log_density, rtol=1e-12)
    for is_weekend, used in ((False, found.weekday), (True, found.weekend)):
        log_p, _ = model.log_p(again.log_density, again.departure, is_weekend=is_weekend)
        expected, _ = used.log_p(once.log_density, once.departure)
        np.testing.assert_allclose(log_p, expected)


def test_weekends_that_are_not_told_from_weekdays_are_stored_once():
    of_all = references().weekday
    stored = row("*", "own", WeekReferences(of_all, of_all))
    assert len(stored["reference_density"]) == 50
    assert [stored[name] for name in WEEKEND_COLUMNS] == [[], [], []]
    again = peer_model(stored).references
    assert again.weekend is again.weekday


def test_a_slice_calibrated_on_its_parent_stores_no_references_and_uses_the_parents():
    small = row("role=dc", "parent", None)
    assert [small[name] for name in reference_columns(None)] == [[]] * 6
    rows = [small, row("*", "own", references()), row("role=web", "own", references())]
    models = PeerModels.of([peer_model(r) for r in rows])
    whole = models.find("host", "*")
    assert models.find("host", "role=dc").references is whole.references
    assert models.find("host", "role=web").references is not whole.references
    assert models.find("host", "role=new") is whole
    assert models.find("user", "role=dc") is None


def test_a_small_slice_is_measured_by_its_own_standard_before_it_is_compared():
    whole, standard = references(), Standard(-20.0, 4.0, 3.0, 0.5)
    rows = [row("role=dc", "parent", None, standard), row("*", "own", whole)]
    model = PeerModels.of([peer_model(r) for r in rows]).find("host", "role=dc")
    log_p, _ = model.log_p(np.array([-22.0, -30.0]), np.array([3.0, 4.0]), is_weekend=False)
    expected, _ = whole.weekday.log_p(np.array([-0.5, -2.5]), np.array([0.0, 2.0]))
    np.testing.assert_allclose(log_p, expected)


def test_a_slice_without_its_parent_says_what_is_missing():
    models = PeerModels.of([peer_model(row("role=dc", "parent", None))])
    with pytest.raises(DataError, match="slice role=dc: it is calibrated on the row of slice"):
        _ = models.find("host", "role=dc").references


def test_the_axes_of_profiles_are_stored_once_and_each_model_has_its_own():
    axes = ProfileAxes(("port=443", "program=sh"), ("port", "program"), np.eye(4)[:2])
    preparation = fit_preparation(VALUES, feature_names=["a", "b", "c", "d", *axes.names])
    mixture = fit_mixture(preparation.project(preparation.standardize(VALUES)), n_components=1)
    made = PeerGeometry(
        preparation, mixture.mixture, mixture.mixture.means, np.ones(len(preparation.center))
    )
    whole = stored_model(made, references(), profile=axes)
    models = PeerModels.of(
        [
            peer_model(whole),
            peer_model(stored_model(made, None, slice_name="web", calibration="parent")),
        ]
    )
    for name in ("*", "web"):
        model = models.find("host", name)
        assert (model.n_profile, model.profile.terms) == (3, axes.terms)
        np.testing.assert_array_equal(model.profile.components, axes.components)
    profiles = Profiles.of([["program=sh", "program=ls"], None], [[1, 3], None])
    # Columns by name, coordinates by its own axes, whatever the other's are called.
    found = model.reorder(np.ones((2, 3)), ["c", "profile_1", "profile_rest"], profiles)
    np.testing.assert_array_equal(found[:, :4], [[np.nan, np.nan, 1.0, np.nan]] * 2)
    np.testing.assert_allclose(found[0, 4:], [0.0, 0.5, np.sqrt(0.75)])
    assert np.isnan(found[1, 4:]).all()


def test_a_model_from_before_there_were_profiles_has_none():
    old = row("*", "own", references()) | dict.fromkeys(profile_columns(None))
    assert peer_model(old).profile is None
