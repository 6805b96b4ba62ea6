"""The last step of a self-distillation, as the plain estimators keep it, and the filters that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdtheory._intercept import CenteredProblem
from kdtheory._typing import Array, QFilter
from kdtheory._validation import require_array, require_positive, require_positive_integer
from kdtheory.combinations import label_weight_sequence
from kdtheory.filters import Ridge, compose
from kdtheory.selfdistill import selfdistill_closed_form


def distilled_coefficients(
    problem: CenteredProblem, ridge: Any, n_steps: Any, label_weight: Any
) -> tuple[Array, Array, Any]:
    """Dual coefficients, intercept and degrees of freedom of the last step of a self-distillation.

    Label weights in two dimensions, (n_steps - 1, n_outputs), are one set for each output. Degrees of freedom are None
    where the spectrum does not know them.
    """
    known, targets = problem.spectrum.is_whole, problem.targets
    if np.ndim(label_weight) < 2:
        path = selfdistill_closed_form(
            problem.spectrum, targets, ridge=ridge, n_steps=n_steps, label_weight=label_weight
        )
        return *problem.original(path.dual_coef[-1]), path.effective_dof[-1] if known else None
    paths = [
        selfdistill_closed_form(problem.spectrum, target, ridge=ridge, n_steps=n_steps, label_weight=weights)
        for target, weights in zip(targets.T, _sets(label_weight, targets.shape).T, strict=True)
    ]
    dual_coef = np.stack([path.dual_coef[-1] for path in paths], axis=1)
    return *problem.original(dual_coef), np.array([path.effective_dof[-1] for path in paths]) if known else None


def distilled_filters(ridge: Any, n_steps: Any, label_weight: Any, shape: tuple[int, ...]) -> list[QFilter]:
    """Return the filters of the first and the last step, the latter with every set of label weights."""
    penalty, count = require_positive("ridge", ridge), require_positive_integer("n_steps", n_steps)
    sets = [label_weight] if np.ndim(label_weight) < 2 else _sets(label_weight, shape).T
    student = Ridge(penalty)

    def last_step(weights: list[float]) -> QFilter:
        def coefficient(eigenvalues: Array) -> Array:
            with np.errstate(all="ignore"):  # what overflows is refused by the fit
                modes = teacher = student.modes(eigenvalues)
                for weight in weights:
                    modes = compose(modes, teacher, weight)
            return modes.coefficient

        return coefficient

    return [student, *(last_step(label_weight_sequence(each, count)[0]) for each in sets)]


def _sets(label_weight: Any, shape: tuple[int, ...]) -> Array:
    """Label weights of shape (n_steps - 1, n_outputs), for targets of this shape."""
    sets = require_array("label_weight", label_weight, allow_empty=True)
    if sets.ndim != 2 or len(shape) == 1 or sets.shape[1] != shape[1]:
        raise ValueError(
            "label_weight of two dimensions must have shape (n_steps - 1, n_outputs), one column for each output of y,"
            f" got shape {sets.shape} for y of shape {shape}"
        )
    return sets
