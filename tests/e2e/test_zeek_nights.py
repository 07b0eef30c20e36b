"""Whole nights over three real days of Zeek.

The settings are the defaults: nothing here is made for these logs but where they lie. Beside the
nights in processes of their own, so that the two processes that share the tests end at about the
same time.
"""

from collections import Counter
from datetime import date
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from scipy.stats import wasserstein_distance
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score
from tests.support.nights import run_nights, zeek_settings

from shoal.contracts import (
    DRIFT_ALERT_RATE,
    DRIFT_CLUSTERS,
    DRIFT_FEATURES,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    INGEST_FILES,
    MODELS,
    OUTLIERS,
    Table,
)
from shoal.contracts.events import EVENT_TABLES
from shoal.kernels.profiles import ProfileAxes, Profiles
from shoal.pipelines.context import Context

BEACON = "73.54.23.243"
DAYS = (date(2024, 4, 19), date(2024, 4, 20), date(2024, 4, 21))
RECORDS = {"conn": 105_918, "dns": 5_432, "http": 18_829, "ssl": 139, "ssh": 17_299}
"""By log, as counted in the raw files."""
TABLES = {"conn": "network", "dns": "dns", "http": "web", "ssl": "tls", "ssh": "auth"}


@pytest.fixture(scope="module")
def zeek_nights(
    spark: SparkSession,
    empty_tables: Path,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Context:
    """The three days ingested, scored and published."""
    settings = zeek_settings(tmp_path_factory.mktemp("zeek") / "w", shared_data / "zeek_rita")
    return run_nights(spark, empty_tables, settings, DAYS[0], DAYS[-1])


def test_every_record_is_an_event(zeek_nights: Context) -> None:
    warehouse = zeek_nights.warehouse
    events = {log: warehouse.read(EVENT_TABLES[kind]).count() for log, kind in TABLES.items()}
    assert events == RECORDS
    files = warehouse.read(INGEST_FILES).collect()
    read = Counter[str]()
    for row in files:
        read[PurePath(row.source_file).name.partition(".")[0]] += row.read_count
        parts = (row.event_count, row.duplicate_count, row.ignored_count, row.quarantined_count)
        assert row.read_count == sum(parts), row.source_file
    assert read == RECORDS


@pytest.mark.parametrize("day", DAYS[1:])
def test_the_beacon_is_in_the_top_20_of_its_day(zeek_nights: Context, day: date) -> None:
    """And what leads there is that it calls home over HTTP, as of few others."""
    listed = zeek_nights.warehouse.read_days(OUTLIERS, day, day).orderBy("rank").collect()
    rank = {row["entity_id"]: row["rank"] for row in listed}
    assert BEACON in rank
    assert rank[BEACON] <= 20
    leading = {row["entity_id"]: row["reasons"][0]["feature"] for row in listed}
    regular = [entity for entity in rank if leading[entity] == "web_beacon_regularity_max"]
    assert BEACON in regular[:3]


def table_of(context: Context, table: Table) -> pd.DataFrame:
    return context.warehouse.read(table).toPandas()


def test_the_rate_of_alarms_is_that_of_the_scores(zeek_nights: Context) -> None:
    scores, rates = (table_of(zeek_nights, t) for t in (ENTITY_SCORES, DRIFT_ALERT_RATE))
    assert set(rates["slice"]) > {"*"}
    assert len(rates) > len(set(rates["event_date"]))
    for row in rates.itertuples():
        own = scores[scores["event_date"] == row.event_date]
        own = own if row.slice == "*" else own[own["slice"] == row.slice]
        assert row.scored == len(own)
        assert row.alert_rate == pytest.approx((own["p_value"] <= 0.05).mean())
        assert row.p01_rate == pytest.approx((own["p_value"] <= 0.01).mean())
        assert row.log_likelihood == pytest.approx(own["log_density"].mean())
        assert row.responsibility_entropy == pytest.approx(own["responsibility_entropy"].mean())
        # Three nights are too few to say more.
        assert row.status == "insufficient_data"


def test_the_drift_of_features_is_that_of_their_values(zeek_nights: Context) -> None:
    features, drifts = (table_of(zeek_nights, t) for t in (ENTITY_FEATURES, DRIFT_FEATURES))
    of_all = drifts[(drifts["slice"] == "*") & (drifts["comparison"] == "previous_night")]
    assert len(of_all) > 60
    for row in of_all.itertuples():
        nights = [
            features.loc[features["event_date"] == day, row.feature].to_numpy(dtype=float)
            for day in (row.reference_date, row.event_date)
        ]
        assert (row.reference_entities, row.analysis_entities) == tuple(map(len, nights))
        shares = [np.isnan(values).mean() for values in nights]
        assert (row.reference_missing_share, row.missing_share) == pytest.approx(shares)
        before, now = (values[np.isfinite(values)] for values in nights)
        # Bins are an eighth of an octave wide: a value is told to 4.5 percent.
        width = 0.045 * (np.abs(before).mean() + np.abs(now).mean())
        exact = wasserstein_distance(before, now)
        assert row.wasserstein == pytest.approx(exact, abs=width), row.feature
        assert row.status == "insufficient_data"


def test_the_drift_of_clusters_is_that_of_kmeans_on_the_features(zeek_nights: Context) -> None:
    features, drifts = (table_of(zeek_nights, t) for t in (ENTITY_FEATURES, DRIFT_CLUSTERS))
    stored = zeek_nights.warehouse.read(MODELS).where(F.col("slice") == "*").collect()
    models = {row["model_version"]: row.asDict(recursive=True) for row in stored}
    found = drifts[(drifts["shape"] == "overall") & drifts["adjusted_rand"].notna()]
    assert set(found["comparison"]) == {"previous_night"}
    assert set(found["event_date"]) == set(DAYS[1:])
    min_events = zeek_nights.settings.score.min_events
    for row in found.itertuples():
        model = models[row.model_version]
        labels = []
        for day in (row.reference_date, row.event_date):
            own = features[
                (features["event_date"] == day) & (features["event_count"] >= min_events)
            ]
            rows = prepared(own, model, zeek_nights.settings.fit.winsorize_sd)
            start = np.asarray(model["centers"])
            used = np.unique(((rows[:, None] - start) ** 2).sum(axis=2).argmin(axis=1))
            fitted = KMeans(len(used), init=start[used], n_init=1, max_iter=100).fit(
                rows[np.argsort(own["entity_id"].to_numpy())]
            )
            labels.append(pd.Series(fitted.predict(rows), index=own["entity_id"]))
        both = labels[0].index.intersection(labels[1].index)
        assert (row.entities_both, row.entities_reference_only, row.entities_analysis_only) == (
            len(both), len(labels[0]) - len(both), len(labels[1]) - len(both),
        )  # fmt: skip
        before, now = (own[both] for own in labels)
        assert row.adjusted_rand == pytest.approx(adjusted_rand_score(before, now))
        assert row.adjusted_mutual_information == pytest.approx(
            adjusted_mutual_info_score(before, now), abs=1e-6
        )


def prepared(rows: pd.DataFrame, model: dict[str, Any], winsorize_sd: float) -> np.ndarray:
    """Rows in the space of a model, by what `models` says of it."""
    axes = np.asarray(model["profile_axes"])
    names = model["feature_names"][: len(model["feature_names"]) - len(axes) - 1]
    profiles = ProfileAxes(tuple(model["profile_terms"]), tuple(model["profile_kinds"]), axes)
    terms, counts = (
        [None if own is None else [pair[name] for pair in own] for own in rows["profile"]]
        for name in ("term", "count")
    )
    native = np.hstack(
        [rows[names].to_numpy(dtype=float), profiles.coordinates(Profiles.of(terms, counts))]
    )
    logged = np.where(model["is_logged"], np.sign(native) * np.log1p(np.abs(native)), native)
    standard = (logged - np.asarray(model["center"])) / np.asarray(model["scale"])
    held = np.clip(np.nan_to_num(standard), -winsorize_sd, winsorize_sd)
    return (held - np.asarray(model["pca_mean"])) @ np.asarray(model["pca_components"]).T
