"""The MLlib fits on all rows: the one place that needs a classic session.

MLlib's DataFrame API takes no initial model, so that its result would depend on a random start
and on the partitioning; the RDD API takes one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.core.rdd import RDD
from pyspark.mllib.clustering import GaussianMixture as MllibGaussianMixture
from pyspark.mllib.clustering import KMeans as MllibKMeans
from pyspark.mllib.clustering import KMeansModel
from pyspark.mllib.linalg import DenseMatrix, DenseVector
from pyspark.mllib.stat.distribution import MultivariateGaussian
from pyspark.sql import DataFrame

from shoal.kernels.gaussians import Mixture, log_density_scale, rescale
from shoal.kernels.preparation import Preparation
from shoal.models.vectors import feature_matrix

Array = NDArray[np.float64]
MAX_LOSS = 0.005
"""Fall of the mean log density, relative to its size, beyond which EM has gone astray."""
_BATCH_ROWS = 4096


def prepared_vectors(
    rows: DataFrame, preparation: Preparation, *, winsorize_sd: float
) -> "RDD[DenseVector]":
    """RDD of winsorised, projected vectors from a DataFrame with ``features array<double>``."""

    def project(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                values = feature_matrix(batch["features"])
                vectors = preparation.project_winsorized(values, winsorize_sd)
                yield pd.DataFrame({"vector": list(vectors)})

    vectors = rows.select("features").mapInPandas(project, "vector array<double>")
    return vectors.rdd.map(lambda row: DenseVector(row[0]))


@dataclass(frozen=True)
class _Start:
    """What MLlib's Python front end reads of an initial model; its own class wraps a Java one."""

    k: int
    weights: Array
    gaussians: list[MultivariateGaussian]


def fit_mixture_on_all(
    vectors: "RDD[DenseVector]", start: Mixture, sample: Array, *, max_iter: int, reg_covar: float
) -> tuple[Mixture, str]:
    """Continue EM from ``start`` on all rows.

    MLlib adds an epsilon to densities in linear space, which drowns them above about 25
    dimensions. Multiplying the features by one constant lifts a typical log density to +200,
    where the epsilon does no harm; the result is scaled back. The number of iterations is fixed
    (tolerance 0), because MLlib's tolerance is absolute on the sum over all rows.

    Parameters
    ----------
    vectors : rows of dimension q
    start : mixture fitted on the hash sample, ``full`` covariances, at least two components
    sample : ``(n_sample, q)`` rows that the constant is chosen from

    Returns
    -------
    What is to serve, and who fitted it: ``start`` serves where MLlib's result is degenerate or
    explains the rows worse, as it does when duplicates collapse one of its components.
    """
    factor = log_density_scale(start, sample)
    scaled = rescale(start, factor)
    gaussians = [
        MultivariateGaussian(DenseVector(mean), _dense(covariance))
        for mean, covariance in zip(scaled.means, scaled.full_covariances(), strict=True)
    ]
    fitted = MllibGaussianMixture.train(
        vectors.map(lambda vector: DenseVector(vector.toArray() * factor)),
        k=len(start.weights),
        convergenceTol=0.0,
        maxIterations=max_iter,
        initialModel=_Start(len(start.weights), scaled.weights, gaussians),  # type: ignore[arg-type]
    )
    mixture = Mixture(
        weights=np.asarray(fitted.weights, dtype=float),
        means=np.stack([gaussian.mu.toArray() for gaussian in fitted.gaussians]),
        covariances=np.stack([gaussian.sigma.toArray() for gaussian in fitted.gaussians]),
        covariance_type="full",
    )
    usable = _usable(rescale(mixture, 1.0 / factor), reg_covar)
    if usable is None:
        return start, "scikit-learn on the sample: MLlib's result was degenerate"
    before, after = _mean_log_densities(vectors, (start, usable))
    if is_worse(before, after, start.n_dimensions):
        reason = f"MLlib fell from {before:.2f} to {after:.2f} nats a row"
        return start, f"scikit-learn on the sample: {reason}"
    return usable, "mllib on all rows"


def is_worse(before: float, after: float, n_dimensions: int) -> bool:
    """Whether a mean log density fell by more than the rounding of MLlib's EM explains.

    EM never loses likelihood on its own rows. A log density's natural size is a nat a dimension;
    its own value may happen to be about 0.
    """
    return not after >= before - MAX_LOSS * max(abs(before), n_dimensions)


def fit_kmeans_on_all(vectors: "RDD[DenseVector]", centers: Array, *, max_iter: int) -> Array:
    """Continue Lloyd's iterations from ``centers`` ``(k, q)`` on all rows; same shape."""
    fitted = MllibKMeans.train(
        vectors,
        k=len(centers),
        maxIterations=max_iter,
        epsilon=1e-6,
        initialModel=KMeansModel([DenseVector(center) for center in centers]),
    )
    return np.stack([np.asarray(center, dtype=float) for center in fitted.clusterCenters])


def _mean_log_densities(vectors: "RDD[DenseVector]", mixtures: Sequence[Mixture]) -> list[float]:
    """Mean log density of all rows under each mixture, nats a row."""

    def add_up(rows: Iterable[DenseVector]) -> Iterator[tuple[int, Array]]:
        left = iter(rows)
        while batch := [vector.toArray() for vector in islice(left, _BATCH_ROWS)]:
            matrix = np.stack(batch)
            yield len(batch), np.asarray([m.log_density(matrix).sum() for m in mixtures])

    parts = vectors.mapPartitions(add_up).collect()
    total: Array = np.sum([sums for _, sums in parts], axis=0)
    return [float(mean) for mean in total / sum(count for count, _ in parts)]


def _dense(matrix: Array) -> DenseMatrix:
    rows, columns = matrix.shape
    return DenseMatrix(rows, columns, matrix.flatten(order="F").tolist())


def _usable(mixture: Mixture, reg_covar: float) -> Mixture | None:
    """The mixture with its covariances floored as scikit-learn does, if it is sound."""
    symmetric = (mixture.covariances + np.swapaxes(mixture.covariances, 1, 2)) / 2
    floored = symmetric + reg_covar * np.eye(symmetric.shape[1])
    arrays = (mixture.weights, mixture.means, floored)
    if not all(np.isfinite(array).all() for array in arrays):
        return None
    if mixture.weights.min() <= 0 or np.linalg.eigvalsh(floored).min() <= 0:
        return None
    return replace(mixture, covariances=floored)
