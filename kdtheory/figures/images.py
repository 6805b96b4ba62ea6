"""Images for experiments with networks: from the command line to one trial's training and test set."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from kdtheory.datasets import load_mnist
from kdtheory.figures.output import save_figures
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


def image_parser(description: str, output: Path, load: Callable[..., Any] = load_mnist) -> ArgumentParser:
    """Command line of an experiment on images: as `trial_parser`, and where a public set is, which is read at once.

    Parameters
    ----------
    description : str
    output : Path
        Folder for figures when none is given.
    load : callable, default load_mnist
        One of `kdtheory.datasets`.

    Returns
    -------
    argparse.ArgumentParser
        Of `full`, `trials`, `jobs`, `output`, and `data`: `Images`, or None when no folder is given.

    Examples
    --------
    >>> image_parser("An experiment.", Path("figures")).parse_args(["--full"]).data is None
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


def call_main(main: Callable[..., Mapping[str, Figure]], parser: ArgumentParser) -> None:
    """Call a script's `main` with all that its command line says but for the output, where its figures are written."""
    mpl.use("Agg")
    arguments = vars(parser.parse_args())
    output = arguments.pop("output")
    if not arguments["full"]:  # nearly all of the time of a quick size is compilation
        jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
    save_figures(dict(main(**arguments)), output)


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
    if len(images.X) < n_train + n_test:
        raise ValueError(f"images must be {n_train + n_test} or more, to train and to test on, got {len(images.X)}")
    chosen = rng.permutation(len(images.X))[: n_train + n_test]
    X, X_test = (images.X[each].astype(np.float32) for each in np.split(chosen, [n_train]))
    truth, y_test = np.split(images.y[chosen].astype(int), [n_train])
    n_classes = int(np.max(images.y)) + 1
    is_wrong = rng.random(n_train) < wrong
    y = np.where(is_wrong, (truth + rng.integers(1, n_classes, n_train)) % n_classes, truth)
    return Split(X, truth, y, X_test, y_test)
