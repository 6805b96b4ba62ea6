"""Claims: the neural tangent kernel of a ReLU network with 3 hidden layers, between 2,000 points of 100 features, takes
at most a quarter of the time of the jitted kernel of neural-tangents and a third of that of scikit-ntk, and a third of
the memory of scikit-ntk and of the kernel of neural-tangents as it is. It is symmetric, positive semi-definite to
rounding, and right on the diagonal, where arccos near 1 costs neural-tangents half of the digits.

neural-tangents runs in an environment of its own (`constraints/neural-tangents.txt`), in double precision, its points
on its device and its results left there. Jitted for the NTK alone, and compiled beforehand, it holds no more than that
result; not jitted, it holds its steps. XLA's own threads are not pinned. A peer that is not installed is named as such.
All are run in turns; ratios are medians of pairs, of wall-clock and of processor seconds, since other work on a machine
disturbs the first more. Memory is what a process of its own holds over that before the call. Errors are relative, on
the diagonal to the closed form `(depth + 1)·2·‖x‖²/d`, and elsewhere, in 50 rows, to the recursion in extended
precision.
"""

import importlib.util
import math
import multiprocessing
import os
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks.conftest import most_memory
from benchmarks.turns import measure_in_turns
from kdtheory.kernels import NTK

N_POINTS, N_FEATURES, DEPTH, ROUNDS = 2000, 100, 3, 9
X = np.random.default_rng(0).standard_normal((N_POINTS, N_FEATURES))


def ours():
    kernel = NTK(depth=DEPTH)
    kernel.gram(X[:50])  # compiles
    return lambda: kernel.gram(X)


def by_numpy():
    return lambda: recursion(X, X)


def by_scikit_ntk():
    from skntk import NeuralTangentKernel

    kernel = NeuralTangentKernel(depth=DEPTH, bias=0.0)  # divided by depth + 1, of points that are not scaled
    return lambda: (DEPTH + 1) * 2.0 / N_FEATURES * kernel(X)


def by_neural_tangents():
    kernel, points, _ = neural_tangents_kernel()
    kernel(points[:50], None, "ntk")  # compiles what it compiles by itself
    return lambda: kernel(points, None, "ntk").block_until_ready()


def by_jitted_neural_tangents():
    kernel, points, jit = neural_tangents_kernel()
    compiled = jit(lambda x: kernel(x, None, "ntk")).lower(points).compile()
    return lambda: compiled(points).block_until_ready()


def neural_tangents_kernel():
    # Only `neural_tangents.experimental` needs tensorflow, which that environment leaves out.
    sys.modules.setdefault("neural_tangents.experimental", types.ModuleType("neural_tangents.experimental"))
    import jax
    from neural_tangents import stax

    jax.config.update("jax_enable_x64", True)
    hidden = (stax.Dense(1, W_std=math.sqrt(2.0), b_std=0.0), stax.Relu())
    kernel = stax.serial(*hidden * DEPTH, stax.Dense(1, W_std=math.sqrt(2.0), b_std=0.0))[2]
    return kernel, jax.device_put(X), jax.jit


METHODS = {
    "kdtheory": (ours, "numba"),
    "numpy, recursion": (by_numpy, "numpy"),
    "scikit-ntk": (by_scikit_ntk, "skntk"),
    "neural-tangents": (by_neural_tangents, "neural_tangents"),
    "neural-tangents, jit": (by_jitted_neural_tangents, "neural_tangents"),
}
INSTALLED = {name: make for name, (make, module) in METHODS.items() if importlib.util.find_spec(module)}
DISTRIBUTIONS = {"numba": "numba", "skntk": "scikit-ntk", "neural_tangents": "neural-tangents", "jax": "jax"}


def recursion(left, right):
    """The textbook's formulas in the precision of the points."""
    pi = left.dtype.type(math.pi) if left.dtype == np.float64 else 4 * np.arctan(left.dtype.type(1))
    lengths = np.sqrt(np.outer((left**2).sum(axis=1), (right**2).sum(axis=1)))
    nngp = left @ right.T
    ntk = nngp
    for _ in range(DEPTH):
        cosine = np.clip(nngp / lengths, -1, 1)
        angle = np.arccos(cosine)
        nngp = lengths * (np.sqrt(1 - cosine**2) + (pi - angle) * cosine) / pi
        ntk = ntk * (pi - angle) / pi + nngp
    return ntk * 2 / left.shape[1]


def peak_megabytes(name, connection):
    with threadpool_limits(2):
        run = INSTALLED[name]()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = most_memory()
        gram = run()
    del gram
    connection.send(round((most_memory() - before) / 2**20, 1))


def peak_in_new_process(name):
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak_megabytes, args=(name, sender))
    process.start()
    value = receiver.recv()
    process.join()
    return value


def errors_of(gram):
    """Largest relative error on the diagonal, and beside it."""
    rows = np.linspace(0, N_POINTS - 1, 50).astype(int)
    exact = recursion(X[rows].astype(np.longdouble), X.astype(np.longdouble))
    errors = np.abs(gram[rows] / exact - 1.0)
    errors[np.arange(50), rows] = 0.0
    diagonal = (DEPTH + 1) * 2.0 / N_FEATURES * (X.astype(np.longdouble) ** 2).sum(axis=1)
    return {"diagonal": float(np.abs(np.diagonal(gram) / diagonal - 1.0).max()), "elsewhere": float(errors.max())}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jax, at the import of neural-tangents
@pytest.mark.parametrize("threads", [1, 2])
def test_gram_matrices_in_turns(benchmark, threads):
    with threadpool_limits(threads):
        runs = {name: make() for name, make in INSTALLED.items()}
        seconds = measure_in_turns(benchmark, runs, ROUNDS)
        gram = runs["kdtheory"]()
        memory = {name: peak_in_new_process(name) for name in INSTALLED}
    smallest = float(np.linalg.eigvalsh(gram)[0])
    peers = [name for name in INSTALLED if name != "kdtheory"]
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "n_features": N_FEATURES,
        "depth": DEPTH,
        "blas_threads": threads,
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for module, name in DISTRIBUTIONS.items() if importlib.util.find_spec(module)},
        "not_installed": sorted(METHODS.keys() - INSTALLED.keys()),
        **seconds,
        "peak_megabytes": memory,
        "memory_over_that_of": {name: round(memory["kdtheory"] / memory[name], 3) for name in peers},
        "relative_errors": {name: errors_of(np.asarray(run())) for name, run in runs.items()},
        "is_symmetric": bool((gram == gram.T).all()),
        "smallest_eigenvalue_over_n_eps_times_largest_diagonal": smallest
        / (N_POINTS * np.finfo(float).eps * float(np.diagonal(gram).max())),
    }
    assert benchmark.extra_info["is_symmetric"]
