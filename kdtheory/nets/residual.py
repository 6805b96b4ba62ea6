"""Residual networks for small images."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive_integer
from kdtheory.nets._layers import Key, channels_first, convolution, dense

Normalisation = Literal["batch", "layer", "group"]


class ResNet(eqx.Module):
    """Pre-activation residual network for small images, as He et al. (2016) have it for CIFAR.

    Parameters
    ----------
    n_outputs : int
    depth : int, default 20
        6·m + 2 for m blocks in each of the three stages of 16, 32 and 64 filters: 20, 56, 110.
    channels : int, default 3
        Of an image.
    normalisation : {"batch", "layer", "group"}, default "batch"
        Over a batch, whose running statistics are a state of their own: make it by
        `equinox.nn.make_with_state(ResNet)(...)`, and call `model(x, state)` in a `jax.vmap(..., axis_name="batch")`.
        Or over the channels and pixels of one image, all at once or in groups of 16 channels, which needs no state.
    key : JAX key
        Of the random weights, as for `MultilayerPerceptron`.

    Raises
    ------
    ValueError
        For another depth or normalisation.

    Notes
    -----
    Shortcuts between stages skip every second pixel and pad the channels with zeros, without parameters (option A).

    Examples
    --------
    >>> model, state = eqx.nn.make_with_state(ResNet)(10, depth=8, key=jax.random.key(0))
    >>> in_batches = jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    >>> logits, _ = eqx.filter_eval_shape(in_batches, jnp.ones((2, 8, 8, 3)), state)
    >>> logits.shape
    (2, 10)
    """

    first: eqx.nn.Conv2d
    blocks: tuple[_Block, ...]
    last: Any
    read_out: eqx.nn.Linear

    def __init__(
        self,
        n_outputs: int,
        *,
        depth: int = 20,
        channels: int = 3,
        normalisation: Normalisation = "batch",
        key: Key,
    ) -> None:
        if require_positive_integer("depth", depth) < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6m + 2 for m >= 1 blocks in a stage, got {depth}")
        if normalisation not in ("batch", "layer", "group"):
            raise ValueError(f"normalisation must be 'batch', 'layer' or 'group', got {normalisation!r}")
        n_blocks = (depth - 2) // 6
        keys = jax.random.split(key, 3 * n_blocks + 2)
        widths = [width for width in (16, 32, 64) for _ in range(n_blocks)]
        before = [16, *widths[:-1]]
        self.first = _convolution(require_positive_integer("channels", channels), 16, key=keys[0])
        self.blocks = tuple(
            _Block(inside, outside, normalisation, key=each)
            for inside, outside, each in zip(before, widths, keys[1:-1], strict=True)
        )
        self.last = _normalisation(normalisation, 64)
        self.read_out = dense(64, require_positive_integer("n_outputs", n_outputs), gain=1.0, key=keys[-1])

    def __call__(self, x: Array, state: Any = None) -> Any:
        """Logits of one image; with a state, the logits and the new state."""
        value, new = self.first(channels_first(x)), state
        for block in self.blocks:
            value, new = block(value, new)
        value, new = _normalised(self.last, value, new)
        logits = self.read_out(jnp.mean(jax.nn.relu(value), axis=(1, 2)))
        return logits if state is None else (logits, new)


class _Block(eqx.Module):
    """Normalise, rectify, convolve, twice, beside a shortcut."""

    norms: tuple[Any, Any]
    filters: tuple[eqx.nn.Conv2d, eqx.nn.Conv2d]

    def __init__(self, inside: int, outside: int, normalisation: Normalisation, *, key: Key) -> None:
        one, other = jax.random.split(key)
        self.norms = (_normalisation(normalisation, inside), _normalisation(normalisation, outside))
        self.filters = (
            _convolution(inside, outside, stride=1 if inside == outside else 2, key=one),
            _convolution(outside, outside, key=other),
        )

    def __call__(self, x: Array, state: Any) -> tuple[Array, Any]:
        value, state = _normalised(self.norms[0], x, state)
        value, state = _normalised(self.norms[1], self.filters[0](jax.nn.relu(value)), state)
        value = self.filters[1](jax.nn.relu(value))
        missing = len(value) - len(x)
        if missing:
            x = jnp.pad(x[:, ::2, ::2], ((missing // 2, missing - missing // 2), (0, 0), (0, 0)))
        return value + x, state


def _convolution(inside: int, outside: int, *, stride: int = 1, key: Key) -> eqx.nn.Conv2d:
    """Convolution of 3 x 3 around the very pixels that a shortcut keeps: "SAME" would be one further where it skips."""
    return convolution(inside, outside, 3, stride=stride, padding=1, bias=False, key=key)


def _normalisation(kind: Normalisation, channels: int) -> Any:
    if kind == "batch":
        return eqx.nn.BatchNorm(channels, axis_name="batch", momentum=0.9, mode="batch")
    return eqx.nn.GroupNorm(1 if kind == "layer" else max(1, channels // 16), channels)


def _normalised(layer: Any, x: Array, state: Any) -> tuple[Array, Any]:
    if not isinstance(layer, eqx.nn.BatchNorm):
        return layer(x), state
    if state is None:
        raise TypeError("state must be given where statistics are over a batch: equinox.nn.make_with_state makes it")
    return layer(x, state)
