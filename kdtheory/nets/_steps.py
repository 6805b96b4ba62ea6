"""The compiled part of training: one step, and an epoch of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from kdtheory._typing import Array
from kdtheory.nets._variants import vary
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.models import split
from kdtheory.nets.plan import Augmentation


class Trained(NamedTuple):
    """What training changes: trainable arrays, the optimiser's state, and the network's own, if it has one."""

    params: Any
    optimiser: Any
    state: Any


class Setting(NamedTuple):
    """What it does not: the rest of the network, how it is trained, and points, labels and a teacher's logits."""

    rest: Any
    transformation: optax.GradientTransformation
    loss: DistillationLoss
    augment: Augmentation | None
    teacher: Any
    key: Array
    points: Array
    labels: Array
    teacher_logits: Array


class Step(NamedTuple):
    """Numbers of one step, or of many in arrays."""

    number: Array
    chosen: Array
    learning_rate: Array
    label_weight: Array


def run_epoch(trained: Trained, setting: Setting, steps: list[Step], *, at_once: bool) -> tuple[Trained, np.ndarray]:
    """Take the steps of one epoch: the loss summed over the points of each, how many were right, how many agreed.

    At once in one compiled loop, or one by one: convolutions inside a loop take several times longer on a CPU. In a
    loop, only a last step of fewer points is taken by itself.
    """
    sums = []
    if at_once and len(steps) > 1:
        alike = [step for step in steps if len(step.chosen) == len(steps[0].chosen)]
        trained, values = _many(trained, setting, Step(*(np.stack(each) for each in zip(*alike, strict=True))))
        sums.append(np.asarray(values))
        steps = steps[len(alike) :]
    pending = []
    for step in steps:
        trained, values = _one(trained, setting, step)
        pending.append(values)
    return trained, np.concatenate([*sums, *(np.asarray(values)[None] for values in pending)])


def has_convolution(model: Any, points: np.ndarray, state: Any) -> bool:
    """Whether a network convolves."""
    arrays, static = eqx.partition(model, eqx.is_array)

    def logits(some: Any, batch: Array) -> Any:
        return batch_logits(eqx.combine(some, static), batch, state)[0]

    return "conv_general_dilated" in str(jax.make_jaxpr(logits)(arrays, like_one(points)))


def like_one(points: np.ndarray) -> Any:
    """Shape and type of a batch of one of the points."""
    shape: Any = jax.ShapeDtypeStruct
    return shape((1, *points.shape[1:]), points.dtype)


def batch_logits(model: Any, points: Array, state: Any) -> tuple[Array, Any]:
    """Logits of a batch, and the network's new state."""
    if state is None:
        return jax.vmap(model)(points), None
    return jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(points, state)


@eqx.filter_jit
def predict(model: Any, points: Array, state: Any) -> Array:
    """Logits of a batch by a network that is not being trained."""
    return batch_logits(eqx.nn.inference_mode(model), points, state)[0]


@eqx.filter_jit
def _one(trained: Trained, setting: Setting, step: Step) -> tuple[Trained, Array]:
    return _advance(trained, setting, step)


@eqx.filter_jit
def _many(trained: Trained, setting: Setting, steps: Step) -> tuple[Trained, Array]:
    return jax.lax.scan(lambda before, step: _advance(before, setting, step), trained, steps)


def _advance(trained: Trained, setting: Setting, step: Step) -> tuple[Trained, Array]:
    points, labels = setting.points[step.chosen], setting.labels[step.chosen]
    if setting.augment is not None:
        points = vary(setting.augment, jax.random.fold_in(setting.key, step.number), points)
    if setting.teacher is None:
        wanted = setting.teacher_logits[step.chosen]
    else:
        teacher, state = setting.teacher
        wanted = jax.lax.stop_gradient(batch_logits(eqx.nn.inference_mode(teacher), points, state)[0])

    def mean_loss(params: Any) -> tuple[Array, tuple[Any, Array]]:
        model = eqx.combine(params, setting.rest)
        logits, state = batch_logits(model, points, trained.state)
        losses = jax.vmap(setting.loss, in_axes=(0, 0, 0, None))(logits, labels, wanted, step.label_weight)
        right, agreed = (jnp.argmax(logits, axis=1) == jnp.argmax(each, axis=1) for each in (labels, wanted))
        return jnp.mean(losses), (state, jnp.stack([jnp.sum(losses), jnp.sum(right), jnp.sum(agreed)]))

    def gradient_at(params: Any, _: int) -> Any:
        return jax.grad(mean_loss, has_aux=True)(params)[0]

    gradient, (state, sums) = jax.grad(mean_loss, has_aux=True)(trained.params)
    update = optax.with_extra_args_support(setting.transformation).update
    updates, optimiser = update(gradient, trained.optimiser, trained.params, grad_fn=gradient_at)
    params = jax.tree.map(lambda value, update: value - step.learning_rate * update, trained.params, updates)
    return Trained(params, optimiser, state), sums


def start(model: Any, transformation: optax.GradientTransformation, state: Any) -> tuple[Trained, Any]:
    """Give what is trained, before the first step, and what of the network is never trained."""
    params, rest = split(model)
    return Trained(params, eqx.filter_jit(transformation.init)(params), state), rest


def is_finite(params: Any) -> bool:
    """Whether all arrays are finite; on the host, where nothing has to be compiled for it."""
    return all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(params))
