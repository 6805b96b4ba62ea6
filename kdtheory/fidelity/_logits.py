"""Logits of any library, checked and read in blocks of rows, and what a softmax makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from array_api_compat import array_namespace, is_torch_array, to_device

from kdtheory._interop import to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_labels, require_ndim, require_positive

_BLOCK = 2**16
"""Numbers in a block of rows, so that the work of a million rows stays in the cache."""

_LARGEST = 1e300
"""Largest logit over the temperature, so that differences and their sums do not overflow."""


class Softmax(NamedTuple):
    """Softmax of rows of logits, before anything cancels or underflows; of equal logits the first is the top one."""

    top: np.ndarray
    """(n,) class of the largest logit."""
    shifted: np.ndarray
    """(n, n_classes) logits less the largest of their row, over the temperature."""
    others: np.ndarray
    """(n,) probability of all other classes over that of the top one, from 0 to n_classes - 1."""

    @property
    def log_probabilities(self) -> np.ndarray:
        """Sums of two numbers <= 0, so that none loses digits."""
        return self.shifted - np.log1p(self.others)[:, None]


def softmax(logits: np.ndarray, temperature: float = 1.0) -> Softmax:
    """Softmax of `logits / temperature`, in its parts."""
    rows, top = np.arange(len(logits)), np.argmax(logits, axis=1)
    shifted = (logits - logits[rows, top][:, None]) / temperature
    relative = np.exp(shifted)
    relative[rows, top] = 0.0
    return Softmax(top, shifted, np.sum(relative, axis=1))


def require_logits(name: str, value: Any, temperature: SupportsFloat = 1.0) -> Array:
    """`value` as finite logits of shape (n, n_classes) with two classes or more."""
    logits = require_array(name, value)
    _require_columns(name, logits, 2)
    return _require_size(name, logits, require_positive("temperature", temperature))


def require_like_teacher(
    name: str,
    value: Any,
    teacher: Array,
    temperature: SupportsFloat,
    ndim: int = 2,
    *,
    teacher_name: str = "teacher_logits",
) -> Array:
    """`value` as finite logits of the points and classes of `teacher`; three dimensions are those of several models."""
    logits = require_array(name, value)
    _require_columns(name, logits, *range(2, ndim + 1))
    points, classes = (int(size) for size in teacher.shape)
    if logits.shape[-1] != classes:
        raise ValueError(
            f"{name} must have the {classes} classes of {teacher_name}, got {int(logits.shape[-1])} in an array of"
            f" shape {tuple(logits.shape)}"
        )
    if logits.shape[-2] != points:
        raise ValueError(
            f"{name} must have the {points} points of {teacher_name}, got {int(logits.shape[-2])} in an array of shape"
            f" {tuple(logits.shape)}"
        )
    return _require_size(name, logits, require_positive("temperature", temperature))


def require_classes(name: str, value: Any, logits: Array) -> np.ndarray:
    """`value` as one class for each row of `logits`, counted from 0."""
    if is_torch_array(value):
        value = to_device(value, "cpu")
    return require_labels(name, value, int(logits.shape[0]), int(logits.shape[1]))


def map_rows(function: Callable[..., np.ndarray], *arrays: Array) -> np.ndarray:
    """Values of `function` for blocks of rows of all `arrays`, as numpy arrays, put together."""
    n, n_classes = (int(size) for size in arrays[0].shape)
    rows = max(1, _BLOCK // n_classes)
    bounds = [(start, min(start + rows, n)) for start in range(0, n, rows)]
    return np.concatenate([function(*(_block(array, start, stop) for array in arrays)) for start, stop in bounds])


def _block(array: Array, start: int, stop: int) -> np.ndarray:
    return array[start:stop] if array.ndim == 1 else to_numpy(array[start:stop, :])


def _require_columns(name: str, logits: Array, *ndims: int) -> None:
    require_ndim(name, logits, *ndims)
    if logits.shape[-1] < 2:
        raise ValueError(
            f"{name} must have 2 columns or more, one for each class, got shape {tuple(logits.shape)}: for one logit z"
            " of two classes pass numpy.column_stack([numpy.zeros_like(z), z])"
        )


def _require_size(name: str, logits: Array, temperature: float) -> Array:
    xp = array_namespace(logits)
    largest = max(float(xp.max(logits)), -float(xp.min(logits)))
    if largest > _LARGEST * min(1.0, temperature):
        raise ValueError(
            f"{name} must be at most 1e300 in size, also over the temperature {temperature!r}, got {largest!r}"
        )
    return logits
