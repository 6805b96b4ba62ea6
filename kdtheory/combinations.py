"""Label weights as affine combinations of pure models, and back.

A model of `τ` self-distillation steps is `Σ_j c_j f_j`, `Σ_j c_j = 1`, with the pure models `f_j` that j fits with
label weight 0 give. The label weights break the stick from its far end: with the tail sums `s_j = c_j + … + c_τ`, step
`τ − j + 1` has the label weight `1 − s_{j+1}/s_j`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_ndim


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

    Notes
    -----
    Source: Borup & Andersen (2021), Theorem 4.1, eq. 6.

    Examples
    --------
    >>> combination_from_label_weights([0.5, 0.25])
    array([0.25 , 0.375, 0.375])
    """
    if np.shape(label_weights) == (0,):
        return np.ones(1)
    array = require_array("label_weights", label_weights)
    require_ndim("label_weights", array, 1)
    weights = to_numpy(array)[::-1]
    tails = np.concatenate([[1.0], np.cumprod(1.0 - weights)])
    return from_numpy(tails * np.concatenate([weights, [1.0]]), like=array)


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
        When the coefficients do not sum to 1.
    UnreachableCombinationError
        When a tail sum is zero and a later coefficient is not, as for (1, 1, -1).

    Notes
    -----
    Source: derived for this package; the inverse of Borup & Andersen (2021), eq. 6.

    Examples
    --------
    >>> label_weights_from_combination([0.25, 0.375, 0.375])
    array([0.5 , 0.25])
    """
    array = require_array("combination", combination)
    require_ndim("combination", array, 1)
    coefficients = to_numpy(array)
    sizes = np.cumsum(np.abs(coefficients[::-1]))[::-1]
    tails = np.cumsum(coefficients[::-1])[::-1]
    if abs(tails[0] - 1.0) > 1e-10 * sizes[0]:
        raise ValueError(f"combination must sum to 1, got the sum {float(tails[0])!r}")
    lost = np.abs(tails) <= np.finfo(float).eps * sizes  # a sum that is nothing but the rounding of its terms
    if np.any(lost & (sizes > 0.0)):
        j = int(np.argmax(lost & (sizes > 0.0)))
        raise UnreachableCombinationError(
            f"combination must not have a tail sum of 0 with other coefficients in it, got {coefficients[j:].tolist()}"
        )
    return from_numpy(break_stick(tails), like=array)


def break_stick(tails: np.ndarray) -> np.ndarray:
    """Label weights of steps 2..n_steps from the tail sums; 1 where nothing is left to divide."""
    left, passed_on = tails[:-1], tails[1:]
    shares = np.divide(passed_on, left, out=np.zeros(len(left)), where=passed_on != 0.0)
    return (1.0 - shares)[::-1]
