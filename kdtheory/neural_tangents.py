"""Kernels of any architecture of neural-tangents, and its normalisations in ours.

neural-tangents measures learning by steps of a learning rate on the loss `½‖f − y‖²/N`, where N counts the targets,
n·k for n points and k outputs; the loss of this package is `½‖f − y‖²`. Its 0.6.5, the last release, needs a jax
between 0.4.24 and 0.5.3, and so an environment of its own: `pip install "kdtheory[neural-tangents]"`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._interop import double_precision
from kdtheory._validation import (
    require_array,
    require_bool,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_real,
)
from kdtheory.kernels._batches import BatchedKernel, require_shape

__all__ = [
    "NeuralTangentsKernel",
    "flow_time",
    "import_neural_tangents",
    "largest_learning_rate",
    "ridge_of",
    "step_length",
]


@dataclass(frozen=True)
class NeuralTangentsKernel(BatchedKernel):
    """The NTK or NNGP kernel of an architecture of neural-tangents, as a kernel of this package.

    It is evaluated in double precision, in batches of one size, and on one side of the diagonal only: Gram matrices are
    symmetric to the bit. Operators, Nyström and Lanczos spectra and estimators take it like any kernel.

    Parameters
    ----------
    kernel_fn : callable
        As `neural_tangents.stax.serial` returns it: `kernel_fn(x1, x2, get)` gives the matrix of two batches. Any
        function of this signature will do.
    get : {"ntk", "nngp"}, default "ntk"
        Which of its kernels.
    input_shape : sequence of int, optional
        Shape of one input, such as (28, 28, 1), for architectures that take images: a point of this package is its
        entries in C order. Default: points are passed on as they are.
    batch_size : int, default 64
        Points on each side of one call; memory grows with its square.

    Raises
    ------
    ValueError, TypeError
        For a kernel_fn that cannot be called or returns anything but a finite matrix of the two batches, an unknown
        kernel, and points whose features do not fill `input_shape`.
    ImportError
        From evaluations, when jax is not installed.

    See Also
    --------
    neural_tangents.batch : evaluates a kernel_fn in batches.

    Notes
    -----
    Source: Novak et al. (2020), "Neural Tangents: fast and easy infinite neural networks in Python".

    Calls are eager: kernels of neural-tangents that were once compiled can fail when they are called again. Its NTK
    loses digits near the diagonal, and half of them on it, in the derivative of the arc-cosine.

    Examples
    --------
    >>> def kernel_fn(x1, x2, get):
    ...     return x1 @ (x1 if x2 is None else x2).T
    >>> NeuralTangentsKernel(kernel_fn).gram([[1.0, 2.0], [0.0, 1.0]])
    array([[5., 2.],
           [2., 1.]])
    """

    kernel_fn: Callable[..., Any]
    get: str = "ntk"
    input_shape: tuple[int, ...] | None = None
    batch_size: int = 64

    def __post_init__(self) -> None:
        if not callable(self.kernel_fn):
            raise TypeError(f"kernel_fn must be a function, got {self.kernel_fn!r}")
        if self.get not in ("ntk", "nngp"):
            raise ValueError(f"get must be 'ntk' or 'nngp', got {self.get!r}")
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", require_shape("input_shape", self.input_shape))
        require_positive_integer("batch_size", self.batch_size)

    @property
    def _points_at_once(self) -> int:
        return self.batch_size

    @property
    def _shape_of_a_point(self) -> tuple[int, ...] | None:
        return self.input_shape

    def _between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return self._call(left, right)

    def _with_themselves(self, batch: np.ndarray) -> np.ndarray:
        return np.diagonal(self._call(batch, None))

    def _call(self, left: np.ndarray, right: np.ndarray | None) -> np.ndarray:
        import jax

        with double_precision():
            first, second = (None if batch is None else jax.numpy.asarray(batch) for batch in (left, right))
            values = np.asarray(self.kernel_fn(first, second, self.get))
        expected = (len(left), len(left if right is None else right))
        if values.shape != expected or values.dtype.kind != "f":
            raise ValueError(
                f"kernel_fn must return a real matrix of shape {expected} for such batches, got {values.dtype} of shape"
                f" {values.shape}"
            )
        return values


def flow_time(t: Any, *, learning_rate: SupportsFloat, n_targets: SupportsIndex) -> np.ndarray:
    """Translate the times of `neural_tangents.predict.gradient_descent_mse` into those of our gradient flow.

    Parameters
    ----------
    t : float or array
        Numbers of steps, >= 0.
    learning_rate : float
        Length of a step, > 0.
    n_targets : int
        Number N of targets, points times outputs.

    Returns
    -------
    array of the shape of t
        `learning_rate·t / N`, for `flow_trajectories` and `GradientFlow`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    Source: the loss of `neural_tangents.predict.gradient_descent_mse`, neural-tangents 0.6.5 (2023).

    With outputs f0 at the beginning, train on `y − f0` and add f0 to fitted values and predictions. Its `diag_reg` is
    added to K itself, and to nothing else, see `ridge_of`.

    Examples
    --------
    >>> flow_time([0.0, 100.0], learning_rate=0.5, n_targets=20)
    array([0. , 2.5])
    """
    steps = require_array("t", t)
    if steps.size and float(np.min(steps)) < 0.0:
        raise ValueError(f"t must be >= 0, got {float(np.min(steps))}")
    return np.asarray(steps * step_length(learning_rate=learning_rate, n_targets=n_targets))


def step_length(*, learning_rate: SupportsFloat, n_targets: SupportsIndex) -> float:
    """Translate a learning rate into that of `GradientDescent`, whose loss is not divided by the number of targets.

    Parameters
    ----------
    learning_rate : float
        As neural-tangents takes it, > 0.
    n_targets : int
        Number N of targets, points times outputs.

    Returns
    -------
    float
        `learning_rate / N`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    Source: the loss of `neural_tangents.predict.gradient_descent_mse`, neural-tangents 0.6.5 (2023).

    Examples
    --------
    >>> step_length(learning_rate=0.5, n_targets=20)
    0.025
    """
    return require_positive("learning_rate", learning_rate) / require_positive_integer("n_targets", n_targets)


def largest_learning_rate(eigenvalues: Any, *, n_targets: SupportsIndex, momentum: SupportsFloat = 0.0) -> float:
    """Learning rate from which on gradient descent on the loss of neural-tangents diverges.

    Parameters
    ----------
    eigenvalues : array of shape (r,)
        Of the Gram matrix, as `Spectrum.eigenvalues`; at least one > 0.
    n_targets : int
        Number N of targets, points times outputs.
    momentum : float, default 0
        From 0 to below 1.

    Returns
    -------
    float
        `2·(1 + momentum)·N / d_max`, the twin of `neural_tangents.predict.max_learning_rate`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    Source: Polyak (1964), whose heavy ball is stable below it.

    Examples
    --------
    >>> largest_learning_rate([4.0, 1.0], n_targets=2)
    1.0
    """
    largest = float(np.max(require_array("eigenvalues", eigenvalues)))
    if largest <= 0.0:
        raise ValueError(f"eigenvalues must hold at least one value > 0, got at most {largest}")
    beta = require_real("momentum", momentum)
    if not 0.0 <= beta < 1.0:
        raise ValueError(f"momentum must be >= 0 and < 1, got {beta}")
    return 2.0 * (1.0 + beta) * require_positive_integer("n_targets", n_targets) / largest


def ridge_of(diag_reg: SupportsFloat, K: Any, *, absolute_scale: bool = False) -> float:
    """Translate `diag_reg` into what it adds to the diagonal of the Gram matrix.

    Parameters
    ----------
    diag_reg : float
        As neural-tangents takes it, >= 0.
    K : array of shape (n, n)
        Gram matrix.
    absolute_scale : bool, default False
        `diag_reg_absolute_scale` of neural-tangents.

    Returns
    -------
    float
        `diag_reg`, or `diag_reg·tr K / n` for the relative scale. It is the ridge of `Ridge` for its `gp_inference`;
        for its gradient flow decompose `K + ridge·I` and leave the Gram matrix of new points as it is.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    Source: `neural_tangents.predict.gp_inference`, neural-tangents 0.6.5 (2023).

    Examples
    --------
    >>> ridge_of(0.1, [[1.0, 0.0], [0.0, 3.0]])
    0.2
    """
    amount = require_nonnegative("diag_reg", diag_reg)
    gram = require_array("K", K)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"K must be square, got shape {gram.shape}")
    return amount if require_bool("absolute_scale", absolute_scale) else amount * float(np.mean(np.diagonal(gram)))


def import_neural_tangents() -> Any:
    """Import neural-tangents, without its experimental part where tensorflow, which only that part needs, is missing.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        When it is not installed, or a jax with which it cannot be imported: the message says what to install.

    Examples
    --------
    >>> neural_tangents = import_neural_tangents()  # doctest: +SKIP
    """
    if importlib.util.find_spec("neural_tangents") is None:
        raise ModuleNotFoundError(
            'neural-tangents is not installed: pip install "kdtheory[neural-tangents]", in an environment of its own'
        )
    experimental = "neural_tangents.experimental"
    if importlib.util.find_spec("tensorflow") is None and experimental not in sys.modules:
        sys.modules[experimental] = types.ModuleType(experimental)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what the next jax takes away
            return importlib.import_module("neural_tangents")
    except (ImportError, AttributeError) as error:
        import jax

        raise ImportError(
            f"neural-tangents runs on jax 0.4.24 to 0.5.3, and jax {jax.__version__} is installed:"
            ' pip install "kdtheory[neural-tangents]", in an environment of its own'
        ) from error
