"""Networks that the papers train, in equinox: a network is a pytree of its arrays, so every function of JAX takes it.

A network maps one point to its logits; `jax.vmap` maps a batch. Points of images are (h, w) or (h, w, c), channels
last, as the data sets have them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive, require_positive_integer
from kdtheory.nets._layers import Key, channels_first, convolution, dense, image_shape, max_pool, normal


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


def same_architecture(one: Any, other: Any) -> bool:
    """Whether the trainable arrays of two networks have the same names, shapes and types."""
    structures: list[Any] = []
    for network in (one, other):
        leaves, structure = jax.tree.flatten(split(network)[0])
        structures.append((structure, [(leaf.shape, leaf.dtype) for leaf in leaves]))
    return bool(structures[0] == structures[1])


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

    Examples
    --------
    >>> model = MultilayerPerceptron(64, 10, width=32, key=jax.random.key(0))
    >>> jax.vmap(model)(jnp.ones((5, 8, 8))).shape
    (5, 10)
    """

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, n_inputs: int, n_outputs: int, *, width: int, depth: int = 2, key: Key) -> None:
        inner = [require_positive_integer("width", width)] * require_positive_integer("depth", depth)
        sizes = [
            require_positive_integer("n_inputs", n_inputs), *inner, require_positive_integer("n_outputs", n_outputs)
        ]  # fmt: skip
        keys = jax.random.split(key, depth + 1)
        self.layers = tuple(
            dense(before, after, gain=2.0 if i < depth else 1.0, key=keys[i])
            for i, (before, after) in enumerate(itertools.pairwise(sizes))
        )

    def __call__(self, x: Array) -> Array:
        """Logits of one point."""
        return self.hidden(x)[-1]

    def hidden(self, x: Array) -> list[Array]:
        """Give what every layer is applied to, and the logits last: the input, then the hidden representations.

        Parameters
        ----------
        x : array
            One point, of any shape with n_inputs entries.

        Returns
        -------
        list of array
        """
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

    Examples
    --------
    >>> model = RandomFeatures(64, 10, n_features=500, key=jax.random.key(0))
    >>> model.features(jnp.ones((8, 8))).shape
    (500,)
    """

    directions: Frozen
    weights: Array
    scale: float = eqx.field(static=True)

    def __init__(self, n_inputs: int, n_outputs: int, *, n_features: int, key: Key, scale: float | None = None) -> None:
        shape = (require_positive_integer("n_inputs", n_inputs), require_positive_integer("n_features", n_features))
        self.directions = Frozen(normal(key, shape) * math.sqrt(2.0 / n_inputs))
        self.weights = jnp.zeros((n_features, require_positive_integer("n_outputs", n_outputs)))
        self.scale = 1.0 / math.sqrt(n_features) if scale is None else require_positive("scale", scale)

    def __call__(self, x: Array) -> Array:
        """Logits of one point."""
        return self.features(x) @ self.weights

    def features(self, x: Array) -> Array:
        """Give the features of one point.

        Parameters
        ----------
        x : array
            Of any shape with n_inputs entries.

        Returns
        -------
        array of shape (n_features,)
        """
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

    Raises
    ------
    ValueError
        When the depth leaves no pixel, and for another shape.

    Examples
    --------
    >>> model = ConvolutionalNetwork((8, 8), 10, width=4, depth=2, key=jax.random.key(0))
    >>> [value.shape for value in jax.eval_shape(model.hidden, jnp.ones((8, 8)))]
    [(1, 8, 8), (4, 4, 4), (16,), (10,)]
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
        height, breadth, channels = image_shape(shape)
        if min(height, breadth) >> require_positive_integer("depth", depth) < 1:
            raise ValueError(f"depth must leave a pixel of {height} x {breadth} when it halves them, got {depth}")
        keys = jax.random.split(key, depth + 1)
        sizes = [channels, *[require_positive_integer("width", width)] * depth]
        self.filters = tuple(
            convolution(before, after, require_positive_integer("kernel_size", kernel_size), key=each)
            for (before, after), each in zip(itertools.pairwise(sizes), keys[:-1], strict=True)
        )
        n_left = width * (height >> depth) * (breadth >> depth)
        self.read_out = dense(n_left, require_positive_integer("n_outputs", n_outputs), gain=1.0, key=keys[-1])

    def __call__(self, x: Array) -> Array:
        """Logits of one image."""
        return self.hidden(x)[-1]

    def hidden(self, x: Array) -> list[Array]:
        """Give what every layer is applied to, channels first, and the logits last.

        Parameters
        ----------
        x : array of shape (height, width) or (height, width, channels)
            One image.

        Returns
        -------
        list of array
        """
        values = [channels_first(x)]
        for layer in self.filters:
            values.append(max_pool(jax.nn.relu(layer(values[-1]))))
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

    Raises
    ------
    ValueError
        For a smaller image.

    Examples
    --------
    >>> jax.eval_shape(LeNet5((28, 28), key=jax.random.key(0)), jnp.ones((28, 28))).shape
    (10,)
    """

    filters: tuple[eqx.nn.Conv2d, ...]
    dense: tuple[eqx.nn.Linear, ...]

    def __init__(self, shape: tuple[int, ...], n_outputs: int = 10, *, key: Key) -> None:
        height, breadth, channels = image_shape(shape)
        if min(height, breadth) < 12:
            raise ValueError(f"shape must have at least 12 x 12 pixels, got {tuple(shape)}")
        keys = jax.random.split(key, 5)
        self.filters = (
            convolution(channels, 6, 5, key=keys[0]),
            convolution(6, 16, 5, padding=0, key=keys[1]),
        )
        n_left = 16 * ((height // 2 - 4) // 2) * ((breadth // 2 - 4) // 2)
        sizes = (n_left, 120, 84, require_positive_integer("n_outputs", n_outputs))
        self.dense = tuple(
            dense(before, after, gain=1.0 if i == 2 else 2.0, key=keys[2 + i])
            for i, (before, after) in enumerate(itertools.pairwise(sizes))
        )

    def __call__(self, x: Array) -> Array:
        """Logits of one image."""
        value = channels_first(x)
        for each in self.filters:
            value = max_pool(jax.nn.relu(each(value)))
        value = value.reshape(-1)
        for layer in self.dense[:-1]:
            value = jax.nn.relu(layer(value))
        return self.dense[-1](value)
