"""The sharper bias of a network's students
========================================

A network with two hidden layers learns digits; its student has the sharper bias, in both of them.

Figures 18, 20 and 22 of Nagarajan et al. (2023), with the settings of their Table 7: 1,000 units in each hidden layer,
cross-entropy, Adam, a student that starts where its teacher started and learns from the teacher alone at temperature 4.
Drawn are the lengths of weights along pairs of eigendirections, for the first layer those of the images, for the second
those of the teacher's hidden representation at its end; and the student's log odds of the teacher's top class against
the teacher's. Printed, over trials, are the share of pairs where the student is more biased towards the higher
direction, slopes in the logit-logit plot, and the confidence of both. On MNIST the student is more biased in three of
four pairs of the first layer, where the paper sees one exception, and in 87 of 100 of the second; its slope on training
images is 1.14 ± 0.08, and on new ones below 1: benchmarks/results/mlp_eigenspace.txt.

Built in: the digits of scikit-learn and 300 units. With `--full` 1,000 units and ten trials; with `--data FOLDER` MNIST
from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import numpy as np

from kdtheory.figures import Reproduction, Script
from kdtheory.figures.images import Images, image_parser, prepare
from kdtheory.figures.networks import Layer, Setting, run_and_draw
from kdtheory.nets import MultilayerPerceptron, TrainingPlan

PLAN = TrainingPlan(n_epochs=20, batch_size=32, optimiser="adam", learning_rate=1e-4)


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, data: Images | None = None
) -> Reproduction:
    """Print findings, and return figures and published numbers."""
    setting = Setting(partial(network, 1000 if full else 300), LAYERS, PLAN, n_train=128, n_test=1000)
    names = ("mlp_eigenspace", "mlp_eigenspace_hidden", "mlp_confidence")
    n_trials = (10 if full else 2) if trials is None else trials
    return run_and_draw(setting, data, names, n_trials=n_trials, jobs=jobs)


def network(width: int, shape: tuple[int, ...], key: jax.Array) -> MultilayerPerceptron:
    """Make the network."""
    return MultilayerPerceptron(math.prod(shape), 10, width=width, depth=2, key=key)


def inputs(layer: int, model: MultilayerPerceptron, X: np.ndarray) -> np.ndarray:
    """Give what a layer multiplies."""
    return np.asarray(jax.vmap(lambda x: model.hidden(x)[layer])(X))


def weights(layer: int, model: MultilayerPerceptron) -> np.ndarray:
    """Give a layer's matrix."""
    return np.asarray(model.layers[layer].weight).T


LAYERS = tuple(
    Layer(name, partial(inputs, i), partial(weights, i), source, "> 0.5")
    for i, (name, source) in enumerate(
        {
            "first layer": "Nagarajan et al. (2023), Fig. 20: in all pairs but one",
            "second layer": "Nagarajan et al. (2023), Fig. 22: in all pairs but one",
        }.items()
    )
)


SCRIPT = Script(main, image_parser(__doc__), prepare)

if __name__ == "__main__":
    SCRIPT.run()
