"""Label weights of least squared error, in the tail sums of the coefficients in which that error is linear.

A model of τ steps is `f_1 − Σ_j s_{j+1} (f_j − f_{j+1})` with the pure models `f_j` and the tail sums `s_j = c_j + … +
c_τ` of `kdtheory.combinations`. Whatever squared error is to be least, over validation points or over the modes of an
expected risk, is then an ordinary least-squares problem.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import scipy

from kdtheory.combinations import break_stick


class LabelWeightWarning(UserWarning):
    """The best label weights are not unique, or no finite ones reach the best model."""


def warn_if_unreachable(unreachable: bool, *, stacklevel: int) -> None:
    """Warn the caller of a public function, `stacklevel` calls above, that its label weights only approach the best."""
    if unreachable:
        message = "no finite label weights reach the best combination; they approach it"
        warnings.warn(message, LabelWeightWarning, stacklevel=stacklevel + 1)


def optimal_label_weights(
    steps: np.ndarray,
    error: np.ndarray,
    reached: Callable[[np.ndarray], float],
    *,
    eps: float,
    unit_interval: bool,
) -> tuple[np.ndarray, bool]:
    """Label weights of steps 2..n_steps for which `‖error + Σ_j s_{j+1} steps_j‖` is least.

    Parameters
    ----------
    steps : array of shape (m, n_steps - 1)
        Columns `f_j − f_{j+1}`.
    error : array of shape (m,)
        Error of the first fit, what is aimed at minus `f_1`.
    reached : function of label weights
        The error that they reach when they are used, rounding included.
    eps : float
        Rounding of the arithmetic in which they will be used.
    unit_interval : bool
        Keep every weight in [0, 1].

    Returns
    -------
    label weights, and whether no finite ones reach the best combination, so that these only approach it.
    """
    unit = max(float(np.max(np.abs(error))), float(np.max(np.abs(steps)))) or 1.0
    steps, error = steps / unit, error / unit
    if unit_interval:
        return break_stick(_simplex_tails(steps, error)), False
    influence = np.concatenate([[0.0], np.linalg.norm(steps, axis=0)])
    best, moved, least = np.ones(steps.shape[1]), False, math.inf  # plain kernel ridge regression
    for exact_tails in _affine_tails(steps, error):
        tails, was_zero = off_zero(exact_tails, influence, eps)
        weights = break_stick(tails)
        # The error that the weights reach where they were chosen, and what their rounding may add to it elsewhere.
        size = reached(weights) / unit + eps * float(np.sum(np.abs(tails) * influence))
        if size < least:
            best, moved, least = weights, was_zero, size
    return best, moved


def _affine_tails(steps: np.ndarray, error: np.ndarray) -> Iterator[np.ndarray]:
    """Tail sums s_1 = 1, s_2, ... that minimise `‖error + Σ_j s_{j+1} (f_j − f_{j+1})‖`.

    First over no direction, then over the first, the first two, ...: each adds to an orthonormal basis of those before
    it. What a late direction adds may be smaller than what its rounding costs, so the caller chooses.
    """
    largest = np.max(np.abs(steps), axis=0)
    largest[largest == 0.0] = 1.0
    norms = np.maximum(np.linalg.norm(steps / largest, axis=0), np.finfo(float).tiny)
    directions = steps / largest / norms
    new_parts = np.zeros(directions.shape[1])
    diagonal = np.abs(np.diagonal(np.linalg.qr(directions, mode="r")))
    new_parts[: len(diagonal)] = diagonal
    independent = np.flatnonzero(new_parts > 4.0 * np.finfo(float).eps)
    for count in range(len(independent) + 1):
        kept = independent[:count]
        tails = np.zeros(directions.shape[1])
        if count:
            tails[kept] = np.linalg.lstsq(directions[:, kept], -error, rcond=0.0)[0]
        yield np.concatenate([[1.0], tails / norms / largest])


def _simplex_tails(steps: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Tail sums of the best combination with coefficients >= 0."""
    zero = np.zeros((error.shape[0], 1))
    errors = error[:, None] + np.concatenate([zero, np.cumsum(steps, axis=1)], axis=1)
    return np.cumsum(convex_shares(errors)[::-1])[::-1]


def convex_shares(errors: np.ndarray) -> np.ndarray:
    """Shares >= 0 with the sum 1 for which the weighted mean of the columns is shortest.

    The shortest vector in their convex hull points along the solution of a non-negative least-squares problem with one
    row more, whose weight only scales that solution.
    """
    row = np.linalg.norm(errors) or 1.0
    system = np.concatenate([errors / row, np.ones((1, errors.shape[1]))])
    target = np.zeros(system.shape[0])
    target[-1] = 1.0
    shares = scipy.optimize.nnls(system, target)[0]
    return shares / np.sum(shares)


def off_zero(tails: np.ndarray, influence: np.ndarray, eps: float) -> tuple[np.ndarray, bool]:
    """Move tail sums of zero that have anything behind them off zero, and say whether any was.

    Only then do finite label weights exist. Moving `s_j` by δ changes the model by `δ·influence_j`, the length of its
    step. But step `τ − j + 2` then has the label weight `1 − δ/s_{j−1}`, whose rounding is a share `eps·s_{j−1}/δ` of
    δ and so of all that lies behind. The best δ balances the two.
    """
    tails, moved = tails.copy(), False
    for j in range(1, len(tails) - 1):
        behind = float(np.max(np.abs(tails[j + 1 :] * influence[j + 1 :])))
        nearest = math.sqrt(eps * abs(tails[j - 1]) * behind / (influence[j] or 1.0))
        if abs(tails[j]) < nearest:
            tails[j] = math.copysign(nearest, tails[j])
            moved = True
    return tails, moved
