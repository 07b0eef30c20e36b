"""A labelled table → how well scorers find what is labelled, none having seen a label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shoal.errors import DataError, UsageError, did_you_mean
from shoal.models import labelled
from shoal.models.labelled import Protocol, Scored
from shoal.models.scorers import check_scorers

Array = NDArray[np.float64]
ANOMALY_WORDS = ("1", "1.0", "true", "anomaly", "outlier", "attack")
"""Labels that mean an anomaly where nothing else is said."""


@dataclass(frozen=True)
class TableRequest:
    """Which table, and how it is read.

    Attributes
    ----------
    label : column of the labels
    anomalies, normal : values of it; the rest is the other kind. With neither, ``1``, ``true`` and
        the like are anomalies
    slice_column : figures by its values, too
    ignored : numeric columns that are no features, such as ids
    """

    path: Path
    label: str
    anomalies: Sequence[str] = ()
    normal: Sequence[str] = ()
    slice_column: str | None = None
    ignored: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class LabelledTable:
    """A table that has been read.

    Attributes
    ----------
    values : ``(n_rows, n_features)``, finite
    is_anomaly, slices : ``(n_rows,)``
    """

    name: str
    feature_names: list[str]
    values: Array
    is_anomaly: NDArray[np.bool_]
    slices: NDArray[np.str_]


def evaluate_table(
    request: TableRequest, scorers: Sequence[str], protocol: Protocol, *, curve_points: int = 20
) -> dict[str, pd.DataFrame]:
    """Fit and score with each scorer; return titled tables.

    Parameters
    ----------
    curve_points : rows that a curve is told in

    Raises
    ------
    UsageError
        If a scorer is unknown.
    DataError
        If the table cannot be read, a column is missing, or all rows are of one kind.
    """
    check_scorers(list(scorers))
    table = read_table(request)
    found = [scored for name in scorers for scored in score_with(table, name, protocol)]
    n_anomalies = int(table.is_anomaly.sum())
    how = "one class, 80 % of the normal rows" if protocol.is_one_class else "bootstrap"
    title = (
        f"{table.name}: {len(table.values):,} rows, {table.values.shape[1]} features, "
        f"{n_anomalies:,} anomalies; fit on {how}, {len(protocol.seeds)} seeds"
    )
    tables = {title: labelled.metric_table(found, protocol.capacity)}
    if request.slice_column is not None:
        tables[f"By {request.slice_column}"] = labelled.slice_table(found)
    tables[f"At an alert rate of {protocol.alert_rate:.0%}, first seed"] = labelled.confusion_table(
        found
    )
    tables["Curves, first seed"] = labelled.curve_table(found, curve_points)
    return tables


def score_with(table: LabelledTable, scorer: str, protocol: Protocol) -> list[Scored]:
    """Scores of a table by a scorer, one fit a seed."""
    return labelled.score_table(table.values, table.is_anomaly, table.slices, scorer, protocol)


def read_table(request: TableRequest) -> LabelledTable:
    """Read a table of numeric features and a label.

    ``.csv`` (compressed or not), ``.parquet``, or ``.npz`` with ``X`` and ``y``.

    Raises
    ------
    UsageError
        If both kinds of labels are named.
    DataError
        If the file cannot be read, a column is missing or not finite, or no feature is left.
    """
    if request.anomalies and request.normal:
        raise UsageError("--anomaly and --normal: name the values of one kind, the rest is other")
    rows = _read_rows(request.path, request.label)
    named = [request.label, *request.ignored]
    named += [request.slice_column] if request.slice_column else []
    for name in named:
        if name not in rows:
            hint = did_you_mean(name, list(map(str, rows)))
            raise DataError(f"{request.path} has no column {name!r}{hint}")
    labels = rows[request.label].astype(str)
    wanted = request.anomalies or request.normal or ANOMALY_WORDS
    is_named = labels.str.lower().isin([word.lower() for word in wanted]).to_numpy()
    features = rows.drop(columns=named).select_dtypes(["number", "bool"])
    if features.empty:
        raise DataError(f"{request.path} has no numeric column besides {', '.join(named)}")
    values = features.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        faulty = features.columns[~np.isfinite(values).all(axis=0)]
        raise DataError(
            f"{request.path}: not every value is a finite number in {', '.join(faulty)}; leave the "
            "columns out (--ignore) or fill them"
        )
    slices = rows[request.slice_column].astype(str) if request.slice_column else labels
    return LabelledTable(
        name=request.path.name,
        feature_names=[str(name) for name in features],
        values=values,
        is_anomaly=~is_named if request.normal else is_named,
        slices=slices.to_numpy(dtype=str),
    )


def _read_rows(path: Path, label: str) -> pd.DataFrame:
    try:
        if path.suffix == ".npz":
            return _arrays(path, label)
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"--table {path} cannot be read: {error}") from error


def _arrays(path: Path, label: str) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as stored:
        values: Any = stored["X"]
        labels: Any = stored["y"]
    rows = pd.DataFrame(np.asarray(values, dtype=np.float64))
    rows.columns = pd.Index([f"x{number}" for number in range(values.shape[1])])
    return rows.assign(**{label: labels.ravel().astype(int)})
