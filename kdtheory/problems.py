"""Small problems with known answers, shared by examples, tests and benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from scipy.special import ndtr, ndtri

from kdtheory._interop import to_numpy
from kdtheory._probabilities import sigmoid
from kdtheory._validation import (
    require_array,
    require_generator,
    require_ndim,
    require_nonnegative,
    require_positive_integer,
    require_vector,
)

__all__ = ["BinarySample", "GaussianClasses", "PublishedLosses", "SineProblem", "SlabClasses", "sine_problem"]


class PublishedLosses(NamedTuple):
    """Validation losses that a paper's authors print for one label weight; a part of `sine_problem`.

    Attributes
    ----------
    steps : tuple of float
        Of every step, from the first on.
    limit : float
        Of the infinite-step solution.

    Examples
    --------
    >>> sine_problem().published_losses[0.25].limit
    0.1525
    """

    steps: tuple[float, ...]
    limit: float


@dataclass(frozen=True, eq=False)
class SineProblem:
    """The noisy sine of Mobahi et al. (2020), with which Borup & Andersen (2021) illustrate self-distillation.

    Made by `sine_problem`.

    Attributes
    ----------
    x, y : array of shape (11,)
        Training inputs, and targets `sin(2πx)` plus noise.
    x_val, y_val : array of shape (101,)
        Grid on [0, 1] and the noiseless sine on it: validation set and evaluation at once.
    K : array of shape (11, 11)
        Gram matrix of the Gaussian kernel `exp(−80·(x − x′)²)`. The paper prints 1/80 for 80, but the published
        figures and losses are those of 80.
    K_val : array of shape (101, 11)
        Kernel values between grid and training inputs.
    ridge : float
    n_steps : int
    published_losses : dict of float to PublishedLosses
        Mean squared errors on the grid, to the digits printed, for the constant label weights 0 and 0.25.
    """

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    K: np.ndarray
    K_val: np.ndarray
    ridge: float
    n_steps: int
    published_losses: dict[float, PublishedLosses]

    def losses(self, predictions: np.ndarray) -> np.ndarray:
        """Measure predictions on the grid.

        Parameters
        ----------
        predictions : array of shape (..., 101)

        Returns
        -------
        array of shape (...)
            Mean squared errors.

        Examples
        --------
        >>> problem = sine_problem()
        >>> float(problem.losses(problem.y_val))
        0.0
        """
        return np.mean((predictions - self.y_val) ** 2, axis=-1)


def sine_problem() -> SineProblem:
    """Return the published sine problem, numbers and all.

    Returns
    -------
    SineProblem

    Notes
    -----
    Source: Borup & Andersen (2021), Figures 2 to 4, and the losses that their authors print.

    Examples
    --------
    >>> problem = sine_problem()
    >>> problem.K.shape, problem.K_val.shape
    ((11, 11), (101, 11))
    """
    x, x_val = np.arange(11) / 10, np.arange(101) / 100
    return SineProblem(
        x=x,
        y=np.array(_NOISY_SINE),
        x_val=x_val,
        y_val=np.sin(2.0 * np.pi * x_val),
        K=_gaussian_kernel(x, x),
        K_val=_gaussian_kernel(x_val, x),
        ridge=0.2,
        n_steps=6,
        published_losses={
            0.0: PublishedLosses((0.16477, 0.15076, 0.14915, 0.15561, 0.16735, 0.18251), 0.49505),
            0.25: PublishedLosses((0.16477, 0.15309, 0.14958, 0.14903, 0.14946, 0.15011), 0.1525),
        },
    )


def _gaussian_kernel(x: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return np.exp(-80.0 * np.subtract.outer(x, x2) ** 2)


_NOISY_SINE = (
    0.38476636465198066,
    1.2333967683416893,
    1.33232242217057,
    0.6920159488889518,
    -0.29756145531871736,
    -0.24189291901377769,
    -0.7964485769175675,
    -0.9616480167034174,
    -0.49672509509916934,
    -0.3469066003991437,
    0.5589512650600734,
)


class BinarySample(NamedTuple):
    """Points of two classes, with labels and the probabilities that they were drawn from; of `GaussianClasses.sample`.

    Attributes
    ----------
    X : array of shape (n, n_features)
    y : array of n integers
        0 or 1.
    bayes_probabilities : array of shape (n, 2)
        Of the labels given the points.

    Examples
    --------
    >>> GaussianClasses(mean=1.0).sample(5, random_state=0).head(2).X.shape
    (2, 10)
    """

    X: np.ndarray
    y: np.ndarray
    bayes_probabilities: np.ndarray

    def head(self, n_points: SupportsIndex) -> BinarySample:
        """Return the first points.

        Parameters
        ----------
        n_points : int
            How many, >= 1; all of a smaller sample.

        Returns
        -------
        BinarySample

        Raises
        ------
        ValueError, TypeError
            When `n_points` is not an integer >= 1.
        """
        n_points = require_positive_integer("n_points", n_points)
        return BinarySample(self.X[:n_points], self.y[:n_points], self.bayes_probabilities[:n_points])


@dataclass(frozen=True)
class GaussianClasses:
    """Two equally likely Gaussian classes with identity covariance and the means ±(mean, …, mean).

    The Bayes log-odds are linear, `θ*ᵀx` with `θ* = 2·(mean, …, mean)`: logistic regression is well specified.

    Parameters
    ----------
    mean : float
        >= 0, of every coordinate of class 1.
    n_features : int, default 10

    Raises
    ------
    ValueError, TypeError
        When the mean is not a finite real number >= 0, or `n_features` not an integer >= 1.

    Notes
    -----
    Source: Menon et al. (2020), section 5.1, with mean 1; there the classes hardly overlap (`oracle_auc` .999996).

    Examples
    --------
    >>> problem = GaussianClasses(mean=0.3)
    >>> round(problem.distance, 3), round(problem.oracle_auc, 3)
    (1.897, 0.91)
    >>> X, y, bayes_probabilities = problem.sample(5, random_state=0)
    >>> X.shape, y.shape, bayes_probabilities.shape
    ((5, 10), (5,), (5, 2))
    """

    mean: float
    n_features: int = 10

    def __post_init__(self) -> None:
        require_nonnegative("mean", self.mean)
        require_positive_integer("n_features", self.n_features)

    @property
    def weights(self) -> np.ndarray:
        """Weights θ* of the Bayes log-odds, shape (n_features,)."""
        return np.full(self.n_features, 2.0 * self.mean)

    @property
    def distance(self) -> float:
        """Distance r of the two means."""
        return 2.0 * self.mean * math.sqrt(self.n_features)

    @property
    def oracle_auc(self) -> float:
        """Area under the ROC curve of the Bayes probabilities, `Φ(r/√2)`."""
        return float(ndtr(self.distance / math.sqrt(2.0)))

    def auc(self, weights: np.ndarray) -> float:
        """Area under the ROC curve of the score `wᵀx` on all points: `Φ(√2·wᵀμ/‖w‖)`, and 1/2 for w = 0.

        Parameters
        ----------
        weights : array of shape (n_features,)

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError
            For another shape, or entries that are not finite real numbers.
        """
        w = to_numpy(require_vector("weights", weights))
        if len(w) != self.n_features:
            raise ValueError(f"weights must have shape {(self.n_features,)}, one for each feature, got {w.shape}")
        largest = np.max(np.abs(w))
        if largest == 0.0:
            return 0.5
        direction = w / largest  # whose length neither overflows nor vanishes
        return float(ndtr(math.sqrt(2.0) * self.mean * np.sum(direction) / np.linalg.norm(direction)))

    def log_odds(self, X: np.ndarray) -> np.ndarray:
        """Give the Bayes log-odds of class 1.

        Parameters
        ----------
        X : array of shape (n, n_features)

        Returns
        -------
        array of shape (n,)

        Raises
        ------
        ValueError, TypeError
            For another shape, or entries that are not finite real numbers.
        """
        return _points(X, self.n_features) @ self.weights

    def sample(self, n_points: SupportsIndex, random_state: Any = 0) -> BinarySample:
        """Draw independent points.

        Parameters
        ----------
        n_points : int
            >= 1.
        random_state : int or numpy.random.Generator, default 0

        Returns
        -------
        BinarySample

        Raises
        ------
        ValueError, TypeError
            For arguments out of range.
        """
        rng = require_generator("random_state", random_state)
        labels = rng.integers(0, 2, require_positive_integer("n_points", n_points))
        X = (2.0 * labels[:, None] - 1.0) * self.mean + rng.standard_normal((len(labels), self.n_features))
        return BinarySample(X, labels, _both(self.log_odds(X)))


@dataclass(frozen=True)
class SlabClasses:
    """Standard normal points with the class probability `σ(2·(‖x‖∞ − ½))`: the negatives fill a square around zero.

    Parameters
    ----------
    n_features : int, default 2

    Raises
    ------
    ValueError, TypeError
        When `n_features` is not an integer >= 1.

    Notes
    -----
    Source: Menon et al. (2020), section 5.2.

    Examples
    --------
    >>> X, y, bayes_probabilities = SlabClasses().sample(5, random_state=0)
    >>> X.shape, y.shape, bayes_probabilities.shape
    ((5, 2), (5,), (5, 2))
    >>> round(SlabClasses().oracle_auc, 4)
    0.7599
    """

    n_features: int = 2

    def __post_init__(self) -> None:
        require_positive_integer("n_features", self.n_features)

    @property
    def oracle_auc(self) -> float:
        """Area under the ROC curve of the Bayes probabilities, by the midpoint rule."""
        share = (np.arange(100_000) + 0.5) / 100_000  # of the points with a smaller ‖x‖∞
        positive = sigmoid(_slab_log_odds(ndtri(0.5 + 0.5 * share ** (1.0 / self.n_features))))
        below = np.cumsum(1.0 - positive) - 0.5 * (1.0 - positive)
        return float(positive @ below / (np.sum(positive) * np.sum(1.0 - positive)))

    def log_odds(self, X: np.ndarray) -> np.ndarray:
        """As `GaussianClasses.log_odds`."""
        return _slab_log_odds(np.max(np.abs(_points(X, self.n_features)), axis=1))

    def sample(self, n_points: SupportsIndex, random_state: Any = 0) -> BinarySample:
        """As `GaussianClasses.sample`."""
        rng = require_generator("random_state", random_state)
        X = rng.standard_normal((require_positive_integer("n_points", n_points), self.n_features))
        probabilities = _both(self.log_odds(X))
        return BinarySample(X, (rng.random(len(X)) < probabilities[:, 1]).astype(int), probabilities)


def _points(X: Any, n_features: int) -> np.ndarray:
    points = to_numpy(require_array("X", X))
    require_ndim("X", points, 2)
    if points.shape[1] != n_features:
        raise ValueError(f"X must have {n_features} columns, one for each feature, got shape {points.shape}")
    return points


def _slab_log_odds(largest: np.ndarray) -> np.ndarray:
    return 2.0 * (largest - 0.5)


def _both(log_odds: np.ndarray) -> np.ndarray:
    """Probabilities of both classes, each with its own digits."""
    return np.column_stack([sigmoid(-log_odds), sigmoid(log_odds)])
