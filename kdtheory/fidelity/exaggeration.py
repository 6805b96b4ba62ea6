"""Whether a student exaggerates its teacher's confidence: the slope of the logit-logit plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._validation import require_generator, require_positive_integer, require_real
from kdtheory.fidelity._logits import require_classes, require_like_teacher, require_logits
from kdtheory.fidelity.predictions import logit_transformed_probabilities, predicted_classes

_FEWEST_POINTS = 3
_FEWEST_RESAMPLES = 100
_NO_SPREAD = 1e-12
"""Variance over mean square, about the median, of a resample whose values are all equal but for rounding."""


@dataclass(frozen=True)
class ExaggerationSlope:
    """Least-squares line through the logit-logit plot of the points where the teacher is least, or most, confident.

    Made by `exaggeration_slope`.

    Attributes
    ----------
    slope : float
        Above 1 the student exaggerates the differences in the teacher's confidence.
    intercept : float
    interval : (float, float)
        Percentiles of the slopes of resampled points.
    standard_error : float
        Standard deviation of the slopes of resampled points.
    confidence_level : float
        Share of the resampled slopes in the interval.
    n_points : int
        Points that the line goes through.
    threshold : float
        Logit-transformed probability of the teacher that bounds these points.
    """

    slope: float
    intercept: float
    interval: tuple[float, float]
    standard_error: float
    confidence_level: float
    n_points: int
    threshold: float


def logit_logit_points(
    teacher_logits: Any, student_logits: Any, *, classes: Any = None, temperature: SupportsFloat = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Logit-transformed probabilities of one class at every point, of the teacher and of the student.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
    classes : array of n integers, optional
        Class looked at, for each point, such as its label; default: the one that the teacher predicts.
    temperature : float, default 1
        > 0; divides the logits of both.

    Returns
    -------
    teacher : array of shape (n,)
    student : array of shape (n,)
        `log(p/(1 − p))`; below the diagonal the student is less confident in the class.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, fewer than two columns, classes out of range, and a
        temperature that is not positive.

    Notes
    -----
    Source: Nagarajan et al. (2023), appendix C.2 for the teacher's class and C.3 for the label.

    Examples
    --------
    >>> logit_logit_points([[0.0, 2.0], [1.0, 0.0]], [[0.0, 3.0], [0.0, 1.0]])
    (array([2., 1.]), array([ 3., -1.]))
    """
    teacher = require_logits("teacher_logits", teacher_logits, temperature)
    student = require_like_teacher("student_logits", student_logits, teacher, temperature)
    at = predicted_classes(teacher) if classes is None else require_classes("classes", classes, teacher)
    return (
        logit_transformed_probabilities(teacher, at, temperature=temperature),
        logit_transformed_probabilities(student, at, temperature=temperature),
    )


def exaggeration_slope(
    teacher_logits: Any,
    student_logits: Any,
    quantile: SupportsFloat = 0.25,
    side: str = "low",
    *,
    classes: Any = None,
    temperature: SupportsFloat = 1.0,
    confidence_level: SupportsFloat = 0.95,
    n_resamples: SupportsIndex = 1000,
    random_state: Any = 0,
) -> ExaggerationSlope:
    """Slope of the student's logit-transformed probability on the teacher's, where that is lowest or highest.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
    quantile : float, default 0.25
        Share of the points, in (0, 1]; those that tie with the last one are taken as well.
    side : "low" or "high", default "low"
        Whether to take the points where the teacher's value is lowest, or highest.
    classes : array of n integers, optional
        Class looked at, for each point, such as its label; default: the one that the teacher predicts.
    temperature : float, default 1
        > 0; divides the logits of both.
    confidence_level : float, default 0.95
        Of the interval, in (0, 1).
    n_resamples : int, default 1000
        >= 100.
    random_state : int or numpy.random.Generator, default 0

    Returns
    -------
    ExaggerationSlope

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, fewer than two columns, classes out of range, arguments out of
        range, and fewer than three points or equal values of the teacher on that side.

    Notes
    -----
    The bootstrap draws pairs from the points on that side, whose choice rests on the teacher alone and so does not bias
    the slope. Resamples without two different values of the teacher have no slope and do not count. The networks stay
    as they are: the interval says nothing of networks trained anew, and for a dozen points it is too short.

    Cost: O(n·n_classes + n_resamples·m) time for m points, and O(n) memory besides blocks of rows. Source: Nagarajan et
    al. (2023), appendix C.4, Tables 3 to 6. Twin: `scipy.stats.linregress` and `scipy.stats.bootstrap` with
    `paired=True, method="percentile"`.

    Examples
    --------
    >>> teacher = np.column_stack([np.zeros(40), np.linspace(0.1, 4.0, 40)])
    >>> fit = exaggeration_slope(teacher, 1.5 * teacher - [0.0, 0.25])
    >>> round(fit.slope, 6), round(fit.intercept, 6), fit.n_points
    (1.5, -0.25, 10)
    """
    share = require_real("quantile", quantile)
    if not 0.0 < share <= 1.0:
        raise ValueError(f"quantile must be > 0 and <= 1, got {quantile!r}")
    if side not in ("low", "high"):
        raise ValueError(f'side must be "low" or "high", got {side!r}')
    level = require_real("confidence_level", confidence_level)
    if not 0.0 < level < 1.0:
        raise ValueError(f"confidence_level must be > 0 and < 1, got {confidence_level!r}")
    count = require_positive_integer("n_resamples", n_resamples)
    if count < _FEWEST_RESAMPLES:
        raise ValueError(f"n_resamples must be >= {_FEWEST_RESAMPLES}, got {n_resamples!r}")
    generator = require_generator("random_state", random_state)

    x, y = logit_logit_points(teacher_logits, student_logits, classes=classes, temperature=temperature)
    chosen, threshold = _tail(x, share, side)
    x, y = x[chosen], y[chosen]
    if len(x) < _FEWEST_POINTS or np.ptp(x) == 0.0:
        raise ValueError(
            f"teacher_logits must have {_FEWEST_POINTS} points or more on the {side} side, with different probabilities"
            f" of the class looked at, got {len(x)} with {len(np.unique(x))} different ones"
        )
    x_centre, y_centre = float(np.mean(x)), float(np.mean(y))
    x_scale, y_scale = float(np.max(np.abs(x - x_centre))), float(np.max(np.abs(y - y_centre))) or 1.0
    u, v = (x - x_centre) / x_scale, (y - y_centre) / y_scale
    unit = y_scale / x_scale
    slope = unit * float(u @ v / (u @ u))
    slopes = unit * _resampled_slopes(u, v, count, generator)
    low, high = np.quantile(slopes, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return ExaggerationSlope(
        slope=slope,
        intercept=y_centre - slope * x_centre,
        interval=(float(low), float(high)),
        standard_error=float(np.std(slopes, ddof=1)),
        confidence_level=level,
        n_points=len(x),
        threshold=threshold,
    )


def _tail(values: np.ndarray, share: float, side: str) -> tuple[np.ndarray, float]:
    """Mask of the share of lowest or highest values, ties with the last included, and that last value."""
    count = max(1, math.ceil(round(share * len(values), 6)))  # 7 of 100 for 0.07, whatever the rounding of the product
    position = count - 1 if side == "low" else len(values) - count
    threshold = float(np.partition(values, position)[position])
    return (values <= threshold if side == "low" else values >= threshold), threshold


def _resampled_slopes(x: np.ndarray, y: np.ndarray, n_resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Slopes of resampled pairs, of those resamples that have one, from how often they draw each pair."""
    n = len(x)
    x, y = x - np.median(x), y - np.median(y)
    moments = np.column_stack([x, y, x * x, x * y])
    sums = (
        np.array([np.bincount(generator.integers(n, size=n), minlength=n) @ moments for _ in range(n_resamples)]).T / n
    )
    variance, covariance = sums[2] - sums[0] ** 2, sums[3] - sums[0] * sums[1]
    defined = variance > _NO_SPREAD * sums[2]
    return covariance[defined] / variance[defined]
