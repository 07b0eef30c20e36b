"""What Spark scores with a stored model is what scikit-learn says of its own."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.mixture import GaussianMixture
from tests.support.fits import FIT_SETTINGS, stored_model

from shoal.kernels.gaussians import COVARIANCE_TYPES, Mixture
from shoal.kernels.peer_fit import build_references, cross_fit_scores, fit_sample
from shoal.kernels.peer_model import PeerGeometry, WeekReferences
from shoal.kernels.preparation import Preparation
from shoal.models.peer_models import PeerModels, peer_model
from shoal.models.scoring import judge_entities

NIGHT = date(2026, 3, 5)
NAMES = ("a", "b", "c", "d")
RNG = np.random.default_rng(3)
ROWS = np.vstack([RNG.normal(center, 1.0, (150, 4)) for center in (-4.0, 0.0, 5.0)])


def judged(
    spark: SparkSession, entity_types: Sequence[str], rows: np.ndarray, models: PeerModels
) -> pd.DataFrame:
    """The rows as entities of each type, judged in Spark, in their order."""
    frame = spark.createDataFrame(
        [
            (NIGHT, kind, f"e{number:04d}", "*", 9, row.tolist(), None)
            for kind in entity_types
            for number, row in enumerate(rows)
        ],
        "event_date date, entity_type string, entity_id string, slice string, "
        "event_count bigint, features array<double>, bad_feature string",
    ).repartition(3)
    scores = judge_entities(frame, {NIGHT: models}, min_events=1).toPandas()
    assert scores["reason"].isna().all()
    return scores.sort_values(["entity_type", "entity_id"])


@pytest.fixture(scope="module")
def fitted() -> tuple[PeerGeometry, WeekReferences]:
    """A model of three shoals and of a feature that never moved."""
    values = np.column_stack([ROWS, np.full(len(ROWS), 7.0)])
    groups = np.asarray([f"host-{number}" for number in range(len(values))])
    found = fit_sample(
        values,
        groups,
        feature_names=(*NAMES, "constant"),
        is_count=np.zeros(5, dtype=bool),
        settings=FIT_SETTINGS,
    )
    of_all = build_references(cross_fit_scores(values, groups, found.cross_fit))
    return found.geometry, WeekReferences(of_all, of_all)


def test_densities_are_scikit_learns_for_all_covariances(
    spark: SparkSession, fitted: tuple[PeerGeometry, WeekReferences]
) -> None:
    plain = Preparation(
        NAMES, np.zeros(4, bool), np.zeros(4), np.ones(4), np.zeros(4), np.eye(4), np.ones(4), 0
    )
    far = np.vstack([ROWS, ROWS[:3] + np.array([[15.0], [30.0], [300.0]])])
    theirs, models = {}, []
    for kind in COVARIANCE_TYPES:
        for k in (1, 2, 8):
            estimator = GaussianMixture(k, covariance_type=kind, random_state=0).fit(ROWS)
            name = f"{kind}_{k}"
            theirs[name] = estimator.score_samples(far)
            mixture = Mixture(
                estimator.weights_, estimator.means_, estimator.covariances_, covariance_type=kind
            )
            geometry = PeerGeometry(plain, mixture, mixture.means, np.ones(len(plain.center)))
            models.append(stored_model(geometry, fitted[1], entity_type=name))
    names = sorted(theirs)
    found = judged(spark, names, far, PeerModels.of([peer_model(row) for row in models]))
    assert len(found) == 12 * len(far)
    np.testing.assert_allclose(
        found["log_density"], np.concatenate([theirs[name] for name in names]), rtol=1e-8
    )


def test_the_further_away_the_stranger_and_a_constant_that_moves_the_strangest(
    spark: SparkSession, fitted: tuple[PeerGeometry, WeekReferences]
) -> None:
    usual = np.append(ROWS[:200].mean(axis=0), 7.0)
    away = [usual + np.append(np.full(4, sd), 0.0) for sd in (15.0, 30.0, 300.0)]
    moved = [usual + np.append(np.zeros(4), 1e6)]
    rows = np.vstack([np.column_stack([ROWS, np.full(len(ROWS), 7.0)]), *away, *moved])
    found = judged(spark, ["host"], rows, PeerModels.of([peer_model(stored_model(*fitted))]))
    # Stored scores may be equal where a p-value ends; the list goes by the score.
    order = np.argsort(-found["anomaly_score"].to_numpy(), kind="stable")[:4]
    assert order.tolist() == [len(ROWS) + 3, len(ROWS) + 2, len(ROWS) + 1, len(ROWS)]
