"""Kernels of infinitely wide dense networks on jax arrays: values, and derivatives by points and variances.

Of two points their cosine is carried through the layers, which derivatives follow, and beside it, without them, the
gaps `1 − cosine` and `1 + cosine`, which keep the digits of small and straight angles. See `kdtheory.kernels.ntk`.
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
"""Size of a cosine from which on the gaps are taken from the points."""


_Gaps = tuple[jax.Array, jax.Array]


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
        gaps = lax.stop_gradient(_first_gaps(x, y, cosine, left, right, parameters, known))
        tangent = kernel
        for _ in range(self.depth):
            if self.is_erf:
                active, slopes, gaps = _erf(kernel, left[:, None], right, gaps)
            else:
                mean, slopes, gaps = self._rectified(cosine, gaps)
                active = mean * (root(left)[:, None] * root(right))
            left, right = (self._variance(each) for each in (left, right))
            gaps = _gaps_with_bias(gaps, weight * left[:, None], weight * right, bias)
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

    def _rectified(self, cosine: jax.Array, gaps: _Gaps) -> tuple[jax.Array, jax.Array, _Gaps]:
        """Mean products of rectified variables of variance one, and of their slopes, and the gaps after them."""
        share, rest, gain = 0.5 * (1.0 - self.slope) ** 2, self.slope, 0.5 * (1.0 + self.slope**2)
        near, far = gaps
        angle, supplement = (2.0 * jnp.arctan2(root(a), root(b)) for a, b in ((near, far), (far, near)))
        mean = share * arc_cosine_1(cosine, supplement) + rest * cosine
        slopes = share * arc_cosine_0(cosine, supplement) + rest
        bent, turned = (arc_cosine_1(cosine, each) for each in (angle, supplement))  # (sin θ − θ cos θ)/π
        near_of_acute = gain * near - share * bent
        near_of_obtuse = gain + rest - share * turned - rest * far
        far_of_obtuse = share + share * turned + rest * far
        return mean, slopes, _gaps(near <= far, near_of_acute / gain, near_of_obtuse / gain, far_of_obtuse / gain)


def _gaps(is_acute: jax.Array, near: jax.Array, near_of_obtuse: jax.Array, far_of_obtuse: jax.Array) -> _Gaps:
    """Choose between what is known behind acute angles and behind obtuse ones."""
    values = jnp.where(is_acute, near, near_of_obtuse), jnp.where(is_acute, 2.0 - near, far_of_obtuse)
    near, far = (lax.stop_gradient(jnp.clip(each, 0.0, 2.0)) for each in values)
    return near, far


def _first_gaps(
    x: jax.Array, y: jax.Array, cosine: jax.Array, left: jax.Array, right: jax.Array, parameters: Parameters, known: Any
) -> _Gaps:
    """`1 ∓ cosine` of the points with their bias; if one is small, half the squared length of a sum of directions."""
    weight, bias = parameters
    straight = jnp.abs(cosine) > _STRAIGHT
    if known is not None:
        straight &= ~known
    plain = jnp.clip(1.0 - cosine, 0.0, 2.0), jnp.clip(1.0 + cosine, 0.0, 2.0)

    def directions(points: jax.Array, variances: jax.Array) -> jax.Array:
        scaled = root(jnp.asarray(weight / points.shape[1], points.dtype)) * points
        biases = jnp.broadcast_to(root(jnp.asarray(bias, points.dtype)), (len(points), 1))
        return _quotient(jnp.concatenate([scaled, biases], axis=1), root(variances)[:, None])

    def of_directions(x: jax.Array, y: jax.Array) -> _Gaps:
        u, v = directions(x, left), directions(y, right)
        near, far = (0.5 * sum_of_differences(u, each, square) for each in (v, -v))
        return jnp.where(straight, near, plain[0]), jnp.where(straight, far, plain[1])

    gaps: _Gaps = lax.cond(jnp.any(straight), of_directions, lambda *_: plain, x, y)
    return gaps


def _gaps_with_bias(gaps: _Gaps, left: jax.Array, right: jax.Array, bias: Any) -> _Gaps:
    """Gaps of two vectors of squared lengths `left` and `right`, after one coordinate √bias more for both."""
    inner = root(left) * root(right)
    whole = root(left + bias) * root(right + bias)
    apart = bias * (root(left) - root(right)) ** 2 / jnp.where(whole > 0.0, whole + inner + bias, 1.0)
    near, far = gaps
    added = _quotient(apart + inner * near, whole), _quotient(apart + 2.0 * bias + inner * far, whole)
    return lax.stop_gradient(added)


def _erf(kernel: jax.Array, left: jax.Array, right: jax.Array, gaps: _Gaps) -> tuple[jax.Array, jax.Array, _Gaps]:
    """Mean products of erf of normal variables with these covariances and variances, of its slopes, and the gaps.

    With `sin ψ = 2q/(1 + 2q)` of a variance q, and `sin A = 2·kernel/√((1 + 2·left)·(1 + 2·right))`, the means are
    A·2/π and, of the variables themselves, ψ·2/π. See `kdtheory._ntk_loops`.
    """
    roots = root(1.0 + 2.0 * left), root(1.0 + 2.0 * right)
    sine = 2.0 * (kernel / roots[0]) / roots[1]
    other_left, other_right = 1.0 / (1.0 + 2.0 * left), 1.0 / (1.0 + 2.0 * right)
    sine_left, sine_right = (2.0 * each / (1.0 + 2.0 * each) for each in (left, right))
    sines, near, far = sine_left * sine_right, *gaps
    cosine = _cosine(sine, lax.stop_gradient(root(other_left + sine_left * other_right + sines * near * far)))
    size, angle = jnp.abs(sine), jnp.arctan2(sine, cosine)
    psi_left, psi_right = (jnp.arctan(2.0 * each / root(1.0 + 4.0 * each)) for each in (left, right))
    mean, difference = 0.5 * (psi_left + psi_right), jnp.sin(0.5 * (psi_left - psi_right))
    total = jnp.sin(mean) * cosine + jnp.cos(mean) * size  # sin(m + |A|), and below sin(m − |A|) and cos(m − |A|)
    less = _quotient(difference * difference + sines * near * far, total)
    rest = jnp.arctan2(less, jnp.cos(mean) * cosine + jnp.sin(mean) * size)
    lengths = root(psi_left) * root(psi_right)
    apart = (root(psi_left) - root(psi_right)) ** 2
    # Of lengths far apart, the digits of the one may be lost beside the other, and the angle is not small.
    is_close = apart < 4.0 * lengths
    gap = jnp.where(
        is_close, jnp.maximum(_quotient(rest - 0.5 * apart, lengths), 0.0), 1.0 - _quotient(jnp.abs(angle), lengths)
    )
    active, slopes = 2.0 / math.pi * angle, 4.0 / math.pi / (cosine * roots[0] * roots[1])
    return active, slopes, _gaps(near <= far, gap, 2.0 - gap, gap)


@jax.custom_jvp
def _cosine(sine: jax.Array, cosine: jax.Array) -> jax.Array:
    """`cosine`, which is known, differentiated as that of an angle whose sine is given."""
    del sine
    return cosine


_cosine.defjvps(lambda d_sine, value, sine, _: -sine / value * d_sine, None)


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
