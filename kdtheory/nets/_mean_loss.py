"""The mean loss of a network over fixed points, as a function of its trainable parameters alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from kdtheory._interop import double_precision
from kdtheory._typing import Array
from kdtheory.nets import _training_data
from kdtheory.nets._jax_network import intermediate_numbers
from kdtheory.nets._steps import batch_logits, like_one
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.models import split
from kdtheory.nets.training import Snapshot


class Batch(NamedTuple):
    """Points, labels, logits of a teacher, and weights that are 0 for points which only fill the batch."""

    points: Array
    labels: Array
    wanted: Array
    weights: Array


@dataclass(frozen=True, eq=False)
class MeanLoss:
    """A network, a loss, and the points that it is the mean over."""

    model: Any
    state: Any
    loss: DistillationLoss
    label_weight: float
    points: np.ndarray
    labels: np.ndarray
    wanted: np.ndarray
    has_labels: bool
    has_teacher: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(
        cls, model: Any, X: Any, y: Any, *, loss: DistillationLoss | None, teacher: Any, label_weight: Any, state: Any
    ) -> MeanLoss:
        """Check all that a loss is made of, as `train` does."""
        model, state = model_and_state(model, state)
        if callable(label_weight):
            raise TypeError(f"label_weight must be a number where nothing is trained, got {label_weight!r}")
        loss = _training_data.require_loss(loss)
        dtype = _training_data.trained_dtype(model)
        model = eqx.nn.inference_mode(model)
        points = _training_data.require_points(X, dtype)
        n_outputs = _training_data.count_outputs(model, points, state)
        labels = _training_data.require_labels_of(y, len(points), n_outputs, loss, dtype, teacher)
        wanted = labels
        if teacher is not None:
            logits = teacher.logits(points) if isinstance(teacher, Snapshot) else teacher
            wanted = _training_data.require_teacher_logits(logits, len(points), n_outputs, loss, dtype)
        weights = _training_data.require_label_weights(label_weight, teacher is not None, 1)
        _training_data.require_weighted_labels(y, weights)
        has = y is not None, teacher is not None
        return cls(model, state, loss, float(weights[0]), points, labels, wanted, *has, dtype)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def n_outputs(self) -> int:
        """Logits of a point."""
        return int(self.labels.shape[1])

    def on(self, chosen: np.ndarray) -> MeanLoss:
        """Take the mean over some of the points."""
        return replace(self, points=self.points[chosen], labels=self.labels[chosen], wanted=self.wanted[chosen])

    def vector(self) -> np.ndarray:
        """Parameters of the network, one after another."""
        with self.precision():
            return np.asarray(ravel_pytree(split(self.model)[0])[0])

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Let this thread compute in double precision if the parameters do."""
        return double_precision() if self.dtype == np.float64 else contextlib.nullcontext()

    def numbers_of_point(self) -> int:
        """Count the numbers that a pass through the network makes of one point."""
        params, rest = split(self.model)
        leaves, structure = jax.tree.flatten(params)

        def logits(some: list[Array], points: Array) -> Array:
            return batch_logits(eqx.combine(jax.tree.unflatten(structure, some), rest), points, self.state)[0]

        jaxpr = jax.make_jaxpr(logits)(leaves, like_one(self.points)).jaxpr
        return math.prod(self.points.shape[1:]) + intermediate_numbers(jaxpr)

    def batches(self, size: int) -> list[Batch]:
        """Batches of one shape, of about as many points each; those that fill the last ones have no weight."""
        n = len(self)
        n_batches = -(-n // size)
        size = -(-n // n_batches)
        made = []
        with self.precision():
            for i in range(n_batches):
                index = np.arange(i * size, (i + 1) * size)
                weights = np.where(index < n, 1.0 / n, 0.0).astype(self.dtype)
                index = np.minimum(index, n - 1)
                parts = (self.points[index], self.labels[index], self.wanted[index], weights)
                made.append(Batch(*(jax.device_put(part) for part in parts)))
        return made

    def products(self, batches: Sequence[Batch], vectors: np.ndarray) -> np.ndarray:
        """Multiply q vectors (q, p) by the Hessian of the mean loss, a batch after another, in double precision."""
        params, rest = split(self.model)
        total = np.zeros(vectors.shape)
        with self.precision():
            directions = jnp.asarray(vectors, dtype=self.dtype)
            weight = np.asarray(self.label_weight, dtype=self.dtype)
            for batch in batches:
                total += np.asarray(_products(params, rest, self.state, self.loss, weight, batch, directions))
        return total

    def values(self, batches: Sequence[Batch], vectors: np.ndarray) -> np.ndarray:
        """Mean loss, accuracy and agreement with the teacher for q vectors of parameters (q, p): an array (q, 3)."""
        params, rest = split(self.model)
        total = np.zeros((len(vectors), 3))
        with self.precision():
            places = jnp.asarray(vectors, dtype=self.dtype)
            weight = np.asarray(self.label_weight, dtype=self.dtype)
            for batch in batches:
                total += np.asarray(_values(params, rest, self.state, self.loss, weight, batch, places))
        return total


def model_and_state(model: Any, state: Any) -> tuple[Any, Any]:
    """Give a network and its state, whether it comes in a snapshot or not."""
    if not isinstance(model, Snapshot):
        return model, state
    if state is not None:
        raise TypeError("state must be left out with a Snapshot, which has its own")
    return model.model, model.state


def _losses(vector: Array, unravel: Any, rest: Any, state: Any, loss: Any, weight: Any, batch: Batch) -> Any:
    logits = batch_logits(eqx.combine(unravel(vector), rest), batch.points, state)[0]
    losses = jax.vmap(loss, in_axes=(0, 0, 0, None))(logits, batch.labels, batch.wanted, weight)
    return jnp.sum(batch.weights * losses), logits


@eqx.filter_jit
def _products(params: Any, rest: Any, state: Any, loss: Any, weight: Any, batch: Batch, vectors: Array) -> Array:
    vector, unravel = ravel_pytree(params)
    gradient = jax.grad(lambda some: _losses(some, unravel, rest, state, loss, weight, batch)[0])
    return jax.vmap(lambda direction: jax.jvp(gradient, (vector,), (direction,))[1])(vectors)


@eqx.filter_jit
def _values(params: Any, rest: Any, state: Any, loss: Any, weight: Any, batch: Batch, vectors: Array) -> Array:
    _, unravel = ravel_pytree(params)

    def values(vector: Array) -> Array:
        total, logits = _losses(vector, unravel, rest, state, loss, weight, batch)
        chosen = jnp.argmax(logits, axis=1)
        right, same = (
            jnp.sum(batch.weights * (chosen == jnp.argmax(each, axis=1))) for each in (batch.labels, batch.wanted)
        )
        return jnp.stack([total, right, same])

    return jax.vmap(values)(vectors)
