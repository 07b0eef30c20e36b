"""What hunters ask: a night's list, and one entity explained."""

from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.contracts import (
    ENTITY_ACTIVITY,
    ENTITY_FEATURES,
    ENTITY_SCORES,
    OUTLIERS,
    UNSCORED,
)
from shoal.errors import DataError, did_you_mean
from shoal.models.reasons import add_reasons
from shoal.models.registry import load_versions, version_served
from shoal.models.vectors import add_vector
from shoal.pipelines.attribution import attribute_change
from shoal.pipelines.context import Context
from shoal.pipelines.score import vector_rules
from shoal.spark.nights import Night, read_published, require_published


def find_night(context: Context, event_date: date | None) -> Night:
    """The published night of a date, the last one by default.

    Raises
    ------
    DataError
        If it is not published; it names the nearest that are.
    """
    nights = require_published(context.warehouse)
    if event_date is None:
        return nights[-1]
    for night in nights:
        if night.event_date == event_date:
            return night
    nearest = sorted(nights, key=lambda night: abs((night.event_date - event_date).days))[:3]
    named = ", ".join(
        str(night.event_date) for night in sorted(nearest, key=lambda n: n.event_date)
    )
    raise DataError(f"the night {event_date} is not published; nearest: {named}")


def list_outliers(
    context: Context,
    event_date: date | None,
    *,
    entity_type: str | None = None,
    slice_name: str | None = None,
    lane: str | None = None,
    limit: int | None = None,
) -> tuple[Night, list[dict[str, Any]]]:
    """The lines of a published night in order of rank, with filters."""
    night = find_night(context, event_date)
    rows = read_published(context.warehouse, OUTLIERS, [night])
    for column, wanted in (("entity_type", entity_type), ("slice", slice_name), ("lane", lane)):
        if wanted is not None:
            rows = rows.where(F.col(column) == F.lit(wanted))
    lines = [row.asDict(recursive=True) for row in rows.orderBy("rank", "entity_id").collect()]
    ranks = sorted({line["rank"] for line in lines})[:limit]
    return night, [line for line in lines if line["rank"] in ranks]


def explain_entity(
    context: Context, entity_id: str, event_date: date | None, *, entity_type: str | None = None
) -> tuple[Night, dict[str, Any]]:
    """One entity's night from stored rows: its score, its reasons, its activity.

    Raises
    ------
    DataError
        If there is no such entity on that night, or several types share the name.
    """
    night = find_night(context, event_date)
    features = _one_entity(context, night, entity_id.lower(), entity_type)
    kind = features["entity_type"]
    is_own = (F.col("entity_type") == F.lit(kind)) & (
        F.col("entity_id") == F.lit(entity_id.lower())
    )
    score = read_published(context.warehouse, ENTITY_SCORES, [night]).where(is_own).first()
    line = read_published(context.warehouse, OUTLIERS, [night]).where(is_own).first()
    found: dict[str, Any] = {
        "event_date": night.event_date,
        "entity_type": kind,
        "entity_id": features["entity_id"],
        "slice": features["slice"],
    }
    if line is not None:
        found |= {k: line[k] for k in ("rank", "lane", "days_in_row", "change", "case_id")}
    if score is None:
        unscored = read_published(context.warehouse, UNSCORED, [night]).where(is_own).first()
        reason = unscored.asDict() if unscored else {}
        found |= {"unscored": reason.get("reason"), "detail": reason.get("detail")}
    else:
        found |= {k: v for k, v in score.asDict().items() if k != "run_id"}
        found |= attribute_change(context, night, is_own, found)
        found["reasons"] = _explained(context, night, found)
    found["activity"] = _top_activity(context, night, is_own)
    return night, found


def _one_entity(
    context: Context, night: Night, entity_id: str, entity_type: str | None
) -> dict[str, Any]:
    rows = read_published(context.warehouse, ENTITY_FEATURES, [night])
    own = rows.where(F.col("entity_id") == F.lit(entity_id))
    if entity_type is not None:
        own = own.where(F.col("entity_type") == F.lit(entity_type))
    matches = [row.asDict() for row in own.collect()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        kinds = ", ".join(sorted(row["entity_type"] for row in matches))
        raise DataError(f"{entity_id!r} is the name of several entities: add --type ({kinds})")
    near = F.levenshtein(F.col("entity_id"), F.lit(entity_id))
    names = [
        row[0] for row in rows.select("entity_id").orderBy(near, "entity_id").limit(5).collect()
    ]
    raise DataError(
        f"no entity {entity_id!r} on {night.event_date}{did_you_mean(entity_id, names)}"
    )


def _explained(context: Context, night: Night, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Reasons anew, from the stored model and the stored features of the night."""
    kind = found["entity_type"]
    frozen = found["golden_version"]
    loaded = load_versions(
        context.warehouse,
        [version_served(kind, found["model_version"])],
        [version_served(kind, frozen)] if frozen else [],
    )
    models = {night.event_date: loaded}
    features = read_published(context.warehouse, ENTITY_FEATURES, [night])
    peers = features.where(
        (F.col("entity_type") == F.lit(kind)) & (F.col("slice") == F.lit(found["slice"]))
    )
    scores = read_published(context.warehouse, ENTITY_SCORES, [night])
    entity_days = add_vector(peers, vector_rules(models))
    top = context.settings.outliers.reasons
    [explained] = add_reasons([found], entity_days, scores, models, top=top)
    return list(explained["reasons"])


def _top_activity(context: Context, night: Night, is_own: Any) -> list[dict[str, Any]]:
    activity: DataFrame = read_published(context.warehouse, ENTITY_ACTIVITY, [night])
    names = ["dimension", "value", "event_count", "first_ts", "last_ts", "sample_event_ids"]
    rows = (
        activity.where(is_own & ~F.col("dimension").isin("total", "category"))
        .orderBy(F.col("event_count").desc(), "dimension", "value")
        .limit(20)
        .select(*names)
        .collect()
    )
    return [row.asDict() for row in rows]
