"""Self-distillation under a training-error constraint: the penalty is chosen anew in every round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import scipy
from array_api_compat import array_namespace, device

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_positive, require_positive_integer, require_targets
from kdtheory.filters import Modes, Ridge, compose
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class ConstrainedPath(SpectralFit):
    """Every round of a constrained self-distillation; made by `selfdistill_constrained`.

    Attributes
    ----------
    ridges : array of shape (n_rounds,)
        Penalty that each round's constraint implies.
    tolerance : float
        Mean squared training error of each round against its own targets.
    collapsed : bool
        Whether the chain ended because only f = 0 is left; False when `max_rounds` ended it.
    shrinkage : array of shape (n_rounds, r)
    fitted, dual_coef : array of shape (n_rounds, n) or (n_rounds, n, k)
    signal_to_tolerance : float
        `r_0 = ‖y‖ / √(n·tolerance)`, which decides how long the chain can be.
    """

    ridges: Array
    tolerance: float
    collapsed: bool
    signal_to_tolerance: float

    @property
    def n_rounds(self) -> int:
        """Number of fits before the collapse."""
        return int(self.ridges.shape[0])

    @property
    def rounds_lower_bound(self) -> int:
        """Sharp lower bound `⌈r_0⌉ − 1` on the rounds before collapse; attained when all eigenvalues are equal.

        Source: derived for this package from the constraint, which every round meets with equality.
        """
        return math.ceil(self.signal_to_tolerance / _COLLAPSE) - 1

    @property
    def rounds_upper_bound(self) -> int:
        """Upper bound on the rounds before collapse: the largest integer below `r_0²`.

        Source: derived for this package, as `‖y_{t+1}‖² <= ‖y_t‖² − n·tolerance`.
        """
        return math.ceil(Fraction(self.signal_to_tolerance / _COLLAPSE) ** 2) - 1

    @property
    def rounds_guaranteed(self) -> float:
        """The published guarantee `(r_0 − 1)/κ` with the condition number κ of K; 0 for a singular K.

        Source: Mobahi et al. (2020). Never above `rounds_lower_bound`, and usually far below.
        """
        d = self.spectrum.eigenvalues
        return max(self.signal_to_tolerance - 1.0, 0.0) * float(d[-1]) / (float(d[0]) or 1.0)

    @cached_property
    def sparsity_index(self) -> Array:
        """Smallest ratio of the shrinkage of a mode to that of the next smaller one, shape (n_rounds,).

        It grows with the rounds: self-distillation progressively drops the directions of small eigenvalues.

        Raises
        ------
        ZeroDivisionError
            On a zero eigenvalue; `Spectrum.positive` drops those.
        ValueError
            When there is only one eigenvalue.
        """
        if self.shrinkage.shape[-1] < 2:
            raise ValueError("sparsity_index must compare two eigenvalues or more, got 1")
        return array_namespace(self.shrinkage).min(self.shrinkage_ratios, axis=-1)

    def __repr__(self) -> str:
        end = "collapsed" if self.collapsed else "not collapsed"
        return (
            f"ConstrainedPath(n_points={self.spectrum.n_points}, tolerance={self.tolerance:.6g},"
            f" n_rounds={self.n_rounds}, {end}, rounds_lower_bound={float(self.rounds_lower_bound):.6g},"
            f" rounds_upper_bound={self.rounds_upper_bound:.6g})"
        )


def selfdistill_constrained(
    K: Any, y: Any, *, tolerance: SupportsFloat, max_rounds: SupportsIndex = 1000
) -> ConstrainedPath:
    """Distil into itself the smoothest function that meets a training error, until nothing is left.

    Round t finds the function of least norm with mean squared error at most `tolerance` against the previous round's
    fitted values (at first against y). That is kernel ridge regression with the penalty for which the error equals
    the tolerance. The chain ends when the zero function meets it.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Targets; the error of several outputs is summed over them and averaged over the points.
    tolerance : float
        Mean squared error of each round against its targets, > 0, in squared units of y; with sample weights, of the
        weighted errors.
    max_rounds : int, default 1000
        Stop after this many rounds even if the chain has not collapsed.

    Returns
    -------
    ConstrainedPath
        Penalties, filters and models of every round; none when y itself is within the tolerance of zero.

    Raises
    ------
    ValueError
        For bad input, or when no function of the kernel meets the tolerance: K is singular, and the part of y that
        it cannot fit is too large.

    Notes
    -----
    Cost: one eigendecomposition, then a scalar root and `O(r)` for each round. The root is found to the last digits
    by `scipy.optimize.brentq`, in the logarithm of the penalty.

    Source: Mobahi et al. (2020), whose matrix G is K/n and whose multiplier c is `ridge/n` here.

    Examples
    --------
    >>> path = selfdistill_constrained([[2.0, 0.0], [0.0, 2.0]], [3.0, 4.0], tolerance=0.5)
    >>> path
    ConstrainedPath(n_points=2, tolerance=0.5, n_rounds=4, collapsed, rounds_lower_bound=4, rounds_upper_bound=24)
    >>> path.ridges
    array([0.5       , 0.66666667, 1.        , 2.        ])
    """
    allowed = require_positive("tolerance", tolerance)
    limit = require_positive_integer("max_rounds", max_rounds)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    xp = array_namespace(d)
    targets = require_targets("y", y, spectrum.n_points, like=d)
    coordinates = spectrum.coordinates(targets)
    outside = spectrum.whiten(targets) - spectrum.lift(xp.ones_like(d), coordinates)
    # Only the size of each component matters, in units of the tolerance: plain numpy in double precision from here on.
    levels = np.append(to_numpy(d), 0.0)
    radius = math.sqrt(spectrum.n_points) * math.sqrt(allowed)
    sizes = np.append(_row_norms(coordinates) / radius, np.linalg.norm(_row_norms(outside) / radius))
    signal = float(np.linalg.norm(sizes))
    unfitted = float(np.linalg.norm(sizes[levels == 0.0]))
    if signal > _COLLAPSE and unfitted * _COLLAPSE >= 1.0:
        raise ValueError(
            f"tolerance must be above {unfitted**2 * allowed:.6g}, the mean squared error that a singular K cannot fit,"
            f" got {allowed!r}"
        )
    modes: list[Modes] = []
    ridges: list[float] = []
    teacher = Modes(xp.zeros_like(d), xp.ones_like(d), xp.zeros_like(d))  # the targets themselves
    while len(ridges) < limit and np.linalg.norm(sizes) > _COLLAPSE:
        ridge = _active_penalty(levels, sizes)
        teacher = compose(teacher, Ridge(ridge).modes(d), label_weight=0.0)
        sizes = sizes * (levels / (levels + ridge))
        ridges.append(ridge)
        modes.append(teacher)
    none = xp.zeros((0, *d.shape), dtype=d.dtype, device=device(d))
    return ConstrainedPath(
        spectrum=spectrum,
        targets=targets,
        modes=Modes(*(xp.stack(parts) for parts in zip(*modes, strict=True))) if modes else Modes(none, none, none),
        ridges=from_numpy(np.array(ridges), like=d),
        tolerance=allowed,
        collapsed=bool(np.linalg.norm(sizes) <= _COLLAPSE),
        signal_to_tolerance=signal,
    )


_COLLAPSE = 1.0 + 64.0 * np.finfo(float).eps
"""A chain whose targets meet the tolerance to within rounding has collapsed."""


def _active_penalty(levels: np.ndarray, sizes: np.ndarray) -> float:
    """Find the penalty c > 0 with `‖sizes · c/(c + levels)‖ = 1`, for `‖sizes‖ > 1`."""

    def excess(log_penalty: float) -> float:
        penalty = math.exp(log_penalty)
        return float(np.linalg.norm(sizes * (penalty / (penalty + levels)))) - 1.0

    positive = levels[levels > 0.0]
    margin = float(np.linalg.norm(sizes)) - 1.0
    low, high = math.log(positive.min() / margin), math.log(positive.max() / margin)
    while excess(low) > 0.0:  # components on zero eigenvalues, or rounding at the end of the bracket
        low -= 1.0
    while excess(high) < 0.0:
        high += 1.0
    if low == high:
        return math.exp(low)
    return math.exp(scipy.optimize.brentq(excess, low, high, xtol=1e-15, rtol=4.0 * np.finfo(float).eps))


def _row_norms(array: Array) -> np.ndarray:
    """Euclidean norm of each row; the absolute value of each entry of a vector. Squares neither over- nor underflow."""
    rows = to_numpy(array)
    rows = np.abs(rows.reshape(rows.shape[0], -1))
    largest = rows.max(axis=1, keepdims=True)
    scale = np.where(largest > 0.0, largest, 1.0)
    return largest[:, 0] * np.linalg.norm(rows / scale, axis=1)
