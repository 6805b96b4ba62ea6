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
    some = points[np.linspace(0, len(points) - 1, min(len(points), _SAMPLED)).astype(int)]
    low, high = float(points.min()), float(points.max())
    allowed = getattr(augment, "value_range", None)
    if allowed is not None and not (allowed[0] <= low and high <= allowed[1]):
        raise ValueError(
            f"X must have values from {allowed[0]:g} to {allowed[1]:g} for plan.augment ="
            f" {type(augment).__name__}, got {low:.6g} to {high:.6g}"
        )
    try:
        found = np.asarray(_of_sample(augment, jax.random.key(seed), some))
    except (TypeError, ValueError) as error:
        raise type(error)(f"plan.augment must take points of shape {points.shape[1:]}: {error}") from error
    if found.shape != some.shape:
        raise ValueError(
            f"plan.augment must keep the shape of a point, {points.shape[1:]}, got {found.shape[1:]} of {augment!r}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"plan.augment must give finite values, got {found[~np.isfinite(found)][0]} of {augment!r}")
    margin = high - low
    if margin and not (low - margin <= found.min() and found.max() <= high + margin):
        raise ValueError(
            f"plan.augment must keep to values like those of X, {low:.6g} to {high:.6g}, got {found.min():.6g} to"
            f" {found.max():.6g} of {augment!r}"
        )


_of_sample = eqx.filter_jit(vary)
