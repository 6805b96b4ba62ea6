"""Spaces that grow as preconditioned conjugate gradients do, for many filters of an operator at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg

from kdtheory._interop import to_numpy
from kdtheory._linear_operator import LinearOperator
from kdtheory.spectrum._krylov import ROWS_AT_ONCE, Subspace
from kdtheory.spectrum.base import Spectrum

_FIRST_COLUMNS = 64
_MORE_COLUMNS = 1.5
_DEPENDENT = 1e-12
_OF_A_RIDGE = 1e-12
_OF_ITS_OWN = 0.1
"""Least part of a residual's direction outside those of others that gets a column: a column costs memory."""


class PreconditionedSpace(Subspace):
    """Targets, what filters of a nearby matrix make of them, and what these make of every residual that is left.

    For a single ridge it holds the iterates of preconditioned conjugate gradients, and for many those of each. What the
    operator maps out of it may have as many directions as the space, so the products are kept.
    """

    def __init__(
        self,
        operator: LinearOperator,
        targets: np.ndarray,
        filters: Sequence[Callable[[np.ndarray], np.ndarray]],
        nearby: Spectrum,
        *,
        least_scale: float = 0.0,
    ) -> None:
        super().__init__(operator, targets, _FIRST_COLUMNS, least_scale=least_scale)
        self._filters = filters
        self._vectors = to_numpy(nearby.eigenvectors)
        eigenvalues = to_numpy(nearby.eigenvalues).astype(float)
        self._at_zero = np.array([float(filter_(np.zeros(1))[0]) for filter_ in filters])
        if not np.all(np.isfinite(self._at_zero)):
            wrong = self._at_zero[~np.isfinite(self._at_zero)][0]
            raise ValueError(f"filter_ must be finite at zero eigenvalues to be preconditioned, got {wrong}")
        self._usual = float(np.max(eigenvalues, initial=0.0))
        values, at_zero = np.stack([filter_(eigenvalues) for filter_ in filters]), self._at_zero[:, None]
        self._beyond = values - at_zero
        # What is left of a ridge's equation bounds its error; of others it is an estimate, which may be too small.
        from_ridge = np.abs(values * (eigenvalues * at_zero + 1.0) - at_zero)
        self._is_ridge = np.all(from_ridge <= _OF_A_RIDGE * np.abs(at_zero), axis=1)
        self._solutions = np.zeros((0, 0))
        self._images = np.empty_like(self._store)
        which = np.repeat(np.arange(len(filters)), self._block.shape[1])
        filtered = self._filtered(which, np.tile(self._block, len(filters)))
        self._block = np.hstack([self._block, _directions(filtered, self._block, least=_DEPENDENT)])

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing that could follow."""
        return self._block.shape[1] == 0

    @property
    def boundary(self) -> np.ndarray:
        """What the operator maps out of the space, up to a rotation, shape (at most size, size)."""
        triangle = np.zeros((0, self._size))
        for start in range(0, len(self._store), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            left = self._images[rows, : self._size] - self.basis[rows] @ self.matrix
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, left]), mode="r"))
        return triangle

    def grow(self, accuracy: float) -> float:
        """Take the next directions, of filters above accuracy and rounding, and return the largest residual left."""
        size_before = self._size
        self._take(self._block)
        d, vectors = self.ritz()
        coordinates = vectors[: len(self.start)].T @ self.start
        solutions = np.hstack([vectors @ (filter_(d)[:, None] * coordinates) for filter_ in self._filters])
        left = self._images[:, : self._size] @ solutions - self.basis @ (self.matrix @ solutions)
        residuals = np.linalg.norm(left, axis=0)
        sizes = np.maximum(residuals, self._changes(solutions))
        above = sizes > np.maximum(accuracy, self._eps * d[0] * np.linalg.norm(solutions, axis=0))
        which = np.repeat(np.arange(len(self._filters)), self.start.shape[1])
        above_zero = above & (residuals > 0.0)
        units = left[:, above_zero] / residuals[above_zero]
        self._block = _directions(self._filtered(which[above_zero], units), self.basis, least=_OF_ITS_OWN)
        if self.is_complete:  # a filter that cuts modes off maps everything into the vectors of the nearby matrix
            self._block = _directions(units, self.basis, least=_OF_ITS_OWN)
        if self.is_complete and np.any(above):  # residuals that vanish by chance do not say where to go on
            self._block = _directions(self._images[:, size_before : self._size], self.basis, least=_OF_ITS_OWN)
        return float(np.max(residuals if self.is_complete else sizes))

    def _changes(self, solutions: np.ndarray) -> np.ndarray:
        """How far the last step has moved the fitted values, where residuals are estimates: not for ridges."""
        before = np.zeros_like(solutions)
        if len(self._solutions):
            before[: len(self._solutions)] = self._solutions
        self._solutions = solutions
        moved = np.linalg.norm(self._images[:, : self._size] @ (solutions - before), axis=0)
        return np.where(np.repeat(self._is_ridge, self.start.shape[1]), 0.0, moved)

    def _take(self, block: np.ndarray) -> None:
        image = self._multiply(block)
        inner, across = block.T @ image, self.basis.T @ image
        self._require_symmetric(inner, across - self._images[:, : self._size].T @ block, usual=self._usual)
        size, total = self._size, self._size + block.shape[1]
        if total > self._store.shape[1]:
            columns = min(len(block), max(total, int(_MORE_COLUMNS * size)))
            self._store, self._images = (_longer(columns, old, size) for old in (self._store, self._images))
        self._store[:, size:total], self._images[:, size:total] = block, image
        self.matrix = np.block([[self.matrix, across], [across.T, 0.5 * (inner + inner.T)]])
        self._size = total

    def _filtered(self, which: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Apply a filter of the nearby matrix to each column."""
        inside = self._vectors.T @ columns.astype(self._vectors.dtype, copy=False)
        weighted = (self._beyond[which].T * inside).astype(self._vectors.dtype, copy=False)
        return self._at_zero[which] * columns + self._vectors @ weighted


def _directions(columns: np.ndarray, basis: np.ndarray, *, least: float) -> np.ndarray:
    """Return orthonormal directions for what of the columns is outside a basis, but for its part `least`."""
    sizes = np.linalg.norm(columns, axis=0)
    units = columns[:, sizes > 0.0] / sizes[sizes > 0.0]
    for _ in range(2):  # a small remainder is mostly rounding along the basis
        units = units - basis @ (basis.T @ units)
    left = np.linalg.norm(units, axis=0)
    is_new = left > len(units) * np.finfo(float).eps
    room = len(basis) - basis.shape[1]
    if room == 0 or not np.any(is_new):
        return columns[:, :0]
    q, r, _ = scipy.linalg.qr(units[:, is_new] / left[is_new], mode="economic", pivoting=True, check_finite=False)
    rank = min(room, int(np.count_nonzero(np.abs(np.diagonal(r)) > least)))
    q = q[:, :rank] - basis @ (basis.T @ q[:, :rank])
    return np.asarray(scipy.linalg.qr(q, mode="economic", check_finite=False)[0])


def _longer(columns: int, old: np.ndarray, size: int) -> np.ndarray:
    new = np.empty((len(old), columns), order="F")
    new[:, :size] = old[:, :size]
    return new
