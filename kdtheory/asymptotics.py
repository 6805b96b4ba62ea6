"""Risk of self-distilled ridge regression when both the points and the features are many, at every number of steps.

The prediction risk of ridge regression on n points with p features tends to a number as n and p grow together. So does
the mean product of the prediction errors at two penalties; that limit G is explicit in the effective penalties κ. And
G holds every step of a self-distillation, because distilling forever with the label weight 1 − z is ridge regression
with the penalty `ridge/(1 − z)`: its prediction error is a power series

    e(ridge/(1 − z)) = e_1 + (e_2 − e_1) z + (e_3 − e_2) z² + ...

in the errors e_j of the pure models, those of j fits with label weight 0. The coefficients of the power series of
`G(ridge/(1 − z), ridge/(1 − w))` are the mean products of these changes. They are found in another variable v, in
which κ is a fraction of two linear terms and everything else a geometric series: no derivative is ever taken. The
series `z(v)` brings them back, and is not needed for the least risk, since combinations of the first few coefficients
are the same functions in every variable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import scipy

from kdtheory._interop import to_numpy
from kdtheory._validation import (
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_real,
    require_representable,
    require_vector,
)
from kdtheory.combinations import break_stick


@dataclass(frozen=True, eq=False, repr=False)
class RandomDesign:
    """Linear regression on many random points with proportionally many features.

    The targets are `y = xᵀβ + noise`. The features are `x = Σ^½ z`, where z has independent entries of mean 0,
    variance 1 and a bounded moment above the fourth, as Gaussian ones have; the noise is independent of them, with
    mean 0. The number of points n and of features p grow at a fixed ratio, while the eigenvalues of the covariance Σ
    stay bounded. Then the risks below are the limits for almost every sample, and good approximations for a few
    hundred points: the squared error of a prediction at a new point, its noise included, in squared units of y.

    The model is ridge regression on `XᵀX/n`, and its self-distillation.

    Parameters
    ----------
    eigenvalues : array of shape (m,)
        Eigenvalues s_i >= 0 of Σ, not all zero, in any order. Each stands for the share 1/m of the p features, so m
        may be p, or as few as one when all are equal.
    signal_energy : array of shape (m,)
        Sum of the squared components of β on the eigenvectors of each eigenvalue, >= 0. Zero coefficients for every
        input make the risk `Σ s_i·signal_energy_i + noise_variance`.
    aspect_ratio : float
        Features per point, p/n > 0.
    noise_variance : float
        Variance of the noise, >= 0.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    The limit has no n, so here alone in the package `ridge` counts per point: it is that of `½·mean((f − y)²) +
    ridge/2 ‖β‖²`, and `ridge·n` is the penalty that `selfdistill_closed_form` takes for the Gram matrix `X Xᵀ`. Its
    units are those of the eigenvalues.

    Cost of every method: `O(m·n_steps²)`, and `O(n_steps⁴)` for the series. All computations are in double precision,
    and results are numpy arrays. Ridges beyond 1e±300 times the largest eigenvalue count as 1e±300 times it.

    Source: Dang, Patil & Rinaldo (2026), Theorem 3.1, for two fits; every number of steps is derived for this package.

    Examples
    --------
    >>> design = RandomDesign(eigenvalues=[1.0], signal_energy=[1.0], aspect_ratio=0.5, noise_variance=1.0)
    >>> design.risk(0.1, 3).round(4)
    array([1.6036, 1.4638, 1.4222])
    >>> design.best_risk(0.1, 3).round(4)
    array([1.6036, 1.4254, 1.4149])
    >>> design.best_label_weights(0.1, 2).round(4)
    array([-0.8667])
    """

    eigenvalues: np.ndarray
    signal_energy: np.ndarray
    aspect_ratio: float
    noise_variance: float

    def __post_init__(self) -> None:
        eigenvalues = to_numpy(require_vector("eigenvalues", self.eigenvalues))
        energy = to_numpy(require_vector("signal_energy", self.signal_energy))
        if energy.shape != eigenvalues.shape:
            raise ValueError(
                f"signal_energy must have shape {eigenvalues.shape}, one energy for each eigenvalue, got {energy.shape}"
            )
        for name, values in (("eigenvalues", eigenvalues), ("signal_energy", energy)):
            if np.any(values < 0.0):
                raise ValueError(f"{name} must be >= 0, got {float(values.min())!r}")
            # Copies: a frozen design must not follow what the caller does to the arrays.
            object.__setattr__(self, name, np.array(values))
        if not np.any(eigenvalues > 0.0):
            raise ValueError("eigenvalues must hold at least one > 0, got zeros only")
        object.__setattr__(self, "aspect_ratio", require_positive("aspect_ratio", self.aspect_ratio))
        object.__setattr__(self, "noise_variance", require_nonnegative("noise_variance", self.noise_variance))

    def cross_risk(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Mean products of the prediction errors of pure models.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Largest number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps, n_steps)
            Entry (j − 1, l − 1) is the limit of the mean of `(f_j(x) − y)·(f_l(x) − y)` over new points, for the
            models f_j of j fits with label weight 0. The noise of y is part of it; the diagonal holds the risks.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Examples
        --------
        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.cross_risk(0.1, 2).round(4)
        array([[1.6036, 1.5081],
               [1.5081, 1.4638]])
        """
        changes = self._expand(ridge, n_steps, centred=False).gram_of_changes()
        return require_representable(np.cumsum(np.cumsum(changes, axis=0), axis=1), "the risk")

    def risk(self, ridge: SupportsFloat, n_steps: SupportsIndex, *, label_weight: Any = 0.0) -> np.ndarray:
        """Risk of every step of a self-distillation.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Number of fits, >= 1.
        label_weight : float or sequence of n_steps - 1 floats, default 0
            Weight of the ground-truth targets at steps 2..n_steps, as in `selfdistill_closed_form`.

        Returns
        -------
        array of shape (n_steps,)
            Risk of steps 1..n_steps, never below the noise variance.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When the label weights make a risk diverge beyond the floating-point range.

        Examples
        --------
        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.risk(0.1, 2, label_weight=-0.8667).round(4)
        array([1.6036, 1.4254])
        """
        count = require_positive_integer("n_steps", n_steps)
        weights = _label_weights(label_weight, count)
        expansions = [self._expand(ridge, count, centred=centred) for centred in (False, True)]
        with np.errstate(over="ignore", invalid="ignore"):
            tails = np.zeros((count, count))
            for step in range(count):
                tails[: step + 1, step] = _tails(weights[:step])
            values, errors = map(np.array, zip(*(part.square(tails) for part in expansions), strict=True))
            # Label weights in [0, 1] lose digits in the centred series, those far outside in the other one.
            better = np.argmin(np.where(np.isfinite(errors), errors, np.inf), axis=0)
        risks = np.take_along_axis(values, better[None], axis=0)[0]
        return np.maximum(require_representable(risks, "the risk"), self.noise_variance)

    def best_risk(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Least risk over all label weights, for every number of fits.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Largest number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps,)
            Least risk with 1..n_steps fits; it never increases. A step that changes less than 1e-5 of itself in a new
            direction counts as no step.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Examples
        --------
        Where all eigenvalues are equal and the ridge is the best, no step improves on it.

        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.best_risk(0.5, 3).round(6)
        array([1.414214, 1.414214, 1.414214])
        """
        risks, _ = self._expand(ridge, n_steps, centred=True).least_squares()
        return np.maximum(risks, self.noise_variance)

    def best_label_weights(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Label weights whose last step has the least risk.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps - 1,)
            Label weights of steps 2..n_steps, any real numbers. Pass them on unrounded: they cancel.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Notes
        -----
        Where a step gains nothing, or less than the rounding of its label weights may cost in double precision, it is
        left out, and the first label weights are 1. So the risk that they reach may be above `best_risk`, as with many
        steps at tiny or huge ridges, whose label weights are huge.

        Examples
        --------
        >>> design = RandomDesign([1.0, 4.0], [1.0, 1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> weights = design.best_label_weights(0.1, 3)
        >>> design.risk(0.1, 3, label_weight=weights).round(4), design.best_risk(0.1, 3).round(4)
        (array([1.741 , 4.2227, 1.6739]), array([1.741 , 1.6749, 1.6739]))
        """
        expansion = self._expand(ridge, n_steps, centred=True)
        risks, coefficients = expansion.least_squares()
        best, least = np.ones(len(risks) - 1), float(risks[0])  # plain ridge regression
        with np.errstate(all="ignore"):
            for tails in expansion.tails(coefficients).T:
                weights = break_stick(tails)
                value, error = expansion.square(_tails(weights)[:, None])
                reached = float(value[0] + error[0])
                if reached < least * (1.0 - _NEGLIGIBLE):
                    best, least = weights, reached
        return best

    def __repr__(self) -> str:
        return (
            f"RandomDesign(n_eigenvalues={len(self.eigenvalues)}, signal_energy={self.signal_energy.sum():.6g} in all,"
            f" aspect_ratio={self.aspect_ratio:.6g}, noise_variance={self.noise_variance:.6g})"
        )

    def _expand(self, ridge: SupportsFloat, n_steps: SupportsIndex, *, centred: bool) -> _Expansion:
        penalty = require_positive("ridge", ridge)
        count = require_positive_integer("n_steps", n_steps)
        with np.errstate(all="ignore"):  # what overflows is refused here, or leaves a series that is not chosen
            expansion = _RidgePath.at(self, penalty).expand(count, centred=centred)
        require_representable(expansion.gram, "the mean product of prediction errors")
        return expansion


@dataclass(frozen=True, eq=False)
class _RidgePath:
    """The limit of ridge regression around one penalty, in units of the largest eigenvalue.

    Sums run over the positive eigenvalues s: the others count as features, and have no other influence.
    """

    eigenvalues: np.ndarray
    signal: np.ndarray
    """`s·signal_energy`, in squared units of the targets."""
    noise_variance: float
    density: float
    """Aspect ratio over the number of all eigenvalues."""
    kappa: float
    """Effective penalty κ."""
    ratio: float
    """`ridge/κ = 1 − density Σ s/(s + κ)`."""

    @classmethod
    def at(cls, design: RandomDesign, ridge: float) -> _RidgePath:
        positive = design.eigenvalues > 0.0
        unit = float(design.eigenvalues.max())
        s, density = design.eigenvalues[positive] / unit, design.aspect_ratio / len(design.eigenvalues)
        log_ridge = min(max(math.log(ridge) - math.log(unit), -_LOG_RANGE), _LOG_RANGE)
        kappa = _effective_penalty(s, density, log_ridge)
        signal = design.eigenvalues[positive] * design.signal_energy[positive]
        return cls(s, signal, design.noise_variance, density, kappa, math.exp(log_ridge) / kappa)

    def expand(self, count: int, *, centred: bool) -> _Expansion:
        """Power series in v, with `κ(v)/κ = (1 + a₀ v)/(1 − (1 − a₀) v)` and `a₀ = s₀/(s₀ + κ)`.

        With `a = s/(s + κ)`, the coefficients of `1 − a` are `1 − a`, then `a (1 − a) (a − a₀)^(m − 1)`. An s₀ amid the
        eigenvalues keeps the coefficients of the prediction error from being nearly parallel; with `s₀ = 0` nothing
        cancels on the way to the changes from step to step.
        """
        s, kappa = self.eigenvalues, self.kappa
        a, b = s / (s + kappa), kappa / (s + kappa)
        slope = a * b
        of_ratio = self.density * float(np.sum(slope))
        of_ridge = self.ratio + of_ratio  # d ridge/d κ = 1 − density Σ a², without its cancellation
        weight = (slope / slope.max()) ** 2
        centre = kappa * float(weight @ a) / float(weight @ b) if centred else 0.0
        from_centre = b * (s - centre) / (centre + kappa)  # a − a₀
        # A unit of v in which no coefficient is large: of the two-point function, or of the way back to z.
        if centred:
            of_noise = self.density / of_ridge * np.array([a @ slope, slope @ slope])
            width = max(slope.max(), np.abs(from_centre).max(), of_noise[0], math.sqrt(of_noise[1]))
        else:
            width = max(1.0, of_ratio / self.ratio)
        terms = np.empty((count, len(s)))
        terms[0], terms[1:2] = b, slope / width
        for m in range(2, count):
            terms[m] = terms[m - 1] * (from_centre / width)
        z = self._z(terms, centre / (centre + kappa) / width, width)
        stretch = float(z[1]) if count > 1 else 1.0
        powers = [np.eye(count)[0]]
        for _ in range(count - 1):
            powers.append(np.convolve(powers[-1], z / stretch)[:count])
        return _Expansion(self._two_point(terms, a, of_ridge), np.stack(powers), stretch)

    def _two_point(self, terms: np.ndarray, a: np.ndarray, of_ridge: float) -> np.ndarray:
        """Power series of the limit G of the mean product of the prediction errors at two effective penalties.

        `G(κ₁, κ₂) = (Σ signal (1 − a₁)(1 − a₂) + noise_variance) / (1 − density Σ a₁ a₂)`.
        """
        numerator = (terms * self.signal) @ terms.T
        numerator[0, 0] += self.noise_variance
        denominator = -self.density * (terms @ terms.T)
        denominator[0, 1:] = denominator[1:, 0] = self.density * (terms[1:] @ a)
        denominator[0, 0] = of_ridge
        return _divide(numerator, denominator)

    def _z(self, terms: np.ndarray, a0: float, width: float) -> np.ndarray:
        """Power series of `z = 1 − ridge/ridge(v)`, with `ridge(v) = κ(v)·ratio(v)`."""
        ratio = np.concatenate([[self.ratio], self.density * np.sum(terms[1:], axis=1)])
        below = ratio + a0 * np.concatenate([[0.0], ratio[:-1]])  # ratio(v)·(1 + a₀ v)
        above = below.copy()
        above[0], above[1:2] = 0.0, ratio[1:2] + self.ratio / width  # less ratio·(1 − (1 − a₀) v)
        return _divide(above[None], below[None])[0]


@dataclass(frozen=True, eq=False)
class _Expansion:
    """Prediction error of ridge regression as a power series, `Σ v^m u_m = Σ z^k (e_{k+1} − e_k)` with `e_0 = 0`."""

    gram: np.ndarray
    """Mean products of the coefficients u_m."""
    powers: np.ndarray
    """Row k: power series of `(z/stretch)^k` in v; upper triangular with ones on the diagonal."""
    stretch: float
    """Slope of z(v) at 0; apart, since its powers may be beyond the floating-point range."""

    def gram_of_changes(self) -> np.ndarray:
        """Mean products of the changes `e_{k+1} − e_k`."""
        return self._stretched_gram() * np.outer(self._shrink, self._shrink)

    def square(self, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean square of `Σ_k tails_k (e_{k+1} − e_k)` for each column, and the size of its rounding error."""
        coefficients = scipy.linalg.solve_triangular(
            self.powers, tails * self._shrink[:, None], unit_diagonal=True, check_finite=False
        )
        values = np.sum(coefficients * (self.gram @ coefficients), axis=0)
        terms = np.sqrt(np.maximum(np.diagonal(self.gram), np.finfo(float).tiny)) @ np.abs(coefficients)
        changes = np.sqrt(np.abs(np.diagonal(self._stretched_gram())))
        moved = _ROUNDING * (changes @ (np.abs(self.powers) @ np.abs(coefficients)))  # by rounding the tails
        return values, _ROUNDING * terms**2 + moved * (2.0 * np.sqrt(np.abs(values)) + moved)

    def least_squares(self) -> tuple[np.ndarray, np.ndarray]:
        """Least mean squares of `u_0 + Σ c_m u_m` over 0, 1, 2, ... of the c_m, and `(1, c)` in columns.

        With the Cholesky factor L of the gram matrix of u_1, u_2, ... they are what the squares of `L⁻¹ ⟨u_m, u_0⟩`
        leave of `⟨u_0, u_0⟩`, one after the other: they cannot increase, whatever the rounding.
        """
        count = len(self.gram)
        scale = np.sqrt(np.maximum(np.diagonal(self.gram), 0.0))
        scale[scale == 0.0] = 1.0
        left = self.gram / scale[:, None] / scale
        left[0, 0], target = 1.0, left[0].copy()
        factor, gains = np.eye(count), np.zeros(count)
        for m in range(1, count):
            if left[m, m] > _DEPENDENT:
                column = left[m:, m] / math.sqrt(left[m, m])
                gains[m] = target[m] / column[0]
                target[m:] -= column * gains[m]
                left[m:, m:] -= np.outer(column, column)
                factor[m:, m] = column
        leading = np.triu(np.outer(-gains, np.ones(count)))
        leading[0] = 1.0
        coefficients = scipy.linalg.solve_triangular(factor, leading, lower=True, trans="T")
        return self.gram[0, 0] * (1.0 - np.cumsum(gains**2)), coefficients * (scale[0] / scale)[:, None]

    def tails(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients of the changes `e_{k+1} − e_k` from those of the u_m, for each column."""
        return self.powers @ coefficients / self._shrink[:, None]

    @property
    def _shrink(self) -> np.ndarray:
        return self.stretch ** -np.arange(len(self.gram), dtype=float)

    def _stretched_gram(self) -> np.ndarray:
        """Mean products of `stretch^k (e_{k+1} − e_k)`."""
        products = self.gram
        for _ in range(2):
            products = scipy.linalg.solve_triangular(
                self.powers, products.T, trans="T", unit_diagonal=True, check_finite=False
            )
        return (products + products.T) / 2.0


_ROUNDING = 4.0 * np.finfo(float).eps

_NEGLIGIBLE = 1e-13
"""A step that lessens the risk by a smaller share gains nothing."""

_DEPENDENT = 1e-10
"""A coefficient with a smaller share of its square outside the span of those before it is left out."""

_LOG_RANGE = 300.0 * math.log(10.0)
"""Ridges further from the largest eigenvalue are no longer told apart: beyond, the effective penalty may overflow."""


def _effective_penalty(eigenvalues: np.ndarray, density: float, log_ridge: float) -> float:
    """Find the only κ > 0 with `ridge = κ·(1 − density Σ s/(s + κ))`; it is between ridge and `ridge + density Σ s`."""

    def excess(log_kappa: float) -> float:
        """`1 − density Σ s/(s + κ) − ridge/κ`, an increasing function."""
        kappa = math.exp(log_kappa)
        near_one = eigenvalues > kappa
        # Shares near 1 are counted, and what they lack is summed: the two may nearly cancel the 1.
        rest = float(np.sum(np.where(near_one, -kappa, eigenvalues) / (eigenvalues + kappa)))
        return (1.0 - density * np.count_nonzero(near_one)) - density * rest - math.exp(log_ridge - log_kappa)

    low, high = log_ridge, float(np.logaddexp(log_ridge, np.log(density * np.sum(eigenvalues))))
    if excess(high) <= 0.0:  # rounding at the end of the bracket
        return math.exp(high)
    if excess(low) >= 0.0:
        return math.exp(low)
    return math.exp(scipy.optimize.brentq(excess, low, high, xtol=1e-15, rtol=4.0 * np.finfo(float).eps))


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient of two power series in two variables."""
    quotient = np.zeros_like(numerator)
    for j, k in np.ndindex(*numerator.shape):
        known = np.sum(denominator[: j + 1, : k + 1] * quotient[j::-1, k::-1])
        quotient[j, k] = (numerator[j, k] - known) / denominator[0, 0]
    return quotient


def _tails(label_weights: np.ndarray) -> np.ndarray:
    """Coefficients 1, s_2, ... of the changes from each pure model to the next in the last step of these weights.

    They are the tail sums of `combination_from_label_weights`, without the rounding of adding up what has cancelled.
    """
    return np.cumprod(np.concatenate([[1.0], 1.0 - label_weights[::-1]]))


def _label_weights(label_weight: Any, n_steps: int) -> np.ndarray:
    """One label weight for each of the steps 2..n_steps."""
    if (
        getattr(label_weight, "ndim", None) == 0
        or not isinstance(label_weight, Iterable)
        or isinstance(label_weight, str)
    ):
        return np.full(n_steps - 1, require_real("label_weight", label_weight))
    weights = to_numpy(require_vector("label_weight", label_weight, allow_empty=n_steps == 1))
    if len(weights) != n_steps - 1:
        raise ValueError(f"label_weight must be one number or n_steps - 1 = {n_steps - 1} of them, got {len(weights)}")
    return weights
