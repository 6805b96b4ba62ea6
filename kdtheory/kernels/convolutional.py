"""Kernels of wide convolutional networks on small images."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kdtheory._interop import double_precision
from kdtheory._validation import (
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
)
from kdtheory.kernels._batches import BatchedKernel, require_shape
from kdtheory.kernels._points import require_points, require_two_sets

_POINTS_AT_ONCE = 16
_BYTES_AT_ONCE = {"cpu": 2**20}
_BYTES_OF_OTHERS = 2**28
"""Of the covariances of the pairs of images that are compared at once: what a cache holds, or keeps a device busy."""


@dataclass(frozen=True)
class _Convolutional(BatchedKernel):
    image_shape: tuple[int, int, int]
    depth: int = 3
    filter_size: int = 3
    weight_variance: float = 2.0
    bias_variance: float = 0.0

    _which: ClassVar[int]
    """Of the NNGP and the tangent kernel."""

    def __post_init__(self) -> None:
        shape = require_shape("image_shape", self.image_shape)
        if len(shape) != 3:
            raise ValueError(f"image_shape must be (height, width, channels), got {shape}")
        object.__setattr__(self, "image_shape", shape)
        require_positive_integer("depth", self.depth)
        if require_positive_integer("filter_size", self.filter_size) % 2 == 0:
            raise ValueError(f"filter_size must be odd, got {self.filter_size}")
        require_positive("weight_variance", self.weight_variance)
        require_nonnegative("bias_variance", self.bias_variance)

    def gram_derivatives(self, X: Any, Y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Differentiate the Gram matrix by `weight_variance` and by `bias_variance`.

        Parameters
        ----------
        X : array of shape (n, d)
        Y : array of shape (m, d), optional
            Default: X.

        Returns
        -------
        tuple of two arrays of shape (n, m)

        Raises
        ------
        ValueError, TypeError, OverflowError
            As for `gram`.

        Notes
        -----
        Forward-mode differentiation by JAX: about three times the cost of `gram`.

        Examples
        --------
        >>> from kdtheory.kernels import ConvolutionalNNGP
        >>> by_weight, by_bias = ConvolutionalNNGP((1, 1, 1), depth=1).gram_derivatives([[1.0]])
        >>> by_weight.round(6), by_bias
        (array([[0.222222]]), array([[2.]]))
        """
        points, others = (require_points("X", X),) * 2 if Y is None else require_two_sets(X, Y)
        results = tuple(np.empty((len(points), len(others)), dtype=points.dtype) for _ in range(2))
        size = self._points_at_once
        for start in range(0, len(points), size):
            left = points[start : start + size]
            for begin in range(0, len(others), size):
                right = others[begin : begin + size]
                batches = self._batch(left, size), self._batch(right, size)
                for result, values in zip(results, self._evaluate("derivatives", *batches), strict=True):
                    block = np.asarray(values[self._which])[: len(left), : len(right)]
                    result[start : start + size, begin : begin + size] = block
        by_weight, by_bias = (require_representable(each, "the derivative of the kernel value") for each in results)
        return by_weight, by_bias

    @property
    def _points_at_once(self) -> int:
        return _POINTS_AT_ONCE

    @property
    def _shape_of_a_point(self) -> tuple[int, ...]:
        return self.image_shape

    def _between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.asarray(self._evaluate("between", left, right)[self._which])

    def _with_themselves(self, batch: np.ndarray) -> np.ndarray:
        return np.asarray(self._evaluate("with_themselves", batch)[self._which])

    def _evaluate(self, function: str, *batches: np.ndarray) -> Any:
        with double_precision():
            evaluate = getattr(importlib.import_module("kdtheory._convolutions"), function)
            room = _BYTES_AT_ONCE.get(importlib.import_module("jax").default_backend(), _BYTES_OF_OTHERS)
            pairs = max(1, room // (8 * (self.image_shape[0] * self.image_shape[1]) ** 2))
            return evaluate(
                *batches,
                float(self.weight_variance),
                float(self.bias_variance),
                depth=self.depth,
                filter_size=self.filter_size,
                pairs_at_once=min(pairs, _POINTS_AT_ONCE**2),
            )


@dataclass(frozen=True)
class ConvolutionalNTK(_Convolutional):
    """Neural tangent kernel of a convolutional ReLU network with global average pooling, infinitely many channels wide.

    `depth` convolutions with as many rectifiers, zero beyond the border and without strides, then the mean over all
    pixels and a linear read-out, in NTK parametrisation. Needs JAX: `pip install "kdtheory[jax]"`.

    Parameters
    ----------
    image_shape : (int, int, int)
        Height, width and channels; a point is the entries of an image in this order.
    depth : int, default 3
        Number of convolutions, >= 1.
    filter_size : int, default 3
        Height and width of the filters, odd.
    weight_variance : float, default 2.0
        `W_std²` of every layer, > 0.
    bias_variance : float, default 0.0
        `b_std²` of every layer, >= 0.

    Raises
    ------
    ValueError, TypeError
        For bad parameters, naming the argument, the rule and the value.
    ImportError
        From evaluations, when JAX is not installed.

    See Also
    --------
    neural_tangents.stax : `serial(Conv, Relu, ..., GlobalAvgPool, Dense)`, whose values these are.

    Notes
    -----
    Cost: `depth·(H·W)²` for each pair of images, in double precision: for small images. Equal images in X and Y, and
    images that are nearly equal, lose up to half of the digits of their pixels' slopes; the diagonal does not.

    Source: Arora, Du, Hu, Li, Salakhutdinov & Wang (2019), section 4.

    Examples
    --------
    >>> from kdtheory.kernels import ConvolutionalNTK
    >>> ConvolutionalNTK((2, 2, 1), depth=1).gram([[1.0, 0.0, 0.0, 1.0]]).round(6)
    array([[0.362993]])
    """

    _which = 1


@dataclass(frozen=True)
class ConvolutionalNNGP(_Convolutional):
    """Covariance of the outputs of such a network as `ConvolutionalNTK` is the tangent kernel of, at initialisation.

    Parameters
    ----------
    image_shape, depth, filter_size, weight_variance, bias_variance
        As for `ConvolutionalNTK`.

    Raises
    ------
    ValueError, TypeError
        As for `ConvolutionalNTK`.

    Notes
    -----
    Source: Novak et al. (2019), "Bayesian deep convolutional networks with many channels are Gaussian processes".

    Examples
    --------
    >>> from kdtheory.kernels import ConvolutionalNNGP
    >>> ConvolutionalNNGP((2, 2, 1), depth=1).gram([[1.0, 0.0, 0.0, 1.0]]).round(6)
    array([[0.233364]])
    """

    _which = 0
