"""Conformance of empirical kernels with neural-tangents itself, where it is installed."""

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("neural_tangents") is None:
    pytest.skip("neural-tangents is not installed", allow_module_level=True)

import jax

from kdtheory.nets import EmpiricalNTK
from kdtheory.neural_tangents import import_neural_tangents

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
nt = import_neural_tangents()
stax = nt.stax
RNG = np.random.default_rng(0)


def relative(ours, theirs):
    return np.max(np.abs(ours - np.asarray(theirs))) / np.max(np.abs(np.asarray(theirs)))


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_a_dense_network(parameterization):
    layers = [stax.Dense(16, W_std=1.5, b_std=0.3, parameterization=parameterization), stax.Erf()] * 2
    init, apply, _ = stax.serial(*layers, stax.Dense(3, parameterization=parameterization))
    _, params = init(jax.random.PRNGKey(0), (-1, 5))
    X, Y = RNG.standard_normal((8, 5)), RNG.standard_normal((4, 5))
    kernel = EmpiricalNTK(apply, params)
    assert relative(kernel.gram(X), nt.empirical_ntk_fn(apply)(X, None, params)) <= 1e-13
    assert relative(kernel.gram(Y, X), nt.empirical_ntk_fn(apply)(Y, X, params)) <= 1e-13
    joint = nt.empirical_ntk_fn(apply, trace_axes=())(X, Y, params)  # of shape (n, m, k, k)
    assert relative(kernel.joint_gram(X, Y).reshape(8, 3, 4, 3), np.swapaxes(joint, 1, 2)) <= 1e-13
    assert relative(kernel.operator(X) @ np.ones(8), kernel.gram(X) @ np.ones(8)) <= 1e-13
    n_expanded = kernel.network.point_numbers(X, 3)[0]
    assert n_expanded < kernel.network.n_parameters  # weights of dense layers are not


def test_a_convolutional_network():
    init, apply, _ = stax.serial(stax.Conv(4, (3, 3)), stax.Relu(), stax.Flatten(), stax.Dense(2))
    _, params = init(jax.random.PRNGKey(1), (-1, 5, 5, 2))
    X = RNG.standard_normal((6, 5, 5, 2))
    kernel = EmpiricalNTK(apply, params, input_shape=(5, 5, 2))
    assert relative(kernel.gram(X), nt.empirical_ntk_fn(apply)(X, None, params)) <= 1e-13
