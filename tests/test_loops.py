"""Compiled loops: each beside its twin in numpy, and the exponential and the angles beside mpmath."""

import mpmath
import numpy as np
import pytest

from kdtheory import _loops

rng = np.random.default_rng(0)
EPS = {"float64": 2.3e-16, "float32": 1.2e-7}
ONE = np.ones(1)


def points(n_points, n_features, dtype="float64"):
    return rng.standard_normal((n_points, n_features)).astype(dtype)


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("n_features", [3, 6, 9])
def test_distances(height, n_features):
    X, Y = points(15, n_features), points(40, n_features)
    differences = X[2 : 2 + height, None, :] - Y[None, 5:38, :]
    tile = np.full((height, 33), np.nan)
    _loops.squared_distances(X, 2, 2 + height, np.ascontiguousarray(Y.T), 5, 38, tile)
    np.testing.assert_allclose(tile, np.sum(differences**2, axis=2), rtol=1e-14)
    _loops.absolute_distances(X, 2, 2 + height, np.ascontiguousarray(Y.T), 5, 38, tile)
    np.testing.assert_allclose(tile, np.sum(np.abs(differences), axis=2), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exponentials_have_all_their_digits(dtype):
    far = 707.0 if dtype == "float64" else 86.0
    q = np.concatenate([np.linspace(0.0, 3.0, 500), np.geomspace(1e-20, far, 500), [0.0, far]]).astype(dtype)
    tile = q[None, :].copy()
    _loops.finish_distances(tile, _loops.EXPONENTIAL, q.dtype.type(1.0))
    with mpmath.workdps(40):
        worst = max(abs(mpmath.mpf(float(v)) * mpmath.exp(float(x)) - 1) for x, v in zip(q, tile[0], strict=True))
    assert worst < 1.5 * EPS[dtype]
    assert tile[0, 0] == 1.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exponentials_of_far_points_are_zero_and_of_rounded_ones_one(dtype):
    for kind in range(_loops.EXPONENTIAL, _loops.MATERN_FIVE_HALVES + 1):
        tile = np.array([[1e30, np.inf, -1e-9, 0.0]], dtype=dtype)
        _loops.finish_distances(tile, kind, np.dtype(dtype).type(1.0))
        np.testing.assert_array_equal(tile, [[0.0, 0.0, 1.0, 1.0]])


def test_matern_functions():
    q = np.geomspace(1e-12, 4e3, 301)
    s = np.sqrt(0.7 * q)
    for kind, factor in [
        (_loops.DISTANCE, None),
        (_loops.MATERN_HALF, 1.0),
        (_loops.MATERN_THREE_HALVES, 1.0 + s),
        (_loops.MATERN_FIVE_HALVES, 1.0 + s + s**2 / 3.0),
    ]:
        tile = q[None, :].copy()
        _loops.finish_distances(tile, kind, 0.7)
        np.testing.assert_allclose(tile[0], q if factor is None else factor * np.exp(-s), rtol=5e-15)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5, 6, 7, 13])
def test_powers(degree):
    tile = points(3, 21)
    twin = (tile + 0.25) ** degree
    _loops.raise_to(tile, 0.25, degree)
    np.testing.assert_allclose(tile, twin, rtol=1e-14)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("nearly_straight", [0.999, 2.0])
def test_angles_from_cosines_and_from_directions(order, nearly_straight):
    angles = np.concatenate([np.linspace(0.05, np.pi - 0.05, 400), [0.0, np.pi] if nearly_straight < 1.0 else []])
    X, Y = np.array([[1.0, 0.0]]), np.column_stack([np.cos(angles), np.sin(angles)])
    tile = X @ Y.T
    x_norms, y_norms = np.array([1.5]), np.linspace(0.5, 2.0, len(angles))
    _loops.finish_angles(tile, order, X, 0, Y, 0, x_norms, y_norms, nearly_straight)
    supplement = np.pi - angles
    twin = supplement / np.pi
    if order == 1:
        twin = 1.5 * y_norms * (np.sin(supplement) - supplement * np.cos(supplement)) / np.pi
    np.testing.assert_allclose(tile[0], twin, rtol=1e-14, atol=5e-15 if nearly_straight > 1.0 else 1e-15)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("n_columns", [1, 3, 16, 37])
def test_products(mirrored, n_columns):
    height, padded, width = 11, 16, 29
    tile = np.zeros((padded, width))
    tile[:height] = points(height, width)
    V, W = points(50, n_columns), points(30, n_columns)
    on_rows, on_columns = points(30, n_columns), points(50, n_columns)
    rows_twin, columns_twin = on_rows.copy(), on_columns.copy()
    rows_twin[4:15] += tile[:height] @ V[7 : 7 + width]
    if mirrored:
        columns_twin[7 : 7 + width] += tile[:height].T @ W[4:15]
    on_columns_T = np.ascontiguousarray(on_columns.T)
    _loops.multiply(tile, 4, 15, 7, np.ascontiguousarray(V.T), W, on_rows, on_columns_T, mirrored)
    np.testing.assert_allclose(on_rows, rows_twin, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(on_columns_T.T, columns_twin, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("n_features", [3, 99])
def test_products_with_whole_blocks(squared, n_features):
    X, Y = points(201, n_features), points(601, n_features)
    V, W = points(601, 3), points(201, 3)
    room, Y_T = np.empty(_loops.STRIP_VALUES), np.ascontiguousarray(Y.T)

    def kernel(left, right):
        total = sum(
            np.abs(x[:, None] - y[None, :]) ** (2 if squared else 1) for x, y in zip(left.T, right.T, strict=True)
        )
        return np.exp(-0.01 * total)

    for mirrored in (True, False):
        on_rows, on_columns_T = np.zeros_like(W), np.zeros_like(V).T.copy()
        _loops.multiply_by_distances(
            X, Y_T, squared, 1, 0.01, V.T.copy(), W, on_rows, on_columns_T, mirrored, False, room
        )
        np.testing.assert_allclose(on_rows, kernel(X, Y) @ V, atol=1e-12)
        np.testing.assert_allclose(on_columns_T.T, mirrored * kernel(X, Y).T @ W, atol=1e-12)
    on_rows, on_columns_T = np.zeros_like(V), np.zeros_like(V).T.copy()
    _loops.multiply_by_distances(Y, Y_T, squared, 1, 0.01, V.T.copy(), V, on_rows, on_columns_T, False, True, room)
    np.testing.assert_allclose(on_rows + on_columns_T.T, kernel(Y, Y) @ V, atol=1e-12)
