"""Targets in the eigenbasis, where every risk is a sum over independent modes: plain numpy in double precision."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from kdtheory._tail_sums import optimal_label_weights


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """Energies of signal and noise in every mode; risks are means over points and outputs.

    Parameters
    ----------
    eigenvalues : array of shape (r,)
        Descending, > 0.
    energy : array of shape (r,)
        Squared components of the signal, summed over the outputs.
    noise : float
        Noise variance, times the number of outputs.
    outside : float
        Squared size of what lies outside all modes, which no filter reaches.
    n_points, n_outputs : int
    eps : float
        Rounding of the arithmetic in which the eigenvalues were computed.
    """

    eigenvalues: np.ndarray
    energy: np.ndarray
    noise: float
    outside: float
    n_points: int
    n_outputs: int
    eps: float

    @property
    def size(self) -> int:
        """Number of targets, over which risks are means."""
        return self.n_points * self.n_outputs

    @cached_property
    def levels(self) -> np.ndarray:
        """Number of the level of each eigenvalue; those closer than the rounding of a decomposition share one."""
        return level_numbers(self.eigenvalues, self.n_points * self.eps)

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return int(np.max(self.levels, initial=-1)) + 1

    @cached_property
    def best_shrinkage(self) -> np.ndarray:
        """The Wiener filter: on each level the signal's share of all energy."""
        energy, noise = self._level_energies
        return np.divide(energy, energy + noise, out=np.zeros_like(energy), where=energy + noise > 0.0)[self.levels]

    @cached_property
    def floor(self) -> float:
        """Risk of the Wiener filter."""
        energy, noise = self._level_energies
        share = np.divide(energy, energy + noise, out=np.zeros_like(energy), where=energy + noise > 0.0)
        return (float(np.sum(share * noise)) + self.outside) / self.size

    def risk(self, shrinkage: np.ndarray, residual: np.ndarray) -> float:
        """Squared bias plus variance of one filter."""
        return float(np.sum(residual**2 * self.energy + self.noise * shrinkage**2) + self.outside) / self.size

    def ridge_risk(self, ridge: float) -> float:
        """Risk of kernel ridge regression."""
        return self.risk(*self._ridge(ridge))

    def ridge_slope(self, ridge: float) -> float:
        """Return the derivative of `ridge_risk` with respect to the logarithm of the ridge."""
        return 2.0 * float(np.sum(self._surplus(ridge))) / self.size

    def ridge_curvature(self, ridge: float) -> float:
        """Inner product of the error with the second derivative of the ridge path, where the slope is zero."""
        a, _ = self._ridge(ridge)
        return 2.0 * float(np.sum(self._surplus(ridge) * a)) / self.size

    def one_step(self, ridge: float) -> tuple[float, float]:
        """Best label weight of a second fit, and how much it lowers the risk of the first."""
        a, b = self._ridge(ridge)
        change = float(np.sum((a * b) ** 2 * (self.energy + self.noise))) / self.size
        half_slope = float(np.sum(self._surplus(ridge))) / self.size
        if not change > 0.0:
            return 1.0, 0.0
        return 1.0 + half_slope / change, half_slope * (half_slope / change)

    def best_ridge(self) -> tuple[float, bool]:
        """Ridge of least risk, and whether it lies inside; else it is the end of the range that was searched."""
        grid = self.ridge_grid
        kept, missing = self.squares_on(grid)
        return self.best_ridge_near(grid, missing @ self.energy + self.noise * np.sum(kept, axis=1))

    @cached_property
    def ridge_grid(self) -> np.ndarray:
        """Logarithms of penalties, a range that holds the best one if there is any.

        The slope of the risk is `Σ w`, each w of the sign of `ridge·energy − noise·d`: negative below the least
        `noise·d/energy`. Above all eigenvalues it is positive from about `noise·Σd²/Σ(d·energy)` on.
        """
        d, energy = self.eigenvalues, self.energy
        if len(d) == 0:
            return np.zeros(1)
        low, high = math.log(d[-1]), math.log(d[0])
        shown = energy > 0.0
        if np.any(shown) and self.noise > 0.0:
            log_noise, log_energy = math.log(self.noise), np.log(energy[shown]) - np.log(d[shown])
            low = min(low, log_noise - float(np.max(log_energy)))
            high = max(high, log_noise + 2.0 * math.log(d[0]) - float(np.max(log_energy + 2.0 * np.log(d[shown]))))
            high += math.log(len(d))
        low, high = max(low - _MARGIN, -LIMIT), min(high + _MARGIN, LIMIT)
        return np.linspace(low, high, max(math.ceil((high - low) / _STEP), 2) + 1)

    def squares_on(self, log_ridges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared shrinkage and squared residual of every mode, one row for each ridge."""
        ridges = np.exp(log_ridges)[:, None]
        half_sum = 0.5 * self.eigenvalues + 0.5 * ridges
        return (0.5 * self.eigenvalues / half_sum) ** 2, (0.5 * ridges / half_sum) ** 2

    def best_ridge_near(self, grid: np.ndarray, risks: np.ndarray) -> tuple[float, bool]:
        """Find the best ridge from the risks on a grid, up to a constant factor and summand."""
        best = int(np.argmin(risks))

        def slope(log_ridge: float) -> float:
            return self.ridge_slope(math.exp(log_ridge))

        if best in (0, len(grid) - 1) or not slope(grid[best - 1]) < 0.0 < slope(grid[best + 1]):
            return math.exp(grid[best]), False  # at an end, or flat to the last digit
        return math.exp(scipy.optimize.brentq(slope, grid[best - 1], grid[best + 1], xtol=1e-14)), True

    def label_weights(self, ridge: float, n_steps: int, *, unit_interval: bool = False) -> tuple[np.ndarray, bool]:
        """Label weights of least risk, and whether no finite ones reach the best combination."""
        if n_steps == 1 or len(self.eigenvalues) == 0:
            return np.ones(n_steps - 1), False
        a, b = self._ridge(ridge)
        weight = np.sqrt(self.energy + self.noise)
        # Of equal eigenvalues only the mean error counts, so the target may be the best shrinkage of each level.
        error = weight * (self.best_shrinkage - a)
        steps = (weight * b)[:, None] * a[:, None] ** np.arange(1, n_steps)

        def reached(label_weights: np.ndarray) -> float:
            return float(np.linalg.norm(weight * (self.best_shrinkage - chain(a, b, label_weights)[0])))

        return optimal_label_weights(steps, error, reached, eps=np.finfo(float).eps, unit_interval=unit_interval)

    def steps_risk(self, ridge: float, n_steps: int) -> float:
        """Least risk of self-distillation with n_steps fits."""
        a, b = self._ridge(ridge)
        return self.risk(*chain(a, b, self.label_weights(ridge, n_steps)[0]))

    def _ridge(self, ridge: float) -> tuple[np.ndarray, np.ndarray]:
        half_sum = 0.5 * self.eigenvalues + 0.5 * ridge  # the sum itself may be beyond the range
        return 0.5 * self.eigenvalues / half_sum, 0.5 * ridge / half_sum

    def _surplus(self, ridge: float) -> np.ndarray:
        """Signal still missing minus noise still kept, in every mode, with the weight of its place on the path."""
        a, b = self._ridge(ridge)
        return (b * self.energy - a * self.noise) * a * b

    @cached_property
    def _level_energies(self) -> tuple[np.ndarray, np.ndarray]:
        energy = np.bincount(self.levels, self.energy).astype(float)  # integers when there is nothing to count
        return energy, self.noise * np.bincount(self.levels)


_MARGIN = math.log(1e4)
"""How far beyond its bounds the best ridge is looked for."""

LIMIT = 705.0
"""Logarithm of the largest and of one over the smallest penalty that is looked at."""

_STEP = 0.25
"""Step of that search in the logarithm of the ridge; no single mode's risk turns faster."""


def chain(shrinkage: np.ndarray, residual: np.ndarray, label_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrinkage and residual of the last fit, each student of one base filter."""
    b, r = shrinkage, residual
    for label_weight in label_weights:
        r = residual + (1.0 - label_weight) * shrinkage * r
        b = np.where(np.abs(b) < 0.5, shrinkage * (label_weight + (1.0 - label_weight) * b), 1.0 - r)
    return b, r


def level_numbers(eigenvalues: np.ndarray, tolerance: float) -> np.ndarray:
    """Give descending eigenvalues the numbers of their levels; a level ends where one is too far below its first.

    The tolerance is relative to the largest.
    """
    numbers = np.zeros(len(eigenvalues), dtype=int)
    if len(eigenvalues):
        allowed, first = tolerance * eigenvalues[0], eigenvalues[0]
        for i in range(1, len(eigenvalues)):
            new = first - eigenvalues[i] > allowed
            numbers[i] = numbers[i - 1] + new
            first = eigenvalues[i] if new else first
    return numbers


def averaging_groups(levels: np.ndarray) -> np.ndarray:
    """Give modes the numbers of the groups in which they are averaged; groups grow by a fifth and divide no level."""
    edges = [0]
    while edges[-1] < len(levels):
        edges.append(max(edges[-1] + 1, int(1.2 * edges[-1])))
    group = np.searchsorted(edges, np.arange(len(levels)), side="right")
    first_of_level = np.unique(levels, return_index=True)[1]
    return group[first_of_level][levels]


def without_noise(observed: SequenceModel) -> SequenceModel:
    """Take the expected noise from the squares of observed components, each for itself."""
    beyond = observed.n_points - len(observed.energy)
    return dataclasses.replace(
        observed, energy=observed.energy - observed.noise, outside=observed.outside - beyond * observed.noise
    )


def denoised(observed: SequenceModel, groups: np.ndarray) -> SequenceModel:
    """Take it group by group, and leave no energy negative."""
    surplus = without_noise(observed)
    numbers = np.unique(groups, return_inverse=True)[1]
    energy = np.maximum(np.bincount(numbers, surplus.energy), 0.0) / np.bincount(numbers)
    return dataclasses.replace(observed, energy=energy[numbers], outside=max(surplus.outside, 0.0))


def observe_again(model: SequenceModel, rng: np.random.Generator) -> SequenceModel:
    """Add noise to every component, all of a mode's signal being in one of its outputs."""
    spread = np.sqrt(model.noise / model.n_outputs)
    noise = spread * rng.standard_normal((len(model.energy), model.n_outputs))
    noise[:, 0] += np.sqrt(model.energy)
    beyond = model.n_outputs * (model.n_points - len(model.energy))
    outside = rng.noncentral_chisquare(beyond, model.outside / spread**2) * spread**2 if beyond and spread else 0.0
    return dataclasses.replace(model, energy=np.sum(noise**2, axis=1), outside=float(outside))
