"""Loading the example scripts as modules."""

import importlib.util
import runpy
import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt

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

CLOSED_FORMS = (
    "fig_eigenspace",
    "fig_filters",
    "fig_idea",
    "fig_model_selection",
    "fig_risk",
    "fig_scaling",
    "fig_sine_selfdistillation",
)
STATISTICAL = (
    "fig_bias_variance_noise",
    "fig_bias_variance_trees",
    "fig_fashion_mnist",
    "fig_gaussian_bayes_teacher",
    "fig_uncalibrated_teacher",
)
NETWORKS = (
    "fig_cnn_eigenspace",
    "fig_estimated_label_weight",
    "fig_logit_logit",
    "fig_loss_switching",
    "fig_mlp_eigenspace",
    "fig_noisy_random_features",
    "fig_ntk_vs_network",
)
DRAWING = (*CLOSED_FORMS, *STATISTICAL, *NETWORKS)
OF_TRIALS = {**dict.fromkeys(STATISTICAL, 4), "fig_fashion_mnist": 2, **dict.fromkeys(NETWORKS, 2)}
"""Scripts whose curves or printed numbers are means over trials, and how many of these are made here."""


class Drawings:
    """What every script makes, each called once."""

    def __init__(self):
        self._made = {}

    def __call__(self, name, capsys):
        """Figures, and printed lines."""
        made, printed = self._make(name, capsys)
        return made.figures, printed

    def numbers(self, name, capsys):
        """Numbers beside the published ones."""
        return self._make(name, capsys)[0].numbers

    def _make(self, name, capsys):
        if name not in self._made:
            size = {"trials": OF_TRIALS[name]} if name in OF_TRIALS else {}
            with jax.enable_x64(False):  # as from a shell, where single precision is faster
                self._made[name] = load_example(name).main(**size), capsys.readouterr().out
            plt.close("all")  # which pyplot would keep and warn of
        return self._made[name]


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
