"""Intervals for shares of points."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from scipy.special import ndtri

from kdtheory._interop import to_numpy
from kdtheory._validation import require_array, require_real


def share_interval(
    shares: Any, n_points: Any, *, confidence_level: SupportsFloat = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval for the probability behind a share, such as an accuracy or an agreement.

    Parameters
    ----------
    shares : array of any shape
        In [0, 1].
    n_points : array of the same shape, or one number for all
        Points that each is a share of, >= 1.
    confidence_level : float, default 0.95
        In (0, 1).

    Returns
    -------
    low : array of that shape
    high : array of that shape
        In [0, 1]. Shares of 0 and of 1 have intervals too.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Notes
    -----
    Source: Wilson (1927). Twin: `scipy.stats.binomtest(...).proportion_ci(method="wilson")`.

    Examples
    --------
    >>> low, high = share_interval([0.9, 1.0], 20)
    >>> low.round(3), high.round(3)
    (array([0.699, 0.839]), array([0.972, 1.   ]))
    """
    share, count = to_numpy(require_array("shares", shares)), to_numpy(require_array("n_points", n_points))
    if np.any(share < 0.0) or np.any(share > 1.0):
        raise ValueError(f"shares must lie in [0, 1], got {float(share[(share < 0.0) | (share > 1.0)][0])!r}")
    if np.any(count < 1.0):
        raise ValueError(f"n_points must be >= 1, got {float(np.min(count))!r}")
    if count.shape not in ((), share.shape):
        raise ValueError(f"n_points must be one number or have shape {share.shape}, got shape {count.shape}")
    level = require_real("confidence_level", confidence_level)
    if not 0.0 < level < 1.0:
        raise ValueError(f"confidence_level must be > 0 and < 1, got {confidence_level!r}")
    squared = float(ndtri(0.5 + level / 2.0)) ** 2 / count
    centre = (share + squared / 2.0) / (1.0 + squared)
    half = np.sqrt(squared * (share * (1.0 - share) + squared / 4.0)) / (1.0 + squared)
    return np.where(share == 0.0, 0.0, centre - half), np.where(share == 1.0, 1.0, centre + half)
