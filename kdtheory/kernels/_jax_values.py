"""Kernel values on jax arrays: formulas that can be compiled, and differentiated where points are the same.

A formula is what a kernel is but for its real parameters, which are arguments, so that other ones compile nothing anew.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from kdtheory._interop import is_traced
from kdtheory.kernels.base import Kernel
from kdtheory.kernels.inner_product import NEARLY_STRAIGHT, ArcCosine, Cosine, Linear, Polynomial
from kdtheory.kernels.stationary import RBF, Laplace, Matern

Parameters = tuple[Any, ...]

_FEWEST_FEATURES = 9
"""From here products of features are faster than their differences, which are always more accurate."""

_FEATURES_AT_ONCE = 16

_ALLOWED_ERROR = {"float64": 5e-13, "float32": 5e-6}
"""Largest error of a squared distance, in the unit of the kernel, that products of features may make."""

_FAR = 800.0
"""From this distance on the kernel is zero."""


class Formula(ABC):
    """A kernel but for its real parameters; equal ones are compiled once."""

    @abstractmethod
    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        """Kernel values of points (h, d) and (w, d). What is `known`, a mask (h, w) or None, may be anything."""

    @abstractmethod
    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        """Kernel value of each point with itself."""

    def context(self, x: jax.Array, y: jax.Array, parameters: Parameters) -> Any:
        """Give what is the same for all tiles of a matrix."""
        del x, y, parameters
        return None

    def features(self, x: jax.Array) -> jax.Array | None:
        """Features whose inner product is the kernel, if they are few."""
        del x
        return None


@singledispatch
def formula_of(kernel: Kernel, n_features: int) -> tuple[Formula, Parameters]:
    """Give the formula and the real parameters of a kernel."""
    del n_features
    raise TypeError(f"X must be a numpy array for {type(kernel).__name__}, which has no formula on jax arrays")


def product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Matrix product without the short numbers that graphics processors like to round to."""
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)


def _exponential(q: jax.Array) -> jax.Array:
    return jnp.exp(-q)


@jax.custom_jvp
def _half(q: jax.Array) -> jax.Array:
    return jnp.exp(-root(q))


@jax.custom_jvp
def _three_halves(q: jax.Array) -> jax.Array:
    s = jnp.minimum(root(q), _FAR)
    return (1.0 + s) * jnp.exp(-s)


@jax.custom_jvp
def _five_halves(q: jax.Array) -> jax.Array:
    s = jnp.minimum(root(q), _FAR)
    return (1.0 + s + s * s / 3.0) * jnp.exp(-s)


# Each gives the derivative of the next, so that nothing cancels; the first has a kink at zero, and no slope there.
_half.defjvps(lambda dq, _, q: jnp.where(q > 0.0, -0.5 * _half(q) / jnp.where(q > 0.0, root(q), 1.0), 0.0) * dq)
_three_halves.defjvps(lambda dq, _, q: -0.5 * _half(q) * dq)
_five_halves.defjvps(lambda dq, _, q: -_three_halves(q) / 6.0 * dq)


@dataclass(frozen=True)
class _OfDistance(Formula):
    """A function of the sum of squared or absolute differences of coordinates, for kernels that are 1 at zero.

    Its parameters are a power of two for the coordinates, which loses no digits, and the rest of the scale. From many
    coordinates, taken from a common centre, the sum is `‖x‖² + ‖y‖² − 2 x·y`. Its rounding grows with the norms: where
    it would cost digits, differences are used.
    """

    function: Callable[[jax.Array], jax.Array]
    squared: bool = True
    is_smooth: bool = True

    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        del known
        power, factor = parameters
        term = square if self.squared else jnp.abs

        def differences(x: jax.Array, y: jax.Array) -> jax.Array:
            return sum_of_differences(power * x, power * y, term)

        if context is None:
            return self.function(factor * differences(x, y))
        centre, is_exact = context

        def products(x: jax.Array, y: jax.Array) -> jax.Array:
            left, right = power * (x - centre), power * (y - centre)
            sums = squared_norms(left)[:, None] + squared_norms(right) - 2.0 * product(left, right.T)
            return jnp.maximum(sums, 0.0)

        return self.function(factor * lax.cond(is_exact, products, differences, x, y))

    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        del parameters
        return jnp.ones_like(x[:, 0])  # where the points are

    def context(self, x: jax.Array, y: jax.Array, parameters: Parameters) -> Any:
        if not self.is_smooth or x.shape[1] < _FEWEST_FEATURES:
            return None
        power, factor = parameters
        centre = lax.stop_gradient(jnp.mean(y, axis=0))
        norms = [jnp.max(squared_norms(power * (points - centre))) for points in (x, y)]
        error = 4.0 * float(np.finfo(x.dtype).eps) * factor * (norms[0] + norms[1])
        return centre, error <= _ALLOWED_ERROR[x.dtype.name]


@dataclass(frozen=True)
class _OfFeatures(Formula):
    """The inner product of the points, or of their directions."""

    of_directions: bool

    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        del parameters, context, known
        return product(self.features(x), self.features(y).T)

    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        del parameters
        return (_directions(x)[1] > 0.0).astype(x.dtype) if self.of_directions else squared_norms(x)

    def features(self, x: jax.Array) -> jax.Array:
        return _directions(x)[0] if self.of_directions else x


@dataclass(frozen=True)
class _Power(Formula):
    """`(gamma·x·y + coef0)^degree`."""

    degree: int

    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        del context, known
        gamma, constant = parameters
        return lax.integer_pow(gamma * product(x, y.T) + constant, self.degree)

    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        gamma, constant = parameters
        return lax.integer_pow(gamma * squared_norms(x) + constant, self.degree)


@dataclass(frozen=True)
class _OfAngle(Formula):
    """Arc-cosine kernels. Where the cosine does not hold the digits of the angle, the directions do."""

    order: int

    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        del parameters, context
        (u, x_norms), (v, y_norms) = _directions(x), _directions(y)
        cosines = product(u, v.T)
        fixed = lax.stop_gradient(jnp.clip(cosines, -1.0, 1.0))
        straight = jnp.abs(fixed) > NEARLY_STRAIGHT
        if known is not None:
            straight &= ~known
        supplement = jnp.arctan2(jnp.sqrt((1.0 - fixed) * (1.0 + fixed)), -fixed)

        def of_directions(u: jax.Array, v: jax.Array) -> jax.Array:
            difference, total = (sum_of_differences(u, w, square) for w in (v, -v))
            return jnp.where(straight, 2.0 * jnp.arctan2(jnp.sqrt(total), jnp.sqrt(difference)), supplement)

        supplement = lax.cond(
            jnp.any(straight), of_directions, lambda *_: supplement, lax.stop_gradient(u), lax.stop_gradient(v)
        )
        if self.order == 0:
            return arc_cosine_0(cosines, supplement)
        return arc_cosine_1(cosines, supplement) * x_norms[:, None] * y_norms

    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        del parameters
        if self.order == 1:
            return squared_norms(x)
        return jnp.where(_directions(x)[1] > 0.0, 1.0, 0.5).astype(x.dtype)


@jax.custom_jvp
def arc_cosine_0(cosine: jax.Array, supplement: jax.Array) -> jax.Array:
    """`p/π` for the supplement p of the angle, differentiated by the cosine."""
    del cosine
    return supplement / math.pi


@jax.custom_jvp
def arc_cosine_1(cosine: jax.Array, supplement: jax.Array) -> jax.Array:
    """`(sin p − p cos p)/π`, whose derivative by the cosine is `p/π`."""
    del cosine
    q = supplement * supplement
    series = supplement * q / 3.0 * (1.0 - q / 10.0 * (1.0 - q / 28.0 * (1.0 - q / 54.0 * (1.0 - q / 88.0))))
    return jnp.where(supplement < 0.3, series, jnp.sin(supplement) - supplement * jnp.cos(supplement)) / math.pi


def _slope_0(dc: jax.Array, _: jax.Array, cosine: jax.Array, supplement: jax.Array) -> jax.Array:
    del supplement
    square = (1.0 - cosine) * (1.0 + cosine)
    is_inside = square > 0.0  # a kink at zero and straight angles
    return jnp.where(is_inside, 1.0 / (math.pi * jnp.sqrt(jnp.where(is_inside, square, 1.0))), 0.0) * dc


arc_cosine_0.defjvps(_slope_0, None)
arc_cosine_1.defjvps(lambda dc, _, cosine, supplement: arc_cosine_0(cosine, supplement) * dc, None)


def square(values: jax.Array) -> jax.Array:
    return values * values


def root(q: jax.Array) -> jax.Array:
    return jnp.where(q > 0.0, jnp.sqrt(jnp.where(q > 0.0, q, 1.0)), 0.0)


def squared_norms(x: jax.Array) -> jax.Array:
    return jnp.sum(x * x, axis=1)


def _directions(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points made one long, zeros left as they are, and the norms."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=1))
    largest = jnp.where(largest == 0.0, 1.0, largest)
    within = x / largest[:, None]
    lengths = root(squared_norms(within))
    return within / jnp.where(lengths == 0.0, 1.0, lengths)[:, None], lengths * largest


def sum_of_differences(x: jax.Array, y: jax.Array, term: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Sum over coordinates of a term of each difference, in the order of the coordinates."""

    def of_some(x: jax.Array, y: jax.Array) -> jax.Array:
        columns = (term(x[:, j, None] - y[None, :, j]) for j in range(x.shape[1]))
        return sum(columns, start=jnp.zeros((), x.dtype))

    n_features = x.shape[1]
    if n_features <= _FEATURES_AT_ONCE:
        return of_some(x, y)

    @jax.checkpoint  # no gradient stores all differences
    def of_block(start: jax.Array) -> jax.Array:
        blocks = (lax.dynamic_slice_in_dim(points, start, _FEATURES_AT_ONCE, axis=1) for points in (x, y))
        return of_some(*blocks)

    whole = n_features // _FEATURES_AT_ONCE
    total = lax.fori_loop(
        0,
        whole,
        lambda i, total: total + of_block(i * _FEATURES_AT_ONCE),
        jnp.zeros((x.shape[0], y.shape[0]), x.dtype),
    )
    rest = whole * _FEATURES_AT_ONCE
    return total + of_some(x[:, rest:], y[:, rest:]) if rest < n_features else total


def _scaled(scale: Any, squared: bool) -> Parameters:
    """Split a scale of coordinates into a power of two for them, and the rest for their differences, squared or not."""
    if is_traced(scale):
        return 1.0, scale * scale if squared else scale
    mantissa, exponent = math.frexp(float(scale))
    rest = 2.0 * mantissa
    return math.ldexp(1.0, exponent - 1), rest * rest if squared else rest


def _gamma(kernel: Any, n_features: int) -> Any:
    return 1.0 / n_features if kernel.gamma is None else _number(kernel.gamma)


def _number(value: Any) -> Any:
    """Make a number one of Python, which leaves arrays their precision, where one of numpy would not."""
    return value if is_traced(value) else float(value)


@formula_of.register
def _(kernel: RBF, n_features: int) -> tuple[Formula, Parameters]:
    gamma = _gamma(kernel, n_features)
    parameters = (1.0, gamma) if is_traced(gamma) else _scaled(math.sqrt(gamma), True)
    return _OfDistance(_exponential), parameters


@formula_of.register
def _(kernel: Laplace, n_features: int) -> tuple[Formula, Parameters]:
    return _OfDistance(_exponential, squared=False, is_smooth=False), _scaled(_gamma(kernel, n_features), False)


@formula_of.register
def _(kernel: Matern, n_features: int) -> tuple[Formula, Parameters]:
    del n_features
    function = {0.5: _half, 1.5: _three_halves, 2.5: _five_halves}[kernel.nu]
    scale = math.sqrt(2.0 * kernel.nu) / kernel.length_scale
    return _OfDistance(function, is_smooth=kernel.nu > 0.5), _scaled(scale, True)


@formula_of.register
def _(kernel: Linear, n_features: int) -> tuple[Formula, Parameters]:
    del kernel, n_features
    return _OfFeatures(of_directions=False), ()


@formula_of.register
def _(kernel: Cosine, n_features: int) -> tuple[Formula, Parameters]:
    del kernel, n_features
    return _OfFeatures(of_directions=True), ()


@formula_of.register
def _(kernel: Polynomial, n_features: int) -> tuple[Formula, Parameters]:
    return _Power(int(kernel.degree)), (_gamma(kernel, n_features), _number(kernel.coef0))


@formula_of.register
def _(kernel: ArcCosine, n_features: int) -> tuple[Formula, Parameters]:
    del n_features
    return _OfAngle(int(kernel.order)), ()
