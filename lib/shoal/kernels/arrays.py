"""What every kernel asks of the arrays it is given."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import ConfigError, DataError

Array = NDArray[np.float64]


def as_rows(values: ArrayLike, name: str, *, n_columns: int | None = None) -> Array:
    """Return ``values`` as finite float64 rows ``(n_rows, n_columns)``.

    Raises
    ------
    DataError
        If it is not two-dimensional, has another width, or holds NaN or infinity.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or (n_columns is not None and rows.shape[1] != n_columns):
        wanted = "n_columns" if n_columns is None else n_columns
        raise DataError(f"{name} must have shape (n_rows, {wanted}), got {rows.shape}")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise DataError(f"{name} must be finite; {bad} of {len(rows)} rows hold NaN or infinity")
    return rows


def as_scores(values: ArrayLike, name: str) -> Array:
    """Return ``values`` as finite float64 ``(n_rows,)``, one row or more.

    Raises
    ------
    DataError
        If it is not one-dimensional, is empty, or holds NaN or infinity.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1:
        raise DataError(f"{name} must have shape (n_rows,), got {scores.shape}")
    if not len(scores):
        raise DataError(f"{name} must not be empty")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise DataError(f"{name} must be finite; {bad} of {len(scores)} are NaN or infinite")
    return scores


def sort_rows(rows: Array) -> Array:
    """Rows in lexicographic order: fits that draw rows then don't depend on their order."""
    if not rows.shape[1]:
        return rows
    ordered = rows[np.argsort(rows[:, 0], kind="stable")]
    first = ordered[:, 0]
    # Where the first column tells all rows apart, the others have no say.
    return ordered if (first[1:] != first[:-1]).all() else rows[np.lexsort(rows.T[::-1])]


def count_distinct(sorted_rows: Array) -> int:
    """Number of distinct rows among one or more in lexicographic order."""
    return 1 + int((np.diff(sorted_rows, axis=0) != 0.0).any(axis=1).sum())


def require_at_least(least: int, value: int, name: str) -> None:
    """Raise `ConfigError` unless ``value`` is ``least`` or more."""
    if value < least:
        raise ConfigError(f"{name!r} must be {least} or more, got {value} instead")


def with_fixed_signs(components: Array) -> Array:
    """Axes ``(n_axes, n_columns)``, the largest loading of each positive, of equals the first."""
    size = np.abs(components)
    # Rounding must not choose between loadings that are equal on paper.
    first = np.argmax(size >= size.max(axis=1, keepdims=True) * (1.0 - 1e-6), axis=1)
    signs = np.sign(components[np.arange(len(components)), first])
    return np.asarray(components * signs[:, np.newaxis], dtype=np.float64)
