"""Networks that the papers train, in equinox: a network is a pytree of its arrays, so every function of JAX takes it.

A network maps one point to its logits; `jax.vmap` maps a batch. Points of images are (h, w) or (h, w, c), channels
last, as the data sets have them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive_integer

Key = Array


class Frozen(eqx.Module):
    """An array that training leaves as it is, weight decay included."""

    value: Array


def functional(model: Any) -> tuple[Callable[[Any, Any], Any], Any]:
    """Split a network into a function `f(params, x)` of a batch and its trainable arrays.

    Parameters
    ----------
    model : equinox module
        Without state: `model(x)` gives the logits of one point.

    Returns
    -------
    f : callable
        `f(params, x)` gives logits of shape (n, k) for points of shape (n, ...).
    params : pytree of arrays

    Raises
    ------
    TypeError
        For what is not callable.

    See Also
    --------
    kdtheory.nets.EmpiricalNTK : takes both.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import EmpiricalNTK
    >>> f, params = functional(MultilayerPerceptron(2, 3, width=8, key=jax.random.key(0)))
    >>> EmpiricalNTK(f, params).gram([[0.0, 1.0], [1.0, 0.0]]).shape
    (2, 2)
    """
    if not callable(model):
        raise TypeError(f"model must be a function of one point, got {model!r}")
    params, rest = split(model)
    return _Function(rest), params


def split(model: Any) -> tuple[Any, Any]:
    """Divide a network into its trainable arrays and the rest."""
    trainable = jax.tree.map(_is_trainable, model, is_leaf=_is_frozen)
    return eqx.partition(model, trainable, is_leaf=_is_frozen)


def _is_frozen(leaf: Any) -> bool:
    return isinstance(leaf, Frozen)


def _is_trainable(leaf: Any) -> bool:
    return not _is_frozen(leaf) and eqx.is_inexact_array(leaf)


class _Function(eqx.Module):
    rest: Any

    def __call__(self, params: Any, x: Any) -> Any:
        return jax.vmap(eqx.combine(params, self.rest))(x)


class MultilayerPerceptron(eqx.Module):
    """Dense layers with rectifiers between them, and a linear read-out.

    Parameters
    ----------
    n_inputs, n_outputs : int
    width : int
        Units of every hidden layer.
    depth : int, default 2
        Hidden layers.
    key : JAX key
        Of the random weights: normal, of variance 2/fan-in for hidden layers and 1/fan-in for the read-out; biases
        are 0.
    """

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, n_inputs: int, n_outputs: int, *, width: int, depth: int = 2, key: Key) -> None:
        inner = [require_positive_integer("width", width)] * require_positive_integer("depth", depth)
        sizes = [
            require_positive_integer("n_inputs", n_inputs), *inner, require_positive_integer("n_outputs", n_outputs)
        ]  # fmt: skip
        keys = jax.random.split(key, depth + 1)
        self.layers = tuple(
            _dense(before, after, gain=2.0 if i < depth else 1.0, key=keys[i])
            for i, (before, after) in enumerate(itertools.pairwise(sizes))
        )

    def __call__(self, x: Array) -> Array:
        """Logits of one point."""
        return self.hidden(x)[-1]

    def hidden(self, x: Array) -> list[Array]:
        """Give what every layer is applied to, and the logits last: the input, then the hidden representations."""
        values = [x.reshape(-1)]
        for layer in self.layers[:-1]:
            values.append(jax.nn.relu(layer(values[-1])))
        return [*values, self.layers[-1](values[-1])]


class RandomFeatures(eqx.Module):
    """A linear model on random rectified features `relu(x·V)`, whose directions V are never trained.

    Parameters
    ----------
    n_inputs, n_outputs : int
    n_features : int
    key : JAX key
        Of V, normal with variance 2/n_inputs; the weights start at 0 and have no bias.
    scale : float, optional
        What features are multiplied by. Default: `1/sqrt(n_features)`, so that their inner products have a limit.
    """

    directions: Frozen
    weights: Array
    scale: float = eqx.field(static=True)

    def __init__(self, n_inputs: int, n_outputs: int, *, n_features: int, key: Key, scale: float | None = None) -> None:
        shape = (require_positive_integer("n_inputs", n_inputs), require_positive_integer("n_features", n_features))
        self.directions = Frozen(jax.random.normal(key, shape) * math.sqrt(2.0 / n_inputs))
        self.weights = jnp.zeros((n_features, require_positive_integer("n_outputs", n_outputs)))
        self.scale = 1.0 / math.sqrt(n_features) if scale is None else float(scale)

    def __call__(self, x: Array) -> Array:
        """Logits of one point."""
        return self.features(x) @ self.weights

    def features(self, x: Array) -> Array:
        """Features of one point."""
        return self.scale * jax.nn.relu(x.reshape(-1) @ self.directions.value)


class ConvolutionalNetwork(eqx.Module):
    """Convolutions with rectifiers and max pooling by two, and a dense read-out.

    Parameters
    ----------
    shape : (h, w) or (h, w, c)
        Of one image.
    n_outputs : int
    width : int, default 100
        Filters of every layer.
    depth : int, default 3
        Convolutional layers; each halves the image.
    kernel_size : int, default 6
    key : JAX key
        Of the random weights, as for `MultilayerPerceptron`.
    """

    filters: tuple[eqx.nn.Conv2d, ...]
    read_out: eqx.nn.Linear

    def __init__(
        self,
        shape: tuple[int, ...],
        n_outputs: int,
        *,
        width: int = 100,
        depth: int = 3,
        kernel_size: int = 6,
        key: Key,
    ) -> None:
        height, breadth, channels = _image_shape(shape)
        if min(height, breadth) >> require_positive_integer("depth", depth) < 1:
            raise ValueError(f"depth must leave a pixel of {height} x {breadth} when it halves them, got {depth}")
        keys = jax.random.split(key, depth + 1)
        sizes = [channels, *[require_positive_integer("width", width)] * depth]
        self.filters = tuple(
            _convolution(before, after, require_positive_integer("kernel_size", kernel_size), key=each)
            for (before, after), each in zip(itertools.pairwise(sizes), keys[:-1], strict=True)
        )
        n_left = width * (height >> depth) * (breadth >> depth)
        self.read_out = _dense(n_left, require_positive_integer("n_outputs", n_outputs), gain=1.0, key=keys[-1])

    def __call__(self, x: Array) -> Array:
        """Logits of one image."""
        return self.hidden(x)[-1]

    def hidden(self, x: Array) -> list[Array]:
        """Give what every layer is applied to, channels first, and the logits last."""
        values = [_channels_first(x)]
        for layer in self.filters:
            values.append(_max_pool(jax.nn.relu(layer(values[-1]))))
        values[-1] = values[-1].reshape(-1)
        return [*values, self.read_out(values[-1])]


class LeNet5(eqx.Module):
    """LeCun's network of two convolutions and three dense layers, with rectifiers and max pooling.

    Parameters
    ----------
    shape : (h, w) or (h, w, c)
        Of one image: at least 12 pixels high and wide.
    n_outputs : int, default 10
    key : JAX key
        Of the random weights, as for `MultilayerPerceptron`.
    """

    filters: tuple[eqx.nn.Conv2d, ...]
    dense: tuple[eqx.nn.Linear, ...]

    def __init__(self, shape: tuple[int, ...], n_outputs: int = 10, *, key: Key) -> None:
        height, breadth, channels = _image_shape(shape)
        if min(height, breadth) < 12:
            raise ValueError(f"shape must have at least 12 x 12 pixels, got {tuple(shape)}")
        keys = jax.random.split(key, 5)
        self.filters = (
            _convolution(channels, 6, 5, key=keys[0]),
            _convolution(6, 16, 5, padding=0, key=keys[1]),
        )
        n_left = 16 * ((height // 2 - 4) // 2) * ((breadth // 2 - 4) // 2)
        sizes = (n_left, 120, 84, require_positive_integer("n_outputs", n_outputs))
        self.dense = tuple(
            _dense(before, after, gain=1.0 if i == 2 else 2.0, key=keys[2 + i])
            for i, (before, after) in enumerate(itertools.pairwise(sizes))
        )

    def __call__(self, x: Array) -> Array:
        """Logits of one image."""
        value = _channels_first(x)
        for layer in self.filters:
            value = _max_pool(jax.nn.relu(layer(value)))
        value = value.reshape(-1)
        for dense in self.dense[:-1]:
            value = jax.nn.relu(dense(value))
        return self.dense[-1](value)


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
        self.first = _convolution(channels, 16, 3, bias=False, key=keys[0])
        self.blocks = tuple(
            _Block(inside, outside, normalisation, key=each)
            for inside, outside, each in zip(before, widths, keys[1:-1], strict=True)
        )
        self.last = _normalisation(normalisation, 64)
        self.read_out = _dense(64, require_positive_integer("n_outputs", n_outputs), gain=1.0, key=keys[-1])

    def __call__(self, x: Array, state: Any = None) -> Any:
        """Logits of one image; with a state, the logits and the new state."""
        value, new = self.first(_channels_first(x)), state
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
            _convolution(inside, outside, 3, stride=1 if inside == outside else 2, bias=False, key=one),
            _convolution(outside, outside, 3, bias=False, key=other),
        )

    def __call__(self, x: Array, state: Any) -> tuple[Array, Any]:
        value, state = _normalised(self.norms[0], x, state)
        value, state = _normalised(self.norms[1], self.filters[0](jax.nn.relu(value)), state)
        value = self.filters[1](jax.nn.relu(value))
        missing = len(value) - len(x)
        if missing:
            x = jnp.pad(x[:, ::2, ::2], ((missing // 2, missing - missing // 2), (0, 0), (0, 0)))
        return value + x, state


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


# Of layers the shapes alone are equinox's: drawing weights that are replaced at once would take seconds to compile.
def _dense(n_inputs: int, n_outputs: int, *, gain: float, key: Key) -> eqx.nn.Linear:
    layer = eqx.filter_eval_shape(eqx.nn.Linear, n_inputs, n_outputs, key=key)
    weights = jax.random.normal(key, layer.weight.shape) * math.sqrt(gain / n_inputs)
    return eqx.tree_at(lambda each: (each.weight, each.bias), layer, (weights, jnp.zeros(n_outputs)))


def _convolution(
    inside: int, outside: int, size: int, *, stride: int = 1, padding: Any = "SAME", bias: bool = True, key: Key
) -> eqx.nn.Conv2d:
    layer = eqx.filter_eval_shape(
        eqx.nn.Conv2d, inside, outside, size, stride=stride, padding=padding, use_bias=bias, key=key
    )
    weights = jax.random.normal(key, layer.weight.shape) * math.sqrt(2.0 / (inside * size**2))
    layer = eqx.tree_at(lambda each: each.weight, layer, weights)
    return eqx.tree_at(lambda each: each.bias, layer, jnp.zeros((outside, 1, 1))) if bias else layer


def _max_pool(x: Array) -> Array:
    """Largest of 2 x 2 pixels; an odd last row or column is dropped."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2), (1, 2, 2), "VALID")


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) not in (2, 3):
        raise ValueError(f"shape must be (h, w) or (h, w, c), got {tuple(shape)}")
    height, breadth, channels = (require_positive_integer("shape", size) for size in (*shape, 1)[:3])
    return height, breadth, channels


def _channels_first(x: Array) -> Array:
    return x[None] if x.ndim == 2 else jnp.moveaxis(x, -1, 0)
