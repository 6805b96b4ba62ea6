"""The best label weights on validation data: one step at a time, or over all steps at once.

A model of `τ` self-distillation steps is an affine combination of pure models (`kdtheory.combinations`), so what is
best over all label weights is a linear least-squares problem in the tail sums of the coefficients.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._cross import largest_entry, predictions
from kdtheory._interop import from_numpy, to_numpy
from kdtheory._linear_operator import LinearOperator
from kdtheory._tail_sums import LabelWeightWarning, optimal_label_weights, warn_if_unreachable
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_bool,
    require_positive,
    require_positive_integer,
    require_real,
    require_targets,
)
from kdtheory.filters import Modes, Ridge, compose
from kdtheory.spectrum import Spectrum, as_spectrum


def greedy_label_weights(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    K_val: Any,
    y_val: Any,
    unit_interval: bool = False,
) -> Array:
    """Choose each label weight to minimise the validation error of its own step.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1.
    K_val : array of shape (m, n), or scipy.sparse.linalg.LinearOperator
        Kernel values between validation and training points.
    y_val : array of shape (m,) or (m, k)
        Validation targets; the columns share one set of label weights.
    unit_interval : bool, default False
        Keep every weight in [0, 1].

    Returns
    -------
    array of shape (n_steps - 1,)
        Label weights of steps 2..n_steps, for `selfdistill_closed_form`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a validation prediction is beyond the floating-point range.

    Warns
    -----
    LabelWeightWarning
        When every weight gives one step the same predictions; its weight is then 1, plain kernel ridge regression.

    Notes
    -----
    No step is worse than the first, but a later step may be worse than an earlier one: keep the best.
    `joint_label_weights` has a smaller validation error with the same number of steps; whether it also predicts better
    depends on the validation set.

    Cost: `O(n² + m·n)` for each step and output after the decomposition.

    Source: Borup & Andersen (2021), Theorem 4.4 and Algorithm 1; clipping to [0, 1] is their footnote 9.

    Examples
    --------
    >>> greedy_label_weights([[1.0]], [1.0], ridge=1.0, n_steps=3, K_val=[[1.0]], y_val=[0.3])
    array([0.2       , 0.42857143])
    """
    problem = _ValidationProblem.of(K, y, ridge, n_steps, K_val, y_val)
    within = require_bool("unit_interval", unit_interval)
    teacher = problem.ridge
    error = problem.y_val - problem.predict(problem.ridge.coefficient)
    weights: list[float] = []
    for step in range(2, problem.n_steps + 1):
        # First fit minus pure student, from the teacher's residual: the difference itself would cancel.
        change, rounding = problem.predict_with_rounding(problem.ridge.coefficient * teacher.residual)
        weight = _best_label_weight(error, change, rounding)
        if weight is None:
            warnings.warn(
                f"the validation predictions of step {step} are the same for every label weight; it is set to 1",
                LabelWeightWarning,
                stacklevel=2,
            )
            weight = 1.0
        if within:
            weight = min(max(weight, 0.0), 1.0)
        weights.append(require_real(f"the label weight of step {step}", weight))
        teacher = compose(teacher, problem.ridge, weight)
    return from_numpy(np.array(weights), like=problem.y_val)


def estimate_label_weight(first: Any, pure_student: Any, y_val: Any) -> float:
    """Choose the label weight of least validation error from predictions alone, whatever model made them.

    Parameters
    ----------
    first : array of shape (m,) or (m, k)
        Validation predictions of the first fit, on the labels.
    pure_student : array of the same shape
        Of the student that is trained on its teacher alone, with label weight 0.
    y_val : array of the same shape
        Validation targets.

    Returns
    -------
    float
        Best α in `α·first + (1 − α)·pure_student`, in the Frobenius norm; any real number.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Warns
    -----
    LabelWeightWarning
        When the two predictions are the same; the weight is then 1.

    See Also
    --------
    greedy_label_weights : the same for every step of kernel ridge regression.
    kdtheory.nets.self_distill : the same for networks.

    Notes
    -----
    Kernel ridge regression is linear in its targets, so there the combination is what training with α gives; for
    networks it is an estimate. Source: Borup & Andersen (2021), equation (16) and section 5.

    Examples
    --------
    >>> estimate_label_weight([1.0, 0.0], [0.5, 0.5], [0.9, 0.1])
    0.8
    """
    targets = require_array("y_val", y_val)
    first = require_array("first", first, like=targets)
    pure_student = require_array("pure_student", pure_student, like=targets)
    for name, predicted in (("first", first), ("pure_student", pure_student)):
        if predicted.shape != targets.shape:
            raise ValueError(
                f"{name} must have shape {tuple(targets.shape)}, that of y_val, got {tuple(predicted.shape)}"
            )
    weight = _best_label_weight(targets - first, first - pure_student, 0.0)
    if weight is None:
        warnings.warn(
            "the predictions are the same for every label weight; it is set to 1", LabelWeightWarning, stacklevel=2
        )
        return 1.0
    return require_real("the label weight", weight)


def _best_label_weight(error: Array, change: Array, rounding: float) -> float | None:
    """Weight α of least `‖error + (1 − α)·change‖`, unless the change is nothing but rounding.

    The error is that of the first fit, and the change what it has more than the pure student.
    """
    xp = array_namespace(change)
    size = float(xp.max(xp.abs(change)))
    if size <= rounding:
        return None
    direction = change / size
    return 1.0 + float(xp.sum(direction * (error / size))) / float(xp.sum(direction * direction))


def joint_label_weights(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    K_val: Any,
    y_val: Any,
    unit_interval: bool = False,
) -> Array:
    """Choose all label weights together, to minimise the validation error of the last step.

    The global optimum, from one least-squares problem with `n_steps − 1` unknowns. It never increases with n_steps,
    and is never above the best step of `greedy_label_weights`.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1.
    K_val : array of shape (m, n), or scipy.sparse.linalg.LinearOperator
        Kernel values between validation and training points.
    y_val : array of shape (m,) or (m, k)
        Validation targets; the columns share one set of label weights.
    unit_interval : bool, default False
        Keep every weight in [0, 1]: the best combination with coefficients >= 0, by non-negative least squares.

    Returns
    -------
    array of shape (n_steps - 1,)
        Label weights of steps 2..n_steps, for `selfdistill_closed_form`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a validation prediction is beyond the floating-point range.

    Warns
    -----
    LabelWeightWarning
        When no finite label weights reach the best combination; it is then approached to about 1e-8.

    Notes
    -----
    Without a bound the weights may be large: pass them on unrounded, since the last step cancels them to many digits.
    With few validation points they overfit, as there are `n_steps − 1` of them. With r distinct eigenvalues, steps from
    r + 2 on add nothing; where a step adds less than the rounding of its huge weights costs, it is left out, and the
    first label weights are 1. What is left out is decided by the error that the weights reach when they are used.

    Cost: `O((n² + m·n)·n_steps)` for each output after the decomposition, and `O(m·n_steps²)`.

    Source: derived for this package; it extends Borup & Andersen (2021), Theorem 4.4, from one step to all.

    Examples
    --------
    >>> weights = joint_label_weights([[1.0]], [1.0], ridge=1.0, n_steps=2, K_val=[[1.0]], y_val=[0.3])
    >>> weights.round(12)
    array([0.2])
    """
    problem = _ValidationProblem.of(K, y, ridge, n_steps, K_val, y_val)
    within = require_bool("unit_interval", unit_interval)
    if problem.n_steps == 1:
        return from_numpy(np.zeros(0), like=problem.y_val)
    filters = [problem.ridge.coefficient, problem.ridge.coefficient * problem.ridge.residual]
    for _ in range(2, problem.n_steps):
        filters.append(filters[-1] * problem.ridge.shrinkage)
    # All at once, since each product with K_val reads it anew, or even evaluates the kernel.
    predicted = to_numpy(problem.predict(array_namespace(problem.y_val).stack(filters)))
    error = to_numpy(problem.y_val).reshape(-1) - predicted[0, ...].reshape(-1)
    steps = predicted[1:, ...].reshape(problem.n_steps - 1, -1).T  # f_j − f_{j+1}
    eps = float(array_namespace(problem.y_val).finfo(problem.y_val.dtype).eps)
    weights, moved = optimal_label_weights(steps, error, problem.loss, eps=eps, unit_interval=within)
    warn_if_unreachable(moved, stacklevel=2)
    return from_numpy(weights, like=problem.y_val)


@dataclass(frozen=True, eq=False)
class _ValidationProblem:
    """Validated arguments, with predictions of any filter at the validation points."""

    spectrum: Spectrum
    coordinates: Array
    ridge: Modes
    n_steps: int
    K_val: Array | LinearOperator
    y_val: Array

    @cached_property
    def largest_entry(self) -> float:
        return largest_entry(self.K_val)

    @classmethod
    def of(
        cls, K: Any, y: Any, ridge: SupportsFloat, n_steps: SupportsIndex, K_val: Any, y_val: Any
    ) -> _ValidationProblem:
        penalty = require_positive("ridge", ridge)
        n_steps_ = require_positive_integer("n_steps", n_steps)
        spectrum = as_spectrum(K)
        d = spectrum.eigenvalues
        targets = require_targets("y", y, spectrum.n_points, like=d)
        cross = spectrum.require_cross("K_val", K_val)
        validation = require_array("y_val", y_val, like=d)
        if tuple(validation.shape) != (cross.shape[0], *targets.shape[1:]):
            raise ValueError(
                f"y_val must have shape {(cross.shape[0], *targets.shape[1:])}, the rows of K_val and the outputs of y,"
                f" got {tuple(validation.shape)}"
            )
        return cls(spectrum, spectrum.coordinates(targets), Ridge(penalty).modes(d), n_steps_, cross, validation)

    def predict(self, filter_values: Array) -> Array:
        return self._evaluate(self.spectrum.lift_dual_coef(filter_values, self.coordinates))

    def predict_with_rounding(self, filter_values: Array) -> tuple[Array, float]:
        """Predictions, and the size below which they are nothing but rounding."""
        xp = array_namespace(filter_values)
        dual = self.spectrum.lift_dual_coef(filter_values, self.coordinates)
        predicted = self._evaluate(dual)
        unit = xp.finfo(dual.dtype).eps * self.spectrum.n_points
        return predicted, (unit * self.largest_entry) * float(xp.sum(xp.abs(dual)))

    def _evaluate(self, dual: Array) -> Array:
        outputs = self.coordinates.ndim == 2
        return predictions(self.K_val, dual, outputs=outputs, what="the prediction at the validation points")

    def loss(self, label_weights: np.ndarray) -> float:
        """Size of the validation error that these label weights really reach in the arithmetic of K."""
        teacher = self.ridge
        with np.errstate(over="ignore", invalid="ignore"):
            for label_weight in label_weights.tolist():
                teacher = compose(teacher, self.ridge, label_weight)
        try:
            error = to_numpy(self.y_val - self.predict(teacher.coefficient))
        except OverflowError:
            return math.inf
        size = float(np.max(np.abs(error)))
        return size * float(np.linalg.norm(error / (size or 1.0)))
