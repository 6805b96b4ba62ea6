"""Networks of equinox and flax as functions of parameters: the recipes that `EmpiricalNTK` gives."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from kdtheory.nets import EmpiricalNTK  # noqa: E402

X = np.random.default_rng(0).standard_normal((7, 4))


def dense(params, x):
    (first, first_bias), (last, last_bias) = params
    return jnp.tanh(x @ first + first_bias) @ last + last_bias


def is_the_same(kernel, params):
    """Whether the kernel is that of a dense network with these weights and biases, and no weights are expanded."""
    plain = EmpiricalNTK(dense, [[jnp.asarray(leaf) for leaf in layer] for layer in params])
    np.testing.assert_allclose(kernel.gram(X), plain.gram(X), rtol=1e-5)
    np.testing.assert_allclose(kernel.operator(X) @ np.ones(7), plain.gram(X) @ np.ones(7), rtol=1e-5)
    assert kernel.network.point_numbers(X, 2)[0] == plain.network.point_numbers(X, 2)[0]


def test_equinox():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(4, 3, 5, 1, activation=jnp.tanh, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    kernel = EmpiricalNTK(lambda params, x: jax.vmap(eqx.combine(params, static))(x), params)
    is_the_same(kernel, [(layer.weight.T, layer.bias) for layer in model.layers])
    with pytest.raises(TypeError, match=r"params.*activation.* must be an array of float32 or float64, got"):
        EmpiricalNTK(lambda model, x: jax.vmap(model)(x), model)


def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.Linear(4, 5, rngs=rngs), jnp.tanh, nnx.Dropout(0.5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
    )
    model.eval()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    kernel = EmpiricalNTK(lambda params, x: nnx.merge(graph, params, rest)(x), params)
    layers = model.layers[0], model.layers[3]
    is_the_same(kernel, [(layer.kernel[...], layer.bias[...]) for layer in layers])


def test_flax_linen():
    nn = pytest.importorskip("flax.linen")
    module = nn.Sequential([nn.Dense(5), jnp.tanh, nn.Dense(3)])
    params = module.init(jax.random.key(0), jnp.asarray(X, "float32"))["params"]
    kernel = EmpiricalNTK(lambda params, x: module.apply({"params": params}, x), params)
    is_the_same(kernel, [(params[name]["kernel"], params[name]["bias"]) for name in ("layers_0", "layers_2")])
