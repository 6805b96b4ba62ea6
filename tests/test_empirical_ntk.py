"""Empirical tangent kernels of functions in JAX: the explicit Jacobian product, whatever blocks it is made in."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import Ridge, Spectrum, fit_filter
from kdtheory.kernels import ArcCosine, Linear
from tests.strategies import examples

jax = pytest.importorskip("jax")
jnp = jax.numpy

from jax.flatten_util import ravel_pytree  # noqa: E402

from kdtheory.nets import EmpiricalNTK  # noqa: E402
from kdtheory.nets._jax_network import JaxNetwork  # noqa: E402
from kdtheory.nets._network import Outer  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 9, 6))
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def dense(params, x):
    """Two hidden layers with every kind of use: scaled, transposed, tied, and used twice."""
    x = jnp.tanh(x @ params["first"] + params["bias"])
    x = jnp.sin(0.3 * (x @ (0.5 * params["second"]).T)) + x @ params["tied"] @ params["tied"]
    return x @ params["last"] * params["scale"]


def dense_params(dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"first": (6, 5), "bias": (5,), "second": (5, 5), "tied": (5, 5), "last": (5, 3), "scale": ()}
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def convolutional(params, x):
    x = jax.lax.conv_general_dilated(
        x.reshape(-1, 2, 3, 1), params["filters"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.softplus(x).mean((1, 2)) @ params["out"]


def recurrent(params, x):
    def step(state, value):
        return jnp.tanh(state @ params["state"] + value[:, None] * params["value"]), None

    return jax.lax.scan(step, jnp.zeros((len(x), 3), x.dtype), x.T)[0] @ params["out"]


def one_output(params, x):
    return jax.jit(lambda w: jnp.exp(0.1 * x @ w))(params)


def random(dtype, **shapes):
    return {name: jnp.asarray(RNG.standard_normal(shape), dtype) for name, shape in shapes.items()}


CASES = {
    "dense": (dense, dense_params),
    "convolutional": (convolutional, lambda dtype: random(dtype, filters=(2, 2, 1, 4), out=(4, 2))),
    "recurrent": (recurrent, lambda dtype: random(dtype, state=(3, 3), value=(3,), out=(3, 2))),
    "one output": (one_output, lambda dtype: jnp.asarray(RNG.standard_normal(6), dtype)),
}


def jacobian(f, params, points):
    """Explicit, of shape (n, k, P), in double precision."""
    dtype = jax.tree.leaves(params)[0].dtype
    leaves = jax.tree.leaves(jax.jit(jax.jacobian(f))(params, jnp.asarray(points, dtype)))
    k = f(params, jnp.asarray(points, dtype)).size // len(points)
    return np.concatenate([np.asarray(leaf, np.float64).reshape(len(points), k, -1) for leaf in leaves], axis=-1)


def contracted(left, right, outputs):
    """What `outputs` makes of the kernel of all pairs of outputs."""
    both = np.einsum("ncp,mdp->ncmd", left, right)
    match outputs:
        case "mean":
            return np.einsum("ncmc->nm", both) / left.shape[1]
        case "trace":
            return np.einsum("ncmc->nm", both)
        case "sum":
            return both.sum((1, 3))
    return both[:, outputs, :, outputs]


def relative(ours, theirs):
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))


@pytest.mark.parametrize(
    ("case", "dtype"), [*((case, "float64") for case in CASES), ("dense", "float32"), ("convolutional", "float32")]
)
def test_gram_matrices_are_products_of_explicit_jacobians(case, dtype):
    f, make = CASES[case]
    params = make(dtype)
    left, right = jacobian(f, params, X), jacobian(f, params, Y)
    for outputs in ("mean", "trace", "sum", left.shape[1] - 1):
        kernel = EmpiricalNTK(f, params, outputs=outputs)
        assert relative(kernel.gram(X, Y), contracted(left, right, outputs)) <= TOLERANCE[dtype]
        gram = kernel.gram(X)
        assert gram.dtype == np.float64
        assert relative(gram, contracted(left, left, outputs)) <= TOLERANCE[dtype]
        np.testing.assert_array_equal(gram, gram.T)
        np.testing.assert_array_equal(np.diagonal(gram), kernel.diag(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_pairs_of_outputs(dtype):
    params = dense_params(dtype)
    left, right = jacobian(dense, params, X), jacobian(dense, params, Y)
    kernel = EmpiricalNTK(dense, params, outputs=1)
    joint = kernel.joint_gram(X)
    assert (
        relative(kernel.joint_gram(X, Y), np.einsum("ncp,mdp->ncmd", left, right).reshape(27, 27)) <= TOLERANCE[dtype]
    )
    assert relative(joint, np.einsum("ncp,mdp->ncmd", left, left).reshape(27, 27)) <= TOLERANCE[dtype]
    np.testing.assert_array_equal(joint, joint.T)
    assert relative(joint[1::3, 1::3], kernel.gram(X)) <= TOLERANCE[dtype]


def test_jacobians_are_those_of_finite_differences():
    params, step = dense_params(), 1e-5
    flat, unravel = ravel_pytree(params)
    outputs = jax.jit(lambda some: dense(unravel(some), X))
    columns = [
        (outputs(flat.at[i].add(step)) - outputs(flat.at[i].add(-step))) / (2.0 * step) for i in range(len(flat))
    ]
    J = np.stack(columns, axis=-1)
    assert relative(EmpiricalNTK(dense, params, outputs="trace").gram(X), contracted(J, J, "trace")) <= 1e-7


def test_a_linear_model_has_the_linear_kernel():
    kernel = EmpiricalNTK(lambda w, x: x @ w, jnp.ones((6, 4)))
    assert relative(kernel.gram(X, Y), Linear().gram(X, Y)) <= 1e-15
    assert relative(kernel.joint_gram(X), np.kron(X @ X.T, np.eye(4))) <= 1e-15


@pytest.mark.parametrize(("case", "outputs"), [("dense", "mean"), ("convolutional", 1)])
def test_the_memory_bound_changes_blocks_and_not_values(case, outputs, monkeypatch):
    f, params = CASES[case][0], CASES[case][1]("float64")
    expected, joint = EmpiricalNTK(f, params, outputs=outputs).gram(X), EmpiricalNTK(f, params).joint_gram(X)
    with pytest.raises(ValueError, match=r"max_bytes must be >= \d+ for these points, got 1$") as error:
        EmpiricalNTK(f, params, outputs=outputs, max_bytes=1).gram(X)
    least = int(str(error.value).split(">= ")[1].split()[0])
    with pytest.raises(ValueError, match=f"max_bytes must be >= {least}"):
        EmpiricalNTK(f, params, outputs=outputs, max_bytes=least - 1).gram(X)
    assert relative(EmpiricalNTK(f, params, max_bytes=20 * least).joint_gram(X), joint) <= 1e-14
    seen = []
    derivatives = JaxNetwork.derivatives

    def spy(*arguments):
        found = derivatives(*arguments)
        arrays = [(each.inputs, each.sensitivities) if isinstance(each, Outer) else each for each in found]
        seen.append(sum(array.nbytes for array in jax.tree.leaves(arrays)))
        return found

    monkeypatch.setattr(JaxNetwork, "derivatives", spy)
    for max_bytes in (least, 3 * least):
        kernel = EmpiricalNTK(f, params, outputs=outputs, max_bytes=max_bytes)
        assert relative(kernel.gram(X), expected) <= 1e-14
        assert relative(kernel.gram(X[:3], X), expected[:3]) <= 1e-14
        np.testing.assert_array_equal(kernel.diag(X), np.diagonal(kernel.gram(X)))
        assert 2 * max(seen) <= max_bytes


def test_the_derivatives_of_one_block_are_evaluated_once(monkeypatch):
    def f(params, x):
        return x @ params**2

    params = jnp.ones((6, 500))
    with pytest.raises(ValueError, match="max_bytes") as error:
        EmpiricalNTK(f, params, outputs=0, max_bytes=1).gram(X)
    bound = len(X) * int(str(error.value).split(">= ")[1].split()[0])
    seen, derivatives = [], JaxNetwork.derivatives
    monkeypatch.setattr(JaxNetwork, "derivatives", lambda *given: seen.append(len(given[1])) or derivatives(*given))
    EmpiricalNTK(f, params, outputs=0, max_bytes=bound).gram(X)
    assert seen == [len(X)]
    seen.clear()
    EmpiricalNTK(f, params, outputs=0, max_bytes=bound).gram(X, X)
    assert len(seen) > 2


def test_weights_of_dense_layers_are_not_expanded():
    """Only the tied weights and the small rest have Jacobians; the others have inputs and sensitivities."""
    found = EmpiricalNTK(dense, dense_params()).network.derivatives(X, np.eye(3), 9)
    kinds = dict(zip(sorted(dense_params()), (isinstance(each, Outer) for each in found), strict=True))
    assert kinds == {name: name not in ("bias", "scale", "tied") for name in kinds}
    deep = {f"{i}": jnp.eye(6) for i in range(4)}

    def network(params, x):
        for weight in params.values():
            x = jax.nn.relu(x @ weight)
        return x

    found = EmpiricalNTK(network, deep).network.derivatives(X, np.eye(6), 9)
    assert all(isinstance(each, Outer) for each in found)


def test_weights_that_are_used_otherwise_too_are_expanded():
    def f(params, x):
        return x @ params + jnp.sum(params**2)

    params = jnp.asarray(RNG.standard_normal((6, 3)))
    explicit = jacobian(f, params, X)
    assert relative(EmpiricalNTK(f, params).gram(X), contracted(explicit, explicit, "mean")) <= 1e-13


def test_single_precision_is_summed_in_double():
    n_parameters = 200_000
    features = (1.0 + np.random.default_rng(3).random((4, n_parameters))).astype(np.float32)

    def f(params, x):
        return jnp.sum(params * jnp.asarray(features)[x[:, 0].astype(int)], axis=1)

    kernel = EmpiricalNTK(f, jnp.zeros(n_parameters, "float32"))
    exact = features.astype(np.float64) @ features.astype(np.float64).T
    gram = kernel.gram(np.arange(4.0)[:, None])
    np.testing.assert_allclose(gram, exact, rtol=1e-13)


@pytest.mark.parametrize("case", ["dense", "convolutional"])
def test_gram_matrices_of_single_precision_are_semi_definite_to_double(case):
    """More points and outputs than parameters: the rest of the spectrum is rounding."""
    f, make = CASES[case]
    params = make("float32")
    points = RNG.standard_normal((120, 6))
    gram = EmpiricalNTK(f, params).joint_gram(points)
    n_parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert len(gram) > n_parameters
    spectrum = np.linalg.eigvalsh(gram)
    assert spectrum[0] >= -len(gram) * np.finfo(float).eps * spectrum[-1]
    assert Spectrum.from_gram(gram).rank <= n_parameters


def test_wide_networks_have_the_analytic_kernel_on_average():
    """In expectation over networks of any width: arc-cosine kernels of orders 1 and 0 (Cho & Saul, 2009)."""

    def network(params, x):
        first, last = params
        return jax.nn.relu(x @ first / np.sqrt(6.0)) @ last * np.sqrt(2.0 / 64.0)

    expected = ArcCosine(1).gram(X / np.sqrt(6.0)) + Linear().gram(X) / 6.0 * ArcCosine(0).gram(X)
    rng = np.random.default_rng(1)
    draws = np.array(
        [EmpiricalNTK(network, [rng.standard_normal((6, 64)), rng.standard_normal(64)]).gram(X) for _ in range(100)]
    )
    errors = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - expected) <= 5.0 * errors)
    assert np.max(errors / expected.max()) < 0.05


PARAMS = dense_params()
GROUPS = [{k: v for k, v in PARAMS.items() if (k in ("first", "tied")) == chosen} for chosen in (True, False)]


def others_fixed(group, x):
    return dense({**PARAMS, **group}, x)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.floats(-2.0, 2.0))
def test_kernels_are_positive_semi_definite_and_add_up_over_groups_of_parameters(seed, size):
    points = 10.0**size * np.random.default_rng(seed).standard_normal((9, 6))
    whole = EmpiricalNTK(dense, PARAMS).joint_gram(points)
    parts = [EmpiricalNTK(others_fixed, group).joint_gram(points) for group in GROUPS]
    np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-11, atol=1e-13 * np.abs(whole).max())
    np.testing.assert_array_equal(whole, whole.T)
    assert np.linalg.eigvalsh(whole).min() >= -1e-13 * np.trace(whole)


def test_images_keep_or_lose_their_shape():
    images = np.random.default_rng(2).standard_normal((5, 2, 3))

    def f(params, x):
        return jnp.tanh(x[:, 0] @ params["out"] + x[:, 1] @ params["out"])

    kernel = EmpiricalNTK(f, {"out": jnp.asarray(RNG.standard_normal((3, 2)))}, input_shape=[2, 3])
    explicit = jacobian(f, kernel.params, images)
    assert relative(kernel.gram(images), contracted(explicit, explicit, "mean")) <= 1e-12
    np.testing.assert_array_equal(kernel.gram(images), kernel.gram(images.reshape(5, -1)))
    assert relative(kernel.operator(images) @ np.eye(5), kernel.gram(images)) <= 1e-12


def test_estimators_and_spectra_take_it():
    pytest.importorskip("skops")
    from kdtheory.estimators import SelfDistilledKernelRidge

    y = np.sin(X[:, 0])
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-4)):
        kernel = EmpiricalNTK(dense, dense_params(dtype))
        spectrum = Spectrum.from_gram(kernel.gram(X))
        expected = fit_filter(spectrum, y, Ridge(1.0)).predict(kernel.gram(Y, X))
        model = SelfDistilledKernelRidge(kernel=kernel, ridge=1.0, n_steps=1, fit_intercept=False).fit(X, y)
        assert relative(model.predict(Y), expected) <= tolerance


def test_copies_and_pickles_are_the_same_kernel():
    kernel = EmpiricalNTK(dense, dense_params(), outputs="sum")
    for twin in (copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        np.testing.assert_array_equal(twin.gram(X), kernel.gram(X))


def test_kernels_of_other_parameters_are_not_equal():
    kernel, other = (EmpiricalNTK(dense, dense_params(seed=seed)) for seed in (0, 1))
    assert kernel == kernel
    assert kernel != other
    assert len({kernel, other}) == 2


def test_arrays_that_change_later_do_not_change_the_kernel():
    weights = np.ones((6, 2))
    kernel = EmpiricalNTK(lambda w, x: jnp.tanh(x @ w), weights)
    before = kernel.gram(X)
    weights[...] = np.nan
    np.testing.assert_array_equal(kernel.gram(X), before)


def test_single_precision_networks_of_an_unhashable_function():
    class Model:
        __hash__ = None

        def __call__(self, params, x):
            return x @ params

    assert relative(EmpiricalNTK(Model(), jnp.ones(6)).gram(X), X @ X.T) <= 1e-15
