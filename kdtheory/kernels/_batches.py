"""Kernels of points that are compared in batches of one size, as compiled libraries like it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from kdtheory._validation import require_positive_integer
from kdtheory.kernels._evaluators import Evaluator, tiles
from kdtheory.kernels.base import Kernel

_MOST_ON_DIAGONAL = 16


@dataclass(frozen=True)
class BatchedKernel(Kernel):
    """A kernel whose Gram matrices come from `_between`, in batches of `_points_at_once`; points may be images."""

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        return _BatchEvaluator(self, X, Y)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        size = min(self._points_at_once, _MOST_ON_DIAGONAL)
        values = np.empty(len(X), dtype=X.dtype)
        for rows in tiles(len(X), size):
            values[rows] = self._with_themselves(self._batch(X[rows], size))[: rows.stop - rows.start]
        return values

    @property
    @abstractmethod
    def _points_at_once(self) -> int:
        """Number of points in a batch."""

    @property
    @abstractmethod
    def _shape_of_a_point(self) -> tuple[int, ...] | None:
        """Shape of one point, whose entries are a row in C order; None for the row itself."""

    @abstractmethod
    def _between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Give the kernel values between two batches in double precision."""

    @abstractmethod
    def _with_themselves(self, batch: np.ndarray) -> np.ndarray:
        """Give the kernel value of each point of a batch with itself."""

    def _batch(self, points: np.ndarray, size: int) -> np.ndarray:
        """Points in double precision and their shape, the last repeated until there are `size` of them."""
        shape = self._shape_of_a_point
        if shape is not None and math.prod(shape) != points.shape[1]:
            raise ValueError(
                f"X must have {math.prod(shape)} columns, as points of shape {shape} have entries, got"
                f" {points.shape[1]}"
            )
        batch = np.empty((size, points.shape[1]))
        batch[: len(points)], batch[len(points) :] = points, points[-1]
        return batch if shape is None else batch.reshape(size, *shape)


class _BatchEvaluator(Evaluator):
    """Values of a `BatchedKernel` between two blocks of points."""

    def __init__(self, kernel: BatchedKernel, X: np.ndarray, Y: np.ndarray) -> None:
        self.shape = (len(X), len(Y))
        self._kernel, self._X, self._Y = kernel, X, Y

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        size, left, right = self._kernel._points_at_once, self._X[rows], self._Y[columns]
        mirrored = _same_memory(left, right)
        for some in tiles(len(left), size):
            batch = self._kernel._batch(left[some], size)
            for others in tiles(some.stop if mirrored else len(right), size):
                values = self._kernel._between(batch, self._kernel._batch(right[others], size))
                tile[some, others] = values[: some.stop - some.start, : others.stop - others.start]
                if mirrored and others != some:
                    tile[others, some] = tile[some, others].T


def _same_memory(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether these are the same points, and their values need not be computed twice."""
    return all(getattr(left, name) == getattr(right, name) for name in ("shape", "strides")) and (
        left.__array_interface__["data"] == right.__array_interface__["data"]
    )


def require_shape(name: str, value: object) -> tuple[int, ...]:
    """`value` as a shape of positive integers."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a sequence of integers, got {value!r}")
    return tuple(require_positive_integer(name, size) for size in value)
