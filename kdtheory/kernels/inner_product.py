"""Kernels of the inner product of two points: linear, polynomial, cosine and arc-cosine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdtheory._interop import is_traced
from kdtheory._validation import require_positive, require_positive_integer, require_real
from kdtheory.kernels._evaluators import Evaluator, ProductEvaluator, compiled_loops
from kdtheory.kernels.base import Kernel

NEARLY_STRAIGHT = 0.999
"""Cosine beyond which the angle is taken from the directions themselves."""


@dataclass(frozen=True)
class Linear(Kernel):
    """Inner product, `x·y`.

    See Also
    --------
    sklearn.metrics.pairwise.linear_kernel : the same values.

    Notes
    -----
    Source: Rasmussen & Williams (2006), "Gaussian processes for machine learning", section 4.2.

    Examples
    --------
    >>> Linear().gram([[1.0, 2.0]], [[3.0, 4.0]])
    array([[11.]])
    """

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        return ProductEvaluator(X, Y, None)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        return _squared_norms(X)


@dataclass(frozen=True)
class Polynomial(Kernel):
    """Polynomial kernel, `(gamma·x·y + coef0)^degree`.

    Parameters
    ----------
    degree : int, default 3
        At least 1.
    gamma : float, optional
        Greater than zero; default: one over the number of features.
    coef0 : float, default 1.0
        With a negative one the kernel is not positive semi-definite: `is_psd` is False.

    Raises
    ------
    ValueError, TypeError
        When degree is not an integer >= 1, gamma not a number > 0, or coef0 not finite.

    See Also
    --------
    sklearn.metrics.pairwise.polynomial_kernel : the same values.

    Notes
    -----
    Source: Rasmussen & Williams (2006), "Gaussian processes for machine learning", section 4.2.

    Examples
    --------
    >>> Polynomial(degree=2, gamma=1.0).gram([[1.0, 2.0]], [[3.0, 4.0]])
    array([[144.]])
    """

    degree: int = 3
    gamma: float | None = None
    coef0: float = 1.0

    def __post_init__(self) -> None:
        require_positive_integer("degree", self.degree)
        if self.gamma is not None and not is_traced(self.gamma):
            require_positive("gamma", self.gamma)
        if not is_traced(self.coef0):
            require_real("coef0", self.coef0)

    @property
    def is_psd(self) -> bool:
        """Whether coef0 is at least zero: the binomial theorem then gives a sum of such kernels."""
        return self.coef0 >= 0.0

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        return ProductEvaluator(X * X.dtype.type(self._gamma(X)), Y, self._finish)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        values = _squared_norms(X) * X.dtype.type(self._gamma(X))
        self._finish(values[None, :], slice(None), slice(None))
        return values

    def _gamma(self, X: np.ndarray) -> float:
        return 1.0 / X.shape[1] if self.gamma is None else float(self.gamma)

    def _finish(self, tile: np.ndarray, rows: slice, columns: slice) -> None:
        del rows, columns
        compiled_loops().raise_to(tile, tile.dtype.type(self.coef0), self.degree)


@dataclass(frozen=True)
class Cosine(Kernel):
    """Cosine of the angle between two points, `x·y / (‖x‖·‖y‖)`; zero if one of them is zero.

    See Also
    --------
    sklearn.metrics.pairwise.cosine_similarity : the same values.

    Notes
    -----
    Source: Manning, Raghavan & Schütze (2008), "Introduction to information retrieval", section 6.3.

    Examples
    --------
    >>> Cosine().gram([[2.0, 0.0]], [[3.0, 4.0]])
    array([[0.6]])
    """

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        return ProductEvaluator(_directions(X)[0], _directions(Y)[0], None)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        return (_directions(X)[1] > 0.0).astype(X.dtype)


@dataclass(frozen=True)
class ArcCosine(Kernel):
    """Kernel of an infinitely wide layer of step units (order 0) or rectified linear units (order 1).

    With the angle θ between the points: `1 − θ/π`, and `‖x‖·‖y‖·(sin θ + (π − θ)·cos θ)/π`.

    Parameters
    ----------
    order : {1, 0}

    Raises
    ------
    ValueError, TypeError
        For another order.

    Notes
    -----
    A point at zero is at a right angle to every point, itself included, as a step of 1/2 at zero makes it: the kernel
    of order 0 is 1/2 there.

    The cosine of a small angle does not hold its digits. Where it is close to 1 in size, the angle comes from the
    difference or the sum of the two directions instead, so that all values, the diagonal among them, are accurate.
    Source: Cho and Saul (2009), eqs. 3-6.

    Examples
    --------
    >>> ArcCosine(order=0).gram([[1.0, 0.0]], [[0.0, 2.0]])
    array([[0.5]])
    """

    order: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or self.order not in (0, 1):
            raise ValueError(f"order must be 0 or 1, got {self.order!r}")

    def _evaluator(self, X: np.ndarray, Y: np.ndarray) -> Evaluator:
        (x, x_norms), (y, y_norms) = _directions(X), _directions(Y)

        def finish(tile: np.ndarray, rows: slice, columns: slice) -> None:
            compiled_loops().finish_angles(
                tile, self.order, x, rows.start, y, columns.start, x_norms, y_norms, NEARLY_STRAIGHT
            )

        return ProductEvaluator(x, y, finish)

    def _diagonal(self, X: np.ndarray) -> np.ndarray:
        if self.order == 1:
            return _squared_norms(X)
        return np.where(_directions(X)[1] > 0.0, 1.0, 0.5).astype(X.dtype)


def _squared_norms(X: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # refused by name where it leaves the package
        return np.einsum("ij,ij->i", X, X)


def _directions(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points made one long, zeros left as they are, and the norms."""
    largest = np.max(np.abs(X), axis=1)
    largest[largest == 0.0] = 1.0
    within = X / largest[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", within, within))
    divisors = np.where(lengths == 0.0, 1.0, lengths).astype(X.dtype)
    with np.errstate(over="ignore"):
        return within / divisors[:, None], lengths * largest
