"""Write the NNGP and NTK values of neural-tangents for small networks into `tests/frozen/neural_tangents_kernels.json`.

Run it in the environment of `constraints/neural-tangents.txt`; `tests/test_network_kernels.py` reads the file anywhere.
The points are sums of powers of two, the same numbers on every machine, and the file holds them too. Among the pairs
are equal, opposite, parallel and zero ones.
"""

import json
import platform
import sys
import types
from pathlib import Path

import numpy as np

FROZEN = Path(__file__).resolve().parents[1] / "tests" / "frozen" / "neural_tangents_kernels.json"
DEPTHS = range(1, 11)
NETWORKS = (
    {"activation": "relu", "weight_variance": 2.0, "bias_variance": 0.0},
    {"activation": "relu", "weight_variance": 1.75, "bias_variance": 0.125},
    {"activation": "leaky_relu", "weight_variance": 1.5, "bias_variance": 0.25, "slope": 0.25},
    {"activation": "leaky_relu", "weight_variance": 1.25, "bias_variance": 0.0, "slope": -0.5},
    {"activation": "erf", "weight_variance": 1.5, "bias_variance": 0.0},
    {"activation": "erf", "weight_variance": 2.25, "bias_variance": 0.0625},
    {"activation": "identity", "weight_variance": 1.25, "bias_variance": 0.5},
)


def points():
    """3 points, and 5 others: of the first of them the same, the opposite, and the double; zero; and one more."""
    X = np.array([[1.0, -0.5, 0.25], [0.75, 1.5, -1.0], [0.0, 0.0, 0.0]])
    return X, np.array([X[0], -X[0], 2 * X[0], X[2], [-0.125, 2.0, 0.5]])


def kernel_function(stax, depth, activation, weight_variance, bias_variance, slope=None):
    """The network of `kdtheory.kernels.NTK` in neural-tangents."""

    def dense(width):
        return stax.Dense(width, W_std=weight_variance**0.5, b_std=bias_variance**0.5, parameterization="ntk")

    layer = {"relu": stax.Relu, "erf": stax.Erf, "identity": stax.Identity}.get(activation)
    hidden = (dense(1), layer() if layer else stax.LeakyRelu(slope))
    return stax.serial(*hidden * depth, dense(1))[2]


def main():
    # Only `neural_tangents.experimental` needs tensorflow, which that environment leaves out.
    sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
    import jax
    import neural_tangents
    from neural_tangents import stax

    jax.config.update("jax_enable_x64", True)
    X, Y = points()
    made_with = {
        "function": "the kernel_fn of neural_tangents.stax.serial",
        "settings": "W_std, b_std = square roots of the variances, parameterization='ntk', jax_enable_x64, on the CPU",
        "neural_tangents": neural_tangents.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    rows = [f'"made_with": {json.dumps(made_with, indent=2)}', f'"X": {json.dumps(X.tolist())}']
    rows.append(f'"Y": {json.dumps(Y.tolist())}')
    networks = []
    for network in NETWORKS:
        for depth in DEPTHS:
            values = kernel_function(stax, depth, **network)(X, Y, ("nngp", "ntk"))
            arrays = {"nngp": np.asarray(values.nngp).tolist(), "ntk": np.asarray(values.ntk).tolist()}
            networks.append(json.dumps({"depth": depth, **network, **arrays}))
    rows.append('"networks": [\n' + ",\n".join(networks) + "\n]")
    FROZEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
