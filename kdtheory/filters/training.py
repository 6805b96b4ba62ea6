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
from kdtheory.filters._powers import momentum_powers, powers
from kdtheory.filters.base import Filter, Modes, mixed_target
from kdtheory.filters.ridge import Ridge


class Progress(NamedTuple):
    """How far training has come in every eigendirection; made by `flow` and `descend`."""

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

    Raises
    ------
    ValueError, TypeError
        When time or weight decay are not finite real numbers >= 0.

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
    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods", for heavy balls, and
    Nesterov (1983) for the other momentum.

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
    """Follow gradient flow to one time, or to an array of times.

    Parameters
    ----------
    eigenvalues : array of any shape
        Floating-point numbers >= 0.
    time : float or array
        Times >= 0, of a shape that broadcasts against the eigenvalues.
    weight_decay : float
        Factor >= 0 of `½‖weights‖²` in the loss.

    Returns
    -------
    Progress

    Raises
    ------
    ValueError, TypeError
        When the weight decay is not >= 0; nothing else is checked.

    See Also
    --------
    GradientFlow : the same as a filter.

    Notes
    -----
    Source: Nagarajan et al. (2023), eqs. 12 and 13.

    Examples
    --------
    >>> import numpy as np
    >>> flow(np.array([0.0, 0.5]), 2.0, 0.0).modes.shrinkage
    array([0.        , 0.63212056])
    """
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
    """Follow gradient descent for a number of steps, or for an array of numbers.

    Parameters
    ----------
    eigenvalues : array of any shape
        Floating-point numbers >= 0.
    n_iterations : array of integers
        Numbers of steps >= 0, of a shape that broadcasts against the eigenvalues.
    learning_rate : float
        Length of a step, > 0.
    momentum : float
        Share of the last move that is kept, > -1 and < 1.
    nesterov : bool
        Nesterov's momentum, not heavy ball.
    weight_decay : float
        Factor >= 0 of `½‖weights‖²` in the loss.

    Returns
    -------
    Progress

    Raises
    ------
    ValueError
        When the learning rate is not stable; nothing else is checked.

    See Also
    --------
    GradientDescent : the same as a filter.

    Notes
    -----
    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods", for the momentum;
    Nesterov (1983), "A method for solving the convex programming problem with convergence rate O(1/k²)", for the other.

    Examples
    --------
    >>> import numpy as np
    >>> plain = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    >>> descend(np.array([0.0, 1.0, 2.0]), np.asarray(3), learning_rate=0.5, **plain).modes.shrinkage
    array([0.   , 0.875, 1.   ])
    """
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
            start, learned = powers(rate, rate_error, n_iterations)
            steps = xp.asarray(n_iterations, dtype=rate.dtype, device=device(rate)) + xp.zeros_like(rate)
            coefficient = _per_eigenvalue(total, learned, rate * steps, unit * learning_rate * steps) / unit
        else:
            start, per_rate = momentum_powers(rate, rate_error, momentum, nesterov, n_iterations)
            learned = rate * per_rate
            coefficient = learning_rate * per_rate
        return _progress(eigenvalues, weight_decay, start, learned, coefficient)


def resume(teacher: Modes, training: Progress, label_weight: float) -> Modes:
    """Give the modes of a student that starts from its teacher.

    It is trained on `label_weight·y + (1 − label_weight)·f_teacher`; nothing is checked.

    Parameters
    ----------
    teacher : Modes
    training : Progress
        Of the student's training, from `flow` or `descend`.
    label_weight : float
        Any real number.

    Returns
    -------
    Modes

    Notes
    -----
    Without weight decay the residual is `(1 − B_teacher)·(1 − α·(1 − r))`: training on the teacher alone changes
    nothing, and no student forgets. Source: derived for this package.

    Examples
    --------
    >>> import numpy as np
    >>> teacher, training = (flow(np.array([0.5]), time, 0.0) for time in (2.0, 1.0))
    >>> unchanged = resume(teacher.modes, training, 0.0)
    >>> bool(np.isclose(unchanged.shrinkage, teacher.modes.shrinkage)[0])
    True
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
