"""Linear rankers of labels, and what they are taught: labels, or a teacher's probabilities and negative weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import issparse
from scipy.special import softmax

from kdtheory._validation import require_array, require_ndim, require_positive, require_positive_integer
from kdtheory.double_distillation import negative_weights_from_logits, negative_weights_from_probabilities
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
        """Scores of all labels, shape (n, n_labels), for features of shape (n, n_features), dense or sparse."""
        if not issparse(X):
            X = np.asarray(require_array("X", X))
            require_ndim("X", X, 2)
        if X.shape[1] != len(self.input_weights):
            raise ValueError(f"X must have {len(self.input_weights)} features, as the ranker, got {X.shape[1]}")
        return (X @ self.input_weights) @ self.output_weights

    def precision(self, rows: LabelledRows, ks: Sequence[int] = (1, 3, 5)) -> np.ndarray:
        """`precision_at_k` on rows for every k, shape (n_ks,), without holding the scores of all rows at once."""
        if len(rows) == 0:
            raise ValueError("rows must not be empty, got none")
        depths = require_depths(ks)
        total = np.zeros(len(depths))
        for part in batches(rows):
            scores = self.scores(part.features)
            total += len(part) * np.array([precision_at_k(scores, part.labels, k) for k in depths])
        return total / len(rows)


@runtime_checkable
class RankingTargets(Protocol):
    """What a student learns on a batch of rows: probabilities of the positive labels, and weights of the negatives."""

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and negative weights, both of shape (n, n_labels)."""
        ...


@dataclass(frozen=True)
class OneHotTargets:
    """The labels themselves, each as likely as any other of its row, against all others alike: the cross-entropy."""

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and negative weights, both of shape (n, n_labels)."""
        labels = rows.labels.toarray()
        return labels / np.sum(labels, axis=1, keepdims=True), np.ones(labels.shape)


@dataclass(frozen=True, eq=False)
class DistilledTargets:
    """A teacher's probabilities, against all others alike: the distilled cross-entropy.

    Source: Menon et al. (2020), eq. 7.
    """

    teacher: LinearRanker

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and negative weights, both of shape (n, n_labels)."""
        p = softmax(_teacher_scores(self.teacher, rows), axis=1)
        return p, np.ones(p.shape)


@dataclass(frozen=True, eq=False)
class DoubleDistilledTargets:
    """A teacher's probabilities, against others by the weights `Ψ = 1 − p`.

    Source: Menon et al. (2020), eq. 13.
    """

    teacher: LinearRanker

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and negative weights, both of shape (n, n_labels)."""
        p = softmax(_teacher_scores(self.teacher, rows), axis=1)
        return p, negative_weights_from_probabilities(p)


@dataclass(frozen=True, eq=False)
class LogitDoubleDistilledTargets:
    """A teacher's probabilities, against others by the weights `Ψ = 1 − sigmoid(scale·logit)`.

    Logits are centred in every row, since the teacher was trained with a softmax that does not see their mean.

    Source: Menon et al. (2020), section 4.1.
    """

    teacher: LinearRanker
    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)
        require_positive("scale", self.scale)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and negative weights, both of shape (n, n_labels)."""
        logits = _teacher_scores(self.teacher, rows)
        logits -= np.mean(logits, axis=1, keepdims=True)
        return softmax(logits, axis=1), negative_weights_from_logits(logits, scale=self.scale)


def require_depths(ks: Sequence[int]) -> list[int]:
    """`ks` as at least one positive int."""
    if not isinstance(ks, Iterable):
        raise TypeError(f"ks must be a sequence of integers, such as [5], got {ks!r}")
    depths = [require_positive_integer("ks", k) for k in ks]
    if not depths:
        raise ValueError("ks must hold at least one number, got none")
    return depths


def _require_ranker(teacher: LinearRanker) -> None:
    if not isinstance(teacher, LinearRanker):
        raise TypeError(f"teacher must be a LinearRanker, such as train_ranker makes, got {_named(teacher)}")


def require_targets(targets: RankingTargets) -> None:
    """Refuse what has no `of`, and classes that were not called."""
    if isinstance(targets, type) or not isinstance(targets, RankingTargets):
        raise TypeError(f"targets must be such as OneHotTargets() or DistilledTargets(teacher), got {_named(targets)}")


def _named(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _teacher_scores(teacher: LinearRanker, rows: LabelledRows) -> np.ndarray:
    sizes = {"features": teacher.input_weights.shape[0], "labels": teacher.output_weights.shape[1]}
    for part, got in sizes.items():
        expected = getattr(rows, part).shape[1]
        if got != expected:
            raise ValueError(f"teacher must have as many {part} as rows, {expected}, got {got}")
    return teacher.scores(rows.features)


def batches(rows: LabelledRows) -> Iterator[LabelledRows]:
    """Rows in parts of so few that their scores fit into memory."""
    size = max(1, SCORES_AT_ONCE // rows.labels.shape[1])
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
