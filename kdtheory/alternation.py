"""Two models that take turns in teaching each other, and the one objective that they minimise together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace, device

from kdtheory._typing import Array
from kdtheory._validation import (
    require_positive,
    require_positive_integer,
    require_real,
    require_representable,
    require_targets,
)
from kdtheory.filters import Modes, Ridge
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import Spectrum, WeightedSpectrum, as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class Alternation:
    """Two ridge regressions that teach each other for ever; made by `alternate_distillation`.

    With the hat matrices `M_s = K_s (K_s + ridge_student)⁻¹` and M_t, round by round
    `f ← M_s (α·y + (1 − α)·g)` and `g ← M_t (β·y + (1 − β)·f)`, for the label weights α and β.

    Attributes
    ----------
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    student, teacher : SpectralFit
        Where the rounds end; each with the targets that it has there.
    ridge_student, ridge_teacher : float
    label_weight_student, label_weight_teacher : float
    rate : float
        Factor by which every round shortens the way that is left: `(1 − α)(1 − β)` times the largest eigenvalue of
        `M_s M_t`, in absolute value. Below 1, though it may round to 1.
    """

    y: Array
    student: SpectralFit
    teacher: SpectralFit
    ridge_student: float
    ridge_teacher: float
    label_weight_student: float
    label_weight_teacher: float
    rate: float

    def rounds(self, n_rounds: SupportsIndex) -> Array:
        """Return the student's fitted values of the first rounds.

        Parameters
        ----------
        n_rounds : int
            Number of rounds, >= 1; the first teacher is trained on y alone.

        Returns
        -------
        array of shape (n_rounds, n) or (n_rounds, n, k)

        Raises
        ------
        ValueError, TypeError
            When `n_rounds` is not an integer >= 1.

        Notes
        -----
        Cost: `O(n²)` for each round and output.
        """
        count = require_positive_integer("n_rounds", n_rounds)
        alpha, beta = self.label_weight_student, self.label_weight_teacher
        y, xp = self.y, array_namespace(self.y)
        g, fitted = _smooth(self.teacher, y), []
        for _ in range(count):
            fitted.append(_smooth(self.student, _mixed(alpha, y, g)))
            g = _smooth(self.teacher, _mixed(beta, y, fitted[-1]))
        return xp.stack(fitted)

    def objective(self, student: SpectralFit, teacher: SpectralFit) -> float:
        """Return the objective of co-distillation, of which `self.student` and `self.teacher` are the minimum.

        `α/(1 − α)·‖f − y‖² + β/(1 − β)·‖g − y‖² + ‖f − g‖² + ridge_student/(1 − α)·‖f‖² + ridge_teacher/(1 − β)·‖g‖²`,
        the last two norms those of the functions; each round is exact descent in one of the two blocks.

        Parameters
        ----------
        student, teacher : SpectralFit
            Any two models on the spectra of the two kernels.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            When a label weight is not < 1: its model then ignores the other, and no common objective exists. When a
            model is not one on these points and outputs.
        """
        alpha, beta = self.label_weight_student, self.label_weight_teacher
        for name, weight in (("label_weight_student", alpha), ("label_weight_teacher", beta)):
            if not weight < 1.0:
                raise ValueError(f"{name} must be < 1 for a common objective to exist, got {weight!r}")
        for name, fit in (("student", student), ("teacher", teacher)):
            if not isinstance(fit, SpectralFit):
                raise TypeError(f"{name} must be a SpectralFit, got {type(fit).__name__}")
            if tuple(fit.fitted.shape) != tuple(self.y.shape):
                raise ValueError(
                    f"{name} must have fitted values of shape {tuple(self.y.shape)}, got {tuple(fit.fitted.shape)}"
                )
        y, f, g = self.y, student.fitted, teacher.fitted
        terms = (
            alpha / (1.0 - alpha) * _squares(f - y),
            beta / (1.0 - beta) * _squares(g - y),
            _squares(f - g),
            self.ridge_student / (1.0 - alpha) * _squares(student.components),
            self.ridge_teacher / (1.0 - beta) * _squares(teacher.components),
        )
        return float(require_representable(np.asarray(sum(terms)), "the objective"))

    def __repr__(self) -> str:
        return (
            f"Alternation(n_points={self.student.spectrum.n_points}, ridge_student={self.ridge_student:.6g},"
            f" ridge_teacher={self.ridge_teacher:.6g}, label_weight_student={self.label_weight_student:.6g},"
            f" label_weight_teacher={self.label_weight_teacher:.6g}, rate={self.rate:.4g})"
        )


def alternate_distillation(
    K_student: Any,
    K_teacher: Any,
    y: Any,
    *,
    ridge_student: SupportsFloat,
    ridge_teacher: SupportsFloat,
    label_weight_student: SupportsFloat,
    label_weight_teacher: SupportsFloat,
) -> Alternation:
    """Find where two kernel ridge regressions end that teach each other in turns.

    Parameters
    ----------
    K_student, K_teacher : array of shape (n, n), or Spectrum
        Gram matrices of the two kernels at the same points, or their decompositions.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    ridge_student, ridge_teacher : float
        Penalties, > 0.
    label_weight_student, label_weight_teacher : float
        Weights of the ground truth in the targets of each, any real numbers for which the rounds converge; all in
        [0, 1] do.

    Returns
    -------
    Alternation
        The limits, the rate, the rounds and the objective.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value; when the rounds do not converge.

    Notes
    -----
    `M_s M_t` is not symmetric, but `√M_s M_t √M_s = Q diag(v) Qᵀ` has the same eigenvalues v in [0, 1), and the limit
    is `√M_s Q diag(1/(1 − ρv)) Qᵀ √M_s (α·y + (1 − α)β·M_t y)` with `ρ = (1 − α)(1 − β)`. With one kernel, one ridge
    and one label weight it is kernel ridge regression with the penalty ridge/label weight. Cost: three
    eigendecompositions, and a fourth, of `I − √M_s M_t √M_s`, where the rate is within 1e-4 of 1. Of its eigenvalues
    1 − v those beside which the largest is 1e16 times larger are lost in rounding, and are only known to be positive.

    Source: derived for this package; the variational form says that born-again alternation is mutual learning.

    Examples
    --------
    >>> setting = {"label_weight_student": 0.5, "label_weight_teacher": 0.5}
    >>> run = alternate_distillation([[1.0]], [[1.0]], [1.0], ridge_student=1.0, ridge_teacher=1.0, **setting)
    >>> run
    Alternation(n_points=1, ridge_student=1, ridge_teacher=1, label_weight_student=0.5, label_weight_teacher=0.5,
                rate=0.0625)
    >>> run.student.fitted.round(4), run.rounds(3)[:, 0].round(4)
    (array([0.3333]), array([0.375 , 0.3359, 0.3335]))
    """
    penalties = require_positive("ridge_student", ridge_student), require_positive("ridge_teacher", ridge_teacher)
    alpha = require_real("label_weight_student", label_weight_student)
    beta = require_real("label_weight_teacher", label_weight_teacher)
    ours, theirs = _plain_spectrum("K_student", K_student), _plain_spectrum("K_teacher", K_teacher)
    if ours.n_points != theirs.n_points:
        raise ValueError(f"K_teacher must have {ours.n_points} rows, as many as K_student, got {theirs.n_points}")
    targets = require_targets("y", y, ours.n_points, like=ours.eigenvalues)
    xp = array_namespace(targets)
    student_modes, teacher_modes = (
        Ridge(ridge).modes(spectrum.eigenvalues) for ridge, spectrum in zip(penalties, (ours, theirs), strict=True)
    )
    root, rho = xp.sqrt(student_modes.shrinkage), (1.0 - alpha) * (1.0 - beta)
    between = ours.eigenvectors.T @ theirs.eigenvectors
    overlap = root[:, None] * between * xp.sqrt(teacher_modes.shrinkage)
    basis = Spectrum.from_gram(overlap @ overlap.T)
    gaps = 1.0 - rho * basis.eigenvalues
    rate = abs(rho) * float(xp.max(basis.eigenvalues))
    if 0.0 < rho < 2.0 and rate > 1.0 - _NARROW:
        basis = _shortfall(ours, theirs, student_modes, teacher_modes, between)
        # Never zero, whatever the decomposition rounds to.
        least = float(xp.min(student_modes.residual)), float(xp.min(teacher_modes.residual))
        w = xp.clip(basis.eigenvalues, max(*least, float(xp.finfo(root.dtype).smallest_normal)))
        gaps = (alpha + (1.0 - alpha) * beta) + rho * w
        rate = 1.0 - float(xp.min(gaps))
    if not (float(xp.min(gaps)) > 0.0 and (rate < 1.0 or rho > 0.0)):
        raise ValueError(
            f"label_weight_student and label_weight_teacher must keep the rate below 1 for the rounds to converge, got"
            f" {alpha!r} and {beta!r} with the rate {rate:.6g}"
        )
    teacher_first = theirs.lift(teacher_modes.shrinkage, theirs.coordinates(targets))
    start = ours.coordinates(_mixed(alpha, targets, beta * teacher_first))
    roots = root if targets.ndim == 1 else root[:, None]
    solved = basis.lift(1.0 / gaps, basis.coordinates(roots * start))
    f = ours.lift(xp.ones_like(root), roots * solved)
    teacher = SpectralFit(theirs, _mixed(beta, targets, f), teacher_modes)
    return Alternation(
        y=targets,
        student=SpectralFit(ours, _mixed(alpha, targets, teacher.fitted), student_modes),
        teacher=teacher,
        ridge_student=penalties[0],
        ridge_teacher=penalties[1],
        label_weight_student=alpha,
        label_weight_teacher=beta,
        rate=rate,
    )


def _plain_spectrum(name: str, K: Any) -> Spectrum:
    spectrum = as_spectrum(K, name)
    spectrum.require_whole("alternate_distillation")
    if isinstance(spectrum, WeightedSpectrum):
        raise TypeError(f"{name} must be without sample weights, got {spectrum!r}")
    return spectrum


def _shortfall(ours: Spectrum, theirs: Spectrum, student: Modes, teacher: Modes, between: Array) -> Spectrum:
    """Spectrum of `I − √M_s M_t √M_s` in the student's eigenbasis, from residuals, so that 1 − v keeps its digits.

    It is `(I − M_s) + √M_s (I − M_t) √M_s`, two terms without a negative eigenvalue.
    """
    xp = array_namespace(between)
    root, missing = xp.sqrt(student.shrinkage)[:, None], xp.sqrt(teacher.residual)
    left = root * (between * missing)
    # Adding the diagonal last leaves entries that are far smaller than the rest as they are.
    total = left @ left.T
    if theirs.eigenvalues.shape[0] < theirs.n_points:
        beyond = root * (ours.eigenvectors - theirs.eigenvectors @ between.T).T
        total = total + beyond @ beyond.T
    identity = xp.eye(total.shape[0], dtype=total.dtype, device=device(total))
    return Spectrum.from_gram(total + identity * student.residual)


def _mixed(label_weight: float, y: Array, other: Array) -> Array:
    """`label_weight·y + (1 − label_weight)·other`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return require_representable(label_weight * y + (1.0 - label_weight) * other, "the target")


_NARROW = 1e-4
"""Gap below a rate of 1 of which `1 − rate` would keep too few digits."""


def _smooth(fit: SpectralFit, values: Array) -> Array:
    """Fitted values of the same model on other targets."""
    return fit.spectrum.lift(fit.shrinkage, fit.spectrum.coordinates(values))


def _squares(values: Array) -> float:
    return float(array_namespace(values).sum(values**2))
