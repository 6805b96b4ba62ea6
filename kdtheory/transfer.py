"""Students that differ from their teacher: another kernel, other inputs, another method of training.

A student is any filter on its own spectrum, with targets that a teacher gave it; so each of them is a `SpectralFit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import numpy as np

from kdtheory._typing import Array
from kdtheory._validation import require_real, require_representable, require_targets
from kdtheory.filters import Filter
from kdtheory.spectral_fit import SpectralFit, evaluate
from kdtheory.spectrum import Spectrum, as_spectrum


def distil_to_kernel(
    teacher: SpectralFit,
    K_student: Any,
    student: Filter | Sequence[Filter],
    *,
    label_weight: SupportsFloat = 0.0,
) -> SpectralFit:
    """Distil a teacher into students of another kernel, at the same points.

    Parameters
    ----------
    teacher : SpectralFit
        One fitted model; its targets are the ground truth.
    K_student : array of shape (n, n), or Spectrum
        Gram matrix of the student's kernel at the same points, or its decomposition.
    student : Filter or sequence of Filter
        How the student is trained; `[GradientFlow(t) for t in times]` is its trajectory.
    label_weight : float, default 0
        Weight of the ground truth in the student's targets; any real number.

    Returns
    -------
    SpectralFit
        The student, or as many as there are filters; its targets are those it was trained on.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a target is beyond the floating-point range.

    Notes
    -----
    Cost: one further eigendecomposition, unless a `Spectrum` is given. Source: Borup & Andersen (2021), eq. 2, for
    one kernel; for two kernels it is the same composition, without a common eigenbasis.

    Examples
    --------
    >>> from kdtheory import GradientFlow, Ridge, fit_filter
    >>> teacher = fit_filter([[2.0]], [1.0], Ridge(2.0))
    >>> distil_to_kernel(teacher, [[1.0]], [Ridge(1.0), GradientFlow(1e9)], label_weight=0.5).fitted
    array([[0.375],
           [0.75 ]])
    """
    _require_one_model(teacher)
    alpha = require_real("label_weight", label_weight)
    spectrum = as_spectrum(K_student, "K_student")
    if spectrum.n_points != teacher.spectrum.n_points:
        raise ValueError(
            f"K_student must have {teacher.spectrum.n_points} rows, one for each point of the teacher, got"
            f" {spectrum.n_points}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        targets = alpha * teacher.targets + (1.0 - alpha) * teacher.fitted
    return _train(spectrum, require_representable(targets, "the target of the student"), student)


def distil_to_inputs(
    teacher: SpectralFit, K_cross: Any, K_student: Any, student: Filter | Sequence[Filter]
) -> SpectralFit:
    """Distil a teacher into students that see other, unlabelled inputs.

    Parameters
    ----------
    teacher : SpectralFit
        One fitted model, on n points.
    K_cross : array of shape (m, n)
        Values of the teacher's kernel between the m inputs of the student and the n points of the teacher.
    K_student : array of shape (m, m), or Spectrum
        Gram matrix of the student's kernel at its inputs, or its decomposition.
    student : Filter or sequence of Filter
        How the student is trained.

    Returns
    -------
    SpectralFit
        The student, or as many as there are filters, trained on the teacher's predictions.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    With the teacher's kernel, inputs that include all of the teacher's points and a vanishing ridge, the student is
    the teacher: what distillation regularises then disappears. Cost: one further eigendecomposition.

    Source: derived for this package.

    Examples
    --------
    >>> from kdtheory import Ridge, fit_filter
    >>> teacher = fit_filter([[2.0]], [1.0], Ridge(2.0))
    >>> distil_to_inputs(teacher, [[1.0], [2.0]], [[1.0, 0.0], [0.0, 2.0]], Ridge(1.0)).fitted
    array([0.125     , 0.33333333])
    """
    _require_one_model(teacher)
    source = teacher.spectrum
    targets = teacher.predict(source.require_cross("K_cross", K_cross))
    spectrum = as_spectrum(K_student, "K_student")
    if spectrum.n_points != targets.shape[0]:
        raise ValueError(f"K_student must have {targets.shape[0]} rows, as many as K_cross, got {spectrum.n_points}")
    return _train(spectrum, targets, student)


def _train(spectrum: Spectrum, targets: Array, student: Filter | Sequence[Filter]) -> SpectralFit:
    d = spectrum.eigenvalues
    targets = require_targets("the outputs of teacher", targets, spectrum.n_points, like=d)
    return SpectralFit(spectrum, targets, evaluate(student, d, "student"))


def _require_one_model(teacher: SpectralFit) -> None:
    if not isinstance(teacher, SpectralFit):
        raise TypeError(f"teacher must be a SpectralFit, got {type(teacher).__name__}")
    models = tuple(teacher.shrinkage.shape[:-1])
    if models:
        raise ValueError(f"teacher must be one model, got models of shape {models}")
