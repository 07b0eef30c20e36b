"""A night made step by step, and what keeps steps of different inputs apart."""

import shutil
from pathlib import Path

import pytest
from tests.spark.conftest import WINDOWS_NIGHTS, WINDOWS_SECTIONS
from tests.support.nights import settings_for

from shoal.contracts import (
    DRIFT_CLUSTERS,
    ENTITY_FEATURES,
    ENTITY_LABELS,
    ENTITY_SCORES,
    MODEL_STATUS,
    UNSCORED,
    Table,
)
from shoal.errors import DataError, TryAgainError
from shoal.lake import published_nights
from shoal.pipelines.context import Context, open_context
from shoal.pipelines.drift import drift
from shoal.pipelines.features import build_features
from shoal.pipelines.fit import fit
from shoal.pipelines.nightly import publish
from shoal.pipelines.plan import faults_of_inputs, plan_night
from shoal.pipelines.score import score
from shoal.pipelines.span import span_of_night
from shoal.spark.nights import hide_nights

FIRST, LAST = WINDOWS_NIGHTS


def opened(nights: Context, path: Path, **fit: int) -> Context:
    """The nights' configuration with other settings of the fit, on a warehouse in ``path``."""
    sources = [source.model_dump() for source in nights.settings.sources]
    sections = {**WINDOWS_SECTIONS, "fit": {**WINDOWS_SECTIONS["fit"], **fit}}
    return open_context(nights.spark, settings_for(path, sources=sources, **sections))


@pytest.fixture(scope="module")
def finished(windows_nights: Context, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """The finished nights, copied so that these tests may change them."""
    path = tmp_path_factory.mktemp("steps") / "warehouse"
    shutil.copytree(Path(windows_nights.warehouse.path or ""), path)
    return opened(windows_nights, path)


def add_label(context: Context, value: str) -> None:
    """Change the inputs of every night from FIRST on."""
    row = {"entity_type": "host", "entity_id": "a", "label": "role", "value": value}
    values = [tuple(row.get(name) for name in ENTITY_LABELS.column_names)]
    frame = context.spark.createDataFrame(values, ENTITY_LABELS.schema)
    context.warehouse.append(frame, ENTITY_LABELS)


def promoted(context: Context) -> list[str]:
    rows = context.warehouse.read(MODEL_STATUS).where("status = 'promoted'").collect()
    return sorted(row["model_version"] for row in rows)


@pytest.mark.parametrize(
    ("emptied", "missing"),
    [
        ((DRIFT_CLUSTERS,), "drift"),
        ((ENTITY_SCORES, UNSCORED, DRIFT_CLUSTERS), "score, drift"),
        ((ENTITY_FEATURES, ENTITY_SCORES, UNSCORED, DRIFT_CLUSTERS), "features, drift"),
    ],
)
def test_a_night_that_lacks_a_step_is_not_published(
    finished: Context, emptied: tuple[Table, ...], missing: str
) -> None:
    before = finished.warehouse.versions(emptied)
    for table in emptied:
        finished.warehouse.delete_where(table, f"event_date = DATE '{LAST}'")
    with pytest.raises(DataError, match=rf"{LAST} is not whole: .*\(missing: {missing}\)"):
        publish(finished, span_of_night(finished, LAST))
    for table in emptied:
        finished.spark.sql(
            f"RESTORE {finished.warehouse.identifier(table)} TO VERSION AS OF {before[table.name]}"
        )


def test_steps_after_a_forced_fit_make_a_whole_night_of_its_model(finished: Context) -> None:
    before = promoted(finished)
    changed = opened(finished, Path(finished.warehouse.path or ""), n_components=3)
    fit(changed, span_of_night(changed, LAST), only_due=True)
    assert promoted(changed) == before
    fit(changed, span_of_night(changed, LAST))
    forced = sorted(set(promoted(changed)) - set(before))
    # The hosts of so few nights are too few for a model.
    assert [version.rpartition("-")[0] for version in forced] == [f"user-{LAST:%Y%m%d}"]
    with pytest.raises(DataError, match="were not written from the inputs as they are now"):
        publish(changed, span_of_night(changed, LAST))
    with pytest.raises(DataError, match=f"run `shoal features --date {LAST}` first"):
        score(changed, span_of_night(changed, LAST))
    build_features(changed, span_of_night(changed, LAST))
    assert [night.event_date for night in published_nights(changed.warehouse)][-1] < LAST
    with pytest.raises(DataError, match=r"entity_scores.* were not written from the inputs"):
        publish(changed, span_of_night(changed, LAST))
    score(changed, span_of_night(changed, LAST))
    drift(changed, span_of_night(changed, LAST))
    span = publish(changed, span_of_night(changed, LAST))
    night = published_nights(changed.warehouse)[-1]
    assert (night.event_date, night.run_id) == (LAST, span.run_ids[LAST])
    assert sorted(night.model_versions.values()) == forced


def test_inputs_that_change_while_a_night_runs_are_a_reason_to_try_again(
    finished: Context,
) -> None:
    span = span_of_night(finished, LAST)
    add_label(finished, "changed")
    with pytest.raises(TryAgainError, match="run the same command again"):
        publish(finished, span)


def test_a_night_says_which_earlier_nights_it_had_to_do_without(finished: Context) -> None:
    assert faults_of_inputs(plan_night(finished, LAST)) == []
    hide_nights(finished.warehouse, {FIRST: "somebody-elses"})
    faults = faults_of_inputs(plan_night(finished, LAST))
    assert faults == [f"{LAST}: earlier nights without publication: {FIRST}"]
