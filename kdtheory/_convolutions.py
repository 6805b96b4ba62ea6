"""Kernels of infinitely wide convolutional networks, for JAX: no validation, no defaults.

Covariances of pre-activations have the shape (..., H, W, H, W), between all pixels of two images; variances, of the
pixels of one image with themselves, (..., H, W).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

_OTHER = 2
"""Axes from the rows and columns of one image to those of the other."""


@partial(jax.jit, static_argnames=("depth", "filter_size", "pairs_at_once"))
def between(
    left: Array,
    right: Array,
    weight_variance: Array,
    bias_variance: Array,
    *,
    depth: int,
    filter_size: int,
    pairs_at_once: int,
) -> tuple[Array, Array]:
    """NNGP and NTK matrices (n, m) of two batches (n, H, W, C) and (m, H, W, C)."""

    def of_pair(numbers: Array) -> tuple[Array, Array]:
        one, other = left[numbers // len(right)], right[numbers % len(right)]
        covariance = _products(one, other)
        return _layers(
            covariance, _squares(one), _squares(other), weight_variance, bias_variance, depth, filter_size, same=False
        )

    # Few at a time: on processors the covariances then stay in the cache.
    values = lax.map(of_pair, jnp.arange(len(left) * len(right)), batch_size=pairs_at_once)
    nngp, ntk = (jnp.reshape(each, (len(left), len(right))) for each in values)
    return nngp, ntk


@partial(jax.jit, static_argnames=("depth", "filter_size", "pairs_at_once"))
def with_themselves(
    batch: Array,
    weight_variance: Array,
    bias_variance: Array,
    *,
    depth: int,
    filter_size: int,
    pairs_at_once: int,
) -> tuple[Array, Array]:
    """NNGP and NTK values (n,) of each image of a batch (n, H, W, C) with itself."""

    def of_image(image: Array) -> tuple[Array, Array]:
        variance = _squares(image)
        return _layers(
            _products(image, image), variance, variance, weight_variance, bias_variance, depth, filter_size, same=True
        )

    values: tuple[Array, Array] = lax.map(of_image, batch, batch_size=pairs_at_once)
    return values


def derivatives(
    left: Array, right: Array, weight_variance: Array, bias_variance: Array, **settings: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Give the derivatives of what `between` returns by the two variances, one after the other."""

    def kernels(variances: tuple[Array, Array]) -> tuple[Array, Array]:
        return between(left, right, *variances, **settings)

    point = (jnp.asarray(weight_variance), jnp.asarray(bias_variance))
    one, zero = jnp.ones_like(point[0]), jnp.zeros_like(point[0])
    by_weight = jax.jvp(kernels, (point,), ((one, zero),))[1]
    by_bias = jax.jvp(kernels, (point,), ((zero, one),))[1]
    return by_weight, by_bias


def _layers(
    covariance: Array,
    left: Array,
    right: Array,
    weight_variance: Array,
    bias_variance: Array,
    depth: int,
    filter_size: int,
    *,
    same: bool,
) -> tuple[Array, Array]:
    """Convolutions and rectifiers, `depth` times each, then the mean over pixels and a linear read-out."""
    tangent = jnp.zeros_like(covariance)
    for _ in range(depth):
        share = weight_variance / filter_size**2
        covariance = share * _window_sums(covariance, filter_size, _OTHER) + bias_variance
        tangent = share * _window_sums(tangent, filter_size, _OTHER) + covariance
        left, right = (share * _window_sums(each, filter_size, None) + bias_variance for each in (left, right))
        covariance, slope = _rectified(covariance, left[..., :, :, None, None], right[..., None, None, :, :], same)
        tangent = tangent * slope
        left, right = 0.5 * left, 0.5 * right
    nngp = weight_variance * jnp.mean(covariance, axis=(-4, -3, -2, -1)) + bias_variance
    return nngp, weight_variance * jnp.mean(tangent, axis=(-4, -3, -2, -1)) + nngp


def _rectified(covariance: Array, left: Array, right: Array, same: bool) -> tuple[Array, Array]:
    """Covariance of rectified normal variables, and of their slopes; derivatives are finite wherever they exist."""
    positive = (left > 0.0) & (right > 0.0)
    one, other = (jnp.sqrt(jnp.where(positive, each, 1.0)) for each in (left, right))
    mean = one * other  # of roots, since the product of variances may not be representable
    mean = mean + lax.stop_gradient(jnp.where(left == right, left, mean) - mean)  # equal pixels have a cosine of 1
    scale = jnp.where(positive, mean, 0.0)
    cosine = jnp.clip(covariance / jnp.where(positive, scale, 1.0), -1.0, 1.0)
    if same:  # a pixel with itself: rounding of the cosine would cost half of the digits of the slope
        height, width = covariance.shape[-4:-2]
        identity = jnp.eye(height * width, dtype=bool).reshape(height, width, height, width)
        cosine = jnp.where(identity & positive, 1.0, cosine)
    squared = (1.0 - cosine) * (1.0 + cosine)
    bent = squared > 0.0
    sine = jnp.where(bent, jnp.sqrt(jnp.where(bent, squared, 1.0)), 0.0)
    opposite = jnp.arctan2(sine, -cosine)  # π − θ
    return scale * (sine + opposite * cosine) / (2.0 * jnp.pi), opposite / (2.0 * jnp.pi)


def _window_sums(values: Array, size: int, other: int | None) -> Array:
    """Sum over square windows around each pixel, zero beyond the border; of both images at once if there is another.

    The window of one image moves with that of the other, so that sums over rows and columns can follow each other.
    """
    last = values.ndim
    axes = (last - 4, last - 3) if other is not None else (last - 2, last - 1)
    for axis in axes:
        moved = (axis,) if other is None else (axis, axis + other)
        length = values.shape[axis]
        padding = [(size // 2, size // 2) if each in moved else (0, 0) for each in range(last)]
        padded, values = jnp.pad(values, padding), jnp.zeros_like(values)
        for offset in range(size):
            window = padded
            for each in moved:
                window = lax.slice_in_dim(window, offset, offset + length, axis=each)
            values = values + window
    return values


def _products(one: Array, other: Array) -> Array:
    return jnp.einsum("hwc,xyc->hwxy", one, other, precision="highest") / one.shape[-1]


def _squares(images: Array) -> Array:
    return jnp.sum(images * images, axis=-1) / images.shape[-1]
