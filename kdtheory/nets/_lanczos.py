"""Lanczos' method for symmetric operators, which keeps all that it found orthogonal."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import eigh_tridiagonal

from kdtheory.nets._symmetric import Products


class LanczosRuns:
    """Lanczos' method with full reorthogonalisation, from several vectors at once and each for itself."""

    def __init__(
        self, products: Products, start: np.ndarray, rng: np.random.Generator, outside: np.ndarray | None = None
    ) -> None:
        self._products, self._rng, self._outside = products, rng, outside
        self._room = np.empty((len(start), 16, products.size))
        self.alpha: list[np.ndarray] = []
        self.beta: list[np.ndarray] = []
        self._scale = np.zeros(len(start))
        self._next = self._cleaned(start)
        self._next /= np.linalg.norm(self._next, axis=1, keepdims=True)

    @property
    def steps(self) -> int:
        return len(self.alpha)

    def basis(self, i: int) -> np.ndarray:
        """Orthonormal vectors (steps, p) of one start."""
        return self._room[i, : self.steps]

    def step(self) -> None:
        """Multiply once."""
        now = self._next
        image = self._products(now.T).T
        self.alpha.append(np.sum(now * image, axis=1))
        self._scale = np.maximum(self._scale, _lengths(image))
        if self.steps > self._room.shape[1]:
            self._room = np.concatenate([self._room, np.empty_like(self._room)], axis=1)
        self._room[:, self.steps - 1] = now
        rest = self._cleaned(image)
        lengths = _lengths(rest)
        ended = lengths <= 10.0 * self._products.eps * math.sqrt(self._products.size) * self._scale
        if np.any(ended):  # an invariant space: go on outside it
            fresh = self._cleaned(self._rng.standard_normal(rest.shape))
            rest = np.where(ended[:, None], fresh, rest)
        sizes = _lengths(rest)[:, None]
        self.beta.append(np.where(ended, 0.0, lengths))
        self._next = rest / np.where(sizes > 0.0, sizes, 1.0)

    def ritz(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Ritz values of one start, ascending, and the eigenvectors of its tridiagonal matrix."""
        diagonal, beside = (np.array([each[i] for each in values]) for values in (self.alpha, self.beta[:-1]))
        if len(diagonal) == 1:
            return diagonal, np.ones((1, 1))
        return eigh_tridiagonal(diagonal, beside)

    def _cleaned(self, vectors: np.ndarray) -> np.ndarray:
        """Take away what lies in the space so far; twice, so that nothing of it is left."""
        for _ in range(2):
            if self._outside is not None:
                vectors = vectors - (vectors @ self._outside) @ self._outside.T
            vectors = np.stack([each - self.basis(i).T @ (self.basis(i) @ each) for i, each in enumerate(vectors)])
        return vectors


def _lengths(rows: np.ndarray) -> np.ndarray:
    """Norms of rows, also where their squares are too small for a double."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where(largest > 0.0, largest, 1.0)
    return np.asarray(scale[:, 0] * np.linalg.norm(rows / scale, axis=1))
