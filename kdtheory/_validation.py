"""The few argument checks: each raises an error that names the argument, the rule and the value."""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_numpy_array

from kdtheory._typing import Array, Namespace

_SUM_TO_ONE = 1e-6
"""How far sums of probabilities may be from 1 that once were of single precision."""


def require_real(name: str, value: SupportsFloat) -> float:
    """`value` as a finite float."""
    if isinstance(value, str | bytes | bool | np.bool_):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} must be at most about 1.8e308 in size, got a larger integer") from error
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def require_positive(name: str, value: SupportsFloat) -> float:
    """`value` as a finite float greater than zero."""
    number = require_real(name, value)
    if not number > 0.0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return number


def require_nonnegative(name: str, value: SupportsFloat) -> float:
    """`value` as a finite float of zero or more."""
    number = require_real(name, value)
    if not number >= 0.0:
        raise ValueError(f"{name} must be >= 0, got {value!r}")
    return number


def require_share(name: str, value: SupportsFloat) -> float:
    """`value` as a float from 0 to 1."""
    share = require_nonnegative(name, value)
    if share > 1.0:
        raise ValueError(f"{name} must be <= 1, got {value!r}")
    return share


def require_momentum(name: str, value: SupportsFloat) -> float:
    """`value` as a float between -1 and 1, both excluded."""
    number = require_real(name, value)
    if not -1.0 < number < 1.0:
        raise ValueError(f"{name} must be > -1 and < 1, got {value!r}")
    return number


def require_positive_integer(name: str, value: SupportsIndex) -> int:
    """`value` as an int of at least one; 3.0 is refused as well as 2.5."""
    return _require_integer(name, value, least=1)


def require_nonnegative_integer(name: str, value: SupportsIndex) -> int:
    """`value` as an int of at least zero that fits into 64 bits."""
    number = _require_integer(name, value, least=0)
    if number >= 2**63:
        raise ValueError(f"{name} must be < 2**63, got {value!r}")
    return number


def _require_integer(name: str, value: SupportsIndex, *, least: int) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, got {value!r}") from error
    if number < least:
        raise ValueError(f"{name} must be >= {least}, got {value!r}")
    return number


def require_bool(name: str, value: bool) -> bool:
    """`value` as it is, if it is a bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def require_generator(name: str, value: Any) -> np.random.Generator:
    """`value` as a random generator: itself, or one that starts from it."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} must be an integer >= 0 or a numpy.random.Generator, got {value!r}") from error


def require_array(name: str, value: Any, *, like: Array | None = None, allow_empty: bool = False) -> Array:
    """`value` as an array of finite real floating-point numbers.

    Lists and data frames become numpy arrays. With `like`, the result has the array library, the dtype and the
    device of `like`: plain numbers and numpy arrays move over, arrays of a third library are refused.
    """
    array = _numeric_array(name, value)
    xp = array_namespace(array)
    if like is not None:
        target = array_namespace(like)
        if xp is not target and not is_numpy_array(array):
            raise TypeError(
                f"{name} must be an array of numpy or of the library of the other arrays, got {type(value).__name__}:"
                " numpy.asarray makes it one of numpy"
            )
        with np.errstate(over="ignore"):  # what is too large for the dtype is refused as infinite below
            array = target.asarray(array, dtype=like.dtype, device=device(like))
        xp = target
    if math.prod(array.shape) == 0 and not allow_empty:
        raise ValueError(f"{name} must not be empty, got shape {tuple(array.shape)}")
    finite = xp.isfinite(array)
    if not bool(xp.all(finite)):
        where = first_index(xp, ~finite)
        raise ValueError(f"{name} must be finite, got {float(array[where])} at {position_of(where)}")
    return array


def require_vector(name: str, value: Any, *, allow_empty: bool = False) -> Array:
    """`value` as a one-dimensional array of finite real floating-point numbers."""
    array = require_array(name, value, allow_empty=allow_empty)
    require_ndim(name, array, 1)
    return array


def require_ndim(name: str, array: Array, *ndims: int) -> None:
    """Refuse an array whose number of dimensions is not one of `ndims`."""
    if array.ndim not in ndims:
        allowed = " or ".join(f"{ndim}-dimensional" for ndim in ndims)
        raise ValueError(f"{name} must be {allowed}, got shape {tuple(array.shape)}")


def require_targets(name: str, value: Any, n_points: int, *, like: Array) -> Array:
    """`value` as targets of shape (n_points,) or (n_points, n_outputs), in the kind of `like`."""
    array = require_array(name, value, like=like)
    require_ndim(name, array, 1, 2)
    if array.shape[0] != n_points:
        raise ValueError(f"{name} must have {n_points} rows, one for each point, got shape {tuple(array.shape)}")
    return array


def require_weights(name: str, value: Any, n_points: int, *, like: Array) -> Array:
    """`value` as weights of shape (n_points,), none negative and not all zero."""
    weights = require_array(name, value, like=like)
    if tuple(weights.shape) != (n_points,):
        raise ValueError(f"{name} must have shape {(n_points,)}, one weight a point, got {tuple(weights.shape)}")
    xp = array_namespace(weights)
    if bool(xp.any(weights < 0.0)):
        raise ValueError(f"{name} must be >= 0, got {float(xp.min(weights))!r}")
    if not bool(xp.any(weights > 0.0)):
        raise ValueError(f"{name} must hold at least one weight > 0, got zeros only")
    return weights


def require_probabilities(name: str, value: Any, *, ndims: tuple[int, ...] = (2,), like: Array | None = None) -> Array:
    """`value` as probabilities of shape (..., n_classes), in [0, 1], that sum to 1 in every row."""
    array = require_array(name, value, like=like)
    require_ndim(name, array, *ndims)
    xp = array_namespace(array)
    eps = max(float(xp.finfo(array.dtype).eps), _eps_as_given(value))
    outside = (array < 0.0) | (array > 1.0)
    if bool(xp.any(outside)):
        where = first_index(xp, outside)
        raise ValueError(f"{name} must lie in [0, 1], got {float(array[where])!r} at {position_of(where)}")
    sums = xp.sum(array, axis=-1)
    wrong = xp.abs(sums - 1.0) > max(_SUM_TO_ONE, 4.0 * eps)
    if bool(xp.any(wrong)):
        where = first_index(xp, wrong)
        raise ValueError(f"{name} must sum to 1 in every row, got {float(sums[where])!r} at {position_of(where)}")
    return array


def require_no_probabilities(name: str, logits: Any) -> None:
    """Refuse rows that are all distributions where logits are asked for: they would count as very unsure ones."""
    rows = np.asarray(logits, dtype=float)
    if rows.shape[1] > 1 and np.min(rows) >= 0.0 and np.max(np.abs(np.sum(rows, axis=1) - 1.0)) < 1e-2:
        raise ValueError(f"{name} must be logits, got probabilities in every row: take their logarithms")


def _eps_as_given(value: Any) -> float:
    """Return the rounding of the floating-point numbers that were passed, which may be of half precision."""
    if not is_array_api_obj(value) or isinstance(value, np.generic):
        return 0.0
    xp = array_namespace(value)
    return float(xp.finfo(value.dtype).eps) if xp.isdtype(value.dtype, "real floating") else 0.0


def require_labels(name: str, value: Any, n_points: int, n_classes: int) -> np.ndarray:
    """`value` as n_points integers from 0 to n_classes - 1."""
    labels = np.asarray(value)
    if labels.shape != (n_points,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be {n_points} integers, one label a point, got shape {labels.shape} of dtype {labels.dtype}"
        )
    outside = (labels < 0) | (labels >= n_classes)
    if np.any(outside):
        raise ValueError(f"{name} must lie in 0..{n_classes - 1}, got {int(labels[np.argmax(outside)])}")
    return labels


def require_representable(array: Array, what: str) -> Array:
    """Pass `array` on, or raise OverflowError: an infinity or a NaN that arithmetic made never leaves the package."""
    xp = array_namespace(array)
    finite = xp.isfinite(array)
    if not bool(xp.all(finite)):
        where = first_index(xp, ~finite)
        raise OverflowError(f"{what} at {position_of(where)} is too large for {array.dtype}")
    return array


def first_index(xp: Namespace, mask: Array) -> tuple[int, ...]:
    """Index of the first true entry of `mask`."""
    flat = int(xp.argmax(xp.astype(xp.reshape(mask, (-1,)), xp.uint8)))
    return tuple(int(index) for index in np.unravel_index(flat, tuple(mask.shape)))


def position_of(index: tuple[int, ...]) -> str:
    """Say where an entry is, in an error."""
    return f"index {index[0] if len(index) == 1 else index}" if index else "the only entry"


def _numeric_array(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got a masked array: fill it or drop the masked entries")
    if not is_array_api_obj(value) or isinstance(value, np.generic):
        if hasattr(value, "matmat"):
            raise TypeError(
                f"{name} must be an array, got a {type(value).__name__}: Spectrum.lanczos and Spectrum.nystrom make"
                " spectra of operators"
            )
        if hasattr(value, "gram"):
            raise TypeError(f"{name} must be of points, got the kernel {value}: use its gram(X) or its operator(X)")
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be a rectangular array of numbers, got {type(value).__name__}") from error
    elif is_numpy_array(value):
        value = np.asarray(value)  # drops subclasses such as np.matrix, whose `*` means something else
    xp = array_namespace(value)
    if not xp.isdtype(value.dtype, ("real floating", "integral", "bool")):
        raise TypeError(f"{name} must hold real numbers, got {type(value).__name__} of dtype {value.dtype}")
    if is_numpy_array(value) and value.dtype not in (np.float32, np.float64):
        return value.astype(np.float64)
    if not xp.isdtype(value.dtype, "real floating"):
        return xp.astype(value, xp.asarray(0.0).dtype)
    if xp.finfo(value.dtype).bits < 32:  # no library decomposes matrices of half precision
        return xp.astype(value, xp.float32)
    return value
