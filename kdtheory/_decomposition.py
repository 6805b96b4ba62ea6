"""Checks and decomposition of a Gram matrix: whole or up to a tolerance, by LAPACK or by the matrix's own library."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from kdtheory._factored import decompose
from kdtheory._pivoted_cholesky import low_rank_eigh
from kdtheory._typing import Array, Namespace
from kdtheory._validation import require_representable

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
    unit = float(xp.finfo(d.dtype).eps) * max(largest, scale)
    lowest = float(d[-1])
    if lowest < -_INDEFINITE_FACTOR * rows * unit:
        raise ValueError(
            f"{name} must be positive semi-definite, got the eigenvalue {lowest:.6g} beside a largest of {largest:.6g}"
        )
    return {"eigenvalues": xp.where(d <= rounding_units(rows) * unit, xp.zeros_like(d), d), **basis}


def rounding_units(rows: int) -> float:
    """Errors of eigenvalues that should be zero, at most, in units of the precision times the largest eigenvalue.

    Found to be below 2 + n/35 for matrices of many kinds, in both precisions. The usual n would take what is no error,
    in single precision, from matrices of a condition no worse than 10⁴.
    """
    return min(float(rows), 8.0 + rows / 16.0)


class _Asymmetry(NamedTuple):
    """How far a matrix is from the mean of it and its transpose, and the entries that are farthest from it."""

    deviation: float
    largest: float
    where: tuple[int, int]
    entries: tuple[float, float]


def symmetrised(gram: Array, name: str, overwrite: bool = False) -> Array:
    """Return the mean of a matrix and its transpose, if they are the same to within the tolerance.

    It may be made in the memory of the matrix.
    """
    if is_numpy_array(gram):
        mean, asymmetry = _mean_of_tiles(gram, overwrite)
    else:
        mean, asymmetry = _mean(array_namespace(gram), gram)
    if asymmetry.deviation > 0.5 * _SYMMETRY_TOLERANCE * asymmetry.largest:
        (i, j), (entry, mirrored) = asymmetry.where, asymmetry.entries
        raise ValueError(f"{name} must be symmetric, got {entry!r} at {(i, j)} and {mirrored!r} at {(j, i)}")
    return mean


def _mean(xp: Namespace, gram: Array) -> tuple[Array, _Asymmetry]:
    mean = 0.5 * gram + 0.5 * gram.T
    deviations = xp.abs(gram - mean)
    i, j = sorted(divmod(int(xp.argmax(deviations)), gram.shape[0]))
    entries = float(gram[i, j]), float(gram[j, i])
    return mean, _Asymmetry(float(deviations[i, j]), float(xp.max(xp.abs(mean))), (i, j), entries)


def _mean_of_tiles(gram: np.ndarray, overwrite: bool) -> tuple[np.ndarray, _Asymmetry]:
    """Work in tiles that are in the cache when they are read across, and leave no large arrays behind."""
    n = gram.shape[0]
    in_place = overwrite and gram.flags.c_contiguous and gram.flags.writeable
    mean = gram if in_place else np.empty((n, n), dtype=gram.dtype)
    found = _Asymmetry(0.0, 0.0, (0, 0), (0.0, 0.0))
    for i in range(0, n, _TILE):
        for j in range(i, n, _TILE):
            rows, columns = slice(i, i + _TILE), slice(j, j + _TILE)
            tile, mirror = gram[rows, columns], gram[columns, rows].T
            middle = 0.5 * tile + 0.5 * mirror
            found = found._replace(largest=max(found.largest, float(np.max(np.abs(middle)))))
            deviations = np.abs(tile - middle)
            row, column = divmod(int(np.argmax(deviations)), tile.shape[1])
            if deviations[row, column] > found.deviation:
                where, entries = (i + row, j + column), (float(tile[row, column]), float(mirror[row, column]))
                found = found._replace(deviation=float(deviations[row, column]), where=where, entries=entries)
            mean[rows, columns] = middle
            mean[columns, rows] = middle.T
    return mean, found


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
    return d, {"_factors": factors, "_spent": 0.0}


def without_direction(eigenvectors: Array, direction: Array) -> Array:
    """Eigenvectors (n, n - 1) of a matrix without a direction (n,) of length 1, on which it is zero.

    Rounding mixes the direction with those of small eigenvalues. One reflection of the eigenvectors, all but unchanged
    where eigenvalues are not small, makes it the last of them.
    """
    xp = array_namespace(eigenvectors)
    normal = direction @ eigenvectors
    normal = normal / xp.linalg.vector_norm(normal)
    last = normal[-1:] + xp.where(normal[-1:] < 0.0, -xp.ones_like(normal[-1:]), xp.ones_like(normal[-1:]))
    normal = xp.concat([normal[:-1], last])
    moved, shares = eigenvectors @ normal, normal[:-1] / (0.5 * (normal @ normal))
    if not is_numpy_array(eigenvectors):
        return eigenvectors[:, :-1] - moved[:, None] * shares
    kept = eigenvectors[:, :-1].copy()
    for start in range(0, len(kept), _TILE):  # leaves no other array of that size behind
        rows = slice(start, start + _TILE)
        kept[rows] -= moved[rows, None] * shares
    return kept


def _exponent(gram: np.ndarray) -> int:
    return int(np.frexp(max(np.max(gram), -np.min(gram)))[1])


def _needs_scaling(exponent: int, gram: np.ndarray) -> bool:
    return abs(exponent) > np.finfo(gram.dtype).maxexp // 4
