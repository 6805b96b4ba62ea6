"""Images for experiments with networks: from the command line to one trial's training and test set."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.datasets import load_digits

from kdtheory._validation import require_positive_integer
from kdtheory.datasets import load_mnist
from kdtheory.figures.trials import trial_parser


class Images(NamedTuple):
    """Images with pixels from 0 to 1, of shape (n, h, w) or (n, h, w, channels), and a label each."""

    X: np.ndarray
    y: np.ndarray


class Split(NamedTuple):
    """Images in single precision, to train on and to test on; some of the labels y are not the truth."""

    X: np.ndarray
    truth: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def image_parser(
    description: str, load: Callable[..., Any] = load_mnist, output: Path = Path("figures")
) -> ArgumentParser:
    """Command line of an experiment on images: as `trial_parser`, and where a public set is, which is read at once.

    Parameters
    ----------
    description : str
    load : callable, default load_mnist
        One of `kdtheory.datasets`.
    output : Path, default figures
        Folder for figures when none is given.

    Returns
    -------
    argparse.ArgumentParser
        Of `full`, `trials`, `jobs`, `output`, and `data`: `Images`, or None when no folder is given.

    Examples
    --------
    >>> image_parser("An experiment.").parse_args(["--full"]).data is None
    True
    """
    parser = trial_parser(description, output, full_jobs=1)
    parser.add_argument(
        "--data",
        type=partial(read_images, load),
        metavar="FOLDER",
        help=f"folder with {load.__name__.removeprefix('load_')}.npz, or `openml` to fetch it",
    )
    return parser


def read_images(load: Callable[..., Any], folder: str) -> Images:
    """Read the training images of a public set, from a folder or from `openml`; an argument error where that fails."""
    try:
        found = load(None if folder == "openml" else folder)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from error
    return Images(found.x_train.astype(np.float32) / np.float32(255.0), found.y_train)


def read_digits() -> Images:
    """Read the digits of scikit-learn."""
    digits = load_digits()
    return Images(digits.images / 16.0, digits.target)


def prepare(_: ArgumentParser, given: Namespace) -> None:
    """Set up a process for the script of an `image_parser`."""
    if not given.full:
        hasten_compilation()


def hasten_compilation() -> None:
    """Let JAX leave out most optimisations: nearly all of the time of a quick size is compilation."""
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]


def draw_split(images: Images, n_train: int, n_test: int, wrong: float, rng: np.random.Generator) -> Split:
    """Draw images of one trial, and replace a share of the labels to train on by another class.

    Parameters
    ----------
    images : Images
    n_train, n_test : int
    wrong : float
        Probability of a label to be replaced, by each other class equally often.
    rng : numpy.random.Generator

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        For fewer images than are needed.

    Examples
    --------
    >>> some = draw_split(read_digits(), 100, 50, 0.0, np.random.default_rng(0))
    >>> some.X.shape, some.y_test.shape, (some.y == some.truth).all().item()
    ((100, 8, 8), (50,), True)
    """
    (X, truth), (X_test, y_test) = split_images(images, (n_train, n_test), rng)
    return Split(X, truth, mislabel(truth, wrong, int(np.max(images.y)) + 1, rng), X_test, y_test)


def split_images(images: Images, sizes: Sequence[int], rng: np.random.Generator) -> list[Images]:
    """Draw images in single precision, in as many parts as there are sizes, none of them twice.

    Parameters
    ----------
    images : Images
    sizes : sequence of int
    rng : numpy.random.Generator

    Returns
    -------
    list of Images

    Raises
    ------
    ValueError
        For fewer images than are needed, and for a part without any.

    Examples
    --------
    >>> [len(part.y) for part in split_images(read_digits(), (40, 20), np.random.default_rng(0))]
    [40, 20]
    """
    for size in sizes:
        require_positive_integer("sizes", size)
    if len(images.X) < sum(sizes):
        raise ValueError(f"images must be {sum(sizes)} or more, to train and to test on, got {len(images.X)}")
    parts = np.split(rng.permutation(len(images.X))[: sum(sizes)], np.cumsum(sizes)[:-1])
    return [Images(images.X[each].astype(np.float32), images.y[each].astype(int)) for each in parts]


def mislabel(truth: np.ndarray, share: float, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """Replace a share of labels, each of them by one of the other classes.

    Parameters
    ----------
    truth : array of shape (n,) of int
    share : float
        Probability of a label to be replaced.
    n_classes : int
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (n,) of int

    Examples
    --------
    >>> mislabel(np.array([0, 1]), 1.0, 2, np.random.default_rng(0))
    array([1, 0])
    """
    is_wrong = rng.random(len(truth)) < share
    return np.where(is_wrong, (truth + rng.integers(1, n_classes, len(truth))) % n_classes, truth)
