"""Teachers made from labels and probabilities: smoothing, temperature, noise and distortion, and how wrong they are.

Every function costs O(n·n_classes) for each teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import from_numpy, is_traced, to_numpy
from kdtheory._probabilities import complements, point_shares, sigmoid
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_generator,
    require_labels,
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_probabilities,
    require_share,
    require_vector,
)


@dataclass(frozen=True)
class TeacherError:
    """Mean squared error of a teacher's probabilities, in its two parts; made by `teacher_error`.

    Attributes
    ----------
    squared_bias : float
        `E_x‖E_t pᵗ(x) − p*(x)‖²`.
    variance : float
        `E_x V_t[pᵗ(x)]`, summed over the classes: how much the teacher would change with another sample.
    """

    squared_bias: float
    variance: float

    @property
    def mean_squared_error(self) -> float:
        """Sum of the two parts."""
        return self.squared_bias + self.variance


def teacher_error(teacher_probabilities: Any, bayes_probabilities: Any, *, sample_weight: Any = None) -> TeacherError:
    """Squared bias and variance of a teacher's probabilities.

    Parameters
    ----------
    teacher_probabilities : array of shape (n, n_classes) or (n_teachers, n, n_classes)
        Of one teacher, whose variance is zero, or of equally likely teachers.
    bayes_probabilities : array of shape (n, n_classes)
    sample_weight : array of shape (n,), optional
        Weights of the points in the mean; default: equal.

    Returns
    -------
    TeacherError

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, and probabilities that leave [0, 1] or do not sum to 1.

    Notes
    -----
    Where the Bayes probabilities are not known, those of a strong teacher on points that it has not seen may stand for
    them. One-hot labels do not: the mean squared error to them is the Brier score, larger by `E[1 − ‖p*‖²]`.

    Source: Menon et al. (2020), eq. 10. The variance of m teachers is their plain mean square, without m/(m − 1), so
    that the two parts add up to the error of these teachers.

    Examples
    --------
    >>> teacher_error([[[1.0, 0.0]], [[0.0, 1.0]]], [[0.5, 0.5]])
    TeacherError(squared_bias=0.0, variance=0.5)
    """
    bayes = to_numpy(require_probabilities("bayes_probabilities", bayes_probabilities))
    teachers = to_numpy(require_probabilities("teacher_probabilities", teacher_probabilities, ndims=(2, 3)))
    if teachers.shape[-2:] != bayes.shape:
        raise ValueError(
            f"teacher_probabilities must end in the shape of bayes_probabilities, {bayes.shape}, got {teachers.shape}"
        )
    weights = point_shares(sample_weight, len(bayes))
    teachers = teachers.reshape(-1, *bayes.shape)
    mean = np.mean(teachers, axis=0)
    return TeacherError(
        squared_bias=float(weights @ np.sum((mean - bayes) ** 2, axis=1)),
        variance=float(weights @ np.sum(np.mean((teachers - mean) ** 2, axis=0), axis=1)),
    )


def smooth_labels(labels: Any, *, n_classes: SupportsIndex, amount: SupportsFloat) -> np.ndarray:
    """One-hot labels mixed with equal probabilities for all classes: label smoothing as a teacher.

    Parameters
    ----------
    labels : array of n integers
        0 to n_classes - 1.
    n_classes : int
    amount : float
        Share of the equal probabilities, in [0, 1]; 0 leaves the labels one-hot.

    Returns
    -------
    array of shape (n, n_classes)

    Raises
    ------
    ValueError, TypeError
        For labels or an amount out of range.

    Notes
    -----
    Source: Szegedy et al. (2016); Menon et al. (2020), section 3.3.

    Examples
    --------
    >>> smooth_labels([1, 0], n_classes=2, amount=0.5)
    array([[0.25, 0.75],
           [0.75, 0.25]])
    """
    count, share = require_positive_integer("n_classes", n_classes), require_share("amount", amount)
    numbers = require_labels("labels", labels, len(np.atleast_1d(np.asarray(labels))), count)
    smoothed = np.full((len(numbers), count), share / count)
    smoothed[np.arange(len(numbers)), numbers] += 1.0 - share
    return smoothed


def label_smoothing_error(
    bayes_probabilities: Any, *, amount: SupportsFloat, sample_weight: Any = None
) -> TeacherError:
    """Squared bias and variance of label smoothing as a teacher, over the labels that might have been drawn.

    Parameters
    ----------
    bayes_probabilities : array of shape (n, n_classes)
    amount : float
        In [0, 1].
    sample_weight : array of shape (n,), optional
        Weights of the points in the mean; default: equal.

    Returns
    -------
    TeacherError
        `amount²·E‖1/L − p*‖²` and `(1 − amount)²·E[1 − ‖p*‖²]`.

    Raises
    ------
    ValueError, TypeError
        For probabilities that leave [0, 1] or do not sum to 1, and an amount out of range.

    Notes
    -----
    Some smoothing always brings labels nearer to the Bayes probabilities, unless they are certain:
    `best_label_smoothing` is the best amount. Source: derived from Menon et al. (2020), section 3.3.

    Examples
    --------
    >>> label_smoothing_error([[0.75, 0.25]], amount=0.5)
    TeacherError(squared_bias=0.03125, variance=0.09375)
    """
    share = require_share("amount", amount)
    bayes = to_numpy(require_probabilities("bayes_probabilities", bayes_probabilities))
    uniform = teacher_error(np.full(bayes.shape, 1.0 / bayes.shape[1]), bayes, sample_weight=sample_weight)
    weights = point_shares(sample_weight, len(bayes))
    one_hot = float(weights @ np.sum(bayes * complements(bayes), axis=1))
    return TeacherError(share**2 * uniform.squared_bias, (1.0 - share) ** 2 * one_hot)


def best_label_smoothing(bayes_probabilities: Any, *, sample_weight: Any = None) -> float:
    """Amount of label smoothing of least mean squared error.

    Parameters
    ----------
    bayes_probabilities, sample_weight
        As for `label_smoothing_error`.

    Returns
    -------
    float
        `V/(B + V)` with `B = E‖1/L − p*‖²` and `V = E[1 − ‖p*‖²]`; 0 for a single class.

    Raises
    ------
    ValueError, TypeError
        As for `label_smoothing_error`.

    Notes
    -----
    Source: derived from Menon et al. (2020), section 3.3.

    Examples
    --------
    >>> best_label_smoothing([[0.75, 0.25]])
    0.75
    """
    bias = label_smoothing_error(bayes_probabilities, amount=1.0, sample_weight=sample_weight).squared_bias
    variance = label_smoothing_error(bayes_probabilities, amount=0.0, sample_weight=sample_weight).variance
    return variance / (bias + variance) if bias + variance > 0.0 else 0.0


def temper(probabilities: Any, *, temperature: SupportsFloat | Array) -> Array:
    """Probabilities at another temperature, `pᵢ^(1/T)` made to sum to 1.

    Parameters
    ----------
    probabilities : array of shape (n, n_classes) or (n_teachers, n, n_classes)
    temperature : float
        T > 0: above 1 probabilities become more equal, below 1 more certain. Zeros stay zeros.

    Returns
    -------
    array of the same shape
        Of the library of the probabilities.

    Raises
    ------
    ValueError, TypeError
        For probabilities that leave [0, 1] or do not sum to 1, and a temperature that is not positive.

    Notes
    -----
    For probabilities from logits it is the softmax of the logits over T. Under `jax.jit` and `jax.grad` values are not
    checked. Source: Hinton et al. (2015).

    Examples
    --------
    >>> temper([[0.8, 0.2]], temperature=2.0).round(3)
    array([[0.667, 0.333]])
    """
    traced = is_traced(probabilities, temperature)
    p = probabilities if traced else require_probabilities("probabilities", probabilities, ndims=(2, 3))
    xp = array_namespace(p)
    divisor: Array = temperature if traced else require_positive("temperature", temperature)
    # Relative to the largest, which stays 1 whatever the power; 0 to any power > 0 is 0.
    relative = (p / xp.max(p, axis=-1, keepdims=True)) ** (1.0 / divisor)
    relative = xp.where(p == 0.0, xp.zeros_like(p), relative)
    return relative / xp.sum(relative, axis=-1, keepdims=True)


def distort_probabilities(probabilities: Any, *, amount: SupportsFloat) -> Array:
    """Push probabilities of two classes away from 1/2, without changing on which side they are.

    Parameters
    ----------
    probabilities : array of any shape
        Probabilities u of one of two classes, in [0, 1].
    amount : float
        α >= 1; 1 changes nothing.

    Returns
    -------
    array of the same shape
        `½(2u)^α` below 1/2, and `½ + ½(2u − 1)^(1/α)` above.

    Raises
    ------
    ValueError, TypeError
        For values outside [0, 1] and an amount below 1.

    Notes
    -----
    Source: Menon et al. (2020), appendix B.2. The upper branch is printed without its second ½, with which it stays in
    [0, 1] and changes nothing at α = 1.

    Examples
    --------
    >>> distort_probabilities([0.25, 0.5, 0.625], amount=2.0)
    array([0.125, 0.5  , 0.75 ])
    """
    u = require_array("probabilities", probabilities)
    xp = array_namespace(u)
    if bool(xp.any((u < 0.0) | (u > 1.0))):
        raise ValueError(f"probabilities must lie in [0, 1], got values from {float(xp.min(u))} to {float(xp.max(u))}")
    alpha = require_positive("amount", amount)
    if alpha < 1.0:
        raise ValueError(f"amount must be >= 1, got {amount!r}")
    zero = xp.zeros_like(u)
    below = 0.5 * xp.where(u <= 0.5, 2.0 * u, zero) ** alpha
    above = 0.5 + 0.5 * xp.where(u > 0.5, 2.0 * u - 1.0, zero) ** (1.0 / alpha)
    return xp.where(u <= 0.5, below, above)


def noisy_sigmoid_teacher(
    logits: Any, *, bias: SupportsFloat = 0.0, noise: SupportsFloat = 0.0, random_state: Any = 0
) -> Array:
    """Probabilities of one of two classes from a teacher that is noisy and drawn towards 1/2.

    Parameters
    ----------
    logits : array of shape (n,)
        Bayes log-odds.
    bias : float, default 0
        α in [0, 1], the share of 1/2.
    noise : float, default 0
        Standard deviation of the noise on the log-odds. The paper calls σ what is squared for it: `noise = σ²`.
    random_state : int or numpy.random.Generator, default 0

    Returns
    -------
    array of shape (n,)
        `(1 − bias)·sigmoid(logits + noise·ε) + bias/2` with standard normal ε.

    Raises
    ------
    ValueError, TypeError
        For logits that are not finite, and a bias or noise out of range.

    Notes
    -----
    Noise adds a bias as well, since the sigmoid is not linear. Source: Menon et al. (2020), eq. 16.

    Examples
    --------
    >>> noisy_sigmoid_teacher([0.0, 2.0], bias=0.5).round(3)
    array([0.5 , 0.69])
    """
    z = require_array("logits", logits)
    share, deviation = require_share("bias", bias), require_nonnegative("noise", noise)
    drawn = require_generator("random_state", random_state).standard_normal(tuple(z.shape))
    z = z + deviation * from_numpy(drawn, like=z)
    return (1.0 - share) * sigmoid(z) + 0.5 * share


def noisy_sigmoid_error(
    logits: Any, *, bias: SupportsFloat = 0.0, noise: SupportsFloat = 0.0, sample_weight: Any = None
) -> TeacherError:
    """Squared bias and variance of `noisy_sigmoid_teacher`, over its noise and summed over both classes.

    Parameters
    ----------
    logits : array of shape (n,)
        Bayes log-odds.
    bias, noise
        As for `noisy_sigmoid_teacher`.
    sample_weight : array of shape (n,), optional
        Weights of the points in the mean; default: equal.

    Returns
    -------
    TeacherError

    Raises
    ------
    ValueError, TypeError
        As for `noisy_sigmoid_teacher`.

    Notes
    -----
    By the trapezoidal rule, whose error is that of rounding. Cost: O(n·(1 + noise)). Source: derived from Menon et al.
    (2020), eq. 16.

    Examples
    --------
    >>> error = noisy_sigmoid_error([2.0], noise=1.0)
    >>> round(error.squared_bias, 6), round(error.variance, 6)
    (0.00263, 0.031072)
    """
    z = to_numpy(require_vector("logits", logits))
    share, deviation = require_share("bias", bias), require_nonnegative("noise", noise)
    # The integrand is analytic in a strip of the half width π/noise, which sets the step; the tails weigh 1e-16.
    step = min(0.4, 0.5 / deviation) if deviation > 0.0 else 0.4
    nodes = step * np.arange(-np.ceil(8.5 / step), np.ceil(8.5 / step) + 1.0)
    chances = step / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * nodes**2)
    off = np.zeros_like(z)
    squares = np.zeros_like(z)
    for node, chance in zip(nodes, chances, strict=True):
        change = sigmoid(z + deviation * node) - sigmoid(z)
        off += chance * change
        squares += chance * change**2
    shares = point_shares(sample_weight, len(z))
    towards_half = (1.0 - share) * off + share * (0.5 - sigmoid(z))
    return TeacherError(
        squared_bias=float(2.0 * shares @ towards_half**2),
        variance=float(2.0 * (1.0 - share) ** 2 * shares @ np.maximum(squares - off**2, 0.0)),
    )
