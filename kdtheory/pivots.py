"""Landmarks of a positive semi-definite matrix that is known by its diagonal and by the columns one asks for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, SupportsIndex

import numpy as np
import scipy.linalg

from kdtheory._validation import require_generator, require_positive_integer

_PROPOSALS = 256
COLUMNS_AT_ONCE = 64
_ROUNDS_WITHOUT_GAIN = 64
_NOISE_FACTOR = 1e3


class ColumnAccess(Protocol):
    """A symmetric positive semi-definite matrix of which only the diagonal and chosen columns are ever computed."""

    @property
    def dtype(self) -> Any:
        """Floating-point type of the entries."""

    def diagonal(self) -> np.ndarray:
        """Return the diagonal, shape (n,)."""

    def columns(self, indices: np.ndarray, /) -> np.ndarray:
        """Return the columns of k indices, shape (n, k)."""


class RankWarning(UserWarning):
    """A matrix has a smaller numerical rank than the number of pivots that was asked for."""


@dataclass(frozen=True)
class DenseColumns:
    """Columns of a matrix that is stored.

    Parameters
    ----------
    matrix : array of shape (n, n)
        Symmetric positive semi-definite.

    Examples
    --------
    >>> import numpy as np
    >>> DenseColumns(np.eye(3)).columns(np.array([2]))
    array([[0.],
           [0.],
           [1.]])
    """

    matrix: np.ndarray

    @property
    def dtype(self) -> Any:
        """Floating-point type of the entries."""
        return self.matrix.dtype

    def diagonal(self) -> np.ndarray:
        """Return the diagonal, shape (n,)."""
        return np.diagonal(self.matrix)

    def columns(self, indices: np.ndarray, /) -> np.ndarray:
        """Return the columns of k indices, shape (n, k)."""
        return self.matrix[indices].T  # rows, since those are contiguous


@dataclass(frozen=True, eq=False, repr=False)
class PartialCholesky:
    """A Cholesky factor of some columns: `K ≈ F Fᵀ`, without error in the columns of the pivots.

    Attributes
    ----------
    pivots : array of shape (m,)
        Indices of the landmarks, in the order in which they were eliminated.
    factor : array of shape (n, m)
        F, in Fortran order, with `K[:, pivots] = F F[pivots]ᵀ` to rounding. Its rows at the pivots are lower
        triangular, the Cholesky factor of `K[pivots, pivots]`.
    trace_error : float
        Trace of the remainder `K − F Fᵀ`, which is positive semi-definite: no eigenvalue of K is farther than that from
        the one of `F Fᵀ`. It is the sum of the diagonal that is left, without the cancellation of two traces.
    """

    pivots: np.ndarray
    factor: np.ndarray
    trace_error: float

    def __repr__(self) -> str:
        n, m = self.factor.shape
        return f"PartialCholesky(n_points={n}, n_pivots={m}, trace_error={self.trace_error:.6g})"


def randomly_pivoted_cholesky(
    matrix: ColumnAccess,
    n_pivots: SupportsIndex,
    *,
    random_state: Any = 0,
    between: Callable[[np.ndarray], np.ndarray] | None = None,
) -> PartialCholesky:
    """Choose landmarks at random, each with a probability in proportion to the diagonal that the others have left.

    Parameters
    ----------
    matrix : ColumnAccess
        A Gram operator, or `DenseColumns` of a Gram matrix K of shape (n, n).
    n_pivots : int
        Number m of landmarks, from 1 to n.
    random_state : int >= 0 or numpy.random.Generator, default 0
    between : callable, optional
        From k indices to the entries (k, k) of K between them, where these cost less than k whole columns.

    Returns
    -------
    PartialCholesky
        Fewer pivots than asked for when all that remains of K is rounding, with a `RankWarning`.

    Raises
    ------
    ValueError, TypeError
        For a number of pivots that is not from 1 to n, a diagonal that is not finite or nowhere positive, and when K
        shows itself not to be positive semi-definite. Negative eigenvalues may pass unseen if the pivots do not meet
        them.

    Notes
    -----
    The expected trace error is within `1 + ε` of the best one of rank r after about `r/ε + r·log(1/(ε·η))` pivots, with
    the relative error η of the best one. Pivots are proposed in blocks and each one is accepted with the share of its
    diagonal entry that the accepted ones before it leave, so that they have the same distribution as one by one, and
    the work is in matrix products: `n·m²`, and about m columns of K.

    Source: Chen, Epperly, Tropp & Webber (2023); Epperly, Tropp & Webber (2024) for blocks with rejection. Twin:
    `scipy.linalg.lapack.dpstrf` of the whole matrix, which takes the largest entry every time.

    Examples
    --------
    >>> import numpy as np
    >>> randomly_pivoted_cholesky(DenseColumns(np.diag([4.0, 3.0, 0.0])), 2)
    PartialCholesky(n_points=3, n_pivots=2, trace_error=0)
    """
    elimination = _Elimination(matrix, n_pivots, between)
    rng = require_generator("random_state", random_state)
    n_proposals = int(np.clip(elimination.room // 8, 8, _PROPOSALS))
    while elimination.room and not elimination.is_exhausted:
        weights = elimination.remaining
        proposals = rng.choice(len(weights), n_proposals, p=weights / np.sum(weights))
        thresholds = rng.random(n_proposals) * weights[proposals]
        elimination.eliminate(proposals, thresholds)
    return elimination.result()


def cholesky_at(
    matrix: ColumnAccess,
    candidates: Any,
    n_pivots: SupportsIndex,
    *,
    between: Callable[[np.ndarray], np.ndarray] | None = None,
) -> PartialCholesky:
    """Eliminate the first of given points, but for those that depend on others to rounding.

    Parameters
    ----------
    matrix : ColumnAccess
        A Gram operator, or `DenseColumns` of a Gram matrix K of shape (n, n).
    candidates : sequence of ints
        Indices of points; those that depend on earlier ones give way to later ones. Repetitions do no harm.
    n_pivots : int
        Stop at that many pivots.
    between : callable, optional
        As for `randomly_pivoted_cholesky`.

    Returns
    -------
    PartialCholesky
        With a `RankWarning` if there are fewer pivots than asked for.

    Raises
    ------
    ValueError, TypeError
        As `randomly_pivoted_cholesky`, and for candidates that are no indices of points, or on none of which the
        diagonal is more than rounding.

    Notes
    -----
    A random permutation as candidates gives uniform landmarks. They are found by complete pivoting among themselves,
    and eliminated in that order, in which rounding errors do not build up however nearly dependent they are. Cost:
    `n·m²`, and m columns of K.

    Examples
    --------
    >>> import numpy as np
    >>> cholesky_at(DenseColumns(np.diag([4.0, 3.0, 1.0])), [1, 1, 2], 2).pivots
    array([1, 2])
    """
    elimination = _Elimination(matrix, n_pivots, between)
    points = np.asarray(candidates)
    n = len(elimination.remaining)
    if points.ndim != 1 or points.dtype.kind not in "iu":
        raise TypeError(f"candidates must be a sequence of integers, got dtype {points.dtype} of shape {points.shape}")
    if np.any((points < 0) | (points >= n)):
        outside = points[(points < 0) | (points >= n)]
        raise ValueError(f"candidates must be indices from 0 to {n - 1}, got {int(outside[0])}")
    points = points[elimination.remaining[points] > 0.0]
    if not len(points):
        raise ValueError("candidates must hold a point whose diagonal entry is more than rounding, got none")
    chosen = elimination.independent(points)
    for start in range(0, len(chosen), _PROPOSALS):
        block = chosen[start : start + _PROPOSALS]
        elimination.eliminate(block, np.zeros(len(block)))
    return elimination.result()


class _Elimination:
    """The factor so far, and the diagonal of what remains: zero where that is rounding."""

    def __init__(
        self,
        matrix: ColumnAccess,
        n_pivots: SupportsIndex,
        between: Callable[[np.ndarray], np.ndarray] | None,
    ) -> None:
        self.matrix = matrix
        self.between = between or (lambda indices: matrix.columns(indices)[indices])
        self.remaining = np.array(matrix.diagonal(), dtype=np.float64)
        self.room = require_positive_integer("n_pivots", n_pivots)
        self.pivots = np.empty(0, dtype=np.intp)
        n, dtype = len(self.remaining), np.dtype(matrix.dtype)
        if self.room > n:
            raise ValueError(f"n_pivots must be <= {n}, the number of points, got {n_pivots!r}")
        largest = np.max(self.remaining)
        if not np.isfinite(largest) or not largest > 0.0:
            raise ValueError(f"the diagonal of the matrix must be finite and > 0 somewhere, got at most {largest}")
        self.rounding = max(self.room, 100) * float(np.finfo(dtype).eps) * float(largest)
        self.factor = np.empty((n, self.room), dtype=dtype, order="F")  # pages that are never written take no memory
        self._drop_rounding()

    @property
    def is_exhausted(self) -> bool:
        return not np.any(self.remaining)

    def eliminate(self, candidates: np.ndarray, thresholds: np.ndarray) -> None:
        """Eliminate those candidates, in their order, whose remaining entry is above their threshold by then."""
        done = len(self.pivots)
        earlier = self.factor[:, :done]
        accepted, triangle = self._accept(candidates, thresholds)
        points = candidates[accepted]
        stop = done + len(points)
        if len(points):
            gemm, trsm = scipy.linalg.get_blas_funcs(("gemm", "trsm"), (self.factor,))
            columns = self.factor[:, done:stop]
            for start in range(0, len(points), COLUMNS_AT_ONCE):
                some = slice(start, start + COLUMNS_AT_ONCE)
                columns[:, some] = self.matrix.columns(points[some])
            if done:
                gemm(-1.0, earlier, earlier[points], 1.0, columns, trans_b=True, overwrite_c=True)
            trsm(1.0, triangle, columns, side=1, lower=True, trans_a=True, overwrite_b=True)
            columns[self.pivots] = 0.0
            columns[points] = triangle
            self.remaining -= np.einsum("ij,ij->i", columns, columns, dtype=np.float64)
            self.pivots = np.concatenate([self.pivots, points])
            self.remaining[self.pivots] = 0.0
            self.room -= len(points)
        else:
            self.remaining[candidates] = 0.0
        self._drop_rounding()

    def independent(self, candidates: np.ndarray) -> np.ndarray:
        """As many of the first candidates as there is room for, but for those that depend on others to rounding.

        Those with the largest remaining entries come first: in other orders, rounding errors grow with each one.
        """
        chosen, idle = candidates[:0], 0
        while len(chosen) < self.room and len(candidates) and idle < _ROUNDS_WITHOUT_GAIN:
            count = self.room - len(chosen)
            together, candidates = np.concatenate([chosen, candidates[:count]]), candidates[count:]
            remainder = self._remainder(together)
            (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), (remainder,))
            _, order, rank, _ = pstrf(remainder, tol=self.rounding, lower=1, overwrite_a=True)
            idle = 0 if rank > len(chosen) else idle + 1
            chosen = together[order[:rank] - 1]
        return chosen

    def result(self) -> PartialCholesky:
        rank = len(self.pivots)
        if self.room:
            warnings.warn(
                f"the matrix has the numerical rank {rank} at these points: {rank} pivots instead of"
                f" {rank + self.room}",
                RankWarning,
                stacklevel=3,
            )
        return PartialCholesky(self.pivots, self.factor[:, :rank], float(np.sum(self.remaining)))

    def _accept(self, candidates: np.ndarray, thresholds: np.ndarray) -> tuple[list[int], np.ndarray]:
        """Positions of the accepted candidates, and the Cholesky factor of what remains of the matrix between them."""
        remainder = self._remainder(candidates)
        left = np.diagonal(remainder).copy()
        triangle = np.zeros((len(candidates), min(len(candidates), self.room)), order="F")
        accepted: list[int] = []
        for position, threshold in enumerate(thresholds):
            count = len(accepted)
            if count == self.room:
                break
            if left[position] > max(self.rounding, threshold):
                # einsum, since products as small as this would wait for the threads of BLAS.
                known = np.einsum("ij,j->i", triangle[:, :count], triangle[position, :count])
                triangle[:, count] = (remainder[:, position] - known) / np.sqrt(left[position])
                left -= triangle[:, count] ** 2
                accepted.append(position)
        chosen = np.tril(triangle[accepted, : len(accepted)])
        return accepted, np.asfortranarray(chosen, dtype=self.factor.dtype)

    def _remainder(self, points: np.ndarray) -> np.ndarray:
        """Return what remains of the matrix between some points."""
        rows = self.factor[points, : len(self.pivots)]
        (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (self.factor,))
        remainder = np.array(self.between(points), dtype=np.float64, order="F")
        remainder -= gemm(1.0, rows, rows, trans_b=True)
        return remainder

    def _drop_rounding(self) -> None:
        lowest = int(np.argmin(self.remaining))  # of a NaN, if there is one
        if not self.remaining[lowest] >= -_NOISE_FACTOR * self.rounding:
            raise ValueError(
                f"the kernel must be finite and positive semi-definite, got {self.remaining[lowest]:.6g} on the"
                f" diagonal at point {lowest} after {len(self.pivots)} pivots"
            )
        self.remaining[self.remaining <= self.rounding] = 0.0
