"""The experiment of Menon et al. (2020), Table 1: a teacher, and students of it that differ in what they learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._validation import require_generator, require_positive
from kdtheory.ranking.linear import LinearRanker, require_depths
from kdtheory.ranking.targets import (
    DistilledTargets,
    DoubleDistilledTargets,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    RankingTargets,
)
from kdtheory.ranking.training import trained_ranker
from kdtheory.retrieval import LabelledRows

METHODS = (
    "Teacher",
    "Student",
    "Student + distillation",
    "Student + double-distillation (1 − p)",
    "Student + double-distillation (1 − sigmoid)",
)

PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


@dataclass(frozen=True, eq=False)
class StudentComparison:
    """What `compare_students` found, in the order of `METHODS`.

    Attributes
    ----------
    precisions : array of shape (n_methods, n_ks)
        At k, on the test rows.
    penalties : array of shape (n_methods,)
        Chosen on the validation rows.
    candidates : array of shape (n_penalties,)
        The penalties to choose from.
    n_unconverged : array of shape (n_methods,)
        Of the models trained, one for each candidate, how many stopped at the largest number of iterations.
    """

    precisions: np.ndarray
    penalties: np.ndarray
    candidates: np.ndarray
    n_unconverged: np.ndarray


def compare_students(
    train: LabelledRows,
    validation: LabelledRows,
    test: LabelledRows,
    *,
    teacher_width: SupportsIndex,
    student_width: SupportsIndex,
    penalties: Sequence[float] = PENALTIES,
    scale: SupportsFloat = 0.03,
    ks: Sequence[int] = (1, 3, 5),
    max_iterations: SupportsIndex = 5000,
    random_state: Any = 0,
) -> StudentComparison:
    """Train a teacher, and students of it that start alike, and measure the precision of each on held-out rows.

    Parameters
    ----------
    train, validation, test : LabelledRows
    teacher_width, student_width : int
    penalties : sequence of float, default 1e-5, 3e-5, ..., 1e-2
        Each model takes the one of the highest precision at `ks[0]` on the validation rows, the first of equal ones.
    scale : float, default 0.03
        Of the teacher's logits in the negative weights of the last method.
    ks : sequence of int, default (1, 3, 5)
    max_iterations, random_state
        As for `train_ranker`.

    Returns
    -------
    StudentComparison

    Raises
    ------
    ValueError, TypeError
        As for `train_ranker` and `precision_at_k`, if the three parts differ in their numbers of features or labels,
        for no penalties, and for a scale that is not positive.

    Notes
    -----
    From the random state two integers below 2³² are drawn: the teacher starts from the first, all students from the
    second.

    Source: Menon et al. (2020), Table 1.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = LabelledRows(np.eye(3), csr_array(np.eye(3)))
    >>> found = compare_students(rows, rows, rows, teacher_width=3, student_width=2, penalties=[1e-4, 1e-3], ks=[1])
    >>> found.precisions.ravel(), found.n_unconverged
    (array([1., 1., 1., 1., 1.]), array([0, 0, 0, 0, 0]))
    """
    for name, rows in (("validation", validation), ("test", test)):
        for part in ("features", "labels"):
            expected, got = getattr(train, part).shape[1], getattr(rows, part).shape[1]
            if got != expected:
                raise ValueError(f"{name} must have as many {part} as train, {expected}, got {got}")
    if len(penalties) == 0:
        raise ValueError("penalties must hold at least one number, got none")
    depths = require_depths(ks)
    if max(depths) > train.labels.shape[1]:
        raise ValueError(f"ks must be <= {train.labels.shape[1]}, the number of labels, got {max(depths)}")
    logit_scale = require_positive("scale", scale)
    teacher_start, student_start = require_generator("random_state", random_state).integers(2**32, size=2).tolist()

    def trained(width: SupportsIndex, start: int, targets: RankingTargets) -> tuple[LinearRanker, float, int]:
        rankers = [
            trained_ranker(
                train, targets, width=width, penalty=penalty, max_iterations=max_iterations, random_state=start
            )
            for penalty in penalties
        ]
        best = int(np.argmax([ranker.precision(validation, depths[:1])[0] for ranker in rankers]))
        return rankers[best], float(penalties[best]), sum(not ranker.converged for ranker in rankers)

    first = trained(teacher_width, teacher_start, OneHotTargets())
    teacher = first[0]
    students = (
        OneHotTargets(),
        DistilledTargets(teacher),
        DoubleDistilledTargets(teacher),
        LogitDoubleDistilledTargets(teacher, logit_scale),
    )
    chosen = [first, *(trained(student_width, student_start, targets) for targets in students)]
    rankers, found_penalties, n_unconverged = zip(*chosen, strict=True)
    return StudentComparison(
        precisions=np.array([ranker.precision(test, depths) for ranker in rankers]),
        penalties=np.array(found_penalties),
        candidates=np.array(penalties, dtype=np.float64),
        n_unconverged=np.array(n_unconverged),
    )
