"""Networks linearised in their parameters, trained by a plan: filters of one spectrum, round after round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from kdtheory._validation import require_representable
from kdtheory.filters import Modes, compose
from kdtheory.nets.empirical_ntk import EmpiricalNTK
from kdtheory.nets.models import functional
from kdtheory.nets.plan import TrainingPlan
from kdtheory.nets.training import Snapshot
from kdtheory.spectral_fit import SpectralFit
from kdtheory.spectrum import Spectrum

_POINTS_AT_ONCE = 1024


class PlannedModes(NamedTuple):
    """What a plan makes of a linearised network, in every eigendirection of its tangent kernel."""

    wanted: Modes
    """Filter of what is wanted: the targets less the outputs at the start."""
    decayed: Modes
    """Filter of `J θ₀`, the outputs that weight decay pulls along; zero without it."""
    forgotten: float
    """Share of the parameters at the start, orthogonal to all derivatives, that weight decay takes away."""


def require_linear(plan: TrainingPlan) -> None:
    """Refuse a plan whose steps are not linear in the outputs."""
    if plan.optimiser != "sgd":
        raise ValueError(f"plan must have the optimiser 'sgd', whose steps are linear, got {plan.optimiser!r}")
    for name in ("clip_norm", "sharpness_radius", "augment"):
        if getattr(plan, name) is not None:
            raise ValueError(
                f"plan must leave out {name}, of which no closed form is known, got {getattr(plan, name)!r}"
            )


def planned_modes(eigenvalues: np.ndarray, plan: TrainingPlan, n_points: int) -> PlannedModes:
    """Follow all steps of a plan, as optax takes them, in every eigendirection at once.

    With `θ = θ₀ + Jᵀ c − s θ₀` a step's gradient is `(d·c − s·h − r)/n + μ·c` in the direction of a mode, for what is
    wanted r, `h = J θ₀` and weight decay μ, and `−μ·(1 − s)` for s.
    """
    require_linear(plan)
    d, decay, momentum = eigenvalues, plan.weight_decay, plan.momentum
    rates = plan.learning_rates(n_points)
    state = np.zeros((3 if decay else 1, len(d)))  # coefficients of r and of h, and s
    velocity = np.zeros_like(state)
    residual = np.ones_like(d)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        for rate in rates.tolist():
            gradient = decay * state
            gradient[0] -= residual / n_points
            if decay:
                gradient[1] += (d * state[1] - state[2]) / n_points
                gradient[2] -= decay
            velocity = gradient + momentum * velocity
            step = gradient + momentum * velocity if plan.nesterov else velocity
            state -= rate * step
            residual += rate * d * step[0]
    _require_stable(float(rates.max()), float(d[0]) / n_points + decay, plan, residual)
    pulled = state[1] if decay else np.zeros_like(d)
    return PlannedModes(
        Modes(state[0], d * state[0], residual),
        Modes(pulled, d * pulled, 1.0 - d * pulled),
        float(state[2, 0]) if decay else 0.0,
    )


def _require_stable(rate: float, largest: float, plan: TrainingPlan, residual: np.ndarray) -> None:
    """Refuse a learning rate that is not stable, if it has driven a mode further from its target than it began."""
    m = plan.momentum
    limit = 1.0 + 1.0 / max(1.0 + 2.0 * m, -m) if plan.nesterov and m else 2.0 * (1.0 + m)
    if rate * largest >= limit and not bool(np.all(np.abs(residual) <= 1.0)):
        raise ValueError(
            f"plan must have a learning_rate < {limit / largest:.6g} to be stable for the largest eigenvalue of this"
            f" network's tangent kernel, got {rate!r}"
        )


@dataclass(frozen=True, eq=False)
class Outputs:
    """A network where it begins, at some points.

    Attributes
    ----------
    start : array of shape (m, k)
        Its outputs.
    along : array of shape (m, k)
        Their derivatives along the parameters, `J θ₀`; zero where nothing decays.
    kernel : array of shape (m·k, n·k), or (m, n)
        Tangent kernel between these points and those for training.
    """

    start: np.ndarray
    along: np.ndarray
    kernel: np.ndarray


@dataclass(frozen=True, eq=False)
class LinearisedNetwork:
    """A network and the parameters where it is linearised.

    Attributes
    ----------
    model : equinox module
        Where training begins.
    at : equinox module
        Whose derivatives are taken.
    joint : bool
        Whether the kernel tells outputs apart, or is their mean.
    decays : bool
        Whether the derivatives along the parameters are needed.
    max_bytes : int
        Of work space for the kernel.
    """

    model: Any
    at: Any
    joint: bool
    decays: bool
    max_bytes: int

    def outputs(self, points: np.ndarray, others: np.ndarray | None = None) -> Outputs:
        """Give outputs at some points, and their kernel with others, or with themselves."""
        f, params = self._function
        kernel = EmpiricalNTK(f, params, input_shape=points.shape[1:], max_bytes=self.max_bytes)
        start = Snapshot(self.model).logits(points).astype(float)
        gram = kernel.joint_gram if self.joint else kernel.gram
        return Outputs(start, self._derivatives(points) if self.decays else np.zeros_like(start), gram(points, others))

    @cached_property
    def _function(self) -> tuple[Callable[[Any, Any], Any], Any]:
        return functional(self.at)

    def _derivatives(self, points: np.ndarray) -> np.ndarray:
        """Give derivatives of the outputs along the parameters where training begins."""
        f, params = self._function
        direction = functional(self.model)[1]
        along = jax.jit(lambda x: jax.jvp(lambda some: f(some, x), (params,), (direction,))[1])
        starts = range(0, len(points), _POINTS_AT_ONCE)
        return np.concatenate([np.asarray(along(points[i : i + _POINTS_AT_ONCE]), dtype=float) for i in starts])


class Rounds:
    """Teacher and students of one plan, each from the same start.

    Parameters
    ----------
    plan : TrainingPlan
    at : Outputs
        At the points for training; the memory of its kernel is used.
    targets : array of shape (n, k)
    joint : bool
        As in `LinearisedNetwork`.
    """

    def __init__(self, plan: TrainingPlan, at: Outputs, targets: np.ndarray, *, joint: bool) -> None:
        self._spectrum = Spectrum.from_gram(at.kernel, overwrite_K=True)
        self._planned = planned_modes(np.asarray(self._spectrum.eigenvalues), plan, len(targets))
        self._start, self._along = at.start, at.along
        self._targets = [part.ravel() if joint else part for part in (targets - at.start, at.along)]
        self._modes = [(self._planned.wanted, self._planned.decayed)]

    def add(self, label_weight: float) -> None:
        """Train a student on the last round."""
        (teacher, _), student, imitated = self._modes[-1], self._planned.wanted, 1.0 - label_weight
        coefficient, shrinkage = (
            fresh + imitated * filter_ * self._kept
            for fresh, filter_ in zip(self._planned.decayed[:2], student[:2], strict=True)
        )
        self._modes.append((compose(teacher, student, label_weight), Modes(coefficient, shrinkage, 1.0 - shrinkage)))

    def fitted(self) -> np.ndarray:
        """Give outputs of all rounds at the points for training, of shape (n_rounds, n, k)."""
        moved = self._lift(self._modes, lambda fit: fit.fitted)
        return self._from_start(self._start, self._along, moved)

    def predict(self, at: Outputs) -> np.ndarray:
        """Give outputs of all rounds at other points, of shape (n_rounds, m, k)."""
        moved = self._lift(self._modes, lambda fit: fit.predict(at.kernel))
        return self._from_start(at.start, at.along, moved)

    def change(self, at: Outputs) -> np.ndarray:
        """How far the first round is from a student of the last one alone, of shape (m, k).

        From what the teacher misses: a difference of outputs would be nothing but rounding where that is little.
        """
        missing = self._modes[-1][0].residual
        modes = [tuple(Modes(*(part * each for part in self._planned.wanted)) for each in (missing, -self._kept))]
        return self._lift(modes, lambda fit: fit.predict(at.kernel)).reshape(at.start.shape)

    @property
    def _kept(self) -> np.ndarray:
        """Share of `J θ₀` in the outputs of the last round, beyond what they began with."""
        return self._modes[-1][1].shrinkage - self._planned.forgotten

    def _lift(self, modes: Sequence[Sequence[Modes]], apply: Callable[[SpectralFit], Any]) -> np.ndarray:
        """Sum what the two filters of every round make of their targets."""
        moved: list[np.ndarray] = []
        for targets, of_rounds in zip(self._targets, zip(*modes, strict=True), strict=True):
            if moved and not targets.any():
                break
            stacked = Modes(*(np.stack(parts) for parts in zip(*of_rounds, strict=True)))
            moved.append(np.asarray(apply(SpectralFit(self._spectrum, targets, stacked))))
        return sum(moved[1:], moved[0])

    def _from_start(self, start: np.ndarray, along: np.ndarray, moved: np.ndarray) -> np.ndarray:
        outputs = start - self._planned.forgotten * along + moved.reshape(-1, *start.shape)
        return np.asarray(require_representable(outputs, "the forecast"))
