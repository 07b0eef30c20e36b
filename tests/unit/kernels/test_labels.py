"""Clusters held against labels."""

import numpy as np
import pytest

from shoal.kernels.labels import compare_with_labels


def test_the_same_grouping_under_other_names_agrees_whole() -> None:
    found = compare_with_labels(["a", "b", "c", "d"], [7, 7, 3, 3], ["web", "web", "db", "db"])
    assert (found.adjusted_rand, found.adjusted_mutual_info) == (1.0, 1.0)
    assert (found.homogeneity, found.completeness) == pytest.approx((1.0, 1.0))
    assert [(fit.label, fit.cluster_id, fit.completeness) for fit in found.labels] == [
        ("db", 3, 1.0),
        ("web", 7, 1.0),
    ]
    assert found.misfits == ()


def test_who_behaves_like_another_label_is_named() -> None:
    names = [f"web-{i}" for i in range(9)] + [f"build-{i}" for i in range(10)] + ["web-odd"]
    clusters = [0] * 9 + [1] * 10 + [1]
    labels = ["web"] * 9 + ["build"] * 10 + ["web"]
    found = compare_with_labels(names, clusters, labels)
    [odd] = found.misfits
    assert (odd.entity_id, odd.label, odd.behaves_like) == ("web-odd", "web", "build")
    assert odd.share == pytest.approx(10 / 11)
    fits = {fit.label: fit for fit in found.labels}
    assert (fits["web"].completeness, fits["web"].homogeneity) == (0.9, 1.0)
    assert (fits["build"].completeness, fits["build"].homogeneity) == (1.0, pytest.approx(10 / 11))


def test_a_cluster_that_no_label_leads_names_nobody() -> None:
    found = compare_with_labels(["a", "b", "c", "d"], [0, 0, 0, 0], ["w", "w", "x", "y"])
    assert found.misfits == ()


def test_labels_by_chance_agree_with_nothing() -> None:
    rng = np.random.default_rng(0)
    names = [str(i) for i in range(2000)]
    labels = rng.choice(["a", "b", "c"], 2000).tolist()
    found = compare_with_labels(names, rng.integers(4, size=2000).tolist(), labels)
    assert abs(found.adjusted_rand) < 0.01
    assert abs(found.adjusted_mutual_info) < 0.01
