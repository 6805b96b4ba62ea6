"""The adapter of neural-tangents' kernels, on functions of their signature; live conformance is tested beside it."""

import numpy as np
import pytest

from kdtheory import Spectrum
from kdtheory.kernels import RBF
from kdtheory.neural_tangents import (
    NeuralTangentsKernel,
    flow_time,
    import_neural_tangents,
    largest_learning_rate,
    ridge_of,
    step_length,
)

jnp = pytest.importorskip("jax.numpy")
X = np.random.default_rng(0).standard_normal((70, 3))
Y = np.random.default_rng(1).standard_normal((20, 3))


def rbf(x1, x2, get):
    """RBF for "ntk", inner products for "nngp", whose matrices have an asymmetry of rounding."""
    x1, x2 = (x.reshape(len(x), -1) for x in (x1, x1 if x2 is None else x2))
    if get == "nngp":
        return x1 @ x2.T
    squared = jnp.sum((x1[:, None, :] - x2[None, :, :]) ** 2, axis=-1)
    return jnp.exp(-0.3 * squared)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100])
def test_gram_matrices_are_those_of_the_function(batch_size):
    kernel = NeuralTangentsKernel(rbf, batch_size=batch_size)
    np.testing.assert_allclose(kernel.gram(X, Y), RBF(gamma=0.3).gram(X, Y), rtol=1e-13)
    gram = kernel.gram(X)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(gram, RBF(gamma=0.3).gram(X), rtol=1e-13)
    np.testing.assert_array_equal(kernel.diag(X), np.diagonal(gram))
    np.testing.assert_allclose(NeuralTangentsKernel(rbf, get="nngp").gram(X), X @ X.T, rtol=1e-12, atol=1e-14)


def test_operators_and_spectra_take_it():
    kernel, V = NeuralTangentsKernel(rbf, batch_size=32), np.ones((70, 2))
    np.testing.assert_allclose(kernel.operator(X) @ V, kernel.gram(X) @ V, rtol=1e-13)
    spectrum = Spectrum.nystrom(kernel, X, 70, pivots="uniform")
    np.testing.assert_allclose(spectrum.gram_matrix(), kernel.gram(X), atol=1e-10)


def test_calls_are_in_double_precision_and_of_one_size():
    seen = []

    def kernel_fn(x1, x2, get):
        seen.append((x1.shape, None if x2 is None else x2.shape, str(x1.dtype)))
        return rbf(x1, x2, get)

    values = NeuralTangentsKernel(kernel_fn, batch_size=32).gram(X.astype(np.float32), Y.astype(np.float32))
    assert values.dtype == np.float32
    assert set(seen) == {((32, 3), (32, 3), "float64")}


def test_images_are_given_their_shape():
    images = np.random.default_rng(2).standard_normal((5, 4, 3, 2))
    shapes = set()

    def kernel_fn(x1, x2, get):
        shapes.add(x1.shape[1:])
        return rbf(x1[:, ::2], None if x2 is None else x2[:, ::2], get)

    gram = NeuralTangentsKernel(kernel_fn, input_shape=[4, 3, 2]).gram(images.reshape(5, -1))
    np.testing.assert_allclose(gram, RBF(gamma=0.3).gram(images[:, ::2].reshape(5, -1)), rtol=1e-13)
    assert shapes == {(4, 3, 2)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel_fn": 3}, TypeError, "kernel_fn must be a function, got 3"),
        ({"get": "both"}, ValueError, "get must be 'ntk' or 'nngp', got 'both'"),
        ({"input_shape": "all"}, TypeError, "input_shape must be a sequence of integers, got 'all'"),
        ({"input_shape": (2, 0)}, ValueError, "input_shape must be >= 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
    ],
)
def test_bad_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        NeuralTangentsKernel(**{"kernel_fn": rbf, **arguments})


@pytest.mark.parametrize(
    ("kernel_fn", "error", "message"),
    [
        (lambda x1, *_: x1, ValueError, r"real matrix of shape \(64, 64\) for such batches, got float64 of shape"),
        (lambda x1, x2, get: rbf(x1, x2, get) > 0, ValueError, "kernel_fn must return a real matrix .* got bool"),
        (lambda x1, x2, get: rbf(x1, x2, get) * jnp.inf, OverflowError, "the kernel value"),
    ],
)
def test_bad_functions(kernel_fn, error, message):
    with pytest.raises(error, match=message):
        NeuralTangentsKernel(kernel_fn).gram(X, Y)


def test_points_that_do_not_fill_the_input_shape():
    with pytest.raises(ValueError, match=r"X must have 4 columns, as points of shape \(2, 2\) have entries, got 3"):
        NeuralTangentsKernel(rbf, input_shape=(2, 2)).gram(X)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: flow_time(-1.0, learning_rate=1.0, n_targets=2), ValueError, "t must be >= 0, got -1"),
        (lambda: flow_time(1.0, learning_rate=0.0, n_targets=2), ValueError, "learning_rate must be > 0, got 0"),
        (lambda: step_length(learning_rate=1.0, n_targets=0), ValueError, "n_targets must be >= 1, got 0"),
        (lambda: largest_learning_rate([0.0], n_targets=1), ValueError, "eigenvalues must hold at least one value > 0"),
        (lambda: largest_learning_rate([1.0], n_targets=1, momentum=1), ValueError, "momentum must be >= 0 and < 1"),
        (lambda: ridge_of(-1.0, np.eye(2)), ValueError, "diag_reg must be >= 0, got -1"),
        (lambda: ridge_of(1.0, np.ones((2, 3))), ValueError, r"K must be square, got shape \(2, 3\)"),
    ],
)
def test_bad_input_of_translations(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_ridge_is_relative_to_the_mean_of_the_diagonal_unless_it_is_absolute():
    K = np.diag([1.0, 2.0, 6.0])
    assert ridge_of(0.1, K) == pytest.approx(0.3)
    assert ridge_of(0.1, K, absolute_scale=True) == 0.1


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_from_the_largest_learning_rate_on_gradient_descent_diverges(momentum):
    K, y = RBF(gamma=0.3).gram(X[:10]), Y[:10]
    rate = largest_learning_rate(Spectrum.from_gram(K).eigenvalues, n_targets=y.size, momentum=momentum)
    sizes = []
    for factor in (0.98, 1.02):
        fitted, velocity = np.zeros_like(y), np.zeros_like(y)
        for _ in range(2000):
            velocity = momentum * velocity - factor * rate * K @ (fitted - y) / y.size
            fitted += velocity
        sizes.append(np.max(np.abs(fitted)))
    assert sizes[0] < 10.0
    assert sizes[1] > 1e6


def test_a_missing_or_failing_neural_tangents_says_what_to_install(monkeypatch, tmp_path):
    package = tmp_path / "neural_tangents"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "neural_tangents", raising=False)
    package.mkdir()
    (package / "__init__.py").write_text("from jax.core import ThisHasGone\n")
    with pytest.raises(ImportError, match=r'neural-tangents runs on jax 0.4.24 to 0.5.3, and jax .* "kdtheory\[neural'):
        import_neural_tangents()
