"""Trajectories of teachers and students under gradient flow and gradient descent, every moment from one decomposition.

Sources: Nagarajan et al. (2023), Theorem 4.1/B.1 and eqs. 12-15, for students on the teacher's outputs alone that
start from zero. Label weights, weight decay, momentum, further rounds and students that start from their teacher are
derived for this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import from_numpy, to_numpy
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_bool,
    require_momentum,
    require_ndim,
    require_nonnegative,
    require_nonnegative_integer,
    require_positive,
    require_positive_integer,
    require_real,
    require_targets,
)
from kdtheory.filters import Modes, Progress, compose, descend, flow, resume
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import Spectrum, as_spectrum


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(SpectralFit):
    """Models at a sequence of moments of one training; the first axis of every result counts the moments.

    Made by `flow_trajectories` and `descent_trajectories`. For m moments, n points, r eigenvalues and k outputs:

    Attributes
    ----------
    times : array of shape (m,)
        Training times, or numbers of iterations.
    shrinkage : array of shape (m, r)
        Share of each mode of the targets that is fitted.
    components : array of shape (m, r) or (m, r, k)
        Components of the weights along the eigendirections.
    fitted, dual_coef : array of shape (m, n) or (m, n, k)
    """

    times: Array


@dataclass(frozen=True, eq=False, repr=False)
class DistillationTrajectories:
    """A teacher and the students distilled from it, moment by moment.

    Made by `flow_trajectories` and `descent_trajectories`.

    Attributes
    ----------
    teacher : Trajectory
        The teacher alone, at all m moments, those after it was stopped for its students included.
    stopped_teacher : SpectralFit
        The teacher that the student of round 1 learned from.
    stopped_at : float
        Time, or number of iterations, at which every teacher was stopped.
    rounds : tuple of Trajectory
        The student of every round.
    """

    teacher: Trajectory
    stopped_teacher: SpectralFit
    stopped_at: float
    rounds: tuple[Trajectory, ...]

    @property
    def student(self) -> Trajectory:
        """The student of the last round."""
        return self.rounds[-1]

    def __repr__(self) -> str:
        n_times = int(self.teacher.times.shape[0])
        return (
            f"DistillationTrajectories(n_points={self.teacher.spectrum.n_points}, n_times={n_times},"
            f" n_rounds={len(self.rounds)})"
        )


def flow_trajectories(
    K: Any,
    y: Any,
    *,
    times: Any,
    teacher_time: SupportsFloat,
    label_weight: SupportsFloat = 0.0,
    warm_start: bool = False,
    n_rounds: SupportsIndex = 1,
    weight_decay: SupportsFloat = 0.0,
) -> DistillationTrajectories:
    """Follow a teacher under gradient flow, and the students that are distilled from it.

    The teacher is trained on y, from zero. The student of round 1 is trained on `label_weight·y + (1 −
    label_weight)·(outputs of the teacher at teacher_time)`, the student of every later round likewise on the student
    before it, stopped at `teacher_time` too.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    times : array of shape (m,)
        Training times to report, all >= 0, in any order; those of a student count from its own start.
    teacher_time : float
        Time at which every teacher is stopped for its student, >= 0. The trajectory of the teacher goes on to the last
        of the times.
    label_weight : float, default 0
        Weight of the ground-truth targets in the students' targets; any real number.
    warm_start : bool, default False
        Start each student from its teacher, not from zero. Without weight decay such a student never forgets: with
        label weight 0 it stays what its teacher was, and otherwise it fits more with every round.
    n_rounds : int, default 1
        Number of distillations in a row.
    weight_decay : float, default 0
        Factor of `½‖weights‖²` in every loss, >= 0.

    Returns
    -------
    DistillationTrajectories
        Shrinkage, fitted values, dual coefficients, predictions and weight components of the teacher and of the
        student of every round, at all times.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a result is beyond the floating-point range.

    Notes
    -----
    Cost: one eigendecomposition, `O(m·r)` for the filters of each round, and `2·n·r·m·k` for fitted values or dual
    coefficients. With label weight α in (0, 1] and many rounds from zero, the shrinkage at `teacher_time` tends to
    `α·s/(1 − (1 − α)·s)`, `s = 1 − exp(−teacher_time·d)`.

    Source: Nagarajan et al. (2023), eqs. 12-15. Twins: `neural_tangents.predict.gradient_descent_mse` for the
    teacher, `scipy.integrate.solve_ivp` on `f′ = −K (f − targets)` for all.

    Examples
    --------
    >>> run = flow_trajectories([[1.0]], [1.0], times=[0.0, 1.0, 1e9], teacher_time=1.0)
    >>> run.teacher.fitted[:, 0].round(4), run.student.fitted[:, 0].round(4)
    (array([0.    , 0.6321, 1.    ]), array([0.    , 0.3996, 0.6321]))
    """
    decay = require_nonnegative("weight_decay", weight_decay)
    stop = require_nonnegative("teacher_time", teacher_time)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    moments = _moments("times", times, like=d)
    targets = require_targets("y", y, spectrum.n_points, like=d)
    return _trajectories(
        spectrum,
        targets,
        moments,
        moving=flow(d, moments[:, None], decay),
        stopped=flow(d, stop, decay),
        stopped_at=stop,
        label_weight=label_weight,
        warm_start=warm_start,
        n_rounds=n_rounds,
    )


def descent_trajectories(
    K: Any,
    y: Any,
    *,
    iterations: Any,
    learning_rate: SupportsFloat,
    teacher_iterations: SupportsIndex,
    momentum: SupportsFloat = 0.0,
    nesterov: bool = False,
    label_weight: SupportsFloat = 0.0,
    warm_start: bool = False,
    n_rounds: SupportsIndex = 1,
    weight_decay: SupportsFloat = 0.0,
) -> DistillationTrajectories:
    """Follow a teacher under gradient descent, and the students that are distilled from it.

    As `flow_trajectories`, in steps of constant length, with momentum if wanted.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Ground-truth targets.
    iterations : array of integers of shape (m,)
        Numbers of steps to report, all >= 0, in any order; those of a student count from its own start.
    learning_rate : float
        Length of a step, > 0, in units of one over the eigenvalues.
    teacher_iterations : int
        Number of steps after which every teacher is stopped, >= 0.
    momentum, nesterov
        As for `GradientDescent`; every training starts at rest.
    label_weight, warm_start, n_rounds
        As for `flow_trajectories`.
    weight_decay
        As for `GradientDescent`.

    Returns
    -------
    DistillationTrajectories
        As from `flow_trajectories`, with the iterations as `times`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value; a learning rate that is not stable among it.
    OverflowError
        When a result is beyond the floating-point range.

    Notes
    -----
    Source: Nagarajan et al. (2023), eqs. 12-15, in steps of finite length.

    Cost: as `flow_trajectories`, and `O(m·r·log(iterations))` for the filters with momentum.

    Examples
    --------
    >>> run = descent_trajectories(
    ...     [[1.0]], [1.0], iterations=[0, 1, 2], learning_rate=0.5, teacher_iterations=2, label_weight=0.5
    ... )
    >>> run.teacher.fitted[:, 0], run.student.fitted[:, 0]
    (array([0.  , 0.5 , 0.75]), array([0.     , 0.4375 , 0.65625]))
    """
    setting: dict[str, Any] = {
        "learning_rate": require_positive("learning_rate", learning_rate),
        "momentum": require_momentum("momentum", momentum),
        "nesterov": require_bool("nesterov", nesterov),
        "weight_decay": require_nonnegative("weight_decay", weight_decay),
    }
    stop = require_nonnegative_integer("teacher_iterations", teacher_iterations)
    counts = _iterations("iterations", iterations)
    spectrum = as_spectrum(K)
    d = spectrum.eigenvalues
    targets = require_targets("y", y, spectrum.n_points, like=d)
    return _trajectories(
        spectrum,
        targets,
        from_numpy(counts, like=d),
        moving=descend(d, counts[:, None], **setting),
        stopped=descend(d, np.asarray(stop), **setting),
        stopped_at=float(stop),
        label_weight=label_weight,
        warm_start=warm_start,
        n_rounds=n_rounds,
    )


def _trajectories(
    spectrum: Spectrum,
    targets: Array,
    times: Array,
    *,
    moving: Progress,
    stopped: Progress,
    stopped_at: float,
    label_weight: SupportsFloat,
    warm_start: bool,
    n_rounds: SupportsIndex,
) -> DistillationTrajectories:
    """Compose trainings: students of every round at all times, on teachers that were stopped."""
    alpha = require_real("label_weight", label_weight)
    warm = require_bool("warm_start", warm_start)
    count = require_positive_integer("n_rounds", n_rounds)

    def train(teacher: Modes, training: Progress) -> Modes:
        return resume(teacher, training, alpha) if warm else compose(teacher, training.modes, alpha)

    teacher, rounds = stopped.modes, []
    with np.errstate(all="ignore"):  # what overflows is refused by the trajectories
        for _ in range(count):
            rounds.append(train(teacher, moving))
            teacher = train(teacher, stopped)
    return DistillationTrajectories(
        Trajectory(spectrum, targets, moving.modes, times),
        SpectralFit(spectrum, targets, stopped.modes),
        stopped_at,
        tuple(Trajectory(spectrum, targets, modes, times) for modes in rounds),
    )


def _moments(name: str, value: Any, *, like: Array) -> Array:
    array = require_array(name, value, like=like)
    require_ndim(name, array, 1)
    xp = array_namespace(array)
    if bool(xp.any(array < 0.0)):
        raise ValueError(f"{name} must be >= 0, got {float(xp.min(array))!r}")
    return array


def _iterations(name: str, value: Any) -> np.ndarray:
    array = require_array(name, value)
    require_ndim(name, array, 1)
    counts = to_numpy(array)
    if np.any(counts != np.floor(counts)):
        raise TypeError(f"{name} must hold integers, got {float(counts[counts != np.floor(counts)][0])!r}")
    wrong = (counts < 0) | (counts >= 2.0**53)
    if np.any(wrong):
        raise ValueError(f"{name} must be >= 0 and < 2**53, got {int(counts[wrong][0])}")
    return counts.astype(np.int64)
