"""Risk of self-distilled ridge regression when both the points and the features are many, at every number of steps.

The prediction risk of ridge regression on n points with p features tends to a number as n and p grow together. So does
the mean product of the prediction errors at two penalties; that limit G is explicit in the effective penalties κ. And
G holds every step of a self-distillation, because distilling forever with the label weight 1 − z is ridge regression
with the penalty `ridge/(1 − z)`: its prediction error is a power series

    e(ridge/(1 − z)) = e_1 + (e_2 − e_1) z + (e_3 − e_2) z² + ...

in the errors e_j of the pure models, those of j fits with label weight 0. The coefficients of the power series of
`G(ridge/(1 − z), ridge/(1 − w))` are the mean products of these changes. They are found in another variable v, in
which κ is a fraction of two linear terms and everything else a geometric series: no derivative is ever taken. The
series `z(v)` brings them back, and is not needed for the least risk, since combinations of the first few coefficients
are the same functions in every variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from kdtheory._interop import to_numpy
from kdtheory._ridge_limit import ErrorSeries, RidgeLimit
from kdtheory._validation import (
    require_nonnegative,
    require_positive,
    require_positive_integer,
    require_representable,
    require_vector,
)
from kdtheory.combinations import break_stick, label_weight_sequence, tail_sums


@dataclass(frozen=True, eq=False, repr=False)
class RandomDesign:
    """Linear regression on many random points with proportionally many features.

    The targets are `y = xᵀβ + noise`. The features are `x = Σ^½ z`, where z has independent entries of mean 0,
    variance 1 and a bounded moment above the fourth, as Gaussian ones have; the noise is independent of them, with
    mean 0. The number of points n and of features p grow at a fixed ratio, while the eigenvalues of the covariance Σ
    stay bounded. Then the risks below are the limits for almost every sample, and good approximations for a few
    hundred points: the squared error of a prediction at a new point, its noise included, in squared units of y.

    The model is ridge regression on `XᵀX/n`, and its self-distillation.

    Parameters
    ----------
    eigenvalues : array of shape (m,)
        Eigenvalues s_i >= 0 of Σ, not all zero, in any order. Each stands for the share 1/m of the p features, so m
        may be p, or as few as one when all are equal.
    signal_energy : array of shape (m,)
        Sum of the squared components of β on the eigenvectors of each eigenvalue, >= 0. To predict zero everywhere has
        the risk `Σ s_i·signal_energy_i + noise_variance`.
    aspect_ratio : float
        Features per point, p/n > 0.
    noise_variance : float
        Variance of the noise, >= 0.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.

    Notes
    -----
    The limit has no n, so here alone in the package `ridge` counts per point: it is that of `½·mean((f − y)²) +
    ridge/2 ‖β‖²`, and `ridge·n` is the penalty that `selfdistill_closed_form` takes for the Gram matrix `X Xᵀ`. Its
    units are those of the eigenvalues.

    Cost of every method: `O(m·n_steps²)`, and `O(n_steps⁴)` for the series. All computations are in double precision,
    and results are numpy arrays. Ridges beyond 1e±300 times the largest eigenvalue count as 1e±300 times it.

    Source: Dang, Patil & Rinaldo (2026), Theorem 3.1, for two fits; every number of steps is derived for this package.

    Examples
    --------
    >>> design = RandomDesign(eigenvalues=[1.0], signal_energy=[1.0], aspect_ratio=0.5, noise_variance=1.0)
    >>> design.risk(0.1, 3).round(4)
    array([1.6036, 1.4638, 1.4222])
    >>> design.best_risk(0.1, 3).round(4)
    array([1.6036, 1.4254, 1.4149])
    >>> design.best_label_weights(0.1, 2).round(4)
    array([-0.8667])
    """

    eigenvalues: np.ndarray
    signal_energy: np.ndarray
    aspect_ratio: float
    noise_variance: float

    def __post_init__(self) -> None:
        eigenvalues = to_numpy(require_vector("eigenvalues", self.eigenvalues))
        energy = to_numpy(require_vector("signal_energy", self.signal_energy))
        if energy.shape != eigenvalues.shape:
            raise ValueError(
                f"signal_energy must have shape {eigenvalues.shape}, one energy for each eigenvalue, got {energy.shape}"
            )
        for name, values in (("eigenvalues", eigenvalues), ("signal_energy", energy)):
            if np.any(values < 0.0):
                raise ValueError(f"{name} must be >= 0, got {float(values.min())!r}")
            # Copies: a frozen design must not follow what the caller does to the arrays.
            object.__setattr__(self, name, np.array(values))
        if not np.any(eigenvalues > 0.0):
            raise ValueError("eigenvalues must hold at least one > 0, got zeros only")
        object.__setattr__(self, "aspect_ratio", require_positive("aspect_ratio", self.aspect_ratio))
        object.__setattr__(self, "noise_variance", require_nonnegative("noise_variance", self.noise_variance))

    def cross_risk(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Mean products of the prediction errors of pure models.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Largest number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps, n_steps)
            Entry (j − 1, l − 1) is the limit of the mean of `(f_j(x) − y)·(f_l(x) − y)` over new points, for the
            models f_j of j fits with label weight 0. The noise of y is part of it; the diagonal holds the risks.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Examples
        --------
        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.cross_risk(0.1, 2).round(4)
        array([[1.6036, 1.5081],
               [1.5081, 1.4638]])
        """
        changes = self._expand(ridge, n_steps, centred=False).gram_of_changes()
        return require_representable(np.cumsum(np.cumsum(changes, axis=0), axis=1), "the risk")

    def risk(self, ridge: SupportsFloat, n_steps: SupportsIndex, *, label_weight: Any = 0.0) -> np.ndarray:
        """Risk of every step of a self-distillation.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Number of fits, >= 1.
        label_weight : float or sequence of n_steps - 1 floats, default 0
            Weight of the ground-truth targets at steps 2..n_steps, as in `selfdistill_closed_form`.

        Returns
        -------
        array of shape (n_steps,)
            Risk of steps 1..n_steps, never below the noise variance.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When the label weights make a risk diverge beyond the floating-point range.

        Examples
        --------
        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.risk(0.1, 2, label_weight=-0.8667).round(4)
        array([1.6036, 1.4254])
        """
        count = require_positive_integer("n_steps", n_steps)
        weights = np.array(label_weight_sequence(label_weight, count)[0])
        expansions = [self._expand(ridge, count, centred=centred) for centred in (False, True)]
        with np.errstate(over="ignore", invalid="ignore"):
            tails = np.zeros((count, count))
            for step in range(count):
                tails[: step + 1, step] = tail_sums(weights[:step])
            values, errors = map(np.array, zip(*(part.square(tails) for part in expansions), strict=True))
            # Label weights in [0, 1] lose digits in the centred series, those far outside in the other one.
            better = np.argmin(np.where(np.isfinite(errors), errors, np.inf), axis=0)
        risks = np.take_along_axis(values, better[None], axis=0)[0]
        return np.maximum(require_representable(risks, "the risk"), self.noise_variance)

    def best_risk(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Least risk over all label weights, for every number of fits.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Largest number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps,)
            Least risk with 1..n_steps fits; it never increases. A step that changes less than 1e-5 of itself in a new
            direction counts as no step.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Examples
        --------
        Where all eigenvalues are equal and the ridge is the best, no step improves on it.

        >>> design = RandomDesign([1.0], [1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> design.best_risk(0.5, 3).round(6)
        array([1.414214, 1.414214, 1.414214])
        """
        risks, _ = self._expand(ridge, n_steps, centred=True).least_squares()
        return np.maximum(risks, self.noise_variance)

    def best_label_weights(self, ridge: SupportsFloat, n_steps: SupportsIndex) -> np.ndarray:
        """Label weights whose last step has the least risk.

        Parameters
        ----------
        ridge : float
            Penalty of every fit, > 0, for `XᵀX/n`.
        n_steps : int
            Number of fits, >= 1.

        Returns
        -------
        array of shape (n_steps - 1,)
            Label weights of steps 2..n_steps, any real numbers. Pass them on unrounded: they cancel.

        Raises
        ------
        ValueError, TypeError
            For bad input, naming the argument, the rule and the value.
        OverflowError
            When a risk is beyond the floating-point range.

        Notes
        -----
        Where a step gains nothing, or less than the rounding of its label weights may cost in double precision, it is
        left out, and the first label weights are 1. So the risk that they reach may be above `best_risk`, as with many
        steps at tiny or huge ridges, whose label weights are huge.

        Examples
        --------
        >>> design = RandomDesign([1.0, 4.0], [1.0, 1.0], aspect_ratio=0.5, noise_variance=1.0)
        >>> weights = design.best_label_weights(0.1, 3)
        >>> design.risk(0.1, 3, label_weight=weights).round(4), design.best_risk(0.1, 3).round(4)
        (array([1.741 , 4.2227, 1.6739]), array([1.741 , 1.6749, 1.6739]))
        """
        expansion = self._expand(ridge, n_steps, centred=True)
        risks, coefficients = expansion.least_squares()
        best, least = np.ones(len(risks) - 1), float(risks[0])  # plain ridge regression
        with np.errstate(all="ignore"):
            for tails in expansion.tails(coefficients).T:
                weights = break_stick(tails)
                value, error = expansion.square(tail_sums(weights)[:, None])
                reached = float(value[0] + error[0])
                if reached < least * (1.0 - _NEGLIGIBLE):
                    best, least = weights, reached
        return best

    def __repr__(self) -> str:
        return (
            f"RandomDesign(n_eigenvalues={len(self.eigenvalues)}, signal_energy={self.signal_energy.sum():.6g} in all,"
            f" aspect_ratio={self.aspect_ratio:.6g}, noise_variance={self.noise_variance:.6g})"
        )

    def _expand(self, ridge: SupportsFloat, n_steps: SupportsIndex, *, centred: bool) -> ErrorSeries:
        penalty = require_positive("ridge", ridge)
        count = require_positive_integer("n_steps", n_steps)
        with np.errstate(all="ignore"):  # what overflows is refused here, or leaves a series that is not chosen
            limit = RidgeLimit.at(
                penalty,
                eigenvalues=self.eigenvalues,
                energy=self.signal_energy,
                aspect_ratio=self.aspect_ratio,
                noise_variance=self.noise_variance,
            )
            expansion = limit.expand(count, centred=centred)
        require_representable(expansion.gram, "the mean product of prediction errors")
        return expansion


_NEGLIGIBLE = 1e-13
"""A step that lessens the risk by a smaller share gains nothing."""
