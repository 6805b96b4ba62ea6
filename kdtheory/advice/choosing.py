"""How much of a gain is left when the choice is made without the points that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdtheory._typing import Array

_FOLDS = 10
_REPEATS = 20
_STANDARD_ERRORS = 2.0
LITTLE = 0.02
"""Share of the error of kernel ridge regression below which a gain is none to speak of."""


@dataclass(frozen=True)
class Gain:
    """How much lower an error is than that of kernel ridge regression, in squared units of the target.

    Attributes
    ----------
    value, standard_error : float
        The standard error is that of the paired differences of all points.
    plain_error, distilled_error : float
        Mean squared errors of kernel ridge regression, and of the model that may be distilled.

    Examples
    --------
    >>> gain = Gain.of(np.array([4.0, 1.0, 3.0]), np.array([2.0, 1.0, 2.0]))
    >>> round(gain.value, 3), round(gain.standard_error, 3), gain.verdict
    (1.0, 0.577, 'cannot be told')
    """

    value: float
    standard_error: float
    plain_error: float
    distilled_error: float

    @classmethod
    def of(cls, plain_losses: Array, losses: Array) -> Gain:
        """Give the gain from the squared errors of both at n points.

        Parameters
        ----------
        plain_losses, losses : array of shape (n,)
            Squared errors of kernel ridge regression, and of the model that may be distilled.

        Returns
        -------
        Gain
        """
        differences = plain_losses - losses
        spread = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
        return cls(float(np.mean(differences)), float(spread), float(np.mean(plain_losses)), float(np.mean(losses)))

    @property
    def share(self) -> float:
        """The gain as a share of the error of kernel ridge regression."""
        return self.value / self.plain_error if self.plain_error > 0.0 else 0.0

    @property
    def share_standard_error(self) -> float:
        """Standard error of `share`, for that error as it is."""
        return self.standard_error / self.plain_error if self.plain_error > 0.0 else 0.0

    @property
    def verdict(self) -> str:
        """`"yes"` two standard errors above 0, `"no"` two below 2 % of the error, or `"cannot be told"`."""
        if self.value > _STANDARD_ERRORS * self.standard_error:
            return "yes"
        if self.value + _STANDARD_ERRORS * self.standard_error < LITTLE * self.plain_error:
            return "no"
        return "no" if self.plain_error == 0.0 else "cannot be told"


def gain_without_hindsight(point_scores: Sequence[Array], generator: np.random.Generator) -> Gain:
    """Gain when widths, ridges and numbers of fits are chosen without the points that it is judged on.

    Parameters
    ----------
    point_scores : sequence of arrays of shape (n_ridges, n_steps, n)
        For every width, what every point adds to the score of every candidate.
    generator : numpy.random.Generator
        Deals out the points to ten folds, twenty times.

    Returns
    -------
    Gain

    Notes
    -----
    The least of many errors looks better than it is. So all candidates keep their leave-one-out errors, but the choice
    between them is made again by those of nine folds, as `search_selfdistillation` makes it, and judged by those of the
    tenth. Nothing is refitted: at the other points, the errors by which is chosen are those of models that have seen
    the tenth fold.

    Source: Tsamardinos, Greasidou & Borboudakis (2018), "Bootstrapping the out-of-sample predictions for efficient and
    accurate cross-validation", with folds for the bootstrap.

    Examples
    --------
    >>> scores = np.random.default_rng(0).uniform(size=(3, 2, 50)) / 50
    >>> scores[:, 1, :] -= 0.5 / 50
    >>> gain_without_hindsight([scores], np.random.default_rng(0)).verdict
    'yes'
    """
    n_points = point_scores[0].shape[2]
    n_folds = min(_FOLDS, n_points)
    losses, plain_losses = np.zeros(n_points), np.zeros(n_points)
    for _ in range(_REPEATS):
        folds = generator.permutation(n_points) % n_folds
        out_of = folds == np.arange(n_folds)[:, None]
        sums = [scores @ (~out_of).T.astype(float) for scores in point_scores]
        for fold, out in enumerate(out_of):
            plain, chosen = _choose(point_scores, [each[:, :, fold] for each in sums], ~out)
            plain_losses[out] += plain[out] * (n_points / _REPEATS)
            losses[out] += chosen[out] * (n_points / _REPEATS)
    return Gain.of(plain_losses, losses)


def _choose(point_scores: Sequence[Array], sums: Sequence[Array], points: Array) -> tuple[Array, Array]:
    """Scores, at all points, of the kernel ridge regression and of the model with the best sums over some points."""
    plain = min(range(len(sums)), key=lambda width: float(np.min(sums[width][:, 0])))
    found: list[tuple[float, Array]] = []
    for scores, of_points in zip(point_scores, sums, strict=True):
        ridges = np.argmin(of_points, axis=0)
        tops = of_points[ridges, np.arange(len(ridges))]
        step = _fewest_fits(scores[ridges, np.arange(len(ridges))], tops, points)
        found.append((float(tops[step]), scores[ridges[step], step]))
    best = min(found, key=lambda each: each[0])
    return point_scores[plain][np.argmin(sums[plain][:, 0]), 0], best[1]


def _fewest_fits(scores: Array, sums: Array, points: Array) -> int:
    """Fewest fits within one standard error of the best, and better than one fit; see `search_selfdistillation`."""
    best = int(np.argmin(sums))
    worse = scores[:, points] - scores[best, points]
    allowed = np.std(worse, axis=1, ddof=1) * np.sqrt(worse.shape[1])
    fits = (sums - sums[best] <= allowed) & (sums < sums[0])
    fits[0] = sums[0] - sums[best] <= allowed[0]
    return int(np.argmax(fits)) if np.any(fits) else 0
