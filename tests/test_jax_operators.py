"""Gram matrices and operators of jax arrays: the values of numpy, the same on any number of devices."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from kdtheory import Ridge, Spectrum, selfdistill_closed_form
from kdtheory.conjugate_gradient import selfdistill_iteratively, solve_ridge
from kdtheory.kernels import RBF, ArcCosine, Cosine, Laplace, Linear, Matern, Polynomial, _jax_tiles
from kdtheory.kernels.base import Kernel
from kdtheory.kernels.jax_operator import JaxGramOperator
from tests.strategies import examples
from tests.test_gram_operators import relative_error

KERNELS = [
    RBF(),
    Laplace(gamma=0.3),
    Matern(nu=0.5, length_scale=1.3),
    Matern(nu=1.5, length_scale=0.8),
    Matern(nu=2.5, length_scale=2.0),
    Linear(),
    Polynomial(degree=3, gamma=0.4, coef0=0.5),
    Cosine(),
    ArcCosine(order=0),
    ArcCosine(order=1),
]
DEVICES = jax.devices()

rng = np.random.default_rng(0)
POINTS, OTHERS, V = rng.standard_normal((151, 12)), rng.standard_normal((70, 12)), rng.standard_normal((151, 3))
POINTS[150] = -2.0 * POINTS[3]
POINTS[149] = POINTS[4]


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    """Several tiles, so that few points go the way of many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jax_tiles, "_LARGEST_ON_CPU", (32, 64))
        yield


def spread(points, axis_type=AxisType.Auto):
    mesh = Mesh(np.array(DEVICES), ("any",), axis_types=(axis_type,))
    return jax.device_put(points, NamedSharding(mesh, PartitionSpec("any")))


def test_there_are_several_devices_and_double_precision():
    assert len(DEVICES) == 4
    assert jnp.asarray(1.0).dtype == np.float64


def check_values(kernel, dtype):
    X, Y = POINTS.astype(dtype), OTHERS[:32].astype(dtype)
    x, y = jnp.asarray(X), jnp.asarray(Y)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    exact = kernel.gram(X.astype(float))
    K, diagonal = kernel.gram(x), kernel.diag(x)
    pairs = [(K, exact)]
    if isinstance(kernel, RBF | ArcCosine):
        pairs.append((kernel.gram(x, y), kernel.gram(X.astype(float), Y.astype(float))))
    for ours, theirs in pairs:
        assert isinstance(ours, jax.Array)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=0.1 * tolerance * np.abs(exact).max())
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(jnp.diagonal(K), diagonal, rtol=50 * np.finfo(dtype).eps)
    np.testing.assert_allclose(diagonal, kernel.diag(X), rtol=tolerance)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_values_are_those_of_numpy(kernel):
    check_values(kernel, np.float64)


@pytest.mark.parametrize("kernel", [RBF(), ArcCosine(1)], ids=str)
def test_values_in_single_precision_are_those_of_numpy(kernel):
    check_values(kernel, np.float32)


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [
        (RBF(), np.float64),
        (RBF(), np.float32),
        (Linear(), np.float64),
        (ArcCosine(1), np.float64),
    ],
)
def test_products_have_the_same_bits_on_any_number_of_devices(kernel, dtype):
    X, v = POINTS.astype(dtype), V.astype(dtype)
    one, four = kernel.operator(jnp.asarray(X)), kernel.operator(jnp.asarray(X), devices=DEVICES)
    products = [operator @ jnp.asarray(v) for operator in (one, four)]
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert relative_error(np.asarray(products[0]), kernel.gram(X.astype(float)), v) < tolerance
    np.testing.assert_array_equal(*products)
    assert products[0].dtype == dtype
    assert [product.devices() for product in products] == [{DEVICES[0]}, set(DEVICES)]
    from_numpy = one @ v.astype(np.float64)
    assert type(from_numpy) is np.ndarray
    assert from_numpy.dtype == dtype
    np.testing.assert_array_equal(from_numpy, products[0])


@examples(3)
@given(st.integers(1, 130), st.integers(1, 130), st.sampled_from([1, 3, 4]), st.sampled_from([2, 9, 20]))
def test_any_number_of_points_goes_on_any_number_of_devices(n, m, n_devices, d):
    x, y, v = jnp.asarray(POINTS[:n, :d]), jnp.asarray(OTHERS[:m, :d]), V[:m]
    operator = RBF().operator(x, y, devices=DEVICES[:n_devices])
    y = np.asarray(y)
    assert operator.shape == (n, len(y))
    assert relative_error(operator @ v[: len(y)], RBF().gram(np.asarray(x), y), v[: len(y)]) < 1e-12


@pytest.mark.parametrize("kernel", [RBF()], ids=str)
@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_features_far_from_zero_keep_their_digits(kernel, shift, dtype):
    X = (shift * (np.arange(40) % 2)[:, None] + rng.standard_normal((40, 37))).astype(dtype)
    X[7] = X[9] + dtype(1e-3)
    exact = kernel.gram(X.astype(float))
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(kernel.gram(jnp.asarray(X)), exact, rtol=tolerance, atol=0.1 * tolerance)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_arc_cosines_keep_their_digits_near_straight_angles(order, sign):
    angles = np.array([0.0, 1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.1, 0.5, 1.5])
    X, Y = np.array([[1.0, 0.0]]), 2.0 * sign * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    expected = ArcCosine(order).gram(X, Y)
    np.testing.assert_allclose(ArcCosine(order).gram(jnp.asarray(X), jnp.asarray(Y)), expected, rtol=1e-13, atol=1e-45)


def test_points_at_zero_have_the_values_of_their_limits():
    x = jnp.asarray([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_array_equal(Cosine().gram(x), [[0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(ArcCosine(0).gram(x), [[0.5, 0.5], [0.5, 1.0]])
    np.testing.assert_array_equal(ArcCosine(1).gram(x), [[0.0, 0.0], [0.0, 25.0]])


def test_points_stay_on_their_devices():
    for axis_type in (AxisType.Auto, AxisType.Explicit):
        x = spread(jnp.asarray(POINTS[:148]), axis_type)
        K = RBF().gram(x)
        np.testing.assert_array_equal(K, RBF().gram(jnp.asarray(POINTS[:148])))
        assert K.sharding.spec == PartitionSpec("rows")
        operator = RBF().operator(x)
        assert operator.devices == tuple(DEVICES)
        assert (operator @ jnp.ones(148)).sharding.spec == PartitionSpec("rows")
    last = jax.device_put(jnp.asarray(POINTS), DEVICES[3])
    assert RBF().gram(last).devices() == RBF().diag(last).devices() == {DEVICES[3]}
    assert (RBF().operator(last) @ jnp.ones(151)).devices() == {DEVICES[3]}


def test_the_operator_is_one_of_scipy():
    x, y, kernel = jnp.asarray(POINTS), jnp.asarray(OTHERS), RBF(gamma=0.02)
    K, cross = kernel.gram(POINTS), kernel.gram(POINTS, OTHERS)
    symmetric, rectangular = kernel.operator(x), kernel.operator(x, y)
    assert isinstance(symmetric, JaxGramOperator)
    assert symmetric.is_symmetric > rectangular.is_symmetric
    for ours, theirs in [
        (symmetric.matvec(V[:, 0]), K @ V[:, 0]),
        (symmetric.H @ V, K @ V),
        (rectangular.T @ V, cross.T @ V),
        (rectangular.rmatvec(V[:, 0]), cross.T @ V[:, 0]),
        ((2.0 * symmetric) @ V, 2.0 * K @ V),
        (kernel.operator(x, OTHERS) @ V[:70], cross @ V[:70]),
        (symmetric.product(jnp.asarray(V[:, 0])), K @ V[:, 0]),
        (symmetric.columns([3, 149, 3]), K[:, [3, 149, 3]]),
        (rectangular.columns([69]), cross[:, [69]]),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(symmetric.diagonal(), np.ones(151))
    assert symmetric.columns([]).shape == (151, 0)
    assert (symmetric @ np.empty((151, 0))).shape == symmetric.product(jnp.empty((151, 0))).shape == (151, 0)


def test_spectra_and_solvers_run_on_it_unchanged():
    x, y, kernel = spread(jnp.asarray(POINTS[:148, :3])), np.sin(POINTS[:148, :2]), RBF(gamma=0.3)
    X, X_test = POINTS[:148, :3], OTHERS[:, :3]
    ours, theirs = kernel.operator(x), kernel.operator(X)
    for pivots in ("rpcholesky", "kmeans++"):
        nystrom, expected = (Spectrum.nystrom(kernel, each, 40, pivots=pivots) for each in (x, X))
        np.testing.assert_array_equal(nystrom.pivots, expected.pivots)
        np.testing.assert_allclose(nystrom.eigenvalues, expected.eigenvalues, rtol=1e-8)
        np.testing.assert_allclose(
            nystrom.cross(jnp.asarray(X_test)) @ np.eye(148), expected.cross(X_test) @ np.eye(148), atol=1e-9
        )
    solved, expected = (solve_ridge(K, y, 0.01, preconditioner=nystrom, tolerance=1e-12) for K in (ours, theirs))
    np.testing.assert_allclose(solved.dual_coef, expected.dual_coef, rtol=1e-8, atol=1e-10)
    cross = kernel.operator(jnp.asarray(X_test), x)
    np.testing.assert_allclose(solved.predict(cross), expected.predict(kernel.gram(X_test, X)), atol=1e-9)
    path = selfdistill_closed_form(kernel.gram(X), y, ridge=0.1, n_steps=3, label_weight=0.25)
    chain = selfdistill_iteratively(ours, y, ridge=0.1, n_steps=3, label_weight=0.25, tolerance=1e-12)
    np.testing.assert_allclose(chain.fitted, path.fitted, atol=1e-10)
    krylov = Spectrum.lanczos(ours, y, 70, filter_=Ridge(0.1), tolerance=1e-12)
    by_lanczos = selfdistill_closed_form(krylov, y, ridge=0.1, n_steps=3, label_weight=0.25)
    np.testing.assert_allclose(by_lanczos.fitted, path.fitted, atol=1e-9)


@pytest.mark.parametrize("place", [lambda x: jax.device_put(x, DEVICES[2]), spread], ids=["one", "spread"])
def test_the_exact_spectrum_stays_on_the_devices(place):
    X, y, kernel = POINTS[:100, :3].astype(np.float32), np.sin(POINTS[:100, 0]), RBF(gamma=0.3)
    x = place(jnp.asarray(X))
    path = selfdistill_closed_form(kernel.gram(x), y, ridge=0.1, n_steps=2)
    expected = selfdistill_closed_form(kernel.gram(X.astype(float)), y, ridge=0.1, n_steps=2)
    for array in (path.fitted, path.dual_coef, path.spectrum.eigenvalues, path.spectrum.eigenvectors):
        assert array.dtype == np.float32
        assert array.devices() == x.devices()
    np.testing.assert_allclose(path.fitted, expected.fitted, atol=1e-4)
    predicted = path.predict(kernel.gram(place(jnp.asarray(OTHERS[:64, :3], dtype=np.float32)), x))
    np.testing.assert_allclose(predicted, expected.predict(kernel.gram(OTHERS[:64, :3], X)), atol=1e-3)


def test_products_are_part_of_larger_programs():
    operator, K = RBF().operator(jnp.asarray(POINTS)), RBF().gram(POINTS)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum((operator @ v) ** 2)))(jnp.asarray(V))
    np.testing.assert_allclose(gradient, 2.0 * K @ (K @ V), rtol=1e-12, atol=1e-12)


def test_other_parameters_compile_nothing_anew():
    x = jnp.asarray(POINTS[:20])
    RBF(gamma=0.5).gram(x)
    compiled = _jax_tiles.gram._cache_size()
    RBF(gamma=0.25).gram(x)
    assert _jax_tiles.gram._cache_size() == compiled


def test_work_space_is_bounded():
    x, columns = jnp.asarray(rng.standard_normal((700, 12))), rng.standard_normal((700, 40))
    with pytest.raises(ValueError, match="max_bytes must be >= ") as caught:
        RBF().operator(x, max_bytes=1)
    least = int(str(caught.value).split()[4])
    with pytest.raises(ValueError, match=f"max_bytes must be >= {least} for these points, got {least - 1}"):
        RBF().operator(x, max_bytes=least - 1)
    for kernel, max_bytes in ((RBF(), least), (ArcCosine(1), 4 * least)):
        operator = kernel.operator(x, max_bytes=max_bytes)
        arguments = operator._rows, operator._columns, columns[:, operator.column_slices(40)[0]], operator._parameters
        static = {"formula": operator._formula, "mesh": operator._mesh, "plan": operator._plan}
        used = _jax_tiles.multiply.lower(*arguments, **static).compile().memory_analysis()
        copies = operator._rows.nbytes + operator._columns.nbytes
        assert used.temp_size_in_bytes + used.output_size_in_bytes <= max_bytes + copies
    small = RBF().operator(x, max_bytes=least)
    assert len(small.column_slices(40)) == 40
    assert relative_error(small @ columns[:, :2], RBF().gram(np.asarray(x)), columns[:, :2]) < 1e-12


def test_half_precision_and_integers_become_floating_point_numbers():
    assert RBF().gram(jnp.asarray([[1], [2]])).dtype == np.float64
    assert RBF().gram(jnp.asarray([[1.0], [2.0]], dtype=jnp.bfloat16)).dtype == np.float32
    assert RBF().gram(jnp.ones((2, 1), np.float32), jnp.ones((2, 1))).dtype == np.float64
    assert RBF().gram(jnp.ones((2, 1), np.float32), np.ones((2, 1))).dtype == np.float32


@pytest.mark.parametrize(
    "kernel",
    [
        RBF(np.float64(0.3)),
        Laplace(np.float64(0.3)),
        Matern(1.5, np.float64(2.0)),
        Polynomial(2, np.float64(0.3), np.float64(1.0)),
    ],
    ids=str,
)
def test_parameters_of_numpy_leave_single_precision_as_it_is(kernel):
    x = jnp.asarray(POINTS[:20], dtype=np.float32)
    assert kernel.gram(x).dtype == kernel.diag(x).dtype == np.float32
    expected = kernel.gram(POINTS[:20].astype(np.float32)) @ np.ones(20)
    np.testing.assert_allclose(kernel.operator(x) @ jnp.ones(20, np.float32), expected, rtol=1e-5)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_the_kernel_of_far_points_is_zero(nu):
    K = Matern(nu, length_scale=1e-120).gram(jnp.asarray([[0.0], [1e40]]))
    np.testing.assert_array_equal(K, np.eye(2))


def test_nothing_of_jax_is_loaded_before_it_is_needed():
    code = "import sys, kdtheory.kernels as k; k.RBF().operator([[1.0]]); print('jax' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "False"


class Unknown(Kernel):
    def _evaluator(self, X, Y):
        raise NotImplementedError

    def _diagonal(self, X):
        raise NotImplementedError


X = jnp.asarray(POINTS[:4])


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (
            lambda: RBF().gram(jnp.asarray([[0.0], [jnp.nan]])),
            ValueError,
            "X must be finite, got nan in row 1, column 0",
        ),
        (
            lambda: RBF().operator(X, jnp.asarray([[1.0, jnp.inf]])),
            ValueError,
            "Y must be finite, got inf in row 0, column 1",
        ),
        (lambda: RBF().gram(X, jnp.ones((2, 3))), ValueError, "Y must have 12 columns, one for each feature of X, got"),
        (lambda: RBF().gram(X[0]), ValueError, "X must be 2-dimensional, got shape (12,)"),
        (lambda: RBF().gram(X[:0]), ValueError, "X must not be empty, got shape (0, 12)"),
        (lambda: RBF().gram(1j * X), TypeError, "X must hold real numbers"),
        (lambda: RBF().gram(POINTS, X), TypeError, "X must be a jax array as Y is one, got ndarray"),
        (lambda: RBF().gram(X, "Y"), TypeError, "Y must be an array of numpy or jax, got str"),
        (lambda: RBF().operator(X, n_threads=2), ValueError, "n_threads=2 is for numpy arrays, got X of jax"),
        (lambda: RBF().operator(X, progress=True), ValueError, "progress=True is for numpy arrays, got X of jax"),
        (
            lambda: RBF().operator(POINTS, devices=DEVICES),
            ValueError,
            "devices is for jax arrays, got X of type ndarray",
        ),
        (lambda: RBF().operator(X, devices=[]), ValueError, "devices must be a sequence of jax devices, got []"),
        (lambda: RBF().operator(X, devices=DEVICES[:1] * 2), ValueError, "devices must differ from each other, got"),
        (
            lambda: RBF().operator(X, X).diagonal(),
            ValueError,
            "diagonal needs a symmetric operator, one made without Y",
        ),
        (lambda: RBF().operator(X).columns([4]), ValueError, "indices must lie in 0..3, got 4"),
        (lambda: RBF().operator(X) @ jnp.ones(3), ValueError, "the multiplied matrix must have 4 rows, got shape (3,)"),
        (
            lambda: RBF().operator(X).product(jnp.asarray([1.0, jnp.nan, 0.0, 0.0])),
            ValueError,
            "the multiplied matrix must be finite, got nan at index 1",
        ),
        (
            lambda: Unknown().gram(X),
            TypeError,
            "X must be a numpy array for Unknown, which has no formula on jax arrays",
        ),
        (
            lambda: jax.jit(lambda x: RBF().operator(x) @ jnp.ones(4))(X),
            TypeError,
            "X and Y must not be traced for an operator",
        ),
        (lambda: Linear().gram(jnp.asarray([[1e200]])), OverflowError, "the kernel value at index (0, 0) is too large"),
        (lambda: Linear().diag(jnp.asarray([[1e200]])), OverflowError, "the kernel value at index 0 is too large"),
        (
            lambda: Linear().operator(jnp.asarray([[1e200]])) @ jnp.asarray([1e200]),
            OverflowError,
            "the product at index 0 is too large for float64",
        ),
    ],
)
def test_bad_input_is_refused_by_name(run, error, message):
    with pytest.raises(error, match=re.escape(message)):
        run()


def test_double_precision_is_refused_while_it_is_switched_off():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="X of float64 needs JAX's double precision: jax.config.update"):
            RBF().gram(X)
    finally:
        jax.config.update("jax_enable_x64", True)
