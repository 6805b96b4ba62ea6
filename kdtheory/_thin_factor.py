"""Eigendecomposition of `F Fᵀ` for a tall factor F, in the memory of F."""

from __future__ import annotations

import numpy as np
import scipy.linalg

ROWS_AT_ONCE = 4096
_PASSES = 3
_NEARLY_ORTHONORMAL = 0.1


def eigh_of_factor(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (r,), orthonormal eigenvectors (n, r) and loadings `Fᵀ U` (m, r) of `F Fᵀ`, eigenvalues descending.

    F of shape (n, m), in Fortran order, is overwritten: the eigenvectors are in its memory, and nothing else of its
    size is made. Eigenvalues within rounding of zero, `m·eps·d_max`, are left out.

    `F = Q R`, and `U = Q W` with the eigenvectors W of `R Rᵀ`, which is orthonormal to rounding whatever the condition
    of F, as U from the smaller `Fᵀ F` would not be.
    """
    (gemm,) = scipy.linalg.get_blas_funcs(("gemm",), (factor,))
    last, triangle = _nearly_orthonormalise(factor)
    core = gemm(1.0, triangle, triangle, trans_b=True)
    ascending, vectors = scipy.linalg.eigh(core, driver="evd", overwrite_a=True, check_finite=False)
    eigenvalues, vectors = ascending[::-1], vectors[:, ::-1]
    rounding = len(eigenvalues) * np.finfo(factor.dtype).eps * eigenvalues[0]
    rank = max(int(np.count_nonzero(eigenvalues > rounding)), 1)
    kept = np.asfortranarray(vectors[:, :rank])
    rotation = scipy.linalg.solve_triangular(last, kept, check_finite=False)
    for start in range(0, len(factor), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        factor[rows, :rank] = gemm(1.0, np.asfortranarray(factor[rows]), rotation)
    return eigenvalues[:rank].copy(), factor[:, :rank], gemm(1.0, triangle, kept, trans_a=True)


def _nearly_orthonormalise(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Overwrite F with X and return upper triangular S and R, with `F = Q R` and `Q = X S⁻¹` orthonormal to rounding.

    X is F divided by the Cholesky factor of `Fᵀ F`. That is a good enough start, although it squares the condition,
    since columns of very different lengths do no harm: those of pivoted Cholesky factors are far from dependent once
    they have the length one. Where they are not, LAPACK's Householder reflections take over.
    """
    n_columns = factor.shape[1]
    syrk, trmm, trsm = scipy.linalg.get_blas_funcs(("syrk", "trmm", "trsm"), (factor,))
    (potrf,) = scipy.linalg.get_lapack_funcs(("potrf",), (factor,))
    identity = np.eye(n_columns, dtype=factor.dtype, order="F")
    gram, triangle = syrk(1.0, factor, trans=1), identity
    for _ in range(_PASSES):
        step, info = potrf(gram, lower=0, clean=1)
        if info != 0:
            break
        trsm(1.0, step, factor, side=1, overwrite_b=True)
        gram = syrk(1.0, factor, trans=1)
        triangle = trmm(1.0, step, triangle)
        if np.sqrt(2.0) * np.linalg.norm(gram - identity) <= _NEARLY_ORTHONORMAL:  # of the upper half
            step, _ = potrf(gram, lower=0, clean=1)
            return step, trmm(1.0, step, triangle)
    factor[...], step = scipy.linalg.qr(factor, mode="economic", overwrite_a=True, check_finite=False)
    return identity, trmm(1.0, np.asfortranarray(step), triangle)
