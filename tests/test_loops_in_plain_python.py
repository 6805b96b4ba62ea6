"""What the compiled loops compute is what their text says in plain Python, statement by statement."""

from fractions import Fraction

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from kdtheory import _loops, _ntk_loops
from kdtheory.kernels import NNGP, NTK, RBF, ArcCosine, Laplace, Matern, Polynomial

rng = np.random.default_rng(2)
DIRECTION = rng.standard_normal(4)
POINTS = np.concatenate(
    [
        rng.standard_normal((5, 4)),
        [DIRECTION, 2.0 * DIRECTION, -DIRECTION, DIRECTION + 1e-7, np.zeros(4)],  # nearly straight, opposite, nowhere
        100.0 * rng.standard_normal((2, 4)),
    ]
)
OTHERS = np.concatenate([POINTS[3:9], rng.standard_normal((3, 4))])
KERNELS = [
    RBF(gamma=0.3),
    Laplace(gamma=0.2),
    Matern(nu=0.5),
    Matern(nu=1.5),
    Matern(nu=2.5),
    Polynomial(degree=2),
    Polynomial(degree=3),
    Polynomial(degree=5, coef0=0.5),
    ArcCosine(order=0),
    ArcCosine(order=1),
    NNGP(depth=2, activation="relu"),
    NTK(depth=3, activation="relu", bias_variance=0.2),
    NTK(depth=2, activation="leaky_relu", slope=0.3),
    NNGP(depth=2, activation="erf", weight_variance=1.5),
    NTK(depth=2, activation="erf", weight_variance=1.5, bias_variance=0.1),
]


@pytest.fixture
def in_plain_python(monkeypatch):
    """Take the compiler away, and put its instructions in Python's words."""

    def take_away():
        for module in (_loops, _ntk_loops):
            for name, function in vars(module).copy().items():
                if isinstance(function, CPUDispatcher):
                    monkeypatch.setattr(module, name, function.py_func)
        monkeypatch.setattr(_loops, "_exponential", lambda q: np.exp(-q))
        monkeypatch.setattr(_ntk_loops, "_fused", lambda x, y, z: float(Fraction(x) * Fraction(y) + Fraction(z)))

    return take_away


@pytest.mark.parametrize("kernel", KERNELS)
def test_gram_matrices(kernel, in_plain_python):
    compiled = kernel.gram(POINTS), kernel.gram(POINTS, OTHERS)
    in_plain_python()
    for ours, theirs in zip(compiled, (kernel.gram(POINTS), kernel.gram(POINTS, OTHERS)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)  # exponents up to 700


@pytest.mark.parametrize("kernel", [RBF(gamma=0.3), Laplace(gamma=0.2), Matern(nu=1.5), ArcCosine(), Polynomial()])
@pytest.mark.parametrize("others", [None, OTHERS])
def test_products(kernel, others, in_plain_python):
    V = rng.standard_normal((len(POINTS if others is None else OTHERS), 3))
    W = rng.standard_normal((len(POINTS), 3))
    compiled = kernel.operator(POINTS, others)
    ours = compiled @ V, compiled.T @ W
    in_plain_python()
    plain = kernel.operator(POINTS, others)
    for compiled_product, plain_product in zip(ours, (plain @ V, plain.T @ W), strict=True):
        np.testing.assert_allclose(compiled_product, plain_product, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mirrored", [False, True])
def test_products_of_one_tile(mirrored, in_plain_python):
    tile = np.zeros((8, 5))
    tile[:6] = rng.standard_normal((6, 5))
    V, W = rng.standard_normal((7, 17)), rng.standard_normal((9, 17))

    def products():
        on_rows, on_columns = np.zeros((9, 17)), np.zeros((17, 7))
        _loops.multiply(tile, 2, 8, 1, np.ascontiguousarray(V.T), W, on_rows, on_columns, mirrored)
        return on_rows, on_columns

    compiled = products()
    in_plain_python()
    for ours, theirs in zip(compiled, products(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
