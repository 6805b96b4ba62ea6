"""Eigendecomposition of a symmetric matrix that leaves its eigenvectors in factors.

LAPACK finds `A = Q T Qᵀ` with Householder reflections Q and a tridiagonal T, then `T = W diag(d) Wᵀ`, and last
multiplies out `U = Q W`. The last part takes about two fifths of the time, and a few products with U can do without
it: the reflections apply to each column as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

_LEAST_COST = 1 / 32
"""Of a product with the factors: LAPACK reads the reflections in narrow blocks, however few the columns are."""


@dataclass(frozen=True, eq=False)
class FactoredEigenvectors:
    """Eigenvectors `U = Q W`, not multiplied out: `reflections` and `scales` make Q, `tridiagonal` is W.

    Column j of the reflections (n, n), in Fortran order, holds below its first entry under the diagonal, which is one,
    the vector v of the reflection `I − scales[j]·v vᵀ`, as LAPACK's sytrd leaves it.
    """

    reflections: np.ndarray
    scales: np.ndarray
    tridiagonal: np.ndarray

    @property
    def n_points(self) -> int:
        return int(self.tridiagonal.shape[0])

    def cost(self, n_columns: int) -> float:
        """Cost of a product with so many columns, in units of that of `dense`."""
        return max(n_columns / self.n_points, _LEAST_COST)

    def multiply(self, columns: np.ndarray) -> np.ndarray:
        """Return `U @ columns`."""
        return self._reflect(self.tridiagonal @ columns, "N")

    def multiply_transposed(self, columns: np.ndarray) -> np.ndarray:
        """Return `Uᵀ @ columns`."""
        return self.tridiagonal.T @ self._reflect(columns, "T")

    def dense(self) -> np.ndarray:
        """Return U, in C order; beside it, no other array of its size is made.

        `H_i ⋯ H_j = I − V T Vᵀ` with `T⁻¹ = diag(1 / scales) + striu(Vᵀ V)`: wider blocks than LAPACK's own make the
        products faster than those of ormqr, and in C order they change the rows below the diagonal in place.
        """
        product = np.array(self.tridiagonal, order="C")
        (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (product,))
        (trtri,) = scipy.linalg.get_lapack_funcs(("trtri",), (product,))
        count = len(self.scales)
        block = 64 if count < 2000 else 128
        for start in reversed(range(0, count, block)):
            stop = min(start + block, count)
            scales = self.scales[start:stop]
            v = np.tril(self.reflections[start + 1 :, start:stop]).astype(product.dtype, order="F", copy=False)
            np.fill_diagonal(v, 1.0)
            # A reflection of scale zero is none at all.
            v[:, scales == 0.0] = 0.0
            inverse = np.triu(gemm(1.0, v, v, trans_a=True), 1)
            np.fill_diagonal(inverse, 1.0 / np.where(scales == 0.0, 1.0, scales))
            middle, info = trtri(inverse)
            _require_success("trtri", info)
            below = product[start + 1 :].T  # in Fortran order, so that gemm writes where it is
            gemm(-1.0, gemm(1.0, below, v), gemm(1.0, v, middle), 1.0, below, trans_b=True, overwrite_c=True)
        return product

    def _reflect(self, columns: np.ndarray, transposed: str) -> np.ndarray:
        (ormqr,) = scipy.linalg.get_lapack_funcs(("ormqr",), (self.reflections,))
        n = self.n_points
        # The reflections without their first row, which is in none: read on from the second entry, since a slice
        # would be copied at every call. LAPACK takes no notice of the row too many at the end.
        without_first_row = self.reflections.reshape(-1, order="F")[1 : 1 + n * (n - 1)].reshape((n, n - 1), order="F")
        below = columns[1:]
        moved = np.array(below.reshape(n - 1, -1), dtype=self.reflections.dtype, order="F")
        _, work, _ = ormqr("L", transposed, without_first_row, self.scales, moved, -1)
        room = int(work[0])
        moved, _, info = ormqr("L", transposed, without_first_row, self.scales, moved, room, overwrite_c=1)
        _require_success("ormqr", info)
        reflected = np.empty(columns.shape, dtype=moved.dtype, order="F")
        reflected[0], reflected[1:] = columns[0], moved.reshape(below.shape)
        return reflected


def decompose(matrix: np.ndarray) -> tuple[np.ndarray, FactoredEigenvectors]:
    """Descending eigenvalues and factored eigenvectors of a symmetric matrix of two rows or more.

    The matrix is overwritten. Its entries must be far from the ends of the floating-point range. Beside it, two
    arrays of its size are made, the eigenvectors of the tridiagonal matrix and their work space.
    """
    functions = ("sytrd", "sytrd_lwork", "stevd")
    sytrd, sytrd_lwork, stevd = scipy.linalg.get_lapack_funcs(functions, (matrix,))
    # The transpose of a symmetric C-ordered matrix is the same matrix in LAPACK's own order: no further copy.
    room = int(sytrd_lwork(matrix.shape[0], lower=1)[0])
    reflections, diagonal, off_diagonal, scales, info = sytrd(matrix.T, lower=1, lwork=room, overwrite_a=1)
    _require_success("sytrd", info)
    # Ascending eigenvalues of −T are descending ones of T: nothing needs to be turned round.
    negated, vectors, info = stevd(-diagonal, -off_diagonal, compute_v=1)
    _require_success("stevd", info)
    return -negated, FactoredEigenvectors(reflections, scales, vectors)


def _require_success(routine: str, info: int) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's {routine} did not succeed on K (info = {info})")
