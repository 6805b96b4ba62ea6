"""What the logits of one model predict, how sure it is, and how well it does on labels."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np

from kdtheory.fidelity._logits import map_rows, require_classes, require_logits, softmax


def predicted_classes(logits: Any) -> np.ndarray:
    """Class of the largest logit of every row.

    Parameters
    ----------
    logits : array of shape (n, n_classes)

    Returns
    -------
    array of n integers
        Of equal logits the class of the lowest number.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, and fewer than two columns.

    Examples
    --------
    >>> predicted_classes([[0.0, 2.0, 1.0], [3.0, 1.0, 3.0]])
    array([1, 0])
    """
    return map_rows(lambda block: np.argmax(block, axis=1), require_logits("logits", logits))


def accuracy(logits: Any, labels: Any) -> float:
    """Share of points whose label has the largest logit.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
    labels : array of n integers
        0 to n_classes - 1.

    Returns
    -------
    float
        In [0, 1]. Of equal logits only the class of the lowest number counts.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two columns, and labels out of range.

    Notes
    -----
    Twin: `sklearn.metrics.accuracy_score` of the predicted classes.

    Examples
    --------
    >>> accuracy([[0.0, 2.0], [3.0, 1.0]], [1, 1])
    0.5
    """
    z = require_logits("logits", logits)
    return float(np.mean(predicted_classes(z) == require_classes("labels", labels, z)))


def negative_log_likelihood(logits: Any, labels: Any, *, temperature: SupportsFloat = 1.0) -> float:
    """Mean of `−log p_y`, the cross-entropy of a model with labels.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
    labels : array of n integers
        0 to n_classes - 1.
    temperature : float, default 1
        > 0; divides the logits.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two columns, labels out of range, and a temperature that is not
        positive.

    Notes
    -----
    Losses of sure and right models keep their digits, down to 1e-308. Cost: O(n·n_classes) time, and memory for
    blocks of rows. Source: Stanton et al. (2021), section 3.1. Twin: `sklearn.metrics.log_loss`, of probabilities.

    Examples
    --------
    >>> round(negative_log_likelihood([[0.0, 0.0], [0.0, 1000.0]], [0, 0]), 4)
    500.3466
    >>> print(f"{negative_log_likelihood([[0.0, 100.0]], [1]):.6e}")
    3.720076e-44
    """
    z = require_logits("logits", logits, temperature)
    divisor = float(temperature)

    def losses(block: np.ndarray, classes: np.ndarray) -> np.ndarray:
        model = softmax(block, divisor)
        return np.log1p(model.others) - model.shifted[np.arange(len(block)), classes]

    return float(np.mean(map_rows(losses, z, require_classes("labels", labels, z))))


def predictive_entropies(logits: Any, *, temperature: SupportsFloat = 1.0) -> np.ndarray:
    """Entropy of the predicted distribution at every point.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
    temperature : float, default 1
        > 0; divides the logits.

    Returns
    -------
    array of shape (n,)
        `−Σ p log p` in nats, from 0 to `log n_classes`.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two columns, and a temperature that is not positive.

    Notes
    -----
    A sum of positive numbers, so that small entropies keep their digits. Source: Nagarajan et al. (2023), figure 16.
    Twin: `scipy.stats.entropy`, of probabilities.

    Examples
    --------
    >>> predictive_entropies([[1.0, 1.0], [0.0, 3.0]]).round(4)
    array([0.6931, 0.1909])
    """
    z = require_logits("logits", logits, temperature)
    divisor = float(temperature)

    def entropies(block: np.ndarray) -> np.ndarray:
        model = softmax(block, divisor)
        return np.log1p(model.others) - np.sum(np.exp(model.log_probabilities) * model.shifted, axis=1)

    return map_rows(entropies, z)


def predictive_entropy(logits: Any, *, temperature: SupportsFloat = 1.0) -> float:
    """Mean entropy of the predicted distributions.

    Parameters
    ----------
    logits, temperature
        As for `predictive_entropies`.

    Returns
    -------
    float
        In nats, from 0 to `log n_classes`.

    Raises
    ------
    ValueError, TypeError
        As for `predictive_entropies`.

    Notes
    -----
    Source: Nagarajan et al. (2023), figure 16.

    Examples
    --------
    >>> round(predictive_entropy([[1.0, 1.0], [0.0, 3.0]]), 4)
    0.442
    """
    return float(np.mean(predictive_entropies(logits, temperature=temperature)))


def logit_transformed_probabilities(logits: Any, classes: Any, *, temperature: SupportsFloat = 1.0) -> np.ndarray:
    """Logit transform `φ(p) = log(p/(1 − p))` of the probability of one class at every point.

    Parameters
    ----------
    logits : array of shape (n, n_classes)
    classes : array of n integers
        Class looked at, for each point: the labels, or `predicted_classes` of the teacher.
    temperature : float, default 1
        > 0; divides the logits.

    Returns
    -------
    array of shape (n,)
        `scipy.special.expit` of it is the probability.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, fewer than two columns, classes out of range, and a temperature that is not
        positive.

    Notes
    -----
    `z_c − log Σ exp z_j` over the other classes j, which knows no 1 − p: probabilities within 1e-300 of 0 or 1 are as
    good as others. Source: Nagarajan et al. (2023), appendix C.2 and C.3.

    Examples
    --------
    >>> logit_transformed_probabilities([[0.0, 2.0], [0.0, 0.0], [800.0, -800.0]], [1, 1, 1])
    array([    2.,     0., -1600.])
    """
    z = require_logits("logits", logits, temperature)
    divisor = float(temperature)

    def transformed(block: np.ndarray, at: np.ndarray) -> np.ndarray:
        rows = np.arange(len(block))
        rivals = block.copy()
        rivals[rows, at] = -np.inf
        rest = softmax(rivals, divisor)
        return (block[rows, at] - block[rows, rest.top]) / divisor - np.log1p(rest.others)

    return map_rows(transformed, z, require_classes("classes", classes, z))
