"""Saving fitted estimators so that loading a file, whoever wrote it, runs no code from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import isabstract, isclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import skops.io
from scipy.sparse import csc_array, csc_matrix, csr_array, csr_matrix, issparse
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from kdtheory import kernels
from kdtheory._validation import (
    require_bool,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_vector,
)
from kdtheory.estimators._search import KernelSearch
from kdtheory.estimators.classification import (
    KernelClassifier,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
)
from kdtheory.estimators.flow import GradientFlowRegressor
from kdtheory.estimators.regression import SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV
from kdtheory.estimators.solvers import SOLVERS, as_solver

Saveable: TypeAlias = Any
"""One of the five estimators, or a Pipeline that ends with one, of which scikit-learn has no types."""

_TYPES = (
    GradientFlowRegressor,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
)

_KERNELS = tuple(
    each
    for each in vars(kernels).values()
    if isclass(each) and issubclass(each, kernels.Kernel) and not isabstract(each)
)

_OBJECTS = (*SOLVERS, *_KERNELS)
"""Frozen dataclasses of this package whose fields are numbers and names."""

_SPARSE = {f"{each.__module__}.{each.__name__}" for each in (csc_array, csc_matrix, csr_array, csr_matrix)}
"""What skops does not trust by itself; it reads them with numpy, without pickles."""

_UNTRUSTED = _SPARSE | {f"{each.__module__}.{each.__name__}" for each in _OBJECTS}

_REQUIRED: dict[str, Callable[[str, Any], Any]] = {
    "fit_intercept": require_bool,
    "label_weight_per_target": require_bool,
    "n_steps": require_positive_integer,
    "ridge": require_positive,
    "verbose": require_bool,
}
_OPTIONAL: dict[str, Callable[[str, Any], Any]] = {
    "gamma": require_nonnegative,
    "gammas": require_vector,
    "ridges": require_vector,
    "time": require_nonnegative,
    "times": require_vector,
    "validation_fraction": require_positive,
}
"""Checks of parameters; the optional ones may be None."""

_ZIP = b"PK\x03\x04"
"""The first bytes of every zip archive with contents."""


def save(estimator: Saveable, path: str | PathLike[str]) -> None:
    """Save a fitted estimator of this package.

    Parameters
    ----------
    estimator : one of the five estimators, or a scikit-learn Pipeline that ends with one, fitted
        All of its parameters and what it has learned are saved, training points included, but not `search_`, which
        holds matrices of the size of the Gram matrix.
    path : str or path
        File to write, by custom with the ending `.skops`.

    Raises
    ------
    TypeError
        For anything else than that.
    ValueError
        When the kernel is a function or an object of another package, another parameter than the solver an object, such
        as a splitter, or a step of the Pipeline is not of scikit-learn or holds a function: code is not saved. And when
        a Pipeline has a `memory`, or what was learned is not finite.
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
    model = _last_step(estimator)
    if type(model) not in _TYPES:
        raise TypeError(f"estimator must be one of {_names()}, or a Pipeline that ends with one, got {_kind(model)}")
    if callable(model.kernel):
        raise ValueError(
            f"kernel must be a name for a model to be saved, got {model.kernel!r}: use kernel='precomputed'"
        )
    for name, value in vars(model).items():
        if name != "search_":
            _require_data(name, value, "set it to None now that the model is fitted")
    if model is not estimator:
        for name, step in estimator.steps[:-1]:
            _require_data(f"the step {name!r}", step, "use a step of scikit-learn without functions or other objects")
    _require_sound(estimator)
    skops.io.dump(estimator, Path(path))


def load(path: str | PathLike[str]) -> Saveable:
    """Load an estimator that `save` has written; whatever the file holds, no code of it is run.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    One of the five estimators, or a Pipeline that ends with one, fitted

    Raises
    ------
    ValueError
        When the file was not written by `save`, is cut short or damaged, or was edited so that its parts do not fit
        together.
    OSError
        When the file cannot be opened or read.

    Examples
    --------
    >>> from kdtheory.estimators import SelfDistilledKernelRidge, save
    >>> model = SelfDistilledKernelRidge(kernel="linear").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> save(model, "model.skops")
    >>> load("model.skops").predict([[1.0]]) == model.predict([[1.0]])
    array([ True])
    """
    file = Path(path)
    content = file.read_bytes()
    try:
        estimator = skops.io.loads(content, trusted=[*_TYPES, *_UNTRUSTED])
        _require_sound(estimator)
    except Exception as error:  # what a damaged or made-up file leads to inside skops is of every kind
        what = _looks(content) if isinstance(error, BadZipFile) else "one that does not load"
        raise ValueError(f"{file} must be a file of kdtheory.estimators.save, got {what}: {error!r}") from error
    return estimator


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if type(estimator) is Pipeline else estimator


def _looks(content: bytes) -> str:
    """Say what a file is that cannot be read as a zip archive."""
    if not _ZIP.startswith(content[:4]):
        return "what is no zip archive at all" + (" (a pickle, perhaps)" if content[:1] == b"\x80" else "")
    return "one that is cut short or damaged"


def _require_data(name: str, value: Any, advice: str) -> None:
    """Raise an error for what skops cannot store, or would not load without being told to trust it."""
    try:
        unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps({"value": value})))
    except TypeError as error:
        raise ValueError(f"{name} must be made of numbers, names and arrays to be saved, got {value!r}") from error
    if unknown - _UNTRUSTED:
        raise ValueError(f"{name} must be made of numbers, names and arrays to be saved, got {value!r}: {advice}")


def _require_sound(estimator: Any) -> None:
    """Raise an error unless this is a fitted estimator whose parts fit together, so that its predictions are finite."""
    model = _last_step(estimator)
    if type(model) not in _TYPES:
        raise ValueError(f"it holds {_kind(model)}, and not one of {_names()}")
    check_is_fitted(model)
    for each in {id(estimator): estimator, id(model): model}.values():
        parameters = each.get_params(deep=False)
        strange = [name for name in vars(each) if name not in parameters and not name.endswith("_")]
        if strange:
            raise ValueError(f"it holds {strange}, which no {_kind(each)} has")
    if model is not estimator and estimator.memory is not None:  # a folder of pickles, which a later fit would load
        raise ValueError(f"memory of the Pipeline must be None, got {estimator.memory!r}")
    _require_parameters(model)
    _require_learned(model)
    with np.errstate(all="ignore"):
        values = model._values(np.zeros((1, model.n_features_in_)))
    _require_finite("predictions", values)


def _require_parameters(model: Any) -> None:
    if isinstance(model.kernel, _KERNELS):
        _require_same_when_made_again("kernel", model.kernel)
    elif not isinstance(model.kernel, str):
        raise ValueError(f"kernel must be a name or a Kernel of kdtheory.kernels, got {model.kernel!r}")
    model._check_kernel()
    for name in ("solver", "solver_"):
        if isinstance(getattr(model, name), SOLVERS):
            _require_same_when_made_again(name, getattr(model, name))
    as_solver(model.solver)
    if not isinstance(model.solver_, SOLVERS):
        raise ValueError(f"solver_ must be an Eigh, Nystrom or Lanczos, got {model.solver_!r}")
    parameters = model.get_params(deep=False)
    _require_kinds(parameters)
    check_cv(parameters.get("cv"))
    check_random_state(parameters.get("random_state"))
    if isinstance(model, KernelSearch):
        model._label_weights()
        chosen = model.best_params_
        if not {"ridge", "n_steps", "label_weight"} <= chosen.keys() <= {"ridge", "n_steps", "label_weight", "gamma"}:
            raise ValueError(f"best_params_ must hold ridge, n_steps, label_weight and perhaps gamma, got {chosen!r}")
        _require_kinds(chosen)
        _require_finite("label_weight", chosen["label_weight"])
    elif "label_weight" in parameters:
        _require_finite("label_weight", model.label_weight)


def _require_same_when_made_again(name: str, value: Any) -> None:
    """Raise an error unless these are the attributes of an object that was made in the usual way, with its checks."""
    expected = {field.name for field in fields(value)}
    if vars(value).keys() != expected:
        raise ValueError(f"{name} must have the attributes {sorted(expected)}, got {sorted(vars(value))}")
    type(value)(**vars(value))


def _require_kinds(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if name in _REQUIRED:
            _REQUIRED[name](name, value)
        elif name in _OPTIONAL and value is not None:
            _OPTIONAL[name](name, value)


def _require_learned(model: Any) -> None:
    dual_coef, points = model.dual_coef_, model.X_fit_
    n_features = require_positive_integer("n_features_in_", model.n_features_in_)
    if np.ndim(dual_coef) not in (1, 2):
        raise ValueError(f"dual_coef_ must have one or two dimensions, got shape {np.shape(dual_coef)}")
    _require_array("dual_coef_", dual_coef, np.shape(dual_coef))
    _require_finite("dual_coef_", dual_coef)
    if model._is_precomputed():
        _require_shape("dual_coef_", dual_coef, (n_features, *dual_coef.shape[1:]))
    elif issparse(points):
        points.check_format(full_check=True)  # products of wrong indices read outside of the arrays
        _require_shape("X_fit_", points, (len(dual_coef), n_features))
        _require_finite("X_fit_", points.data)
    else:
        _require_array("X_fit_", points, (len(dual_coef), n_features))
        _require_finite("X_fit_", points)
    if not isinstance(model.intercept_, float):
        _require_array("intercept_", model.intercept_, dual_coef.shape[1:])
    _require_finite("intercept_", model.intercept_)
    if isinstance(model, KernelClassifier):
        _require_array("classes_", model.classes_, (dual_coef.shape[1],))
    if isinstance(model, SelfDistilledKernelClassifierCV):
        require_nonnegative("inverse_temperature_", model.inverse_temperature_)


def _require_array(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be an array, got {value!r}")
    _require_shape(name, value, shape)


def _require_shape(name: str, value: Any, shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {value.shape}")


def _require_finite(name: str, value: Any) -> None:
    values = np.asarray(value)
    if values.dtype.kind not in "iuf" or not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be made of finite real numbers, got {value!r}")


def _kind(estimator: Any) -> str:
    return type(estimator).__name__


def _names() -> list[str]:
    return sorted(each.__name__ for each in _TYPES)
