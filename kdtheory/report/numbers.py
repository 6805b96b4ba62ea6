"""The numbers of a report: shares and means over points with their errors, and scores of one model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory.fidelity import (
    ExaggerationSlope,
    ReliabilityDiagram,
    accuracy,
    exaggeration_slope,
    logit_logit_points,
    logit_transformed_probabilities,
    negative_log_likelihood,
    predicted_classes,
    predictive_entropies,
    reliability_diagram,
    share_interval,
)

CONFIDENCE_LEVEL = 0.95
"""Of every interval in a report."""


@dataclass(frozen=True)
class Share:
    """Share of the points, in a `Report`.

    Attributes
    ----------
    value : float
    interval : (float, float)
        Wilson's, at 95 %, over the points.
    """

    value: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, value: float, n_points: int) -> Share:
        """Make one, with its interval.

        Parameters
        ----------
        value : float
            In [0, 1].
        n_points : int
            How many points it is a share of, >= 1.

        Returns
        -------
        Share

        Examples
        --------
        >>> Share.of(0.5, 100).value
        0.5
        """
        low, high = share_interval(value, n_points, confidence_level=CONFIDENCE_LEVEL)
        return cls(value, (float(low), float(high)))


@dataclass(frozen=True)
class Mean:
    """Mean over the points, in a `Report`.

    Attributes
    ----------
    value : float
    standard_error : float
        Over the points, at least two; networks trained anew vary as well.
    """

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: np.ndarray, value: float | None = None) -> Mean:
        """Make one, with its standard error.

        Parameters
        ----------
        values : array of shape (n,)
            One value for each point.
        value : float, optional
            Their mean, where it is known more exactly.

        Returns
        -------
        Mean

        Examples
        --------
        >>> import numpy as np
        >>> Mean.of(np.array([1.0, 3.0]))
        Mean(value=2.0, standard_error=1.0)
        """
        centred = values - np.mean(values)
        scale = float(np.max(np.abs(centred))) or 1.0  # squares of large numbers overflow
        error = scale * float(np.std(centred / scale, ddof=1)) / math.sqrt(len(values))
        return cls(float(np.mean(values)) if value is None else value, error)


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Scores of one model; a part of `Report`.

    Attributes
    ----------
    accuracy : Share
    negative_log_likelihood, entropy, confidence : Mean
        The first two in nats; the confidence is the probability of the predicted class.
    expected_calibration_error, maximum_calibration_error : float
        Without standard errors: they are biased upward by chance.
    reliability : ReliabilityDiagram
    """

    accuracy: Share
    negative_log_likelihood: Mean
    entropy: Mean
    confidence: Mean
    expected_calibration_error: float
    maximum_calibration_error: float
    reliability: ReliabilityDiagram


@dataclass(frozen=True)
class Change:
    """Scores of the student less those of the teacher, paired over the points; a part of `Report`.

    Attributes
    ----------
    accuracy, negative_log_likelihood, entropy, confidence : Mean
    expected_calibration_error : float
    """

    accuracy: Mean
    negative_log_likelihood: Mean
    entropy: Mean
    confidence: Mean
    expected_calibration_error: float


@dataclass(frozen=True)
class Group:
    """Points that both models predict right, only one of them, or neither; a part of `Report`.

    Attributes
    ----------
    count : int
    share : Share
    teacher_confidence, student_confidence, divergence : float or None
        Mean probabilities of the predicted classes, and mean divergence of the student from the teacher in nats; None
        for a group without points.
    """

    count: int
    share: Share
    teacher_confidence: float | None
    student_confidence: float | None
    divergence: float | None


@dataclass(frozen=True, eq=False)
class LogitLogit:
    """Log odds of one class at every point, of teacher and student; a part of `Report`.

    Attributes
    ----------
    teacher, student : array of shape (n,)
        Not written into the JSON file.
    low, high : ExaggerationSlope or None
        Lines through the points where the teacher is least sure, and surest; None where it is equally sure of all of
        them, or they are fewer than three.
    student_below : Share
        Points where the student's log odds are less than the teacher's.
    """

    teacher: np.ndarray
    student: np.ndarray
    low: ExaggerationSlope | None
    high: ExaggerationSlope | None
    student_below: Share


@dataclass(frozen=True, eq=False)
class PointScores:
    """What one model does at every point, each of shape (n,)."""

    right: np.ndarray
    losses: np.ndarray
    entropies: np.ndarray
    confidences: np.ndarray

    @classmethod
    def of(cls, logits: Any, labels: Any, right: np.ndarray, *, temperature: float) -> PointScores:
        """Scores of every point, of which some are right."""
        top = predicted_classes(logits)
        log_odds, top_log_odds = (
            logit_transformed_probabilities(logits, classes, temperature=temperature) for classes in (labels, top)
        )
        return cls(
            right=right.astype(np.float64),
            losses=np.logaddexp(0.0, -log_odds),
            entropies=predictive_entropies(logits, temperature=temperature),
            confidences=1.0 / (1.0 + np.exp(-top_log_odds)),
        )


def model_scores(points: PointScores, logits: Any, labels: Any, n_bins: int, temperature: float) -> ModelScores:
    """Scores of a model, from those of its points where these are exact."""
    diagram = reliability_diagram(logits, labels, n_bins, temperature=temperature)
    loss = negative_log_likelihood(logits, labels, temperature=temperature)
    return ModelScores(
        accuracy=Share.of(accuracy(logits, labels), len(points.right)),
        negative_log_likelihood=Mean.of(points.losses, loss),
        entropy=Mean.of(points.entropies),
        confidence=Mean.of(points.confidences),
        expected_calibration_error=diagram.expected_error,
        maximum_calibration_error=diagram.maximum_error,
        reliability=diagram,
    )


def changes(teacher: PointScores, student: PointScores, calibration_error: float) -> Change:
    """Scores of the student less those of the teacher."""
    return Change(
        accuracy=Mean.of(student.right - teacher.right),
        negative_log_likelihood=Mean.of(student.losses - teacher.losses),
        entropy=Mean.of(student.entropies - teacher.entropies),
        confidence=Mean.of(student.confidences - teacher.confidences),
        expected_calibration_error=calibration_error,
    )


def logit_logit(
    teacher_logits: Any, student_logits: Any, classes: Any, quantile: float, temperature: float, seed: int
) -> LogitLogit:
    """Points of a logit-logit plot of the given classes, or of the teacher's own ones, and the lines at both ends."""
    x, y = logit_logit_points(teacher_logits, student_logits, classes=classes, temperature=temperature)

    def line(side: str) -> ExaggerationSlope | None:
        try:
            return exaggeration_slope(
                teacher_logits,
                student_logits,
                quantile,
                side,
                classes=classes,
                temperature=temperature,
                confidence_level=CONFIDENCE_LEVEL,
                random_state=seed,
            )
        except ValueError:  # all else was checked: there is no line through these points
            return None

    return LogitLogit(x, y, line("low"), line("high"), Share.of(float(np.mean(y < x)), len(x)))
