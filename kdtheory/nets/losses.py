"""Losses of students: of the labels and of a teacher, in one weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive

Kind = Literal["cross_entropy", "squared"]


@dataclass(frozen=True)
class DistillationLoss:
    """Loss of one point: `α · (of the labels) + (1 − α) · (of the teacher)` with the label weight α.

    Parameters
    ----------
    kind : {"cross_entropy", "squared"}, default "cross_entropy"
        Cross-entropy with the labels and `T²·KL(softmax(z_teacher/T) ‖ softmax(z/T))`; or
        `½‖z − y‖²` and `½‖z − z_teacher‖²` for logits z and labels as columns y of zeros and ones.
    temperature : float, default 1.0
        T above. The factor T² keeps the size of gradients of unsure teachers as T grows; those of sure ones grow up to
        T times, so that a learning rate for labels may be too large.

    Raises
    ------
    ValueError
        For another kind, and a temperature that is not positive, or not 1 for "squared".

    See Also
    --------
    kdtheory.double_distillation : losses for rankings.

    Notes
    -----
    The first part of the squared loss is that of the labels in every round, as in equation (7) of Borup & Andersen
    (2021), whose equation (18) prints the teacher's outputs `Y⁽¹⁾` there. Hinton, Vinyals & Dean (2015) for the other;
    their "distillation weight" is 1 − α. The Kullback–Leibler divergence is that of the cross-entropy with the teacher
    less the teacher's entropy: the same gradients, and 0 for a student that equals its teacher.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([2.0, 0.0]), jnp.array([1.0, 0.0])
    >>> float(DistillationLoss("squared")(logits, labels, jnp.array([0.0, 0.0]), 0.5))
    1.25
    >>> DistillationLoss(temperature=4.0)(logits, labels, logits, 0.0).item()
    0.0
    """

    kind: Kind = "cross_entropy"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("cross_entropy", "squared"):
            raise ValueError(f"kind must be 'cross_entropy' or 'squared', got {self.kind!r}")
        require_positive("temperature", self.temperature)
        if self.kind == "squared" and self.temperature != 1.0:
            raise ValueError(f"temperature must be 1.0 for the squared loss, got {self.temperature!r}")

    def __call__(self, logits: Array, labels: Array, teacher: Array, label_weight: Array | float) -> Array:
        """Loss of one point.

        Parameters
        ----------
        logits : array of shape (k,)
            Of the student.
        labels : array of shape (k,)
            Probabilities of the classes, for the squared loss any targets.
        teacher : array of shape (k,)
            Logits of the teacher.
        label_weight : float
            α in [0, 1].

        Returns
        -------
        array of shape ()
        """
        if self.kind == "squared":
            of_labels = 0.5 * jnp.sum((logits - labels) ** 2)
            of_teacher = 0.5 * jnp.sum((logits - teacher) ** 2)
        else:
            of_labels = -jnp.sum(labels * jax.nn.log_softmax(logits))
            student, wanted = (jax.nn.log_softmax(each / self.temperature) for each in (logits, teacher))
            of_teacher = self.temperature**2 * _divergence(wanted, student)
        return label_weight * of_labels + (1.0 - label_weight) * of_teacher

    def predictions(self, logits: Array) -> Array:
        """Give what the labels are compared with: class probabilities, or for "squared" the logits themselves.

        Parameters
        ----------
        logits : array of shape (..., k)

        Returns
        -------
        array of shape (..., k)
        """
        return logits if self.kind == "squared" else jax.nn.softmax(logits, axis=-1)


def _divergence(log_p: Array, log_q: Array) -> Array:
    """Kullback-Leibler divergence as the sum of `p (exp(d) − 1 − d)` with `d = log q − log p`.

    Single precision rounds the sum of `−p d` to nothing, or below it, where the square of the temperature lifts it.
    """
    p, d = jnp.exp(log_p), log_q - log_p
    near = jnp.minimum(d, 1.0)  # elsewhere the exponential of a difference may overflow
    return jnp.sum(jnp.where(d <= 1.0, p * (jnp.expm1(near) - near), jnp.exp(log_q) - p * (1.0 + d)))
