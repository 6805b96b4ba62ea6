"""Claims: 2,200 self-distilled models of 3,000 points, decomposition included, take less time than one call of
`scipy.linalg.eigh` (and so no more than 1.5 times that), and less than a 300th of the time of refitting scikit-learn's
`KernelRidge` step by step. `Spectrum.from_gram`, which stops before LAPACK's divide-and-conquer driver multiplies out
the eigenvectors, takes less time than any whole driver.

BLAS threads are pinned in each benchmark and named in its results. What is compared is run in turns; ratios are medians
of pairs. The error is the largest difference to refitting with Cholesky solves, relative to the largest fitted value.
"""

import numpy as np
import pytest
import scipy.linalg
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from threadpoolctl import threadpool_limits

from benchmarks.conftest import median_ratio, seconds
from kdtheory import Spectrum, selfdistill_grid

N_POINTS, N_FEATURES, GAMMA = 3000, 10, 0.05
RIDGES, LABEL_WEIGHTS, N_STEPS = np.logspace(-3, 2, 20), np.linspace(0, 1, 11), 10
N_MODELS = len(RIDGES) * len(LABEL_WEIGHTS) * N_STEPS

rng = np.random.default_rng(0)
X = rng.standard_normal((N_POINTS, N_FEATURES))
Y = np.sin(X).sum(axis=1) + rng.standard_normal(N_POINTS)
K = rbf_kernel(X, gamma=GAMMA)


def all_fitted_values():
    return selfdistill_grid(K, Y, ridges=RIDGES, n_steps=N_STEPS, label_weights=LABEL_WEIGHTS).fitted


def error_of(fitted):
    """Largest relative difference to step-by-step solves, for every step of six of the 220 chains."""
    worst = 0.0
    for i, j in [(0, 0), (0, 5), (7, 3), (13, 10), (19, 0), (19, 7)]:
        factor = scipy.linalg.cho_factor(K + RIDGES[i] * np.eye(N_POINTS))
        step = np.zeros(N_POINTS)
        for t in range(N_STEPS):
            target = Y if t == 0 else LABEL_WEIGHTS[j] * Y + (1 - LABEL_WEIGHTS[j]) * step
            step = K @ scipy.linalg.cho_solve(factor, target)
            worst = max(worst, np.abs(fitted[i, j, t] - step).max() / np.abs(step).max())
    return float(worst)


@pytest.mark.parametrize("threads", [1, 2])
def test_all_models_beside_one_eigh(benchmark, threads):
    ours, theirs = [], []

    def one_eigh():
        theirs.append(seconds(scipy.linalg.eigh, K))

    def all_models():
        ours.append(seconds(all_fitted_values))

    with threadpool_limits(threads):
        benchmark.pedantic(all_models, setup=one_eigh, rounds=7, warmup_rounds=1)
    ours, theirs = ours[1:], theirs[1:]  # without the warm-up
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "models": N_MODELS,
        "blas_threads": threads,
        "peer": "one scipy.linalg.eigh",
        "peer_median_seconds": round(float(np.median(theirs)), 4),
        "ratio_to_peer": round(median_ratio(ours, theirs), 3),
        "relative_error": error_of(all_fitted_values()),
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", ["rbf", "precomputed"])
def test_refitting_kernel_ridge(benchmark, kernel, threads):
    """Three steps of one chain, scaled to all models; "precomputed" spares scikit-learn every kernel evaluation."""
    ours, theirs, measured_fits = [], [], 3
    inputs = X if kernel == "rbf" else K

    def refit():
        model, target = KernelRidge(alpha=0.1, kernel=kernel, gamma=GAMMA), Y
        for _ in range(measured_fits):
            target = 0.5 * Y + 0.5 * model.fit(inputs, target).predict(inputs)

    def scaled_refits():
        theirs.append(seconds(refit) * N_MODELS / measured_fits)

    with threadpool_limits(threads):
        benchmark.pedantic(scaled_refits, setup=lambda: ours.append(seconds(all_fitted_values)), rounds=5)
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "models": N_MODELS,
        "blas_threads": threads,
        "peer": f"sklearn KernelRidge(kernel={kernel!r}), {measured_fits} fits measured and scaled to {N_MODELS}",
        "peer_scaled_median_seconds": round(float(np.median(theirs)), 1),
        "our_median_seconds": round(float(np.median(ours)), 4),
        "times_faster": round(median_ratio(theirs, ours), 1),
    }


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n_points", [300, 3000])
def test_lapack_drivers(benchmark, n_points, threads):
    """Seconds of each driver in turns; ours includes its checks, and leaves the eigenvectors in factors if it can."""
    gram = np.ascontiguousarray(K[:n_points, :n_points])
    drivers = {
        "scipy default": lambda: scipy.linalg.eigh(gram),
        "evr": lambda: scipy.linalg.eigh(gram, driver="evr", check_finite=False),
        "evd": lambda: scipy.linalg.eigh(gram, driver="evd", check_finite=False),
        "evd in place": lambda: scipy.linalg.eigh(
            (0.5 * gram + 0.5 * gram.T).T, driver="evd", overwrite_a=True, check_finite=False
        ),
        "numpy": lambda: np.linalg.eigh(gram),
        "Spectrum.from_gram": lambda: Spectrum.from_gram(gram),
        "Spectrum.from_gram and eigenvectors": lambda: Spectrum.from_gram(gram).eigenvectors,
    }
    times = {name: [] for name in drivers}

    def in_turns():
        for name, run in drivers.items():
            times[name].append(seconds(run))

    with threadpool_limits(threads):
        benchmark.pedantic(in_turns, rounds=3 if n_points == 3000 else 9, warmup_rounds=1)
    benchmark.extra_info |= {
        "n_points": n_points,
        "blas_threads": threads,
        "median_seconds_of": {name: round(float(np.median(values)), 4) for name, values in times.items()},
    }
