"""Evaluators: kernel values between two blocks of points, and products with them, a tile at a time."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_HEIGHT, _WIDTH = 256, 512

_MOST_FEATURES = 256
"""Up to here compiled loops over differences are faster than BLAS products, and they are always more accurate."""

_ALLOWED_ERROR = {np.dtype(np.float64): 5e-13, np.dtype(np.float32): 5e-6}
"""Largest error of a squared distance, in the unit of the kernel, that products of features may make."""


@dataclass(frozen=True)
class Sums:
    """What a block is multiplied by, and the sums to which the products are added.

    Attributes
    ----------
    V_T : array of shape (k, columns)
    W : array of shape (rows, k)
    on_rows : array of shape (rows, k)
        Takes `K V`.
    on_columns_T : array of shape (k, columns)
        Takes the transpose of `Kᵀ W`.
    """

    V_T: np.ndarray
    W: np.ndarray
    on_rows: np.ndarray
    on_columns_T: np.ndarray


class Evaluator(ABC):
    """Kernel values between two blocks of points.

    Attributes
    ----------
    shape : (int, int)
        Numbers of points.
    """

    shape: tuple[int, int]

    @abstractmethod
    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""

    def add_products(self, sums: Sums, *, mirrored: bool, diagonal: np.ndarray | None) -> None:
        """Add `K V` to one sum and, if mirrored, `Kᵀ W` to the other.

        A block with a `diagonal` is symmetric: tiles below it are mirrored, and none above it is evaluated.
        """
        loops = compiled_loops()
        room = np.empty(_HEIGHT * _WIDTH, dtype=sums.W.dtype)
        symmetric = diagonal is not None
        for rows in tiles(self.shape[0], _HEIGHT):
            height = rows.stop - rows.start
            padded = -(-height // loops.ROWS_AT_ONCE) * loops.ROWS_AT_ONCE
            off_diagonal = tiles(rows.start if symmetric else self.shape[1], _WIDTH)
            for columns in [*off_diagonal, rows] if symmetric else off_diagonal:
                width = columns.stop - columns.start
                tile = room[: padded * width].reshape(padded, width)
                tile[height:] = 0.0
                self.fill(rows, columns, tile[:height])
                if diagonal is not None and columns is rows:
                    np.fill_diagonal(tile, diagonal[rows])
                both = columns is not rows and (mirrored or symmetric)
                loops.multiply(
                    tile, rows.start, rows.stop, columns.start, sums.V_T, sums.W, sums.on_rows, sums.on_columns_T, both
                )


class DifferenceEvaluator(Evaluator):
    """Functions of the sum of squared or absolute differences of coordinates, times a scale.

    Differences of large coordinates keep their digits, which products of them do not. Coordinates are scaled by a
    power of two, which loses none either, and distances by the rest of the scale. For kernels that are 1 at equal
    points.
    """

    def __init__(self, X: np.ndarray, Y: np.ndarray, scale: float, function: str, *, squared: bool = True) -> None:
        self.shape = (len(X), len(Y))
        self._loops = compiled_loops()
        self._kind = getattr(self._loops, function)
        self._squared = squared
        mantissa, exponent = math.frexp(scale)
        self._factor = X.dtype.type(mantissa**2 if squared else mantissa)
        n_features = -(-X.shape[1] // self._loops.FEATURES_AT_ONCE) * self._loops.FEATURES_AT_ONCE
        self._X = np.zeros((len(X), n_features), dtype=X.dtype)
        self._Y_T = np.zeros((n_features, len(Y)), dtype=X.dtype)
        with np.errstate(over="ignore"):
            np.ldexp(X, exponent, out=self._X[:, : X.shape[1]])
            np.ldexp(Y.T, exponent, out=self._Y_T[: X.shape[1]])
        if not (np.isfinite(self._X).all() and np.isfinite(self._Y_T).all()):
            raise OverflowError(f"X times the kernel's scale, {scale:g}, is too large for {X.dtype}")

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        distances = self._loops.squared_distances if self._squared else self._loops.absolute_distances
        distances(self._X, rows.start, rows.stop, self._Y_T, columns.start, columns.stop, tile)
        self._loops.finish_distances(tile, self._kind, self._factor)

    def add_products(self, sums: Sums, *, mirrored: bool, diagonal: np.ndarray | None) -> None:
        """Do the same in one compiled loop, whose tiles stay in the cache."""
        self._loops.multiply_by_distances(
            self._X,
            self._Y_T,
            self._squared,
            self._kind,
            self._factor,
            sums.V_T,
            sums.W,
            sums.on_rows,
            sums.on_columns_T,
            mirrored,
            diagonal is not None,
            np.empty(self._loops.STRIP_VALUES, dtype=sums.W.dtype),
        )


class ProductEvaluator(Evaluator):
    """Functions of inner products of features: one BLAS product a tile, and a function that changes it in place."""

    def __init__(
        self, left: np.ndarray, right: np.ndarray, finish: Callable[[np.ndarray, slice, slice], None] | None
    ) -> None:
        self.shape = (len(left), len(right))
        self._left, self._right, self._finish = left, right, finish

    def fill(self, rows: slice, columns: slice, tile: np.ndarray) -> None:
        """Write the values of these rows and columns of the block into `tile`."""
        np.matmul(self._left[rows], self._right[columns].T, out=tile)
        if self._finish is not None:
            self._finish(tile, rows, columns)

    def add_products(self, sums: Sums, *, mirrored: bool, diagonal: np.ndarray | None) -> None:
        """Leave out the tiles where the values are the products themselves: factors are multiplied one by one."""
        if self._finish is not None:
            super().add_products(sums, mirrored=mirrored, diagonal=diagonal)
            return
        np.add(sums.on_rows, self._left @ (self._right.T @ sums.V_T.T), out=sums.on_rows)
        if mirrored:
            np.add(sums.on_columns_T, (self._right @ (self._left.T @ sums.W)).T, out=sums.on_columns_T)


def distance_evaluator(X: np.ndarray, Y: np.ndarray, scale: float, function: str) -> Evaluator:
    """Make what evaluates a smooth function of `scale²·‖x − y‖²`.

    From many coordinates, taken from a common centre, the product of `(−√2·x, ‖x‖², 1)` and `(√2·y, 1, ‖y‖²)` is the
    squared distance. Its rounding grows with the norms: where it would cost digits, differences are used.
    """
    n_features = X.shape[1]
    if n_features > _MOST_FEATURES:
        with np.errstate(over="ignore", invalid="ignore"):
            centre, factor = np.mean(X, axis=0), X.dtype.type(scale)
            left, right = (np.empty((len(points), n_features + 2), dtype=X.dtype) for points in (X, Y))
            norms = []
            for points, features in ((X, left[:, :-2]), (Y, right[:, :-2])):
                np.subtract(points, centre, out=features)
                features *= factor
                norms.append(np.einsum("ij,ij->i", features, features))
                features *= X.dtype.type(math.sqrt(2.0))
            error = 4.0 * np.finfo(X.dtype).eps * (float(np.max(norms[0])) + float(np.max(norms[1])))
        if error <= _ALLOWED_ERROR[X.dtype]:
            np.negative(left[:, :-2], out=left[:, :-2])
            left[:, -2], left[:, -1] = norms[0], 1.0
            right[:, -2], right[:, -1] = 1.0, norms[1]
            loops = compiled_loops()
            kind, one = getattr(loops, function), X.dtype.type(1.0)

            def finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
                del rows, columns
                loops.finish_distances(tile, kind, one)

            return ProductEvaluator(left, right, finish)
    return DifferenceEvaluator(X, Y, scale, function)


def compiled_loops() -> Any:
    """Import the compiled loops when they are needed, since that imports numba."""
    return importlib.import_module("kdtheory._loops")


def tiles(length: int, step: int) -> list[slice]:
    """Slices of `step` that cover `length`; the last may be shorter."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
