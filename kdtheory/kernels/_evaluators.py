"""Evaluators: kernel values of a tile from products of features, or from differences of coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_DIGITS = {np.dtype(np.float64): 1e-13, np.dtype(np.float32): 1e-5}
"""Largest error of a squared distance, relative to 1, that products of features may make."""


@dataclass(frozen=True)
class ProductEvaluator:
    """Tiles of `finish(left · rightᵀ)`: one BLAS product, and a function that works in place."""

    left: np.ndarray
    right: np.ndarray
    finish: Callable[[np.ndarray, slice, slice], None]

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        np.matmul(self.left[rows], self.right[columns].T, out=tile)
        self.finish(tile, rows, columns)


@dataclass(frozen=True)
class DifferenceEvaluator:
    """Tiles of `finish(Σ scale·|xᵢ − yᵢ|)`, or of squares, without the rounding of large coordinates that cancel."""

    left: np.ndarray
    right: np.ndarray
    scale: float
    squared: bool
    finish: Callable[[np.ndarray, slice, slice], None]

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        tile[...] = 0.0
        scale = clipped_scale(self.scale, tile.dtype)
        with np.errstate(over="ignore"):
            for x, y in zip(self.left[rows].T, self.right[columns].T, strict=True):
                difference = np.abs(x[:, None] - y[None, :]) * scale
                tile += difference * difference if self.squared else difference
        self.finish(tile, rows, columns)


def squared_distances(
    X: np.ndarray, Y: np.ndarray, scale: float, finish: Callable[[np.ndarray, slice, slice], None]
) -> ProductEvaluator | DifferenceEvaluator:
    """Make what evaluates `finish(−scale²·‖x − y‖²)`.

    The product of `(√2·x, −‖x‖², 1)` and `(√2·y, 1, −‖y‖²)`, of coordinates from a common centre, is the negative
    squared distance. Its rounding grows with the norms: where it would cost digits, differences are used.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        centre, factor = np.mean(X, axis=0), clipped_scale(scale, X.dtype)
        x_centred, y_centred = (X - centre) * factor, (Y - centre) * factor
        x_norm, y_norm = np.sum(x_centred**2, axis=1), np.sum(y_centred**2, axis=1)
        error = 4.0 * np.finfo(X.dtype).eps * (float(np.max(x_norm)) + float(np.max(y_norm)))
    if not error <= _DIGITS[X.dtype]:
        return DifferenceEvaluator(X, Y, scale, True, _negated(finish))
    root = math.sqrt(2.0)
    ones = np.ones((1, 1), dtype=X.dtype)
    left = np.hstack([root * x_centred, -x_norm[:, None], np.broadcast_to(ones, (len(X), 1))])
    right = np.hstack([root * y_centred, np.broadcast_to(ones, (len(Y), 1)), -y_norm[:, None]])
    return ProductEvaluator(left, right, _clipped(finish))


def clipped_scale(scale: float, dtype: np.dtype) -> np.floating:
    """`scale` as a finite number of this dtype: with a larger one, too, all but equal points are infinitely far."""
    return dtype.type(min(scale, float(np.finfo(dtype).max)))


def _negated(finish: Callable[[np.ndarray, slice, slice], None]) -> Callable[[np.ndarray, slice, slice], None]:
    def negate_and_finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
        np.negative(tile, out=tile)
        finish(tile, rows, columns)

    return negate_and_finish


def _clipped(finish: Callable[[np.ndarray, slice, slice], None]) -> Callable[[np.ndarray, slice, slice], None]:
    def clip_and_finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
        np.minimum(tile, 0.0, out=tile)
        finish(tile, rows, columns)

    return clip_and_finish
