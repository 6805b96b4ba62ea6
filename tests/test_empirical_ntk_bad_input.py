"""Empirical tangent kernels: what is no network, and what are no points of it, is refused by name."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = jax.numpy

from kdtheory.nets import EmpiricalNTK  # noqa: E402
from tests.test_empirical_ntk import X, Y, relative  # noqa: E402

W = jnp.ones((6, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"f": 3}, TypeError, "f must be a function of parameters and points, got 3"),
        ({"params": {}}, ValueError, "params must hold at least one array, got {}"),
        ({"params": {"a": [W, W.at[1, 0].set(jnp.nan)]}}, ValueError, r"params\['a'\]\[1\] must be finite, got nan at"),
        (
            {"params": {"a": W, "b": jnp.arange(3)}},
            TypeError,
            r"params\['b'\] must be an array of float32 or .*, got int",
        ),
        ({"params": {"b": 1.0}}, TypeError, r"params\['b'\] must be an array of float32 or float64, got 1.0"),
        ({"params": W.astype("bfloat16")}, TypeError, "params must be an array of float32 or float64, got bfloat16"),
        ({"outputs": "all"}, ValueError, "outputs must be 'mean', 'trace', 'sum' or the index of one, got 'all'"),
        ({"outputs": 1.0}, TypeError, "outputs must be 'mean', 'trace', 'sum' or the index of one, got 1.0"),
        ({"outputs": True}, TypeError, "outputs must be 'mean', 'trace', 'sum' or the index of one, got True"),
        ({"outputs": -1}, ValueError, "outputs must be >= 0 where it is an index, got -1"),
        ({"max_bytes": 0}, ValueError, "max_bytes must be >= 1, got 0"),
        ({"input_shape": (2, 0)}, ValueError, "input_shape must be >= 1, got 0"),
        ({"input_shape": 6}, TypeError, "input_shape must be a sequence of integers, got 6"),
    ],
)
def test_bad_parameters(arguments, error, message):
    given = {"f": lambda w, x: x @ w, "params": W, **arguments}
    with pytest.raises(error, match=message):
        EmpiricalNTK(given.pop("f"), given.pop("params"), **given)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (
            lambda w, x: (x @ w)[:, :, None],
            ValueError,
            r"f must return an array of shape \(n, k\) or \(n,\) for n poin",
        ),
        (lambda w, x: jnp.sum(x @ w), ValueError, r"got shape \(\) for 2 points of shape \(6,\)"),
        (lambda w, x: (x @ w).T, ValueError, "rows that depend on their own points alone"),
        (lambda w, x: (x @ w)[:, :0], ValueError, r"got shape \(2, 0\)"),
        (lambda w, x: (x @ w, 1), ValueError, "got PyTreeDef"),
        (
            lambda w, x: jnp.argmax(x @ w, axis=1),
            TypeError,
            "f must return real numbers of float32 or float64, got int",
        ),
        (lambda w, x: x @ w - jnp.mean(x @ w, axis=0), ValueError, "rows that depend on their own points alone"),
        (lambda w, x: jnp.sqrt(x @ w * 0.0), OverflowError, "the kernel value"),
    ],
)
def test_bad_functions(f, error, message):
    with pytest.raises(error, match=message):
        EmpiricalNTK(f, W).gram(X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda kernel: kernel.gram(np.zeros((0, 6))), ValueError, "X must not be empty"),
        (lambda kernel: kernel.gram(X, Y[:, :5]), ValueError, r"Y must have 6 columns, one for each feature of X, got"),
        (lambda kernel: kernel.gram(X, np.full((2, 6), np.inf)), ValueError, "Y must be finite, got inf in row 0"),
        (lambda kernel: kernel.gram(X[0]), ValueError, "X must be 2-dimensional"),
        (lambda kernel: EmpiricalNTK(kernel.f, W, outputs=2).gram(X), ValueError, "outputs must be < 2, the number of"),
        (lambda kernel: EmpiricalNTK(kernel.f, W, outputs=2).operator(X), ValueError, "outputs must be < 2, the numb"),
        (
            lambda kernel: EmpiricalNTK(kernel.f, W, input_shape=(2, 2)).gram(X),
            ValueError,
            r"X must have 4 columns, which input_shape \(2, 2\) asks for, got 6",
        ),
    ],
)
def test_bad_points(call, error, message):
    with pytest.raises(error, match=message):
        call(EmpiricalNTK(lambda w, x: x @ w, W))


@pytest.mark.parametrize("call", ["gram", "joint_gram", "diag"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernel_values_beyond_the_range_of_the_parameters(call, dtype):
    """Derivatives of 10³⁰ in single precision have products in double precision, and 10¹⁶⁰ in double have none."""
    kernel = EmpiricalNTK(lambda w, x: (x @ w[0]) @ w[1], (W[:, :2].astype(dtype), jnp.eye(2, dtype=dtype)))
    if dtype == "float32":
        assert relative(getattr(kernel, call)(1e30 * X), 1e60 * getattr(kernel, call)(X)) <= 1e-6
        return
    with pytest.raises(OverflowError, match="the kernel value at index .* is too large for float64"):
        getattr(kernel, call)(1e160 * X)


def test_points_too_large_for_single_precision():
    with pytest.raises(ValueError, match="X must be finite, got inf in row 0"):
        EmpiricalNTK(lambda w, x: x @ w, W.astype("float32")).gram(1e300 * X)


def test_a_function_of_its_points_alone_is_refused():
    with pytest.raises(ValueError, match="f must return what depends on its params, got a function of its points"):
        EmpiricalNTK(lambda _, x: x @ W, W).gram(X)


@pytest.mark.parametrize("points", [X[:1], np.repeat(X[:1], 3, axis=0)])
def test_rows_that_depend_on_others_are_seen_whatever_the_points(points):
    with pytest.raises(ValueError, match="f must return rows that depend on their own points alone"):
        EmpiricalNTK(lambda w, x: (x - x.mean(0)) @ w, W).gram(points)


def test_errors_of_the_function_say_how_it_was_called():
    with pytest.raises(TypeError) as error:
        EmpiricalNTK(lambda w, x: w["a"] @ x, W).gram(X)
    assert error.value.__notes__[-1] == "f(params, x) was called with its params and points x of shape (2, 6)"


def test_images_without_their_shape_are_told_what_to_pass():
    with pytest.raises(ValueError, match=r"X must have a vector in each row, got shape .9, 2, 3.: pass input_shape="):
        EmpiricalNTK(lambda w, x: x @ w, W).gram(X.reshape(9, 2, 3))


def test_missing_libraries_are_named_with_what_to_install(monkeypatch):
    import kdtheory.nets

    def missing(_):
        raise ModuleNotFoundError("No module named 'torch._C'", name="torch._C")

    monkeypatch.setattr(kdtheory.nets.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r'ModuleNTK needs torch: pip install "kdtheory\[torch\]"'):
        _ = kdtheory.nets.ModuleNTK
