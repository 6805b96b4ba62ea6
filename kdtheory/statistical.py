"""The statistical view of distillation: how far an empirical or a distilled risk is from the true one.

A student that is trained on N points sees its risk through their labels, or through a teacher's probabilities for them.
All quantities here are exact for a distribution of finitely many points x, each with a weight, the losses of a fixed
student on all L labels, and the Bayes probabilities `p*(x)`. Points of a sample stand for the distribution they come
from. Every function costs O(n·L) for each teacher.

The source is Menon et al. (2020), "Why distillation helps: a statistical perspective", with the corrections of
`docs/corrections.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._interop import to_numpy
from kdtheory._probabilities import point_shares
from kdtheory._validation import (
    require_array,
    require_labels,
    require_ndim,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_probabilities,
    require_real,
    require_representable,
)
from kdtheory.soft_labels import TeacherError, teacher_error


def empirical_risk(losses: Any, labels: Any, *, sample_weight: Any = None) -> float:
    """Mean loss on one-hot labels.

    Parameters
    ----------
    losses : array of shape (n, n_classes)
        Loss of the student at every point for every label it might have, >= 0.
    labels : array of n integers
        Labels, 0 to n_classes - 1.
    sample_weight : array of shape (n,), optional
        Weights of the points in the mean; default: equal.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, negative losses, labels or weights out of range.

    Notes
    -----
    Source: Menon et al. (2020), eq. 3. Twin: `sklearn.metrics.log_loss`, for the losses of the cross-entropy.

    Examples
    --------
    >>> empirical_risk([[0.0, 1.0], [2.0, 0.0]], [0, 0])
    1.0
    """
    ell, weights = _losses(losses, sample_weight)
    chosen = require_labels("labels", labels, *ell.shape)
    return float(weights @ ell[np.arange(len(ell)), chosen])


def distilled_risk(losses: Any, probabilities: Any, *, sample_weight: Any = None) -> float:
    """Mean loss under a teacher's probabilities; with the Bayes probabilities, the Bayes-distilled risk.

    Parameters
    ----------
    losses
        As for `empirical_risk`.
    probabilities : array of shape (n, n_classes)
        The teacher's probabilities.
    sample_weight
        As for `empirical_risk`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, negative losses, and probabilities that leave [0, 1] or do not sum to 1.

    Notes
    -----
    Source: Menon et al. (2020), eqs. 5 and 7. Over the whole distribution, with the Bayes probabilities, it is the true
    risk, eq. 6.

    Examples
    --------
    >>> distilled_risk([[0.0, 1.0], [2.0, 0.0]], [[0.75, 0.25], [0.5, 0.5]])
    0.625
    """
    ell, weights = _losses(losses, sample_weight)
    with np.errstate(over="ignore"):
        risk = weights @ np.sum(_probabilities("probabilities", probabilities, ell) * ell, axis=1)
    return _representable(risk, "the risk")


def risk_variance_gap(
    losses: Any, bayes_probabilities: Any, *, n_samples: SupportsIndex, sample_weight: Any = None
) -> float:
    """How much larger the variance of the empirical risk is than that of the Bayes-distilled risk, exactly.

    Parameters
    ----------
    losses
        As for `empirical_risk`; the points and their weights are the distribution.
    bayes_probabilities : array of shape (n, n_classes)
    n_samples : int
        Number N of points that the student is trained on.
    sample_weight
        As for `empirical_risk`.

    Returns
    -------
    float
        `E_x Var_{y|x}[loss] / N`, >= 0; zero where losses do not depend on labels that are possible.

    Raises
    ------
    ValueError, TypeError
        As for `distilled_risk`.
    OverflowError
        When the gap is beyond the floating-point range.

    Notes
    -----
    Source: Menon et al. (2020), Lemma 1, whose inequality this makes an equation.

    Examples
    --------
    >>> risk_variance_gap([[0.0, 1.0]], [[0.5, 0.5]], n_samples=10)
    0.025
    """
    ell, weights = _losses(losses, sample_weight)
    bayes = _probabilities("bayes_probabilities", bayes_probabilities, ell)
    with np.errstate(over="ignore", invalid="ignore"):
        within = np.sum(bayes * (ell - np.sum(bayes * ell, axis=1, keepdims=True)) ** 2, axis=1)
    count = _count("n_samples", n_samples)
    return _representable(weights @ within / count, "the gap of the variances")


@dataclass(frozen=True)
class DistilledRiskDeviation:
    """How far a distilled risk is from the true one, in the mean square; made by `distilled_risk_deviation`.

    Attributes
    ----------
    exact : float
        `E[(distilled risk − risk)²]` over the student's sample, and over the teachers.
    sampling_variance : float
        `Var_x[pᵗ(x)·loss(x)] / N`, a mean over the teachers: the part that more points for the student take away.
    teacher_error : TeacherError
        Squared bias and variance of the teacher's probabilities.
    constant : float
        `⌊L²/4⌋/L·max_loss²`: what a squared error of the probabilities can do to the risk at most.
    bound : float
        `sampling_variance + constant·(E_x‖pᵗ − p*‖)²`, eq. 9 with the sharp constant.
    decomposed_bound : float
        `sampling_variance + constant·(squared bias + variance)`, eq. 10.
    """

    exact: float
    sampling_variance: float
    teacher_error: TeacherError
    constant: float
    bound: float
    decomposed_bound: float


def distilled_risk_deviation(
    losses: Any,
    teacher_probabilities: Any,
    bayes_probabilities: Any,
    *,
    n_samples: SupportsIndex,
    max_loss: SupportsFloat | None = None,
    sample_weight: Any = None,
) -> DistilledRiskDeviation:
    """Mean squared deviation of the distilled risk from the true one, its bounds and their parts.

    Parameters
    ----------
    losses
        As for `empirical_risk`; the points and their weights are the distribution.
    teacher_probabilities : array of shape (n, n_classes) or (n_teachers, n, n_classes)
        Of one teacher, or of equally likely teachers, of which the student meets one: such as those of one learner on
        several samples. They must not have seen the student's sample.
    bayes_probabilities : array of shape (n, n_classes)
    n_samples : int
        Number N of points that the student is trained on.
    max_loss : float, optional
        Largest loss that is possible; default: the largest of `losses`.
    sample_weight
        As for `empirical_risk`.

    Returns
    -------
    DistilledRiskDeviation

    Raises
    ------
    ValueError, TypeError
        As for `distilled_risk`, and for a loss above `max_loss`.
    OverflowError
        When a part is beyond the floating-point range.

    Notes
    -----
    The constant is sharp for every number L of labels: probabilities differ by a vector whose entries sum to zero, so
    that only the deviations of the losses from their mean count. Those of losses in [0, m] are largest when half of the
    labels, or one fewer than the others, have the loss m.

    The paper's proof of eq. 9 is for a fixed teacher. For a random one that the whole sample shares, the squared mean
    distance is that of each teacher; eq. 10 reads `E_x[‖E_t pᵗ − p*‖² + V_t[pᵗ]]`.

    Source: Menon et al. (2020), Propositions 3 and 4: with an unbiased teacher the deviation is never below that of the
    Bayes teacher.

    Examples
    --------
    >>> deviation = distilled_risk_deviation([[0.0, 1.0]], [[0.75, 0.25]], [[0.5, 0.5]], n_samples=10)
    >>> deviation.exact, round(deviation.bound, 12), deviation.constant
    (0.0625, 0.0625, 0.5)
    """
    ell, weights = _losses(losses, sample_weight)
    bayes = _probabilities("bayes_probabilities", bayes_probabilities, ell)
    error = teacher_error(teacher_probabilities, bayes, sample_weight=weights)
    teachers = to_numpy(require_array("teacher_probabilities", teacher_probabilities)).reshape(-1, *ell.shape)
    count, largest = _count("n_samples", n_samples), _max_loss(ell, max_loss)
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.sum(teachers * ell, axis=2)
        sampling = np.mean((means - (means @ weights)[:, None]) ** 2 @ weights) / count
        offsets = np.sum((teachers - bayes) * ell, axis=2) @ weights
        distances = np.linalg.norm(teachers - bayes, axis=2) @ weights
        constant = _sharpest(ell.shape[1]) * np.square(largest)
        parts = {
            "exact": sampling + np.mean(offsets**2),
            "sampling_variance": sampling,
            "constant": constant,
            "bound": sampling + constant * np.mean(distances**2),
            "decomposed_bound": sampling + constant * error.mean_squared_error,
        }
    stated = {name: _representable(value, f"the part {name}") for name, value in parts.items()}
    return DistilledRiskDeviation(teacher_error=error, **stated)


def generalisation_bound(
    losses: Any,
    probabilities: Any,
    *,
    failure_probability: SupportsFloat,
    n_predictors: SupportsIndex = 1,
    covering_number: SupportsFloat | None = None,
    max_loss: SupportsFloat = 1.0,
    teacher_distance: SupportsFloat = 0.0,
) -> float:
    """Upper bound of the true risk from the distilled risk on a sample, by its empirical variance.

    Parameters
    ----------
    losses, probabilities
        As for `distilled_risk`, on the student's sample of n >= 2 points; the bound is for points drawn independently.
    failure_probability : float
        Chance δ, in (0, 1), that the bound does not hold.
    n_predictors : int, default 1
        Number of students among which this one was chosen by looking at the sample; 1 with a covering number.
    covering_number : float, optional
        For infinitely many students instead: an upper bound of the uniform covering number `N_∞(1/n, H, 2n)` of the
        functions `p(x)·loss(f(x)) / max_loss` that they make, >= 1. It is a property of the class of students, which no
        sample shows. Needs n >= 16.
    max_loss : float, default 1
        Largest loss that is possible.
    teacher_distance : float, default 0
        `E‖pᵗ(x) − p*(x)‖`, zero for the Bayes teacher; the root of `TeacherError.mean_squared_error` is never smaller.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As for `distilled_risk`, for losses above `max_loss`, and for chances that are not in (0, 1).
    OverflowError
        When the bound is beyond the floating-point range.

    Notes
    -----
    For finitely many students the deviation is `√(2 V ln(2M/δ)/n) + 7 ln(2M/δ)/(3(n − 1))` with the unbiased variance V
    of the losses (Maurer and Pontil, 2009, Corollary 5); with a covering number, `√(18 V ln(10 N/δ)/n) + 15 ln(10 N/δ)/
    (n − 1)` (their Theorem 6). An imperfect teacher adds `√(⌊L²/4⌋/L)·max_loss` times its distance.

    Source: Menon et al. (2020), Propositions 2 and 5, with the constants that the O-notation hides.

    Examples
    --------
    >>> losses, bayes = np.tile([0.1, 0.9], (1000, 1)), np.tile([0.9, 0.1], (1000, 1))
    >>> round(generalisation_bound(losses, bayes, failure_probability=0.05), 4)
    0.1886
    """
    ell, weights = _losses(losses, None)
    n_points, n_classes = ell.shape
    if n_points < 2:
        raise ValueError(f"losses must have at least 2 rows, got shape {ell.shape}")
    values = np.sum(_probabilities("probabilities", probabilities, ell) * ell, axis=1)
    largest = _max_loss(ell, require_positive("max_loss", max_loss))
    delta = require_positive("failure_probability", failure_probability)
    if not delta < 1.0:
        raise ValueError(f"failure_probability must be < 1, got {failure_probability!r}")
    of_variance, of_range, chances = 2.0, 7.0 / 3.0, 2.0 * _count("n_predictors", n_predictors)
    if covering_number is not None:
        number = require_positive("covering_number", covering_number)
        if chances != 2.0:
            raise ValueError(f"n_predictors must be 1 with a covering_number, got {n_predictors!r}")
        if number < 1.0 or n_points < 16:
            raise ValueError(
                f"covering_number must be >= 1, and losses have at least 16 rows, got {number!r} and {n_points} rows"
            )
        of_variance, of_range, chances = 18.0, 15.0, 10.0 * number
    log_chances = math.log(chances) - math.log(delta)
    distance = require_nonnegative("teacher_distance", teacher_distance)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.sqrt(of_variance * np.var(values, ddof=1) * log_chances / n_points)
        off = of_range * log_chances / (n_points - 1) + math.sqrt(_sharpest(n_classes)) * distance
        return _representable(weights @ values + spread + np.float64(largest) * off, "the bound")


def _losses(losses: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Losses (n, L) >= 0, and weights (n,) that sum to one."""
    ell = require_array("losses", losses)
    require_ndim("losses", ell, 2)
    ell = to_numpy(ell)
    if np.any(ell < 0.0):
        raise ValueError(f"losses must be >= 0, got {float(np.min(ell))!r}")
    return ell, point_shares(sample_weight, len(ell))


def _probabilities(name: str, value: Any, losses: np.ndarray) -> np.ndarray:
    array = to_numpy(require_probabilities(name, value))
    if array.shape != losses.shape:
        raise ValueError(f"{name} must have the shape of losses, {losses.shape}, got {array.shape}")
    return array


def _max_loss(losses: np.ndarray, max_loss: SupportsFloat | None) -> float:
    largest = float(np.max(losses))
    allowed = largest if max_loss is None else require_nonnegative("max_loss", max_loss)
    if allowed < largest:
        raise ValueError(f"max_loss must be at least the largest loss, {largest!r}, got {max_loss!r}")
    return allowed


def _sharpest(n_classes: int) -> float:
    """Largest squared length that deviations from their mean can have, of n_classes values in [0, 1]."""
    return (n_classes**2 // 4) / n_classes


def _count(name: str, value: SupportsIndex) -> float:
    return require_real(name, require_positive_integer(name, value))


def _representable(value: Any, what: str) -> float:
    return float(require_representable(np.asarray(value), what))
