"""Euclidean lengths of columns of any size: squares of huge entries overflow, and those of tiny ones vanish."""

from __future__ import annotations

import numpy as np

from kdtheory._validation import require_representable


def column_lengths(columns: np.ndarray) -> np.ndarray:
    """Lengths of the columns of an array of shape (n,) or (n, k): shape () or (k,), zero for zeros alone."""
    exponents = np.frexp(np.max(np.abs(columns), axis=0, initial=0.0))[1]
    with np.errstate(over="ignore"):
        return np.ldexp(np.linalg.norm(np.ldexp(columns, -exponents), axis=0), exponents)


def target_lengths(targets: np.ndarray) -> np.ndarray:
    """Lengths of the targets of each output, refused where they are beyond the floating-point range."""
    return np.asarray(require_representable(column_lengths(targets), "the length of the target of output"))
