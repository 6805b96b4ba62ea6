"""Gradient training as a filter: gradient flow and gradient descent, with weight decay and momentum, stopped anywhere.

Every method is linear, so training from a start `f₀` at rest towards targets z leaves the share `r` of the start and
puts `(1 − r)·d/(d + weight_decay)` of the targets in its place, in each eigendirection for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from kdtheory._compensated import two_product, two_sum
from kdtheory._typing import Array
from kdtheory._validation import (
    require_bool,
    require_momentum,
    require_nonnegative,
    require_nonnegative_integer,
    require_positive,
)
from kdtheory.filters.base import Filter, Modes, mixed_target
from kdtheory.filters.ridge import Ridge


class Progress(NamedTuple):
    """How far training has come in every eigendirection."""

    modes: Modes
    """The model trained from zero."""
    start: Array
    """Share r of its start that a model has kept."""
    decayed: Array
    """What weight decay keeps away from the targets: `1 − r` less the shrinkage."""


@dataclass(frozen=True)
class GradientFlow(Filter):
    """Gradient flow on `½‖f − y‖²` from zero, stopped at `time`.

    Shrinkage `1 − exp(−time·d)`. The coefficient filter `(1 − exp(−time·d))/d` tends to `time` at d = 0, and to plain
    interpolation `1/d` as the time grows. With weight decay μ in the space of the weights, d in the exponent and in
    the denominator becomes `d + μ`, and long training ends in kernel ridge regression with the penalty μ.

    Parameters
    ----------
    time : float
        Training time, >= 0, in units of one over the eigenvalues; there is no hidden factor n.
    weight_decay : float, default 0
        Factor μ >= 0 of `½‖weights‖²` in the loss, in units of the eigenvalues.

    See Also
    --------
    GradientDescent : the same in steps of finite length.

    Notes
    -----
    Relative error below 1e-12 in double precision for eigenvalues from 0 to 1e300 and times from 0 to 1e300.
    Source: Nagarajan et al. (2023), eqs. 12 and 13. Twin: `neural_tangents.predict.gradient_descent_mse`, whose loss
    is divided by the number of targets.

    Examples
    --------
    >>> GradientFlow(time=2.0).shrinkage([0.0, 0.5, 1e9])
    array([0.        , 0.63212056, 1.        ])
    >>> GradientFlow(time=2.0)([0.0])
    array([2.])
    """

    time: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", require_nonnegative("time", self.time))
        object.__setattr__(self, "weight_decay", require_nonnegative("weight_decay", self.weight_decay))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return the modes at `time`."""
        return flow(eigenvalues, self.time, self.weight_decay).modes


@dataclass(frozen=True)
class GradientDescent(Filter):
    """Gradient descent on `½‖f − y‖²` from zero, in steps of constant length.

    Without momentum the shrinkage is `1 − (1 − learning_rate·d)^n_iterations`; weight decay enters as in
    `GradientFlow`. With momentum m, heavy ball (Polyak) moves `f` by its gradient step and by m times its last move;
    Nesterov's method takes the gradient step where that last move leads. Filters with momentum may overshoot, and
    leave [0, 1].

    Parameters
    ----------
    learning_rate : float
        Length of a step, > 0, in units of one over the eigenvalues.
    n_iterations : int
        Number of steps, >= 0.
    momentum : float, default 0
        Share m of the last move that is kept, > -1 and < 1.
    nesterov : bool, default False
        Nesterov's momentum, not heavy ball. The filter is that of the iterates, not of the points in between where
        the gradients are taken.
    weight_decay : float, default 0
        Factor of `½‖weights‖²` in the loss, >= 0.

    Raises
    ------
    ValueError
        On evaluation, when the learning rate is not stable: from `2(1 + m)/(d_max + weight_decay)` on, and for
        Nesterov's momentum from `(1 + 1/max(1 + 2m, −m))/(d_max + weight_decay)` on.

    See Also
    --------
    GradientFlow : the limit of short steps, `time = learning_rate·n_iterations/(1 − momentum)`.

    Notes
    -----
    Cost: independent of the number of steps without momentum, and proportional to its logarithm with momentum, by
    powers of 2 × 2 matrices that need no roots and so have no double ones. With m in the names of others: `momentum`
    in `torch.optim.SGD` and `optax.sgd`, whose Nesterov variants report the points in between.

    Relative error below 1e-12 in double precision without momentum, for any number of steps; only the residual with
    weight decay changes its sign where steps overshoot, and next to that its error is relative to the terms that
    cancel. With momentum up to 0.95 in size and learning rates up to 99.9 % of the largest stable one the shrinkage
    has nine digits after any number of steps; beyond, digits are lost with the number of steps for which moves are
    remembered.

    Examples
    --------
    >>> GradientDescent(learning_rate=0.5, n_iterations=3).shrinkage([0.0, 1.0, 2.0])
    array([0.   , 0.875, 1.   ])
    >>> GradientDescent(learning_rate=0.5, n_iterations=3, momentum=0.5).shrinkage([1.0])
    array([1.25])
    """

    learning_rate: float
    n_iterations: int
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", require_positive("learning_rate", self.learning_rate))
        object.__setattr__(self, "n_iterations", require_nonnegative_integer("n_iterations", self.n_iterations))
        object.__setattr__(self, "momentum", require_momentum("momentum", self.momentum))
        object.__setattr__(self, "nesterov", require_bool("nesterov", self.nesterov))
        object.__setattr__(self, "weight_decay", require_nonnegative("weight_decay", self.weight_decay))

    def modes(self, eigenvalues: Array, /) -> Modes:
        """Return the modes after all steps; refuse a learning rate that is not stable."""
        return descend(
            eigenvalues,
            np.asarray(self.n_iterations),
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        ).modes


def flow(eigenvalues: Array, time: float | Array, weight_decay: float) -> Progress:
    """Progress of gradient flow at one time, or at an array of times that broadcasts against the eigenvalues."""
    xp = array_namespace(eigenvalues)
    with np.errstate(all="ignore"):  # an exponent beyond the range is infinite, and what is left of the start zero
        exponent = eigenvalues * time + weight_decay * time  # in parts: also their sum may be beyond the range
        learned = -xp.expm1(-exponent)
        coefficient = _per_eigenvalue(eigenvalues + weight_decay, learned, exponent, time + xp.zeros_like(exponent))
        return _progress(eigenvalues, weight_decay, xp.exp(-exponent), learned, coefficient)


def descend(
    eigenvalues: Array,
    n_iterations: np.ndarray,
    *,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> Progress:
    """Progress of gradient descent after one number of steps, or after an array of integers that broadcasts."""
    xp = array_namespace(eigenvalues)
    largest = float(xp.max(eigenvalues))
    _require_stable(largest, learning_rate, momentum, nesterov, weight_decay)
    # Halving is exact, and keeps the sum of two huge numbers finite; of tiny ones it could lose a digit.
    unit = 2.0 if max(largest, weight_decay) > 0.25 * float(xp.finfo(eigenvalues.dtype).max) else 1.0
    with np.errstate(all="ignore"):
        total, total_error = two_sum(eigenvalues / unit, xp.full_like(eigenvalues, weight_decay / unit))
        rate, rate_error = two_product(total, xp.full_like(eigenvalues, learning_rate * unit))
        rate_error = rate_error + learning_rate * unit * total_error
        if momentum == 0.0:
            start, learned = _powers(rate, rate_error, n_iterations)
            steps = xp.asarray(n_iterations, dtype=rate.dtype, device=device(rate)) + xp.zeros_like(rate)
            coefficient = _per_eigenvalue(total, learned, rate * steps, unit * learning_rate * steps) / unit
        else:
            start, per_rate = _momentum_powers(rate, rate_error, momentum, nesterov, n_iterations)
            learned = rate * per_rate
            coefficient = learning_rate * per_rate
        return _progress(eigenvalues, weight_decay, start, learned, coefficient)


def resume(teacher: Modes, training: Progress, label_weight: float) -> Modes:
    """Modes of a student that starts from its teacher, trained on `label_weight·y + (1 − label_weight)·f_teacher`.

    Without weight decay the residual is `(1 − B_teacher)·(1 − α·(1 − r))`: training on the teacher alone changes
    nothing, and no student forgets. Source: derived for this package.
    """
    target = mixed_target(teacher, label_weight)
    student = training.modes
    return Modes(
        training.start * teacher.coefficient + student.coefficient * target,
        training.start * teacher.shrinkage + student.shrinkage * target,
        training.decayed + teacher.residual * (training.start + (1.0 - label_weight) * student.shrinkage),
    )


def _progress(eigenvalues: Array, weight_decay: float, start: Array, learned: Array, coefficient: Array) -> Progress:
    if weight_decay == 0.0:
        return Progress(Modes(coefficient, learned, start), start, array_namespace(start).zeros_like(start))
    ridge = Ridge(weight_decay).modes(eigenvalues)
    decayed = ridge.residual * learned
    return Progress(Modes(coefficient, ridge.shrinkage * learned, start + decayed), start, decayed)


def _per_eigenvalue(total: Array, learned: Array, exponent: Array, at_zero: Array) -> Array:
    """`learned/total`, and its limit where so little is learned that the two are the same."""
    xp = array_namespace(total)
    slow = exponent < 1e-18
    return xp.where(slow, at_zero, learned / xp.where(slow, xp.ones_like(exponent), total + xp.zeros_like(exponent)))


def _powers(rate: Array, rate_error: Array, n_iterations: np.ndarray) -> tuple[Array, Array]:
    """`(1 − rate)^n` and its complement, from the distance of the base to 1, 0 or −1, whichever is nearest."""
    xp = array_namespace(rate)
    steps = xp.asarray(n_iterations, dtype=rate.dtype, device=device(rate))
    odd = xp.asarray(n_iterations % 2 == 1, device=device(rate))
    base = (1.0 - rate) - rate_error
    zero = xp.zeros_like(rate)
    small, large = rate < 0.5, rate > 1.5
    log_small = xp.log1p(-xp.where(small, rate, zero))
    log_large = xp.log1p(-xp.where(large, (2.0 - rate) - rate_error, zero))
    log_middle = xp.log(xp.where(small | large | (base == 0.0), xp.ones_like(rate), xp.abs(base)))
    log_size = xp.where(small, log_small, xp.where(large, log_large, log_middle))
    log_power = xp.where((base == 0.0) & (steps > 0.0), xp.full_like(zero, -xp.inf), log_size * steps)
    negative = (base < 0.0) & odd
    size = xp.exp(log_power)
    return xp.where(negative, -size, size), xp.where(negative, 1.0 + size, -xp.expm1(log_power))


class _Transfer(NamedTuple):
    """The matrix `[[1 − rate·learned, −drag], [rate·speed, kept]]` that moves the residual and the last move along.

    Its first entry is kept in two forms, each with its own full precision: as the residual and as what was learned.
    """

    residual: Array
    learned: Array
    drag: Array
    speed: Array
    kept: Array

    def then(self, first: _Transfer, rate: Array) -> _Transfer:
        """Product of this matrix with one that comes before it."""
        coupling = self.drag * first.speed
        learned = self.learned + first.learned * self.residual + coupling
        share = rate * learned
        # A product of residuals near 1 would double its error with every squaring.
        residual = array_namespace(rate).where(
            share < 0.5, 1.0 - share, self.residual * first.residual - rate * coupling
        )
        return _Transfer(
            residual,
            learned,
            self.residual * first.drag + self.drag * first.kept,
            self.speed * first.residual + self.kept * first.speed,
            self.kept * first.kept - rate * (self.speed * first.drag),
        )


def _momentum_powers(
    rate: Array, rate_error: Array, momentum: float, nesterov: bool, n_iterations: np.ndarray
) -> tuple[Array, Array]:
    """Residual after n steps with momentum, and its complement over the rate; by squaring."""
    xp = array_namespace(rate)
    one, zero = xp.ones_like(rate), xp.zeros_like(rate)
    residual = (1.0 - rate) - rate_error
    drag = momentum * residual if nesterov else momentum * one
    power = _Transfer(residual, one, drag, one, drag)
    shape = xp.zeros(n_iterations.shape, dtype=rate.dtype, device=device(rate)) + zero
    result = _Transfer(*(shape + entry for entry in (one, zero, zero, zero, one)))
    for bit in range(int(n_iterations.max()).bit_length()):
        taken = xp.asarray((n_iterations >> bit) % 2 == 1, device=device(rate))
        product = result.then(power, rate)
        result = _Transfer(*(xp.where(taken, new, old) for new, old in zip(product, result, strict=True)))
        power = power.then(power, rate)
    return result.residual, result.learned


def _require_stable(largest: float, learning_rate: float, momentum: float, nesterov: bool, weight_decay: float) -> None:
    if nesterov and momentum != 0.0:
        limit, rule = 1.0 + 1.0 / max(1.0 + 2.0 * momentum, -momentum), "(1 + 1/max(1 + 2m, -m))/(d_max + weight_decay)"
    else:
        limit, rule = 2.0 * (1.0 + momentum), "2(1 + m)/(d_max + weight_decay)"
    rate = learning_rate * (0.5 * largest + 0.5 * weight_decay)
    if not rate < 0.5 * limit:
        stable = 0.5 * limit / (0.5 * largest + 0.5 * weight_decay)
        raise ValueError(
            f"learning_rate must be < {stable!r}, {rule} with momentum m, to be stable, got {learning_rate!r}"
        )
