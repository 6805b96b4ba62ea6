"""Claims, for the empirical NTK of 100 points and 10 outputs in single precision: of a dense network it takes no more
than twice the time of neural-tangents' structured derivatives, and less than a tenth of that of its Jacobian
contraction, which is its default, and of its NTK-vector products; of a convolutional one, at most one and a half times
that of the default. Its products are in double precision, theirs in single.

All are compiled first and then run in turns; ratios are medians of pairs, of wall-clock and of processor seconds. The
structured derivatives of neural-tangents are given back two names that its jax no longer has. Errors are the largest
difference, for the first 20 points, to products of explicit Jacobians in double precision, over the largest entry.
"""

import importlib.util
import os
from importlib.metadata import version

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks.turns import measure_in_turns

jax = pytest.importorskip("jax")
jnp = jax.numpy

N_POINTS, N_OUTPUTS, N_CHECKED, ROUNDS = 100, 10, 20, 7
INSTALLED = importlib.util.find_spec("neural_tangents") is not None


def dense(params, x):
    for weights in params[:-1]:
        x = jax.nn.relu(x @ weights)
    return x @ params[-1]


def convolutional(params, x):
    for filters, stride in zip(params[:-1], (1, 2, 2), strict=True):
        x = jax.lax.conv_general_dilated(
            x, filters, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x)
    return x.mean((1, 2)) @ params[-1]


NETWORKS = {
    "dense": (dense, (784,), [(784, 256), (256, 256), (256, N_OUTPUTS)]),
    "convolutional": (
        convolutional,
        (16, 16, 3),
        [(3, 3, 3, 16), (3, 3, 16, 32), (3, 3, 32, 32), (32, N_OUTPUTS)],
    ),
}


def contenders(f, params, X):
    from kdtheory.nets import EmpiricalNTK

    kernel = EmpiricalNTK(f, params, input_shape=X.shape[1:])
    runs = {"kdtheory": lambda: kernel.gram(X)}
    if INSTALLED:
        from kdtheory.neural_tangents import import_neural_tangents

        nt = import_neural_tangents()
        jax.interpreters.ad.source_info_util, jax.interpreters.ad.config = jax._src.source_info_util, jax.config
        points = jnp.asarray(X)
        for name in ("STRUCTURED_DERIVATIVES", "JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS"):
            theirs = jax.jit(nt.empirical_ntk_fn(f, vmap_axes=0, implementation=nt.NtkImplementation[name]))
            label = f"neural-tangents, {name.lower().replace('_', ' ')}"
            runs[label] = lambda theirs=theirs: np.asarray(theirs(points, None, params))
    return runs


def by_explicit_jacobians(f, params, X):
    """Mean over outputs, in double precision."""
    in_double_precision = jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()
    with in_double_precision:
        double = [jnp.asarray(leaf, "float64") for leaf in params]
        jacobian = jax.jit(jax.jacrev(lambda weights, point: f(weights, point[None])[0]))
        rows = [
            np.concatenate([np.asarray(leaf).reshape(N_OUTPUTS, -1) for leaf in jacobian(double, point)], axis=1)
            for point in jnp.asarray(X, "float64")
        ]
    return np.einsum("ikp,jkp->ij", rows, rows, optimize=True) / N_OUTPUTS


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jax, at the import of neural-tangents
@pytest.mark.parametrize("network", NETWORKS)
def test_gram_matrices_in_turns(benchmark, network):
    f, shape, sizes = NETWORKS[network]
    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.standard_normal(each) / np.sqrt(np.prod(each[:-1])), "float32") for each in sizes]
    X = rng.standard_normal((N_POINTS, *shape)).astype(np.float32)
    runs = contenders(f, params, X)
    with threadpool_limits(2):
        seconds = measure_in_turns(benchmark, runs, ROUNDS)
        exact = by_explicit_jacobians(f, params, X[:N_CHECKED])
        errors = {name: np.abs(run()[:N_CHECKED, :N_CHECKED] - exact).max() / exact.max() for name, run in runs.items()}
    benchmark.extra_info |= {
        "n_points": N_POINTS,
        "n_outputs": N_OUTPUTS,
        "n_parameters": sum(leaf.size for leaf in params),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("jax", *(["neural-tangents"] if INSTALLED else []))},
        "not_installed": [] if INSTALLED else ["neural-tangents"],
        **seconds,
        "relative_errors": {name: float(f"{error:.1e}") for name, error in errors.items()},
    }
    assert errors["kdtheory"] <= 1e-6
