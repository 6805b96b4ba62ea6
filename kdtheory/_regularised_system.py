"""The linear system of ridge regression for many right-hand sides, solved by scipy's conjugate gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg

from kdtheory._interop import to_numpy
from kdtheory._validation import require_positive, require_positive_integer, require_representable
from kdtheory.filters import Ridge
from kdtheory.spectrum import Spectrum
from kdtheory.spectrum._lengths import target_lengths
from kdtheory.spectrum.gram import symmetric_gram

_NOISE_FACTOR = 1e3
_SAFETY = 0.9
_LEAST_PROGRESS = 0.5


class NotConvergedWarning(UserWarning):
    """Conjugate gradients stopped before the residual was as small as the tolerance."""


class Solved(NamedTuple):
    """Dual coefficients and `K dual`, both (n, k), the true residual of each output, and the number of iterations."""

    dual: np.ndarray
    fitted: np.ndarray
    residual: np.ndarray
    n_iterations: int

    def warn_if_above(self, tolerance: float, where: str, *, stacklevel: int) -> None:
        reached = float(np.max(self.residual))
        if reached > tolerance:
            warnings.warn(
                f"conjugate gradients reached the relative residual {reached:.3g}{where} after {self.n_iterations}"
                f" iterations, not the tolerance {tolerance:.3g}",
                NotConvergedWarning,
                stacklevel=stacklevel + 1,
            )


@dataclass(frozen=True, eq=False)
class RegularisedSystem:
    """`K + ridge I`, how to precondition it, and when to stop."""

    operator: LinearOperator
    diagonal: np.ndarray
    ridge: float
    precondition: Callable[[np.ndarray], np.ndarray]
    tolerance: float
    max_iterations: int

    @classmethod
    def of(
        cls,
        operator: Any,
        ridge: SupportsFloat,
        preconditioner: Spectrum | None,
        tolerance: SupportsFloat,
        max_iterations: SupportsIndex,
    ) -> RegularisedSystem:
        penalty = require_positive("ridge", ridge)
        if isinstance(operator, LinearOperator):
            if operator.shape[0] != operator.shape[1]:
                raise ValueError(f"operator must be square, got shape {operator.shape}")
            if not hasattr(operator, "diagonal"):
                raise TypeError(f"operator must be a GramOperator, or have a diagonal(), got {operator!r}")
            diagonal = operator.diagonal()
        else:
            gram = to_numpy(symmetric_gram(operator, "operator"))
            operator, diagonal = aslinearoperator(gram), np.diagonal(gram)
        return cls(
            operator=operator,
            diagonal=diagonal,
            ridge=penalty,
            precondition=_inverse(preconditioner, penalty, operator.shape[0]),
            tolerance=require_positive("tolerance", tolerance),
            max_iterations=require_positive_integer("max_iterations", max_iterations),
        )

    @property
    def n_points(self) -> int:
        return int(self.operator.shape[0])

    @cached_property
    def rounding(self) -> float:
        """Size of negative `pᵀ K p / pᵀ p` that rounding may leave behind."""
        return _NOISE_FACTOR * self.n_points * float(np.finfo(self.operator.dtype).eps) * float(np.max(self.diagonal))

    def multiply(self, columns: np.ndarray) -> np.ndarray:
        """Return `K @ columns`."""
        return np.asarray(self.operator @ columns, dtype=np.float64)

    def solve(self, targets: np.ndarray, dual: np.ndarray, fitted: np.ndarray) -> Solved:
        """Solve for targets (n, k), from dual coefficients (n, k) and `K dual`."""
        lengths = target_lengths(targets)
        lengths = np.where(lengths > 0.0, lengths, 1.0)
        n_iterations, previous = 0, np.inf
        while True:
            remainder = (targets - fitted - self.ridge * dual) / lengths
            residual = np.linalg.norm(remainder, axis=0)
            largest = float(np.max(residual))
            is_stuck = not largest < _LEAST_PROGRESS * previous
            if largest <= self.tolerance or is_stuck or n_iterations >= self.max_iterations:
                return Solved(dual, fitted, residual, n_iterations)
            correction, taken = self._iterate(remainder, self.max_iterations - n_iterations)
            dual = require_representable(dual + correction * lengths, "the dual coefficient")
            fitted = require_representable(self.multiply(dual), "the fitted value")
            n_iterations, previous = n_iterations + taken, largest

    def _iterate(self, right: np.ndarray, max_iterations: int) -> tuple[np.ndarray, int]:
        """Run scipy's conjugate gradients on all columns as one vector; also return the number of iterations."""
        shape = (right.size, right.size)
        taken: list[None] = []
        solution, _ = cg(
            LinearOperator(shape, lambda v: self._multiply_regularised(v.reshape(right.shape)).ravel(), dtype=float),
            right.ravel(),
            rtol=0.0,
            atol=_SAFETY * self.tolerance,
            maxiter=max_iterations,
            M=LinearOperator(shape, lambda v: self.precondition(v.reshape(right.shape)).ravel(), dtype=float),
            callback=lambda _: taken.append(None),
        )
        return solution.reshape(right.shape), len(taken)

    def _multiply_regularised(self, columns: np.ndarray) -> np.ndarray:
        product = self.multiply(columns)
        curvature, squares = np.sum(columns * product, axis=0), np.sum(columns**2, axis=0)
        wrong = (curvature < -self.rounding * squares) | ((curvature <= -self.ridge * squares) & (squares > 0.0))
        if np.any(wrong):
            column = int(np.argmax(wrong))
            raise ValueError(
                "the kernel must be positive semi-definite for conjugate gradients, got a vector v with vᵀ K v / vᵀ v ="
                f" {curvature[column] / squares[column]:.6g}"
            )
        return product + self.ridge * columns


def _inverse(preconditioner: Spectrum | None, ridge: float, n_points: int) -> Callable[[np.ndarray], np.ndarray]:
    if preconditioner is None:
        return lambda columns: columns
    if not isinstance(preconditioner, Spectrum):
        raise TypeError(f"preconditioner must be a Spectrum or None, got {preconditioner!r}")
    if preconditioner.n_points != n_points:
        raise ValueError(f"preconditioner must be of {n_points} points, got {preconditioner!r}")
    basis = preconditioner.eigenvectors
    shrinkage = Ridge(ridge).shrinkage(preconditioner.eigenvalues)[:, None]
    return lambda columns: columns - basis @ (shrinkage * (basis.T @ columns))


def best_start(targets: np.ndarray, solved: Sequence[Solved], ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Combine earlier solutions so that the error is smallest in the norm of `K + ridge I`, and K times it."""
    if not solved:
        return np.zeros_like(targets), np.zeros_like(targets)
    # Of the length of the targets, so that no product of two of them overflows.
    scale = np.max(np.abs(targets), axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    duals, fits = (np.stack([getattr(each, name) for each in solved]) / scale for name in ("dual", "fitted"))
    products = np.einsum("snk,tnk->kst", duals, fits + ridge * duals)
    wanted = np.einsum("snk,nk->ks", duals, targets / scale)
    shares = np.einsum("kst,kt->sk", np.linalg.pinv(products, rcond=1e-12, hermitian=True), wanted) * scale
    return np.einsum("sk,snk->nk", shares, duals), np.einsum("sk,snk->nk", shares, fits)
