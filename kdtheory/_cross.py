"""Kernel values between new points and old ones: an array, or an operator that multiplies without storing them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._linear_operator import LinearOperator
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_ndim, require_representable


def require_cross_gram(name: str, value: Any, n_points: int, *, like: Array) -> Array | LinearOperator:
    """`value` as kernel values of shape (m, n_points), rows new points and columns training points."""
    if not isinstance(value, LinearOperator):
        value = require_array(name, value, like=like)
        require_ndim(name, value, 2)
    if value.shape[1] != n_points:
        raise ValueError(
            f"{name} must have {n_points} columns, one for each training point, got shape {tuple(value.shape)}"
        )
    return value


def predictions(
    cross: Array | LinearOperator, dual_coef: Array, *, outputs: bool, what: str = "the prediction"
) -> Array:
    """Predictions (..., m) or (..., m, k) of models with dual coefficients (..., n) or (..., n, k)."""
    with np.errstate(over="ignore", invalid="ignore"):
        if not isinstance(cross, LinearOperator):
            values = cross @ dual_coef if outputs else dual_coef @ cross.T
        else:
            xp = array_namespace(dual_coef)
            columns = dual_coef if outputs else dual_coef[..., None]
            # All models in one product, since each product evaluates the kernel anew.
            first = xp.moveaxis(columns, -2, 0)
            product = cross.matmat(to_numpy(xp.reshape(first, (first.shape[0], math.prod(first.shape[1:])))))
            values = xp.reshape(from_numpy(product, like=dual_coef), (cross.shape[0], *first.shape[1:]))
            values = xp.moveaxis(values, 0, -2)
            values = values if outputs else values[..., 0]
    return require_representable(values, what)


def largest_entry(cross: Array | LinearOperator) -> float:
    """Size of the largest kernel value; of an operator, of the largest in a few columns."""
    if isinstance(cross, LinearOperator):
        columns = np.unique(np.linspace(0, cross.shape[1] - 1, 8).astype(int))
        units = np.zeros((cross.shape[1], len(columns)))
        units[columns, np.arange(len(columns))] = 1.0
        return float(np.max(np.abs(cross.matmat(units))))
    xp = array_namespace(cross)
    return float(xp.max(xp.abs(cross)))
