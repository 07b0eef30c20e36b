"""Published nights and a file of the truth → how good the lists were."""

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from shoal.contracts import ENTITY_ACTIVITY, ENTITY_FEATURES, ENTITY_SCORES, OUTLIERS, UNSCORED
from shoal.contracts.features import FEATURE_NAMES
from shoal.contracts.scores import BESIDE_LANES
from shoal.errors import DataError
from shoal.lake import Night, require_published
from shoal.models import evaluation as ev
from shoal.models.thresholds import ListPolicy
from shoal.pipelines.context import Context
from shoal.simulate.story import STRENGTHS
from shoal.spark.nights import read_published

RARE_ENTITIES = 2
"""A program or port on so many hosts is rare to the rule that everybody has."""
TRUTH_COLUMNS = ("event_date", "host", "source_address", "kind", "is_planted", "strength", "story")
MAX_ROWS = 3_000_000
"""Entity-days that an evaluation takes to the driver."""


def evaluate(
    context: Context, truth_path: Path, *, last: int, slices_shown: int | None = None
) -> dict[str, pd.DataFrame]:
    """Evaluate the last published nights against the truth; return titled tables.

    Parameters
    ----------
    last : nights, counted back
    slices_shown : of small slices, those whose lines are unlikeliest; all by default

    Raises
    ------
    DataError
        If no night is published, or the truth cannot be read.
    """
    truth = read_truth(truth_path)
    every = require_published(context.warehouse)
    nights = every[-last:]
    truth = truth[truth["event_date"].isin([night.event_date for night in nights])]
    lines = _lines(context, nights)
    capacity = context.settings.outliers.capacity
    methods = {"shoal": lines, **_trivial_lists(context, every, nights, capacity)}
    hits = {name: ev.compare_lists(found, truth) for name, found in methods.items()}
    scores = _scores(context, nights)
    strengths = [s for s in STRENGTHS if (truth["strength"] == s).any()]
    span = f"{len(nights)} nights to {nights[-1].event_date}, {capacity} lines a night"
    stories = ev.stories(hits["shoal"], lines, scores)
    planted = stories["is_planted"]
    stories = stories.drop(columns="is_planted")
    return {
        f"Lists of {span}": ev.method_table(hits, strengths),
        "Planted host-nights on the list": ev.by_kind(hits["shoal"]),
        "Where each intrusion stands": stories[planted],
        "Where what only looks like one stands": stories[~planted].drop(columns="strength"),
        "Use of the list": ev.usefulness(lines),
        "Withheld from the list": _withheld(context, nights),
        "p-values where nothing is planted": ev.calibration(_without(scores, truth)),
        f"Slices under {ev.SMALL_SLICE} entities, by how unlikely their lines are": (
            ev.small_slices(lines, scores)[:slices_shown]
        ),
    }


def _trivial_lists(
    context: Context, every: Sequence[Night], nights: Sequence[Night], capacity: int
) -> dict[str, pd.DataFrame]:
    """What rules that anybody has would list."""
    days = [night.event_date for night in nights]
    features = _features(context, every)
    hosts = features[features["event_date"].isin(days) & (features["entity_type"] == "host")]
    counts = hosts[ev.NIGHT_ENTITY].assign(score=hosts["event_count"])
    scores = {
        "rare program or port": _rare_counts(context, nights),
        "event count": counts,
        "isolation forest": ev.forest_scores(features, FEATURE_NAMES, days),
    }
    return {name: ev.top_lines(found, capacity) for name, found in scores.items()}


def _withheld(context: Context, nights: Sequence[Night]) -> pd.DataFrame:
    """Entity-nights that are not on the list though not usual, by why, or were not scored."""
    unscored = read_published(context.warehouse, UNSCORED, nights)
    listed = read_published(context.warehouse, OUTLIERS, nights)
    standing = listed.where(F.col("lane").isin(*BESIDE_LANES)).select(F.col("lane").alias("reason"))
    scores = read_published(context.warehouse, ENTITY_SCORES, nights)
    policy = ListPolicy.of(context.settings.outliers)
    crowded_out = (
        scores.withColumn("is_strange", policy.is_strange())
        .where("is_strange")
        .join(listed, ev.NIGHT_ENTITY, how="left_anti")
        .select(F.lit("strange enough, but no room on the list").alias("reason"))
    )
    why = unscored.select(F.concat(F.lit("not scored: "), "reason").alias("reason"))
    told = why.unionByName(standing).unionByName(crowded_out)
    return _bounded(told.groupBy("reason").agg(F.count("*").alias("entity_nights")))


def read_truth(path: Path) -> pd.DataFrame:
    """Read the truth that `shoal simulate` writes; one row a host, night and act.

    Raises
    ------
    DataError
        If the file is missing or lacks a column, or a date is none; it names what.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--truth {path} cannot be read: {error}") from error
    if not rows:
        return pd.DataFrame(columns=list(TRUTH_COLUMNS))
    missing = [name for name in TRUTH_COLUMNS if name not in rows[0]]
    if missing:
        raise DataError(f"--truth {path} has no column {', '.join(missing)}")
    truth = pd.DataFrame(rows)[list(TRUTH_COLUMNS)]
    try:
        truth["event_date"] = [date.fromisoformat(text) for text in truth["event_date"]]
    except (TypeError, ValueError) as error:
        raise DataError(f"--truth {path}: event_date: {error}") from error
    truth["is_planted"] = truth["is_planted"] == "true"
    return truth


def _lines(context: Context, nights: Sequence[Night]) -> pd.DataFrame:
    """Lines of nights but for lanes beside the capacity; members of a group share theirs."""
    rows = read_published(context.warehouse, OUTLIERS, nights).where("suppressed_by IS NULL")
    return _bounded(
        rows.where(~F.col("lane").isin(*BESIDE_LANES)).select(
            *(*ev.NIGHT_ENTITY, "slice", "lane", "change", "expected_by_chance"),
            F.col("rank").alias("line"),
        )
    )


def _features(context: Context, nights: Sequence[Night]) -> pd.DataFrame:
    rows = read_published(context.warehouse, ENTITY_FEATURES, nights)
    rows = rows.where(F.col("feature_set") == "builtin")
    found = _bounded(rows.select(*ev.NIGHT_ENTITY, *FEATURE_NAMES))
    # A forest draws its samples by the place of rows.
    return found.sort_values(ev.NIGHT_ENTITY, ignore_index=True)


def _scores(context: Context, nights: Sequence[Night]) -> pd.DataFrame:
    rows = read_published(context.warehouse, ENTITY_SCORES, nights)
    return _bounded(rows.select(*ev.NIGHT_ENTITY, "slice", "p_value"))


def _bounded(rows: DataFrame) -> pd.DataFrame:
    found = rows.limit(MAX_ROWS + 1).toPandas()
    if len(found) > MAX_ROWS:
        raise DataError(f"more than {MAX_ROWS:,} entity-days: evaluate fewer nights or hosts")
    return found


def _rare_counts(context: Context, nights: Sequence[Night]) -> pd.DataFrame:
    """Programs and ports of each host that at most ``RARE_ENTITIES`` hosts show that night."""
    value = Window.partitionBy("event_date", "dimension", "value")
    activity = read_published(context.warehouse, ENTITY_ACTIVITY, nights)
    counted = (
        activity.where(
            (F.col("entity_type") == "host") & F.col("dimension").isin("program", "port")
        )
        .withColumn("sharing", F.count(F.lit(1)).over(value))
        .groupBy(*ev.NIGHT_ENTITY)
        .agg(F.count_if(F.col("sharing") <= RARE_ENTITIES).alias("score"))
    )
    return _bounded(counted)


def _without(scores: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Scores of entity-nights of which the truth says nothing."""
    acted = set(zip(truth["event_date"], truth["host"], strict=True))
    acted |= set(zip(truth["event_date"], truth["source_address"], strict=True))
    own = list(zip(scores["event_date"], scores["entity_id"], strict=True))
    return scores[[key not in acted for key in own]]
