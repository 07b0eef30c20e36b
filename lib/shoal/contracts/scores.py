"""Scores, the list they make, and what could not be scored."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import types as T

from shoal.contracts.activity import DIMENSIONS
from shoal.contracts.entities import ENTITY, ENTITY_KEY, EVENT_DATE, RUN_ID
from shoal.contracts.features import FEATURES
from shoal.contracts.models import MODEL_TOLERANCE
from shoal.contracts.table import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    STRINGS,
    TIMESTAMP,
    Column,
    Table,
    struct,
)

SEVERITIES = ((4.0, "critical"), (3.0, "high"), (2.0, "medium"), (0.0, "low"))
"""Smallest anomaly_score of each severity: 3 is one in a thousand peer nights."""

STRAY, MICROCLUSTER, STANDING, MOVED = "stray", "microcluster", "standing", "moved"
"""The lanes of the list."""

BESIDE_LANES = (STANDING, MOVED)
"""Lanes that take no room of the others': they tell of more than one night."""

SCORE_COLUMNS = (
    Column("slice", STRING, "group of peers it was compared with"),
    Column("cluster_id", INT, "component with the largest responsibility, from 0"),
    Column("second_cluster_id", INT, "component with the second largest, null if there is one"),
    Column("responsibility", DOUBLE, "probability of the first component"),
    Column("responsibility_entropy", DOUBLE, "entropy of all responsibilities, nats"),
    Column("log_density", DOUBLE, "log density, mixture plus residual, nats; lower is stranger"),
    Column("residual_distance", DOUBLE, "length of what PCA discards, standard units"),
    Column(
        "departure",
        DOUBLE,
        "sum over features of ln(1 + squared departure from what the others imply, in units of "
        "what is usual for the feature)",
    ),
    Column("centroid_id", INT, "nearest k-means centre, from 0"),
    Column("centroid_distance", DOUBLE, "distance to that centre, standard units"),
    Column(
        "centroid_distance_z",
        DOUBLE,
        "standard deviations by which that exceeds the mean of the cluster's reference",
    ),
    Column(
        "centroid_distance_p95_ratio",
        DOUBLE,
        "that over the 95th percentile of the cluster's reference: above 1 is outside",
    ),
    Column("p_value", DOUBLE, "share of peer nights at least as strange"),
    Column(
        "p_value_low", DOUBLE, "least that p_value may be: 90 % interval by the entities behind it"
    ),
    Column("p_value_high", DOUBLE, "most that p_value may be"),
    Column(
        "is_undecided",
        BOOLEAN,
        "whether that interval holds outliers.max_p_value: too few entities stand behind the score "
        "to say on which side it lies",
    ),
    Column("anomaly_score", DOUBLE, "−log10 of p_value: higher is stranger, 3 is 1 in 1,000"),
    Column(
        "self_p_value",
        DOUBLE,
        "share of its own past nights as strange, drawn to p_value where they are few",
    ),
    Column("severity", STRING, "critical, high, medium or low: fixed steps of anomaly_score"),
    Column(
        "golden_score",
        DOUBLE,
        "anomaly_score by the frozen model; null where that is the model that spoke, or there is "
        "none",
    ),
    Column(
        "golden_shift",
        DOUBLE,
        "golden_score less anomaly_score, less the median of that in its slice: what moved with "
        "its peers has none",
    ),
    Column("golden_version", STRING, "the frozen model"),
    Column("reference_entities", LONG, "peers behind p_value"),
    Column("reference_days", LONG, "days behind p_value"),
    Column("history_days", LONG, "of the 28 days before, those with features of the entity"),
    Column("peers", LONG, "others of its slice with a score of the day"),
    Column("calibration", STRING, "own, parent (small slice) or extrapolated (beyond 1/n)"),
    Column("model_version", STRING, "model that spoke"),
)

ENTITY_SCORES = Table(
    name="entity_scores",
    doc="How strange every entity's day is among its peers.",
    grain="entity × day",
    key=ENTITY_KEY,
    columns=(EVENT_DATE, *ENTITY, *SCORE_COLUMNS, RUN_ID),
    partition=("event_date",),
    version=4,
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

PROFILE_SHARE = "profile_share"
"""The feature of a reason that all of an entity's profile gives."""

REASONS = T.ArrayType(
    struct(
        feature=(STRING, f"name of the feature; {PROFILE_SHARE} for all of a profile"),
        value=(DOUBLE, "the entity's own value, in unit"),
        expected=(DOUBLE, "what peers with its other values show, in unit and within its bounds"),
        unit=(STRING, "unit of value and expected"),
        peers_sharing=(LONG, "of the peers, at least as far out in this direction"),
        peers=(LONG, "others of its slice scored on the day that have a value"),
        contribution=(DOUBLE, "drop of the squared distance if the value were as expected"),
        direction=(STRING, "high or low"),
        term=(STRING, f"feature {PROFILE_SHARE}: whose share it is, such as port=443; else null"),
    )
)

CARRIED = T.ArrayType(
    struct(
        feature=(STRING, "as in reasons of a line"),
        term=(STRING, "as there"),
        contribution=(DOUBLE, "as there"),
        direction=(STRING, "as there"),
    )
)

_TECHNIQUES = {feature.name: feature.known.technique for feature in FEATURES} | {
    f"{dimension.name}=": dimension.known.technique for dimension in DIMENSIONS
}


def techniques_of(reasons: Iterable[Mapping[str, Any]]) -> list[str]:
    """ATT&CK techniques behind reasons, those of the strongest first.

    Behind a share of a profile stands that of the dimension of its term.
    """
    keys = (
        f"{reason['term'].partition('=')[0]}=" if reason.get("term") else reason["feature"]
        for reason in reasons
    )
    names = (_TECHNIQUES.get(key) for key in keys)
    return list(dict.fromkeys(name for name in names if name))


EVIDENCE = T.ArrayType(
    struct(
        dimension=(STRING, "dimension of entity_activity"),
        value=(STRING, "its value"),
        event_count=(LONG, "events of the entity with it"),
        entities_sharing=(LONG, "entities of the type that showed it on the day"),
        is_new=(BOOLEAN, "not seen for the entity in the novelty window; null without a past"),
        first_ts=(TIMESTAMP, "first event"),
        last_ts=(TIMESTAMP, "last event"),
        sample_event_ids=(STRINGS, "events to look at"),
    )
)

SHARED = T.ArrayType(
    struct(
        dimension=(STRING, "dimension of entity_activity"),
        value=(STRING, "its value"),
    )
)

OUTLIERS = Table(
    name="outliers",
    doc="The night's list.",
    grain="entity × day on the list",
    key=ENTITY_KEY,
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column("rank", INT, "place on the list, from 1"),
        Column("policy", STRING, "rule that made the list, with its settings"),
        Column(
            "lane",
            STRING,
            "stray, standing (strange on many nights and usual for itself), microcluster, or moved "
            "(usual for the model that learns, far for the frozen one, not so its peers)",
        ),
        *(
            column
            for column in SCORE_COLUMNS
            if column.name
            in {
                "golden_score",
                "golden_version",
                "slice",
                "cluster_id",
                "p_value",
                "anomaly_score",
                "self_p_value",
                "severity",
            }
            | {"calibration", "model_version", "is_undecided", "history_days", "peers"}
        ),
        Column("reasons", REASONS, "features that carry the score, strongest first"),
        Column("evidence", EVIDENCE, "activity rows behind it, rarest first"),
        Column("novelty", LONG, "values of the day that are new for the entity"),
        Column("days_in_row", INT, "published nights in a row on the list, this one included"),
        Column("change", STRING, "new, unchanged, raised or withdrawn"),
        Column(
            "expected_by_chance",
            DOUBLE,
            "entities that chance alone puts at or above here; null in lane moved and by rules "
            "that are not of p-values",
        ),
        Column(
            "case_id",
            STRING,
            "hash of the entity, or of the members of its group, and of the first night in a row "
            "on the list; members of a microcluster share it and their rank, and so do lines whose "
            "evidence is of one intrusion",
        ),
        Column("shared", SHARED, "microcluster: values that its members share and nobody had"),
        Column(
            "group_p_value",
            DOUBLE,
            "microcluster: chance of any group as strange together on such a night",
        ),
        Column(
            "verdict_shift",
            DOUBLE,
            "what verdicts on days that look alike move its place by, in units of anomaly_score: "
            "below 0 benign, above 0 bad; null without",
        ),
        Column("verdict_ids", STRINGS, "those verdicts"),
        Column(
            "suppressed_by",
            STRING,
            "rule that hides it, or verdict that called it benign before; ranked after what is "
            "told, and takes no room",
        ),
        RUN_ID,
    ),
    partition=("event_date",),
    version=7,
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

SILENT = "silent"
"""Reason of an entity that was to be expected and has no features of the day."""

UNSCORED = Table(
    name="unscored",
    doc="Entities that got no score, and why: nothing is dropped without a row.",
    grain="entity × day not scored",
    key=ENTITY_KEY,
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column("slice", STRING, "group of peers"),
        Column(
            "reason",
            STRING,
            "no_model, too_few_events, non_finite_feature, or silent: there on the weekday in both "
            "weeks before and not on the day",
        ),
        Column("detail", STRING, "the value that was wrong, or what is missing"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
)

MALICIOUS = "malicious"
BENIGN, BAD = "benign", ("suspicious", MALICIOUS)
"""What may be found of an entity's day."""

VERDICTS = Table(
    name="verdicts",
    doc="What an analyst found; append-only.",
    grain="one verdict on an entity's day",
    key=("verdict_id",),
    columns=(
        Column("verdict_id", STRING, "hash of its content"),
        EVENT_DATE,
        *ENTITY,
        Column("verdict", STRING, "benign, suspicious or malicious"),
        Column("reason", STRING, "why"),
        Column("owner", STRING, "who says so"),
        Column("scope", STRING, "what it covers: the day, the entity, the pattern"),
        Column("effective_date", DATE, "first night that heeds it"),
        Column("expiry_date", DATE, "first night that no longer does"),
        Column("anomaly_score", DOUBLE, "score of the day; null without one"),
        Column("reasons", CARRIED, "what carried that score, by which other days look alike"),
        Column("evidence", SHARED, "rare values behind it, by which they do as well"),
        Column("created_ts", TIMESTAMP, "when it was written (UTC)", is_volatile=True),
    ),
    version=2,
)

SUPPRESSIONS = Table(
    name="suppressions",
    doc="Rules that hide lines of the list; append-only.",
    grain="one rule",
    key=("suppression_id",),
    columns=(
        Column("suppression_id", STRING, "hash of its content"),
        ENTITY[0],
        Column("scope", STRING, "entity, slice, feature, value or reason"),
        Column("pattern", STRING, "what it matches"),
        Column("reason", STRING, "why"),
        Column("owner", STRING, "who set it"),
        Column("effective_date", DATE, "first night that heeds it"),
        Column("expiry_date", DATE, "first night that no longer does"),
        Column("created_ts", TIMESTAMP, "when it was written (UTC)", is_volatile=True),
    ),
)
