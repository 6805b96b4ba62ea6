"""Students that rank labels: linear models of low rank, trained on labels, by distillation or double distillation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from kdtheory._rankers import (
    DistilledTargets,
    DoubleDistilledTargets,
    LinearRanker,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    RankingTargets,
    batches,
    require_depths,
    require_targets,
)
from kdtheory._validation import require_generator, require_nonnegative, require_positive_integer
from kdtheory.double_distillation import double_distillation_gradient, double_distillation_loss
from kdtheory.retrieval import LabelledRows

__all__ = [
    "METHODS",
    "DistilledTargets",
    "DoubleDistilledTargets",
    "LinearRanker",
    "LogitDoubleDistilledTargets",
    "OneHotTargets",
    "RankerConvergenceWarning",
    "RankingTargets",
    "compare_students",
    "precision_table",
    "ranking_objective",
    "train_ranker",
]


class RankerConvergenceWarning(UserWarning):
    """Training stopped at the largest number of iterations, before it was over."""


def ranking_objective(
    input_weights: np.ndarray,
    output_weights: np.ndarray,
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    penalty: SupportsFloat,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean loss of a linear ranker over the examples, with its penalty, and the gradient.

    Parameters
    ----------
    input_weights : array of shape (n_features, width)
    output_weights : array of shape (width, n_labels)
    rows : LabelledRows
        Each is one example for each of its labels.
    targets : RankingTargets
    penalty : float
        Half of it times the squares of all weights is added; >= 0.

    Returns
    -------
    value : float
    input_gradient : array of shape (n_features, width)
    output_gradient : array of shape (width, n_labels)

    Raises
    ------
    ValueError, TypeError
        If no row has a label, for targets that are none or whose teacher has other features or labels, and for a
        negative penalty.

    Notes
    -----
    Rows are not repeated for their labels but weighted by their number, which is the same. Cost: O(n·width·n_labels)
    and n times the nonzero features of a row times width; memory for the scores of a batch of rows only.
    """
    strength = require_nonnegative("penalty", penalty)
    require_targets(targets)
    rows = _with_labels(rows)
    n_examples = float(rows.labels.sum())
    value = 0.5 * strength * float(np.sum(input_weights**2) + np.sum(output_weights**2))
    input_gradient, output_gradient = strength * input_weights, strength * output_weights
    for part in batches(rows):
        weights = _n_labels(part.labels) / n_examples
        hidden = part.features @ input_weights
        scores = hidden @ output_weights
        p, psi = targets.of(part)
        value += float(weights @ double_distillation_loss(scores, p, psi))
        slopes = weights[:, None] * double_distillation_gradient(scores, p, psi)
        output_gradient = output_gradient + hidden.T @ slopes
        input_gradient = input_gradient + part.features.T @ (slopes @ output_weights.T)
    return value, input_gradient, output_gradient


def train_ranker(
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    width: SupportsIndex,
    penalty: SupportsFloat = 1e-4,
    max_iterations: SupportsIndex = 200,
    random_state: Any = 0,
) -> LinearRanker:
    """Train a linear ranker with one hidden layer by scipy's L-BFGS-B.

    Parameters
    ----------
    rows : LabelledRows
        Each is one example for each of its labels; rows without any take no part.
    targets : RankingTargets
        `OneHotTargets()`, or those of a teacher.
    width : int
        Of the hidden layer.
    penalty : float, default 1e-4
        As for `ranking_objective`.
    max_iterations : int, default 200
    random_state : int or numpy.random.Generator, default 0
        Of the weights at the start.

    Returns
    -------
    LinearRanker

    Raises
    ------
    ValueError, TypeError
        As for `ranking_objective`, and for a width, penalty, number of iterations or random state out of range.

    Warns
    -----
    RankerConvergenceWarning
        If training stops at `max_iterations`.

    Examples
    --------
    >>> rows = LabelledRows(np.eye(3), csr_array(np.eye(3)))
    >>> ranker = train_ranker(rows, OneHotTargets(), width=2)
    >>> ranker.precision(rows, ks=[1])
    array([1.])
    """
    ranker = _trained(
        rows, targets, width=width, penalty=penalty, max_iterations=max_iterations, random_state=random_state
    )
    if not ranker.converged:
        warnings.warn(
            f"training stopped at max_iterations = {max_iterations} before it was over",
            RankerConvergenceWarning,
            stacklevel=2,
        )
    return ranker


def _trained(
    rows: LabelledRows,
    targets: RankingTargets,
    *,
    width: SupportsIndex,
    penalty: SupportsFloat,
    max_iterations: SupportsIndex,
    random_state: Any,
) -> LinearRanker:
    require_targets(targets)
    n_hidden = require_positive_integer("width", width)
    n_most = require_positive_integer("max_iterations", max_iterations)
    rng = require_generator("random_state", random_state)
    rows = _with_labels(rows)
    n_features, n_labels = rows.features.shape[1], rows.labels.shape[1]
    split = n_features * n_hidden

    def unpacked(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return flat[:split].reshape(n_features, n_hidden), flat[split:].reshape(n_hidden, n_labels)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, *gradients = ranking_objective(*unpacked(flat), rows, targets, penalty=penalty)
        return value, np.concatenate([gradient.ravel() for gradient in gradients])

    start = np.concatenate(
        [
            rng.standard_normal(split) / np.sqrt(n_features),
            rng.standard_normal(n_hidden * n_labels) / np.sqrt(n_hidden),
        ]
    )
    found = minimize(objective, start, method="L-BFGS-B", jac=True, options={"maxiter": n_most, "maxfun": 20 * n_most})
    return LinearRanker(*unpacked(found.x), n_iterations=int(found.nit), converged=bool(found.success))


METHODS = (
    "Teacher",
    "Student",
    "Student + distillation",
    "Student + double-distillation (1 − p)",
    "Student + double-distillation (1 − sigmoid)",
)


def compare_students(
    train: LabelledRows,
    validation: LabelledRows,
    test: LabelledRows,
    *,
    teacher_width: SupportsIndex,
    student_width: SupportsIndex,
    penalties: Sequence[float] = (1e-3, 3e-3),
    scales: Sequence[float] = (0.1, 0.3),
    ks: Sequence[int] = (1, 3, 5),
    max_iterations: SupportsIndex = 200,
    random_state: Any = 0,
) -> np.ndarray:
    """Train a teacher, and students of it that start alike, and measure the precision of each on held-out rows.

    Parameters
    ----------
    train, validation, test : LabelledRows
    teacher_width, student_width : int
    penalties : sequence of float, default (1e-3, 3e-3)
        Each model takes the one of the highest precision at `ks[0]` on the validation rows.
    scales : sequence of float, default (0.1, 0.3)
        Of the teacher's logits in the negative weights, chosen together with the penalty.
    ks : sequence of int, default (1, 3, 5)
    max_iterations, random_state
        As for `train_ranker`.

    Returns
    -------
    array of shape (n_methods, n_ks)
        Precisions at k on the test rows, with the methods of `METHODS`.

    Raises
    ------
    ValueError, TypeError
        As for `train_ranker` and `precision_at_k`, if the three parts differ in their numbers of features or labels,
        and for no penalties or scales.

    Warns
    -----
    RankerConvergenceWarning
        If the training of chosen models stopped at `max_iterations`; it names their methods.

    Notes
    -----
    Source: Menon et al. (2020), Table 1.
    """
    for name, rows in (("validation", validation), ("test", test)):
        for part in ("features", "labels"):
            expected, got = getattr(train, part).shape[1], getattr(rows, part).shape[1]
            if got != expected:
                raise ValueError(f"{name} must have as many {part} as train, {expected}, got {got}")
    for name, choices in (("penalties", penalties), ("scales", scales)):
        if len(choices) == 0:
            raise ValueError(f"{name} must hold at least one number, got none")
    depths = require_depths(ks)
    if max(depths) > train.labels.shape[1]:
        raise ValueError(f"ks must be <= {train.labels.shape[1]}, the number of labels, got {max(depths)}")
    teacher_start, student_start = require_generator("random_state", random_state).integers(2**32, size=2).tolist()

    def best(width: SupportsIndex, start: int, *choices: RankingTargets) -> LinearRanker:
        training: dict[str, Any] = {"width": width, "max_iterations": max_iterations, "random_state": start}
        rankers = [_trained(train, targets, penalty=at, **training) for targets in choices for at in penalties]
        return max(rankers, key=lambda ranker: float(ranker.precision(validation, depths[:1])[0]))

    teacher = best(teacher_width, teacher_start, OneHotTargets())
    students = (
        best(student_width, student_start, OneHotTargets()),
        best(student_width, student_start, DistilledTargets(teacher)),
        best(student_width, student_start, DoubleDistilledTargets(teacher)),
        best(student_width, student_start, *(LogitDoubleDistilledTargets(teacher, scale) for scale in scales)),
    )
    rankers = (teacher, *students)
    stopped = [method for method, ranker in zip(METHODS, rankers, strict=True) if not ranker.converged]
    if stopped:
        warnings.warn(
            f"training stopped at max_iterations = {max_iterations} before it was over: {', '.join(stopped)}",
            RankerConvergenceWarning,
            stacklevel=2,
        )
    return np.array([ranker.precision(test, depths) for ranker in rankers])


def precision_table(precisions: np.ndarray, ks: Sequence[int] = (1, 3, 5)) -> str:
    """Means and standard errors over seeds, and those of the paired differences between students, as text.

    Parameters
    ----------
    precisions : array of shape (n_seeds, n_methods, n_ks)
        Of `compare_students`, one for each of at least 2 seeds.
    ks : sequence of int, default (1, 3, 5)

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For fewer than two seeds, of which no standard error is known, and for another shape.
    """
    values, ks = np.asarray(precisions, dtype=np.float64), require_depths(ks)
    if values.ndim != 3 or values.shape[0] < 2 or values.shape[1:] != (len(METHODS), len(ks)):
        raise ValueError(
            f"precisions must have the shape (n_seeds, {len(METHODS)}, {len(ks)}) with n_seeds >= 2, got {values.shape}"
        )
    lines = [_row("Method", [f"P@{k}" for k in ks])]
    lines += [_row(name, _with_errors(values[:, method])) for method, name in enumerate(METHODS)]
    lines += ["", _row("Paired difference", [f"P@{k}" for k in ks])]
    for method, baseline, name in (
        (2, 1, "distillation − student"),
        (3, 2, "double (1 − p) − distillation"),
        (4, 2, "double (1 − sigmoid) − distillation"),
        (4, 1, "double (1 − sigmoid) − student"),
    ):
        lines.append(_row(name, _with_errors(values[:, method] - values[:, baseline], signed=True)))
    return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:44s}" + "".join(f"{cell:>19s}" for cell in cells)


def _with_errors(values: np.ndarray, *, signed: bool = False) -> list[str]:
    errors = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
    sign = "+" if signed else ""
    return [f"{mean:{sign}.4f} ± {error:.4f}" for mean, error in zip(np.mean(values, axis=0), errors, strict=True)]


def _n_labels(labels: csr_array) -> np.ndarray:
    return np.asarray(labels.sum(axis=1)).ravel()


def _with_labels(rows: LabelledRows) -> LabelledRows:
    labelled = _n_labels(rows.labels) > 0.0
    if not np.any(labelled):
        raise ValueError("rows must have at least one label, got none")
    return rows if np.all(labelled) else rows[np.flatnonzero(labelled)]
