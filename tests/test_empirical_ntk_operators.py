"""Products with tangent kernels by passes through the network: those with Gram matrices, whatever the memory."""

import numpy as np
import pytest
from scipy.sparse.linalg import eigsh

from kdtheory import Ridge, Spectrum, fit_filter, solve_ridge
from kdtheory.kernels import GramOperator

jax = pytest.importorskip("jax")
jnp = jax.numpy

from kdtheory.nets import EmpiricalNTK  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 12, 4))
V = RNG.standard_normal((12, 2))
PARAMS = {"in": jnp.asarray(RNG.standard_normal((4, 8))), "out": jnp.asarray(RNG.standard_normal((8, 3)))}
SINGLE = {name: leaf.astype("float32") for name, leaf in PARAMS.items()}


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


def one_output(params, x):
    return network(params, x)[:, 0]


def relative(ours, theirs):
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))


@pytest.mark.parametrize("outputs", ["mean", "trace", "sum", 2])
def test_products_are_those_of_gram_matrices(outputs):
    kernel = EmpiricalNTK(network, PARAMS, outputs=outputs)
    operator = kernel.operator(X, Y)
    assert isinstance(operator, GramOperator)
    assert relative(operator @ V, kernel.gram(X, Y) @ V) <= 1e-13
    assert relative(operator.T @ V, kernel.gram(X, Y).T @ V) <= 1e-13
    assert relative(kernel.operator(X) @ V[:, 0], kernel.gram(X) @ V[:, 0]) <= 1e-13
    assert (operator @ np.empty((12, 0))).shape == (12, 0)


def test_products_of_single_precision():
    kernel, exact = EmpiricalNTK(network, SINGLE), EmpiricalNTK(network, PARAMS).gram(X) @ V
    product = kernel.operator(X) @ V
    assert product.dtype == np.float32
    assert relative(product, exact) <= 1e-5


def test_products_for_all_outputs():
    kernel, W = EmpiricalNTK(network, PARAMS, outputs=1), RNG.standard_normal((36, 2))
    operator = kernel.joint_operator(X, Y)
    assert relative(operator @ W, kernel.joint_gram(X, Y) @ W) <= 1e-13
    assert relative(operator.T @ W[:, 0], kernel.joint_gram(X, Y).T @ W[:, 0]) <= 1e-13
    symmetric = kernel.joint_operator(X)
    assert symmetric.T is symmetric
    np.testing.assert_allclose(symmetric.diagonal(), np.diagonal(kernel.joint_gram(X)), rtol=1e-14)
    largest = eigsh(symmetric, 3, return_eigenvectors=False)
    np.testing.assert_allclose(largest, np.linalg.eigvalsh(kernel.joint_gram(X))[-3:], rtol=1e-12)


@pytest.mark.parametrize("joint", [False, True])
def test_the_memory_bound_changes_batches_and_not_values(joint):
    kernel = EmpiricalNTK(network, PARAMS)
    make = kernel.joint_operator if joint else kernel.operator
    W = np.eye(36 if joint else 12)[:, :3]
    with pytest.raises(ValueError, match=r"max_bytes must be >= \d+ for these points, got 1$") as error:
        make(X, max_bytes=1)
    least = int(str(error.value).split(">= ")[1].split()[0])
    with pytest.raises(ValueError, match=f"max_bytes must be >= {least} for these points"):
        make(X, max_bytes=least - 1)
    for max_bytes in (least, 5 * least):
        assert relative(make(X, max_bytes=max_bytes) @ W, make(X) @ W) <= 1e-13


def test_columns_and_tasks_are_those_of_the_gram_matrix():
    kernel = EmpiricalNTK(network, PARAMS)
    gram, operator = kernel.gram(X), kernel.operator(X)
    np.testing.assert_allclose(operator.columns([7, 0]), gram[:, [7, 0]], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(operator.diagonal(), np.diagonal(gram), rtol=1e-14)
    assert relative(operator.gather(operator.run_task(task, V) for task in operator.tasks()), gram @ V) <= 1e-13
    cross = kernel.operator(X, Y)
    product = cross.gather(cross.run_task(task, V) for task in cross.tasks())
    assert relative(product, kernel.gram(X, Y) @ V) <= 1e-13


def test_solvers_take_the_operator():
    kernel, y = EmpiricalNTK(one_output, PARAMS), np.sin(X[:, 0])
    gram, operator = kernel.gram(X), kernel.operator(X)
    exact = fit_filter(Spectrum.from_gram(gram), y, Ridge(0.5))
    assert relative(solve_ridge(operator, y, 0.5, tolerance=1e-12).fitted, exact.fitted) <= 1e-10
    assert relative(fit_filter(Spectrum.lanczos(operator, y, 12), y, Ridge(0.5)).fitted, exact.fitted) <= 1e-10
    assert relative(Spectrum.nystrom(operator, n_components=12).gram_matrix(), gram) <= 1e-10
    assert relative(exact.predict(kernel.operator(Y, X)), exact.predict(kernel.gram(Y, X))) <= 1e-12


def test_targets_of_all_outputs_at_once():
    kernel, targets = EmpiricalNTK(network, PARAMS), np.stack([np.sin(X[:, 0]), X[:, 1], X[:, 2] ** 2], axis=1)
    exact = fit_filter(Spectrum.from_gram(kernel.joint_gram(X)), targets.ravel(), Ridge(0.5)).fitted
    found = solve_ridge(kernel.joint_operator(X), targets.ravel(), 0.5, tolerance=1e-12).fitted
    assert relative(found, exact) <= 1e-10


def test_a_bar_can_be_shown(capsys):
    pytest.importorskip("tqdm")
    EmpiricalNTK(one_output, PARAMS).operator(X, progress=True) @ V
    assert "Tangent kernel product" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda kernel: kernel.operator(X, Y).diagonal(), ValueError, "diagonal needs a symmetric operator"),
        (lambda kernel: kernel.joint_operator(X, Y).diagonal(), ValueError, "diagonal needs a symmetric operator"),
        (lambda kernel: kernel.operator(X) @ np.full(12, np.nan), ValueError, "the multiplied matrix must be finite"),
        (
            lambda kernel: kernel.joint_operator(X) @ np.full(36, np.inf),
            ValueError,
            "the multiplied matrix must be fin",
        ),
        (lambda kernel: kernel.operator(X) @ np.full(12, 1e308), OverflowError, "the product at index"),
        (lambda kernel: kernel.operator(X[:0]), ValueError, "X must not be empty"),
        (lambda kernel: kernel.joint_operator(X, max_bytes=0), ValueError, "max_bytes must be >= 1, got 0"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(EmpiricalNTK(network, PARAMS, outputs="sum"))
