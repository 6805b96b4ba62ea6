"""Kernels of infinitely wide dense networks on jax arrays: values, and derivatives by points and variances.

Of two points their cosine is carried through the layers, which derivatives follow, and beside it, without them, the gap
`1 − cosine`, which keeps the digits of small angles. See `kdtheory.kernels.ntk`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kdtheory.kernels._jax_values import (
    Formula,
    Parameters,
    arc_cosine_0,
    arc_cosine_1,
    formula_of,
    product,
    root,
    square,
    squared_norms,
    sum_of_differences,
)
from kdtheory.kernels.ntk import NNGP, NTK

__all__ = ["formula_of"]  # which knows these kernels from here on

_STRAIGHT = 0.99
"""Cosine from which on the gap is taken from the points."""


@dataclass(frozen=True)
class _Layers(Formula):
    """Dense layers with rectifiers, or erf, between them; its parameters are the two variances."""

    depth: int
    is_erf: bool
    slope: float
    of_tangents: bool

    def values(self, x: jax.Array, y: jax.Array, parameters: Parameters, context: Any, known: Any) -> jax.Array:
        del context
        weight, bias = parameters
        n_features = x.shape[1]
        left, right = (weight * squared_norms(points) / n_features + bias for points in (x, y))
        kernel = weight * product(x, y.T) / n_features + bias
        cosine = _quotient(kernel, root(left)[:, None] * root(right))
        gap = lax.stop_gradient(_first_gap(x, y, cosine, left, right, parameters, known))
        tangent = kernel
        for _ in range(self.depth):
            before = root(left)[:, None] * root(right)
            if self.is_erf:
                active, slopes = _erf(cosine * before, left[:, None], right)
                left, right = (self._variance(each) for each in (left, right))
            else:
                mean, slopes, gap = self._rectified(cosine, gap)
                active = mean * before
                left, right = (self._variance(each) for each in (left, right))
                gap = _gap_with_bias(gap, weight * left[:, None], weight * right, bias)
            kernel = weight * active + bias
            left, right = (weight * each + bias for each in (left, right))
            cosine = _quotient(kernel, root(left)[:, None] * root(right))
            tangent = weight * tangent * slopes + kernel
        return tangent if self.of_tangents else kernel

    def diagonal(self, x: jax.Array, parameters: Parameters) -> jax.Array:
        weight, bias = parameters
        variance = weight * squared_norms(x) / x.shape[1] + bias
        tangent = variance
        for _ in range(self.depth):
            slopes = 4.0 / math.pi / root(1.0 + 4.0 * variance) if self.is_erf else 0.5 * (1.0 + self.slope**2)
            variance = weight * self._variance(variance) + bias
            tangent = weight * tangent * slopes + variance
        return tangent if self.of_tangents else variance

    def _variance(self, variance: jax.Array) -> jax.Array:
        """Mean square of the activation of a normal variable."""
        if self.is_erf:
            return 2.0 / math.pi * jnp.arctan(2.0 * variance / root(1.0 + 4.0 * variance))
        return 0.5 * (1.0 + self.slope**2) * variance

    def _rectified(self, cosine: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Mean products of rectified variables of variance one, and of their slopes, and the gap after them."""
        share, rest = 0.5 * (1.0 - self.slope) ** 2, self.slope
        half = lax.stop_gradient(jnp.clip(0.5 * gap, 0.0, 1.0))
        angle, supplement = (2.0 * jnp.arctan2(root(a), root(b)) for a, b in ((half, 1.0 - half), (1.0 - half, half)))
        mean = share * arc_cosine_1(cosine, supplement) + rest * cosine
        slopes = share * arc_cosine_0(cosine, supplement) + rest
        bent = gap - arc_cosine_1(cosine, angle)  # (sin θ − θ cos θ)/π
        return mean, slopes, lax.stop_gradient((share * bent + rest * gap) / (0.5 * (1.0 + self.slope**2)))


def _first_gap(
    x: jax.Array, y: jax.Array, cosine: jax.Array, left: jax.Array, right: jax.Array, parameters: Parameters, known: Any
) -> jax.Array:
    """`1 − cosine` of the points with their bias; where it is small, half the squared difference of directions."""
    weight, bias = parameters
    straight = cosine > _STRAIGHT
    if known is not None:
        straight &= ~known

    def directions(points: jax.Array, variances: jax.Array) -> jax.Array:
        scaled = root(jnp.asarray(weight / points.shape[1], points.dtype)) * points
        biases = jnp.broadcast_to(root(jnp.asarray(bias, points.dtype)), (len(points), 1))
        return _quotient(jnp.concatenate([scaled, biases], axis=1), root(variances)[:, None])

    def of_directions(x: jax.Array, y: jax.Array) -> jax.Array:
        halves = 0.5 * sum_of_differences(directions(x, left), directions(y, right), square)
        return jnp.where(straight, halves, 1.0 - cosine)

    return lax.cond(jnp.any(straight), of_directions, lambda *_: 1.0 - cosine, x, y)


def _gap_with_bias(gap: jax.Array, left: jax.Array, right: jax.Array, bias: Any) -> jax.Array:
    """Gap of two vectors of squared lengths `left` and `right`, after one coordinate √bias more for both."""
    inner = root(left) * root(right)
    whole = root(left + bias) * root(right + bias)
    apart = bias * (root(left) - root(right)) ** 2 / jnp.where(whole > 0.0, whole + inner + bias, 1.0)
    return lax.stop_gradient(_quotient(apart + inner * gap, whole))


def _erf(kernel: jax.Array, left: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean products of erf of normal variables with these covariances and variances, and of its slopes."""
    outside = 1.0 + 2.0 * (left + right)
    determinant = outside + 4.0 * (left * right - kernel * kernel)
    other = root(jnp.maximum(determinant, 1.0))
    return 2.0 / math.pi * jnp.arctan2(2.0 * kernel, other), 4.0 / math.pi / other


def _quotient(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Quotients, or 0 for denominators of 0."""
    positive = denominator > 0.0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1.0), 0.0)


@formula_of.register(NNGP)
@formula_of.register(NTK)
def _(kernel: NNGP | NTK, n_features: int) -> tuple[Formula, Parameters]:
    del n_features
    layers = _Layers(
        int(kernel.depth), kernel.activation == "erf", float(kernel.negative_slope), isinstance(kernel, NTK)
    )
    return layers, (kernel.weight_variance, kernel.bias_variance)
