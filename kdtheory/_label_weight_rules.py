"""Rules by which label weights are chosen for a held-out error: freely, under a constraint, or from constants.

Each rule sees the changes of the held-out predictions from fit to fit, as columns in units whose squares add up to the
error: the residuals of the last fit are minus their combination with the tail sums of `kdtheory.combinations`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from kdtheory._interop import to_numpy
from kdtheory._tail_sums import convex_shares, off_zero, optimal_label_weights
from kdtheory._validation import require_vector
from kdtheory.combinations import break_stick, tail_sums

_EPS = float(np.finfo(float).eps)
_BINOMIAL_FITS = 12


class LabelWeightRule(ABC):
    """A set of label weights to choose from; subclasses are frozen dataclasses.

    Examples
    --------
    >>> from kdtheory import ConstantWeights, search_selfdistillation
    >>> K, y = [[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]], [1.0, 0.5, -1.0]
    >>> rule = ConstantWeights([0.25, 0.5])
    >>> isinstance(rule, LabelWeightRule)
    True
    >>> found = search_selfdistillation(K, y, ridges=[0.5], n_steps=2, label_weights=rule)
    >>> float(found.label_weights_of(0, 2)[0]) in rule.constants
    True
    """

    @abstractmethod
    def losses(self, changes: np.ndarray, groups: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses of 1, 2, … fits at every point.

        Parameters
        ----------
        changes : array of shape (n, k, n_steps)
            Changes of the held-out predictions from fit to fit, in units whose squares add up to the error.
        groups : array of n integers, or None
            Points that are left out together; None where they are left out one by one.
        eps : float
            Rounding of the changes, relative to their size.

        Returns
        -------
        seen : array of shape (n, n_steps)
            With the best label weights.
        unseen : array of shape (n, n_steps)
            With weights that are best without what is left out.
        """

    @abstractmethod
    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """Choose the label weights of steps 2..n_steps.

        Parameters
        ----------
        changes : array of shape (n, k, n_changes)
            As for `losses`, of at least n_steps fits.
        n_steps : int
            Number of fits.
        eps : float
            Rounding of the changes, relative to their size.

        Returns
        -------
        array of shape (n_steps - 1,)
        """


@dataclass(frozen=True)
class FreeWeights(LabelWeightRule):
    """Any real numbers: the least squared held-out error of all.

    With few points, or with a ridge so small that the teacher all but interpolates, this fits the noise in the held-out
    errors: the students can be far worse than they look. `MonotoneWeights` are safe.

    Notes
    -----
    Derived for this package: one least-squares problem, whose nested solutions come from one orthonormal basis.

    Examples
    --------
    >>> from kdtheory import search_selfdistillation
    >>> K, y = [[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]], [1.0, 0.5, -1.0]
    >>> free = search_selfdistillation(K, y, ridges=[0.5], n_steps=3, label_weights=FreeWeights())
    >>> safe = search_selfdistillation(K, y, ridges=[0.5], n_steps=3)
    >>> bool(free.errors[0, 2] <= safe.errors[0, 2])
    True
    """

    def losses(self, changes: np.ndarray, groups: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """As `LabelWeightRule.losses`, all numbers of fits from one orthonormal basis."""
        columns, k = _columns(changes), changes.shape[1]
        basis, error = _orthonormal(columns[:, 1:], eps), columns[:, 0]
        parts = np.concatenate([np.zeros((len(columns), 1)), basis * (basis.T @ error)], axis=1)
        residuals = error[:, None] - np.cumsum(parts, axis=1)
        return _of_points(residuals, k), _of_points(_left_out(residuals, basis, error, k, groups), k)

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """As `LabelWeightRule.weights`."""
        return least_squares_weights(_columns(changes)[:, :n_steps], unit_interval=False, eps=eps)[0]


class _HullWeights(LabelWeightRule):
    """Weights that make the model a weighted mean of some others, which are combinations of the pure ones."""

    @abstractmethod
    def vertices(self, n_steps: int) -> np.ndarray:
        """Give the models to average.

        Parameters
        ----------
        n_steps : int
            Number of fits.

        Returns
        -------
        array of shape (n_models, n_steps)
            Tail sums of each model's label weights.
        """

    def losses(self, changes: np.ndarray, groups: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """As `LabelWeightRule.losses`; without what is left out, the same models take part."""
        k = changes.shape[1]
        basis, triangle = np.linalg.qr(_columns(changes))
        seen, unseen = [], []
        for count in range(1, changes.shape[2] + 1):
            errors = triangle[:, :count] @ self.vertices(count).T
            shares = convex_shares(errors)
            taking_part = np.flatnonzero(shares > 0.0)
            others = errors[:, taking_part[1:]] - errors[:, taking_part[:1]]
            directions = basis @ _orthonormal(others, eps)
            residuals = np.repeat((basis @ (errors @ shares))[:, None], directions.shape[1] + 1, axis=1)
            left_out = _left_out(residuals, directions, basis @ errors[:, taking_part[0]], k, groups)
            seen.append(residuals[:, 0])
            unseen.append(left_out[:, -1])
        return _of_points(np.stack(seen, axis=1), k), _of_points(np.stack(unseen, axis=1), k)

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """As `LabelWeightRule.weights`."""
        triangle = np.linalg.qr(_columns(changes)[:, :n_steps]).R
        vertices = self.vertices(n_steps)
        tails = convex_shares(triangle @ vertices.T) @ vertices
        return break_stick(off_zero(tails, np.linalg.norm(triangle, axis=0), eps)[0])


@dataclass(frozen=True)
class UnitIntervalWeights(_HullWeights):
    """Between 0 and 1: weighted means of the pure models, of label weight 0.

    Notes
    -----
    Means with weights >= 0 are what Breiman (1996), "Stacked regressions", stacks models with.

    Examples
    --------
    >>> from kdtheory import search_selfdistillation
    >>> K, y = [[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]], [1.0, 0.5, -1.0]
    >>> found = search_selfdistillation(K, y, ridges=[0.5], n_steps=3, label_weights=UnitIntervalWeights())
    >>> weights = found.label_weights_of(0, 3)
    >>> bool((weights >= 0.0).all() and (weights <= 1.0).all())
    True
    """

    def vertices(self, n_steps: int) -> np.ndarray:
        """Give the tail sums of the pure models, of label weight 0."""
        return np.tri(n_steps)


@dataclass(frozen=True)
class MonotoneWeights(_HullWeights):
    """Weights with which the shrinkage rises from 0 to 1 with the eigenvalue, as that of ridge regression does.

    No direction of the data is then amplified or turned round, and none kept less than one of a smaller eigenvalue, so
    that a student cannot be wild however its weights were chosen. With `a = d/(d + ridge)` the shrinkages are weighted
    means of `P(at least k heads in n tosses of a coin with the chance a)`, k = 1, …, n for n fits: from `1 − (1 − a)ⁿ`,
    which is boosting, to `aⁿ`, which is pure distillation, and steep steps between. They contain all label weights in
    [0, 1].

    Notes
    -----
    That the means must have weights >= 0 is what makes stacking safe: Breiman (1996), "Stacked regressions". The
    binomial tails are the monotone ones of Bernstein's polynomials; derived for this package.

    Examples
    --------
    >>> MonotoneWeights().vertices(2)  # twice a teacher less its student, 1 − (1 − a)², and the student, a²
    array([[ 1., -1.],
           [ 1.,  1.]])
    """

    def vertices(self, n_steps: int) -> np.ndarray:
        """Give those of binomial tails; beyond 12 fits, where these cancel too many digits, of pure models too."""
        return _binomial_vertices(n_steps)


@dataclass(frozen=True)
class ConstantWeights(LabelWeightRule):
    """The best of some constants, the same for all steps; one alone is a fixed label weight.

    Parameters
    ----------
    constants : array of shape (m,)
        Any real numbers.

    Raises
    ------
    ValueError, TypeError
        When the constants are not a sequence of finite real numbers.

    Examples
    --------
    >>> ConstantWeights([0.0, 0.5])
    ConstantWeights(constants=(0.0, 0.5))
    """

    constants: Any

    def __post_init__(self) -> None:
        constants = to_numpy(require_vector("label_weights", self.constants))
        object.__setattr__(self, "constants", tuple(constants.tolist()))

    def losses(self, changes: np.ndarray, groups: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
        """As `LabelWeightRule.losses`; one number chosen from a few is left as it is."""
        del groups, eps
        columns, best = _columns(changes), self._best(changes)
        tails = np.zeros((len(best), len(best)))
        for step, constant in enumerate(best):
            tails[: step + 1, step] = tail_sums(np.full(step, constant))
        losses = _of_points(columns @ tails, changes.shape[1])
        return losses, losses

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """As `LabelWeightRule.weights`."""
        del eps
        return np.full(n_steps - 1, self._best(changes[:, :, :n_steps])[-1])

    def _best(self, changes: np.ndarray) -> np.ndarray:
        """Best constant for 1, 2, … fits."""
        triangle = np.linalg.qr(_columns(changes)).R
        sizes = np.zeros((changes.shape[2], len(self.constants)))
        for step, constant in np.ndindex(sizes.shape):
            tails = tail_sums(np.full(step, self.constants[constant]))
            sizes[step, constant] = np.linalg.norm(triangle[:, : step + 1] @ tails)
        return np.array(self.constants)[np.argmin(sizes, axis=1)]


@cache
def _binomial_vertices(n_steps: int) -> np.ndarray:
    """Tail sums of the binomial tails, made once: a search asks for them thousands of times."""
    n = min(n_steps, _BINOMIAL_FITS)
    combinations = np.zeros((n_steps, n_steps))
    for k in range(1, n + 1):
        for j in range(k, n + 1):
            combinations[k - 1, j - 1] = (-1) ** (j - k) * math.comb(j - 1, k - 1) * math.comb(n, j)
    combinations[range(n, n_steps), range(n, n_steps)] = 1.0
    vertices = np.cumsum(combinations[:, ::-1], axis=1)[:, ::-1]
    vertices.flags.writeable = False
    return vertices


def _columns(changes: np.ndarray) -> np.ndarray:
    """Errors of the first fit, then what each further fit takes from them, as columns of shape (n·k, n_steps)."""
    return -changes.reshape(-1, changes.shape[2])


def _of_points(residuals: np.ndarray, n_outputs: int) -> np.ndarray:
    """Losses of the points from the residuals of all outputs."""
    return np.add.reduceat(residuals**2, np.arange(0, len(residuals), n_outputs))


def least_squares_weights(changes: np.ndarray, *, unit_interval: bool, eps: float) -> tuple[np.ndarray, bool]:
    """Label weights of least squared error, and whether they only approach it; see `optimal_label_weights`.

    `changes` has a column for each fit, of either sign. The orthogonal factor of the columns changes no length, so that
    only the small triangular one is searched.
    """
    if changes.shape[1] == 1:
        return np.zeros(0), False
    triangle = np.linalg.qr(changes[:, [*range(1, changes.shape[1]), 0]]).R
    steps, error = triangle[:, :-1], triangle[:, -1]

    def reached(weights: np.ndarray) -> float:
        return float(np.linalg.norm(error + steps @ tail_sums(weights)[1:]))

    return optimal_label_weights(steps, error, reached, eps=eps, unit_interval=unit_interval)


def _orthonormal(columns: np.ndarray, eps: float) -> np.ndarray:
    """Orthonormal basis, column by column; zeros where a column adds nothing but rounding to those before it."""
    sizes = np.linalg.norm(columns, axis=0)
    sizes[sizes == 0.0] = 1.0
    basis, triangle = np.linalg.qr(columns / sizes)
    new = np.zeros(columns.shape[1], dtype=bool)
    new[: basis.shape[1]] = np.abs(np.diagonal(triangle)) > 4.0 * eps
    padded = np.zeros_like(columns)
    padded[:, : basis.shape[1]] = basis
    return padded * new


def _left_out(
    residuals: np.ndarray, basis: np.ndarray, error: np.ndarray, n_outputs: int, groups: np.ndarray | None
) -> np.ndarray:
    """Residuals at what is left out of the least squares, too, over the first 0, 1, 2, … vectors of the basis.

    Without the rows S the coefficients are `(I − B_Sᵀ B_S)⁻¹ (θ − B_Sᵀ e_S)`; for one row that is the residual over one
    minus its leverage. The leverages of several outputs of a point are added up, a bound.
    """
    if groups is None:
        leverages = np.cumsum(_of_points(basis, n_outputs), axis=1)
        leverages = np.concatenate([np.zeros((len(leverages), 1)), leverages], axis=1)
        return residuals / np.repeat(np.maximum(1.0 - leverages, _EPS), n_outputs, axis=0)
    left_out, coefficients = residuals.copy(), basis.T @ error
    rows_of = np.repeat(groups, n_outputs)
    for group in range(int(groups.max()) + 1):
        rows = rows_of == group
        inside, own = basis[rows], error[rows]
        others = np.eye(basis.shape[1]) - inside.T @ inside
        right = coefficients - inside.T @ own
        for count in range(1, basis.shape[1] + 1):
            solved = np.linalg.lstsq(others[:count, :count], right[:count], rcond=_EPS)[0]
            left_out[rows, count] = own - inside[:, :count] @ solved
    return left_out
