"""Claims, for an RBF Gram matrix of 20,000 points that is never stored, times 10 columns, on two threads: the operator
takes no more time than the fastest of tiles in numpy (with and without symmetry), torch and KeOps, and at most a
third of the time of scikit-learn's `pairwise_kernels` in chunks of rows; its work space stays within 256 MiB.

All are run in turns; ratios are medians of pairs, of wall-clock and of processor seconds, since other work on a machine
disturbs the first more. The error is the largest difference to a product in double precision from differences of
coordinates, for 50 rows, relative to `|K||V|`. Memory is what a process of its own holds over that before the product.
A peer that is not installed is named as such, and one that takes more than `SLOW` seconds is
measured once, and its memory not.
"""

import importlib.util
import multiprocessing
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import pairwise_kernels
from threadpoolctl import threadpool_limits

from benchmarks.conftest import median_ratio, most_memory
from kdtheory.kernels import RBF

N_POINTS, N_COLUMNS, THREADS, TILE, ROUNDS = 20_000, 10, 2, 512, 2
SLOW = 8.0


def data(n_features, dtype, n_points=N_POINTS):
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((n_points, n_features)), rng.standard_normal((n_points, N_COLUMNS))
    return X.astype(dtype), V.astype(dtype)


def ours(X, V, gamma):
    operator = RBF(gamma=gamma).operator(X, n_threads=THREADS)
    return operator @ V


def numpy_tiles(X, V, gamma, symmetric=False):
    """The exponent from one product of features, exponentials in place, tiles on two threads of one BLAS thread."""
    norms = gamma * np.einsum("ij,ij->i", X, X)[:, None]
    ones, scaled = np.ones_like(norms), np.asarray(np.sqrt(2.0 * gamma), dtype=X.dtype) * X
    left = np.hstack([scaled, -norms, ones]).astype(X.dtype)
    right = np.hstack([scaled, ones, -norms]).astype(X.dtype)
    strips = [slice(start, start + TILE) for start in range(0, len(X), TILE)]

    def rows_of(thread):
        product, room = np.zeros_like(V), np.empty((TILE, TILE), dtype=X.dtype)
        for i in range(thread, len(strips), THREADS):
            for j in range(i + 1 if symmetric else len(strips)):
                a, b = left[strips[i]], right[strips[j]]
                tile = np.matmul(a, b.T, out=room[: len(a), : len(b)] if len(a) == len(b) == TILE else None)
                np.exp(tile, out=tile)
                product[strips[i]] += tile @ V[strips[j]]
                if symmetric and i != j:
                    product[strips[j]] += tile.T @ V[strips[i]]
        return product

    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(rows_of, range(THREADS)))


def numpy_symmetric_tiles(X, V, gamma):
    return numpy_tiles(X, V, gamma, symmetric=True)


def torch_tiles(X, V, gamma):
    import torch

    torch.set_num_threads(THREADS)
    points, columns = torch.from_numpy(X), torch.from_numpy(V)
    norms = -gamma * (points * points).sum(dim=1)
    product = torch.empty_like(columns)
    for start in range(0, len(X), TILE):
        rows = points[start : start + TILE]
        tile = torch.addmm(norms[None, :], rows, points.T, alpha=2.0 * gamma)
        tile += norms[start : start + TILE, None]
        product[start : start + TILE] = tile.exp_() @ columns
    return product.numpy()


def keops(X, V, gamma):
    from pykeops.numpy import LazyTensor

    squared_distances = ((LazyTensor(X[:, None, :]) - LazyTensor(X[None, :, :])) ** 2).sum(-1)
    return (-gamma * squared_distances).exp() @ V


def scikit_learn(X, V, gamma):
    chunks = range(0, len(X), 1000)
    return np.vstack([pairwise_kernels(X[i : i + 1000], X, metric="rbf", gamma=gamma) @ V for i in chunks])


METHODS = {
    "kdtheory": (ours, "numba"),
    "numpy tiles": (numpy_tiles, "numpy"),
    "numpy tiles, symmetric": (numpy_symmetric_tiles, "numpy"),
    "torch tiles": (torch_tiles, "torch"),
    "KeOps": (keops, "pykeops"),
    "scikit-learn pairwise_kernels": (scikit_learn, "sklearn"),
}
INSTALLED = {name: method for name, (method, module) in METHODS.items() if importlib.util.find_spec(module)}
MISSING = sorted(METHODS.keys() - INSTALLED.keys())


def error_of(product, X, V, gamma):
    rows = np.linspace(0, len(X) - 1, 50).astype(int)
    K = np.exp(-gamma * cdist(X[rows].astype(float), X.astype(float), "sqeuclidean"))
    return float(np.max(np.abs(product[rows] - K @ V.astype(float)) / (K @ np.abs(V.astype(float)))))


def peak_megabytes(method, n_features, dtype, connection):
    with threadpool_limits(THREADS):
        X, V = data(n_features, dtype)
        small = data(n_features, dtype, 1500)
        INSTALLED[method](*small, 1.0 / n_features)  # what libraries load and compile on first use
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = most_memory()
        INSTALLED[method](X, V, 1.0 / n_features)
    connection.send(round((most_memory() - before) / 2**20, 1))


def peak_in_new_process(*arguments):
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak_megabytes, args=(*arguments, sender))
    process.start()
    value = receiver.recv()
    process.join()
    return value


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_features", [3, 20, 200])
def test_products_in_turns(benchmark, n_features, dtype):
    X, V = data(n_features, dtype)
    gamma = 1.0 / n_features
    wall, processor, errors = ({name: [] for name in INSTALLED} for _ in range(3))

    def in_turns():
        for name, method in INSTALLED.items():
            if wall[name] and wall[name][0] > SLOW:
                continue
            start, used = time.perf_counter(), time.process_time()
            product = method(X, V, gamma)
            wall[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - used)
            errors[name] = error_of(product, X, V, gamma)

    with threadpool_limits(THREADS):
        for method in INSTALLED.values():  # what libraries load and compile on first use
            method(X[:1000], V[:1000], gamma)
        benchmark.pedantic(in_turns, rounds=ROUNDS)
    slow = [name for name in INSTALLED if wall[name][0] > SLOW]
    peers = [name for name in INSTALLED if name != "kdtheory"]
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "n_features": n_features,
        "dtype": dtype,
        "columns": N_COLUMNS,
        "threads": THREADS,
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {package: version(package) for package in ("numba", "torch", "pykeops") if _installed(package)},
        "not_installed": MISSING,
        "measured_once": slow,
        "median_seconds_of": {name: round(statistics.median(wall[name]), 4) for name in INSTALLED},
        "processor_seconds_of": {name: round(statistics.median(processor[name]), 4) for name in INSTALLED},
        "gigapairs_a_second": round(N_POINTS**2 / statistics.median(wall["kdtheory"]) / 1e9, 2),
        "times_faster_than": {
            name: round(median_ratio(wall[name], wall["kdtheory"][: len(wall[name])]), 2) for name in peers
        },
        "times_less_processor_than": {
            name: round(median_ratio(processor[name], processor["kdtheory"][: len(wall[name])]), 2) for name in peers
        },
        "relative_error": errors,
        "peak_megabytes": {
            name: peak_in_new_process(name, n_features, dtype) for name in INSTALLED if name not in slow
        },
    }


def _installed(module):
    return importlib.util.find_spec(module) is not None
