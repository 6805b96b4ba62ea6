"""Linear models of low rank that score all labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse

from kdtheory._validation import require_array, require_ndim, require_positive_integer
from kdtheory.retrieval import LabelledRows, precision_at_k

SCORES_AT_ONCE = 2**22
"""Scores are made for no more rows at a time than give this many, so that memory does not grow with the data."""


@dataclass(frozen=True, eq=False)
class LinearRanker:
    """Scores of all labels from one linear hidden layer, `X A B`; made by `train_ranker`.

    Attributes
    ----------
    input_weights : array of shape (n_features, width)
        A.
    output_weights : array of shape (width, n_labels)
        B.
    n_iterations : int
        Of the optimiser.
    converged : bool
        False: training stopped at the largest number of iterations.
    """

    input_weights: np.ndarray
    output_weights: np.ndarray
    n_iterations: int
    converged: bool

    def scores(self, X: Any) -> np.ndarray:
        """Scores of all labels.

        Parameters
        ----------
        X : sparse array, array or data frame of shape (n, n_features)

        Returns
        -------
        array of shape (n, n_labels)

        Raises
        ------
        ValueError, TypeError
            For features that are not finite numbers, and another number of them than the ranker has.

        Notes
        -----
        Cost: `width` operations for every nonzero feature and for every score.
        """
        if not issparse(X):
            X = np.asarray(require_array("X", X))
            require_ndim("X", X, 2)
        if X.shape[1] != len(self.input_weights):
            raise ValueError(f"X must have {len(self.input_weights)} features, as the ranker, got {X.shape[1]}")
        return (X @ self.input_weights) @ self.output_weights

    def precision(self, rows: LabelledRows, ks: Sequence[int] = (1, 3, 5)) -> np.ndarray:
        """Measure `precision_at_k` on rows for every k, without holding the scores of all rows at once.

        Parameters
        ----------
        rows : LabelledRows
        ks : sequence of int, default (1, 3, 5)

        Returns
        -------
        array of shape (n_ks,)

        Raises
        ------
        ValueError, TypeError
            Without rows or numbers, for numbers out of range, and for other features or labels than the ranker's.
        """
        if len(rows) == 0:
            raise ValueError("rows must not be empty, got none")
        depths = require_depths(ks)
        total = np.zeros(len(depths))
        for part in in_batches(rows):
            scores = self.scores(part.features)
            total += len(part) * np.array([precision_at_k(scores, part.labels, k) for k in depths])
        return total / len(rows)


def require_depths(ks: Sequence[int]) -> list[int]:
    """`ks` as at least one positive int."""
    if not isinstance(ks, Iterable):
        raise TypeError(f"ks must be a sequence of integers, such as [5], got {ks!r}")
    depths = [require_positive_integer("ks", k) for k in ks]
    if not depths:
        raise ValueError("ks must hold at least one number, got none")
    return depths


def in_batches(rows: LabelledRows) -> Iterator[LabelledRows]:
    """Rows in parts of so few that their scores fit into memory."""
    size = max(1, SCORES_AT_ONCE // rows.labels.shape[1])
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
