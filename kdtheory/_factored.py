"""Eigendecomposition of a symmetric matrix that leaves its eigenvectors in factors.

LAPACK finds `A = Q T Qᵀ` with Householder reflections Q and a tridiagonal T, then `T = W diag(d) Wᵀ`, and last
multiplies out `U = Q W`. The last part takes about two fifths of the time, and a few hundred products with U can do
without it: the reflections apply to each column as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True, eq=False)
class FactoredEigenvectors:
    """Eigenvectors `U = Q W`, never multiplied out: `reflections` and `scales` make Q, `tridiagonal` is W."""

    reflections: np.ndarray
    scales: np.ndarray
    tridiagonal: np.ndarray

    @property
    def n_points(self) -> int:
        return int(self.tridiagonal.shape[0])

    def multiply(self, columns: np.ndarray) -> np.ndarray:
        """Return `U @ columns`."""
        return self._reflect(self.tridiagonal @ columns, "N")

    def multiply_transposed(self, columns: np.ndarray) -> np.ndarray:
        """Return `Uᵀ @ columns`."""
        return self.tridiagonal.T @ self._reflect(columns, "T")

    def dense(self) -> np.ndarray:
        """Return U."""
        return self._reflect(self.tridiagonal, "N")

    def _reflect(self, columns: np.ndarray, transposed: str) -> np.ndarray:
        (ormqr,) = scipy.linalg.get_lapack_funcs(("ormqr",), (self.reflections,))
        below = columns[1:]  # the first row is in no reflection
        moved = np.array(below.reshape(below.shape[0], -1), dtype=self.reflections.dtype, order="F")
        _, work, _ = ormqr("L", transposed, self.reflections, self.scales, moved, -1)
        moved, _, info = ormqr("L", transposed, self.reflections, self.scales, moved, int(work[0]), overwrite_c=1)
        _require_success("ormqr", info)
        reflected = np.empty(columns.shape, dtype=moved.dtype, order="F")
        reflected[0], reflected[1:] = columns[0], moved.reshape(below.shape)
        return reflected


def decompose(matrix: np.ndarray) -> tuple[np.ndarray, FactoredEigenvectors]:
    """Descending eigenvalues and factored eigenvectors of a symmetric matrix of two rows or more.

    The matrix is overwritten. Its entries must be far from the ends of the floating-point range.
    """
    functions = ("sytrd", "sytrd_lwork", "stevd")
    sytrd, sytrd_lwork, stevd = scipy.linalg.get_lapack_funcs(functions, (matrix,))
    # The transpose of a symmetric C-ordered matrix is the same matrix in LAPACK's own order: no further copy.
    room = int(sytrd_lwork(matrix.shape[0], lower=1)[0])
    factors, diagonal, off_diagonal, scales, info = sytrd(matrix.T, lower=1, lwork=room, overwrite_a=1)
    _require_success("sytrd", info)
    ascending, vectors, info = stevd(diagonal, off_diagonal, compute_v=1)
    _require_success("stevd", info)
    # A flipped array is a view with negative strides, which BLAS would copy at every product.
    vectors = np.array(vectors[:, ::-1], order="F")
    return ascending[::-1].copy(), FactoredEigenvectors(np.asfortranarray(factors[1:, :-1]), scales, vectors)


def _require_success(routine: str, info: int) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's {routine} did not succeed on K (info = {info})")
