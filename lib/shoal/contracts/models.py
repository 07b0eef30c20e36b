"""Models as arrays, the candidates they were chosen from, and which of them serves when."""

from pyspark.sql import types as T

from shoal.contracts.entities import ENTITY
from shoal.contracts.table import (
    BOOLEAN,
    BOOLEANS,
    DATE,
    DOUBLE,
    INT,
    LONG,
    MATRIX,
    STRING,
    STRING_MAP,
    STRINGS,
    TENSOR,
    VECTOR,
    Column,
    Table,
    struct,
)

MODEL_TOLERANCE = 1e-6
GLOBAL_SLICE = "*"
"""The slice of the row that serves every entity without a row of its own."""

LEFT_OUT = T.ArrayType(
    struct(
        feature=(STRING, "name of the feature"),
        reason=(STRING, "known in too few rows, of a log that nobody has, or repeating another"),
        repeats=(STRING, "the feature that it repeats"),
        correlation=(DOUBLE, "Pearson correlation with that, counts by their logs"),
    )
)

MODELS = Table(
    name="models",
    doc="Fitted models, immutable, as plain arrays: enough to score and explain any row again.",
    grain="model version × slice",
    key=("model_version", "slice"),
    columns=(
        Column("model_version", STRING, "hash of entity type, training inputs and configuration"),
        ENTITY[0],
        Column("slice", STRING, "the slice it was refined for; * is the global model"),
        Column("valid_from_date", DATE, "first night it may serve", is_nullable=False),
        Column(
            "status",
            STRING,
            "global; of a slice refined, kept_global: no gain from refinement, or kept_champion: "
            "as in the version before, for the new one was worse",
        ),
        Column("reason", STRING, "why the status is what it is"),
        Column(
            "fitted_by",
            STRING,
            "mllib on all rows; scikit-learn on all rows, where the sample holds them; or "
            "scikit-learn on the sample and why",
        ),
        Column("feature_set", STRING, "builtin or values"),
        Column("feature_names", STRINGS, "features in the order of every vector here"),
        Column(
            "left_out",
            LEFT_OUT,
            "features that were asked for and not modelled, and why; of slice * only",
        ),
        Column(
            "profile_terms",
            STRINGS,
            "terms of the profile, such as port=443, that its axes know; as profile_kinds and "
            "profile_axes of slice * only, and empty where the model has none",
        ),
        Column("profile_kinds", STRINGS, "kinds of terms; each has a bucket for terms unseen"),
        Column(
            "profile_axes",
            MATRIX,
            "axes over the square roots of the shares of profile_terms and then of the buckets, "
            "one a row; the features profile_1, profile_2 … are the coordinates on them, and "
            "profile_rest the length of what they discard",
        ),
        Column("is_logged", BOOLEANS, "features that are log1p-transformed"),
        Column("center", VECTOR, "median of each (transformed) feature"),
        Column("scale", VECTOR, "robust standard deviation of each"),
        Column("pca_mean", VECTOR, "mean of the standardised rows"),
        Column("pca_components", MATRIX, "principal axes, one a row"),
        Column("residual_variances", VECTOR, "variance of each feature's discarded part"),
        Column("residual_dimensions", INT, "discarded directions in which the reference varies"),
        Column("covariance_type", STRING, "full, tied, diag or spherical"),
        Column("weights", VECTOR, "mixture weights"),
        Column("means", MATRIX, "mixture means in PCA space"),
        Column("covariances", TENSOR, "mixture covariances in PCA space, always full"),
        Column("centers", MATRIX, "k-means centres in PCA space"),
        Column(
            "usual_departures",
            VECTOR,
            "what 95 in 100 of the reference stay under, by feature, of the squared departure from "
            "what the others imply; departures are logged in units of it",
        ),
        Column("reference_density", VECTOR, "cross-fitted −log density of the reference, sorted"),
        Column("reference_departure", VECTOR, "cross-fitted departure of all features, sorted"),
        Column("reference_combined", VECTOR, "combined statistic of the reference, sorted"),
        Column(
            "weekend_density",
            VECTOR,
            "as reference_density, of Saturdays and Sundays: the others are then of weekdays; "
            "empty where too few rows tell them apart",
        ),
        Column("weekend_departure", VECTOR, "as reference_departure, of Saturdays and Sundays"),
        Column("weekend_combined", VECTOR, "as reference_combined, of Saturdays and Sundays"),
        Column(
            "score_standard",
            VECTOR,
            "centre and scale of log density and of departure, by which scores are "
            "measured before they are compared with the references, and what the odds of "
            "p-values are multiplied by for the slice's own tail: those of the slice where "
            "calibration is parent",
        ),
        Column(
            "calibration",
            STRING,
            "own, or parent: too few entities, those of slice * serve, which such slices share",
        ),
        Column("reference_entities", LONG, "entities behind the references"),
        Column("reference_days", LONG, "days behind the references"),
        Column("feature_median", VECTOR, "median of each feature in native units, this slice"),
        Column("cluster_sizes", VECTOR, "share of reference rows nearest to each centre"),
        Column(
            "distance_mean",
            VECTOR,
            "mean distance of the reference rows nearest to each centre, of all rows where those "
            "are too few; where calibration is parent, the rows of slice *",
        ),
        Column("distance_sd", VECTOR, "standard deviation of the same"),
        Column("distance_p95", VECTOR, "95th percentile of the same"),
        Column("log_likelihood", DOUBLE, "mean log density of the reference rows, nats a row"),
        Column("row_count", LONG, "rows it was fitted on"),
        Column("sample_rows", LONG, "rows of the hash sample behind its initial model"),
        Column("training_start_date", DATE, "first day of the reference window"),
        Column("training_end_date", DATE, "last day of it"),
        Column("training_run_ids", STRINGS, "run_id of every night in it"),
        Column("config_hash", STRING, "hash of the configuration's meaning"),
        Column("library_versions", STRING_MAP, "versions that fitted it", is_volatile=True),
        Column("seconds", DOUBLE, "time the fit took", is_volatile=True),
    ),
    partition=("valid_from_date",),
    version=8,
    tolerance=MODEL_TOLERANCE,
)

MODEL_CANDIDATES = Table(
    name="model_candidates",
    doc="Every candidate that was tried for a model, and why it was or was not chosen.",
    grain="model version × candidate",
    key=("model_version", "candidate"),
    columns=(
        Column("model_version", STRING, "the model it was tried for"),
        Column("candidate", INT, "number of the candidate, from 0"),
        ENTITY[0],
        Column("valid_from_date", DATE, "first night of the model", is_nullable=False),
        Column("kind", STRING, "mixture or kmeans"),
        Column("n_components", INT, "number of mixture components, or of clusters"),
        Column("covariance_type", STRING, "full, tied, diag or spherical"),
        Column("random_state", LONG, "seed, of several the first"),
        Column("bic", DOUBLE, "Bayesian information criterion, n counted in entities"),
        Column("aic", DOUBLE, "Akaike information criterion, by entity"),
        Column("held_out_log_likelihood", DOUBLE, "mean over entities outside the fit, nats"),
        Column("held_out_loss", DOUBLE, "what it loses to the best, paired by entity, nats"),
        Column("held_out_loss_error", DOUBLE, "standard error of that over entities, nats"),
        Column("silhouette", DOUBLE, "mean silhouette of the k-means clusters"),
        Column("inertia", DOUBLE, "mean squared distance to the own k-means centre"),
        Column("stability", DOUBLE, "mean adjusted Rand index between seeds"),
        Column("jaccard", DOUBLE, "mean Jaccard index of a component with its like between seeds"),
        Column(
            "outside_share",
            DOUBLE,
            "share of held-out rows beyond the 99 % ellipsoid of their component: 0.01 if the "
            "mixture fits",
        ),
        Column("near_duplicates", INT, "pairs of components that all but coincide"),
        Column("smallest_weight", DOUBLE, "smallest mixture weight"),
        Column("responsibility_entropy", DOUBLE, "mean entropy of the responsibilities, nats"),
        Column("is_converged", BOOLEAN, "EM met its tolerance"),
        Column("is_chosen", BOOLEAN, "this candidate became the model"),
        Column("reason", STRING, "why, or why not"),
        Column("seconds", DOUBLE, "time the fit took", is_volatile=True),
    ),
    partition=("valid_from_date",),
    version=3,
    tolerance=MODEL_TOLERANCE,
)

COMPARISON = T.ArrayType(
    struct(
        slice=(STRING, "group of peers; * is all"),
        measure=(STRING, "what is compared"),
        champion=(DOUBLE, "of the model that serves"),
        candidate=(DOUBLE, "of the new one"),
    )
)

MODEL_STATUS = Table(
    name="model_status",
    doc="Promotions, rejections, retirements and rollbacks of models; append-only.",
    grain="one change of a model version",
    key=("model_version", "sequence"),
    columns=(
        Column("model_version", STRING, "the model"),
        ENTITY[0],
        Column("sequence", LONG, "number of the change for this entity type, from 1"),
        Column("status", STRING, "promoted, rejected, retired, rolled_back or golden"),
        Column("effective_date", DATE, "first night it holds for"),
        Column("reason", STRING, "why"),
        Column("actor", STRING, "nightly, or who did it"),
        Column("training_nights", LONG, "published nights in the reference window of the fit"),
        Column("config_hash", STRING, "hash of the configuration's meaning at the fit"),
        Column(
            "comparison",
            COMPARISON,
            "of a fit with the model that served before it, on the same nights; null of others",
        ),
    ),
    version=3,
)
