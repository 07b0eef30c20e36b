"""What a night's rows add to each component of a mixture: sums that add up over nights."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shoal.kernels.arrays import Array
from shoal.kernels.gaussians import Mixture


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over rows by component, rows counting by their responsibilities.

    Attributes
    ----------
    rows : ``(n_components,)`` sum of the responsibilities
    sums : ``(n_components, n_dimensions)`` of the rows
    squares : ``(n_components, n_dimensions, n_dimensions)`` of their outer products
    """

    rows: Array
    sums: Array
    squares: Array

    @classmethod
    def of(cls, mixture: Mixture, rows: Array) -> Self:
        """Sums of rows ``(n_rows, n_dimensions)`` in the mixture's space."""
        shares = mixture.responsibilities(rows)
        squares = np.einsum("nk,ni,nj->kij", shares, rows, rows, optimize=True)
        return cls(shares.sum(axis=0), shares.T @ rows, squares)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.rows + other.rows, self.sums + other.sums, self.squares + other.squares)

    def known(self, min_rows: float) -> NDArray[np.intp]:
        """Which components ``(n_components,)`` have as many rows."""
        return np.flatnonzero(self.rows >= min_rows)

    def estimates(self, known: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        """Weights, means and covariances of some components: one step of EM, without a prior.

        Parameters
        ----------
        known : ``(n_known,)`` their indices, each with more than no row
        """
        rows = self.rows[known]
        means = self.sums[known] / rows[:, np.newaxis]
        outer = means[:, :, np.newaxis] * means[:, np.newaxis, :]
        covariances = self.squares[known] / rows[:, np.newaxis, np.newaxis] - outer
        return rows / self.rows.sum(), means, covariances
