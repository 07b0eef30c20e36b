"""The estimator: scikit-learn's contract, what it finds, and what saving keeps."""

import doctest

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from shoal import PeerOutlierDetector
from shoal.errors import ConfigError, DataError
from shoal.kernels import detector as detector_module


@parametrize_with_checks([PeerOutlierDetector(n_clusters=2)])
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def test_the_example_of_its_docstring_is_so():
    ran = doctest.testmod(detector_module)
    assert ran.attempted > 3
    assert ran.failed == 0


@pytest.mark.parametrize("share", [0.01, 0.02, 0.04])
def test_a_tight_cluster_is_still_found(share):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        n_strange = int(2000 * share)
        centers = rng.normal(0.0, 4.0, size=(3, 6))
        usual = centers[rng.integers(0, 3, 2000 - n_strange)] + rng.normal(
            size=(2000 - n_strange, 6)
        )
        strange = rng.normal(6.0, 1.0, size=6) + 0.05 * rng.normal(size=(n_strange, 6))
        rows, is_strange = np.vstack([usual, strange]), np.arange(2000) >= 2000 - n_strange
        scores = PeerOutlierDetector(random_state=seed).fit(rows).score_samples(rows)
        assert roc_auc_score(is_strange, -scores) >= 0.95


def test_what_pca_discards_counts():
    """40 features of rank 8, one off by 8 noise sd: in PCA space nothing is seen (field notes)."""
    areas = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        loading, noise = rng.normal(size=(8, 40)), 0.3
        rows = rng.normal(size=(2000, 8)) @ loading + noise * rng.normal(size=(2000, 40))
        is_strange = np.arange(2000) >= 1960
        rows[is_strange, rng.integers(0, 40, 40)] += 8.0 * noise
        detector = PeerOutlierDetector(explained_variance=0.95).fit(rows)
        assert len(detector.geometries_[0].preparation.pca_components) <= 8
        areas.append(roc_auc_score(is_strange, -detector.score_samples(rows)))
    assert np.mean(areas) >= 0.95
    assert min(areas) >= 0.93


def test_joint_and_marginal_evidence_see_what_the_other_cannot():
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    rows = np.column_stack([x, x + 0.1 * rng.normal(size=2000), rng.normal(size=2000)])
    against_correlation = [[1.5, -1.5, 0.0]]
    joint = PeerOutlierDetector(evidence=("density",)).fit(rows)
    alone = PeerOutlierDetector(evidence=("marginal",)).fit(rows)
    both = PeerOutlierDetector().fit(rows)
    share = [(own.score_samples(rows) < own.score_samples(against_correlation)).mean()
             for own in (joint, alone, both)]  # fmt: skip
    assert share[0] < 0.001
    assert share[1] > 0.2
    assert share[2] < 0.01


def test_far_and_farther_rank_in_that_order_and_a_departure_from_a_constant_ranks_first():
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.normal(size=(500, 3)), np.full(500, 5.0)])
    detector = PeerOutlierDetector().fit(rows)
    asked = np.array([[sd, 0.0, 0.0, 5.0] for sd in (3, 15, 30, 300)] + [[0.0, 0.0, 0.0, 1e6]])
    scores = detector.score_samples(asked)
    assert np.argsort(scores).tolist() == [4, 3, 2, 1, 0]


def test_the_order_of_rows_has_no_say():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(300, 4))
    order = rng.permutation(300)
    one, other = PeerOutlierDetector().fit(rows), PeerOutlierDetector().fit(rows[order])
    np.testing.assert_allclose(one.score_samples(rows), other.score_samples(rows), rtol=1e-9)


def test_a_saved_detector_gives_the_same_scores_and_reasons(tmp_path):
    rng = np.random.default_rng(4)
    rows = pd.DataFrame(rng.normal(size=(200, 3)), columns=["logins", "ports", "=cmd"])
    rows.iloc[7, 1] = np.nan
    detector = PeerOutlierDetector(2, covariance_type="diag", trims=(0.0, 0.2)).fit(rows)
    detector.save(tmp_path / "detector.npz")
    with np.load(tmp_path / "detector.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored)
    again = PeerOutlierDetector.load(tmp_path / "detector.npz")
    np.testing.assert_array_equal(again.score_samples(rows), detector.score_samples(rows))
    assert again.predict(rows).tolist() == detector.predict(rows).tolist()
    assert again.explain(rows[:3]) == detector.explain(rows[:3])
    assert again.get_params() == detector.get_params() | {
        "trims": [0.0, 0.2],
        "evidence": list(detector.evidence),
    }
    assert clone(again).fit(rows).offset_ == pytest.approx(detector.offset_)


def test_what_is_no_saved_detector_is_refused(tmp_path):
    (tmp_path / "none.npz").write_bytes(b"not one")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    for name in ("none.npz", "other.npz", "missing.npz"):
        with pytest.raises(DataError, match=f"{name} is not a detector that was saved"):
            PeerOutlierDetector.load(tmp_path / name)
    generator = PeerOutlierDetector(random_state=np.random.RandomState(0))
    with pytest.raises(ConfigError, match="'random_state' must be an int"):
        generator.fit(np.ones((5, 2))).save(tmp_path / "x.npz")


def test_reasons_name_the_feature_its_value_and_what_was_expected():
    rng = np.random.default_rng(5)
    logins = rng.normal(100.0, 5.0, size=1000)
    rows = pd.DataFrame({"logins": logins, "ports": logins / 10 + 0.1 * rng.normal(size=1000),
                         "hours": rng.normal(8.0, 1.0, size=1000)})  # fmt: skip
    detector = PeerOutlierDetector().fit(rows)
    asked = pd.DataFrame({"logins": [100.0], "ports": [14.0], "hours": [8.0]})
    (reasons,) = detector.explain(asked, top=2)
    assert len(reasons) == 2
    first = reasons[0]
    assert (first.feature, first.value, first.direction) == ("ports", 14.0, "high")
    assert first.expected == pytest.approx(10.0, abs=0.5)
    assert first.contribution > reasons[1].contribution


@pytest.mark.parametrize(
    "rows",
    [
        np.ones((50, 3)),
        np.zeros((2, 1)),
        np.vstack([np.zeros((49, 2)), [[1.0, 1e12]]]),
        np.column_stack([np.full(40, np.nan), np.arange(40.0)]),
        np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0),
    ],
    ids=["constant", "two-rows", "one-wild", "an-unknown-column", "two-points"],
)
def test_degenerate_rows_have_finite_scores(rows):
    detector = PeerOutlierDetector().fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()
    assert set(detector.predict(rows)) <= {-1, 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_components": 0}, "'n_components' must be 1 or more"),
        ({"n_components": "many"}, "'n_components' must be an int or 'auto'"),
        ({"covariance_type": "ful"}, "did you mean 'full'"),
        ({"evidence": ("desity",)}, "'evidence' must name some of density, distance, marginal"),
        ({"trims": ()}, "'trims' must hold one share or more"),
        ({"trims": (0.7,)}, "'trim' must be in"),
        ({"contamination": 0.5}, "'contamination' must be in"),
        ({"max_rows": 1}, "'max_rows' must be 2 or more"),
    ],
)
def test_a_parameter_out_of_range_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        PeerOutlierDetector(**changes).fit(np.random.default_rng(0).normal(size=(30, 2)))
