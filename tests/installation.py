"""What an installation with one extra, or with none, must be able to do: `python tests/installation.py EXTRA`."""

import importlib
import os
import sys
from importlib.metadata import distribution
from pathlib import Path

import kdtheory

MODULES = {
    "": ["kdtheory.ranking", "kdtheory.fidelity", "kdtheory.robustness", "kdtheory.problems"],
    "figures": ["kdtheory.figures"],
    "jax": ["jax", "kdtheory.kernels"],
    "estimators": ["kdtheory.estimators", "kdtheory.datasets"],
    "examples": ["kdtheory.estimators", "kdtheory.figures"],
    "experiments": ["kdtheory.experiments.stanton_2021", "kdtheory.experiments.pham_2022"],
    "nets": ["kdtheory.nets"],
    "report": ["kdtheory.report", "kdtheory.command_line.application"],
    "torch": ["torch", "kdtheory.nets.pytorch"],
    "distributed": ["kdtheory.distributed"],
    "neural-tangents": ["kdtheory.neural_tangents"],
}


def main(extra: str) -> None:
    """Fail where the installation lacks something."""
    assert Path(kdtheory.__file__).is_relative_to(os.environ["KDTHEORY_AT"]), kdtheory.__file__
    path = kdtheory.selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=2)
    assert path.fitted.tolist() == [[0.5], [0.25]]
    files = {str(file) for file in distribution("kdtheory").files or []}
    assert "kdtheory/py.typed" in files
    modules = MODULES[extra] if extra in MODULES else sorted({module for each in IN_ALL for module in MODULES[each]})
    for module in modules:
        importlib.import_module(module)
    print(f"kdtheory {kdtheory.__version__}" + (f"[{extra}]" if extra else "") + f" has {', '.join(modules)}")


IN_ALL = [extra for extra in MODULES if extra not in ("torch", "neural-tangents")]

if __name__ == "__main__":
    main(sys.argv[1])
