"""Saving fitted estimators so that loading a file, whoever wrote it, runs no code from it."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import numpy as np
import skops.io
from scipy.sparse import csc_array, csc_matrix, csr_array, csr_matrix
from sklearn.utils.validation import check_is_fitted

from kdtheory.estimators._search import KernelSearch
from kdtheory.estimators.classification import (
    KernelClassifier,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
)
from kdtheory.estimators.flow import GradientFlowRegressor
from kdtheory.estimators.regression import SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV

Saveable: TypeAlias = (
    GradientFlowRegressor
    | SelfDistilledKernelClassifier
    | SelfDistilledKernelClassifierCV
    | SelfDistilledKernelRidge
    | SelfDistilledKernelRidgeCV
)

_TYPES = {
    f"{each.__module__}.{each.__qualname__}": each
    for each in (
        GradientFlowRegressor,
        SelfDistilledKernelClassifier,
        SelfDistilledKernelClassifierCV,
        SelfDistilledKernelRidge,
        SelfDistilledKernelRidgeCV,
    )
}

_SPARSE = {f"{each.__module__}.{each.__name__}" for each in (csc_array, csc_matrix, csr_array, csr_matrix)}
"""What skops does not trust by itself; it reads them with numpy, without pickles."""

_LEARNED = {
    each: (
        "dual_coef_",
        "intercept_",
        "X_fit_",
        "n_features_in_",
        *(["classes_"] if issubclass(each, KernelClassifier) else []),
        *(["best_params_"] if issubclass(each, KernelSearch) else []),
        *(["inverse_temperature_"] if issubclass(each, SelfDistilledKernelClassifierCV) else []),
    )
    for each in _TYPES.values()
}
"""What every one of them needs to predict."""


def save(estimator: Saveable, path: str | PathLike[str]) -> None:
    """Save a fitted estimator of this package.

    Parameters
    ----------
    estimator : one of the five estimators, fitted
        All of its parameters and what it has learned are saved, training points included, but not `search_`, which
        holds matrices of the size of the Gram matrix.
    path : str or path
        File to write, by custom with the ending `.skops`.

    Raises
    ------
    TypeError
        For anything else than one of the five estimators.
    ValueError
        When the kernel is a function, or another parameter is an object, such as a splitter: code is not saved.
    sklearn.exceptions.NotFittedError
        When the estimator is not fitted.

    Notes
    -----
    The file is in the format of `skops.io`: a zip archive of numpy arrays and a description in JSON.

    Examples
    --------
    >>> import tempfile
    >>> from kdtheory.estimators import SelfDistilledKernelRidge
    >>> model = SelfDistilledKernelRidge().fit([[0.0], [1.0]], [0.0, 1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/model.skops")
    ...     bool((load(f"{folder}/model.skops").predict([[0.5]]) == model.predict([[0.5]])).all())
    True
    """
    if type(estimator) not in _TYPES.values():
        raise TypeError(f"estimator must be one of {_names()}, got {type(estimator).__name__}")
    check_is_fitted(estimator)
    if callable(estimator.kernel):
        raise ValueError(
            f"kernel must be a name for a model to be saved, got {estimator.kernel!r}: use kernel='precomputed'"
        )
    for name, value in vars(estimator).items():
        if name == "search_":
            continue
        try:
            unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps({"value": value})))
        except TypeError as error:
            raise ValueError(f"{name} must be made of numbers, names and arrays to be saved, got {value!r}") from error
        if unknown - _SPARSE:
            raise ValueError(
                f"{name} must be made of numbers, names and arrays to be saved, got {value!r}: set it to None now that"
                " the model is fitted"
            )
    skops.io.dump(estimator, Path(path))


def load(path: str | PathLike[str]) -> Saveable:
    """Load an estimator that `save` has written; whatever the file holds, no code of it is run.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    One of the five estimators, fitted

    Raises
    ------
    ValueError
        When the file was not written by `save`, holds something else than one of the five estimators, or is damaged.
    OSError
        When the file cannot be read.
    """
    file = Path(path)
    content = file.open("rb")
    with content:
        try:
            estimator = _read(content)
        except OSError:
            raise
        except Exception as error:  # what a damaged or made-up file leads to inside skops is of every kind
            raise ValueError(f"{file} must be a file of kdtheory.estimators.save, got: {error!r}") from error
    return estimator


def _read(content: Any) -> Saveable:
    with ZipFile(content) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} is damaged")
        schema = json.loads(archive.read("schema.json"))
    name = f"{schema['__module__']}.{schema['__class__']}"
    if name not in _TYPES or schema["__loader__"] != "ObjectNode":
        raise ValueError(f"it holds {name}, and not one of {_names()}")
    content.seek(0)
    estimator = skops.io.load(content, trusted=[name, *_SPARSE])
    if type(estimator) is not _TYPES[name]:
        raise ValueError(f"it holds {type(estimator).__name__}, and not one of {_names()}")
    parameters = set(estimator.get_params(deep=False))
    strange = [each for each in vars(estimator) if each not in parameters and not each.endswith("_")]
    if strange or not isinstance(estimator.kernel, str):
        raise ValueError(f"it holds {strange or estimator.kernel!r}, which no {name} has")
    check_is_fitted(estimator)
    lost = [each for each in (*parameters, *_LEARNED[type(estimator)]) if not hasattr(estimator, each)]
    if lost:
        raise ValueError(f"it lacks {lost}")
    estimator._values(np.zeros((1, estimator.n_features_in_)))  # fails when the parts do not fit together
    return estimator


def _names() -> list[str]:
    return sorted(each.__name__ for each in _TYPES.values())
