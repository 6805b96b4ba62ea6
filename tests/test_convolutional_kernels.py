"""Kernels of wide convolutional networks: beside a slow definition, finite networks and derivatives by differences."""

import dataclasses
import math

import mpmath
import numpy as np
import pytest

from kdtheory import Spectrum
from kdtheory.kernels import NTK, ConvolutionalNNGP, ConvolutionalNTK

pytest.importorskip("jax")
SHAPE = (4, 3, 2)
X = np.random.default_rng(0).standard_normal((6, math.prod(SHAPE)))


def oracle(image, other, depth, size, weight, bias):
    """NNGP and NTK of two images, pixel by pixel with 30 digits."""
    height, width, channels = image.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    neighbours = [(a, b) for a in range(-(size // 2), size // 2 + 1) for b in range(-(size // 2), size // 2 + 1)]
    images = (image, other)

    def convolved(values, added):
        result = {}
        for (s, p), (t, q) in values:
            moved = [((s, (p[0] + a, p[1] + b)), (t, (q[0] + a, q[1] + b))) for a, b in neighbours]
            total = mpmath.fsum(values.get(key, 0) for key in moved)
            result[(s, p), (t, q)] = mpmath.mpf(weight) / size**2 * total + added((s, p), (t, q))
        return result

    everything = [(s, p) for s in range(2) for p in pixels]
    covariance = {
        (x, y): mpmath.fsum(
            mpmath.mpf(float(a)) * mpmath.mpf(float(b))
            for a, b in zip(images[x[0]][x[1]], images[y[0]][y[1]], strict=True)
        )
        / channels
        for x in everything
        for y in everything
    }
    tangent = dict.fromkeys(covariance, mpmath.mpf(0))
    for _ in range(depth):
        covariance = convolved(covariance, lambda *_: mpmath.mpf(bias))
        current = covariance
        tangent = convolved(tangent, lambda x, y, current=current: current[x, y])
        rectified, slopes = {}, {}
        for x, y in covariance:
            scale = mpmath.sqrt(covariance[x, x] * covariance[y, y])
            cosine = covariance[x, y] / scale if scale else mpmath.mpf(0)
            angle = mpmath.acos(max(min(cosine, 1), -1))
            rectified[x, y] = scale * (mpmath.sin(angle) + (mpmath.pi - angle) * cosine) / (2 * mpmath.pi)
            slopes[x, y] = (mpmath.pi - angle) / (2 * mpmath.pi)
        tangent = {key: value * slopes[key] for key, value in tangent.items()}
        covariance = rectified
    between = [((0, p), (1, q)) for p in pixels for q in pixels]
    nngp = mpmath.mpf(weight) * mpmath.fsum(covariance[key] for key in between) / len(between) + mpmath.mpf(bias)
    return nngp, mpmath.mpf(weight) * mpmath.fsum(tangent[key] for key in between) / len(between) + nngp


@pytest.mark.parametrize(("depth", "size", "weight", "bias"), [(1, 3, 2.0, 0.0), (2, 3, 1.5, 0.3), (1, 5, 2.0, 0.1)])
def test_values_are_those_of_the_definition(depth, size, weight, bias):
    points = X[:3].copy()
    points[1] = -points[0]
    points[2, :8] = 0.0  # a black margin, whose pixels have no variance without a bias
    images = points.reshape(-1, *SHAPE)
    parameters = {"depth": depth, "filter_size": size, "weight_variance": weight, "bias_variance": bias}
    nngp, ntk = (kernel(SHAPE, **parameters).gram(points) for kernel in (ConvolutionalNNGP, ConvolutionalNTK))
    with mpmath.workdps(30):
        for i in range(3):
            for j in range(i + 1):
                expected = oracle(images[i], images[j], depth, size, weight, bias)
                assert nngp[i, j] == pytest.approx(float(expected[0]), rel=1e-13)
                assert ntk[i, j] == pytest.approx(float(expected[1]), rel=1e-13)


def finite_network(images, rng, width, depth, weight, bias):
    """Outputs of a random network."""
    values = images
    for _ in range(depth):
        channels = values.shape[-1]
        filters = rng.standard_normal((3, 3, channels, width)) * np.sqrt(weight / (9 * channels))
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
        height, breadth = values.shape[1:3]
        sums = sum(padded[:, a : a + height, b : b + breadth] @ filters[a, b] for a in range(3) for b in range(3))
        values = np.maximum(sums + np.sqrt(bias) * rng.standard_normal(width), 0.0)
    pooled = values.mean(axis=(1, 2))
    readout = rng.standard_normal((width, 4000)) * np.sqrt(weight / width)
    return pooled @ readout + np.sqrt(bias) * rng.standard_normal(4000)


def test_nngp_is_the_covariance_of_random_networks():
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(40):
        outputs = finite_network(X.reshape(-1, *SHAPE), rng, 200, 2, 1.5, 0.3)
        runs.append(outputs @ outputs.T / outputs.shape[1])
    kernel = ConvolutionalNNGP(SHAPE, depth=2, weight_variance=1.5, bias_variance=0.3)
    error = np.std(runs, axis=0) / np.sqrt(len(runs))
    assert np.max(np.abs(np.mean(runs, axis=0) - kernel.gram(X)) / error) < 4.0
    assert np.max(error / np.abs(kernel.gram(X))) < 0.03


@pytest.mark.parametrize("bias", [0.0, 0.4])
def test_images_of_one_pixel_are_those_of_the_dense_network(bias):
    points = X[:, :5]
    dense = NTK(depth=3, weight_variance=2.0, bias_variance=bias)
    kernel = ConvolutionalNTK((1, 1, 5), depth=3, filter_size=1, weight_variance=2.0, bias_variance=bias)
    np.testing.assert_allclose(kernel.gram(points), dense.gram(points), rtol=1e-12)


@pytest.mark.parametrize("kernel", [ConvolutionalNNGP, ConvolutionalNTK])
def test_gram_matrices_are_symmetric_and_positive_semi_definite(kernel):
    points = np.vstack([X, X[:2], -X[:2]])
    gram = kernel(SHAPE, depth=2).gram(np.tile(points, (3, 1)))
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(gram[:10, 10:20], gram[:10, :10], rtol=1e-7)
    spectrum = Spectrum.from_gram(gram)
    assert spectrum.eigenvalues[-1] >= 0.0
    operator = kernel(SHAPE, depth=2).operator(points)
    np.testing.assert_allclose(operator @ np.ones(10), gram[:10, :10].sum(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(kernel(SHAPE, depth=2).diag(points), np.diagonal(gram)[:10])


@pytest.mark.parametrize("kind", [ConvolutionalNNGP, ConvolutionalNTK])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_derivatives_by_the_variances_are_those_by_differences(kind, bias):
    points, others = X[:3].copy(), X[3:]
    points[0, :8] = 0.0
    kernel = kind(SHAPE, depth=2, weight_variance=1.5, bias_variance=bias)
    by_weight, by_bias = kernel.gram_derivatives(points, others)
    h = 1e-5
    above, below = (dataclasses.replace(kernel, weight_variance=1.5 + s * h).gram(points, others) for s in (1, -1))
    np.testing.assert_allclose(by_weight, (above - below) / (2 * h), rtol=1e-7)
    above = [dataclasses.replace(kernel, bias_variance=bias + s * h).gram(points, others) for s in (0, 1, 2)]
    np.testing.assert_allclose(by_bias, (4 * above[1] - 3 * above[0] - above[2]) / (2 * h), rtol=1e-4)


@pytest.mark.parametrize("kind", [ConvolutionalNNGP, ConvolutionalNTK])
@pytest.mark.parametrize("size", [1e-140, 1e-80, 1e80, 1e150])
def test_brightness_carries_over_as_its_square(kind, size):
    kernel, points = kind(SHAPE, depth=2), np.vstack([X[:2], -X[:1], np.ones((1, X.shape[1]))])
    expected = size * (size * kernel.gram(points))
    np.testing.assert_allclose(kernel.gram(size * points), expected, rtol=1e-13)
    np.testing.assert_allclose(kernel.gram(size * points, X[3:] / size), kernel.gram(points, X[3:]), rtol=1e-13)


def test_equal_pixels_beside_each_other_keep_their_digits():
    points = np.full((1, 24), 0.1)
    bright = ConvolutionalNTK(SHAPE, depth=1, filter_size=1).gram(points)
    dense = NTK(depth=1).gram(points[:, :2])
    np.testing.assert_allclose(bright, dense, rtol=1e-14)


def test_images_without_light_have_a_kernel_of_zero():
    points = np.vstack([X[:1], np.zeros((1, X.shape[1]))])
    gram = ConvolutionalNTK(SHAPE).gram(points)
    assert gram[0, 0] > 0.0
    assert np.all(gram[1] == 0.0)
    assert np.all(np.isfinite(ConvolutionalNTK(SHAPE).gram_derivatives(points)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image_shape": (4, 3)}, ValueError, r"image_shape must be \(height, width, channels\), got \(4, 3\)"),
        ({"image_shape": 7}, TypeError, "image_shape must be a sequence of integers, got 7"),
        ({"image_shape": (4, 3, 0)}, ValueError, "image_shape must be >= 1, got 0"),
        ({"depth": 0}, ValueError, "depth must be >= 1, got 0"),
        ({"filter_size": 2}, ValueError, "filter_size must be odd, got 2"),
        ({"weight_variance": 0.0}, ValueError, "weight_variance must be > 0, got 0"),
        ({"bias_variance": -0.1}, ValueError, "bias_variance must be >= 0, got -0.1"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        ConvolutionalNTK(**{"image_shape": SHAPE, **arguments})


def test_points_that_are_no_such_images():
    with pytest.raises(ValueError, match=r"X must have 24 columns, as points of shape \(4, 3, 2\) have entries, got 5"):
        ConvolutionalNTK(SHAPE).gram(X[:, :5])
    with pytest.raises(ValueError, match="X must have 24 columns"):
        ConvolutionalNTK(SHAPE).gram_derivatives(X[:, :5])
