"""Gram operators: the dense product, the same bits from any number of threads, and bounded work space."""

import concurrent.futures
import pickle
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse.linalg
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.kernels import RBF, ArcCosine, Cosine, Linear, Matern, Polynomial, block_product, tasks
from kdtheory.kernels._evaluators import Evaluator
from tests.test_kernels import KERNELS

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((1300, 4)), rng.standard_normal((700, 4))


@pytest.fixture
def small_blocks(monkeypatch):
    """Several tasks, so that few points go the way of many."""
    monkeypatch.setattr(tasks, "_LEAST_PAIRS_OF_A_TASK", 4_000)


def relative_error(product, K, V):
    K, V = K.astype(np.float64), V.astype(np.float64)
    scale = np.abs(K) @ np.abs(V)
    return (np.abs(product - K @ V) / np.maximum(scale, 1e-300)).max()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_are_those_of_the_dense_matrix(kernel, dtype):
    left, right, V = (a.astype(dtype) for a in (X[:300], Y[:170], rng.standard_normal((300, 3))))
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    symmetric, rectangular = kernel.operator(left), kernel.operator(left, right)
    assert symmetric.is_symmetric > rectangular.is_symmetric
    assert min(len(symmetric.tasks()), len(rectangular.tasks())) > 3
    for product, K, W in [
        (symmetric @ V, kernel.gram(left), V),
        (symmetric.matvec(V[:, 0]), kernel.gram(left), V[:, 0]),
        (symmetric.H @ V, kernel.gram(left), V),
        (rectangular @ V[:170], kernel.gram(left, right), V[:170]),
        (rectangular.T @ V, kernel.gram(left, right).T, V),
        (rectangular.rmatmat(V), kernel.gram(left, right).T, V),
        (rectangular.rmatvec(V[:, 0]), kernel.gram(left, right).T, V[:, 0]),
    ]:
        assert product.dtype == dtype
        assert relative_error(product, K, W) < tolerance


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("other", [None, Y])
def test_bits_do_not_depend_on_threads_nor_on_who_runs_the_tasks(other):
    operators = [RBF().operator(X, other, n_threads=n) for n in (1, 2, 3, 7)]
    V = rng.standard_normal((operators[0].shape[1], 5))
    first, *rest = [operator @ V for operator in operators]
    for product in rest:
        np.testing.assert_array_equal(product, first)
    operator = pickle.loads(pickle.dumps(operators[0]))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        partials = list(pool.map(lambda task: operator.run_task(task, V), reversed(operator.tasks())))
    np.testing.assert_array_equal(operator.gather(reversed(partials)), first)
    of_blocks = []
    for task in operator.tasks():
        rows, columns = slice(*task.rows), slice(*task.columns)
        blocks = (operator.X[rows], operator.Y[columns], V[columns], V[rows] if task.mirrored else None)
        of_blocks.append(block_product(RBF(), task, *(None if b is None else b.copy() for b in blocks)))
    np.testing.assert_array_equal(operator.gather(of_blocks), first)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kernel", [RBF(), Matern(2.5, 20.0), ArcCosine(1)], ids=str)
@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_from_many_features_keep_their_digits(kernel, shift, dtype):
    """Beyond some number of features BLAS multiplies them, unless they lie so far out that digits would be lost."""
    left = (shift * (np.arange(200) % 2)[:, None] + rng.standard_normal((200, 300))).astype(dtype)
    V = rng.standard_normal((200, 3)).astype(dtype)
    K = exact = kernel.gram(left.astype(np.float64))
    if isinstance(kernel, RBF):
        exact = np.exp(-scipy.spatial.distance.cdist(left.astype(float), left.astype(float), "sqeuclidean") / 300.0)
        np.testing.assert_allclose(K, exact, rtol=1e-12, atol=1e-15)
    assert relative_error(kernel.operator(left) @ V, exact, V) < (1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_the_diagonal_is_that_of_the_kernel_to_the_bit(kernel):
    K = kernel.operator(X[:70]) @ np.eye(70)
    if not isinstance(kernel, Linear | Cosine):  # products of factors, one by one
        np.testing.assert_array_equal(np.diagonal(K), kernel.diag(X[:70]))


@pytest.mark.usefixtures("small_blocks")
def test_results_that_are_missing_or_out_of_order_are_refused():
    operator = RBF().operator(X[:20], Y[:5])
    with pytest.raises(ValueError, match="partials must be the results of all tasks"):
        operator.gather([])
    partial = operator.run_task(operator.tasks()[0], np.ones((5, 1)))
    with pytest.raises(ValueError, match="partials must be the results of tasks"):
        operator.gather([partial, partial])
    several = RBF().operator(X[:300])
    partials = [several.run_task(task, np.ones((300, 1))) for task in several.tasks()]
    with pytest.raises(ValueError, match="partials must be the results of tasks"):
        several.gather([partials[1], partials[0], *partials[2:]])


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.integers(1, 5000), st.sampled_from([4, 8]), st.booleans())
def test_tasks_cover_every_pair_once(n, m, d, itemsize, symmetric):
    m = n if symmetric else m
    planned = tasks.plan_tasks(n, m, d, itemsize, symmetric=symmetric)
    covered = 0
    for task in planned:
        height, width = task.rows[1] - task.rows[0], task.columns[1] - task.columns[0]
        assert min(height, width) >= 1
        covered += height * width * (2 if task.mirrored else 1)
        assert task.diagonal == (symmetric and task.rows == task.columns)
        assert task.mirrored == (symmetric and not task.diagonal)
    assert covered == n * m
    assert len({(task.rows, task.columns) for task in planned}) == len(planned)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_pair_is_evaluated_once(monkeypatch, symmetric):
    evaluated = np.zeros((640, 640), dtype=int)
    points = np.arange(640.0)[:, None]

    class Counting(Evaluator):
        def __init__(self, left, right):
            self.shape, self.left, self.right = (len(left), len(right)), left, right

        def fill(self, rows, columns, tile):
            evaluated[np.ix_(self.left[rows, 0].astype(int), self.right[columns, 0].astype(int))] += 1
            tile[...] = self.left[rows] * self.right[columns].T

    monkeypatch.setattr(Linear, "_evaluator", lambda _, left, right: Counting(left, right))
    operator = Linear().operator(points, None if symmetric else points)
    np.testing.assert_allclose(operator @ points, points * np.sum(points**2))
    if symmetric:
        assert evaluated.max() == 1
        assert (evaluated | evaluated.T).min() == 1
        assert evaluated.sum() < 0.75 * evaluated.size  # twice only in the tiles on the diagonal
    else:
        assert (evaluated == 1).all()


def test_diagonals_and_columns_are_those_of_the_gram_matrix():
    for kernel in (RBF(), ArcCosine(0), Matern(0.5), Polynomial()):
        operator, K = kernel.operator(X[:50]), kernel.gram(X[:50])
        np.testing.assert_array_equal(operator.diagonal(), np.diagonal(K))
        np.testing.assert_allclose(operator.columns([3, 49, 3]), K[:, [3, 49, 3]], rtol=1e-13)
        assert operator.columns([3])[3, 0] == K[3, 3]
        rectangular = kernel.operator(X[:50], Y[:20])
        np.testing.assert_allclose(rectangular.columns([19]), kernel.gram(X[:50], Y[:20])[:, [19]], rtol=1e-13)
    assert operator.columns([]).shape == (50, 0)


def test_scipy_solves_with_the_operator():
    operator = RBF(gamma=0.5).operator(X[:200])
    y = rng.standard_normal(200)
    solution, info = scipy.sparse.linalg.cg(operator + scipy.sparse.linalg.aslinearoperator(np.eye(200)), y, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(solution, np.linalg.solve(operator.kernel.gram(X[:200]) + np.eye(200), y), rtol=1e-8)


def test_work_space_is_bounded():
    points, V = rng.standard_normal((2500, 3)), rng.standard_normal((2500, 200))
    with pytest.raises(ValueError, match="max_bytes must be >= ") as caught:
        RBF().operator(points, max_bytes=1)
    least = int(str(caught.value).split()[4])
    with pytest.raises(ValueError, match=f"max_bytes must be >= {least} for these points, got {least - 1}"):
        RBF().operator(points, max_bytes=least - 1)
    for max_bytes in (least, 2 * least, 2**28):
        operator = RBF().operator(points, max_bytes=max_bytes, n_threads=4)
        operator @ V[:, :1]
        tracemalloc.start()
        product = operator @ V
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak - product.nbytes <= max_bytes
        assert relative_error(product[:200], RBF().gram(points[:200], points), V) < 1e-12


def test_nothing_of_numba_is_loaded_before_it_is_needed():
    code = "import sys, kdtheory.kernels; print([name for name in ('numba', 'sklearn', 'tqdm') if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_bars_are_shown_when_asked_for(capsys, monkeypatch):
    RBF().operator(X[:10]) @ np.ones(10)
    assert capsys.readouterr().err == ""
    RBF().operator(X[:10], progress=True) @ np.ones(10)
    assert "Gram product: 100%" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="progress=True needs tqdm: pip install"):
        RBF().operator(X[:10], progress=True)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: RBF().operator([[0.0], [np.nan]]), "X must be finite, got nan in row 1, column 0"),
        (lambda: RBF().operator(X, n_threads=0), "n_threads must be >= 1, got 0"),
        (lambda: RBF().operator(X, Y).diagonal(), "diagonal needs a symmetric operator, one made without Y"),
        (lambda: RBF().operator(X, Y).columns([700]), "indices must lie in 0..699, got 700"),
        (lambda: RBF().operator(X, Y).columns([-1]), "indices must lie in 0..699, got -1"),
        (lambda: RBF().operator(X, Y).columns([0.5]), "indices must be integers in one dimension, got float64"),
        (
            lambda: RBF().operator(X[:2]) @ [1.0, np.nan],
            "the multiplied matrix must be finite, got nan at index (1, 0)",
        ),
    ],
)
def test_bad_input_is_refused_by_name(run, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run()


def test_products_beyond_the_floating_point_range_are_refused():
    with pytest.raises(OverflowError, match="the product at index \\(0, 0\\) is too large for float64"):
        Linear().operator([[1e200]]) @ [1e200]


def test_no_columns_have_no_products():
    assert (RBF().operator(X) @ np.empty((1300, 0))).shape == (1300, 0)
    assert (RBF().operator(X, Y) @ np.empty((700, 0))).shape == (1300, 0)


@given(st.integers(1, 10**5), st.integers(1, 2000), st.sampled_from([4, 8]), st.booleans())
def test_the_coordinates_of_a_block_are_few(n, d, itemsize, symmetric):
    for task in tasks.plan_tasks(n, n, d, itemsize, symmetric=symmetric):
        for first, last in (task.rows, task.columns):
            # Blocks end at multiples of a strip, so that one may have a strip more.
            assert (last - first - 2 * tasks._STRIP) * (d + 2) * itemsize <= tasks._BLOCK_BYTES
