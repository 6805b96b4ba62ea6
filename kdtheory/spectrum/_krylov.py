"""Block Krylov spaces: an orthonormal basis that grows by products with an operator, and the operator on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from kdtheory._linear_operator import LinearOperator
from kdtheory.spectrum._lengths import column_lengths, target_lengths

_ASYMMETRIC = 1e-6
_INDEFINITE = 1e6
ROWS_AT_ONCE = 4096


class Subspace:
    """A space that begins with some targets, with an orthonormal basis and the operator on it.

    What is left of a matrix with entries up to `least_scale` has their rounding errors.
    """

    def __init__(self, operator: LinearOperator, targets: np.ndarray, n_columns: int, *, least_scale: float) -> None:
        self._operator = operator
        self._least_scale = least_scale
        self._eps = _rounding_unit(operator)
        self._scale = 1.0
        self._size = 0
        n_points = len(targets)
        self._store = np.empty((n_points, min(n_points, n_columns)), order="F")
        # Targets of unit length, so that none counts as rounding beside larger ones.
        sizes = target_lengths(targets)
        units = targets[:, sizes > 0.0] / sizes[sizes > 0.0]
        is_zero = units.shape[1] == 0
        if is_zero:
            units = np.full((n_points, 1), n_points**-0.5)  # any direction will do
        self._block, self.start = self._orthonormal(units)
        self.start = 0.0 * self.start if is_zero else self.start
        self.matrix = np.zeros((0, 0))
        """The operator on the space, of which the lower triangle counts."""

    @property
    def basis(self) -> np.ndarray:
        """Orthonormal columns, shape (n, size)."""
        return self._store[:, : self._size]

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Descending eigenvalues >= 0 of the operator on the space, and their vectors in its basis."""
        d, vectors = scipy.linalg.eigh(self.matrix, driver="evd", check_finite=False)
        eps, size = float(np.finfo(float).eps), len(self._store) * max(abs(d[0]), abs(d[-1]), self._least_scale)
        rounding = eps * size
        if d[0] < -max(_INDEFINITE * eps, self._eps) * size:
            raise ValueError(
                f"operator must be positive semi-definite, got the Ritz value {d[0]:.6g} beside {d[-1]:.6g}"
            )
        return np.where(d > rounding, d, 0.0)[::-1].copy(), vectors[:, ::-1]

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """Return `basis @ vectors` in the place of the basis, since a second one may not fit into memory."""
        for start in range(0, len(self._store), ROWS_AT_ONCE):
            rows = self.basis[start : start + ROWS_AT_ONCE]
            rows[...] = rows @ vectors
        return self.basis

    def _multiply(self, block: np.ndarray) -> np.ndarray:
        image = np.asarray(self._operator.matmat(block), dtype=float)
        if not np.all(np.isfinite(image)):
            raise OverflowError("operator must have finite products, got an infinity or a NaN")
        return image

    def _require_symmetric(self, inner: np.ndarray, *differences: np.ndarray, usual: float = 0.0) -> None:
        """Refuse differences beyond rounding, for an operator with eigenvalues up to about the `usual`."""
        self._scale = max(self._scale if self._size else self._least_scale, float(np.linalg.norm(inner, 2)))
        off = max(float(np.max(np.abs(part), initial=0.0)) for part in (inner - inner.T, *differences))
        if off > max(_ASYMMETRIC, len(self._store) * self._eps) * max(self._scale, usual):
            raise ValueError(f"operator must be symmetric, got products xᵀ(K y) and yᵀ(K x) that differ by {off:.6g}")

    def _orthonormal(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Orthonormal directions Q outside the space, and R, so that Q R is what of the block lies outside."""
        room = len(self._store) - self._size
        if room == 0:
            return block[:, :0], np.zeros((0, block.shape[1]))
        rest = self._outside(block)
        q, r, order = scipy.linalg.qr(rest, mode="economic", pivoting=True, check_finite=False)
        rounding = len(block) * np.finfo(float).eps * self._scale
        rank = min(int(np.count_nonzero(np.abs(np.diagonal(r)) > rounding)), room)
        coefficients = np.empty((rank, block.shape[1]))
        coefficients[:, order] = r[:rank]
        # A small remainder is mostly rounding along the basis, which counts once it has length one.
        q, r = scipy.linalg.qr(self._outside(q[:, :rank]), mode="economic", check_finite=False)
        return q, r @ coefficients

    def _outside(self, block: np.ndarray) -> np.ndarray:
        return block - self.basis @ (self.basis.T @ block)


def _rounding_unit(operator: LinearOperator) -> float:
    """Relative rounding of the products, which single precision may be."""
    dtype = np.dtype(operator.dtype)
    return float(max(np.finfo(float).eps, np.finfo(dtype).eps if dtype.kind == "f" else 0.0))


class KrylovSpace(Subspace):
    """The space of `y, K y, K² y, …`, one block of columns for each power.

    The operator is known on it as a block tridiagonal matrix, and what it maps out of it lies in the next block.
    """

    def __init__(
        self, operator: LinearOperator, targets: np.ndarray, n_blocks: int, *, least_scale: float = 0.0
    ) -> None:
        super().__init__(operator, targets, n_blocks * targets.shape[1], least_scale=least_scale)
        self._link = np.zeros((self._block.shape[1], 0))

    @property
    def boundary(self) -> np.ndarray:
        """What the operator maps out of the space, in an orthonormal basis of it, shape (width, size)."""
        width, last = self._link.shape
        return np.hstack([np.zeros((width, self._size - last)), self._link])

    def grow(self) -> bool:
        """Take the next block into the space; False when there is nothing that could follow it."""
        block, link = self._block, self._link
        image = self._multiply(block)
        inner, back = block.T @ image, self._store[:, self._size - link.shape[1] : self._size].T @ image
        self._require_symmetric(inner, back - link.T)
        width, size = block.shape[1], self._size
        matrix = np.zeros((size + width, size + width))
        matrix[:size, :size] = self.matrix
        matrix[size:, size:] = inner
        matrix[size:, size - link.shape[1] : size] = link
        self.matrix = matrix
        self._store[:, size : size + width] = block
        self._size += width
        self._block, self._link = self._orthonormal(image)
        return self._block.shape[1] > 0


def residual(
    boundary: np.ndarray, coefficient: np.ndarray, coordinates: np.ndarray, sizes: np.ndarray | float
) -> np.ndarray:
    """Size of `K c − fitted` over that of the targets, for every output."""
    weights = coefficient if coordinates.ndim == 1 else coefficient[:, None]
    left = column_lengths(boundary[:, : len(coefficient)] @ (weights * coordinates))
    return np.where(left > 0.0, left / np.where(left > 0.0, sizes, 1.0), 0.0)


def largest_residual(space: KrylovSpace, filters: list[Callable[[np.ndarray], np.ndarray]]) -> float:
    """Largest residual of the targets that the space began with, of all filters."""
    d, vectors = space.ritz()
    coordinates = vectors[: len(space.start)].T @ space.start
    boundary = space.boundary @ vectors
    return max(float(np.max(residual(boundary, filter_(d), coordinates, 1.0))) for filter_ in filters)
