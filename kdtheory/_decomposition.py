"""Checks and decomposition of a Gram matrix: whole or up to a tolerance, by LAPACK or by the matrix's own library."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from kdtheory._factored import decompose
from kdtheory._pivoted_cholesky import low_rank_eigh
from kdtheory._typing import Array, Namespace
from kdtheory._validation import first_index, require_representable

_SYMMETRY_TOLERANCE = 1e-8
_INDEFINITE_FACTOR = 1e3
_TILE = 256
_PAYING_RANK = 1 / 3


def eigenpairs(gram: Array, tolerance: float, name: str, scale: float = 0.0) -> dict[str, Any]:
    """Eigenvalues and basis of a symmetric matrix that may be overwritten, with rounding set to zero.

    What is left of a matrix with entries up to `scale` has their rounding errors.
    """
    rows = gram.shape[0]
    d, basis = _low_rank(gram, tolerance) or _eigh(gram)
    xp = array_namespace(d)
    require_representable(d, f"the eigenvalue of {name}")
    largest = float(xp.max(xp.abs(d)))
    rounding = rows * xp.finfo(d.dtype).eps * max(largest, scale)
    lowest = float(d[-1])
    if lowest < -_INDEFINITE_FACTOR * rounding:
        raise ValueError(
            f"{name} must be positive semi-definite, got the eigenvalue {lowest:.6g} beside a largest of {largest:.6g}"
        )
    return {"eigenvalues": xp.where(d <= rounding, xp.zeros_like(d), d), **basis}


def symmetrised(gram: Array, name: str) -> Array:
    """Return the mean of a matrix and its transpose, if they are the same to within the tolerance."""
    xp = array_namespace(gram)
    mean, deviation, largest = _mean_of_tiles(gram) if is_numpy_array(gram) else _mean(xp, gram)
    allowed = 0.5 * _SYMMETRY_TOLERANCE * largest
    if deviation > allowed:
        i, j = first_index(xp, xp.abs(gram - mean) > allowed)
        raise ValueError(
            f"{name} must be symmetric, got {float(gram[i, j])!r} at {(i, j)} and {float(gram[j, i])!r} at {(j, i)}"
        )
    return mean


def _mean(xp: Namespace, gram: Array) -> tuple[Array, float, float]:
    """Mean of a matrix and its transpose, the largest deviation from it and the largest entry."""
    mean = 0.5 * gram + 0.5 * gram.T
    return mean, float(xp.max(xp.abs(gram - mean))), float(xp.max(xp.abs(gram)))


def _mean_of_tiles(gram: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Do the same in tiles, that are in the cache when they are read across and that leave no large arrays behind."""
    n = gram.shape[0]
    mean = np.empty((n, n), dtype=gram.dtype)
    deviation = largest = 0.0
    for i in range(0, n, _TILE):
        for j in range(0, i + 1, _TILE):
            rows, columns = slice(i, i + _TILE), slice(j, j + _TILE)
            tile, mirror = gram[rows, columns], gram[columns, rows].T
            middle = 0.5 * tile + 0.5 * mirror
            mean[rows, columns] = middle
            mean[columns, rows] = middle.T
            deviation = max(deviation, np.max(np.abs(tile - middle)), np.max(np.abs(mirror - middle)))
            largest = max(largest, np.max(np.abs(middle)))
    return mean, float(deviation), float(largest)


def _low_rank(gram: Array, tolerance: float) -> tuple[Array, dict[str, Any]] | None:
    """Eigenvalues and eigenvectors up to the tolerance, if they can be had for less than all of them."""
    if tolerance == 0.0 or not is_numpy_array(gram) or _needs_scaling(_exponent(gram), gram):
        return None
    found = low_rank_eigh(gram, tolerance, int(_PAYING_RANK * gram.shape[0]))
    return None if found is None else (found[0], {"eigenvectors": found[1]})


def _eigh(gram: Array) -> tuple[Array, dict[str, Any]]:
    """Descending eigenvalues of a symmetric matrix that may be overwritten; its eigenvectors, whole or in factors."""
    if not is_numpy_array(gram) or gram.shape[0] == 1:
        xp = array_namespace(gram)
        ascending, vectors = xp.linalg.eigh(gram)
        return xp.flip(ascending), {"eigenvectors": xp.flip(vectors, axis=1)}
    # As LAPACK's drivers do, scale what is near the ends of the floating-point range, by a power of two.
    exponent = _exponent(gram)
    if _needs_scaling(exponent, gram):
        d, factors = decompose(np.ldexp(gram, -exponent, out=gram))
        with np.errstate(over="ignore"):
            d = np.ldexp(d, exponent)
    else:
        d, factors = decompose(gram)
    return d, {"_factors": factors, "_columns": 0}


def _exponent(gram: np.ndarray) -> int:
    return int(np.frexp(max(np.max(gram), -np.min(gram)))[1])


def _needs_scaling(exponent: int, gram: np.ndarray) -> bool:
    return abs(exponent) > np.finfo(gram.dtype).maxexp // 4
