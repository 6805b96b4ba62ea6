"""How label weights are chosen for a held-out error: freely, within [0, 1], or from constants.

Each rule sees the changes of the held-out predictions from fit to fit, as columns in units whose squares add up to the
error: the residuals of the last fit are minus their combination with the tail sums of `kdtheory.combinations`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from kdtheory._tail_sums import optimal_label_weights
from kdtheory.combinations import tail_sums

_EPS = float(np.finfo(float).eps)


class LabelWeightRule(ABC):
    """Chooses label weights for changes of shape (n, k, n_steps)."""

    @abstractmethod
    def losses(self, changes: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses of 1, 2, … fits at every point, each of shape (n, n_steps).

        First with the best label weights, then with weights that are best without what is left out.
        """

    @abstractmethod
    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """Label weights of steps 2..n_steps."""


@dataclass(frozen=True)
class FreeWeights(LabelWeightRule):
    """Any real numbers: least squares."""

    def losses(self, changes: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `LabelWeightRule`; all numbers of fits from one orthonormal basis."""
        columns = _columns(changes)
        basis, error = _orthonormal(columns[:, 1:]), columns[:, 0]
        parts = np.concatenate([np.zeros((len(columns), 1)), basis * (basis.T @ error)], axis=1)
        residuals = error[:, None] - np.cumsum(parts, axis=1)
        k = changes.shape[1]
        return _of_points(residuals, k), _of_points(_left_out(residuals, basis, error, k, groups), k)

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """See `LabelWeightRule`."""
        return least_squares_weights(_columns(changes)[:, :n_steps], unit_interval=False, eps=eps)[0]


@dataclass(frozen=True)
class UnitIntervalWeights(LabelWeightRule):
    """Between 0 and 1: non-negative least squares."""

    def losses(self, changes: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `LabelWeightRule`; without what is left out, the same pure models take part."""
        columns, k = _columns(changes), changes.shape[1]
        basis, triangle = np.linalg.qr(columns)
        pure = np.cumsum(triangle, axis=1)  # errors of the pure models
        seen, unseen = [], []
        for count in range(1, changes.shape[2] + 1):
            tails = tail_sums(least_squares_weights(triangle[:, :count], unit_interval=True, eps=_EPS)[0])
            taking_part = np.flatnonzero(-np.diff(np.append(tails, 0.0)) > 0.0)
            directions = basis @ _orthonormal(pure[:, taking_part[1:]] - pure[:, taking_part[:1]])
            residuals = np.repeat((columns[:, :count] @ tails)[:, None], directions.shape[1] + 1, axis=1)
            left_out = _left_out(residuals, directions, basis @ pure[:, taking_part[0]], k, groups)
            seen.append(residuals[:, 0])
            unseen.append(left_out[:, -1])
        return _of_points(np.stack(seen, axis=1), k), _of_points(np.stack(unseen, axis=1), k)

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """See `LabelWeightRule`."""
        return least_squares_weights(_columns(changes)[:, :n_steps], unit_interval=True, eps=eps)[0]


@dataclass(frozen=True, eq=False)
class ConstantWeights(LabelWeightRule):
    """The best of some constants, the same for all steps."""

    constants: np.ndarray

    def losses(self, changes: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """See `LabelWeightRule`; one number chosen from a few is left as it is."""
        del groups
        columns, best = _columns(changes), self._best(changes)
        tails = np.zeros((len(best), len(best)))
        for step, constant in enumerate(best):
            tails[: step + 1, step] = tail_sums(np.full(step, constant))
        losses = _of_points(columns @ tails, changes.shape[1])
        return losses, losses

    def weights(self, changes: np.ndarray, n_steps: int, eps: float) -> np.ndarray:
        """See `LabelWeightRule`."""
        del eps
        return np.full(n_steps - 1, self._best(changes[:, :, :n_steps])[-1])

    def _best(self, changes: np.ndarray) -> np.ndarray:
        """Best constant for 1, 2, … fits."""
        triangle = np.linalg.qr(_columns(changes)).R
        sizes = np.zeros((changes.shape[2], len(self.constants)))
        for step, constant in np.ndindex(sizes.shape):
            tails = tail_sums(np.full(step, self.constants[constant]))
            sizes[step, constant] = np.linalg.norm(triangle[:, : step + 1] @ tails)
        return self.constants[np.argmin(sizes, axis=1)]


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


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis, column by column; zeros where a column adds nothing to those before it."""
    sizes = np.linalg.norm(columns, axis=0)
    sizes[sizes == 0.0] = 1.0
    basis, triangle = np.linalg.qr(columns / sizes)
    new = np.zeros(columns.shape[1], dtype=bool)
    new[: basis.shape[1]] = np.abs(np.diagonal(triangle)) > 4.0 * _EPS
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
