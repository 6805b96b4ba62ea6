"""Linear models of low rank that score all labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory.retrieval import LabelledRows, precision_at_k

SCORES_AT_ONCE = 2**22
"""Scores are made for no more rows at a time than give this many, so that memory does not grow with the data."""


@dataclass(frozen=True, eq=False)
class LinearRanker:
    """Scores of all labels from one linear hidden layer, `X A B`.

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
        X : csr_array or array of shape (n, n_features)

        Returns
        -------
        array of shape (n, n_labels)

        Raises
        ------
        ValueError
            For another number of features.

        Notes
        -----
        Cost: O(width) for every nonzero feature and every score.
        """
        if X.ndim != 2 or X.shape[1] != len(self.input_weights):
            raise ValueError(f"X must have shape (n, {len(self.input_weights)}), got {X.shape}")
        return (X @ self.input_weights) @ self.output_weights

    def precision(self, rows: LabelledRows, ks: Sequence[int] = (1, 3, 5)) -> np.ndarray:
        """`precision_at_k` on rows for every k, shape (n_ks,), without holding the scores of all rows at once."""
        if len(rows) == 0:
            raise ValueError("rows must not be empty, got none")
        total = np.zeros(len(ks))
        for part in in_batches(rows):
            scores = self.scores(part.features)
            total += len(part) * np.array([precision_at_k(scores, part.labels, k) for k in ks])
        return total / len(rows)


def in_batches(rows: LabelledRows) -> Iterator[LabelledRows]:
    """Rows in their order, `SCORES_AT_ONCE` scores or one row at a time."""
    size = max(1, SCORES_AT_ONCE // rows.labels.shape[1])
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
