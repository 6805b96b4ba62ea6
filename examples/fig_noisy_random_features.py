"""The sharper bias under wrong labels
===================================

A linear model on random features learns digits, a quarter with wrong labels; its student has the sharper bias.

Figures 17 to 19 of Nagarajan et al. (2023), with the settings of their Table 7: cross-entropy, Adam, a student that
starts where its teacher started and learns from the teacher alone at temperature 4. Drawn are the lengths of weights
along pairs of the features' eigendirections; the student's log odds of the teacher's top class against the teacher's;
and the teacher's accuracy when weights are kept along its top directions only. Printed, over trials with images, labels
and features of their own, are the share of pairs where the student is more biased towards the higher direction, slopes
in the logit-logit plot, and the confidence of both in right and wrong labels. On MNIST the student is more biased in 97
of 100 pairs, and doubts wrong labels most; its slope is above 1 on training images, and 1 on new ones:
benchmarks/results/noisy_random_features.txt.

Built in: the digits of scikit-learn. With `--full` ten trials; with `--data FOLDER` MNIST from FOLDER/mnist.npz, with
`--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

import math

import jax
import numpy as np

from kdtheory.figures import Reproduction, Script
from kdtheory.figures.images import Images, image_parser, prepare
from kdtheory.figures.networks import Layer, Setting, run_and_draw
from kdtheory.nets import RandomFeatures, TrainingPlan

PLAN = TrainingPlan(n_epochs=40, optimiser="adam", learning_rate=1e-3)


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, data: Images | None = None
) -> Reproduction:
    """Print findings, and return figures and published numbers."""
    source = "Nagarajan et al. (2023), Fig. 19: in all pairs but one"
    layer = Layer("features", features, lambda model: np.asarray(model.weights), source, "> 0.5")
    setting = Setting(network, (layer,), PLAN, n_train=128, n_test=1000, wrong=0.25)
    names = ("noisy_random_features", "noisy_random_features_confidence")
    n_trials = (10 if full else 2) if trials is None else trials
    return run_and_draw(setting, data, names, n_trials=n_trials, jobs=jobs)


def network(shape: tuple[int, ...], key: jax.Array) -> RandomFeatures:
    """Make the model, whose features are not scaled by their number."""
    return RandomFeatures(math.prod(shape), 10, n_features=5000, scale=1.0, key=key)


def features(model: RandomFeatures, X: np.ndarray) -> np.ndarray:
    """Give the features of images."""
    return np.asarray(jax.vmap(model.features)(X))


SCRIPT = Script(main, image_parser(__doc__), prepare)

if __name__ == "__main__":
    SCRIPT.run()
