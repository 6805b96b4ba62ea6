"""What tangent kernels ask of a network, whatever library it is written in, and sums over its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory._typing import Array

_PANEL_NUMBERS = 2**17
"""Of one panel of derivatives, as it is made double for its product."""


@dataclass(frozen=True)
class Outer:
    """Derivatives that are outer products, as those by the weights of a dense layer.

    Attributes
    ----------
    inputs : array of shape (b, p)
        What the weights multiply, for each of b points.
    sensitivities : array of shape (b, s, q)
        Derivatives of s outputs by the q products.
    """

    inputs: Array
    sensitivities: Array


Derivatives = Sequence[Any]
"""Of s outputs at b points, for every leaf of the parameters: an array of shape (b, s, p), or an `Outer`."""


class Network(ABC):
    """A function of parameters and points, of one floating-point type.

    Attributes
    ----------
    dtype : numpy dtype
        float32 or float64.
    n_parameters : int
    """

    dtype: np.dtype[Any]
    n_parameters: int

    @abstractmethod
    def n_outputs(self, points: np.ndarray) -> int:
        """Count the outputs k, where the function gives shape (n, k) or (n,) for these points; any other is refused."""

    @abstractmethod
    def point_numbers(self, points: np.ndarray, n_outputs: int) -> tuple[int, int]:
        """Count numbers for one point: of the derivatives of as many outputs, and of what is kept to find them."""

    @abstractmethod
    def derivatives(self, points: np.ndarray, combinations: np.ndarray, size: int) -> Derivatives:
        """Give the derivatives of combinations (s, k) of outputs at each point: numpy's, if it has the memory.

        `size` points are worked on, the last one repeated, so that functions are compiled for few shapes.
        """

    @abstractmethod
    def pull_back(self, points: np.ndarray, cotangents: np.ndarray, size: int) -> list[Array]:
        """`Jᵀ v` for each of q cotangents (q, b, k): arrays (q, ...) of the shapes of the parameters."""

    @abstractmethod
    def push_forward(self, points: np.ndarray, tangents: list[Array], size: int) -> np.ndarray:
        """`J u` for each of q tangents, arrays (q, ...): an array (q, b, k)."""

    @abstractmethod
    def device_product(self, left: Array, right: Array, panel: int) -> np.ndarray:
        """`left rightᵀ` of two matrices of an accelerator, in double precision, a panel of columns at a time."""

    def inner_products(self, left: Derivatives, right: Derivatives, *, joint: bool) -> np.ndarray:
        """Sum over parameters, and unless joint over outputs: (b, c), or (b·s, c·s), in double precision.

        So what comes out is as positive semi-definite as double precision is, whatever the derivatives'.
        """

        def matrix(array: Array) -> Array:
            return array.reshape(-1, array.shape[-1]) if joint else array.reshape(len(array), -1)

        total: Any = 0.0
        for one, other in zip(left, right, strict=True):
            if isinstance(one, Outer):
                inputs = self._product(one.inputs, one.inputs if other is one else other.inputs)
                if joint:
                    outputs = one.sensitivities.shape[1]
                    inputs = np.repeat(np.repeat(inputs, outputs, axis=0), outputs, axis=1)
                here = matrix(one.sensitivities)
                inputs *= self._product(here, here if other is one else matrix(other.sensitivities))
                total = total + inputs
            else:
                here = matrix(one)
                total = total + self._product(here, here if other is one else matrix(other))
        return np.asarray(total)

    def squared_norms(self, derivatives: Derivatives, *, joint: bool) -> np.ndarray:
        """Diagonal of `inner_products`."""

        def squares(array: Array) -> np.ndarray:
            rows = array.reshape(-1, array.shape[-1]) if joint else array.reshape(len(array), -1)
            if isinstance(rows, np.ndarray):
                return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            return np.concatenate([self.device_product(row[None], row[None], _PANEL_NUMBERS)[0] for row in rows])

        total: Any = 0.0
        for each in derivatives:
            if isinstance(each, Outer):
                of_inputs = squares(each.inputs)
                repeats = each.sensitivities.shape[1] if joint else 1
                total = total + np.repeat(of_inputs, repeats) * squares(each.sensitivities)
            else:
                total = total + squares(each)
        return np.asarray(total)

    def _product(self, left: Array, right: Array) -> np.ndarray:
        width = max(1, _PANEL_NUMBERS // max(len(left), len(right)))
        if not isinstance(left, np.ndarray):
            return self.device_product(left, right, width)
        if left.dtype == np.float64:
            return left @ right.T
        total = np.zeros((len(left), len(right)))
        for start in range(0, left.shape[1], width):
            one = left[:, start : start + width].astype(np.float64)
            other = one if right is left else right[:, start : start + width].astype(np.float64)
            total += one @ other.T
        return total
