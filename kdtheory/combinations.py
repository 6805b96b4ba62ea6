"""Label weights as affine combinations of pure models, and back.

A model of `τ` self-distillation steps is `Σ_j c_j f_j`, `Σ_j c_j = 1`, with the pure models `f_j` that j fits with
label weight 0 give. The label weights break the stick from its far end: with the tail sums `s_j = c_j + … + c_τ`, step
`τ − j + 1` has the label weight `1 − s_{j+1}/s_j`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_real, require_representable, require_vector


class UnreachableCombinationError(ValueError):
    """No finite label weights give this combination of pure models."""


def combination_from_label_weights(label_weights: Any) -> Array:
    """Coefficients of the pure models in the last step of a self-distillation.

    Parameters
    ----------
    label_weights : array of shape (n_steps - 1,)
        Label weights of steps 2..n_steps; any real numbers.

    Returns
    -------
    array of shape (n_steps,)
        Coefficient c_j of the model of j fits with label weight 0, for j = 1..n_steps. They sum to 1, and lie in
        [0, 1] exactly if the label weights do.

    Raises
    ------
    ValueError, TypeError
        When the label weights are not a vector of finite real numbers.
    OverflowError
        When a coefficient is beyond the floating-point range.

    Notes
    -----
    Cost: `O(n_steps)`. Source: Borup & Andersen (2021), Theorem 4.1, eq. 6.

    Examples
    --------
    >>> combination_from_label_weights([0.5, 0.25])
    array([0.25 , 0.375, 0.375])
    """
    array = require_vector("label_weights", label_weights, allow_empty=True)
    weights = to_numpy(array)[::-1]
    with np.errstate(over="ignore", invalid="ignore"):
        tails = np.concatenate([[1.0], np.cumprod(1.0 - weights)])
        combination = tails * np.concatenate([weights, [1.0]])
    return from_numpy(require_representable(combination, "the coefficient"), like=array)


def label_weights_from_combination(combination: Any) -> Array:
    """Label weights whose last step is a given affine combination of the pure models.

    Parameters
    ----------
    combination : array of shape (n_steps,)
        Coefficients c_1..c_{n_steps} of the pure models, with sum 1.

    Returns
    -------
    array of shape (n_steps - 1,)
        Label weights of steps 2..n_steps. Those that have no influence are 1.

    Raises
    ------
    ValueError
        When the coefficients do not sum to 1, to half of their digits.
    UnreachableCombinationError
        When a tail sum is zero and a later coefficient is not, as for (1, 1, -1).

    Notes
    -----
    Cost: `O(n_steps)`. Source: derived for this package; the inverse of Borup & Andersen (2021), eq. 6.

    Examples
    --------
    >>> label_weights_from_combination([0.25, 0.375, 0.375])
    array([0.5 , 0.25])
    """
    array = require_vector("combination", combination)
    coefficients = to_numpy(array)
    eps = float(array_namespace(array).finfo(array.dtype).eps)
    sizes = np.cumsum(np.abs(coefficients[::-1]))[::-1]
    tails = np.cumsum(coefficients[::-1])[::-1]
    if abs(tails[0] - 1.0) > math.sqrt(eps) * sizes[0]:
        raise ValueError(f"combination must sum to 1, got the sum {float(tails[0])!r}")
    lost = (np.abs(tails) <= eps * sizes) & (sizes > 0.0)  # a sum that is nothing but the rounding of its terms
    if np.any(lost):
        raise UnreachableCombinationError(
            "combination must not have a tail sum of 0 with other coefficients in it, got"
            f" {coefficients[int(np.argmax(lost)) :].tolist()}"
        )
    return from_numpy(break_stick(tails), like=array)


def break_stick(tails: np.ndarray) -> np.ndarray:
    """Label weights of steps 2..n_steps from the tail sums; 1 where nothing is left to divide."""
    left, passed_on = tails[:-1], tails[1:]
    shares = np.divide(passed_on, left, out=np.zeros(len(left)), where=passed_on != 0.0)
    return (1.0 - shares)[::-1]


def tail_sums(label_weights: np.ndarray) -> np.ndarray:
    """Tail sums 1, s_2, ... of the coefficients of the pure models in the last step of these label weights.

    The inverse of `break_stick`, without the rounding of adding up coefficients that cancel.
    """
    return np.cumprod(np.concatenate([[1.0], 1.0 - label_weights[::-1]]))


def label_weight_sequence(label_weight: Any, n_steps: int) -> tuple[list[float], float | None]:
    """One label weight for each of the steps 2..n_steps, and the constant that they all are, if any."""
    dimensions = getattr(label_weight, "ndim", None)
    if dimensions is None and (isinstance(label_weight, str) or not isinstance(label_weight, Iterable)):
        dimensions = 0
    if dimensions == 0:
        constant = require_real("label_weight", label_weight)
        return [constant] * (n_steps - 1), constant
    weights = to_numpy(require_vector("label_weight", label_weight, allow_empty=n_steps == 1)).tolist()
    if len(weights) != n_steps - 1:
        raise ValueError(f"label_weight must be one number or n_steps - 1 = {n_steps - 1} of them, got {len(weights)}")
    return weights, weights[0] if len(set(weights)) == 1 else None
