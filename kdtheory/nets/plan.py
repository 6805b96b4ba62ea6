"""How a network is trained: optimiser, learning rates, batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from kdtheory._interop import double_precision
from kdtheory._typing import Array
from kdtheory._validation import (
    require_bool,
    require_momentum,
    require_nonnegative,
    require_nonnegative_integer,
    require_positive,
    require_positive_integer,
)

Optimiser = Literal["sgd", "adam", "adamw"]
Augmentation = Callable[[Array, Array], Array]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Optimiser, learning rates, batches and seed of one training.

    Parameters
    ----------
    n_epochs : int
        Passes over the points.
    batch_size : int, optional
        Points of a step, at most all of them; the last step of an epoch takes what is left. Default: all, gradient
        descent.
    optimiser : {"sgd", "adam", "adamw"}, default "sgd"
    learning_rate : float, default 1e-3
        Peak.
    momentum : float, default 0.0
        Of "sgd", in (-1, 1); 0 for the others.
    nesterov : bool, default True
        Whether the momentum is Nesterov's.
    schedule : {"constant", "cosine", "step"}, default "constant"
        After the warm-up: constant; to 0 along half a cosine; or times `decay_factor` at each of `decay_epochs`.
    warm_up_epochs : float, default 0.0
        Epochs in which the rate rises linearly from 0.
    decay_epochs : sequence of float, default ()
    decay_factor : float, default 0.1
    weight_decay : float, default 0.0
        λ of `λ/2·‖θ‖²` beside the mean loss of a batch; for "adamw", decoupled from the gradients.
    clip_norm : float, optional
        Largest norm of a gradient.
    sharpness_radius : float, optional
        ρ of sharpness-aware minimisation (Foret et al., 2021): the gradient of every step is the one at the distance ρ
        uphill, which takes two gradients a step.
    augment : callable, optional
        `augment(key, x)` gives a random variant of one point, see `kdtheory.nets.augmentation`, and for what needs a
        teacher's label or a whole batch `kdtheory.nets.mixing`.
    seed : int, default 0
        Of shuffling and augmentation. The weights at the start are the network's own.

    Raises
    ------
    ValueError, TypeError
        For values out of these ranges; the message names them.

    Notes
    -----
    Optimisers and schedules are optax's; rates are per step.

    Examples
    --------
    >>> plan = TrainingPlan(n_epochs=4, batch_size=2, learning_rate=1.0, schedule="cosine", warm_up_epochs=1)
    >>> plan.learning_rates(4)
    array([0.       , 0.5      , 1.       , 0.9330127, 0.75     , 0.5      ,
           0.25     , 0.0669873])
    """

    n_epochs: int
    batch_size: int | None = None
    optimiser: Optimiser = "sgd"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = True
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warm_up_epochs: float = 0.0
    decay_epochs: tuple[float, ...] = ()
    decay_factor: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float | None = None
    sharpness_radius: float | None = None
    augment: Augmentation | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "decay_epochs", tuple(self.decay_epochs))
        require_positive_integer("n_epochs", self.n_epochs)
        if self.batch_size is not None:
            require_positive_integer("batch_size", self.batch_size)
        for name, choices in (("optimiser", ("sgd", "adam", "adamw")), ("schedule", ("constant", "cosine", "step"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        require_positive("learning_rate", self.learning_rate)
        require_momentum("momentum", self.momentum)
        if self.momentum and self.optimiser != "sgd":
            raise ValueError(f"momentum must be 0 for the optimiser {self.optimiser!r}, got {self.momentum}")
        require_bool("nesterov", self.nesterov)
        require_nonnegative("warm_up_epochs", self.warm_up_epochs)
        if self.warm_up_epochs >= self.n_epochs:
            raise ValueError(f"warm_up_epochs must be < n_epochs = {self.n_epochs}, got {self.warm_up_epochs}")
        for epoch in self.decay_epochs:
            require_positive("decay_epochs", epoch)
        if list(self.decay_epochs) != sorted(set(self.decay_epochs)):
            raise ValueError(f"decay_epochs must increase, got {self.decay_epochs}")
        if (self.schedule == "step") != bool(self.decay_epochs):
            raise ValueError(f"decay_epochs must be given for the schedule 'step' alone, got {self.decay_epochs}")
        require_positive("decay_factor", self.decay_factor)
        require_nonnegative("weight_decay", self.weight_decay)
        if self.clip_norm is not None:
            require_positive("clip_norm", self.clip_norm)
        if self.sharpness_radius is not None:
            require_positive("sharpness_radius", self.sharpness_radius)
        if self.augment is not None and not callable(self.augment):
            raise TypeError(f"augment must be a function of a key and a point, got {self.augment!r}")
        require_nonnegative_integer("seed", self.seed)

    def steps_per_epoch(self, n_points: int) -> int:
        """Count the steps of a pass over the points.

        Parameters
        ----------
        n_points : int

        Returns
        -------
        int

        Raises
        ------
        ValueError
            For fewer points than a batch takes.
        """
        if self.batch_size is not None and self.batch_size > n_points:
            raise ValueError(f"batch_size must be <= {n_points}, the number of points, got {self.batch_size}")
        return -(-n_points // (self.batch_size or n_points))

    def n_steps(self, n_points: int) -> int:
        """Count all steps.

        Parameters
        ----------
        n_points : int

        Returns
        -------
        int

        Raises
        ------
        ValueError
            As for `steps_per_epoch`.
        """
        return self.n_epochs * self.steps_per_epoch(n_points)

    def learning_rates(self, n_points: int) -> np.ndarray:
        """Give the learning rates of all steps.

        Parameters
        ----------
        n_points : int

        Returns
        -------
        array of shape (n_epochs·steps_per_epoch,)

        Raises
        ------
        ValueError
            As for `steps_per_epoch`.
        """
        per_epoch = self.steps_per_epoch(n_points)
        total = self.n_steps(n_points)
        warm_up = min(round(self.warm_up_epochs * per_epoch), total - 1)  # shorter than all, also when rounded
        falls = tuple(round(epoch * per_epoch) - warm_up for epoch in self.decay_epochs)
        return _learning_rates(
            self.schedule, float(self.learning_rate), total, warm_up, falls, float(self.decay_factor)
        ).copy()

    def gradient_transformation(self) -> optax.GradientTransformation:
        """Make optax's transformation of gradients, before the learning rate.

        Returns
        -------
        optax.GradientTransformation
            The same object for equal plans.
        """
        return _transformation(
            self.optimiser,
            float(self.momentum),
            self.nesterov,
            float(self.weight_decay),
            self.clip_norm and float(self.clip_norm),
            self.sharpness_radius and float(self.sharpness_radius),
        )


def values_of_steps(schedule: Callable[[Any], Any], n_steps: int) -> np.ndarray:
    """Evaluate one of optax's schedules at all steps, in double precision."""
    with double_precision():
        values = jax.jit(jax.vmap(lambda step: jnp.asarray(schedule(step), dtype=float)))
        return np.asarray(values(np.arange(n_steps)))


@lru_cache(maxsize=256)
def _learning_rates(
    schedule: str, peak: float, n_steps: int, warm_up: int, falls: tuple[int, ...], factor: float
) -> np.ndarray:
    """Learning rates of all steps; what compiles them costs as much as a small training, so compile each once."""
    if schedule == "constant" and not warm_up:
        return np.full(n_steps, peak)
    after: Any = optax.constant_schedule(peak)
    if schedule == "cosine":
        after = optax.cosine_decay_schedule(peak, n_steps - warm_up)
    elif schedule == "step":
        factors = {step: factor**count for step, count in Counter(falls).items()}
        after = optax.piecewise_constant_schedule(peak, factors)
    if warm_up:
        after = optax.join_schedules([optax.linear_schedule(0.0, peak, warm_up), after], [warm_up])
    return values_of_steps(after, n_steps)


@cache
def _transformation(
    optimiser: Optimiser,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    clip_norm: float | None,
    sharpness_radius: float | None,
) -> optax.GradientTransformation:
    """Compiled functions are kept by the identity of what they use, so make each once."""
    parts = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    decay = [optax.add_decayed_weights(weight_decay)] if weight_decay else []
    if optimiser == "sgd":
        parts += [*decay, *([optax.trace(momentum, nesterov=nesterov)] if momentum else [])]
    elif optimiser == "adam":
        parts += [*decay, optax.scale_by_adam()]
    else:
        parts += [optax.scale_by_adam(), *decay]
    transformation = optax.chain(*parts) if parts else optax.identity()
    if sharpness_radius is None:
        return transformation
    uphill = optax.normalize_by_update_norm(scale_factor=-sharpness_radius)  # whose negative is added
    return optax.contrib.sam(transformation, uphill, opaque_mode=True)
