"""The search for the kernel width: uphill from few rows to all of them, by exact leave-one-out at every width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kdtheory._typing import Array
from kdtheory.estimators import Eigh, Nystrom, SelfDistilledKernelRidgeCV

MOST_POINTS_OF_EIGH = 5000
_FEWEST_POINTS = 150
_COARSE = (-12, -8, -4, 0, 4, 8, 12)
"""In half octaves from the inverse of the median squared distance."""

_AROUND = (-4, 0, 4, 8)
"""From where few points lead to: valleys of the error are narrow, and more points bear a narrower kernel."""

_FARTHEST = 20
_BETTER = 1e-3
"""Relative decrease of the error for which it is worth while to go on."""

_MEDIAN_OF = 500

Announce: TypeAlias = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Width:
    """What leave-one-out says of one kernel width.

    Attributes
    ----------
    gamma : float
    model : SelfDistilledKernelRidgeCV
        The best model of this width, without its search.
    point_scores : array of shape (n_ridges, n_steps, n)
        Losses of all candidates, see `SelfDistillationSearch.point_scores`; the first step is kernel ridge regression.
    score : float
        Of the best model.
    plain_ridge, plain_error : float
        The best kernel ridge regression of this width.
    predictions, plain_predictions : array of shape (n,)
        Predictions of both at points that they have not seen.
    """

    gamma: float
    model: SelfDistilledKernelRidgeCV
    point_scores: np.ndarray
    score: float
    plain_ridge: float
    plain_error: float
    predictions: np.ndarray
    plain_predictions: np.ndarray


def find_widths(
    points: Array, target: Array, *, n_steps: int, generator: np.random.Generator, announce: Announce
) -> list[Width]:
    """Try widths until neither the best model nor the best kernel ridge regression has a better one on either side.

    Half an octave apart, that is, and better by 0.1 % or more. The search starts on a quarter of the points, on half of
    them it goes on, and the drift between the two says where to start on all: from a quarter of that to sixteen times.

    Parameters
    ----------
    points : array of shape (n, d)
    target : array of shape (n,)
    n_steps : int
        Largest number of fits.
    generator : numpy.random.Generator
        For the choice of the first points.
    announce : callable
        Is told every width before it is tried.

    Returns
    -------
    list of Width
        By ascending gamma.

    Notes
    -----
    Cost: about eight eigendecompositions. A best width farther away, behind worse ones, is not found.
    """
    order = generator.permutation(len(points))
    unit = _inverse_median(points[order[:_MEDIAN_OF]])
    starts: list[int] = []
    for size in (len(points) // 4, len(points) // 2):
        if size >= _FEWEST_POINTS:
            part = order[:size]
            few = _Climb(points[part], target[part], unit, 1, lambda _: None)
            starts.append(few.best_of([starts[-1]] if starts else _COARSE, 2))
    climb = _Climb(points, target, unit, n_steps, announce)
    if starts:
        start = starts[-1] + round((starts[-1] - starts[0]) / 2) * 2
        climb.best_of([start + number for number in _AROUND], 2)
    else:
        climb.best_of(_COARSE, 2)
    climb.best_of([], 1)
    return [climb.tried[number] for number in sorted(climb.tried)]


class _Climb:
    """Widths that were tried, by their number of half octaves."""

    def __init__(self, points: Array, target: Array, unit: float, n_steps: int, announce: Announce) -> None:
        self.points, self.target, self.unit, self.n_steps, self.announce = points, target, unit, n_steps, announce
        self.tried: dict[int, Width] = {}

    def best_of(self, starts: Sequence[int], step: int) -> int:
        """Try widths, and neighbours of the best while these are better, and return the best."""
        self._try(starts)
        for error in (self._plain, self._score):
            while True:
                best = min(self.tried, key=error)
                self._try([best - step, best + step])
                if error(min(self.tried, key=error)) >= (1.0 - _BETTER) * error(best):
                    break
        return min(self.tried, key=self._score)

    def _try(self, numbers: Sequence[int]) -> None:
        for number in np.clip(numbers, -_FARTHEST, _FARTHEST).astype(int).tolist():
            if number not in self.tried:
                gamma = self.unit * 2.0 ** (number / 2)
                self.announce(gamma)
                self.tried[number] = try_width(self.points, self.target, gamma, self.n_steps)

    def _plain(self, number: int) -> float:
        return self.tried[number].plain_error

    def _score(self, number: int) -> float:
        return self.tried[number].score


def try_width(points: Array, target: Array, gamma: float, n_steps: int) -> Width:
    """Search ridges, numbers of fits and label weights at one width."""
    solver = Eigh() if len(points) <= MOST_POINTS_OF_EIGH else Nystrom()
    model = SelfDistilledKernelRidgeCV(gammas=[gamma], n_steps=n_steps, solver=solver).fit(points, target)
    search = model.search_
    del model.search_  # it holds matrices of the size of the Gram matrix
    return Width(
        gamma=gamma,
        model=model,
        point_scores=np.ascontiguousarray(search.point_scores),
        score=search.best_score,
        plain_ridge=search.plain_ridge,
        plain_error=search.plain_error,
        predictions=search.held_out_predictions,
        plain_predictions=search.plain_held_out_predictions,
    )


def _inverse_median(points: Array) -> float:
    """Inverse of the median squared distance of points that are not the same; one where all are."""
    squares = np.sum(points**2, axis=1)
    distances = np.add.outer(squares, squares) - 2.0 * points @ points.T
    apart = distances[distances > 1e-9 * (1.0 + squares.max())]
    return 1.0 / float(np.median(apart)) if len(apart) else 1.0
