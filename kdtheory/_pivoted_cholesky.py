"""Low-rank eigendecomposition of a positive semi-definite matrix from a pivoted Cholesky factor.

Points are eliminated in blocks of those with the largest remaining diagonal entries, so a factor of rank r costs
`O(n·r²)` in matrix products, and the trace of the remainder, known at every block, says when to stop.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

_CANDIDATES = 128
_KEPT_ABOVE = 0.03
_NOISE_FACTOR = 1e3


def low_rank_eigh(matrix: np.ndarray, tolerance: float, max_rank: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Descending eigenvalues (r,) and orthonormal eigenvectors (n, r) that leave out a trace of at most `tolerance`.

    A tolerance below `n·eps·d_max`, up to which whole decompositions lose eigenvalues to rounding, is raised to it.
    None when a Cholesky factor of more than `max_rank` columns is needed, and when the matrix shows itself not to be
    positive semi-definite. The matrix is left as it is.
    """
    tolerance = max(tolerance, _rounding(matrix))
    factor = pivoted_cholesky(matrix, 0.5 * tolerance, max_rank)
    if factor is None:
        return None
    left_out, norm = _remainder(matrix, factor)
    # Small entries on the diagonal of the remainder say nothing about the others unless it is positive semi-definite.
    # If it is, its Frobenius norm is at most its trace.
    if norm > min(left_out + _NOISE_FACTOR * _rounding(matrix), tolerance):
        return None
    # The eigenvalues of R Rᵀ have the absolute accuracy of those of the whole matrix, and Q W is orthonormal to
    # rounding, whatever the condition; those of the smaller Lᵀ L would lose both on small eigenvalues.
    q, r = scipy.linalg.qr(factor, mode="economic", overwrite_a=True, check_finite=False)
    (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (r,))
    core = gemm(1.0, r, r, trans_b=True)
    ascending, vectors = scipy.linalg.eigh(core, driver="evd", overwrite_a=True, check_finite=False)
    rank = _rank(ascending[::-1], tolerance - left_out)
    return ascending[::-1][:rank].copy(), gemm(1.0, q, np.asfortranarray(vectors[:, ::-1][:, :rank]))


def _rounding(matrix: np.ndarray) -> float:
    """`n·eps·d_max`, with the lower bound `Σ d² / Σ d` for d_max."""
    trace = float(np.trace(matrix))
    # einsum, since numpy's products would start threads beside those of scipy's LAPACK.
    largest = float(np.einsum("ij,ij->", matrix, matrix)) / trace if trace > 0.0 else 0.0
    return matrix.shape[0] * float(np.finfo(matrix.dtype).eps) * largest


def pivoted_cholesky(matrix: np.ndarray, tolerance: float, max_rank: int) -> np.ndarray | None:
    """Factor L of shape (n, r) for which the trace of `matrix − L Lᵀ` is at most `tolerance`, or None; see above."""
    n = matrix.shape[0]
    remaining = np.diagonal(matrix).copy()
    rounding = n * np.finfo(matrix.dtype).eps * float(np.max(remaining))
    if tolerance < rounding or np.min(remaining) < -rounding:
        return None
    factor = np.empty((n, max_rank), dtype=matrix.dtype, order="F")  # pages that are never written take no memory
    gemm, trsm = scipy.linalg.get_blas_funcs(("gemm", "trsm"), (factor,))
    rank = 0
    while np.sum(remaining) > tolerance:
        pivots, triangle = _next_pivots(matrix, factor[:, :rank], remaining)
        stop = rank + len(pivots)
        if not rank < stop <= max_rank:
            return None
        columns = factor[:, rank:stop]
        columns[...] = matrix[pivots].T  # rows, since those are contiguous
        if rank:
            columns = gemm(-1.0, factor[:, :rank], factor[pivots, :rank], 1.0, columns, trans_b=True, overwrite_c=True)
        columns = trsm(1.0, triangle, columns, side=1, lower=True, trans_a=True, overwrite_b=True)
        factor[:, rank:stop] = columns
        remaining -= np.einsum("ij,ij->i", columns, columns)
        remaining[pivots] = 0.0
        if np.min(remaining) < -rounding:
            return None
        rank = stop
    return factor[:, :rank] if rank else None


def _next_pivots(matrix: np.ndarray, factor: np.ndarray, remaining: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points to eliminate next, and the Cholesky factor of what remains of the matrix between them.

    Points with large remaining entries may be close to each other: of the candidates, those stay whose entry is not
    small after the elimination of the others.
    """
    count = min(_CANDIDATES, len(remaining))
    candidates = np.argpartition(remaining, len(remaining) - count)[len(remaining) - count :]
    (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (matrix,))
    (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), (matrix,))
    between = matrix[np.ix_(candidates, candidates)]
    if factor.shape[1]:
        between = gemm(-1.0, factor[candidates], factor[candidates], 1.0, between, trans_b=True)
    triangle, order, rank, _ = pstrf(between, tol=_KEPT_ABOVE * float(np.max(remaining)), lower=1)
    return candidates[order[:rank] - 1], np.asfortranarray(triangle[:rank, :rank])


def _remainder(matrix: np.ndarray, factor: np.ndarray) -> tuple[float, float]:
    """Trace and Frobenius norm of `matrix − L Lᵀ`, in blocks of rows, from the lower triangle."""
    (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (factor,))
    trace, squares = 0.0, 0.0
    for start in range(0, matrix.shape[0], 512):
        rows = slice(start, start + 512)
        below = matrix[rows, start:].T - gemm(1.0, factor[start:], factor[rows], trans_b=True)
        size = below.shape[1]
        trace += float(np.trace(below[:size]))
        squares += float(np.sum(below[:size] ** 2)) + 2.0 * float(np.sum(below[size:] ** 2))
    return trace, float(np.sqrt(squares))


def _rank(eigenvalues: np.ndarray, tolerance: float) -> int:
    """How many of the descending eigenvalues, at least one, leave the others with a sum of at most `tolerance`."""
    sums_of_others = np.cumsum(eigenvalues[:0:-1])
    return len(eigenvalues) - int(np.searchsorted(sums_of_others, tolerance, side="right"))
