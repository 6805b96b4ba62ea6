"""Layers with random weights, and what lies between them."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive_integer

Key = Array

_DRAWN_AT_ONCE = 2**14


def normal(key: Key, shape: tuple[int, ...]) -> Array:
    """Draw standard normal numbers, in blocks of one size: every other size would take most of a second to compile."""
    size = math.prod(shape)
    keys = [jax.random.fold_in(key, i) for i in range(-(-size // _DRAWN_AT_ONCE))]
    return jnp.concatenate([jax.random.normal(each, (_DRAWN_AT_ONCE,)) for each in keys])[:size].reshape(shape)


def dense(n_inputs: int, n_outputs: int, *, gain: float, key: Key) -> eqx.nn.Linear:
    """Dense layer with weights of variance gain/n_inputs; equinox's own would be drawn for nothing, compiled too."""
    layer = eqx.filter_eval_shape(eqx.nn.Linear, n_inputs, n_outputs, key=key)
    weights = normal(key, layer.weight.shape) * math.sqrt(gain / n_inputs)
    return eqx.tree_at(lambda each: (each.weight, each.bias), layer, (weights, jnp.zeros(n_outputs)))


def convolution(
    inside: int, outside: int, size: int, *, stride: int = 1, padding: Any = "SAME", bias: bool = True, key: Key
) -> eqx.nn.Conv2d:
    """Convolution with weights of variance 2/fan-in."""
    layer = eqx.filter_eval_shape(
        eqx.nn.Conv2d, inside, outside, size, stride=stride, padding=padding, use_bias=bias, key=key
    )
    weights = normal(key, layer.weight.shape) * math.sqrt(2.0 / (inside * size**2))
    layer = eqx.tree_at(lambda each: each.weight, layer, weights)
    return eqx.tree_at(lambda each: each.bias, layer, jnp.zeros((outside, 1, 1))) if bias else layer


def max_pool(x: Array) -> Array:
    """Largest of 2 x 2 pixels; an odd last row or column is dropped."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2), (1, 2, 2), "VALID")


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of an image."""
    if len(shape) not in (2, 3):
        raise ValueError(f"shape must be (h, w) or (h, w, c), got {tuple(shape)}")
    height, breadth, channels = (require_positive_integer("shape", size) for size in (*shape, 1)[:3])
    return height, breadth, channels


def channels_first(x: Array) -> Array:
    """Give an image (h, w) or (h, w, c) as (c, h, w)."""
    return x[None] if x.ndim == 2 else jnp.moveaxis(x, -1, 0)
