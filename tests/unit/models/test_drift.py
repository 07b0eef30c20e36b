"""Cluster drift without Spark: nights on which a type is missing."""

import numpy as np
import pandas as pd
import pytest

from shoal.models import drift
from shoal.models.drift import OVERALL, DriftSettings, compare_nights


class Night:
    """A DataFrame of one night that only its sample is read from."""

    def __init__(self, n_entities):
        self.sample = pd.DataFrame(
            {
                "entity_id": [f"host-{i}" for i in range(n_entities)],
                "event_date": "2026-01-01",
                "features": [np.ones(2)] * n_entities,
            }
        )

    def select(self, *names):
        return self


class Model:
    entity_type = "host"
    model_version = "host-1"


@pytest.mark.parametrize(
    ("n_reference", "n_analysis", "missing"),
    [(0, 3, "reference"), (0, 0, "reference"), (3, 0, "analysis")],
)
def test_a_night_without_the_type_is_insufficient_data(
    monkeypatch, n_reference, n_analysis, missing
):
    monkeypatch.setattr(drift, "hash_sample", lambda night, max_rows: night.sample)
    settings = DriftSettings(min_entities=20, winsorize_sd=8.0, sample_rows=1000)
    rows = compare_nights(Night(n_reference), Night(n_analysis), Model(), settings)
    assert rows == [
        {
            "entity_type": "host",
            "model_version": "host-1",
            "reference_cluster_id": OVERALL,
            "status": "insufficient_data",
            "detail": f"no entity of this type on the {missing} night",
        }
    ]
