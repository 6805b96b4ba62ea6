"""Double distillation: a teacher that smooths the positive labels of a ranking loss and weighs the negative ones."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import is_traced
from kdtheory._probabilities import sigmoid
from kdtheory._typing import Array, Namespace
from kdtheory._validation import (
    require_array,
    require_ndim,
    require_positive,
    require_probabilities,
    require_representable,
)

_SMALLEST = 2.0**26
"""Sums of exponentials that are this many times the smallest normal number have lost no digits by underflow."""


def double_distillation_loss(scores: Any, probabilities: Any, negative_weights: Any) -> Array:
    """Loss of every point: each label a positive by its probability, against the others by their weights.

    Parameters
    ----------
    scores : array of shape (n, n_classes)
        Scores f of the student for all labels.
    probabilities : array of shape (n, n_classes)
        The teacher's probabilities p; one-hot labels take no notice of it.
    negative_weights : array of shape (n, n_classes), or float
        Weights Ψ in [0, 1] of the labels as negatives: `negative_weights_from_probabilities` or `..._from_logits` of
        the teacher. One number is for all; 1 gives the cross-entropy.

    Returns
    -------
    array of shape (n,)
        `Σ_y p_y log(1 + Σ_{y' ≠ y} Ψ_{y'} exp(f_{y'} − f_y))`, >= 0, in the library of the scores.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, probabilities that do not sum to 1 and weights outside [0, 1].
    OverflowError
        When a loss is beyond the floating-point range.

    Notes
    -----
    Source: Menon et al. (2020), eq. 13, with a weight of one for the positive label itself. As printed its weight is
    Ψ_y, and the loss, `cross-entropy(p, softmax(f + log Ψ))` and a constant, has no lower bound where that is zero: as
    for one-hot labels with Ψ = 1 − p.

    Under `jax.jit` and `jax.grad` values are not checked, and a weight of zero, which takes its label out, has the
    derivative zero. Cost: O(n·n_classes). Twin: `optax.softmax_cross_entropy`,
    for weights of one.

    Examples
    --------
    >>> double_distillation_loss([[0.0, 0.0, 5.0]], [[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]).round(4)
    array([0.6931])
    """
    f, p, psi = _arguments(scores, probabilities, negative_weights)
    xp = array_namespace(f)
    with np.errstate(over="ignore"):
        margins = _others(xp, f + _log(xp, psi)) - f
    losses = xp.logaddexp(xp.zeros_like(f), margins)
    if is_traced(f, p, psi):
        return xp.sum(p * losses, axis=1)
    possible = p > 0.0
    with np.errstate(invalid="ignore"):
        total = xp.sum(xp.where(possible, p * losses, xp.zeros_like(p)), axis=1)
    return require_representable(total, "the loss")


def double_distillation_gradient(scores: Any, probabilities: Any, negative_weights: Any) -> Array:
    """Gradient of the loss of every point with respect to its scores.

    Parameters
    ----------
    scores, probabilities, negative_weights
        As for `double_distillation_loss`.

    Returns
    -------
    array of shape (n, n_classes)
        Entries in [-1, 1] that sum to zero in every row.

    Raises
    ------
    ValueError, TypeError
        As for `double_distillation_loss`.

    Notes
    -----
    Source: the derivative of the loss of Menon et al. (2020), section 4.

    Examples
    --------
    >>> double_distillation_gradient([[0.0, 0.0, 5.0]], [[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]])
    array([[-0.5,  0.5,  0. ]])
    """
    f, p, psi = _arguments(scores, probabilities, negative_weights)
    xp = array_namespace(f)
    negatives = f + _log(xp, psi)
    others = _others(xp, negatives)
    # Of the normaliser Z_y = exp f_y + Σ_{y' ≠ y} Ψ_{y'} exp f_{y'} of a positive y, the negative k has the share
    # Ψ_k exp(f_k) / Z_y, and all negatives together have one minus that of y.
    with np.errstate(over="ignore"):
        margins = others - f
    log_normalisers = xp.logaddexp(f, others)
    as_negative = xp.exp(negatives + _others(xp, _log(xp, p) - log_normalisers))
    return as_negative - p * sigmoid(margins)


def double_distillation_loss_and_gradient(
    scores: Any, probabilities: Any, negative_weights: Any
) -> tuple[Array, Array]:
    """Loss of every point and its gradient, with the same exponentials: for optimisers that take both.

    Parameters
    ----------
    scores, probabilities, negative_weights
        As for `double_distillation_loss`.

    Returns
    -------
    loss : array of shape (n,)
    gradient : array of shape (n, n_classes)

    Raises
    ------
    ValueError, TypeError
        As for `double_distillation_loss`.

    Notes
    -----
    Source: Menon et al. (2020), section 4.

    Without the logarithms of `double_distillation_loss` and `double_distillation_gradient`, which are called where an
    exponential is too small for a float. So losses much smaller than one have the rounding of one. Cost: less than half
    of both.

    Examples
    --------
    >>> double_distillation_loss_and_gradient([[0.0, 0.0, 5.0]], [[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]])
    (array([0.69314718]), array([[-0.5,  0.5,  0. ]]))
    """
    f, p, psi = _arguments(scores, probabilities, negative_weights)
    xp = array_namespace(f)
    shifted = f - xp.max(f, axis=1, keepdims=True)
    exponentials = xp.exp(shifted)
    negatives = psi * exponentials
    own = (1.0 - psi) * exponentials
    z = xp.sum(negatives, axis=1, keepdims=True) + own
    if is_traced(z) or not bool(xp.min(z) > _SMALLEST * xp.finfo(z.dtype).smallest_normal):
        return double_distillation_loss(f, p, psi), double_distillation_gradient(f, p, psi)
    shares = p / z
    loss = xp.sum(p * (xp.log(z) - shifted), axis=1)
    return loss, negatives * xp.sum(shares, axis=1, keepdims=True) + own * shares - p


def negative_weights_from_probabilities(probabilities: Any) -> Array:
    """Weights `Ψ = 1 − p` of labels as negatives.

    Parameters
    ----------
    probabilities : array of shape (n, n_classes)

    Returns
    -------
    array of shape (n, n_classes)

    Raises
    ------
    ValueError, TypeError
        For probabilities that leave [0, 1] or do not sum to 1.

    Notes
    -----
    Of several likely labels none gets a weight near zero: the weights of m labels sum to m − 1 at least. Source: Menon
    et al. (2020), section 4.1.

    Examples
    --------
    >>> negative_weights_from_probabilities([[0.75, 0.25]])
    array([[0.25, 0.75]])
    """
    if is_traced(probabilities):
        return 1.0 - probabilities
    return 1.0 - require_probabilities("probabilities", probabilities)


def negative_weights_from_logits(logits: Any, *, scale: SupportsFloat | Array = 1.0) -> Array:
    """Weights `Ψ = 1 − sigmoid(scale·logit)` of labels as negatives, of which any number can be near zero.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
        The teacher's logits s.
    scale : float, default 1
        a > 0, to be tuned.

    Returns
    -------
    array of shape (n, n_classes)

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, and a scale that is not positive.

    Notes
    -----
    Source: Menon et al. (2020), section 4.1. Logits are known up to a constant that the softmax does not see and this
    does: centre or shift them as the teacher was trained.

    Examples
    --------
    >>> negative_weights_from_logits([[0.0, 3.0]]).round(4)
    array([[0.5   , 0.0474]])
    """
    if is_traced(logits, scale):
        return sigmoid(-(logits * scale))
    s = require_array("logits", logits)
    require_ndim("logits", s, 2)
    return sigmoid(-require_positive("scale", scale) * s)


def _arguments(scores: Any, probabilities: Any, negative_weights: Any) -> tuple[Array, Array, Array]:
    arguments = (scores, probabilities, negative_weights)
    for traced in filter(is_traced, arguments):
        xp = array_namespace(traced)
        f, p, psi = (xp.asarray(each) for each in arguments)
        return f, p, xp.broadcast_to(psi, f.shape)
    f = require_array("scores", scores)
    require_ndim("scores", f, 2)
    p = require_probabilities("probabilities", probabilities, like=f)
    psi = require_array("negative_weights", negative_weights, like=f)
    psi = array_namespace(f).broadcast_to(psi, f.shape) if psi.ndim == 0 else psi
    for name, array in (("probabilities", p), ("negative_weights", psi)):
        if array.shape != f.shape:
            raise ValueError(f"{name} must have the shape of scores, {tuple(f.shape)}, got {tuple(array.shape)}")
    xp = array_namespace(f)
    if bool(xp.any((psi < 0.0) | (psi > 1.0))):
        raise ValueError(
            f"negative_weights must lie in [0, 1], got values from {float(xp.min(psi))} to {float(xp.max(psi))}"
        )
    return f, p, psi


def _log(xp: Namespace, psi: Array) -> Array:
    positive = psi > 0.0
    # The logarithm of zero is never taken: JAX would make a NaN of its derivative.
    return xp.where(positive, xp.log(xp.where(positive, psi, xp.ones_like(psi))), -xp.inf * xp.ones_like(psi))


def _others(xp: Namespace, exponents: Array) -> Array:
    """Logarithm of the sum of the exponentials of all other entries of the row, for every entry; −∞ for no other.

    Taking an entry out of the sum loses no digits unless it is more than half of it; so the sum without the largest is
    made anew.
    """
    largest = xp.argmax(exponents, axis=1, keepdims=True)
    is_largest = xp.arange(exponents.shape[1]) == largest
    total = _log_sum_exp(xp, exponents)
    finite = xp.isfinite(total)
    share = xp.exp(exponents - xp.where(finite, total, xp.zeros_like(total)))
    without = total + xp.log1p(-xp.where(is_largest, xp.zeros_like(share), share))
    rest = _log_sum_exp(xp, xp.where(is_largest, -xp.inf * xp.ones_like(exponents), exponents))
    return xp.where(is_largest, rest, xp.where(finite, without, -xp.inf * xp.ones_like(without)))


def _log_sum_exp(xp: Namespace, exponents: Array) -> Array:
    """Logarithm of the sum of exponentials in every row, shape (n, 1); −∞ where all are zero."""
    largest = xp.max(exponents, axis=1, keepdims=True)
    shift = xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))
    total = xp.sum(xp.exp(exponents - shift), axis=1, keepdims=True)
    one = xp.ones_like(total)  # keeps the derivative of the logarithm at zero out of JAX's gradients
    return xp.where(total > 0.0, shift + xp.log(xp.where(total > 0.0, total, one)), -xp.inf * one)
