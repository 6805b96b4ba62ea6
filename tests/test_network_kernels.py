"""NNGP and NTK: neural-tangents' values, mpmath's near the diagonal, and finite networks' within their spread.

The values of neural-tangents were written once by `benchmarks/freeze_network_kernels.py`, which names the versions.
"""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf
from sklearn.kernel_ridge import KernelRidge

from kdtheory import Ridge, Spectrum
from kdtheory.estimators import SelfDistilledKernelRidge
from kdtheory.kernels import NNGP, NTK, ArcCosine
from tests.oracles import wide_network_kernel

FROZEN = json.loads((Path(__file__).parent / "frozen" / "neural_tangents_kernels.json").read_text())
KINDS = [
    {"activation": "relu"},
    {"activation": "relu", "weight_variance": 1.6, "bias_variance": 0.3},
    {"activation": "leaky_relu", "weight_variance": 1.7},
    {"activation": "leaky_relu", "weight_variance": 1.4, "bias_variance": 0.05, "slope": 0.4},
    {"activation": "leaky_relu", "weight_variance": 1.1, "bias_variance": 0.02, "slope": -1.0},
    {"activation": "leaky_relu", "weight_variance": 0.7, "bias_variance": 0.1, "slope": 1.5},
    {"activation": "erf", "weight_variance": 1.3},
    {"activation": "erf", "weight_variance": 40.0, "bias_variance": 0.2},
    {"activation": "identity", "weight_variance": 0.9, "bias_variance": 0.2},
]
rng = np.random.default_rng(0)


def describe(value):
    return " ".join(str(part) for part in value.values()) if isinstance(value, dict) else None


def exact_values(kernel, X, Y, digits=60):
    return np.array([[float(wide_network_kernel(kernel, x, y, digits)) for y in Y] for x in X])


def exact_diagonal(kernel, X):
    return np.array([float(wide_network_kernel(kernel, x, x)) for x in X])


def scales(kernel, X, Y):
    """Sizes of values: what cancels in them can be known to their rounding only."""
    return np.sqrt(kernel.diag(X)[:, None] * kernel.diag(Y))


@pytest.mark.parametrize("network", FROZEN["networks"], ids=lambda n: f"{n['activation']} {n['depth']}")
def test_values_are_those_of_neural_tangents(network):
    parameters = {name: value for name, value in network.items() if name not in ("nngp", "ntk")}
    for kernel, name in ((NNGP(**parameters), "nngp"), (NTK(**parameters), "ntk")):
        ours, theirs = kernel.gram(FROZEN["X"], FROZEN["Y"]), np.array(network[name])
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=0.0)
        np.testing.assert_allclose(kernel.diag(FROZEN["X"]), exact_diagonal(kernel, FROZEN["X"]), rtol=4e-15)


def test_the_frozen_values_are_of_every_activation_and_depth():
    cases = {(network["activation"], network["depth"]) for network in FROZEN["networks"]}
    assert cases == {(name, depth) for name in ("relu", "leaky_relu", "erf", "identity") for depth in range(1, 11)}
    X, Y = np.array(FROZEN["X"]), np.array(FROZEN["Y"])
    assert all((point == Y).all(axis=1).any() for point in (X[0], -X[0], 2.0 * X[0], X[2], 0.0 * X[0]))


@pytest.mark.parametrize("kind", KINDS, ids=describe)
@pytest.mark.parametrize("depth", [1, 2, 10])
@pytest.mark.parametrize("make", [NNGP, NTK])
def test_values_near_the_diagonal_and_its_opposite_have_all_their_digits(make, depth, kind):
    kernel = make(depth, **kind)
    x, step = rng.standard_normal((2, 7))
    others = [s * x + e * step for s in (1.0, -1.0, 3.0) for e in (0.0, 1e-2, 1e-4, 1e-6, 1e-9, 1e-13)]
    X, Y = np.array([x, 1e3 * x]), np.array([*others, 0.0 * x, 1e-4 * x, -1e3 * x])
    exact, values = exact_values(kernel, X, Y), kernel.gram(X, Y)
    np.testing.assert_allclose(values, exact, rtol=1e-13, atol=1e-40)
    np.testing.assert_allclose(kernel.gram(Y, X).T, exact, rtol=1e-13, atol=1e-40)
    np.testing.assert_allclose(kernel.diag(Y), exact_diagonal(kernel, Y), rtol=5e-15)


@pytest.mark.parametrize("make", [NNGP, NTK])
@pytest.mark.parametrize(
    ("size", "weight", "bias"), [(1.0, 40.0, 1e-10), (1.0, 40.0, 1e-6), (1e6, 1.0, 1e8)], ids=lambda v: f"{v:g}"
)
def test_opposite_points_with_tiny_and_large_biases_have_all_their_digits(make, size, weight, bias):
    """Layers of erf magnify what biases leave of an angle of π, or of one that they have made small."""
    x, step = size * rng.standard_normal((2, 5))
    others = [-x, -x + 1e-7 * step, -3.0 * x, x + 1e-7 * step]
    kernel = make(8, "erf", weight, bias)
    np.testing.assert_allclose(kernel.gram([x], others), exact_values(kernel, [x], others, 100), rtol=2e-12)


@pytest.mark.parametrize("kind", KINDS, ids=describe)
@pytest.mark.parametrize("n_features", [1, 2, 200])
def test_values_at_all_angles_and_lengths_are_those_of_mpmath(kind, n_features):
    x, y = rng.standard_normal((2, n_features))
    shares = np.concatenate([np.linspace(-1.0, 2.0, 13), [0.93, 0.95, 0.97]])
    Y = [10.0 ** (i % 5 - 2) * (share * x + (1.0 - share) * y) for i, share in enumerate(shares)]
    for kernel in (NNGP(3, **kind), NTK(3, **kind)):
        exact = exact_values(kernel, [x], Y)
        errors = np.abs(kernel.gram([x], Y) - exact) / scales(kernel, [x], Y)
        assert errors.max() < 4e-15


@pytest.mark.parametrize("kind", KINDS[:7], ids=describe)
def test_values_are_those_of_integrals_over_normal_variables(kind):
    """Expectations by polar coordinates, in which a step of a derivative costs a part in the number of angles."""
    kernel, ntk = NNGP(2, **kind), NTK(2, **kind)
    slope = {"relu": 0.0, "leaky_relu": 0.01}.get(kernel.activation) if kernel.slope is None else kernel.slope
    if kernel.activation == "erf":
        activation, derivative = erf, lambda u: 2.0 / np.sqrt(np.pi) * np.exp(-(u**2))
    else:
        activation, derivative = (lambda u: np.where(u > 0.0, u, slope * u)), (lambda u: np.where(u > 0.0, 1.0, slope))
    angles = (np.arange(8000) + 0.5) * np.pi / 4000
    nodes, weights = np.polynomial.legendre.leggauss(50)
    radii = 4.5 * (nodes + 1.0)
    density = 4.5 * weights * radii * np.exp(-(radii**2) / 2.0) / len(angles)
    circle = np.stack([np.cos(angles), np.sin(angles)])[:, :, None] * radii

    def expectation(function, covariance):
        u, v = np.tensordot(np.linalg.cholesky(covariance), circle, 1)
        return np.sum(function(u) * function(v) * density)

    X = rng.standard_normal((2, 3))
    k = kernel.weight_variance * X @ X.T / 3.0 + kernel.bias_variance
    theta = k[0, 1]
    for _ in range(2):
        squares = [
            np.sum(activation(np.sqrt(2.0 * k[i, i]) * z) ** 2 * w) / np.sqrt(np.pi)
            for i in (0, 1)
            for z, w in [np.polynomial.hermite.hermgauss(100)]
        ]
        across = expectation(activation, k)
        theta *= kernel.weight_variance * expectation(derivative, k)
        k = kernel.weight_variance * np.array([[squares[0], across], [across, squares[1]]]) + kernel.bias_variance
        theta += k[0, 1]
    np.testing.assert_allclose(kernel.gram(X), k, rtol=2e-5)
    np.testing.assert_allclose(ntk.gram(X)[0, 1], theta, rtol=1e-3)


@pytest.mark.parametrize("kind", [KINDS[1], KINDS[3], KINDS[6]], ids=describe)
def test_finite_networks_have_these_kernels_within_their_spread(kind):
    depth, width, n_networks, rng = 2, 400, 30, np.random.default_rng(1)
    kernel, ntk = NNGP(depth, **kind), NTK(depth, **kind)
    slope = 0.0 if kernel.slope is None else kernel.slope
    X = rng.standard_normal((4, 5))
    weight, bias = np.sqrt(kernel.weight_variance), np.sqrt(kernel.bias_variance)
    nngps, ntks = [], []
    for _ in range(n_networks):
        sizes = [X.shape[1], *[width] * depth]
        matrices = [rng.standard_normal((size, width)) for size in sizes[:-1]]
        inputs, slopes = [X], []
        for matrix in matrices:
            before = weight / np.sqrt(len(matrix)) * inputs[-1] @ matrix + bias * rng.standard_normal(width)
            if kernel.activation == "erf":
                inputs.append(erf(before))
                slopes.append(2.0 / np.sqrt(np.pi) * np.exp(-(before**2)))
            else:
                inputs.append(np.where(before > 0.0, before, slope * before))
                slopes.append(np.where(before > 0.0, 1.0, slope))
        # Gradients: of the layer below an output, its inputs times what is passed back to it.
        back, gram, nngp = np.ones((4, 1)), 0.0, None
        for layer in range(depth, -1, -1):
            products = kernel.weight_variance / sizes[layer] * inputs[layer] @ inputs[layer].T + kernel.bias_variance
            gram = gram + products * (back @ back.T)
            nngp = products if layer == depth else nngp
            if layer:
                matrix = rng.standard_normal((width, 1)) if layer == depth else matrices[layer]
                back = weight / np.sqrt(width) * (back @ matrix.T) * slopes[layer - 1]
        nngps.append(nngp)
        ntks.append(gram)
    for values, expected in ((nngps, kernel.gram(X)), (ntks, ntk.gram(X))):
        spread = np.std(values, axis=0, ddof=1) / np.sqrt(n_networks)
        assert np.all(np.abs(np.mean(values, axis=0) - expected) < 4.0 * spread + 3.0 / width * np.abs(expected).max())
        assert np.all(spread < 0.05 * np.abs(expected).max())


@pytest.mark.parametrize("order", [0, 1])
def test_one_layer_of_rectified_linear_units_is_the_arc_cosine_kernel(order):
    X, Y = rng.standard_normal((5, 4)), rng.standard_normal((6, 4))
    kernel = NNGP(depth=1)
    if order == 1:
        np.testing.assert_allclose(kernel.gram(X, Y), 0.5 * ArcCosine(1).gram(X, Y), rtol=1e-13)
    else:
        derivative = NTK(depth=1).gram(X, Y) - kernel.gram(X, Y)
        np.testing.assert_allclose(derivative, 0.5 * X @ Y.T * ArcCosine(0).gram(X, Y), rtol=1e-12)


@pytest.mark.parametrize("make", [NNGP, NTK])
def test_slopes_of_zero_and_one_are_those_of_other_activations(make):
    X = rng.standard_normal((6, 4))
    for slope, name in ((0.0, "relu"), (1.0, "identity")):
        leaky, other = (make(3, each, 1.3, 0.2, s) for each, s in (("leaky_relu", slope), (name, None)))
        np.testing.assert_allclose(leaky.gram(X), other.gram(X), rtol=1e-13, atol=1e-14)
    assert make(2, "leaky_relu").gram(X)[0, 1] == make(2, "leaky_relu", slope=0.01).gram(X)[0, 1]


@pytest.mark.parametrize("kind", KINDS, ids=describe)
@pytest.mark.parametrize("depth", [1, 3, 10])
def test_gram_matrices_are_positive_semi_definite_to_rounding(depth, kind):
    angles = np.linspace(0.0, 2.0 * np.pi, 90)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    X = np.vstack([circle, 1.5 * circle[:20], circle[:20] + 1e-9, np.zeros((1, 2))])
    for kernel in (NNGP(depth, **kind), NTK(depth, **kind)):
        K = kernel.gram(X)
        np.testing.assert_array_equal(K, K.T)
        rounding = len(K) * np.finfo(float).eps * K.diagonal().max()
        assert np.linalg.eigvalsh(K)[0] >= -2.0 * rounding  # of the values, and of their decomposition


@pytest.mark.parametrize("make", [NNGP, NTK])
def test_points_at_zero_have_values_of_zero_without_biases_and_of_them_with_biases(make):
    X = np.array([[0.0, 0.0], [1.0, 2.0], [-0.0, 0.0]])
    for activation in ("relu", "leaky_relu", "erf", "identity"):
        K = make(2, activation).gram(X)
        assert not K[[0, 2]].any()
        assert not K[:, [0, 2]].any()
        assert K[1, 1] > 0.0
        kernel = make(2, activation, bias_variance=0.25)
        np.testing.assert_allclose(kernel.gram(X), exact_values(kernel, X, X), rtol=1e-14)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "erf", "identity"])
def test_without_weights_only_biases_are_left(activation):
    X = rng.standard_normal((3, 2))
    for make in (NNGP, NTK):
        np.testing.assert_allclose(make(2, activation, 0.0, 0.5).gram(X), np.full((3, 3), 0.5), rtol=1e-15)
        np.testing.assert_array_equal(make(2, activation, 0, 0).gram(X), np.zeros((3, 3)))
        kernel = make(2, activation, 1e-310, 0.5)
        np.testing.assert_allclose(kernel.gram(X), np.full((3, 3), 0.5), rtol=1e-14)


@given(st.integers(-480, 480), st.sampled_from(["relu", "leaky_relu"]), st.sampled_from([NNGP, NTK]))
def test_lengths_of_points_carry_over_to_the_bit(exponent, activation, make):
    kernel, X = make(3, activation), np.array([[0.5, 1.0], [-1.0, 0.75], [1.0, 2.0], [1.0 + 1e-9, 2.0]])
    np.testing.assert_array_equal(kernel.gram(np.ldexp(X, exponent)), np.ldexp(kernel.gram(X), 2 * exponent))


@pytest.mark.parametrize("kind", KINDS, ids=describe)
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-20, 1e20, 1e140])
def test_values_of_extreme_points_are_finite_and_those_of_mpmath(kind, size):
    X = size * np.array([[1.0, 2.0, 0.5], [1.0, 2.0, 0.5 + 1e-7], [-1.0, -2.0, 0.5], [3.0, -1.0, 1.0], [0.0, 0.0, 0.0]])
    X = np.vstack([X, [[1.0, 0.3, 0.2]]])
    for kernel in (NNGP(2, **kind), NTK(2, **kind)):
        exact = exact_values(kernel, X, X, 700 if size > 1e100 and kernel.activation == "erf" else 60)
        values = kernel.gram(X)
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, exact, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("size", [1e-120, 1e120])
@pytest.mark.parametrize("make", [NNGP, NTK])
def test_variances_and_points_at_opposite_ends_of_the_range_make_up_for_each_other(make, size):
    X = np.array([[1.0, 2.0, 0.5], [-1.0, 0.5, 1.0]])
    for activation in ("relu", "identity"):
        kernel = make(2, activation, size**-1.5)
        points = X * size * size if size < 1.0 else X * size * size**0.5
        np.testing.assert_allclose(kernel.gram(points), exact_values(kernel, points, points), rtol=1e-13)


def test_values_beyond_the_floating_point_range_are_refused():
    for activation in ("relu", "erf", "identity"):
        for call in (NTK(5, activation, 1e300).gram, NTK(5, activation, 1e300, 1e300).diag):
            with pytest.raises(OverflowError, match="is too large for float64|lengths of points must be at most"):
                call([[1e100], [1.0]])
    for activation in ("relu", "leaky_relu", "identity"):
        for kernel in (NNGP(1, activation), NTK(1, activation)):
            with pytest.raises(OverflowError, match="the kernel value at index .* is too large for float64"):
                kernel.gram([[1e200], [1.0]])
            with pytest.raises(OverflowError, match="the kernel value at index 0 is too large for float64"):
                kernel.diag([[1e200]])
    for act in (NTK(1, "erf").gram, NTK(1, "erf").diag):
        with pytest.raises(
            OverflowError, match="lengths of points must be at most about 1e\\+150 for activation='erf'"
        ):
            act([[1.0], [1e160]])
    with pytest.raises(OverflowError, match="is too large for float32"):
        NTK().gram(np.full((2, 1), 1e30, dtype=np.float32))


@pytest.mark.parametrize("kind", KINDS, ids=describe)
def test_single_precision_keeps_its_digits_near_the_diagonal(kind):
    x, step = rng.standard_normal((2, 7))
    X = np.array([x, x + 1e-3 * step, -x, 2.0 * x, 1e-2 * step, np.zeros(7)], dtype=np.float32)
    for kernel in (NNGP(3, **kind), NTK(3, **kind)):
        exact = exact_values(kernel, X, X)
        np.testing.assert_allclose(kernel.gram(X), exact, rtol=1e-5, atol=1e-6 * np.abs(exact).max())


def test_kernels_work_with_scikit_learn_with_landmarks_and_with_lanczos():
    X, X_test = rng.standard_normal((80, 3)), rng.standard_normal((9, 3))
    y = np.sin(X @ [1.0, 2.0, -1.0])
    for kernel in (NTK(2), NNGP(2, "erf", bias_variance=0.1)):
        K = kernel.gram(X)
        model = KernelRidge(alpha=0.1, kernel="precomputed").fit(K, y)
        expected = model.predict(kernel.gram(X_test, X))
        for solver in ("eigh", "nystrom", "lanczos"):
            ours = SelfDistilledKernelRidge(0.1, n_steps=1, kernel=kernel, fit_intercept=False, solver=solver).fit(X, y)
            np.testing.assert_allclose(ours.predict(X_test), expected, rtol=1e-5, atol=1e-6)
        spectrum = Spectrum.lanczos(kernel.operator(X), y, 80, filter_=Ridge(0.1))
        np.testing.assert_allclose(spectrum.eigenvalues[:5], np.linalg.eigvalsh(K)[::-1][:5], rtol=1e-8)


def test_kernels_are_values_that_print_compare_and_pickle():
    kernel = NTK(depth=2, activation="leaky_relu", slope=0.2)
    assert pickle.loads(pickle.dumps(kernel)) == kernel == eval(repr(kernel))
    assert kernel != NNGP(depth=2, activation="leaky_relu", slope=0.2)
    assert len({kernel, NTK(2, "leaky_relu", slope=0.2)}) == 1


@pytest.mark.parametrize("make", [NNGP, NTK])
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"depth": 0}, ValueError, "depth must be >= 1, got 0"),
        ({"depth": 2.5}, TypeError, "depth must be an integer, got 2.5"),
        (
            {"activation": "tanh"},
            ValueError,
            "activation must be one of ['relu', 'leaky_relu', 'erf', 'identity'], got",
        ),
        ({"activation": None}, ValueError, "activation must be one of ['relu', 'leaky_relu', 'erf', 'identity'], got"),
        ({"weight_variance": -1.0}, ValueError, "weight_variance must be >= 0, got -1.0"),
        ({"weight_variance": np.inf}, ValueError, "weight_variance must be finite, got inf"),
        ({"bias_variance": -0.1}, ValueError, "bias_variance must be >= 0, got -0.1"),
        ({"bias_variance": np.nan}, ValueError, "bias_variance must be finite, got nan"),
        ({"bias_variance": "0.1"}, TypeError, "bias_variance must be a real number, got '0.1'"),
        ({"slope": 0.1}, ValueError, "slope must be None for activation='relu', got 0.1"),
        ({"activation": "leaky_relu", "slope": np.nan}, ValueError, "slope must be finite, got nan"),
        ({"activation": "leaky_relu", "slope": 1e101}, ValueError, "slope must be at most 1e+100 in size, got 1e+101"),
    ],
)
def test_bad_parameters_are_refused_by_name(make, parameters, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(**parameters)
