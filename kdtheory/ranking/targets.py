"""What rankers learn: labels, a teacher's probabilities, and its weights of the labels as negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import softmax

from kdtheory._validation import require_positive
from kdtheory.double_distillation import negative_weights_from_logits, negative_weights_from_probabilities
from kdtheory.ranking.linear import LinearRanker
from kdtheory.retrieval import LabelledRows


@runtime_checkable
class RankingTargets(Protocol):
    """What a student learns on a batch of rows: probabilities of the positive labels, and weights of the negatives.

    Anything with the method `of` will do; here are `OneHotTargets`, `DistilledTargets`, `DoubleDistilledTargets` and
    `LogitDoubleDistilledTargets`.

    Examples
    --------
    >>> isinstance(OneHotTargets(), RankingTargets)
    True
    """

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """Give what is learned on some rows.

        Parameters
        ----------
        rows : LabelledRows
            n rows.

        Returns
        -------
        probabilities : array of shape (n, n_labels)
            Of the positive labels; every row sums to 1.
        negative_weights : array of shape (n, n_labels)
            In [0, 1].
        """
        ...


@dataclass(frozen=True)
class OneHotTargets:
    """The labels themselves, each as likely as any other of its row, against all others alike: the cross-entropy.

    Notes
    -----
    Source: Menon et al. (2020), the one-hot student of Table 1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = LabelledRows(np.eye(2), csr_array([[1, 1, 0], [0, 0, 1]]))
    >>> probabilities, negative_weights = OneHotTargets().of(rows)
    >>> probabilities
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 1. ]])
    """

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """As `RankingTargets.of`.

        Raises
        ------
        ValueError
            For a row without a label.
        """
        labels = rows.labels.toarray()
        counts = np.sum(labels, axis=1, keepdims=True)
        if not np.all(counts > 0.0):
            raise ValueError(f"rows must have at least one label each, got none in row {int(np.argmin(counts))}")
        return labels / counts, np.ones(labels.shape)


@dataclass(frozen=True, eq=False)
class DistilledTargets:
    """A teacher's probabilities, against all others alike: the distilled cross-entropy.

    Parameters
    ----------
    teacher : LinearRanker

    Raises
    ------
    TypeError
        When the teacher is no `LinearRanker`.

    Notes
    -----
    Source: Menon et al. (2020), eq. 7.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = LabelledRows(np.eye(2), csr_array(np.eye(2)))
    >>> teacher = LinearRanker(np.eye(2), np.array([[0.0, 0.0], [0.0, 20.0]]), n_iterations=1, converged=True)
    >>> DistilledTargets(teacher).of(rows)[0].round(3)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """

    teacher: LinearRanker

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """As `RankingTargets.of`."""
        p = softmax(_teacher_scores(self.teacher, rows), axis=1)
        return p, np.ones(p.shape)


@dataclass(frozen=True, eq=False)
class DoubleDistilledTargets:
    """A teacher's probabilities, against others by the weights `Ψ = 1 − p`.

    Parameters
    ----------
    teacher : LinearRanker

    Raises
    ------
    TypeError
        When the teacher is no `LinearRanker`.

    Notes
    -----
    Source: Menon et al. (2020), eq. 13.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = LabelledRows(np.eye(2), csr_array(np.eye(2)))
    >>> teacher = LinearRanker(np.eye(2), np.array([[0.0, 0.0], [0.0, 20.0]]), n_iterations=1, converged=True)
    >>> DoubleDistilledTargets(teacher).of(rows)[1].round(3)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    teacher: LinearRanker

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """As `RankingTargets.of`."""
        p = softmax(_teacher_scores(self.teacher, rows), axis=1)
        return p, negative_weights_from_probabilities(p)


@dataclass(frozen=True, eq=False)
class LogitDoubleDistilledTargets:
    """A teacher's probabilities, against others by the weights `Ψ = 1 − sigmoid(scale·logit)`.

    Logits are centred in every row, since the teacher was trained with a softmax that does not see their mean.

    Parameters
    ----------
    teacher : LinearRanker
    scale : float, default 1
        > 0; the larger, the nearer to 0 and 1 are the weights.

    Raises
    ------
    ValueError, TypeError
        When the teacher is no `LinearRanker`, or the scale is not > 0.

    Notes
    -----
    Source: Menon et al. (2020), section 4.1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = LabelledRows(np.eye(2), csr_array(np.eye(2)))
    >>> teacher = LinearRanker(np.eye(2), np.array([[0.0, 0.0], [0.0, 20.0]]), n_iterations=1, converged=True)
    >>> LogitDoubleDistilledTargets(teacher).of(rows)[1].round(3)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    teacher: LinearRanker
    scale: float = 1.0

    def __post_init__(self) -> None:
        _require_ranker(self.teacher)
        require_positive("scale", self.scale)

    def of(self, rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
        """As `RankingTargets.of`."""
        logits = _teacher_scores(self.teacher, rows)
        logits -= np.mean(logits, axis=1, keepdims=True)
        return softmax(logits, axis=1), negative_weights_from_logits(logits, scale=self.scale)


def require_ranking_targets(targets: RankingTargets) -> None:
    """Refuse what has no `of`, and classes that were not called."""
    if isinstance(targets, type) or not isinstance(targets, RankingTargets):
        raise TypeError(f"targets must be such as OneHotTargets() or DistilledTargets(teacher), got {_named(targets)}")


def _require_ranker(teacher: LinearRanker) -> None:
    if not isinstance(teacher, LinearRanker):
        raise TypeError(f"teacher must be a LinearRanker, such as train_ranker makes, got {_named(teacher)}")


def _teacher_scores(teacher: LinearRanker, rows: LabelledRows) -> np.ndarray:
    sizes = {"features": teacher.input_weights.shape[0], "labels": teacher.output_weights.shape[1]}
    for part, got in sizes.items():
        expected = getattr(rows, part).shape[1]
        if got != expected:
            raise ValueError(f"teacher must have as many {part} as rows, {expected}, got {got}")
    return teacher.scores(rows.features)


def _named(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"
