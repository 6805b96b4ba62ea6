"""Probabilities from scores: one temperature for all classes, fitted to scores of points that were held out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

_COLDEST = 1e6
"""Largest inverse temperature; scores are about 1 for the right class and 0 for the others."""


def inverse_temperature(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Inverse temperature β >= 0 of least weighted cross-entropy between `softmax(β·scores)` and the labels.

    Labels count as in Platt (1999): as if one more point of each class had been seen, spread over all points, so that
    perfect scores do not give probabilities of 1. Zero when the scores tell nothing of the labels.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.6, 0.4]])
    >>> round(inverse_temperature(scores, np.array([0, 1, 0, 1]), np.ones(4)), 3)
    2.003
    """
    total, n_classes = float(np.sum(weights)), scores.shape[1]
    targets = (total * np.eye(n_classes)[labels] + 1.0) / (total + n_classes)
    wanted = float(weights @ np.sum(targets * scores, axis=1))

    def slope(beta: float) -> float:
        return float(weights @ np.sum(softmax(beta * scores, axis=1) * scores, axis=1)) - wanted

    if slope(0.0) >= 0.0:
        return 0.0
    if slope(_COLDEST) <= 0.0:
        return _COLDEST
    return float(brentq(slope, 0.0, _COLDEST, xtol=1e-12))
