"""Write what neural-tangents returns for one small training into `tests/frozen/neural_tangents_flow.json`.

Run it in the environment of `constraints/neural-tangents.txt`; `tests/test_neural_tangents.py` reads the file anywhere.
Kernel, targets and times are made by additions, multiplications and divisions alone, so they are the same numbers on
every machine, and the file holds them too.
"""

import json
import platform
import sys
import types
from pathlib import Path

import numpy as np

FROZEN = Path(__file__).resolve().parents[1] / "tests" / "frozen" / "neural_tangents_flow.json"
LEARNING_RATE = 0.3


def cauchy_kernel(a, b):
    """`1/(1 + ((a − b)/2)²)`, whose Gram matrix on the integers is well conditioned."""
    return 1 / (1 + ((a[:, None] - b) / 2) ** 2)


def inputs():
    """12 training points, 2 outputs, 3 test points between and beyond them, and times from zero to nearly for ever."""
    x, x_test = np.arange(12.0), np.array([0.5, 6.25, 13.0])
    y = (np.arange(12)[:, None] * np.array([3, 5]) % 7 - 3) / 4 + 1 / 16
    return {
        "K": cauchy_kernel(x, x),
        "K_test": cauchy_kernel(x_test, x),
        "y": y,
        "t": np.array([0.0, 40.0, 640.0, 1e9]),
    }


def main():
    # Only `neural_tangents.experimental` needs tensorflow, which that environment leaves out.
    sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
    import jax
    import neural_tangents

    jax.config.update("jax_enable_x64", True)
    case = inputs()
    predict = neural_tangents.predict.gradient_descent_mse(
        case["K"], case["y"], learning_rate=LEARNING_RATE, trace_axes=(-1,)
    )
    train, test = predict(case["t"], fx_train_0=0.0, fx_test_0=0.0, k_test_train=case["K_test"])
    made_with = {
        "function": "neural_tangents.predict.gradient_descent_mse",
        "settings": "trace_axes=(-1,), diag_reg=0, fx_train_0=0, fx_test_0=0, jax_enable_x64=True, on the CPU",
        "neural_tangents": neural_tangents.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    arrays = {name: np.asarray(array).tolist() for name, array in {**case, "train": train, "test": test}.items()}
    rows = ",\n".join(
        f'"{name}": {json.dumps(value)}' for name, value in {"learning_rate": LEARNING_RATE, **arrays}.items()
    )
    FROZEN.parent.mkdir(exist_ok=True)
    FROZEN.write_text(f'{{\n"made_with": {json.dumps(made_with, indent=2)},\n{rows}\n}}\n')


if __name__ == "__main__":
    main()
