"""Random variants of points, whether they are made one by one or of a whole batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np

from kdtheory._typing import Array

_SAMPLED = 64


class BatchAugmentation(ABC):
    """Random variants that need a whole batch.

    Attributes
    ----------
    keeps_label : bool
        Whether the labels of points are those of their variants.
    """

    keeps_label: ClassVar[bool] = True

    @property
    def parts(self) -> tuple[Any, ...]:
        """Augmentations that it is a sequence of, or none."""
        return ()

    @abstractmethod
    def of_batch(self, key: Array, points: Array) -> Array:
        """Give variants of a batch (b, ...), of its shape."""

    def __call__(self, _key: Array, _point: Array) -> Array:
        """Refuse a single point."""
        raise TypeError(f"point must come with a batch for {type(self).__name__}, whose of_batch takes it")


def vary(augment: Any, key: Array, points: Array) -> Array:
    """Give variants of a batch, each point with a key of its own."""
    if isinstance(augment, BatchAugmentation):
        return augment.of_batch(key, points)
    return jax.vmap(augment)(jax.random.split(key, len(points)), points)


def keeps_label(augment: Any) -> bool:
    """Whether variants have the labels of their points; what does not say is taken to."""
    return bool(getattr(augment, "keeps_label", True))


def require_variants(augment: Any, points: np.ndarray, seed: int) -> None:
    """Refuse an augmentation whose variants of some of the points are no such points."""
    some, low, high = _sample(points), float(points.min()), float(points.max())
    try:
        found = np.asarray(_of_sample(augment, jax.random.key(seed), some))
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # those of JAX take no text
        raise kind(f"plan.augment must take points of shape {points.shape[1:]}: {error}") from error
    if found.shape != some.shape:
        raise ValueError(
            f"plan.augment must keep the shape of a point, {points.shape[1:]}, got {found.shape[1:]} of {augment!r}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"plan.augment must give finite values, got {found[~np.isfinite(found)][0]} of {augment!r}")
    margin = high - low
    if margin and not (low - margin <= found.min() and found.max() <= high + margin):
        raise _other_values(low, high, float(found.min()), float(found.max()), augment)
    _require_ranges(augment, points, jax.random.key(seed), "X")


def _sample(points: np.ndarray) -> np.ndarray:
    """Take some of the points, of few each many times, so that what happens to few of them happens to one."""
    return points[np.linspace(0, len(points) - 1, _SAMPLED).astype(int)]


def _parts(augment: Any) -> tuple[Any, ...]:
    return augment.parts if isinstance(augment, BatchAugmentation) else ()


def _require_ranges(augment: Any, points: np.ndarray, key: Array, name: str) -> None:
    """Refuse values that an augmentation, or one of its parts in turn, is not made for, or brings however seldom."""
    low, high = float(points.min()), float(points.max())
    allowed = getattr(augment, "value_range", None)
    rounding = 0.0 if allowed is None else 1e-5 * (allowed[1] - allowed[0])  # interpolation leaves the range by so much
    if allowed is not None and not (allowed[0] - rounding <= low and high <= allowed[1] + rounding):
        raise ValueError(
            f"{name} must have values from {allowed[0]:g} to {allowed[1]:g} for plan.augment ="
            f" {type(augment).__name__}, got {low:.6g} to {high:.6g}"
        )
    brought = getattr(augment, "source_range", None)
    if brought is not None and low < high and not (2 * low - high <= brought[0] and brought[1] <= 2 * high - low):
        raise _other_values(low, high, brought[0], brought[1], augment)
    parts = _parts(augment)
    for i, part in enumerate(parts):
        _require_ranges(part, points, key, name)
        if any(map(_has_range, parts[i + 1 :])):
            name = "X as it is varied before"
            points = np.asarray(_of_sample(part, jax.random.fold_in(key, i), _sample(points)))


def _has_range(augment: Any) -> bool:
    own = hasattr(augment, "value_range") or hasattr(augment, "source_range")
    return own or any(map(_has_range, _parts(augment)))


def _other_values(low: float, high: float, least: float, most: float, augment: Any) -> ValueError:
    return ValueError(
        f"plan.augment must keep to values like those of X, {low:.6g} to {high:.6g}, got {least:.6g} to {most:.6g} of"
        f" {augment!r}"
    )


_of_sample = eqx.filter_jit(vary)
