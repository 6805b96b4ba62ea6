"""The sharper bias of convolutional students
==========================================

A convolutional network learns images; its student has the sharper bias, along the directions of image patches.

Figures 18, 21 and 23 of Nagarajan et al. (2023), with the settings of their Table 7: three convolutions of 100 filters
of 6 x 6 pixels, each with max pooling, cross-entropy, Adam, a student that starts where its teacher started and learns
from the teacher alone at temperature 4. Drawn are the lengths of weights along pairs of eigendirections, for the first
convolution those of random patches of the images, for the second those of patches of what the teacher's first layer
makes of them at its end; and the student's log odds of the teacher's top class against the teacher's. Printed, over
trials, are the share of pairs where the student is more biased towards the higher direction, slopes in the logit-logit
plot, and the confidence of both. On CIFAR-10 at full size the student is more biased in three of four pairs of the
first layer, not in all as the paper sees by eye, and in half of those of the second; its slope is about 1 on training
images, and less on new ones: benchmarks/results/cnn_eigenspace.txt.

Built in: the digits of scikit-learn and a small network. With `--data FOLDER` CIFAR-10 from FOLDER/cifar10.npz, with
`--data openml` fetched from OpenML into scikit-learn's cache. With `--full`, which needs data, the network of the
paper, but 512 images, 16 epochs and 32 images in a batch instead of 8,192, 40 and 128, and ten times its learning rate,
so that the sum of the rates of all steps is the same; two trials take minutes on one core, and say little. With
`--paper` all as in the paper: for a GPU, on a CPU it takes hours.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, NamedTuple

import jax
import numpy as np

from kdtheory.datasets import load_cifar10
from kdtheory.eigenspace import filters_as_matrix, image_patches
from kdtheory.figures import Reproduction, Script
from kdtheory.figures.images import Images, image_parser, prepare
from kdtheory.figures.networks import Layer, Setting, run_and_draw
from kdtheory.nets import ConvolutionalNetwork, TrainingPlan

SOURCES = {
    "first layer": "Nagarajan et al. (2023), Fig. 21: in all pairs",
    "second layer": "Nagarajan et al. (2023), Fig. 23: in a majority of the pairs",
}
N_PATCHES, N_HIDDEN_PATCHES, N_HIDDEN_IMAGES = 10_000, 2_000, 500


class Size(NamedTuple):
    """The network, on how many images it is trained, how, and how often."""

    width: int
    kernel_size: int
    depth: int
    n_train: int
    plan: TrainingPlan
    n_trials: int


QUICK = Size(16, 4, 2, 128, TrainingPlan(n_epochs=40, batch_size=32, optimiser="adam", learning_rate=3e-3), 2)
FULL = Size(100, 6, 3, 512, TrainingPlan(n_epochs=16, batch_size=32, optimiser="adam", learning_rate=1e-3), 2)
PAPER = Size(100, 6, 3, 8192, TrainingPlan(n_epochs=40, batch_size=128, optimiser="adam", learning_rate=1e-4), 2)


def main(
    full: bool | Literal["paper"] = False,
    trials: int | None = None,
    jobs: int | None = None,
    data: Images | None = None,
) -> Reproduction:
    """Print findings, and return figures and published numbers."""
    if full and data is None:
        raise ValueError("data must be given but for the quick size: digits have no room for its patches, got None")
    size = PAPER if full == "paper" else FULL if full else QUICK
    layers = tuple(
        Layer(name, partial(patches, i, size.kernel_size), partial(weights, i), source, "> 0.5")
        for i, (name, source) in enumerate(SOURCES.items())
    )
    setting = Setting(partial(network, size), layers, size.plan, n_train=size.n_train, n_test=1000)
    names = ("cnn_eigenspace", "cnn_eigenspace_hidden", "cnn_confidence")
    n_trials = size.n_trials if trials is None else trials
    return run_and_draw(setting, data, names, n_trials=n_trials, jobs=jobs)


def network(size: Size, shape: tuple[int, ...], key: jax.Array) -> ConvolutionalNetwork:
    """Make the network."""
    width, kernel_size, depth = size[:3]
    return ConvolutionalNetwork(shape, 10, width=width, depth=depth, kernel_size=kernel_size, key=key)


def patches(layer: int, size: int, model: ConvolutionalNetwork, X: np.ndarray) -> np.ndarray:
    """Give random patches of what a layer convolves."""
    if layer == 0:
        return image_patches(X, size, N_PATCHES, random_state=0)
    some = X[:N_HIDDEN_IMAGES].astype(model.read_out.weight.dtype)
    hidden = np.asarray(jax.vmap(lambda x: model.hidden(x)[layer])(some))
    return image_patches(np.moveaxis(hidden, 1, -1), size, N_HIDDEN_PATCHES, random_state=0)


def weights(layer: int, model: ConvolutionalNetwork) -> np.ndarray:
    """Give a layer's filters as a matrix."""
    return filters_as_matrix(model.filters[layer].weight)


PARSER = image_parser(__doc__, load_cifar10)
PARSER.add_argument(
    "--paper",
    action="store_const",
    const="paper",
    dest="full",
    help="images, epochs and steps of the paper too, with --data",
)
SCRIPT = Script(main, PARSER, prepare)

if __name__ == "__main__":
    SCRIPT.run()
