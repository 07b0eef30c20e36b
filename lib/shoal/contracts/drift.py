"""How the shoals move: clusters, model parameters, features, alert rate and configuration."""

from pyspark.sql import types as T

from shoal.contracts.activity import CONFIGURATION_DIMENSIONS
from shoal.contracts.entities import ENTITY, ENTITY_KEY, EVENT_DATE, RUN_ID
from shoal.contracts.models import MODEL_TOLERANCE
from shoal.contracts.table import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    VECTOR,
    Column,
    Table,
    struct,
)

STATUS = Column("status", STRING, "ok, drift or insufficient_data")
DETAIL = Column("detail", STRING, "the status in words")
REFERENCE_DATE = Column("reference_date", DATE, "the night compared with")
SLICE = Column("slice", STRING, "group of peers; * is all")
FEATURE = Column("feature", STRING, "name of the feature")
COMPARISON = Column("comparison", STRING, "previous_night, same_weekday or golden")

MOVES = T.ArrayType(
    struct(
        cluster_id=(INT, "cluster of the other night"),
        entities=(LONG, "common entities"),
    )
)

OF_THE_FLEET = ("population", "data", "model")
"""Verdicts of a night that say something of the fleet: individuals stray on any night."""

DRIFT_CLUSTERS = Table(
    name="drift_clusters",
    doc="Clusters of a night matched with those of an earlier one, on the entities seen in both, "
    "beside what the halves of the night agree on, and judged by quiet pairs of nights.",
    grain="night × entity type × comparison × pair of clusters",
    key=("event_date", "entity_type", "comparison", "reference_cluster_id", "analysis_cluster_id"),
    version=2,
    columns=(
        EVENT_DATE,
        ENTITY[0],
        COMPARISON,
        REFERENCE_DATE,
        Column(
            "shape",
            STRING,
            "overall, or what became of the cluster: matched, split, merged, died or born",
        ),
        Column("reference_cluster_id", INT, "cluster of the reference night, from 0; −1: none"),
        Column("analysis_cluster_id", INT, "cluster of this night matched with it; −1: none"),
        Column("reference_size", LONG, "common entities in the reference cluster"),
        Column("analysis_size", LONG, "common entities in the matched cluster"),
        Column("common_size", LONG, "entities in both"),
        Column("came_from", MOVES, "other clusters that those of this cluster were in, most first"),
        Column("went_to", MOVES, "other clusters that those of the reference one are in now"),
        Column("appeared", LONG, "entities of this cluster not seen on the reference night"),
        Column("vanished", LONG, "entities of the reference cluster not seen tonight"),
        Column("jaccard", DOUBLE, "entities in both over entities in either"),
        Column("warm_jaccard", DOUBLE, "the same of the night clustered from the other's centres"),
        Column("null_jaccard", DOUBLE, "the same of the night's two halves: without any drift"),
        Column("center_distance", DOUBLE, "distance of the matched centres, standard units"),
        Column("adjusted_rand", DOUBLE, "overall agreement of the two clusterings"),
        Column("warm_adjusted_rand", DOUBLE, "of the night clustered from the other's centres"),
        Column("null_adjusted_rand", DOUBLE, "of the night's two halves"),
        Column("adjusted_mutual_information", DOUBLE, "overall, adjusted for chance"),
        Column("variation_of_information", DOUBLE, "overall, nats; 0 for the same clusters"),
        Column("entities_both", LONG, "entities seen on both nights"),
        Column("entities_reference_only", LONG, "seen on the reference night only"),
        Column("entities_analysis_only", LONG, "seen on this night only"),
        Column("quiet_pairs", LONG, "pairs of nights before, of the same kinds of day"),
        Column("p_value", DOUBLE, "overall, of as bad an agreement among quiet pairs"),
        STATUS,
        DETAIL,
        Column("model_version", STRING, "model whose preparation and start both nights share"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

CARRIERS = T.ArrayType(
    struct(
        feature=(STRING, "name of the feature"),
        shift_sd=(DOUBLE, "shift of the component's mean, in the reference's standard units"),
        reference=(DOUBLE, "the mean before, in the feature's unit"),
        analysis=(DOUBLE, "the mean now"),
    )
)

DRIFT_COMPONENTS = Table(
    name="drift_components",
    doc="Components of a mixture matched with those of another: this week's nights with those of "
    "the week before, and a model that begins to serve with the one before it and the frozen one.",
    grain="night × entity type × comparison × pair of components",
    key=(
        "event_date",
        "entity_type",
        "comparison",
        "reference_component_id",
        "analysis_component_id",
    ),
    version=2,
    columns=(
        EVENT_DATE,
        ENTITY[0],
        Column("comparison", STRING, "week, previous_version or golden"),
        Column(
            "reference_component_id",
            INT,
            "component of the reference, from 0; −1: none, and all of them where the other is −1",
        ),
        Column("analysis_component_id", INT, "component it is matched with; −1: none"),
        Column("reference_model_version", STRING, "reference model"),
        Column("analysis_model_version", STRING, "model compared with it; of a week the same"),
        Column("reference_weight", DOUBLE, "weight before"),
        Column("analysis_weight", DOUBLE, "weight now"),
        Column(
            "mean_shift",
            DOUBLE,
            "Mahalanobis distance of the means, by the reference; of all the mean by weight",
        ),
        Column(
            "hellinger",
            DOUBLE,
            "Hellinger distance of the two Gaussians, 0 to 1; of all the mean by weight. In many "
            "dimensions it is near 1 for what hardly differs: it judges nothing",
        ),
        Column("features", CARRIERS, "features that carry the shift of the mean, most first"),
        Column("weight_change", DOUBLE, "of all: half of the changes of weight, 0 to 1"),
        Column("quiet_pairs", LONG, "earlier comparisons of the four weeks before"),
        Column("p_value", DOUBLE, "of all: of as large a shift or change among those"),
        STATUS,
        DETAIL,
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

COMPONENT_MOMENTS = Table(
    name="component_moments",
    doc="What a night adds to each component of the frozen model, or of the serving one where "
    "none is frozen yet: sums that add up over nights, of a hash sample of many entities.",
    grain="night × entity type × component",
    key=("event_date", "entity_type", "component_id"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        Column("component_id", INT, "component of the model's mixture, from 0"),
        Column("model_version", STRING, "the model"),
        Column("row_weight", DOUBLE, "sum of the entities' responsibilities"),
        Column("sums", VECTOR, "sum of the entities in PCA space, weighted by these"),
        Column("squares", VECTOR, "sum of their outer products, row by row"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
    retention_days=400,
)

DRIFT_FEATURES = Table(
    name="drift_features",
    doc="How far each feature moved in a day and in a week, judged by quiet pairs of nights.",
    grain="night × entity type × slice × feature × comparison",
    key=("event_date", "entity_type", "slice", "feature", "comparison"),
    version=3,
    columns=(
        EVENT_DATE,
        ENTITY[0],
        SLICE,
        FEATURE,
        COMPARISON,
        REFERENCE_DATE,
        Column("wasserstein", DOUBLE, "Wasserstein distance, in the feature's unit"),
        Column(
            "wasserstein_null",
            DOUBLE,
            "the largest of quiet pairs of earlier nights, but those told as drifts",
        ),
        Column("wasserstein_octaves", DOUBLE, "the same of the values' logs to base 2"),
        Column("wasserstein_octaves_null", DOUBLE, "the largest of it of the quiet pairs"),
        Column("quiet_pairs", LONG, "pairs of nights as far apart, of the same kind of day"),
        Column("p_value", DOUBLE, "of as far a move among quiet pairs; 1 where it is nothing new"),
        Column(
            "size_ratio",
            DOUBLE,
            "median of what is not zero tonight over that of the reference night; null where the "
            "entities with such a value are others in number by more than a fifth",
        ),
        Column(
            "shape_octaves",
            DOUBLE,
            "Wasserstein distance, in octaves, of what is not zero once its median is the same: "
            "small where only the unit is another one",
        ),
        Column("psi", DOUBLE, "population stability index, for information; it judges nothing"),
        Column("missing_share", DOUBLE, "share of entities without a value"),
        Column("reference_missing_share", DOUBLE, "the same on the reference night"),
        Column("reference_entities", LONG, "entities on the reference night"),
        Column("analysis_entities", LONG, "entities tonight"),
        STATUS,
        DETAIL,
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

BINS = T.ArrayType(
    struct(
        bin=(INT, "eighth of an octave above 2^-30, 0 for zero, negative for negative values"),
        count=(LONG, "entities"),
    )
)

FEATURE_HISTOGRAMS = Table(
    name="feature_histograms",
    doc="Histogram of each feature, of every slice and of all (*): any two nights, and any two "
    "windows whose counts are added up, can be compared by them.",
    grain="night × entity type × slice × feature",
    key=("event_date", "entity_type", "slice", "feature"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        SLICE,
        FEATURE,
        Column("entities", LONG, "entities"),
        Column("missing", LONG, "of these, entities that the feature is not known of"),
        Column("bins", BINS, "entities by bin, ascending; those without a value left out"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    retention_days=400,
)

DRIFT_ALERT_RATE = Table(
    name="drift_alert_rate",
    doc="Share of entities over the thresholds against the expected share.",
    grain="night × entity type × slice",
    key=("event_date", "entity_type", "slice"),
    version=3,
    columns=(
        EVENT_DATE,
        ENTITY[0],
        SLICE,
        Column("scored", LONG, "entities scored"),
        Column("alert_rate", DOUBLE, "share with p_value of at most 0.05"),
        Column(
            "expected_rate",
            DOUBLE,
            "median of the four weeks before, of weekdays or of weekends, 0.05 at least",
        ),
        Column("p01_rate", DOUBLE, "share with p_value of at most 0.01"),
        Column(
            "log_likelihood",
            DOUBLE,
            "mean log density, nats: held out, for no model has seen the night it serves",
        ),
        Column(
            "usual_log_likelihood",
            DOUBLE,
            "median of earlier nights of the four weeks that the same model served",
        ),
        Column("responsibility_entropy", DOUBLE, "mean entropy of the responsibilities, nats"),
        Column("cusum", DOUBLE, "upper CUSUM of the rate over four weeks, standard deviations"),
        Column(
            "verdict",
            STRING,
            "of all of the type (slice *): none, individuals, population, data, model or unknown",
        ),
        Column("verdict_detail", STRING, "the verdict in words"),
        STATUS,
        DETAIL,
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

CONFIG_CHANGES = Table(
    name="config_changes",
    doc="Programs, open ports, packages and parents that an entity gained or lost.",
    grain="night × entity × dimension × value",
    key=(*ENTITY_KEY, "dimension", "value"),
    version=3,
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column("slice", STRING, "group of peers"),
        Column("dimension", STRING, ", ".join(CONFIGURATION_DIMENSIONS)),
        Column("value", STRING, "what was gained or lost"),
        Column(
            "change",
            STRING,
            "gained: not seen for the entity in the novelty window; lost: seen on the weekday in "
            "both weeks before and not today",
        ),
        Column("entities_sharing", LONG, "entities of the slice with the same change tonight"),
        Column("slice_entities", LONG, "entities of the slice that were there tonight"),
        Column("is_rollout", BOOLEAN, "a third of the slice, and three entities, share it"),
        Column("priority", INT, "by the slice's labels, 1 by default: drift.priorities"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
)
