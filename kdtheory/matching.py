"""Teacher and student at equal progress along one eigendirection: when that is, and how far apart they are elsewhere.

Source: Nagarajan et al. (2023), Theorem 4.1/B.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat

import numpy as np

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_ndim, require_positive, require_representable
from kdtheory.filters import GradientFlow


def matched_student_time(d_top: SupportsFloat, time: Any, teacher_time: SupportsFloat) -> Array:
    """Time at which a student has learned as much along one eigendirection as a teacher had at `time`.

    Both follow gradient flow from zero, the student on the outputs of the teacher at `teacher_time`. Along every
    direction of a smaller eigenvalue the student has then learned less: see `exaggeration_ratios`.

    Parameters
    ----------
    d_top : float
        Eigenvalue of the direction, > 0; the largest one in the theorem.
    time : float or array
        Times of the teacher, >= 0 and < teacher_time.
    teacher_time : float
        Time at which the teacher was stopped, whose outputs the student learns.

    Returns
    -------
    array of the shape of `time`
        `−ln(1 − (1 − exp(−d·time))/(1 − exp(−d·teacher_time)))/d`, greater than `time` unless that is zero.

    Raises
    ------
    ValueError
        When `time >= teacher_time`, where no matching time exists: the student approaches what the teacher had
        learned at `teacher_time`, and never reaches it.
    OverflowError
        When the time is beyond the floating-point range.

    Notes
    -----
    Relative error below 1e-12 in double precision, for eigenvalues and times from 1e-300 to 1e300.
    Source: Nagarajan et al. (2023), Theorem B.1, whose matching time is not printed.

    Examples
    --------
    >>> matched_student_time(1.0, [0.0, 0.5, 1.5], teacher_time=2.0).round(4)
    array([0.    , 0.6071, 2.2873])
    """
    d, stop = require_positive("d_top", d_top), require_positive("teacher_time", teacher_time)
    given = require_array("time", time)
    at = to_numpy(given)
    if np.any(at < 0.0):
        raise ValueError(f"time must be >= 0, got {float(np.min(at))!r}")
    if np.any(at >= stop):
        raise ValueError(
            f"time must be < teacher_time = {stop!r}, got {float(np.max(at))!r}: the student approaches what the"
            " teacher had learned at teacher_time, and never reaches it"
        )
    with np.errstate(all="ignore"):
        learned, left = _ratio_learned(d, at, stop), _ratio_learned(d, stop - at, stop)
        # Less than a rounding error of what the teacher learns in all: then times and shares are proportional.
        slowdown = np.where(learned < 0.5, -np.log1p(-learned) / d, at - np.log(left) / d)
        slowdown = np.where(learned < 1e-17, _time_over_learned(at, d, stop), slowdown)
        return require_representable(from_numpy(slowdown, like=given), "the matched time")


def exaggeration_ratios(eigenvalues: Any, *, time: SupportsFloat, teacher_time: SupportsFloat) -> Array:
    """How much less a student has learned than its teacher where both have learned the top direction equally well.

    Parameters
    ----------
    eigenvalues : array of shape (r,)
        Eigenvalues >= 0; the largest is that of the top direction.
    time, teacher_time : float
        Time of the teacher, > 0 and < teacher_time, and the time at which its outputs were given to the student.

    Returns
    -------
    array of shape (r,)
        Weight component of the student at `matched_student_time` over that of the teacher at `time`: 1 for the
        largest eigenvalue, < 1 for every smaller one, and the limit 0 for a zero one, along which neither learns.

    Raises
    ------
    ValueError
        When no eigenvalue is positive, or the times do not have `0 < time < teacher_time`.
    OverflowError
        When the matched time is beyond the floating-point range.

    Notes
    -----
    The ratio compares directions along which the targets have a component; along others both weights are zero.
    Relative error below 1e-12 in double precision, for eigenvalues and times from 1e-300 to 1e300.
    Source: Nagarajan et al. (2023), Theorem 4.1/B.1.

    Examples
    --------
    >>> exaggeration_ratios([1.0, 0.1, 0.0], time=1.0, teacher_time=2.0).round(4)
    array([1.    , 0.2344, 0.    ])
    """
    given = require_array("eigenvalues", eigenvalues)
    require_ndim("eigenvalues", given, 1)
    d = to_numpy(given)
    if np.any(d < 0.0):
        raise ValueError(f"eigenvalues must be >= 0, got {float(np.min(d))!r}")
    if not np.any(d > 0.0):
        raise ValueError("eigenvalues must hold at least one value > 0, got zeros only")
    at, stop = require_positive("time", time), require_positive("teacher_time", teacher_time)
    near, far = sorted((float(matched_student_time(float(np.max(d)), at, stop)), stop))
    with np.errstate(all="ignore"):
        # Of the three times only the longest can count on a share that does not underflow.
        ratios = np.where(
            _is_slow(d, far),
            _scaled_product((d, near, far), (at,)),
            GradientFlow(far).shrinkage(d) / _ratio_learned(d, np.asarray(at), near),
        )
        return from_numpy(np.where(d == np.max(d), 1.0, np.minimum(ratios, 1.0)), like=given)


def _ratio_learned(d: float | np.ndarray, time: np.ndarray, longer: float) -> np.ndarray:
    """`(1 − exp(−d·time))/(1 − exp(−d·longer))`, for any d >= 0."""
    return np.where(_is_slow(d, longer), time / longer, np.expm1(-d * time) / np.expm1(-d * longer))


def _time_over_learned(time: np.ndarray, d: float, longer: float) -> np.ndarray:
    """`time/(1 − exp(−d·longer))`, for any d > 0."""
    return _scaled_product((time,), (d, longer)) if _is_slow(d, longer) else time / -np.expm1(-d * longer)


def _is_slow(d: Any, time: float) -> Any:
    """Whether so little is learned that `1 − exp(−d·time)` is `d·time`."""
    return d * time < 1e-18


def _scaled_product(factors: Iterable[Any], divisors: Iterable[Any]) -> np.ndarray:
    """Product of the factors over that of the divisors, which may leave the range of floats on its way."""
    product, exponent = np.asarray(1.0), 0
    for factor in factors:
        fraction, power = np.frexp(factor)
        product, exponent = product * fraction, exponent + power
    for divisor in divisors:
        fraction, power = np.frexp(divisor)
        product, exponent = product / fraction, exponent - power
    return np.ldexp(product, exponent)
