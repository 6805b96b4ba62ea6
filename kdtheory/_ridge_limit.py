"""The limit of ridge regression on a random design, as a power series in which every step of its students appears.

Source: the two-point function is that of Dang, Patil & Rinaldo (2026), Theorem 3.1; its series is derived for this
package, as `kdtheory.asymptotics` explains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy


@dataclass(frozen=True, eq=False)
class RidgeLimit:
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
    def at(
        cls, ridge: float, *, eigenvalues: np.ndarray, energy: np.ndarray, aspect_ratio: float, noise_variance: float
    ) -> RidgeLimit:
        """Find the limit at one penalty, for the energies of the signal on all eigenvalues."""
        positive = eigenvalues > 0.0
        unit = float(eigenvalues.max())
        s, density = eigenvalues[positive] / unit, aspect_ratio / len(eigenvalues)
        log_ridge = min(max(math.log(ridge) - math.log(unit), -_LOG_RANGE), _LOG_RANGE)
        kappa = _effective_penalty(s, density, log_ridge)
        signal = eigenvalues[positive] * energy[positive]
        return cls(s, signal, noise_variance, density, kappa, math.exp(log_ridge) / kappa)

    def expand(self, count: int, *, centred: bool) -> ErrorSeries:
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
        return ErrorSeries(self._two_point(terms, a, of_ridge), np.stack(powers), stretch)

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
class ErrorSeries:
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
"""Relative rounding error of a sum of a few products."""

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
