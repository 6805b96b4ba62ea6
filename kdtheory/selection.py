"""Choosing without a validation set: exact leave-one-out and leave-group-out predictions of whole distillation chains.

Left out honestly: the teacher and every student after it are refitted without the point, which here costs no refit. See
`kdtheory._held_out` for the formulas, and `kdtheory.search` for the choice among many ridges and numbers of fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._held_out import changes_left_out, changes_of_groups, mean_changes
from kdtheory._intercept import CenteredProblem
from kdtheory._interop import from_numpy, to_numpy
from kdtheory._label_weight_rules import least_squares_weights
from kdtheory._tail_sums import warn_if_unreachable
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_bool,
    require_positive,
    require_positive_integer,
    require_representable,
)
from kdtheory.combinations import label_weight_sequence, tail_sums
from kdtheory.selfdistill import selfdistill_closed_form
from kdtheory.spectrum import Spectrum


def loo_predictions(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    label_weight: Any = 0.0,
    fit_intercept: bool = False,
) -> Array:
    """Predict every point by a self-distillation whose teachers and students have not seen it.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition; `Spectrum.from_gram(K, sample_weight)` for sample weights.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1.
    label_weight : float, sequence of n_steps - 1 floats, or array of shape (n_steps - 1, k), default 0
        Weight of the ground truth at steps 2..n_steps; any real numbers, with k columns each output has its own.
    fit_intercept : bool, default False
        Add an intercept without a penalty to every fit.

    Returns
    -------
    array of shape (n_steps, n) or (n_steps, n, k)
        Predictions of every step. A point with the sample weight 0 is predicted as it is by the fit on all points,
        which takes no notice of it.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value; for fewer than 2 points; and when a point has the
        leverage 1, so that nothing is known of it without itself.
    OverflowError
        When a prediction is beyond the floating-point range.

    Notes
    -----
    The shortcut `(y − f)_i / (1 − H_ii)` with the hat matrix H of a student is exact for the teacher only: a student's
    teacher has seen the point. Infinitely many steps with the label weight α are one fit with `ridge/α`.

    Cost: one eigendecomposition, unless a `Spectrum` without an intercept is given, then `O(n²·n_steps)` for each
    output. Twin: n times n_steps fits of `sklearn.kernel_ridge.KernelRidge`.

    Source: derived for this package.

    Examples
    --------
    >>> loo_predictions([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0], ridge=2.0, n_steps=2)
    array([[-0.25 ,  0.25 ],
           [-0.125,  0.125]])
    """
    penalty, count = require_positive("ridge", ridge), require_positive_integer("n_steps", n_steps)
    problem = CenteredProblem.of(K, y, fit_intercept)
    tails = _tails_of_steps(label_weight, count, problem.targets)
    return _combine(problem, tails, changes_left_out(problem, [penalty], count)[:, 0, ...])


def leave_group_out_predictions(
    K: Any,
    y: Any,
    *,
    groups: Any,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    label_weight: Any = 0.0,
    fit_intercept: bool = False,
) -> Array:
    """Predict every group of points by a self-distillation whose teachers and students have not seen the group.

    With the number of a fold for each point, this is K-fold cross-validation.

    Parameters
    ----------
    K, y
        As for `loo_predictions`.
    groups : sequence of n labels
        Points with the same label are left out together; at least two labels.
    ridge, n_steps, label_weight, fit_intercept
        As for `loo_predictions`.

    Returns
    -------
    array of shape (n_steps, n) or (n_steps, n, k)

    Raises
    ------
    ValueError, TypeError, OverflowError
        As `loo_predictions`; and when a group holds every point that has a sample weight.

    Notes
    -----
    Cost: one eigendecomposition, then `|S|²·n + |S|³` for every group S.

    Source: derived for this package.

    Examples
    --------
    >>> K, y = [[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]], [1.0, 0.0, -1.0]
    >>> leave_group_out_predictions(K, y, groups=["a", "a", "b"], ridge=2.0, n_steps=1).round(8) + 0.0
    array([[ 0.        , -0.25      , -0.06666667]])
    """
    penalty, count = require_positive("ridge", ridge), require_positive_integer("n_steps", n_steps)
    problem = CenteredProblem.of(K, y, fit_intercept)
    tails = _tails_of_steps(label_weight, count, problem.targets)
    members = group_numbers(groups, problem.spectrum.n_points)
    return _combine(problem, tails, changes_of_groups(problem, members, [penalty], count)[:, 0, ...])


def loo_label_weights(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    unit_interval: bool = False,
    per_output: bool = False,
    fit_intercept: bool = False,
) -> Array:
    """Choose all label weights together, to minimise the exact leave-one-out error of the last step.

    What `joint_label_weights` does with a validation set, without one: the global optimum over all label weights, from
    one least-squares problem with `n_steps − 1` unknowns.

    Parameters
    ----------
    K, y, ridge, n_steps
        As for `loo_predictions`.
    unit_interval : bool, default False
        Keep every weight in [0, 1].
    per_output : bool, default False
        Choose label weights for every output on its own, instead of one set for all.
    fit_intercept
        As for `loo_predictions`.

    Returns
    -------
    array of shape (n_steps - 1,), or (n_steps - 1, k) with `per_output`
        Label weights of steps 2..n_steps, for `selfdistill_closed_form` and `loo_predictions`.

    Raises
    ------
    ValueError, TypeError, OverflowError
        As `loo_predictions`.

    Warns
    -----
    LabelWeightWarning
        When no finite label weights reach the best combination; it is then approached to about 1e-8.

    Notes
    -----
    Errors are squared, weighted with the sample weights, and added up over the outputs. Without a bound the weights
    may be large: pass them on unrounded.

    Cost: that of `loo_predictions`, and `O(n·n_steps²)` for each output.

    Source: derived for this package.

    Examples
    --------
    >>> K, y = [[2.0, 1.0], [1.0, 2.0]], [1.0, -0.5]
    >>> weights = loo_label_weights(K, y, ridge=2.0, n_steps=2)
    >>> weights.round(6), loo_predictions(K, y, ridge=2.0, n_steps=2, label_weight=weights)[-1].round(6)
    (array([-7.4]), array([ 0.4, -0.8]))
    """
    penalty, count = require_positive("ridge", ridge), require_positive_integer("n_steps", n_steps)
    within, separate = require_bool("unit_interval", unit_interval), require_bool("per_output", per_output)
    problem = CenteredProblem.of(K, y, fit_intercept)
    changes = to_numpy(changes_left_out(problem, [penalty], count)[:, 0, ...])
    if separate and problem.targets.ndim == 1:
        raise ValueError(f"per_output must be False for y of one dimension, got {per_output!r}")
    root = np.sqrt(to_numpy(problem.spectrum.weights()))
    eps = float(array_namespace(problem.targets).finfo(problem.targets.dtype).eps)
    weighed = changes.reshape(count, len(root), -1) * root[:, None]
    columns = [weighed[:, :, [output]] for output in range(weighed.shape[2])] if separate else [weighed]
    chosen = [least_squares_weights(column.reshape(count, -1).T, unit_interval=within, eps=eps) for column in columns]
    warn_if_unreachable(any(moved for _, moved in chosen), stacklevel=2)
    weights = np.stack([each for each, _ in chosen], axis=1)
    return from_numpy(weights if separate else weights[:, 0], like=problem.targets)


def gcv_score(
    K: Any,
    y: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    label_weight: Any = 0.0,
    fit_intercept: bool = False,
) -> Array:
    """Generalised cross-validation of every step: exact leave-one-out with the mean of all leverages for each.

    Parameters
    ----------
    K, y, ridge, n_steps, label_weight, fit_intercept
        As for `loo_predictions`.

    Returns
    -------
    array of shape (n_steps,)
        Estimated mean squared error at new points, over points (with their sample weights) and outputs.

    Raises
    ------
    ValueError, TypeError, OverflowError
        As `loo_predictions`.

    Notes
    -----
    The usual form, `‖y − f‖²/n` over `(1 − dof/n)²` with the degrees of freedom of a student, takes its teacher for
    given, and is not consistent from the second step on. Here the mean leverages of every fit enter the exact
    recursion in place of the leverages: that is consistent where all leverages come near their mean, as for many points
    of a random design; `loo_predictions` needs no such assumption.

    Cost: one eigendecomposition, which need not be multiplied out, then `O(n·r·n_steps)` for each output.

    Source: the first step is Golub, Heath & Wahba (1979); the others are derived for this package.

    Examples
    --------
    >>> gcv_score([[2.0, 1.0], [1.0, 2.0]], [1.0, -1.0], ridge=2.0, n_steps=2).round(6)
    array([1.5625  , 1.265625])
    """
    penalty, count = require_positive("ridge", ridge), require_positive_integer("n_steps", n_steps)
    problem = CenteredProblem.of(K, y, fit_intercept)
    tails = _tails_of_steps(label_weight, count, problem.targets)
    xp = array_namespace(problem.targets)
    errors = _combine(problem, tails, mean_changes(problem, penalty, count)) - (problem.targets + problem.mean_target)
    weights = problem.spectrum.weights()
    outputs = errors.shape[2] if errors.ndim == 3 else 1
    with np.errstate(over="ignore"):
        squares = errors**2 if errors.ndim == 2 else xp.sum(errors**2, axis=2)
        scores = squares @ (weights / (outputs * xp.sum(weights)))
    return require_representable(scores, "the score")


def effective_dof(
    K: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    label_weight: Any = 0.0,
    fit_intercept: bool = False,
) -> Array:
    """Effective degrees of freedom of every step of a self-distillation, the trace of its hat matrix.

    Parameters
    ----------
    K, ridge, n_steps, label_weight, fit_intercept
        As for `loo_predictions`; an intercept counts as one degree of freedom.

    Returns
    -------
    array of shape (n_steps,)

    Raises
    ------
    ValueError, TypeError, OverflowError
        For bad input, or a trace beyond the floating-point range.

    See Also
    --------
    degrees_of_freedom : the three usual definitions, for any filter.

    Notes
    -----
    Source: the trace of B^(τ) of Borup & Andersen (2021), Lemma 4.2.

    Cost: one eigendecomposition, unless a `Spectrum` without an intercept is given, then `O(r·n_steps)`.

    Examples
    --------
    >>> effective_dof([[2.0, 0.0], [0.0, 2.0]], ridge=2.0, n_steps=3)
    array([1.  , 0.5 , 0.25])
    """
    shape = (K.n_points,) if isinstance(K, Spectrum) else require_array("K", K).shape
    problem = CenteredProblem.of(K, np.zeros(shape[:1]), fit_intercept)
    path = selfdistill_closed_form(
        problem.spectrum, problem.targets, ridge=ridge, n_steps=n_steps, label_weight=label_weight
    )
    return path.effective_dof + float(fit_intercept)


def group_numbers(groups: Any, n_points: int) -> np.ndarray:
    """Return the number of the group of each point, from labels of any kind that sorts."""
    labels = np.asarray(groups) if not hasattr(groups, "__array_namespace__") else to_numpy(groups)
    if labels.shape != (n_points,):
        raise ValueError(f"groups must have shape {(n_points,)}, one label a point, got {labels.shape}")
    found, numbers = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        raise ValueError(f"groups must hold at least two different labels, got {found.tolist()}")
    return numbers


def _tails_of_steps(label_weight: Any, n_steps: int, targets: Array) -> Array:
    """Tail sums of every step as rows, zeros behind them: shape (n_steps, n_steps), or (k, n_steps, n_steps)."""
    nested = isinstance(label_weight, Sequence) and any(isinstance(row, Sequence) for row in label_weight)
    if nested or getattr(label_weight, "ndim", 1) == 2:
        weights = to_numpy(require_array("label_weight", label_weight, allow_empty=n_steps == 1))
        if targets.ndim == 1 or weights.shape != (n_steps - 1, targets.shape[1]):
            outputs = tuple(targets.shape[1:])
            raise ValueError(
                f"label_weight of two dimensions must have n_steps - 1 = {n_steps - 1} rows and one column for each"
                f" output of y, which has the outputs {outputs}, got shape {weights.shape}"
            )
        return from_numpy(np.stack([_tails(column) for column in weights.T]), like=targets)
    return from_numpy(_tails(np.array(label_weight_sequence(label_weight, n_steps)[0])), like=targets)


def _tails(weights: np.ndarray) -> np.ndarray:
    steps = np.zeros((len(weights) + 1, len(weights) + 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(len(weights) + 1):
            steps[step, : step + 1] = tail_sums(weights[:step])
    return steps


def _combine(problem: CenteredProblem, tails: Array, changes: Array) -> Array:
    """Predictions of every step, from the changes of the pure chain, shape (n_steps, n) or (n_steps, n, k)."""
    xp = array_namespace(changes)
    with np.errstate(over="ignore", invalid="ignore"):
        if tails.ndim == 3:
            moved = xp.stack([tails[k, ...] @ changes[:, :, k] for k in range(changes.shape[2])], axis=2)
        else:
            moved = xp.reshape(tails @ xp.reshape(changes, (changes.shape[0], -1)), changes.shape)
        predictions = problem.targets + problem.mean_target + moved
    return require_representable(predictions, "the held-out prediction")
