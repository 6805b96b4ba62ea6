"""How near a student's predictions are to its teacher's, and to those of a teacher that it never saw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np

from kdtheory._compensated import two_sum
from kdtheory._validation import require_share
from kdtheory.fidelity._logits import map_rows, require_like_teacher, require_logits, softmax
from kdtheory.fidelity.predictions import predicted_classes

_SERIES_UP_TO = 0.5
_EXPONENTIAL_REMAINDER = [1.0 / math.factorial(power + 2) for power in range(14)]
"""Taylor coefficients of `(exp(d) − 1 − d)/d²`, exact to the last digit for |d| up to 1/2."""


def top1_agreement(teacher_logits: Any, student_logits: Any) -> float:
    """Share of points where student and teacher predict the same class.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)

    Returns
    -------
    float
        In [0, 1]. Of equal logits the class of the lowest number is the predicted one, in both models.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, and fewer than two columns.

    Notes
    -----
    Source: Stanton et al. (2021), eq. 2.

    Examples
    --------
    >>> top1_agreement([[0.0, 2.0], [3.0, 1.0]], [[1.0, 4.0], [1.0, 3.0]])
    0.5
    """
    teacher = require_logits("teacher_logits", teacher_logits)
    student = require_like_teacher("student_logits", student_logits, teacher, 1.0)
    return float(np.mean(predicted_classes(teacher) == predicted_classes(student)))


def agreement_bounds(teacher_accuracy: SupportsFloat, student_accuracy: SupportsFloat) -> tuple[float, float]:
    """Least and largest agreement of two models of given accuracies.

    Parameters
    ----------
    teacher_accuracy, student_accuracy : float
        In [0, 1].

    Returns
    -------
    least : float
        `max(0, a + b − 1)`; with two classes `|a + b − 1|`.
    largest : float
        `1 − |a − b|`.

    Raises
    ------
    ValueError, TypeError
        For accuracies out of range.

    Notes
    -----
    Models that know nothing of each other agree the more the better they are, so agreement alone tells little of
    distillation: `independent_student_control` compares. Source: Stanton et al. (2021), section 3.2, by example.

    Examples
    --------
    >>> [[round(bound, 2) for bound in agreement_bounds(accuracy, 0.95)] for accuracy in (0.55, 0.75)]
    [[0.5, 0.6], [0.7, 0.8]]
    """
    teacher = require_share("teacher_accuracy", teacher_accuracy)
    student = require_share("student_accuracy", student_accuracy)
    return max(0.0, teacher + student - 1.0), 1.0 - abs(teacher - student)


def predictive_divergences(teacher_logits: Any, student_logits: Any, *, temperature: SupportsFloat = 1.0) -> np.ndarray:
    """Kullback-Leibler divergence from the teacher's distribution to the student's, at every point.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
    temperature : float, default 1
        > 0; divides the logits of both.

    Returns
    -------
    array of shape (n,)
        `Σ p (log p − log q) >= 0` in nats, with the teacher's p and the student's q. It is not multiplied by the square
        of the temperature, as losses are.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, fewer than two columns, and a temperature that is not
        positive. Logits of −∞, probabilities of zero, are refused: where the student alone has them the divergence is
        infinite, and a class that is impossible for both can be left out.

    Notes
    -----
    The terms `p (exp(d) − 1 − d)` with `d = log q − log p` have the same sum and none is negative, and d comes from
    differences of logits with their rounding errors: divergences of 1e-20 have as many digits as those of 1.
    Source: Stanton et al. (2021), eq. 3, whose text has the sign of the divergence reversed. Twin:
    `scipy.special.rel_entr`, of probabilities.

    Examples
    --------
    >>> predictive_divergences([[0.0, 0.0], [0.0, 1.0]], [[0.0, 2e-10], [5.0, 6.0]])
    array([5.e-21, 0.e+00])
    """
    teacher = require_logits("teacher_logits", teacher_logits, temperature)
    student = require_like_teacher("student_logits", student_logits, teacher, temperature)
    return _divergences(teacher, student, float(temperature))


def predictive_kl(teacher_logits: Any, student_logits: Any, *, temperature: SupportsFloat = 1.0) -> float:
    """Mean Kullback-Leibler divergence from the teacher's distributions to the student's.

    Parameters
    ----------
    teacher_logits, student_logits, temperature
        As for `predictive_divergences`.

    Returns
    -------
    float
        `>= 0` in nats; 0 if and only if all distributions are equal.

    Raises
    ------
    ValueError, TypeError
        As for `predictive_divergences`.

    Notes
    -----
    Source: Stanton et al. (2021), eq. 3.

    Examples
    --------
    >>> round(predictive_kl([[0.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [5.0, 6.0]]), 4)
    0.2169
    """
    return float(np.mean(predictive_divergences(teacher_logits, student_logits, temperature=temperature)))


@dataclass(frozen=True, eq=False)
class IndependentStudentControl:
    """Fidelity of a student to its teacher, beside that of students of other teachers.

    Made by `independent_student_control`.

    Attributes
    ----------
    agreement, divergence : float
        Top-1 agreement and mean divergence of the student from its teacher.
    control_agreements, control_divergences : array of shape (n_controls,)
        The same of each control student and this teacher.
    agreement_gain, divergence_gain : float
        How much nearer the student is than the mean control: its agreement less theirs, their divergence less its own.
        About zero where students agree with the teacher only because they all generalise.
    agreement_gain_error, divergence_gain_error : float
        Standard errors of the gains over the points, which are paired. Networks trained anew vary as well: over several
        trainings, take the spread of the gains.
    """

    agreement: float
    divergence: float
    control_agreements: np.ndarray
    control_divergences: np.ndarray
    agreement_gain: float
    agreement_gain_error: float
    divergence_gain: float
    divergence_gain_error: float


def independent_student_control(
    teacher_logits: Any, student_logits: Any, control_logits: Any, *, temperature: SupportsFloat = 1.0
) -> IndependentStudentControl:
    """Compare a student's fidelity with that of students distilled in the same way from independent teachers.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
    control_logits : array of shape (n, n_classes) or (n_controls, n, n_classes)
        Of students of other teachers, each trained like this one. Networks that were trained on labels alone may take
        their place, as a weaker control.
    temperature : float, default 1
        > 0; divides all logits.

    Returns
    -------
    IndependentStudentControl

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, fewer than two columns, a single point, and a temperature that
        is not positive.

    Notes
    -----
    Source: Stanton et al. (2021), section 3.2.

    Examples
    --------
    >>> teacher = [[0.0, 2.0], [3.0, 1.0], [0.0, 1.0], [2.0, 0.0]]
    >>> student = [[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    >>> other = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    >>> control = independent_student_control(teacher, student, other)
    >>> control.agreement, control.control_agreements, control.agreement_gain, control.agreement_gain_error
    (0.75, array([0.5]), 0.25, 0.25)
    """
    teacher = require_logits("teacher_logits", teacher_logits, temperature)
    student = require_like_teacher("student_logits", student_logits, teacher, temperature)
    controls = require_like_teacher("control_logits", control_logits, teacher, temperature, ndim=3)
    n = int(teacher.shape[0])
    if n < 2:
        raise ValueError(f"teacher_logits must have 2 points or more for a standard error, got {n}")
    each = [controls] if controls.ndim == 2 else [controls[index, :, :] for index in range(controls.shape[0])]
    top = predicted_classes(teacher)
    agrees = (top == predicted_classes(student)).astype(np.float64)
    control_agrees = np.array([top == predicted_classes(control) for control in each], dtype=np.float64)
    divergences = _divergences(teacher, student, float(temperature))
    control_divergences = np.array([_divergences(teacher, control, float(temperature)) for control in each])
    agreement_gain, agreement_gain_error = _mean_and_error(agrees - np.mean(control_agrees, axis=0))
    divergence_gain, divergence_gain_error = _mean_and_error(np.mean(control_divergences, axis=0) - divergences)
    return IndependentStudentControl(
        agreement=float(np.mean(agrees)),
        divergence=float(np.mean(divergences)),
        control_agreements=np.mean(control_agrees, axis=1),
        control_divergences=np.mean(control_divergences, axis=1),
        agreement_gain=agreement_gain,
        agreement_gain_error=agreement_gain_error,
        divergence_gain=divergence_gain,
        divergence_gain_error=divergence_gain_error,
    )


def _mean_and_error(differences: np.ndarray) -> tuple[float, float]:
    scale = float(np.max(np.abs(differences))) or 1.0  # whose squares do not overflow
    relative = differences / scale
    return scale * float(np.mean(relative)), scale * float(np.std(relative, ddof=1) / math.sqrt(len(relative)))


def _divergences(teacher: Any, student: Any, temperature: float) -> np.ndarray:
    return map_rows(lambda t, s: _block_divergences(t, s, temperature), teacher, student)


def _block_divergences(teacher: np.ndarray, student: np.ndarray, temperature: float) -> np.ndarray:
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    log_p, log_q = p.log_probabilities, q.log_probabilities
    probabilities = np.exp(log_p)
    d = _changes(teacher, student, p.top) / temperature
    d -= _normalisers(d, probabilities, log_p, log_q, p.top)[:, None]
    near = np.clip(d, -_SERIES_UP_TO, _SERIES_UP_TO)
    by_series = probabilities * near**2 * np.polynomial.polynomial.polyval(near, _EXPONENTIAL_REMAINDER)
    return np.sum(np.where(near == d, by_series, np.exp(log_q) - probabilities * (1.0 + d)), axis=1)


def _changes(teacher: np.ndarray, student: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Student's logits less the teacher's, relative to those of the teacher's top class, to the last digit.

    That class has at least the probability `1/n_classes`, so that rounding is small beside the spread of the changes.
    """
    rows = np.arange(len(teacher))
    difference, error = two_sum(student, -teacher)
    return (difference - difference[rows, top][:, None]) + (error - error[rows, top][:, None])


def _normalisers(
    changes: np.ndarray, probabilities: np.ndarray, log_p: np.ndarray, log_q: np.ndarray, top: np.ndarray
) -> np.ndarray:
    """`log Σ p exp(change)` of every row, as exact where it is tiny as elsewhere."""
    rows = np.arange(len(changes))
    lift = log_p[rows, top] - log_q[rows, top]
    with np.errstate(over="ignore"):
        growth = np.sum(
            np.where(
                changes <= 1.0,
                probabilities * np.expm1(np.minimum(changes, 1.0)),
                np.exp(log_q + lift[:, None]) - probabilities,
            ),
            axis=1,
        )
    return np.where(growth > 1.0, lift, np.log1p(np.minimum(growth, 1.0)))
