"""Claims, to be shown on a machine with a GPU: an RBF Gram matrix that is never stored is multiplied faster there by
the operator of jax arrays than on the processor by that of numpy, and than by tiles in torch on the same GPU, in
float64 and float32, to the same number of digits; and the exact spectrum of a Gram matrix takes less time than by
LAPACK.

Runs on every kind of device that JAX finds, and with torch where it is installed; the result names the devices. Where
there is a GPU: `JAX_PLATFORMS=cuda,cpu python -m pytest benchmarks/bench_jax.py --benchmark-enable
--benchmark-json=benchmarks/results/jax.json`. KDTHEORY_JAX_POINTS and KDTHEORY_JAX_MATRIX set other sizes. Methods are
run in turns after a first run that compiles; times are medians. The error is the largest difference to a product in
double precision from differences of coordinates, for 50 rows, relative to `|K||V|`; of the spectrum, of its eigenvalues
to those by LAPACK in double precision, relative to the largest.
"""

import importlib.util
import os
import statistics
import time
from importlib.metadata import version

import numpy as np
import pytest

from benchmarks.bench_operators import error_of
from kdtheory import Spectrum
from kdtheory.kernels import RBF

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

N_POINTS = int(os.environ.get("KDTHEORY_JAX_POINTS", "50000"))
N_MATRIX = int(os.environ.get("KDTHEORY_JAX_MATRIX", "8000"))
N_COLUMNS, ROUNDS, TORCH_ROWS = 10, 3, 1024
HAS_TORCH = importlib.util.find_spec("torch") is not None


def platforms():
    """One list of devices for each kind that there is, the processor last."""
    default = jax.devices()
    return [default] if default[0].platform == "cpu" else [default, jax.devices("cpu")[:1]]


def device_names():
    names = {devices[0].platform: f"{len(devices)} x {devices[0].device_kind}" for devices in platforms()}
    if HAS_TORCH:
        import torch

        if torch.cuda.is_available():
            names["torch"] = torch.cuda.get_device_name()
    return names


def data(n_points, n_features, dtype):
    rng = np.random.default_rng(0)
    X, V = rng.standard_normal((n_points, n_features)), rng.standard_normal((n_points, N_COLUMNS))
    return X.astype(dtype), V.astype(dtype)


def with_numpy(X, V, gamma):
    operator = RBF(gamma=gamma).operator(X)
    return lambda: operator @ V


def with_jax(devices):
    def prepare(X, V, gamma):
        x, v = (jax.device_put(array, devices[0]) for array in (X, V))
        operator = RBF(gamma=gamma).operator(x, devices=devices)
        return lambda: operator.product(v).block_until_ready()

    return prepare


def with_torch(device):
    def prepare(X, V, gamma):
        import torch

        points, columns = (torch.from_numpy(array).to(device) for array in (X, V))

        def run():
            norms, product = -gamma * (points * points).sum(dim=1), torch.empty_like(columns)
            for start in range(0, len(points), TORCH_ROWS):
                rows = slice(start, start + TORCH_ROWS)
                tile = torch.addmm(norms[None, :], points[rows], points.T, alpha=2.0 * gamma)
                product[rows] = (tile + norms[rows, None]).exp_() @ columns
            if device != "cpu":
                torch.cuda.synchronize()
            return product.cpu().numpy()

        return run

    return prepare


def products():
    methods = {"numpy": with_numpy}
    methods |= {f"jax on {devices[0].platform}": with_jax(devices) for devices in platforms()}
    if HAS_TORCH:
        import torch

        methods |= {f"torch on {name}": with_torch(name) for name in ["cuda"] * torch.cuda.is_available() + ["cpu"]}
    return methods


def spectrum_on(device):
    def prepare(X, gamma):
        x = X if device is None else jax.device_put(X, device)

        def run():
            spectrum = Spectrum.from_gram(RBF(gamma=gamma).gram(x))
            jax.block_until_ready(spectrum.eigenvectors)
            return np.asarray(spectrum.eigenvalues)

        return run

    return prepare


def in_turns(benchmark, runs):
    """Seconds of every run of each, and what each gives."""
    seconds, results = {name: [] for name in runs}, {}
    for run in runs.values():
        run()  # compiles

    def once():
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = np.asarray(run())
            seconds[name].append(time.perf_counter() - start)

    benchmark.pedantic(once, rounds=ROUNDS)
    medians = {name: round(statistics.median(each), 4) for name, each in seconds.items()}
    benchmark.extra_info |= {
        "devices": device_names(),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "torch") if importlib.util.find_spec(name)},
        "not_installed": [] if HAS_TORCH else ["torch"],
        "median_seconds_of": medians,
        "times_faster_than_numpy": {name: round(medians["numpy"] / median, 2) for name, median in medians.items()},
    }
    return results


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_features", [3, 20, 200])
def test_products_in_turns(benchmark, n_features, dtype):
    X, V = data(N_POINTS, n_features, dtype)
    gamma = 1.0 / n_features
    results = in_turns(benchmark, {name: prepare(X, V, gamma) for name, prepare in products().items()})
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "n_features": n_features,
        "dtype": dtype,
        "columns": N_COLUMNS,
        "relative_error": {name: error_of(product, X, V, gamma) for name, product in results.items()},
    }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exact_spectra_in_turns(benchmark, dtype):
    X, _ = data(N_MATRIX, 20, dtype)
    gamma = 0.05
    places = {"numpy": None} | {f"jax on {devices[0].platform}": devices[0] for devices in platforms()}
    results = in_turns(benchmark, {name: spectrum_on(place)(X, gamma) for name, place in places.items()})
    exact = Spectrum.from_gram(RBF(gamma=gamma).gram(X.astype(float))).eigenvalues
    benchmark.extra_info |= {
        "n_points": N_MATRIX,
        "n_features": 20,
        "dtype": dtype,
        "relative_error": {name: float(np.max(np.abs(d - exact)) / exact[0]) for name, d in results.items()},
    }
