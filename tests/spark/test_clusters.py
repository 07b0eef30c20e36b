"""Clusters held against labels, on published nights."""

import shutil
from datetime import date
from pathlib import Path

import pytest
from tests.support.nights import settings_for

from shoal.contracts import ENTITY_LABELS, ENTITY_SCORES
from shoal.errors import DataError
from shoal.lake import published_nights
from shoal.pipelines.clusters import compare_clusters
from shoal.pipelines.context import Context, open_context
from shoal.spark.nights import read_published


@pytest.fixture
def scored(windows_nights: Context) -> tuple[date, str, dict[str, str]]:
    """The night and entity type with most scores, and the cluster of each of its entities."""
    nights = published_nights(windows_nights.warehouse)
    scores = read_published(windows_nights.warehouse, ENTITY_SCORES, nights)
    rows = scores.select("event_date", "entity_type", "entity_id", "cluster_id").toPandas()
    groups = rows.groupby(["event_date", "entity_type"])
    (day, entity_type), own = max(groups, key=lambda item: len(item[1]))
    return day, entity_type, dict(zip(own["entity_id"], own["cluster_id"].astype(str), strict=True))


def test_labels_that_are_the_clusters_agree_whole(
    windows_nights: Context, scored: tuple[date, str, dict[str, str]], tmp_path: Path
) -> None:
    day, entity_type, clusters = scored
    path = tmp_path / "warehouse"
    shutil.copytree(windows_nights.settings.storage.path or "", path)
    context = open_context(windows_nights.spark, settings_for(path))
    rows = [
        {"entity_type": entity_type, "entity_id": name, "label": "role", "value": cluster}
        for name, cluster in clusters.items()
    ]
    context.warehouse.append(context.warehouse.frame(ENTITY_LABELS, rows), ENTITY_LABELS)
    tables = compare_clusters(context, day, entity_type=entity_type, label="role", last=1)
    [agreement] = tables["Clusters against labels"].to_dict("records")
    assert agreement["entities"] == len(clusters) > 1
    assert agreement["adjusted_rand"] == agreement["adjusted_mutual_info"] == 1.0
    assert (tables["Labels"]["homogeneity"] == 1.0).all()
    assert tables["Labelled so, and behave otherwise"].empty
    with pytest.raises(DataError, match=r"'rle'; did you mean 'role'\?; labels .*: role"):
        compare_clusters(context, day, entity_type=entity_type, label="rle", last=1)
