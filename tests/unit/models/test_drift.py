"""Cluster drift without Spark: nights on which a type is missing, the labels of a batch."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from shoal.models import drift
from shoal.models.drift import OVERALL, Comparison, DriftSettings, compare_nights, label_batch

NIGHTS = {"reference": date(2026, 1, 1), "analysis": date(2026, 1, 2)}
SETTINGS = DriftSettings(min_entities=20, winsorize_sd=8.0, sample_rows=1000)


class Preparation:
    """Native rows are prepared rows."""

    def project_winsorized(self, values, winsorize_sd):
        return values


MODEL = SimpleNamespace(
    entity_type="host",
    model_version="host-1",
    geometry=SimpleNamespace(preparation=Preparation(), centers=np.zeros((1, 2))),
)


@pytest.mark.parametrize(
    ("n_reference", "n_analysis", "missing"),
    [(0, 3, "reference"), (0, 0, "reference"), (3, 0, "analysis")],
)
def test_a_night_without_the_type_is_insufficient_data(
    monkeypatch, n_reference, n_analysis, missing
):
    sizes = {NIGHTS["reference"]: n_reference, NIGHTS["analysis"]: n_analysis}
    known = {("host-1", night): np.zeros((1, 2)) for night, n in sizes.items() if n}
    monkeypatch.setattr(drift, "_fit_centers", lambda *_: known)
    comparison = Comparison(7, *NIGHTS.values(), MODEL)
    assert compare_nights(None, [comparison], SETTINGS) == {
        7: [
            {
                "entity_type": "host",
                "model_version": "host-1",
                "reference_cluster_id": OVERALL,
                "status": "insufficient_data",
                "detail": f"no entity of this type on the {missing} night",
            }
        ]
    }


def test_each_night_of_a_batch_is_labelled_by_its_own_centres():
    centers = {
        ("host-1", NIGHTS["reference"]): np.array([[0.0], [10.0]]),
        ("host-1", NIGHTS["analysis"]): np.array([[10.0], [0.0]]),
        ("host-2", NIGHTS["analysis"]): np.array([[0.0, 0.0], [3.0, 3.0]]),
    }
    clusterings = {
        night: SimpleNamespace(preparation=Preparation(), centers=own)
        for night, own in centers.items()
    }
    rows = [
        ("host-1", NIGHTS["analysis"], "a", [1.0]),
        ("host-1", NIGHTS["reference"], "a", [1.0]),
        ("host-2", NIGHTS["analysis"], "a", [2.0, 4.0]),
        ("host-1", NIGHTS["reference"], "b", [9.0]),
    ]
    batch = pd.DataFrame(rows, columns=["model_version", "event_date", "entity_id", "features"])
    labelled = label_batch(batch, clusterings, 8.0)
    assert list(labelled["cluster"]) == [1, 0, 1, 1]
    assert list(labelled["entity_id"]) == ["a", "a", "a", "b"]
    assert label_batch(batch[:0], clusterings, 8.0).empty


def test_a_nights_centres_start_from_the_models_whatever_the_order_of_its_rows():
    start = SimpleNamespace(preparation=Preparation(), centers=np.array([[1.0], [9.0]]))
    features = [[float(value)] for value in (0, 2, 8, 12)]
    group = pd.DataFrame(
        {
            "model_version": "host-1",
            "event_date": NIGHTS["analysis"],
            "entity_id": list("abcd"),
            "features": features,
        }
    )
    for rows in (group, group.iloc[::-1]):
        [fitted] = drift.fit_group(rows, {"host-1": start}, 8.0).to_dict("records")
        assert fitted["centers"] == [[1.0], [10.0]]
        assert (fitted["model_version"], fitted["event_date"]) == ("host-1", NIGHTS["analysis"])
