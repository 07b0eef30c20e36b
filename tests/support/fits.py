"""What tests of fits and models start from: the default settings, a stored model."""

from collections.abc import Sequence
from typing import Any

from shoal.kernels.form import FitSettings
from shoal.kernels.peer_model import PeerGeometry, Standard, WeekReferences
from shoal.kernels.profiles import ProfileAxes
from shoal.models.fit import FitRequest
from shoal.models.peer_models import geometry_columns, profile_columns, reference_columns

FIT_SETTINGS = FitSettings(
    n_components=6,
    covariance_type="full",
    n_clusters=6,
    candidates=(1, 2, 3, 4, 6, 8),
    n_seeds=3,
    selection_rows=2000,
    trim=0.1,
    n_init=3,
    reg_covar=1e-4,
    tol=1e-3,
    max_iter=100,
    random_state=0,
    winsorize_sd=8.0,
    explained_variance=0.95,
    max_pca_components=30,
    n_folds=5,
    min_refined=10,
    relevance=16.0,
)


def fit_request(names: Sequence[str], *, feature_set: str, profile_axes: int = 0) -> FitRequest:
    """A fit of hosts by features that are no counts, all else as by default."""
    return FitRequest(
        entity_type="host",
        feature_set=feature_set,
        is_count=dict.fromkeys(names, False),
        families={},
        settings=FIT_SETTINGS,
        min_entities=10,
        min_rows=20,
        sample_rows=20_000,
        slice_min_entities=50,
        slice_max_rows=20_000,
        profile_axes=profile_axes,
        max_correlation=0.99,
    )


def stored_model(
    geometry: PeerGeometry,
    references: WeekReferences | None,
    *,
    entity_type: str = "host",
    slice_name: str = "*",
    calibration: str = "own",
    standard: Standard | None = None,
    profile: ProfileAxes | None = None,
) -> dict[str, Any]:
    """A row of ``models``, as far as scoring reads it; clusters of distances 1 ± 0.5."""
    n_clusters = len(geometry.centers)
    return {
        "model_version": f"{entity_type}-1",
        "entity_type": entity_type,
        "slice": slice_name,
        "feature_set": "builtin",
        "calibration": calibration,
        "reference_entities": 60,
        "reference_days": 7,
        **geometry_columns(geometry),
        **profile_columns(profile),
        **reference_columns(references),
        "score_standard": (standard or Standard()).to_list(),
        "distance_mean": [1.0] * n_clusters,
        "distance_sd": [0.5] * n_clusters,
        "distance_p95": [2.0] * n_clusters,
    }
