"""Points, targets and weights of a training, checked; and the steps that are made of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from kdtheory._validation import (
    require_array,
    require_labels,
    require_no_probabilities,
    require_probabilities,
    require_share,
)
from kdtheory.nets._steps import Step, batch_logits, like_one
from kdtheory.nets._variants import keeps_label
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.models import split
from kdtheory.nets.plan import TrainingPlan, values_of_steps

LabelWeight = float | Callable[[Any], Any]

_ROUNDING = 1e-12
_LONGEST_SETTING = 60


def trained_dtype(model: Any) -> np.dtype[Any]:
    """Type of the numbers that are trained, which points and targets are given too."""
    if not callable(model):
        raise TypeError(f"model must be a function of one point, got {model!r}")
    leaves = jax.tree.leaves(split(model)[0])
    if not leaves:
        raise ValueError(f"model must hold arrays that can be trained, got {model!r}")
    return np.dtype(jnp.result_type(*leaves))


def require_plan(plan: Any) -> None:
    """Refuse what is no plan."""
    if not isinstance(plan, TrainingPlan):
        raise TypeError(f"plan must be a TrainingPlan, got {plan!r}")


def require_loss(loss: Any) -> DistillationLoss:
    """Give a loss; by default the cross-entropy at temperature 1."""
    if loss is not None and not isinstance(loss, DistillationLoss):
        raise TypeError(f"loss must be a DistillationLoss, got {loss!r}: DistillationLoss('squared') is one")
    return DistillationLoss() if loss is None else loss


def require_points(X: Any, dtype: np.dtype[Any], *, name: str = "X") -> np.ndarray:
    """Points in the precision of the network."""
    points = np.asarray(require_array(name, X), dtype=dtype)
    if points.ndim < 2:
        raise ValueError(f"{name} must have shape (n, ...) with a point in each row, got {points.shape}")
    return points


def require_validation(validation: Any) -> tuple[Any, Any]:
    """Points and targets that are held out, as a pair."""
    if not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise TypeError(f"validation must be a pair of points and labels, got {type(validation).__name__}")
    return validation[0], validation[1]


def count_outputs(model: Any, points: np.ndarray, state: Any) -> int:
    """Logits of a network for one of the points."""
    try:
        logits = jax.eval_shape(lambda x: batch_logits(model, x, state)[0], like_one(points))
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError  # those of JAX take no text
        raise kind(f"model must take points of shape {points.shape[1:]}: {error}") from error
    if getattr(logits, "ndim", None) != 2:
        given = getattr(logits, "shape", (None, logits))[1:]
        raise ValueError(f"model must give logits of shape (k,) for one point, got {given}")
    return int(logits.shape[1])


def require_labels_of(
    y: Any, n_points: int, n_outputs: int, loss: DistillationLoss, dtype: np.dtype[Any], teacher: Any
) -> np.ndarray:
    """Targets of the points for training; zeros where a teacher alone has any."""
    if y is not None:
        return require_targets(y, n_points, n_outputs, loss, dtype)
    if teacher is None:
        raise ValueError("y must be given where there is no teacher, got None")
    return np.zeros((n_points, n_outputs), dtype)


def require_weighted_labels(y: Any, weights: np.ndarray) -> None:
    """Refuse weights of labels that are not there."""
    if y is None and weights.any():
        raise ValueError(f"label_weight must be 0 where y is None, got {weights.max():g}")


def require_without_labels(weights: np.ndarray, y: Any, plan: TrainingPlan, *, lives: bool) -> None:
    """Refuse weights of labels that are not there, and logits of a teacher who cannot be asked about other points."""
    require_weighted_labels(y, weights)
    if keeps_label(plan.augment):
        return
    if weights.any():
        raise ValueError(
            f"label_weight must be 0 for plan.augment = {plan.augment!r}, whose points have no labels, got"
            f" {weights.max():g}"
        )
    if not lives:
        raise TypeError(
            f"teacher must be a Snapshot for plan.augment = {plan.augment!r}, to be asked about its points, got logits"
        )


def require_targets(
    y: Any, n_points: int, n_outputs: int, loss: DistillationLoss, dtype: np.dtype[Any], *, name: str = "y"
) -> np.ndarray:
    """Targets of shape (n, k), whether they come as such or as classes."""
    if np.ndim(y) == 1:
        classes = require_labels(name, y, n_points, n_outputs)
        return np.eye(n_outputs, dtype=dtype)[classes]
    targets = require_array(name, y) if loss.kind == "squared" else require_probabilities(name, y)
    if targets.shape != (n_points, n_outputs):
        raise ValueError(
            f"{name} must have shape ({n_points},) or ({n_points}, {n_outputs}), for as many points and outputs of the"
            f" network, got {targets.shape}"
        )
    return np.asarray(targets, dtype=dtype)


def require_teacher_logits(
    logits: Any, n_points: int, n_outputs: int, loss: DistillationLoss, dtype: np.dtype[Any]
) -> np.ndarray:
    """Logits of a teacher, as many for each point as the student has."""
    if callable(logits):
        raise TypeError(f"teacher must be logits or a Snapshot, got {type(logits).__name__}: Snapshot(model) makes one")
    wanted = np.asarray(require_array("teacher", logits), dtype=dtype)
    if wanted.shape != (n_points, n_outputs):
        raise ValueError(
            f"teacher must have logits of shape ({n_points}, {n_outputs}), as the student has them, got {wanted.shape}"
        )
    if loss.kind != "squared":
        require_no_probabilities("teacher", wanted)
    return wanted


def require_weights_of_rounds(label_weight: Any, n_rounds: int, *, schedules: bool) -> list[Any] | None:
    """Label weights of rounds 2 and later, functions among them if there may be; or None for "estimated"."""
    if isinstance(label_weight, str):
        if label_weight != "estimated":
            allowed = "numbers, functions" if schedules else "numbers"
            raise ValueError(f"label_weight must be {allowed} or 'estimated', got {label_weight!r}")
        return None
    many = isinstance(label_weight, Sequence | np.ndarray) and np.ndim(label_weight) > 0
    weights = list(label_weight) if many else [label_weight] * (n_rounds - 1)
    if len(weights) != n_rounds - 1:
        raise ValueError(f"label_weight must hold n_rounds - 1 = {n_rounds - 1} weights, got {len(weights)}")
    return [each if schedules and callable(each) else require_share("label_weight", each) for each in weights]


def require_label_weights(label_weight: LabelWeight | None, has_teacher: bool, n_steps: int) -> np.ndarray:
    """Label weights of all steps."""
    if label_weight is None:
        label_weight = 0.0 if has_teacher else 1.0
    if callable(label_weight):
        found = values_of_steps(label_weight, n_steps)
        ends = np.clip(found, 0.0, 1.0)
        found = np.where(np.abs(found - ends) <= _ROUNDING, ends, found)  # a schedule from 1 to 0 may end below 0
    else:
        found = np.full(n_steps, require_share("label_weight", label_weight))
    for step in np.flatnonzero(~((found >= 0.0) & (found <= 1.0)))[:1]:
        raise ValueError(f"label_weight must be between 0 and 1, got {found[step]} at step {step}")
    if not has_teacher and (found < 1.0).any():
        raise ValueError(f"label_weight must be 1 without a teacher, got {found.min()}")
    return found


def fingerprints(**parts: Any) -> dict[str, str]:
    """Short digests of what a training is made from: its arrays, and what of it is no array."""
    return {name: _digest(value) for name, value in parts.items()}


def settings(**parts: Any) -> dict[str, str]:
    """Fields of dataclasses by name, as text in which to see where two of them differ."""
    return {
        f"{part}.{name}": " ".join(_lasting_name(field).split())[:_LONGEST_SETTING]
        for part, value in parts.items()
        for name, field in vars(value).items()
    }


def _digest(value: Any) -> str:
    digest = hashlib.sha256(_lasting_name(jax.tree.structure(value)).encode())
    for leaf in jax.tree.leaves(value, is_leaf=lambda each: each is None):
        if isinstance(leaf, np.ndarray | jax.Array):
            digest.update(str((leaf.shape, leaf.dtype)).encode() + np.asarray(leaf).tobytes())
        elif isinstance(leaf, TrainingPlan):
            digest.update(repr({**vars(leaf), "augment": _lasting_name(leaf.augment)}).encode())
            for array in filter(eqx.is_array, jax.tree.leaves(leaf.augment)):
                digest.update(np.asarray(array).tobytes())
        else:
            digest.update(_lasting_name(leaf).encode())
    return digest.hexdigest()[:16]


def _lasting_name(value: Any) -> str:
    """Name of a value that another process gives too: how it prints, without addresses."""
    return re.sub(" at 0x[0-9a-fA-F]+", "", repr(value))


def epoch_steps(plan: TrainingPlan, epoch: int, n_points: int, rates: np.ndarray, weights: np.ndarray) -> list[Step]:
    """Give the steps of one epoch, over points in an order that depends on the plan's seed and the epoch alone."""
    per_epoch, size = plan.steps_per_epoch(n_points), plan.batch_size or n_points
    order = np.random.default_rng([plan.seed, epoch]).permutation(n_points).astype(np.int32)
    first = epoch * per_epoch
    return [
        Step(
            np.asarray(first + i, dtype=np.int32),
            order[i * size : (i + 1) * size],
            np.asarray(rates[first + i]),
            np.asarray(weights[first + i]),
        )
        for i in range(per_epoch)
    ]
