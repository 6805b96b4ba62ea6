"""Candidates of a search: their held-out losses, and how they compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kdtheory._label_weight_rules import LabelWeightRule
from kdtheory._validation import require_representable
from kdtheory.combinations import tail_sums

_ROUNDING = 1e3 * float(np.finfo(float).eps)
"""Of sums of squares, relative to them."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Every ridge and number of fits, with the best label weights by a rule.

    Attributes
    ----------
    changes : array of shape (n_steps, n_ridges, n, k)
        Changes of the held-out predictions from fit to fit.
    rounding : array of shape (n_ridges,)
        Their rounding, relative to their size.
    shares : array of shape (n,)
        Share of each point in the error.
    groups : array of n integers, or None for points that are left out one by one
    rule : LabelWeightRule
    separate : bool
        Whether every output has label weights of its own.
    """

    changes: np.ndarray
    rounding: np.ndarray
    shares: np.ndarray
    groups: np.ndarray | None
    rule: LabelWeightRule
    separate: bool

    @cached_property
    def losses(self) -> tuple[np.ndarray, np.ndarray]:
        """See `LabelWeightRule.losses`: each of shape (n_ridges, n, n_steps)."""
        found = [
            np.sum([self.rule.losses(block, self.groups, eps) for block in self.blocks(ridge)], axis=0)
            for ridge, eps in enumerate(self.rounding)
        ]
        seen, unseen = np.moveaxis(np.array(found), 1, 0)
        return seen, unseen

    def blocks(self, ridge: int) -> list[np.ndarray]:
        """Return changes that share label weights, (n, k, n_steps), in units whose squares add up to errors."""
        unit = np.sqrt(self.shares / self.changes.shape[3])
        scaled = np.moveaxis(self.changes[:, ridge, :, :], 0, -1) * unit[:, None, None]
        return [scaled[:, [output], :] for output in range(scaled.shape[1])] if self.separate else [scaled]

    @cached_property
    def _small_blocks(self) -> list[list[np.ndarray]]:
        """Blocks of every ridge with the same scalar products of their columns in as few rows as there are columns."""
        return [
            [np.linalg.qr(block.reshape(-1, block.shape[2])).R[:, None, :] for block in self.blocks(ridge)]
            for ridge in range(len(self.rounding))
        ]

    def weights(self, ridge: int, n_steps: int) -> np.ndarray:
        """Label weights of shape (n_steps - 1,) or (n_steps - 1, k)."""
        chosen = self._weights_of_blocks(ridge, n_steps)
        return np.stack(chosen, axis=1) if self.separate else chosen[0]

    def _weights_of_blocks(self, ridge: int, n_steps: int) -> list[np.ndarray]:
        return [self.rule.weights(block, n_steps, self.rounding[ridge]) for block in self._small_blocks[ridge]]

    @cached_property
    def errors(self) -> np.ndarray:
        """Held-out errors with the label weights as they are, shape (n_ridges, n_steps).

        Where finite weights only approach the best model, or cancel to many digits, these are larger than the losses.
        """
        errors = np.zeros((len(self.rounding), self.changes.shape[0]))
        with np.errstate(over="ignore", invalid="ignore"):
            for ridge, last in np.ndindex(errors.shape):
                chosen = zip(self._small_blocks[ridge], self._weights_of_blocks(ridge, last + 1), strict=True)
                residuals = [block[:, 0, : last + 1] @ tail_sums(label_weights) for block, label_weights in chosen]
                errors[ridge, last] = np.sum(np.square(residuals))
        return require_representable(errors, "the held-out error")

    @cached_property
    def scores(self) -> np.ndarray:
        """Errors when the label weights, too, are chosen without what is left out, shape (n_ridges, n_steps)."""
        with np.errstate(over="ignore", invalid="ignore"):
            scores = np.maximum(np.sum(self.losses[1], axis=1), self.errors)
        return require_representable(scores, "the score")

    def losses_with(self, ridge: int, label_weights: np.ndarray) -> np.ndarray:
        """Loss of every point with these label weights, shape (n,)."""
        return self.shares * np.mean(self.residuals(ridge, label_weights) ** 2, axis=1)

    def standard_error(self, differences: np.ndarray) -> float:
        """Of a weighted mean, of which `differences` are the terms, over points or groups."""
        deviations = differences - self.shares * np.sum(differences)
        weighed = self.shares > 0.0
        if self.groups is not None:
            deviations = np.bincount(self.groups, weights=deviations)
            weighed = np.bincount(self.groups, weights=weighed) > 0.0
        count, largest = int(np.count_nonzero(weighed)), float(np.max(np.abs(deviations)))
        if count < 2 or largest == 0.0:
            return 0.0
        return largest * float(np.sqrt(np.sum((deviations / largest) ** 2) * count / (count - 1)))

    def residuals(self, ridge: int, label_weights: np.ndarray) -> np.ndarray:
        """Targets minus held-out predictions with these label weights, shape (n, k)."""
        changes = self.changes[: len(label_weights) + 1, ridge, :, :]
        if label_weights.ndim == 1:
            return -np.tensordot(tail_sums(label_weights), changes, axes=1)
        columns = [tail_sums(column) @ changes[:, :, output] for output, column in enumerate(label_weights.T)]
        return -np.stack(columns, axis=1)

    def fewest_fits(self, scores: np.ndarray, ridge_of: np.ndarray, within: float) -> int:
        """Return the smallest number of fits that, at its best ridge, scores as well as the best of all.

        As well means within some standard errors of the paired difference, or within rounding.
        """
        best_of = scores[ridge_of, np.arange(len(ridge_of))]
        best = int(np.argmin(best_of))
        for count, (ridge, score) in enumerate(zip(ridge_of, best_of, strict=True)):
            worse = self.losses[1][ridge, :, count] - self.losses[1][ridge_of[best], :, best]
            allowed = max(within * self.standard_error(worse), _ROUNDING * best_of[best])
            if score - best_of[best] <= allowed and (count == 0 or score < best_of[0]):
                return count + 1
        return 1
