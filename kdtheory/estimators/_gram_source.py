"""A Gram matrix as a solver has it: the matrix itself, its spectrum at landmarks, or an operator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kdtheory._intercept import CenteredProblem
from kdtheory._typing import Array, QFilter
from kdtheory._validation import require_bool, require_weights
from kdtheory.estimators._krylov import krylov_problem
from kdtheory.estimators.solvers import Lanczos, Nystrom
from kdtheory.kernels import GramOperator, Kernel
from kdtheory.pivots import RankWarning
from kdtheory.spectrum import Spectrum
from kdtheory.spectrum.nystrom import NystromSpectrum


@dataclass(frozen=True, eq=False)
class GramSource:
    """The Gram matrix of some points, and what makes models of it.

    Attributes
    ----------
    points : array or sparse matrix of shape (n, n_features), or None
        The points that count; None where only their Gram matrix is known.
    rows : array of n integers
        Which of all points they are.
    gram : array of shape (n, n), NystromSpectrum or GramOperator
    sample_weight : array of shape (n,), or None
        Weights that `gram` does not contain yet.
    solver : Lanczos, or None
        What multiplies by a GramOperator.
    owned : bool
        Whether the matrix may be overwritten.
    """

    points: Any
    rows: np.ndarray
    gram: Any
    sample_weight: Any = None
    solver: Lanczos | None = None
    owned: bool = False

    @classmethod
    def of_kernel(cls, kernel: Kernel, X: np.ndarray, sample_weight: Any, solver: Nystrom | Lanczos) -> GramSource:
        """Leave out the points without weight, and never store the matrix of the others."""
        rows, weights = np.arange(len(X)), None
        if sample_weight is not None:
            weights = require_weights("sample_weight", sample_weight, len(X), like=np.ones(1))
            rows = np.flatnonzero(weights)
            X, weights = X[rows], weights[rows]
        if isinstance(solver, Lanczos):
            return cls(X, rows, kernel.operator(X), weights, solver)
        with warnings.catch_warnings():
            # Fewer landmarks are as good where the others depend on them.
            warnings.simplefilter("ignore", RankWarning)
            spectrum = Spectrum.nystrom(
                kernel,
                X,
                min(solver.n_components, len(X)),
                pivots=solver.pivots,
                random_state=solver.random_state,
                max_bytes=solver.max_bytes,
                sample_weight=weights,
            )
        return cls(X, rows, spectrum)

    def problem(
        self, y: np.ndarray, fit_intercept: Any, filters: Sequence[QFilter] = (), *, keep: bool = False
    ) -> CenteredProblem:
        """Decompose the matrix for all targets, as far as these filters need it where that depends on them."""
        targets = y[self.rows]
        if isinstance(self.gram, GramOperator) and self.solver is not None:
            intercept = require_bool("fit_intercept", fit_intercept)
            return krylov_problem(self.gram, targets, intercept, self.sample_weight, self.solver, filters)
        overwrite = self.owned and not keep
        return CenteredProblem.of(self.gram, targets, fit_intercept, self.sample_weight, overwrite=overwrite)

    def function(self, dual_coef: Array, intercept: Array) -> tuple[Any, Array, Array]:
        """Points, coefficients of their kernel functions, and intercept of a model of these dual coefficients."""
        if isinstance(self.gram, NystromSpectrum):
            return self.gram.X_pivots, self.gram.on_pivots(dual_coef), intercept
        return self.points, dual_coef, intercept

    def scale(self, fit_intercept: bool) -> float:
        """Mean diagonal of the (centred) matrix; one where that is zero, as for points that are all the same."""
        if isinstance(self.gram, NystromSpectrum):
            weights = self.gram.weights()
            mean = float(np.sum(self.gram.eigenvalues) / np.sum(weights))
            features = self.gram.eigenvectors.T @ (np.sqrt(weights) / np.sum(weights))
            of_mean = float(self.gram.eigenvalues @ features**2)
        else:
            weights = np.ones(len(self.gram))
            if self.sample_weight is not None:
                weights = require_weights("sample_weight", self.sample_weight, len(self.gram), like=weights)
            shares = weights / np.sum(weights)
            mean, of_mean = float(shares @ np.diagonal(self.gram)), float(shares @ (self.gram @ shares))
        scale = mean - of_mean if fit_intercept else mean
        return scale if scale > 1e-12 * abs(mean) else 1.0

    def among(self, indices: np.ndarray) -> np.ndarray:
        """Positions, in the matrix, of those of these points that count."""
        positions = np.full(max(int(np.max(self.rows)), int(np.max(indices, initial=0))) + 1, -1)
        positions[self.rows] = np.arange(len(self.rows))
        found = positions[indices]
        return found[found >= 0]

    def fold(
        self, kept: np.ndarray, left_out: np.ndarray, y: np.ndarray, fit_intercept: Any, weights: np.ndarray | None
    ) -> tuple[CenteredProblem, Callable[[np.ndarray], np.ndarray]]:
        """Problem of the kept points, and predictions (..., m, k) at those left out from dual coefficients (..., n, k).

        Points are positions in the matrix, targets and weights those of all its points.
        """
        if len(kept) == 0:
            raise ValueError("sample_weight must hold at least one weight > 0 in every fold's other points, got none")
        of_kept = None if weights is None else require_weights("sample_weight", weights[kept], len(kept), like=y)
        if not isinstance(self.gram, NystromSpectrum):
            inner = self.gram[np.ix_(kept, kept)]
            problem = CenteredProblem.of(inner, y[kept], fit_intercept, of_kept, overwrite=True)
            cross = self.gram[np.ix_(left_out, kept)]
            return problem, lambda dual_coef: cross @ dual_coef
        inner, outer = self._factor[kept], self._factor[left_out]
        if len(kept) <= inner.shape[1]:
            problem = CenteredProblem.of(inner @ inner.T, y[kept], fit_intercept, of_kept, overwrite=True)
        else:
            even = np.ones(len(kept)) if of_kept is None else of_kept
            overwritten = np.array(inner, order="F")
            problem = CenteredProblem.of_factor(
                overwritten, y[kept], require_bool("fit_intercept", fit_intercept), even
            )
        return problem, lambda dual_coef: outer @ (inner.T @ dual_coef)

    @cached_property
    def _factor(self) -> np.ndarray:
        """F with `K̂ = F Fᵀ`, shape (n, r)."""
        factor: np.ndarray = self.gram.eigenvectors * np.sqrt(self.gram.eigenvalues)
        return factor / np.sqrt(self.gram.weights())[:, None]
