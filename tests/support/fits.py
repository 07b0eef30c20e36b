"""Settings that tests of fits start from: the defaults."""

from shoal.kernels.form import FitSettings

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
)
