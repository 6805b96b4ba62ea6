"""Whether a model is right as often as it says: reliability diagrams and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._validation import require_positive_integer
from kdtheory.fidelity._logits import map_rows, require_classes, require_logits, softmax


@dataclass(frozen=True, eq=False)
class ReliabilityDiagram:
    """Confidence and accuracy in bins of equal width; made by `reliability_diagram`.

    Attributes
    ----------
    edges : array of shape (n_bins + 1,)
        From 0 to 1. A bin has its upper edge, and not its lower one.
    counts : array of n_bins integers
        Points in each bin.
    mean_confidences : array of shape (n_bins,)
        Mean probability of the predicted class; 0 in empty bins.
    accuracies : array of shape (n_bins,)
        Share of points that are predicted right; 0 in empty bins.
    gaps : array of shape (n_bins,)
        Accuracy less mean confidence, exact where both are next to 1: below 0 the model is too sure; 0 in empty bins.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean_confidences: np.ndarray
    accuracies: np.ndarray
    gaps: np.ndarray

    @property
    def expected_error(self) -> float:
        """Mean absolute gap over the points, the expected calibration error."""
        return float(self.counts @ np.abs(self.gaps) / np.sum(self.counts))

    @property
    def maximum_error(self) -> float:
        """Largest absolute gap of a bin."""
        return float(np.max(np.abs(self.gaps)))


def reliability_diagram(
    logits: Any, labels: Any, n_bins: SupportsIndex = 15, *, temperature: SupportsFloat = 1.0
) -> ReliabilityDiagram:
    """Confidence and accuracy of a model, in bins of equal width of the confidence.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
    labels : array of n integers
        0 to n_classes - 1.
    n_bins : int, default 15
    temperature : float, default 1
        > 0; divides the logits.

    Returns
    -------
    ReliabilityDiagram

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two columns, labels out of range, a number of bins that is not a
        positive integer, and a temperature that is not positive.

    Notes
    -----
    Of equal logits the class of the lowest number is the predicted one. Bin m has the confidences in
    `((m − 1)/n_bins, m/n_bins]`. Source: Guo et al. (2017).

    Examples
    --------
    >>> diagram = reliability_diagram([[0.0, 0.0], [0.0, 3.0], [0.0, 2.0]], [0, 1, 0], 2)
    >>> diagram.counts, diagram.accuracies, diagram.mean_confidences.round(4)
    (array([1, 2]), array([1. , 0.5]), array([0.5   , 0.9167]))
    """
    z = require_logits("logits", logits, temperature)
    classes = require_classes("labels", labels, z)
    count, divisor = require_positive_integer("n_bins", n_bins), float(temperature)

    def surplus(block: np.ndarray, right_classes: np.ndarray) -> np.ndarray:
        model = softmax(block, divisor)
        right = model.top == right_classes
        confidence = 1.0 / (1.0 + model.others)
        return np.column_stack([confidence, right, np.where(right, model.others * confidence, -confidence)])

    confidence, right, surpluses = map_rows(surplus, z, classes).T
    edges = np.arange(count + 1) / count
    bins = np.searchsorted(edges, confidence, side="left") - 1
    counts = np.bincount(bins, minlength=count)
    mean_confidences, accuracies, gaps = (
        np.bincount(bins, weights=values, minlength=count) / np.maximum(counts, 1)
        for values in (confidence, right, surpluses)
    )
    return ReliabilityDiagram(edges, counts, mean_confidences, accuracies, gaps)


def expected_calibration_error(
    logits: Any, labels: Any, n_bins: SupportsIndex = 15, *, temperature: SupportsFloat = 1.0
) -> float:
    """Mean absolute difference of accuracy and confidence over bins of the confidence, weighted by their points.

    Parameters
    ----------
    logits, labels, n_bins, temperature
        As for `reliability_diagram`.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError, TypeError
        As for `reliability_diagram`.

    Notes
    -----
    Source: Guo et al. (2017), eq. 3, as Stanton et al. (2021) report it. Twins: `ECE` of netcal and
    `MulticlassCalibrationError` of torchmetrics, but for confidences on the edge of a bin.

    Examples
    --------
    >>> round(expected_calibration_error([[0.0, 0.0], [0.0, 3.0], [0.0, 2.0]], [0, 1, 0]), 4)
    0.4761
    """
    return reliability_diagram(logits, labels, n_bins, temperature=temperature).expected_error
