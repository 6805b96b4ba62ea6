"""Kernels of wide dense networks on jax arrays: the values of the compiled loops, and derivatives."""

import numpy as np
import pytest

from kdtheory.kernels import NNGP, NTK

jax = pytest.importorskip("jax")
jnp = jax.numpy

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 5))
X[3], X[5], X[7], X[9], X[11] = X[4], -X[6], (1.0 + 1e-9) * X[8], X[10] + 1e-6, 0.0
NEW = np.vstack([RNG.standard_normal((6, 5)), X[:8]])
CASES = [
    (NTK, "relu", 3, 0.0),
    (NTK, "leaky_relu", 2, 0.3),
    (NTK, "erf", 2, 0.3),
    (NNGP, "relu", 2, 0.3),
    (NNGP, "erf", 1, 0.0),
]


def kernel_of(kind, activation, depth, bias, weight=1.7):
    return kind(depth=depth, activation=activation, weight_variance=weight, bias_variance=bias)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_are_those_of_the_loops(case):
    kernel = kernel_of(*case)
    exact = kernel.gram(X)
    scale = np.max(np.abs(exact))
    np.testing.assert_allclose(kernel.gram(jnp.asarray(X)), exact, rtol=0, atol=1e-14 * scale)
    np.testing.assert_allclose(kernel.diag(jnp.asarray(X)), kernel.diag(X), rtol=1e-14)
    np.testing.assert_allclose(
        kernel.gram(jnp.asarray(X), jnp.asarray(NEW)), kernel.gram(X, NEW), rtol=0, atol=1e-14 * scale
    )


@pytest.mark.parametrize("kind", [NNGP, NTK])
@pytest.mark.parametrize(
    "parameters",
    [
        ("relu", 2.0, 0.0),
        ("leaky_relu", 2.0, 0.0, -1.0),
        ("leaky_relu", 1.5, 0.1, -0.5),
        ("leaky_relu", 1.5, 0.1, 1.5),
        ("erf", 40.0, 0.0),
        ("erf", 40.0, 1e-8),
    ],
    ids=str,
)
def test_values_near_straight_angles_and_of_far_lengths_are_those_of_the_loops(kind, parameters):
    x, step = np.random.default_rng(1).standard_normal((2, 4))
    points = np.array([x, -x, 2.0 * x, -1e3 * x, x + 1e-8 * step, 1e-6 * step - x, -1e-5 * step, 1e5 * step, 1e90 * x])
    kernel = kind(6, *parameters)
    exact = kernel.gram(points)
    scales = np.sqrt(kernel.diag(points))
    errors = np.abs(np.asarray(kernel.gram(jnp.asarray(points))) - exact) / scales / scales[:, None]
    assert errors.max() < 1e-12


def test_single_precision_stays_single_precision():
    kernel = NTK(depth=3, bias_variance=0.1)
    values = kernel.gram(jnp.asarray(X, "float32"))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, kernel.gram(X), atol=3e-6 * kernel.gram(X).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_derivatives_by_the_variances_are_those_by_differences(case):
    points, h = np.delete(X, [3, 5, 7, 9, 11], axis=0), 1e-4
    kind, activation, depth, bias = case
    weights = RNG.standard_normal((len(points), len(points)))

    def value(array, weight, bias):
        return (weights * kernel_of(kind, activation, depth, bias, weight).gram(array)).sum()

    by_weight, by_bias = jax.grad(value, (1, 2))(jnp.asarray(points), 1.7, bias)
    above, below = (value(points, 1.7 + sign * h, bias) for sign in (1, -1))
    assert by_weight == pytest.approx((above - below) / (2 * h), rel=1e-5)
    steps = [value(points, 1.7, bias + k * h) for k in range(4)]
    forward = (-11 * steps[0] + 18 * steps[1] - 9 * steps[2] + 2 * steps[3]) / (6 * h)
    assert by_bias == pytest.approx(forward, rel=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_derivatives_are_finite_at_equal_opposite_and_zero_points(case):
    kind, activation, depth, bias = case
    by_points = jax.grad(lambda x: kernel_of(*case).gram(x).sum())(jnp.asarray(X))
    assert np.all(np.isfinite(by_points))
    by_variances = jax.grad(lambda w, b: kernel_of(kind, activation, depth, b, w).gram(jnp.asarray(X)).sum(), (0, 1))
    assert np.all(np.isfinite(by_variances(1.7, bias)))
