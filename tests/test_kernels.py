"""Kernels: the values of scikit-learn, of mpmath at extremes, and what every Gram matrix must be."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import Matern as SklearnMatern
from sklearn.metrics.pairwise import pairwise_kernels

from kdtheory.kernels import NNGP, NTK, RBF, ArcCosine, Cosine, Laplace, Linear, Matern, Polynomial, base
from tests.oracles import wide_network_kernel

KERNELS = [
    RBF(),
    RBF(gamma=0.7),
    Laplace(),
    Laplace(gamma=0.3),
    Matern(nu=0.5, length_scale=1.3),
    Matern(nu=1.5, length_scale=0.8),
    Matern(nu=2.5, length_scale=2.0),
    Linear(),
    Polynomial(),
    Polynomial(degree=2, gamma=0.4, coef0=0.0),
    Polynomial(degree=5, gamma=0.2, coef0=2.0),
    Cosine(),
    ArcCosine(order=0),
    ArcCosine(order=1),
    NTK(),
    NTK(depth=2, activation="erf", weight_variance=1.5, bias_variance=0.1),
    NNGP(depth=2, activation="leaky_relu", weight_variance=1.2, bias_variance=0.3, slope=0.2),
    NNGP(depth=1, activation="identity", weight_variance=0.8, bias_variance=0.2),
]


def scikit_learn(kernel, X, Y=None):
    """The same Gram matrix by scikit-learn, or None."""
    match kernel:
        case RBF(gamma):
            return pairwise_kernels(X, Y, metric="rbf", gamma=gamma)
        case Laplace(gamma):
            return pairwise_kernels(X, Y, metric="laplacian", gamma=gamma)
        case Matern(nu, length_scale):
            return SklearnMatern(nu=nu, length_scale=length_scale)(X, Y)
        case Polynomial(degree, gamma, coef0):
            return pairwise_kernels(X, Y, metric="poly", degree=degree, gamma=gamma, coef0=coef0)
        case Linear():
            return pairwise_kernels(X, Y, metric="linear")
        case Cosine():
            return pairwise_kernels(X, Y, metric="cosine")
    return None


def exactly(kernel, x, y):
    """One kernel value at 60 digits."""
    if isinstance(kernel, NTK | NNGP):
        return wide_network_kernel(kernel, x, y)
    with mpmath.workdps(60):
        x, y = mpmath.matrix([float(v) for v in x]), mpmath.matrix([float(v) for v in y])
        dot, squares = mpmath.fdot(x, y), (mpmath.fdot(x, x), mpmath.fdot(y, y))
        difference, d = x - y, len(x)
        match kernel:
            case RBF(gamma):
                return mpmath.exp(-(mpmath.mpf(gamma) if gamma else mpmath.mpf(1) / d) * mpmath.norm(difference) ** 2)
            case Laplace(gamma):
                return mpmath.exp(-(mpmath.mpf(gamma) if gamma else mpmath.mpf(1) / d) * mpmath.norm(difference, 1))
            case Matern(nu, length_scale):
                s = mpmath.sqrt(2 * nu) * mpmath.norm(difference) / length_scale
                return {0.5: 1, 1.5: 1 + s, 2.5: 1 + s + s**2 / 3}[nu] * mpmath.exp(-s)
            case Polynomial(degree, gamma, coef0):
                return ((mpmath.mpf(gamma) if gamma else mpmath.mpf(1) / d) * dot + coef0) ** degree
            case Linear():
                return dot
            case Cosine():
                return dot / mpmath.sqrt(squares[0] * squares[1])
            case ArcCosine(order):
                length = mpmath.sqrt(squares[0] * squares[1])
                cosine = min(mpmath.mpf(1), max(mpmath.mpf(-1), dot / length))
                supplement = mpmath.pi - mpmath.acos(cosine)
                if order == 0:
                    return supplement / mpmath.pi
                return length * (mpmath.sin(supplement) - supplement * mpmath.cos(supplement)) / mpmath.pi


def exact_gram(kernel, X, Y):
    return np.array([[float(exactly(kernel, x, y)) for y in Y] for x in X])


@st.composite
def points(draw, max_points=6):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m, d = draw(st.integers(1, max_points)), draw(st.integers(1, max_points)), draw(st.integers(1, 6))
    size = 10.0 ** draw(st.floats(-3, 0.5))
    return size * rng.standard_normal((n, d)), size * rng.standard_normal((m, d))


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@given(points())
def test_values_are_those_of_scikit_learn(kernel, X_Y):
    X, Y = X_Y
    for others in (Y, None):
        theirs = scikit_learn(kernel, X, others)
        if theirs is not None:
            np.testing.assert_allclose(kernel.gram(X, others), theirs, rtol=1e-12, atol=1e-12 * np.abs(theirs).max())


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_values_are_those_of_mpmath(kernel):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((5, 4)), rng.standard_normal((7, 4))
    np.testing.assert_allclose(kernel.gram(X, Y), exact_gram(kernel, X, Y), rtol=2e-14, atol=2e-14)


@pytest.mark.parametrize("kernel", [RBF(1.0), Laplace(1.0), *(Matern(nu) for nu in (0.5, 1.5, 2.5))], ids=str)
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e8, 1e150])
@pytest.mark.parametrize("step", [1e-9, 1e-4, 1.0, 5.0])
def test_values_keep_their_digits_far_from_zero_and_near_each_other(kernel, shift, step):
    X = np.array([[shift, 0.0], [0.0, 1.0]])
    Y = np.array([[shift + step, 0.0], [shift, step], [0.0, 1.0 + step]])
    np.testing.assert_allclose(kernel.gram(X, Y), exact_gram(kernel, X, Y), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_arc_cosines_keep_their_digits_near_straight_angles(order, angle, sign):
    x = np.array([[1.0, 0.0], [0.3, 0.4]])
    y = sign * np.array([[2.0 * np.cos(angle), 2.0 * np.sin(angle)], [0.3, 0.4 + angle]])
    kernel = ArcCosine(order)
    exact = exact_gram(kernel, x, y)
    # Of the angle, the last digit of 1 can be known: near pi, order 1 multiplies that by the square of the supplement.
    slope = min(1.0, angle**2) if sign < 0.0 and order == 1 else 1.0
    np.testing.assert_allclose(kernel.gram(x, y), exact, rtol=1e-13, atol=1e-15 * slope + 1e-45)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@given(points())
def test_gram_matrices_are_symmetric_to_the_bit_with_their_diagonal(kernel, X_Y):
    X = np.vstack([X_Y[0], X_Y[0][:1]])
    K = kernel.gram(X)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(np.diagonal(K), kernel.diag(X))
    np.testing.assert_allclose(K, kernel.gram(X, X), rtol=1e-13, atol=1e-13 * np.abs(K).max())
    assert np.linalg.eigvalsh(K).min() > -1e-12 * np.abs(K).max()
    assert kernel.is_psd


def test_a_polynomial_with_a_negative_constant_is_not_positive_semi_definite():
    kernel = Polynomial(degree=1, gamma=1.0, coef0=-1.0)
    assert not kernel.is_psd
    assert np.linalg.eigvalsh(kernel.gram([[0.0], [0.5]])).min() < -0.5


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_threads_change_no_bit(kernel, monkeypatch):
    X, Y = np.random.default_rng(2).standard_normal((2, 700, 3))
    alone = kernel.gram(X), kernel.gram(X, Y)
    monkeypatch.setattr(base, "_WORTH_THREADS", 1)
    monkeypatch.setattr(base, "usual_threads", lambda: 3)
    for by_one, by_several in zip(alone, (kernel.gram(X), kernel.gram(X, Y)), strict=True):
        np.testing.assert_array_equal(by_several, by_one)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_single_precision_stays_single(kernel):
    X = np.random.default_rng(1).standard_normal((9, 5)).astype(np.float32)
    K = kernel.gram(X)
    assert K.dtype == np.float32
    assert kernel.diag(X).dtype == np.float32
    exact = kernel.gram(X.astype(np.float64))
    np.testing.assert_allclose(K, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())
    assert kernel.gram(X.astype(int)).dtype == np.float64


def test_points_at_zero_have_the_values_of_their_limits():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_array_equal(Cosine().gram(X), [[0.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(ArcCosine(0).gram(X), [[0.5, 0.5], [0.5, 1.0]])
    np.testing.assert_array_equal(ArcCosine(1).gram(X), [[0.0, 0.0], [0.0, 25.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RBF(gamma=0.0), "gamma must be > 0, got 0.0"),
        (lambda: Laplace(gamma=-1.0), "gamma must be > 0, got -1.0"),
        (lambda: Matern(nu=2.0), "nu must be 0.5, 1.5 or 2.5, got 2.0"),
        (lambda: Matern(length_scale=0.0), "length_scale must be > 0, got 0.0"),
        (lambda: Matern(length_scale=1e-308), "length_scale must be >= 1e-307, got 1e-308"),
        (lambda: Polynomial(degree=0), "degree must be >= 1, got 0"),
        (lambda: Polynomial(gamma=-1.0), "gamma must be > 0, got -1.0"),
        (lambda: Polynomial(coef0=np.inf), "coef0 must be finite, got inf"),
        (lambda: ArcCosine(order=2), "order must be 0 or 1, got 2"),
        (lambda: RBF().gram([[1.0], [np.nan]]), "X must be finite, got nan in row 1, column 0"),
        (lambda: RBF().gram([[1.0]], [[1.0], [np.inf]]), "Y must be finite, got inf in row 1, column 0"),
        (lambda: RBF().gram([1.0]), "X must be 2-dimensional, got shape (1,)"),
        (lambda: RBF().gram(np.empty((0, 2))), "X must not be empty, got shape (0, 2)"),
        (
            lambda: RBF().gram([[1.0]], [[1.0, 2.0]]),
            "Y must have 1 columns, one for each feature of X, got shape (1, 2)",
        ),
    ],
)
def test_bad_input_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_values_beyond_the_floating_point_range_are_refused():
    for kernel in (Linear(), Polynomial(), ArcCosine(1)):
        with pytest.raises(OverflowError, match="is too large for float64"):
            kernel.gram([[1e200]])
    with pytest.raises(OverflowError, match="X times the kernel's scale, 1e\\+160, is too large for float64"):
        Matern(nu=0.5, length_scale=1e-160).gram([[1e200]])
