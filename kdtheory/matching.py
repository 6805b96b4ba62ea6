"""Teacher and student at equal progress along one eigendirection: when that is, and how far apart they are elsewhere.

Source: Nagarajan et al. (2023), Theorem 4.1/B.1.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from array_api_compat import array_namespace

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
    Source: Nagarajan et al. (2023), Theorem B.1, whose matching time is not printed.

    Examples
    --------
    >>> matched_student_time(1.0, [0.0, 0.5, 1.5], teacher_time=2.0).round(4)
    array([0.    , 0.6071, 2.2873])
    """
    d, stop = require_positive("d_top", d_top), require_positive("teacher_time", teacher_time)
    at = require_array("time", time)
    xp = array_namespace(at)
    if bool(xp.any(at < 0.0)):
        raise ValueError(f"time must be >= 0, got {float(xp.min(at))!r}")
    if bool(xp.any(at >= stop)):
        raise ValueError(
            f"time must be < teacher_time = {stop!r}, got {float(xp.max(at))!r}: the student approaches what the"
            " teacher had learned at teacher_time, and never reaches it"
        )
    with np.errstate(all="ignore"):
        learned = _ratio_learned(d, at, xp.full_like(at, stop))
        left = _ratio_learned(d, stop - at, xp.full_like(at, stop))
        early = learned < 0.5
        slowdown = xp.where(
            early,
            -xp.log1p(-xp.where(early, learned, xp.zeros_like(at))) / d,
            at - xp.log(xp.where(early, xp.ones_like(at), left)) / d,
        )
    return require_representable(slowdown, "the matched time")


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

    Notes
    -----
    The ratio compares directions along which the targets have a component; along others both weights are zero.
    Source: Nagarajan et al. (2023), Theorem 4.1/B.1.

    Examples
    --------
    >>> exaggeration_ratios([1.0, 0.1, 0.0], time=1.0, teacher_time=2.0).round(4)
    array([1.    , 0.2344, 0.    ])
    """
    d = require_array("eigenvalues", eigenvalues)
    require_ndim("eigenvalues", d, 1)
    xp = array_namespace(d)
    if bool(xp.any(d < 0.0)):
        raise ValueError(f"eigenvalues must be >= 0, got {float(xp.min(d))!r}")
    if not bool(xp.any(d > 0.0)):
        raise ValueError("eigenvalues must hold at least one value > 0, got zeros only")
    at = require_positive("time", time)
    matched = float(matched_student_time(float(xp.max(d)), at, teacher_time))
    student = GradientFlow(matched).shrinkage(d)
    slower = GradientFlow(float(teacher_time))(d) / GradientFlow(at)(d)
    return xp.where(d == xp.max(d), xp.ones_like(d), student * slower)


def _ratio_learned(d: float, time: Array, longer: Array) -> Array:
    """`(1 − exp(−d·time))/(1 − exp(−d·longer))`, for any d > 0."""
    xp = array_namespace(time)
    slow = d * longer < 1e-18
    return xp.where(slow, time / longer, xp.expm1(-d * time) / xp.expm1(-d * longer))
