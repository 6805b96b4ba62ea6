"""Claims, for an RBF kernel on points of 20 features and targets of one output, on two threads and Linux:

- At 20,000 points a whole path (20 ridges × 10 steps × the best label weights) on a Lanczos spectrum takes at most
  three times as long as one solve by preconditioned conjugate gradients at its smallest ridge, 1e-4·n, and its
  predictions there are within 1e-4 of that solve.
- 100,000 points take less than an hour and 4 GiB.

Every method runs in a process of its own, in turns, from the points to predictions at 1,000 others. The error is the
root mean squared distance of its predictions at the smallest ridge from those of a solve to 1e-10, relative to their
size. Peers fit that one ridge; those that store the Gram matrix stop at 10,000 points. Falkon and KeOps are measured if
they are installed, and named if not.
"""

import importlib.util
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from himalaya.kernel_ridge import KernelRidge as HimalayaKernelRidge
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge as LinearRidge
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from benchmarks.conftest import most_memory
from kdtheory import Ridge, Spectrum, fit_filter, joint_label_weights, selfdistill_closed_form, solve_ridge
from kdtheory.kernels import RBF

N_FEATURES, N_TEST, N_STEPS, N_COMPONENTS = 20, 1000, 10, 1000
RIDGES = np.geomspace(1e-4, 1.0, 20)
"""Over the number of points."""
GAMMA = 0.5 / N_FEATURES
STORED = 10_000
KERNEL = RBF(gamma=GAMMA)


def data(n_points):
    rng = np.random.default_rng(0)
    X, X_val, X_test = (rng.standard_normal((count, N_FEATURES)) for count in (n_points, N_TEST, N_TEST))

    def signal(points):
        return np.sin(points[:, 0] * points[:, 1]) + points[:, 2] + 0.5 * points[:, 3] ** 2

    y = signal(X) + 0.5 * rng.standard_normal(n_points)
    return X, y - np.mean(y), X_val, signal(X_val) - np.mean(y), X_test


def path(spectrum, K_val, K_test, y, y_val):
    """Predictions of every step and ridge with the label weights that are best on validation data."""
    for ridge in RIDGES[::-1] * len(y):
        weights = joint_label_weights(spectrum, y, ridge=ridge, n_steps=N_STEPS, K_val=K_val, y_val=y_val)
        selfdistill_closed_form(spectrum, y, ridge=ridge, n_steps=N_STEPS, label_weight=weights).predict(K_test)
    return fit_filter(spectrum, y, Ridge(RIDGES[0] * len(y))).predict(K_test)


def exact(X, y, X_val, y_val, X_test):
    spectrum = Spectrum.from_gram(KERNEL.gram(X), overwrite_K=True)
    return path(spectrum, KERNEL.gram(X_val, X), KERNEL.gram(X_test, X), y, y_val)


def nystrom(X, y, X_val, y_val, X_test):
    spectrum = Spectrum.nystrom(KERNEL, X, N_COMPONENTS)
    return path(spectrum, spectrum.cross(X_val), spectrum.cross(X_test), y, y_val)


def lanczos(X, y, X_val, y_val, X_test):
    spectrum = Spectrum.lanczos(KERNEL.operator(X), y, 1000, filter_=Ridge(RIDGES[0] * len(y)), tolerance=1e-5)
    return path(spectrum, KERNEL.gram(X_val, X), KERNEL.gram(X_test, X), y, y_val)


def conjugate_gradients(X, y, X_val, y_val, X_test, tolerance=1e-5):
    del X_val, y_val
    preconditioner = Spectrum.nystrom(KERNEL, X, N_COMPONENTS)
    ridge = RIDGES[0] * len(y)
    solution = solve_ridge(KERNEL.operator(X), y, ridge, preconditioner=preconditioner, tolerance=tolerance)
    return solution.predict(KERNEL.operator(X_test, X))


def reference(*arguments):
    return conjugate_gradients(*arguments, tolerance=1e-10)


def scikit_learn(X, y, X_val, y_val, X_test):
    del X_val, y_val
    return KernelRidge(alpha=RIDGES[0] * len(y), kernel="rbf", gamma=GAMMA).fit(X, y).predict(X_test)


def scikit_learn_nystroem(X, y, X_val, y_val, X_test):
    del X_val, y_val
    features = Nystroem(gamma=GAMMA, n_components=min(N_COMPONENTS, len(X)), random_state=0)
    return make_pipeline(features, LinearRidge(RIDGES[0] * len(y), fit_intercept=False)).fit(X, y).predict(X_test)


def himalaya(X, y, X_val, y_val, X_test):
    del X_val, y_val
    model = HimalayaKernelRidge(alpha=RIDGES[0] * len(y), kernel="rbf", kernel_params={"gamma": GAMMA})
    return model.fit(X, y).predict(X_test)


METHODS = {
    "exact": exact,
    "Nyström": nystrom,
    "Lanczos": lanczos,
    "preconditioned conjugate gradients": conjugate_gradients,
    "scikit-learn KernelRidge": scikit_learn,
    "scikit-learn Nystroem and Ridge": scikit_learn_nystroem,
    "himalaya KernelRidge": himalaya,
}
STORING = (exact, scikit_learn, himalaya)


def measured(method, n_points, connection):
    """Send wall-clock and processor seconds, the most memory over that before, and the predictions."""
    problem = data(n_points)
    with threadpool_limits(2):
        method(*data(1500))  # what is loaded and compiled on first use
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before, wall, processor = most_memory(), time.perf_counter(), time.process_time()
        predictions = method(*problem)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    connection.send((wall, processor, most_memory() - before, predictions))


def measure(method, n_points):
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(method, n_points, sender))
    process.start()
    sender.close()
    values = receiver.recv()
    process.join()
    return values


@pytest.mark.parametrize("n_points", [1_000, 3_000, 10_000, 20_000, 30_000, 100_000])
def test_from_points_to_predictions(benchmark, n_points):
    results = {}

    def in_turns():
        expected = measure(reference, n_points)[3]
        for name, method in METHODS.items():
            if method in STORING and n_points > STORED:
                continue
            wall, processor, memory, predictions = measure(method, n_points)
            results[name] = {
                "seconds": round(wall, 3),
                "processor_seconds": round(processor, 3),
                "mebibytes": round(memory / 2**20, 1),
                "error": float(f"{np.linalg.norm(predictions - expected) / np.linalg.norm(expected):.2g}"),
            }

    benchmark.pedantic(in_turns, rounds=1)
    missing = [name for name in ("falkon", "pykeops") if importlib.util.find_spec(name) is None]
    benchmark.extra_info |= {"n_points": n_points, "n_features": N_FEATURES, "threads": 2, "methods": results}
    benchmark.extra_info |= {"n_components": N_COMPONENTS, "ridges_over_n": [RIDGES[0], RIDGES[-1]], "n_steps": N_STEPS}
    benchmark.extra_info |= {"not_installed": missing}
