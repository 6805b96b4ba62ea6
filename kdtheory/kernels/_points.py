"""Checks of the points that kernels compare: a bad value is named by its row, and nothing large is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kdtheory._validation import require_array, require_ndim

_CHECKED_AT_ONCE = 2**20


def require_points(name: str, value: Any) -> np.ndarray:
    """`value` as points of shape (n, d), float32 or float64, none of them infinite or NaN."""
    if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64) or np.ma.isMaskedArray(value):
        value = require_array(name, _rows_checked(name, value))
    points = np.asarray(value)
    require_ndim(name, points, 2)
    if points.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {points.shape}")
    return _rows_checked(name, points)


def require_two_sets(X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of points, of one dtype and with the same number of features."""
    left, right = require_points("X", X), require_points("Y", Y)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"Y must have {left.shape[1]} columns, one for each feature of X, got shape {right.shape}")
    dtype = np.result_type(left, right)
    return left.astype(dtype, copy=False), right.astype(dtype, copy=False)


def require_indices(name: str, value: Any, length: int) -> np.ndarray:
    """`value` as integers from 0 to length - 1, shape (k,)."""
    indices = np.asarray(value)
    if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
        raise ValueError(f"{name} must be integers in one dimension, got {indices.dtype} of shape {indices.shape}")
    indices = indices.astype(np.int64)
    outside = (indices < 0) | (indices >= length)
    if outside.any():
        raise ValueError(f"{name} must lie in 0..{length - 1}, got {int(indices[np.argmax(outside)])}")
    return indices


def _rows_checked(name: str, points: Any) -> Any:
    """`points`, if numbers in two dimensions, after a look at each row that spares a mask of the whole."""
    if isinstance(points, list | tuple):
        points = _as_array(points)
    if not isinstance(points, np.ndarray) or points.ndim != 2 or points.dtype.kind != "f" or points.size == 0:
        return points
    for rows in _row_slices(*points.shape):
        finite = np.isfinite(points[rows])
        if not finite.all():
            row, column = np.unravel_index(np.argmin(finite), finite.shape)
            raise ValueError(
                f"{name} must be finite, got {float(points[rows.start + row, column])}"
                f" in row {rows.start + int(row)}, column {int(column)}"
            )
    return points


def _as_array(rows: Any) -> Any:
    try:
        return np.asarray(rows)
    except ValueError:  # ragged: refused by name later
        return rows


def _row_slices(n_points: int, n_features: int) -> Iterator[slice]:
    step = max(1, _CHECKED_AT_ONCE // n_features)
    return (slice(start, min(start + step, n_points)) for start in range(0, n_points, step))
