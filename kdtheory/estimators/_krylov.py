"""Ridge regression and its kin by Lanczos iterations, with an intercept and sample weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdtheory._intercept import CenteredProblem
from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array, QFilter
from kdtheory._validation import require_representable
from kdtheory.estimators.solvers import Lanczos
from kdtheory.kernels import GramOperator
from kdtheory.spectrum.lanczos import lanczos_spectrum


class CentredOperator(LinearOperator):
    """`S (I − 1 sᵀ) K (I − s 1ᵀ) S` of an operator K: what weights and an intercept make of a Gram matrix.

    Parameters
    ----------
    operator : LinearOperator of shape (n, n)
    shares : array of shape (n,)
        Shares s of the points in means, which sum to one; zeros leave the matrix as it is.
    root_weight : array of shape (n,)
        The diagonal of S.
    """

    def __init__(self, operator: LinearOperator, shares: np.ndarray, root_weight: np.ndarray) -> None:
        self.operator, self.shares, self.root_weight = operator, shares, root_weight
        super().__init__(operator.dtype, operator.shape)

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._matmat(np.reshape(x, (-1, 1)))[:, 0]

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        weighted = self.root_weight[:, None] * X
        weighted -= np.outer(self.shares, np.sum(weighted, axis=0))
        product = self.operator.matmat(weighted)
        product -= self.shares @ product
        return self.root_weight[:, None] * product

    def _adjoint(self) -> LinearOperator:
        return self


@dataclass(frozen=True, eq=False)
class WhitenedProblem(CenteredProblem):
    """Targets and a spectrum in units in which all points weigh the same, and targets are of moderate size.

    Attributes
    ----------
    spectrum : Spectrum
        Of `S K S`, centred, where dual coefficients are those of K divided by S.
    targets : array of shape (n,) or (n, k)
        `S y / unit`, centred.
    root_weight : array of shape (n,)
    unit : float
    """

    root_weight: Array
    unit: float

    def original(self, dual_coef: Array) -> tuple[Array, Array]:
        """Dual coefficients and intercept for the kernel before centring and weighting."""
        root = self.root_weight if dual_coef.ndim == 1 else self.root_weight[:, None]
        with np.errstate(over="ignore"):
            return super().original(require_representable(dual_coef * root * self.unit, "the dual coefficient"))


def krylov_problem(
    operator: GramOperator,
    y: np.ndarray,
    fit_intercept: bool,
    weights: np.ndarray | None,
    solver: Lanczos,
    filters: Sequence[QFilter],
) -> CenteredProblem:
    """Find the modes of the targets that these filters need; all weights are > 0, and K is never stored."""
    ones = np.ones(len(y))
    root = ones if weights is None else np.sqrt(weights)
    shares = mean_row = np.zeros(len(y))
    mean_target, scale = np.zeros(y.shape[1:]), 0.0
    if fit_intercept:
        relative = ones if weights is None else weights / np.max(weights)
        shares = relative / np.sum(relative)
        mean_row = operator.matvec(shares)
        scale = float(np.max(operator.diagonal())) * float(np.max(root)) ** 2
        with np.errstate(over="ignore"):
            mean_target = require_representable(shares @ y, "the mean of y")
    with np.errstate(over="ignore"):
        targets = (y - mean_target) * (root if y.ndim == 1 else root[:, None])
        targets = require_representable(targets, "the centred target")
    largest = float(np.max(np.abs(targets)))
    unit = 2.0 ** (math.frexp(largest)[1] - 1) if largest > 0.0 else 1.0
    spectrum = lanczos_spectrum(
        CentredOperator(operator, shares, root),
        targets / unit,
        solver.n_iterations,
        filter_=list(filters),
        tolerance=solver.tolerance,
        least_scale=scale,
    )
    return WhitenedProblem(spectrum, targets / unit, shares, mean_row, mean_target, root, unit)
