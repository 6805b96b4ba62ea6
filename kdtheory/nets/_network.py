"""What tangent kernels ask of a network, whatever library it is written in, and sums over its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory._typing import Array

_PANEL = 2**12
"""Parameters whose products are added in the network's precision; further sums are of double precision."""


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
        """`left rightᵀ` of two matrices of an accelerator, summed over panels of columns first."""

    def inner_products(self, left: Derivatives, right: Derivatives, *, joint: bool) -> np.ndarray:
        """Sum over parameters, and unless joint over outputs: (b, c), or (b·s, c·s), of double precision."""

        def matrix(array: Array) -> Array:
            return array.reshape(-1, array.shape[-1]) if joint else array.reshape(len(array), -1)

        total: Any = 0.0
        for one, other in zip(left, right, strict=True):
            if isinstance(one, Outer):
                inputs = self._product(one.inputs, other.inputs)
                if joint:
                    outputs = one.sensitivities.shape[1]
                    inputs = np.repeat(np.repeat(inputs, outputs, axis=0), outputs, axis=1)
                inputs *= self._product(matrix(one.sensitivities), matrix(other.sensitivities))
                total = total + inputs
            else:
                total = total + self._product(matrix(one), matrix(other))
        return np.asarray(total)

    def squared_norms(self, derivatives: Derivatives, *, joint: bool) -> np.ndarray:
        """Diagonal of `inner_products`."""

        def squares(array: Array) -> np.ndarray:
            rows = array.reshape(-1, array.shape[-1]) if joint else array.reshape(len(array), -1)
            if isinstance(rows, np.ndarray):
                return np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
            return np.concatenate([self.device_product(row[None], row[None], _PANEL)[0] for row in rows])

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
        if not isinstance(left, np.ndarray):
            return self.device_product(left, right, _PANEL).astype(np.float64)
        if left.dtype == np.float64:
            return left @ right.T
        total = np.zeros((len(left), len(right)))
        for start in range(0, left.shape[1], _PANEL):
            panel = slice(start, start + _PANEL)
            total += left[:, panel] @ right[:, panel].T
        return total
