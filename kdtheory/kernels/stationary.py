"""Kernels of the distance between two points: Gaussian, Laplace, Matérn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kdtheory._interop import is_traced
from kdtheory._validation import require_positive, require_real
from kdtheory.kernels._evaluators import DifferenceEvaluator, Evaluator, distance_evaluator
from kdtheory.kernels.base import Kernel

_LEAST_LENGTH = 1e-307
"""Its inverse is still finite."""


@dataclass(frozen=True)
class _Stationary(Kernel):
    """A kernel that is 1 for equal points."""

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        return np.ones(len(X), dtype=X.dtype)


@dataclass(frozen=True)
class RBF(_Stationary):
    """Gaussian kernel, `exp(−gamma·‖x − y‖²)`.

    Parameters
    ----------
    gamma : float, optional
        Greater than zero; default: one over the number of features.

    Raises
    ------
    ValueError, TypeError
        When gamma is not a number > 0.

    See Also
    --------
    sklearn.metrics.pairwise.rbf_kernel : the same values.

    Notes
    -----
    Source: Rasmussen & Williams (2006), "Gaussian processes for machine learning", section 4.2.

    Examples
    --------
    >>> RBF(gamma=0.5).gram([[0.0], [2.0]])
    array([[1.        , 0.13533528],
           [0.13533528, 1.        ]])
    """

    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.gamma is not None and not is_traced(self.gamma):
            require_positive("gamma", self.gamma)

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        gamma = 1.0 / X.shape[1] if self.gamma is None else float(self.gamma)
        return distance_evaluator(X, Y, math.sqrt(gamma), "EXPONENTIAL")


@dataclass(frozen=True)
class Laplace(_Stationary):
    """Laplace kernel, `exp(−gamma·‖x − y‖₁)`: the distance is the sum of absolute differences.

    Parameters
    ----------
    gamma : float, optional
        Greater than zero; default: one over the number of features.

    Raises
    ------
    ValueError, TypeError
        When gamma is not a number > 0.

    See Also
    --------
    sklearn.metrics.pairwise.laplacian_kernel : the same values.

    Notes
    -----
    Source: Rahimi & Recht (2007), "Random features for large-scale kernel machines".

    With the Euclidean distance it is `Matern(nu=0.5)`.

    Examples
    --------
    >>> Laplace(gamma=0.5).gram([[0.0, 0.0]], [[1.0, 1.0]])
    array([[0.36787944]])
    """

    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.gamma is not None and not is_traced(self.gamma):
            require_positive("gamma", self.gamma)

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        gamma = 1.0 / X.shape[1] if self.gamma is None else float(self.gamma)
        return DifferenceEvaluator(X, Y, gamma, "EXPONENTIAL", squared=False)


@dataclass(frozen=True)
class Matern(_Stationary):
    """Matérn kernel of smoothness 1/2, 3/2 or 5/2 in the Euclidean distance r.

    With `s = √(2·nu)·r/length_scale`: `exp(−s)`, `(1 + s)·exp(−s)` and `(1 + s + s²/3)·exp(−s)`.

    Parameters
    ----------
    nu : {1.5, 0.5, 2.5}
        Smoothness.
    length_scale : float, default 1.0

    Raises
    ------
    ValueError, TypeError
        For another smoothness, and a length scale that is not a number > 0.

    See Also
    --------
    sklearn.gaussian_process.kernels.Matern : the same values.

    Notes
    -----
    Source: Rasmussen & Williams (2006), "Gaussian processes for machine learning", section 4.2.

    The distance of close points comes from their differences for nu = 1/2, whose slope at zero would make half of the
    digits of a difference of squares those of the result.

    Examples
    --------
    >>> Matern(nu=0.5, length_scale=2.0).gram([[0.0]], [[2.0]])
    array([[0.36787944]])
    """

    nu: float = 1.5
    length_scale: float = 1.0

    def __post_init__(self) -> None:
        if require_real("nu", self.nu) not in (0.5, 1.5, 2.5):
            raise ValueError(f"nu must be 0.5, 1.5 or 2.5, got {self.nu!r}")
        if is_traced(self.length_scale):
            return
        if require_positive("length_scale", self.length_scale) < _LEAST_LENGTH:
            raise ValueError(f"length_scale must be >= {_LEAST_LENGTH}, got {self.length_scale!r}")

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        scale = math.sqrt(2.0 * self.nu) / self.length_scale
        if self.nu == 0.5:
            return DifferenceEvaluator(X, Y, scale, "MATERN_HALF")
        return distance_evaluator(X, Y, scale, "MATERN_THREE_HALVES" if self.nu == 1.5 else "MATERN_FIVE_HALVES")
