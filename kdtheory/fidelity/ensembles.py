"""Logits of an ensemble, and how far the logits of one model are from those of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdtheory._compensated import two_sum
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_bool, require_representable
from kdtheory.fidelity._logits import map_rows, require_like_teacher, require_logits, softmax


def ensemble_logits(logits: Any, *, combine: str = "log_mean_probability") -> np.ndarray:
    """Logits of an ensemble, from those of its members.

    Parameters
    ----------
    logits : array of shape (m, n, n_classes), or sequence of m arrays of shape (n, n_classes)
        Of m members.
    combine : {"log_mean_probability", "mean_logit"}, default "log_mean_probability"
        Whether the ensemble's probabilities are the means of its members', or its logits are.

    Returns
    -------
    array of shape (n, n_classes)
        Log probabilities, `log(Σ softmax(z_i)/m)`, or mean logits `Σ z_i/m`.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two classes, members that differ in points or classes, no members,
        and other names.

    Notes
    -----
    A constant that is added to the logits of a member at a point has no effect on log mean probabilities; it is added
    to all mean logits, whose softmax is the same. Large logits of one member dominate the mean logits, not the mean
    probabilities. A temperature that divides the log mean probability does not give the mean of tempered probabilities:
    for those pass `logits / temperature`.

    Log probabilities of 1e-300 and those of nearly 1 keep their digits. Cost: O(m·n·n_classes) time, and memory for the
    result and blocks of rows. Source: Stanton et al. (2021), section 3, and Pham et al. (2022), section 5. Twin:
    `scipy.special.logsumexp` of `scipy.special.log_softmax`.

    Examples
    --------
    >>> members = [[[0.0, 2.0]], [[0.0, -4.0]]]
    >>> ensemble_logits(members, combine="mean_logit")
    array([[ 0., -1.]])
    >>> np.exp(ensemble_logits(members)).round(4)
    array([[0.5506, 0.4494]])
    """
    functions: dict[str, Callable[..., np.ndarray]] = {
        "log_mean_probability": _log_mean_probabilities,
        "mean_logit": _mean_logits,
    }
    if not isinstance(combine, str) or combine not in functions:
        raise ValueError(f'combine must be "log_mean_probability" or "mean_logit", got {combine!r}')
    return map_rows(functions[combine], *_members(logits))


def logit_mse(teacher_logits: Any, student_logits: Any, *, centred: bool = False) -> float:
    """Mean squared difference of the logits of two models.

    Parameters
    ----------
    teacher_logits, student_logits : array of shape (n, n_classes)
        Such as those of one round of distillation and of the next.
    centred : bool, default False
        Whether to compare logits less their mean over the classes at each point, which all give the same probabilities.

    Returns
    -------
    float
        `Σ (z_s − z_t)² / (n·n_classes)`.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, different shapes, and fewer than two columns.
    OverflowError
        When the result is too large for a double.

    Notes
    -----
    Of the raw difference, the part that all classes share has no effect on predictions: networks trained anew differ in
    it as well. Source: Pham et al. (2022), figure 6, for raw logits. Twin: `sklearn.metrics.mean_squared_error`.

    Examples
    --------
    >>> logit_mse([[0.0, 2.0], [3.0, 1.0]], [[1.0, 3.0], [4.0, 0.0]])
    1.0
    >>> logit_mse([[0.0, 2.0], [3.0, 1.0]], [[1.0, 3.0], [4.0, 0.0]], centred=True)
    0.5
    """
    teacher = require_logits("teacher_logits", teacher_logits)
    student = require_like_teacher("student_logits", student_logits, teacher, 1.0)
    without_mean = require_bool("centred", centred)

    def squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        difference, error = two_sum(other, -one)
        if without_mean:
            difference -= np.mean(difference, axis=1, keepdims=True)
            difference += error
            difference -= np.mean(difference, axis=1, keepdims=True)  # what rounding left of the first mean
        with np.errstate(over="ignore"):
            return np.mean(difference**2, axis=1)

    each = require_representable(map_rows(squares, teacher, student), "the mean of the squared differences")
    return float(np.sum(each / len(each)))


def _members(logits: Any) -> list[Array]:
    """Logits of each member, all of the same points and classes."""
    if isinstance(logits, list | tuple):
        members = list(logits)
    else:
        array = require_array("logits", logits)
        if array.ndim != 3:
            raise ValueError(
                f"logits must have shape (m, n, n_classes), or be a list of arrays of shape (n, n_classes), got shape"
                f" {tuple(array.shape)}"
            )
        members = [array[member, :, :] for member in range(int(array.shape[0]))]
    if not members:
        raise ValueError("logits must have one member or more, got none")
    first = require_logits("logits[0]", members[0])
    rest = [
        require_like_teacher(f"logits[{number}]", member, first, 1.0, teacher_name="logits[0]")
        for number, member in enumerate(members[1:], 1)
    ]
    return [first, *rest]


def _log_mean_probabilities(*members: np.ndarray) -> np.ndarray:
    logs = np.stack([softmax(member).log_probabilities for member in members])
    largest = np.max(logs, axis=0)
    return largest + np.log1p(np.mean(np.expm1(logs - largest), axis=0))


def _mean_logits(*members: np.ndarray) -> np.ndarray:
    return np.mean(members, axis=0)
