"""What could be reached if the signal were known: the best filter, its risk, and the best label weights.

Noise, signal and risk are those of `kdtheory.risk`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._components import Components
from kdtheory._interop import from_numpy
from kdtheory._tail_sums import warn_if_unreachable
from kdtheory._typing import Array
from kdtheory._validation import (
    require_bool,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
)


class WienerFilter(NamedTuple):
    """The filter of least in-sample risk, and that risk; made by `wiener_filter`."""

    shrinkage: Array
    """Best shrinkage of every mode, shape (r,); the same for equal eigenvalues."""
    floor: float
    """In-sample risk below which no filter can get."""


def wiener_filter(K: Any, signal: Any, *, noise_variance: SupportsFloat) -> WienerFilter:
    """Return the best filter there can be, and the risk that no filter can go below.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    signal : array of shape (n,) or (n, k)
        Noise-free targets; outputs share one filter.
    noise_variance : float
        Variance of the noise on every target, >= 0; with sample weights w, of the noise at weight 1.

    Returns
    -------
    WienerFilter
        Best shrinkage of every mode, and its in-sample risk.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When the energy of the signal is beyond the floating-point range.

    Notes
    -----
    A filter cannot tell directions with the same eigenvalue apart. With the signal's energy E and N directions (times
    outputs) on one level, its best shrinkage is `E/(E + N·noise_variance)`, and the floor is the sum over levels of
    `E·N·noise_variance/(E + N·noise_variance)`; on a zero eigenvalue every filter is zero, and leaves E. Eigenvalues
    closer than the rounding of the decomposition, `n·eps·d_max`, are one level. Any other filter has a risk that is
    larger by `Σ (θ² + noise_variance)(b − b*)²`. Self-distillation with free label weights and one fit more than
    there are positive levels attains the floor for every ridge.

    Source: Wiener's filter; the levels and the last statement are derived for this package.

    Examples
    --------
    >>> wiener_filter([[1.0, 0.0], [0.0, 3.0]], [1.0, 2.0], noise_variance=1.0)
    WienerFilter(shrinkage=array([0.8, 0.5]), floor=0.65)
    """
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    components = Components.of(K, "signal", signal)
    model, like = components.sequence_model(sigma2), components.spectrum.eigenvalues
    floor = require_representable(np.asarray(model.floor), "the floor")
    shrinkage = np.zeros(like.shape[0])
    shrinkage[: len(model.best_shrinkage)] = model.best_shrinkage
    return WienerFilter(from_numpy(shrinkage, like=like), float(floor))


def oracle_label_weights(
    K: Any,
    signal: Any,
    *,
    ridge: SupportsFloat,
    n_steps: SupportsIndex,
    noise_variance: SupportsFloat,
    unit_interval: bool = False,
) -> Array:
    """Label weights of least in-sample risk, for a known signal: what any way of choosing them can hope for.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    signal : array of shape (n,) or (n, k)
        Noise-free targets; outputs share one set of label weights.
    ridge : float
        Penalty of every fit, > 0.
    n_steps : int
        Number of fits, >= 1.
    noise_variance : float
        Variance of the noise on every target, >= 0; with sample weights w, of the noise at weight 1.
    unit_interval : bool, default False
        Keep every weight in [0, 1].

    Returns
    -------
    array of shape (n_steps - 1,)
        Label weights of steps 2..n_steps, for `selfdistill_closed_form`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When the energy of the signal is beyond the floating-point range.

    Warns
    -----
    LabelWeightWarning
        When no finite label weights reach the best combination; it is then approached.

    Notes
    -----
    One least-squares problem: the risk exceeds that of `wiener_filter` by `Σ (θ² + noise_variance)(b − b*)²`, and the
    shrinkage b is affine in the tail sums of `kdtheory.combinations`. Cost: `O(r·n_steps²)` after the decomposition.

    Source: derived for this package; for two fits Das & Sanghavi (2023) and Dang, Patil & Rinaldo (2026).

    Examples
    --------
    >>> oracle_label_weights([[1.0]], [1.0], ridge=1.0, n_steps=2, noise_variance=3.0).round(12)
    array([0.])
    """
    penalty = require_positive("ridge", ridge)
    count = require_positive_integer("n_steps", n_steps)
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    within = require_bool("unit_interval", unit_interval)
    components = Components.of(K, "signal", signal)
    weights, unreachable = components.sequence_model(sigma2).label_weights(penalty, count, unit_interval=within)
    warn_if_unreachable(unreachable, stacklevel=2)
    return from_numpy(weights, like=components.spectrum.eigenvalues)
