"""A network with two hidden layers learns digits; its student has the sharper bias, in both of them.

Figures 18, 20 and 22 of Nagarajan et al. (2023), with the settings of their Table 7: 1,000 units in each hidden layer,
cross-entropy, Adam, a student that starts where its teacher started and learns from the teacher alone at temperature 4.
Drawn are the lengths of weights along pairs of eigendirections, for the first layer those of the images, for the second
those of the teacher's hidden representation at its end; and the student's log odds of the teacher's top class against
the teacher's. Printed, over trials, are the share of pairs where the student is more biased towards the higher
direction, slopes in the logit-logit plot, and the confidence of both.

Built in: the digits of scikit-learn and 300 units. With `--full` 1,000 units and ten trials; with `--data FOLDER` MNIST
from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.figures import STYLE, save_figures
from kdtheory.figures.networks import (
    Layer,
    Setting,
    draw_confidence,
    draw_curves,
    image_parser,
    learn,
    print_findings,
    read_digits,
    read_images,
)
from kdtheory.figures.trials import run_trials
from kdtheory.nets import MultilayerPerceptron, TrainingPlan

OUTPUT = Path(__file__).resolve().parents[1] / "figures"
PLAN = TrainingPlan(n_epochs=20, batch_size=32, optimiser="adam", learning_rate=1e-4)


def main(
    full: bool = False,
    trials: int | None = None,
    jobs: int | None = None,
    data: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Figure]:
    """Print findings, and return figures by file name."""
    images, labels = read_digits() if data is None else data
    make = partial(network, int(np.prod(images.shape[1:])), 1000 if full else 300)
    setting = Setting(make, LAYERS, PLAN, n_train=128, n_test=1000)
    n_trials = (10 if full else 2) if trials is None else trials
    run = run_trials(partial(learn, setting, images, labels), n_trials, jobs=jobs, title="networks")
    print_findings(setting, run)
    with plt.style.context(STYLE):
        return {
            "mlp_eigenspace": draw_curves(run, "first layer"),
            "mlp_eigenspace_hidden": draw_curves(run, "second layer"),
            "mlp_confidence": draw_confidence(run),
        }


def network(n_inputs: int, width: int, key: jax.Array) -> MultilayerPerceptron:
    """Make the network."""
    return MultilayerPerceptron(n_inputs, 10, width=width, depth=2, key=key)


def inputs(layer: int, model: MultilayerPerceptron, X: np.ndarray) -> np.ndarray:
    """Give what a layer multiplies."""
    return np.asarray(jax.vmap(lambda x: model.hidden(x)[layer])(X))


def weights(layer: int, model: MultilayerPerceptron) -> np.ndarray:
    """Give a layer's matrix."""
    return np.asarray(model.layers[layer].weight).T


LAYERS = tuple(
    Layer(name, partial(inputs, i), partial(weights, i)) for i, name in enumerate(("first layer", "second layer"))
)


if __name__ == "__main__":
    mpl.use("Agg")
    parser = image_parser(__doc__, OUTPUT)
    arguments = parser.parse_args()
    images = read_images(parser, arguments)
    save_figures(main(arguments.full, arguments.trials, arguments.jobs, images), arguments.output)
