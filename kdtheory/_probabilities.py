"""Arithmetic of probabilities that keeps its digits: the sigmoid, complements, and the shares of weighed points."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_weights


def sigmoid(z: Array) -> Array:
    """`1 / (1 + exp(−z))` without overflow."""
    xp = array_namespace(z)
    small = xp.exp(-xp.abs(z))
    return xp.where(z >= 0.0, xp.ones_like(z), small) / (1.0 + small)


def point_shares(sample_weight: Any, n_points: int) -> np.ndarray:
    """Return the shares of the points in a mean, which sum to one: equal ones by default."""
    if sample_weight is None:
        return np.full(n_points, 1.0 / n_points)
    weights = require_weights(
        "sample_weight", to_numpy(require_array("sample_weight", sample_weight)), n_points, like=np.zeros(1)
    )
    relative = weights / np.max(weights)  # whose sum does not overflow
    return relative / np.sum(relative)


def complements(probabilities: np.ndarray) -> np.ndarray:
    """One minus each probability; of the largest in a row it is the sum of the others, which keeps small ones."""
    rest = 1.0 - probabilities
    rows, largest = np.arange(len(rest)), np.argmax(probabilities, axis=1)
    others = probabilities.copy()
    others[rows, largest] = 0.0
    rest[rows, largest] = np.sum(others, axis=1)
    return rest
