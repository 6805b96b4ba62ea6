"""Loading the example scripts as modules."""

import importlib.util
import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"

OF_EXPERIMENTS = {
    "fig_fidelity_mnist": "fidelity_mnist",
    "fig_fidelity_enlarging": "fidelity_enlarging",
    "fig_fidelity_augmentation": "fidelity_augmentation",
    "fig_fidelity_recycling": "fidelity_recycling",
    "fig_fidelity_ensembles": "fidelity_ensembles",
    "fig_fidelity_initialisation": "fidelity_initialisation",
    "fig_fidelity_depth": "fidelity_depth",
    "fig_rounds_accuracy": "rounds_accuracy",
    "fig_flatness": "flatness",
    "fig_robustness": "robustness",
}
"""Scripts that draw an experiment of a paper's programme, and its name."""


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_example(name, *arguments, monkeypatch):
    """Exit code of a script called with arguments, as from a shell."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    try:
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    except SystemExit as stopped:
        return stopped.code
    return 0
