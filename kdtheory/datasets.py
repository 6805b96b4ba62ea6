"""Public data sets: from a folder of npz files with known checksums, else from OpenML through scikit-learn's cache.

Needs scikit-learn: `pip install "kdtheory[estimators]"`. OpenML needs pandas as well. Nothing is downloaded at import.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from http.client import HTTPException
from os import PathLike
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from kdtheory._validation import require_generator, require_positive_integer

if importlib.util.find_spec("sklearn") is None:
    raise ModuleNotFoundError('kdtheory.datasets needs scikit-learn: pip install "kdtheory[estimators]"')

from sklearn.datasets import fetch_openml, load_digits
from sklearn.utils import Bunch

__all__ = [
    "SHA256",
    "load_airfoil",
    "load_cifar10",
    "load_concrete",
    "load_digit_pairs",
    "load_fashion_mnist",
    "load_mnist",
    "load_yacht",
]

SHA256 = {
    "mnist": "ee068f36682cba7f38bafdedc77b0f873ebbcf877036f7ebde566966146ac146",
    "fashion_mnist": "442f264ce0d782402cefb7088dee95291033dcd5898f6a2b089ab99ca8c36e88",
    "cifar10": "bf91caae615d09ebf3f4b0411f1703d7c1ca866b3862990884969703e654a826",
    "uci_airfoil": "3068cbc0d3d42990205ade784f743b24975996aa789186b7a54dae889690f261",
    "uci_concrete": "e55f591cbca90fb04c1a1e65ec088d3f3a5cce01285ef7d706a4373766c126ee",
    "uci_yacht": "81128c726fbb2d999ef4b83eab9d345ac048550a1384cd9df35a2d6ff53f9bec",
}
"""Checksums of the files, by name without `.npz`."""

IMAGE_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load_mnist(folder: str | PathLike[str] | None = None) -> Bunch:
    """Handwritten digits of 28 x 28 pixels: 60,000 to train on and 10,000 to test on.

    Parameters
    ----------
    folder : path, optional
        Where `mnist.npz` lies. None: OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        `x_train`, `x_test`: uint8 of shape (n, 28, 28), 0 to 255; `y_train`, `y_test`: uint8 of shape (n,), 0 to 9. In
        the original order.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it has no such file.
    NotADirectoryError
        If the folder is a file.
    ValueError
        If the file has another checksum or lacks an array, or what OpenML sends has another shape.
    TypeError
        If the folder is no path.
    ConnectionError
        If OpenML cannot be reached, and its set is not in the cache.

    Notes
    -----
    The file holds what is returned, as arrays of these names; its checksum is in `SHA256`. On OpenML: `mnist_784`,
    version 1.

    Examples
    --------
    >>> load_mnist("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    if folder is not None:
        return _read("mnist", folder, IMAGE_ARRAYS)
    return _fetch_images("mnist", 60_000, (28, 28), name="mnist_784", version=1)


def load_fashion_mnist(folder: str | PathLike[str] | None = None) -> Bunch:
    """Articles of clothing, 28 x 28 pixels: 60,000 to train on and 10,000 to test on.

    Parameters
    ----------
    folder : path, optional
        Where `fashion_mnist.npz` lies. None: OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        As `load_mnist`. Classes: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Raises
    ------
    OSError, ValueError, TypeError
        As for `load_mnist`.

    Notes
    -----
    The file is laid out as that of `load_mnist`. On OpenML: `Fashion-MNIST`, version 1.

    Examples
    --------
    >>> load_fashion_mnist("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    if folder is not None:
        return _read("fashion_mnist", folder, IMAGE_ARRAYS)
    return _fetch_images("fashion_mnist", 60_000, (28, 28), name="Fashion-MNIST", version=1)


def load_cifar10(folder: str | PathLike[str] | None = None) -> Bunch:
    """Colour photographs of ten kinds of things, 32 x 32 pixels.

    Parameters
    ----------
    folder : path, optional
        Where `cifar10.npz` lies: a part, of 20,000 images to train on and 1,000 to test on. None: all 50,000 and 10,000
        of OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        `x_train`, `x_test`: uint8 of shape (n, 32, 32, 3), red, green and blue from 0 to 255; `y_train`, `y_test`:
        uint8 of shape (n,), 0 to 9: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.

    Raises
    ------
    OSError, ValueError, TypeError
        As for `load_mnist`.

    Notes
    -----
    The file is laid out as that of `load_mnist`. On OpenML: `CIFAR_10`, version 1.

    Examples
    --------
    >>> load_cifar10("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    if folder is not None:
        return _read("cifar10", folder, IMAGE_ARRAYS)
    sets = _fetch_images("cifar10", 50_000, (3, 32, 32), name="CIFAR_10", version=1)
    for name in ("x_train", "x_test"):
        sets[name] = np.moveaxis(sets[name], 1, -1)
    return sets


def load_airfoil(folder: str | PathLike[str] | None = None) -> Bunch:
    """Noise of airfoils in a wind tunnel: 1503 measurements with 5 features, target in dB.

    Parameters
    ----------
    folder : path, optional
        Where `uci_airfoil.npz` lies. None: OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        `X`: floats of shape (n, n_features), not scaled; `y`: floats of shape (n,); `feature_names`: list of str, as
        the source calls them. The order of the rows is that of the source: shuffle before splitting.

    Raises
    ------
    OSError, ValueError, TypeError
        As for `load_mnist`.

    Notes
    -----
    The file holds what is returned, as arrays of these names; its checksum is in `SHA256`. On OpenML: data set 44957,
    `airfoil_self_noise`. Source: the UCI machine learning repository.

    Examples
    --------
    >>> load_airfoil("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    return _regression_set("uci_airfoil", folder, (1503, 5), data_id=44957)


def load_concrete(folder: str | PathLike[str] | None = None) -> Bunch:
    """Compressive strength of concrete: 1030 samples with 8 features, target in MPa.

    Parameters
    ----------
    folder : path, optional
        Where `uci_concrete.npz` lies. None: OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        As `load_airfoil`.

    Raises
    ------
    OSError, ValueError, TypeError
        As for `load_mnist`.

    Notes
    -----
    The file is laid out as that of `load_airfoil`. On OpenML: data set 44959, `concrete_compressive_strength`. Source:
    the UCI machine learning repository.

    Examples
    --------
    >>> load_concrete("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    return _regression_set("uci_concrete", folder, (1030, 8), data_id=44959)


def load_yacht(folder: str | PathLike[str] | None = None) -> Bunch:
    """Resistance of sailing yachts: 308 towing tests with 6 features.

    Parameters
    ----------
    folder : path, optional
        Where `uci_yacht.npz` lies. None: OpenML, through scikit-learn's cache.

    Returns
    -------
    sklearn.utils.Bunch
        As `load_airfoil`.

    Raises
    ------
    OSError, ValueError, TypeError
        As for `load_mnist`.

    Notes
    -----
    The file is laid out as that of `load_airfoil`. On OpenML: `yacht_hydrodynamics`, version 1. Source: the UCI
    machine learning repository.

    Examples
    --------
    >>> load_yacht("no such folder")
    Traceback (most recent call last):
    FileNotFoundError: folder must exist, got 'no such folder', which does not
    """
    return _regression_set("uci_yacht", folder, (308, 6), name="yacht_hydrodynamics", version=1)


def load_digit_pairs(
    *,
    n_train: SupportsIndex = 1000,
    n_validation: SupportsIndex = 5000,
    n_test: SupportsIndex = 5000,
    random_state: Any = 0,
) -> Bunch:
    """Numbers 0 to 99, written by two of scikit-learn's digits side by side: a task of many labels that is built in.

    Parameters
    ----------
    n_train, n_validation, n_test : int, default 1000, 5000 and 5000
        Numbers of pairs.
    random_state : int or numpy.random.Generator, default 0

    Returns
    -------
    sklearn.utils.Bunch
        `x_train`, `x_validation`, `x_test`: floats of shape (n, 128), the 64 pixels of the left digit before those of
        the right, 0 to 16; `y_train`, `y_validation`, `y_test`: integers of shape (n,), 0 to 99.

    Raises
    ------
    ValueError, TypeError
        For sizes that are not positive integers, and a random state that is none.

    Notes
    -----
    Half of the images, drawn at random, are for training only, and a quarter for each of the other parts. Pairs are
    drawn with replacement, so labels are about equally frequent.

    Examples
    --------
    >>> pairs = load_digit_pairs(n_train=10, n_test=3)
    >>> pairs.x_train.shape, pairs.y_test.shape
    ((10, 128), (3,))
    """
    sizes = {
        "train": require_positive_integer("n_train", n_train),
        "validation": require_positive_integer("n_validation", n_validation),
        "test": require_positive_integer("n_test", n_test),
    }
    rng = require_generator("random_state", random_state)
    images, digits = load_digits(return_X_y=True)
    shuffled, quarter = rng.permutation(len(digits)), len(digits) // 4
    pairs = Bunch()
    for (part, size), own in zip(sizes.items(), np.split(shuffled, [2 * quarter, 3 * quarter]), strict=True):
        left, right = rng.choice(own, (2, size))
        pairs[f"x_{part}"] = np.hstack([images[left], images[right]])
        pairs[f"y_{part}"] = 10 * digits[left] + digits[right]
    return pairs


def _regression_set(own_name: str, folder: str | PathLike[str] | None, shape: tuple[int, int], **openml: Any) -> Bunch:
    if folder is not None:
        found = _read(own_name, folder, ("X", "y", "feature_names"))
        return Bunch(X=found.X, y=found.y, feature_names=found.feature_names.tolist())
    fetched = _fetch(own_name, shape, **openml)
    return Bunch(
        X=np.asarray(fetched.data, dtype=np.float64),
        y=np.asarray(fetched.target, dtype=np.float64),
        feature_names=list(fetched.feature_names),
    )


def _read(name: str, folder: str | PathLike[str], arrays: tuple[str, ...]) -> Bunch:
    if not isinstance(folder, str | PathLike):
        raise TypeError(f"folder must be a path, got {folder!r}")
    place = Path(folder).expanduser()
    path = place / f"{name}.npz"
    if place.is_file():
        raise NotADirectoryError(f"folder must be the folder that holds {path.name}, got the file {str(place)!r}")
    if not place.is_dir():
        raise FileNotFoundError(f"folder must exist, got {str(place)!r}, which does not")
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {path.name}, got {str(place)!r}, which does not")
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if checksum != SHA256[name]:
            loader = f"load_{name.removeprefix('uci_')}"
            raise ValueError(
                f"{path} is damaged, or another edition of the data: it must have the sha256 {SHA256[name]}, got"
                f" {checksum}. {loader}() without a folder fetches the data from OpenML; its docstring says what the"
                " file holds"
            )
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            lacking = [array for array in arrays if array not in stored]
            if lacking:
                raise ValueError(f"{path} must hold the arrays {', '.join(arrays)}, got none called {lacking[0]}")
            return Bunch(**{array: stored[array] for array in arrays})


def _fetch_images(own_name: str, n_train: int, shape: tuple[int, ...], **openml: Any) -> Bunch:
    n_images = n_train + 10_000
    fetched = _fetch(own_name, (n_images, int(np.prod(shape))), **openml)
    x = np.asarray(fetched.data).astype(np.uint8, copy=False).reshape(n_images, *shape)
    y = np.asarray(fetched.target).astype(np.uint8)
    return Bunch(x_train=x[:n_train], y_train=y[:n_train], x_test=x[n_train:], y_test=y[n_train:])


def _fetch(own_name: str, shape: tuple[int, int], **openml: Any) -> Bunch:
    try:
        fetched = fetch_openml(**openml, as_frame=False, cache=True)
    except (OSError, HTTPException, json.JSONDecodeError) as error:
        raise ConnectionError(
            f"{own_name} could not be fetched from OpenML ({error}): pass the folder that holds {own_name}.npz"
        ) from error
    if fetched.data.shape != shape or fetched.target.shape != shape[:1]:
        raise ValueError(
            f"{own_name} of OpenML must have the shapes {shape} and {shape[:1]}, got {fetched.data.shape} and"
            f" {fetched.target.shape}"
        )
    return fetched
