"""Kernels of infinitely wide fully connected networks: the NNGP and the neural tangent kernel."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kdtheory._interop import is_traced
from kdtheory._validation import require_nonnegative, require_positive_integer, require_real
from kdtheory.kernels._evaluators import Evaluator, ProductEvaluator, compiled_loops
from kdtheory.kernels.base import Kernel

_ACTIVATIONS = ("relu", "leaky_relu", "erf", "identity")
_USUAL_SLOPE = 0.01
_STEEPEST = 1e100

_LONGEST = 1e150
"""Length whose square is representable, and one over it."""

_LINEAR_BELOW = 1e-100
"""Length below which erf is linear to rounding, and its square may not be representable."""


@dataclass(frozen=True)
class _WideNetwork(Kernel):
    """What both kernels of a network share: the layers through which points and pairs of them are carried."""

    depth: int = 3
    activation: str = "relu"
    weight_variance: float = 2.0
    bias_variance: float = 0.0
    slope: float | None = None

    _of_tangents: ClassVar[bool]

    def __post_init__(self) -> None:
        require_positive_integer("depth", self.depth)
        if not isinstance(self.activation, str) or self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {list(_ACTIVATIONS)}, got {self.activation!r}")
        for name in ("weight_variance", "bias_variance"):
            if not is_traced(getattr(self, name)):
                require_nonnegative(name, getattr(self, name))
        if self.slope is None:
            return
        if self.activation != "leaky_relu":
            raise ValueError(f"slope must be None for activation={self.activation!r}, got {self.slope!r}")
        if abs(require_real("slope", self.slope)) > _STEEPEST:
            raise ValueError(f"slope must be at most {_STEEPEST:g} in size, got {self.slope!r}")

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        if self.activation == "identity":
            return self._linear_evaluator(X, Y)
        loops = importlib.import_module("kdtheory._ntk_loops")
        x, x_inverses, x_lengths = self._first_layer(X)
        y, y_inverses, y_lengths = (x, x_inverses, x_lengths) if Y is X else self._first_layer(Y)
        kind = loops.ERF if self.activation == "erf" else loops.RECTIFIED
        slope = self.negative_slope
        share, opposite = (value**2 / (1.0 + slope**2) for value in (1.0 - slope, 1.0 + slope))

        def finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
            x_layers, x_last = self._layers(x_lengths[rows])
            y_layers, y_last = self._layers(y_lengths[columns])
            points = (x, rows.start, y, columns.start, x_inverses, y_inverses)
            options = (self._of_tangents, self.bias_variance > 0.0, share, opposite)
            loops.carry_through_layers(tile, kind, *options, *points, x_layers, y_layers, x_last, y_last)

        return ProductEvaluator(x, y, finish)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        lengths = self._first_layer(X)[2]
        ratios = np.ones(len(X))  # of the tangent kernel to the squared length
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name where it leaves the package
            for _ in range(self.depth):
                active, after = self._next_layer(lengths)
                if self.activation == "erf":
                    gain = math.sqrt(4.0 / math.pi * self.weight_variance)
                    slopes = gain * lengths / np.sqrt(np.hypot(1.0, 2.0 * lengths))
                else:
                    slopes = active
                ratios = ratios * _quotient(slopes, after) ** 2 + 1.0
                lengths = after
            return (lengths * lengths * (ratios if self._of_tangents else 1.0)).astype(X.dtype)

    @property
    def negative_slope(self) -> float:
        """Slope for negative inputs."""
        usual = {"leaky_relu": _USUAL_SLOPE, "identity": 1.0}.get(self.activation, 0.0)
        return usual if self.slope is None else float(self.slope)

    @property
    def _gain(self) -> float:
        """Mean square of a rectified normal variable, and of the slope there."""
        return 0.5 * (1.0 + self.negative_slope**2)

    def _first_layer(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Make the first dense layer's outputs up to powers of two, one over their lengths, and the true lengths.

        Their kernel is `weight_variance/d·(x·y + bias²)`, an inner product of points with one more coordinate. The
        powers of two, one for each point, keep lengths representable and cost no digits.
        """
        n_points, n_features = X.shape
        mantissa, exponent = math.frexp(self.weight_variance / n_features)
        half = exponent // 2
        factor = math.ldexp(mantissa, exponent - 2 * half)
        bias = math.ldexp(math.sqrt(self.bias_variance / factor), -half) if factor else math.inf
        biased = self.bias_variance > 0.0
        points = np.zeros((n_points, n_features + biased), dtype=X.dtype)
        if bias == math.inf:
            points[:, n_features:] = 1.0
            return points, np.full(n_points, float(biased)), np.full(n_points, math.sqrt(self.bias_variance))
        largest = np.maximum(np.maximum(np.max(X, axis=1), -np.min(X, axis=1)).astype(np.float64), bias)
        exponents = np.frexp(largest)[1]
        np.ldexp(X, -exponents[:, None], out=points[:, :n_features])
        points[:, n_features:] = np.ldexp(bias, -exponents)[:, None]
        squares = np.einsum("ij,ij->i", points, points, dtype=np.float64)
        lengths = np.sqrt(squares)
        inverses = np.divide(1.0, lengths, out=np.zeros(n_points), where=lengths > 0.0)
        with np.errstate(over="ignore"):  # refused by name where it leaves the package
            lengths = np.ldexp(np.sqrt(factor * squares), exponents + half)
        if self.activation == "erf" and not np.max(lengths) <= _LONGEST:
            raise OverflowError(f"lengths of points must be at most about {_LONGEST:g} for activation='erf'")
        return points, inverses, lengths

    def _next_layer(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make the lengths that a hidden layer leaves, without and with the biases of the dense layer behind it."""
        if self.activation == "erf":
            active = math.sqrt(2.0 / math.pi * self.weight_variance) * _root_of_angle(lengths)
        else:
            active = math.sqrt(self._gain * self.weight_variance) * lengths
        return active, np.hypot(active, math.sqrt(self.bias_variance))

    def _layers(self, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make what `carry_through_layers` needs of each point in each layer, and the length after the last."""
        loops = importlib.import_module("kdtheory._ntk_loops")
        erf = self.activation == "erf"
        n_rows = loops.INVERSE_ROOT + 1 if erf else loops.TANGENT + 1 if self.bias_variance > 0.0 else 0
        layers = np.zeros((self.depth, n_rows, len(lengths)))
        for layer in layers:
            active, after = self._next_layer(lengths)
            slopes = active
            if erf:
                hypotenuse = np.hypot(1.0, math.sqrt(2.0) * lengths)
                half, root = 0.5 * _angle(lengths), _root_of_angle(lengths)
                layer[loops.SINE] = math.sqrt(2.0) * lengths / hypotenuse
                layer[loops.OTHER_SQUARED_COSINE] = hypotenuse**-2
                layer[loops.HALF_SINE], layer[loops.HALF_COSINE] = np.sin(half), np.cos(half)
                layer[loops.ROOT], layer[loops.INVERSE_ROOT] = root, _quotient(1.0, root)
                slopes = math.sqrt(4.0 / math.pi * self.weight_variance) * lengths / hypotenuse
            if n_rows:
                layer[loops.DENSE], layer[loops.TANGENT] = _quotient(active, after), _quotient(slopes, after)
                layer[loops.BIAS] = _quotient(math.sqrt(self.bias_variance), after)
            lengths = after
        return layers, lengths

    def _linear_evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        """Make what evaluates the kernel of a linear network, `scale·x·y + constant`.

        The scale is kept as `mantissa·2^exponent`, since it may not be representable where the values are.
        """
        weight, bias = float(self.weight_variance), float(self.bias_variance)
        mantissa, exponent = (self.depth + 1.0 if self._of_tangents else 1.0) / X.shape[1], 0
        constant = tangent_constant = bias
        for _ in range(self.depth):
            constant = weight * constant + bias
            tangent_constant = weight * tangent_constant + constant
        for _ in range(self.depth + 1):
            mantissa, more = math.frexp(mantissa * weight)
            exponent += more
        half = exponent // 2
        root = X.dtype.type(math.sqrt(math.ldexp(mantissa, exponent - 2 * half)))
        if self._of_tangents:
            constant = tangent_constant

        def finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
            del rows, columns
            compiled_loops().raise_to(tile, tile.dtype.type(constant), 1)

        with np.errstate(over="ignore"):  # refused by name where it leaves the package
            left = np.ldexp(X * root, half)
            return ProductEvaluator(left, left if Y is X else np.ldexp(Y * root, half), finish)


def _angle(lengths: np.ndarray) -> np.ndarray:
    """`arcsin(2q/(1 + 2q))` of squared lengths q, without squaring large ones."""
    return np.arctan(2.0 * lengths * (lengths / np.hypot(1.0, 2.0 * lengths)))


def _root_of_angle(lengths: np.ndarray) -> np.ndarray:
    return np.where(lengths > _LINEAR_BELOW, np.sqrt(_angle(lengths)), math.sqrt(2.0) * lengths)


def _quotient(numerators: np.ndarray | float, denominators: np.ndarray) -> np.ndarray:
    """Quotients, or 0 for denominators of 0."""
    return np.divide(numerators, denominators, out=np.zeros_like(denominators), where=denominators > 0.0)


@dataclass(frozen=True)
class NNGP(_WideNetwork):
    """Kernel of the Gaussian process that an infinitely wide network is before its training.

    `k₁ = weight_variance·x·y/d + bias_variance`, and after each hidden layer, with its activation φ,
    `k ← weight_variance·E[φ(u)·φ(v)] + bias_variance`, where (u, v) is normal with the covariances of k.

    Parameters
    ----------
    depth : int, default 3
        Number of hidden layers, at least 1. A linear read-out follows them.
    activation : {"relu", "leaky_relu", "erf", "identity"}
    weight_variance : float, default 2.0
        Variance of a weight times the number of inputs of its layer, in every layer, the read-out among them.
    bias_variance : float, default 0.0
        Variance of a bias.
    slope : float, optional
        Of leaky ReLU, `max(u, 0) + slope·min(u, 0)`, and for it alone; default: 0.01.

    Raises
    ------
    ValueError, TypeError
        When depth is not an integer >= 1, the activation is another, a variance is not a number >= 0, or there is a
        slope for an activation without one.

    See Also
    --------
    NTK : the kernel of the trained network.
    ArcCosine : one layer of rectified linear units, up to a factor.

    Notes
    -----
    Cost: `O(n·m·(d + depth))`. A point at zero has kernel values of zero where `bias_variance` is zero.

    Near the diagonal the cosine c of the angle between two points has lost the digits of that angle. With c, the gap
    `1 − |c|` is carried through the layers by sums of positive terms; it starts from the points themselves where it
    is small. So all values have all their digits, but for those that cancel in a sum of positive and negative terms.

    Sources: Lee et al. (2018); Cho and Saul (2009), eqs. 3-6, and Williams (1997) for the expectations.

    Examples
    --------
    >>> NNGP(depth=1).gram([[1.0, 0.0], [0.0, 2.0]])
    array([[1.        , 0.63661977],
           [0.63661977, 4.        ]])
    """

    _of_tangents = False


@dataclass(frozen=True)
class NTK(_WideNetwork):
    """Neural tangent kernel of an infinitely wide network in NTK parametrisation: that of its training.

    Inner product of the gradients of the output with respect to all parameters. With k of `NNGP`, from `Θ₁ = k₁`, after
    each hidden layer `Θ ← weight_variance·Θ·E[φ′(u)·φ′(v)] + k`.

    Parameters
    ----------
    depth : int, default 3
        Number of hidden layers, at least 1. A linear read-out follows them.
    activation : {"relu", "leaky_relu", "erf", "identity"}
    weight_variance : float, default 2.0
        Variance of a weight times the number of inputs of its layer, in every layer, the read-out among them.
    bias_variance : float, default 0.0
        Variance of a bias. Weights and biases are drawn with variance 1 and multiplied by the square roots of these,
        over that of the number of inputs: so a step of the training counts.
    slope : float, optional
        Of leaky ReLU, `max(u, 0) + slope·min(u, 0)`, and for it alone; default: 0.01.

    Raises
    ------
    ValueError, TypeError
        When depth is not an integer >= 1, the activation is another, a variance is not a number >= 0, or there is a
        slope for an activation without one.

    See Also
    --------
    NNGP : the kernel of the network before its training.

    Notes
    -----
    The values are those of neural-tangents' `stax.serial(Dense, activation, ..., Dense)`, with `W_std` and `b_std` the
    square roots of the variances, and have the digits that arccos costs there near the diagonal: see `NNGP`.

    On jax arrays `jax.grad` differentiates Gram matrices by points and by both variances.

    Cost: `O(n·m·(d + depth))`. Source: Jacot et al. (2018), theorem 1.

    Examples
    --------
    >>> NTK(depth=1).gram([[1.0, 0.0], [0.0, 2.0]])
    array([[2.        , 0.63661977],
           [0.63661977, 8.        ]])
    """

    _of_tangents = True
