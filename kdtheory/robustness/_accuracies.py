"""Checks of accuracies and of what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdtheory._interop import to_numpy
from kdtheory._typing import Array
from kdtheory._validation import first_index, position_of, require_array
from kdtheory.robustness._scales import Scale

_FEWEST_MODELS = 3


def require_accuracies(name: str, array: Array) -> np.ndarray:
    """`array` as doubles from 0 to 1."""
    values = to_numpy(array).astype(np.float64)
    outside = (values < 0.0) | (values > 1.0)
    if np.any(outside):
        where = first_index(np, outside)
        value = float(values[where])
        percents = ": divide percents by 100" if value > 1.0 else ""
        raise ValueError(f"{name} must hold shares, from 0 to 1, got {value!r} at {position_of(where)}{percents}")
    return values


def require_inside(name: str, values: np.ndarray, scale: Scale, called: str, how: str) -> None:
    """Refuse accuracies that have no value on the scale; `how` is what to do about them."""
    ends = (values == 0.0) | (values == 1.0)
    if not scale.bounded and np.any(ends):
        where = first_index(np, ends)
        raise ValueError(
            f"{name} must be > 0 and < 1 on the {called} scale, got {float(values[where])!r} at"
            f" {position_of(where)}{how}"
        )


def require_mask(value: Any, n: int) -> np.ndarray:
    """`value` as a mask of n models that has enough of them for a line with a spread."""
    if value is None:
        mask = np.ones(n, dtype=bool)
    else:
        mask = np.asarray(value)
        if mask.dtype != bool or mask.shape != (n,):
            raise ValueError(
                f"testbed must be {n} bools, one for each model, got shape {mask.shape} of dtype {mask.dtype}"
            )
        mask = mask.copy()
    if np.count_nonzero(mask) < _FEWEST_MODELS:
        raise ValueError(f"testbed must have {_FEWEST_MODELS} models or more, got {np.count_nonzero(mask)}")
    return mask


def require_names(names: Sequence[str] | None, n: int) -> tuple[str, ...]:
    """`names` as n different names."""
    if names is None:
        return tuple(str(number) for number in range(n))
    each = () if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in each):
        raise TypeError(f"names must be a sequence of str, got {names!r}")
    if len(each) != n:
        raise ValueError(f"names must have {n} entries, one for each model, got {len(each)}")
    if len(set(each)) != n:
        twice = next(name for number, name in enumerate(each) if name in each[:number])
        raise ValueError(f"names must differ, got {twice!r} twice")
    return each


def require_sizes(n_points: Any, *accuracies: np.ndarray) -> list[np.ndarray]:
    """`n_points` as one number of points for each of the accuracies, which are shares of so many."""
    if not isinstance(n_points, tuple | list) or len(n_points) != 2:
        raise ValueError(f"n_points must be a pair (n_reference, n_shifted), got {n_points!r}")
    sizes = []
    for name, value, shares in zip(("n_reference", "n_shifted"), n_points, accuracies, strict=True):
        count = to_numpy(require_array(name, value)).astype(np.float64)
        if count.shape not in ((), shares.shape):
            raise ValueError(f"{name} must be one number or have shape {shares.shape}, got shape {count.shape}")
        if np.any(count < 1.0):
            raise ValueError(f"{name} must be >= 1, got {float(np.min(count))!r}")
        least = np.minimum(shares, 1.0 - shares) * count
        lost = (least > 0.0) & (least < 0.5)
        if np.any(lost):
            where = int(np.argmax(lost))
            raise ValueError(
                f"{name} must be the number of points behind the accuracies, got"
                f" {float(np.broadcast_to(count, shares.shape)[where])!r}, of which {float(shares[where])!r} at index"
                f" {where} is no share"
            )
        sizes.append(np.broadcast_to(count, shares.shape))
    return sizes


def measured(scale: Scale, accuracies: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the values on the scale, and their binomial variances to first order."""
    moved = accuracies if scale.bounded else np.clip(accuracies, 0.5 / sizes, 1.0 - 0.5 / sizes)
    z = scale.of(moved)
    return z, moved * (1.0 - moved) / (sizes * scale.slope(z) ** 2)
