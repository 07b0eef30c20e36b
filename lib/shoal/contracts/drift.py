"""How the shoals move: clusters, model parameters, features, alert rate and configuration.

Only ``drift_clusters`` is written so far; the others are declared so that readers can rely on
their shape.
"""

from shoal.contracts.entities import ENTITY, ENTITY_KEY, EVENT_DATE, RUN_ID
from shoal.contracts.models import MODEL_TOLERANCE
from shoal.contracts.table import DATE, DOUBLE, INT, LONG, STRING, Column, Table

STATUS = Column("status", STRING, "ok, drift or insufficient_data")
DETAIL = Column("detail", STRING, "the status in words")
REFERENCE_DATE = Column("reference_date", DATE, "the night compared with")
COMPARISON = Column("comparison", STRING, "previous_night, same_weekday or golden")

DRIFT_CLUSTERS = Table(
    name="drift_clusters",
    doc="Clusters of a night matched with those of an earlier one, on the entities seen in both.",
    grain="night × entity type × comparison × cluster of the reference night",
    key=("event_date", "entity_type", "comparison", "reference_cluster_id"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        COMPARISON,
        REFERENCE_DATE,
        Column("reference_cluster_id", INT, "cluster of the reference night, from 0; −1: overall"),
        Column("analysis_cluster_id", INT, "cluster of this night it was matched with"),
        Column("reference_size", LONG, "common entities in the reference cluster"),
        Column("analysis_size", LONG, "common entities in the matched cluster"),
        Column("common_size", LONG, "entities in both"),
        Column("jaccard", DOUBLE, "entities in both over entities in either"),
        Column("center_distance", DOUBLE, "distance of the matched centres, standard units"),
        Column("adjusted_rand", DOUBLE, "overall agreement of the two clusterings"),
        Column("adjusted_mutual_information", DOUBLE, "overall, adjusted for chance"),
        Column("null_jaccard", DOUBLE, "Jaccard expected without any drift"),
        Column("entities_both", LONG, "entities seen on both nights"),
        Column("entities_reference_only", LONG, "seen on the reference night only"),
        Column("entities_analysis_only", LONG, "seen on this night only"),
        STATUS,
        DETAIL,
        Column("model_version", STRING, "model whose preparation and start both nights share"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

DRIFT_COMPONENTS = Table(
    name="drift_components",
    doc="Mixture components of two models matched, and how far each moved.",
    grain="night × entity type × comparison × component",
    key=("event_date", "entity_type", "comparison", "reference_component_id"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        COMPARISON,
        Column("reference_component_id", INT, "component of the reference model"),
        Column("analysis_component_id", INT, "component it was matched with"),
        Column("reference_model_version", STRING, "reference model"),
        Column("analysis_model_version", STRING, "model compared with it"),
        Column("weight_shift", DOUBLE, "change of the weight"),
        Column("mean_shift", DOUBLE, "Mahalanobis distance of the means"),
        Column("hellinger", DOUBLE, "Hellinger distance of the two Gaussians"),
        STATUS,
        DETAIL,
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

DRIFT_FEATURES = Table(
    name="drift_features",
    doc="Shift of each feature against a reference window, judged by quiet past pairs.",
    grain="night × entity type × slice × feature × comparison",
    key=("event_date", "entity_type", "slice", "feature", "comparison"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        Column("slice", STRING, "group of peers"),
        Column("feature", STRING, "name of the feature"),
        COMPARISON,
        Column("wasserstein", DOUBLE, "Wasserstein distance, in the feature's unit"),
        Column("wasserstein_null", DOUBLE, "quantile of quiet past pairs"),
        Column("psi", DOUBLE, "population stability index, for information"),
        Column("missing_share", DOUBLE, "share of entities without a value"),
        Column("reference_entities", LONG, "entities in the reference"),
        Column("analysis_entities", LONG, "entities tonight"),
        STATUS,
        DETAIL,
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
    tolerance=MODEL_TOLERANCE,
)

DRIFT_ALERT_RATE = Table(
    name="drift_alert_rate",
    doc="Share of entities over the thresholds against the expected share.",
    grain="night × entity type × slice",
    key=("event_date", "entity_type", "slice"),
    columns=(
        EVENT_DATE,
        ENTITY[0],
        Column("slice", STRING, "group of peers; * is all"),
        Column("scored", LONG, "entities scored"),
        Column("alert_rate", DOUBLE, "share over the 95th percentile of the reference"),
        Column("expected_rate", DOUBLE, "share expected"),
        Column("p01_rate", DOUBLE, "share with p_value under 0.01"),
        Column("log_likelihood", DOUBLE, "mean log density, nats"),
        Column("verdict", STRING, "individuals, population, data or model"),
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
    doc="Programs, packages, ports and parents that an entity gained or lost.",
    grain="night × entity × dimension × value",
    key=(*ENTITY_KEY, "dimension", "value"),
    columns=(
        EVENT_DATE,
        *ENTITY,
        Column("dimension", STRING, "program, package, port or parent_child"),
        Column("value", STRING, "what was gained or lost"),
        Column("change", STRING, "gained or lost"),
        Column("entities_sharing", LONG, "peers with the same change tonight"),
        Column("is_roll_out", STRING, "fleet-wide change or single deviation"),
        RUN_ID,
    ),
    partition=("event_date",),
    is_night=True,
)
