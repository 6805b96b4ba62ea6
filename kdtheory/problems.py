"""Small problems with known answers, shared by examples, tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class PublishedLosses(NamedTuple):
    """Validation losses that a paper's authors print for one label weight."""

    steps: tuple[float, ...]
    limit: float


@dataclass(frozen=True, eq=False)
class SineProblem:
    """The noisy sine of Mobahi et al. (2020), with which Borup & Andersen (2021) illustrate self-distillation.

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
        """Mean squared error on the grid of predictions of shape (..., 101)."""
        return np.mean((predictions - self.y_val) ** 2, axis=-1)


def sine_problem() -> SineProblem:
    """Return the published sine problem, numbers and all.

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
