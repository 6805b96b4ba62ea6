"""Derivatives of kernels of jax arrays, by points and by parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdtheory.kernels import RBF, Laplace, Matern, Polynomial, _jax_tiles
from tests.test_jax_operators import DEVICES, KERNELS, POINTS, V

rng = np.random.default_rng(1)


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    """Several tiles, so that few points go the way of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jax_tiles, "_LARGEST_ON_CPU", (32, 64))
        yield


@pytest.mark.parametrize(("kernel", "d"), [*((kernel, 3) for kernel in KERNELS), (RBF(), 21)])
def test_derivatives_by_points_are_finite_and_right(kernel, d):
    """Two points are the same, one is another's mirror image, one is zero; the others move."""
    X = np.vstack([POINTS[:6], POINTS[:1], -2.0 * POINTS[1:2], 0.0 * POINTS[:1]])
    X = np.hstack([X, X])[:, :d]
    weights, direction = jnp.asarray(rng.standard_normal((9, 9))), np.zeros((9, d))
    direction[2:6] = rng.standard_normal((4, d))

    def total(x):
        return jnp.sum(weights * kernel.gram(x))

    gradient = jax.jit(jax.grad(total))(jnp.asarray(X))
    assert bool(jnp.isfinite(gradient).all())
    step = 1e-5 * direction
    slope = sum(float(np.sum(weights * sign * kernel.gram(X + sign * step))) for sign in (1.0, -1.0)) / 2e-5
    np.testing.assert_allclose(jnp.sum(gradient * direction), slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kernel", [Matern(2.5, 1.5), Matern(1.5, 1.5)], ids=str)
def test_second_derivatives_at_the_same_point_are_those_nearby(kernel):
    def value(x, shift):
        return kernel.gram(x[None], jnp.asarray([[0.6, -0.8]]) + shift)[0, 0]

    curvature = jax.jit(jax.hessian(value))
    at, near = (curvature(jnp.asarray([0.6, -0.8]), shift) for shift in (0.0, 1e-7))
    np.testing.assert_allclose(at, near, atol=2e-6)
    assert np.linalg.norm(at) > 0.1


@pytest.mark.parametrize(
    ("kernel", "value"),
    [
        (lambda gamma: RBF(gamma=gamma), 0.3),
        (lambda gamma: Laplace(gamma=gamma), 0.3),
        (lambda length: Matern(1.5, length_scale=length), 1.5),
        (lambda gamma: Polynomial(gamma=gamma), 0.3),
        (lambda coef0: Polynomial(gamma=0.3, coef0=coef0), 0.5),
    ],
)
def test_derivatives_by_parameters_are_right(kernel, value):
    x, weights = jnp.asarray(POINTS[:20, :3]), rng.standard_normal((20, 20))
    derivative = jax.jit(jax.grad(lambda p: jnp.sum(weights * kernel(p).gram(x))))(value)
    slope = np.subtract(*(np.sum(weights * kernel(value + h).gram(POINTS[:20, :3])) for h in (1e-5, -1e-5))) / 2e-5
    np.testing.assert_allclose(derivative, slope, rtol=1e-6)


def test_derivatives_of_products_on_several_devices_are_right():
    x, v = jnp.asarray(POINTS[:50, :3]), jnp.asarray(V[:50])

    def form(gamma, operator):
        return jnp.sum(v * (operator(RBF(gamma=gamma)) @ v))

    derivative = jax.grad(form)(0.3, lambda kernel: kernel.operator(x, devices=DEVICES))
    slope = np.subtract(*(form(0.3 + h, lambda kernel: kernel.gram(POINTS[:50, :3])) for h in (1e-5, -1e-5))) / 2e-5
    np.testing.assert_allclose(derivative, slope, rtol=1e-7)
