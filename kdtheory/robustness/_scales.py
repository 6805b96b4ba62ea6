"""Scales on which the accuracies of many models under two conditions lie on a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri


@dataclass(frozen=True)
class Scale:
    """A growing function of accuracies, with its inverse and the derivative of that."""

    of: Callable[[np.ndarray], np.ndarray]
    accuracy: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    """Change of the accuracy with the value on the scale, at that value."""
    bounded: bool = False
    """Whether accuracies of 0 and 1 have values."""


SCALES = {
    "probit": Scale(ndtri, ndtr, lambda z: np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)),
    "logit": Scale(logit, expit, lambda z: expit(z) * expit(-z)),
    "linear": Scale(lambda p: p, lambda z: z, np.ones_like, bounded=True),
}
